package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// How much of a file makes its fingerprints. A log line has 100 octets or more and begins with a
// time, so that two files alike in the first 1024 and in the 256 before the same offset are one.
const (
	headLen = 1024
	tailLen = 256
)

// A mark is a place in a file together with the octets that identify it.
type mark struct {
	offset int64
	head   []byte // only appended to, so that copies of the mark may share it
	tail   [tailLen]byte
	n      int // octets of tail
}

// pass moves the mark behind octets that were read.
func (m *mark) pass(p []byte) {
	m.offset += int64(len(p))
	if want := headLen - len(m.head); want > 0 {
		m.head = append(m.head, p[:min(want, len(p))]...)
	}
	if len(p) >= tailLen {
		m.n = copy(m.tail[:], p[len(p)-tailLen:])
		return
	}
	keep := min(m.n, tailLen-len(p))
	copy(m.tail[:], m.tail[m.n-keep:m.n])
	m.n = keep + copy(m.tail[keep:], p)
}

// position is the mark in the form of the cursor.
func (m *mark) position(id fileID) *position {
	return &position{ID: id, Offset: m.offset, Head: sum(m.head), Tail: sum(m.tail[:m.n])}
}

// is says whether the mark stands where the position does, in a file with the same content.
func (m *mark) is(p *position) bool {
	return m.offset == p.Offset && sum(m.head) == p.Head && sum(m.tail[:m.n]) == p.Tail
}

// equal says whether two marks stand at the same place of the same content.
func (m *mark) equal(o *mark) bool {
	return m.offset == o.offset && bytes.Equal(m.head, o.head) && bytes.Equal(m.tail[:m.n], o.tail[:o.n])
}

// markAt makes the mark of an offset in a file that can be read anywhere.
func markAt(r io.ReaderAt, offset int64) (mark, error) {
	m := mark{offset: offset, head: make([]byte, min(offset, headLen)), n: int(min(offset, tailLen))}
	if err := readFull(r, m.head, 0); err != nil {
		return mark{}, err
	}
	return m, readFull(r, m.tail[:m.n], offset-int64(m.n))
}

// readFull reads len(p) octets or fails: the end of the file is io.EOF.
func readFull(r io.ReaderAt, p []byte, offset int64) error {
	if n, err := r.ReadAt(p, offset); n < len(p) {
		return err
	}
	return nil
}

func sum(p []byte) fingerprint {
	h := sha256.Sum256(p)
	return fingerprint{Len: int64(len(p)), Sum: hex.EncodeToString(h[:8])}
}
