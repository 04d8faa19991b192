package store

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A backup is a stream of
//
//	sendgate backup 1            the format
//	{"version":...}              BackupHeader, JSON in one line
//	<length><frame> ...          a length of 4 octets, big-endian, and so many octets; at last a length of 0
//	{"entries":...}              BackupEnd, JSON in one line
//	sha256 <hex> [<hex>]         of all octets before this line; of an encrypted backup also their HMAC
//
// A frame is a run of entries compressed with zstd (RFC 8878), and sealed when the store is encrypted. An entry is
// the length of a key, the key, the length of a value and the value; lengths are unsigned varints.
const (
	backupMagic = "sendgate backup 1\n"
	frameSize   = 1 << 20  // of entries, about
	maxFrame    = 96 << 20 // more than the largest change (maxIntent) in a frame
	maxLine     = 64 << 10
	backupSalt  = 16
	maxDamaged  = 20 // things that are named
)

// ErrBackup is returned for what is no backup, or a damaged, altered or unfinished one.
var ErrBackup = errors.New("the backup cannot be used")

// A BackupHeader is the beginning of a backup. Everybody who has the file can read it.
type BackupHeader struct {
	Version   string    `json:"version"` // of the sendgate that made it
	Schema    int       `json:"schema"`
	Node      string    `json:"node"`
	Batch     uint64    `json:"batch"` // it has this batch of the journal and all before, and nothing of those after
	Time      time.Time `json:"time"`
	Encrypted bool      `json:"encrypted"` // with the store's key
	Salt      string    `json:"salt,omitempty"`
}

// A BackupEnd is the end of a backup.
type BackupEnd struct {
	Entries  int64    `json:"entries"`
	Messages int64    `json:"messages"`
	Octets   int64    `json:"octets"`            // of keys and values
	Damaged  []string `json:"damaged,omitempty"` // what could not be read, in words
}

// backupWriter writes a backup.
type backupWriter struct {
	to     io.Writer
	sum    hash.Hash
	raw    []byte // entries of the next frame
	packer *zstd.Encoder
	seal   *seal // nil when it is not encrypted
	end    BackupEnd
}

// beginBackup writes the header.
func beginBackup(to io.Writer, h BackupHeader, key []byte) (*backupWriter, error) {
	w := &backupWriter{sum: sha256.New()}
	w.to = io.MultiWriter(to, w.sum)
	var err error
	if h.Encrypted = key != nil; h.Encrypted {
		salt := make([]byte, backupSalt)
		rand.Read(salt) // never fails (crypto/rand)
		h.Salt = hex.EncodeToString(salt)
		if w.seal, err = newSeal(key, h.Salt); err != nil {
			return nil, err
		}
	}
	if w.packer, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w.to, backupMagic); err != nil {
		return nil, err
	}
	return w, w.line(&h)
}

func (w *backupWriter) line(v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = w.to.Write(append(b, '\n'))
	}
	return err
}

// entry adds a key with its value.
func (w *backupWriter) entry(key, value []byte) error {
	w.raw = appendBytes(appendBytes(w.raw, key), value)
	w.end.Entries++
	w.end.Octets += int64(len(key) + len(value))
	if key[0] == keyMessage {
		w.end.Messages++
	}
	if len(w.raw) >= frameSize {
		return w.flush()
	}
	return nil
}

func appendBytes(b, field []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

func (w *backupWriter) flush() error {
	if len(w.raw) == 0 {
		return nil
	}
	frame := w.packer.EncodeAll(w.raw, nil)
	if w.seal != nil {
		frame = w.seal.close(frame)
	}
	w.raw = w.raw[:0]
	if _, err := w.to.Write(binary.BigEndian.AppendUint32(nil, uint32(len(frame)))); err != nil {
		return err
	}
	_, err := w.to.Write(frame)
	return err
}

// finish writes the end.
func (w *backupWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	if _, err := w.to.Write(make([]byte, 4)); err != nil {
		return err
	}
	if err := w.line(&w.end); err != nil {
		return err
	}
	last := "sha256 " + hex.EncodeToString(w.sum.Sum(nil))
	if w.seal != nil {
		last += " " + w.seal.mac(w.sum.Sum(nil))
	}
	_, err := io.WriteString(w.to, last+"\n")
	return err
}

// A backupReader reads a backup; every octet may be wrong.
type backupReader struct {
	BackupHeader
	End BackupEnd // after the last frame

	from *bufio.Reader
	sum  hash.Hash
	copy io.Writer // takes all octets as they are; nil for none
}

// openBackup reads the header.
func openBackup(from io.Reader, to io.Writer) (*backupReader, error) {
	r := &backupReader{from: bufio.NewReaderSize(from, maxLine), sum: sha256.New(), copy: to}
	magic, err := r.from.Peek(len(backupMagic))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case !bytes.HasPrefix(magic, []byte("sendgate backup ")):
		return nil, fmt.Errorf("%w: it is not a backup that sendgate has made", ErrBackup)
	case string(magic) != backupMagic:
		return nil, fmt.Errorf("%w: a newer sendgate has made it, with %q: install that version", ErrBackup, bytes.TrimSpace(magic))
	}
	if err := r.pass(magic); err != nil {
		return nil, err
	}
	if _, err := r.from.Discard(len(magic)); err != nil {
		return nil, err
	}
	if err := r.line(&r.BackupHeader); err != nil {
		return nil, err
	}
	if r.Schema < 1 {
		return nil, fmt.Errorf("%w: it says schema %d", ErrBackup, r.Schema)
	}
	return r, nil
}

// pass takes up octets that were read.
func (r *backupReader) pass(b []byte) error {
	r.sum.Write(b)
	if r.copy == nil {
		return nil
	}
	_, err := r.copy.Write(b)
	return err
}

func (r *backupReader) line(v any) error {
	b, err := r.from.ReadSlice('\n')
	if err != nil {
		return r.cut(err)
	}
	if err := r.pass(b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: it is damaged: %w", ErrBackup, err)
	}
	return nil
}

// cut explains an error of reading: an end that comes too early is the commonest.
func (r *backupReader) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early: it was not finished, or not copied whole", ErrBackup)
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("%w: it is damaged: a line of it does not end", ErrBackup)
	}
	return fmt.Errorf("read backup: %w", err)
}

// frames calls fn with each frame, and then holds what was read against the sum. What fn made of it counts only
// when the error is nil.
func (r *backupReader) frames(seal *seal, fn func([]byte) error) error {
	var frame []byte
	for {
		var length [4]byte
		if _, err := io.ReadFull(r.from, length[:]); err != nil {
			return r.cut(err)
		}
		if err := r.pass(length[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(length[:]))
		if n == 0 {
			return r.finish(seal)
		}
		if n > maxFrame {
			return fmt.Errorf("%w: it is damaged: a frame of %d octets", ErrBackup, n)
		}
		var err error
		if frame, err = r.octets(frame[:0], n); err != nil {
			return err
		}
		if err := fn(frame); err != nil {
			return err
		}
	}
}

// octets reads n octets: no more memory is taken than really come.
func (r *backupReader) octets(b []byte, n int) ([]byte, error) {
	for len(b) < n {
		at := len(b)
		b = append(b, make([]byte, min(n-at, frameSize))...)
		if _, err := io.ReadFull(r.from, b[at:]); err != nil {
			return nil, r.cut(err)
		}
	}
	return b, r.pass(b)
}

// finish reads the end.
func (r *backupReader) finish(seal *seal) error {
	if err := r.line(&r.End); err != nil {
		return err
	}
	sum := r.sum.Sum(nil)
	last, err := r.from.ReadSlice('\n')
	if err != nil {
		return r.cut(err)
	}
	if r.copy != nil {
		if _, err := r.copy.Write(last); err != nil {
			return err
		}
	}
	fields := strings.Fields(string(last))
	if len(fields) < 2 || fields[0] != "sha256" || fields[1] != hex.EncodeToString(sum) {
		return fmt.Errorf("%w: it was altered: its checksum does not fit", ErrBackup)
	}
	if seal != nil && (len(fields) != 3 || !seal.verifies(sum, fields[2])) {
		return fmt.Errorf("%w: it was altered: what authenticates it does not fit", ErrBackup)
	}
	if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", ErrBackup)
	}
	return nil
}

// each calls fn with each entry. key opens an encrypted backup.
func (r *backupReader) each(key []byte, fn func(key, value []byte) error) error {
	seal, err := r.opener(key)
	if err != nil {
		return err
	}
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*maxFrame))
	if err != nil {
		return err
	}
	defer unpacker.Close()
	var entries int64
	var raw []byte
	err = r.frames(seal, func(frame []byte) error {
		if seal != nil {
			if frame, err = seal.open(frame); err != nil {
				return err
			}
		}
		if raw, err = unpacker.DecodeAll(frame, raw[:0]); err != nil {
			return fmt.Errorf("%w: it is damaged: %w", ErrBackup, err)
		}
		n, err := eachEntry(raw, fn)
		entries += n
		return err
	})
	if err == nil && entries != r.End.Entries {
		err = fmt.Errorf("%w: it has %d entries and says %d", ErrBackup, entries, r.End.Entries)
	}
	return err
}

// opener gives what opens the frames, nil when they are not sealed.
func (r *backupReader) opener(key []byte) (*seal, error) {
	switch {
	case !r.Encrypted:
		return nil, nil
	case key == nil:
		return nil, fmt.Errorf("%w: it is encrypted with the key of the store it is from: name the file with that key (store.encryption_key_file, --encryption-key-file)", ErrBackup)
	}
	return newSeal(key, r.Salt)
}

// eachEntry reads the entries of a frame, and gives their number.
func eachEntry(raw []byte, fn func(key, value []byte) error) (n int64, err error) {
	for len(raw) > 0 {
		var key, value []byte
		var ok bool
		if key, raw, ok = cutBytes(raw); ok && len(key) > 0 {
			value, raw, ok = cutBytes(raw)
		}
		if !ok || len(key) == 0 {
			return n, fmt.Errorf("%w: it is damaged: an entry is cut off", ErrBackup)
		}
		if err := fn(key, value); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func cutBytes(b []byte) (field, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(n)], b[k+int(n):], true
}

// CopyBackup copies a backup, and holds it against its checksum while it does. It needs no key. Of what it has
// copied nothing counts unless the error is nil; [ErrBackup] says what is wrong with it.
func CopyBackup(to io.Writer, from io.Reader) (h BackupHeader, end BackupEnd, err error) {
	r, err := openBackup(from, to)
	if err != nil {
		return h, end, err
	}
	err = r.frames(nil, func([]byte) error { return nil })
	return r.BackupHeader, r.End, err
}
