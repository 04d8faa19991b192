package similar

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Hints are what is known of a message besides its text.
type Hints struct {
	// Sender is whom the mail is counted for; what he writes in every mail is left out.
	Sender string
	// Subject is used to recognise a reply ("Re:", "回复:").
	Subject string
	// Reply is true when the header has In-Reply-To or References.
	Reply bool
	// Names are display names and addresses of the recipients; in the text they are masked.
	Names []string
	// Attachments are SHA-256 sums of attached files of at least MinAttachment octets.
	Attachments [][32]byte
	// Hosts are the registered domains of the links.
	Hosts []string
}

// MinAttachment is the size below which an attachment says nothing.
const MinAttachment = 512

const maxAttachments = 4

// A Signature stands for a message: 256 octets for its new text, as much again for its full text when
// that differs, 64 bits for its exact normalised words, and up to four attachments.
// It belongs to the seed that made it.
type Signature struct {
	text  sketch
	full  *sketch // nil when nothing was stripped
	exact uint64  // of the tokens of the new text

	units     uint16 // words plus half the ideographs, of the new text
	fullUnits uint16
	features  uint16 // shingles that are not boilerplate
	template  bool   // hardly anything is left without boilerplate
	linked    bool   // has a URL or an attachment

	hosts       uint64
	attachments []uint64

	shingles []uint32 // what its sender may be learned to repeat; not stored
}

// Units gives the length of the new text: a word counts one, an ideograph half.
func (s *Signature) Units() int { return int(s.units) }

// Exact gives the hash of the normalised new text; 0 is no text.
func (s *Signature) Exact() uint64 { return s.exact }

// Template reports that hardly anything is left beyond what the sender always writes.
func (s *Signature) Template() bool { return s.template }

// short reports too little text for an estimate of similarity.
func (s *Signature) short() bool { return s.units < minUnits }

// wide gives the sketch of the full text.
func (s *Signature) wide() *sketch {
	if s.full != nil {
		return s.full
	}
	return &s.text
}

// Lengths in octets of the parts of an encoded signature.
const (
	sketchSize    = Slots * 2
	headSize      = 1 + 1 + 8 + 2 + 2 + 2 + 8 + 1
	formatVersion = 1
)

const (
	flagFull = 1 << iota
	flagTemplate
	flagLinked
)

// errSignature is what UnmarshalBinary says of anything it did not write.
var errSignature = errors.New("not a signature of this version")

// MarshalBinary encodes a signature in 281 to 569 octets, for the journal.
func (s Signature) MarshalBinary() ([]byte, error) {
	b := append(make([]byte, 0, headSize+2*sketchSize+8*maxAttachments), formatVersion, s.flags())
	b = binary.LittleEndian.AppendUint64(b, s.exact)
	for _, n := range []uint16{s.units, s.fullUnits, s.features} {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	b = binary.LittleEndian.AppendUint64(b, s.hosts)
	b = append(b, byte(len(s.attachments)))
	for _, a := range s.attachments {
		b = binary.LittleEndian.AppendUint64(b, a)
	}
	b = s.text.append(b)
	if s.full != nil {
		b = s.full.append(b)
	}
	return b, nil
}

func (s *Signature) flags() (flags byte) {
	if s.full != nil {
		flags |= flagFull
	}
	if s.template {
		flags |= flagTemplate
	}
	if s.linked {
		flags |= flagLinked
	}
	return flags
}

// UnmarshalBinary decodes what MarshalBinary wrote.
func (s *Signature) UnmarshalBinary(b []byte) error {
	if len(b) < headSize || b[0] != formatVersion {
		return errSignature
	}
	flags, n := b[1], int(b[headSize-1])
	want := headSize + 8*n + sketchSize
	if flags&flagFull != 0 {
		want += sketchSize
	}
	if n > maxAttachments || len(b) != want {
		return errSignature
	}
	*s = Signature{
		exact: binary.LittleEndian.Uint64(b[2:]),
		units: binary.LittleEndian.Uint16(b[10:]), fullUnits: binary.LittleEndian.Uint16(b[12:]),
		features: binary.LittleEndian.Uint16(b[14:]), hosts: binary.LittleEndian.Uint64(b[16:]),
		template: flags&flagTemplate != 0, linked: flags&flagLinked != 0,
	}
	b = b[headSize:]
	for range n {
		s.attachments, b = append(s.attachments, binary.LittleEndian.Uint64(b)), b[8:]
	}
	b = s.text.read(b)
	if flags&flagFull != 0 {
		s.full = &sketch{}
		s.full.read(b)
	}
	return nil
}

func (a *sketch) append(b []byte) []byte {
	for _, w := range a {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

func (a *sketch) read(b []byte) []byte {
	for i := range a {
		a[i], b = binary.LittleEndian.Uint64(b), b[8:]
	}
	return b
}

// sharesAttachment reports an attachment in both.
func (s *Signature) sharesAttachment(o *Signature) bool {
	return slices.ContainsFunc(s.attachments, func(a uint64) bool { return slices.Contains(o.attachments, a) })
}
