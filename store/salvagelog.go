package store

import (
	"crypto/aes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4/y"
)

// A rawLog is a log of the engine: what is not in tables yet (*.mem), or large values (*.vlog).
type rawLog struct {
	octets []byte // of a *.mem
	file   *os.File
	key    []byte // nil is plain text
	vector []byte // the beginning of the vector of each entry
}

// openLog reads the head of a log; key finds the key of a number.
func openLog(name string, key func(id uint64) ([]byte, error)) (*rawLog, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	l := &rawLog{file: f}
	head := make([]byte, logHeader)
	if _, err = io.ReadFull(f, head); err == nil {
		l.vector = head[8:]
		l.key, err = key(binary.BigEndian.Uint64(head))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

func (l *rawLog) close() error { return l.file.Close() }

// entry reads the entry at the beginning of b, which is at offset in the log; n is its length, 0 for none.
func (l *rawLog) entry(b []byte, offset int) (f scrap, n int) {
	at := entryFlags
	if len(b) < at {
		return f, 0
	}
	var lengths [3]uint64
	for i := range lengths {
		v, size := binary.Uvarint(b[at:])
		if size <= 0 {
			return f, 0
		}
		lengths[i] = v
		at += size
	}
	key, value := lengths[0], lengths[1]
	if key == 0 || key > maxLogKey || value > maxLogValue || uint64(len(b)-at) < key+value+entryCRC {
		return f, 0
	}
	end := at + int(key+value)
	if binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return f, 0
	}
	kv := b[at:end]
	if l.key != nil {
		iv := make([]byte, aes.BlockSize)
		copy(iv, l.vector)
		binary.BigEndian.PutUint32(iv[len(l.vector):], uint32(offset))
		var err error
		if kv, err = y.XORBlockAllocate(kv, l.key, iv); err != nil {
			return f, 0
		}
	}
	if key < 8 {
		return f, 0
	}
	return newScrap(kv[:key], b[0], kv[key:]), end + entryCRC
}

// each calls fn for every entry. The engine takes the first bad entry for the end; here the next good one is
// looked for. A transaction without its end is left out where it was torn off at the very end, as the engine does:
// nobody was told about it.
func (l *rawLog) each(fn func(scrap)) error {
	var err error
	if l.octets, err = os.ReadFile(l.file.Name()); err != nil {
		return err
	}
	defer func() { l.octets = nil }()
	var pending []scrap
	flush := func() {
		for i := range pending {
			fn(pending[i])
		}
		pending = pending[:0]
	}
	gaps, doubt := 0, false
	for at := logHeader; at < len(l.octets); {
		f, n := l.entry(l.octets[at:], at)
		if n == 0 {
			next, more := l.next(at)
			if !more {
				break
			}
			gaps, doubt = gaps+1, true
			at = next
			continue
		}
		at += n
		switch {
		case f.meta&bitFinish != 0:
			flush()
			doubt = false
		case f.meta&bitTxn == 0:
			fn(f)
		default:
			pending = append(pending, f)
		}
	}
	if doubt { // its end may be what is damaged
		flush()
	}
	if gaps > 0 {
		return fmt.Errorf("it is damaged in %d places", gaps)
	}
	return nil
}

// next finds the entry after a damaged place; what was never written is zero.
func (l *rawLog) next(at int) (next int, more bool) {
	for at++; at < len(l.octets); at++ {
		if at+entryFlags < len(l.octets) && l.octets[at+entryFlags] == 0 { // no key
			continue
		}
		if _, n := l.entry(l.octets[at:], at); n > 0 {
			return at, true
		}
	}
	return at, false
}

// A place is where in the value logs a value is.
type place struct{ log, octets, offset uint32 }

func parsePlace(b []byte) (p place, ok bool) {
	if len(b) != 12 {
		return p, false
	}
	e := binary.NativeEndian
	return place{e.Uint32(b), e.Uint32(b[4:]), e.Uint32(b[8:])}, true
}

// value reads the value of a key at a place of a value log.
func (l *rawLog) value(p place, key []byte) ([]byte, error) {
	if p.octets > maxLogValue {
		return nil, errors.New("its length is damaged")
	}
	b := make([]byte, p.octets)
	if _, err := l.file.ReadAt(b, int64(p.offset)); err != nil {
		return nil, err
	}
	f, n := l.entry(b, int(p.offset))
	if n == 0 || string(f.key) != string(key) {
		return nil, errors.New("it is damaged")
	}
	return f.value, nil
}
