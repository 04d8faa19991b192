package store

import (
	"crypto/aes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/y"
)

// What follows reads the engine's files without the engine, which stops at the first damaged block, needs its
// manifest, and writes to what it opens. The layout is that of Badger 4 (table/builder.go, memtable.go, structs.go);
// salvage_test.go notices when it changes.

// Bits of an entry.
const (
	bitDelete  = 1 << 0
	bitPointer = 1 << 1
	bitTxn     = 1 << 6
	bitFinish  = 1 << 7
)

// A scrap is one version of one key.
type scrap struct {
	key     []byte // without the version
	version uint64
	meta    byte
	value   []byte // or a pointer into a value log
}

func (f *scrap) deleted() bool { return f.meta&bitDelete != 0 }

func newScrap(key []byte, meta byte, value []byte) scrap {
	return scrap{key: y.ParseKey(key), version: y.ParseTs(key), meta: meta, value: value}
}

// readTable calls fn for each entry of a table. What is damaged is left out, block by block, and given as an
// error when all that can be read has been. keys are tried one after the other; nil is plain text.
func readTable(name string, keys [][]byte, fn func(scrap)) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	err = errors.New("there is no key for it")
	for _, key := range keys {
		var bad, good int
		if bad, good, err = readBlocks(b, key, fn); err == nil && bad > 0 {
			err = fmt.Errorf("%d of %d blocks are damaged", bad, bad+good)
		}
		if good > 0 {
			return err
		}
	}
	return err
}

var errTable = errors.New("its index is damaged")

// readBlocks goes through the blocks that the index names. Offsets of a damaged index may point anywhere: each
// block has a checksum of its own.
func readBlocks(table, key []byte, fn func(scrap)) (bad, good int, err error) {
	defer func() {
		if recover() != nil { // flatbuffers does not look where it reads
			err = errTable
		}
	}()
	sum, index, ok := trailer(table)
	if !ok {
		return 0, 0, errTable
	}
	if crc32.Checksum(index, castagnoli) != sum {
		err = errTable // its greatest part is a filter that is not needed: the rest may be as it was
	}
	if index, ok = decrypt(index, key); !ok {
		return 0, 0, errTable
	}
	offsets := fb.GetRootAsTableIndex(index, 0)
	for i := range offsets.OffsetsLength() {
		var at fb.BlockOffset
		if !offsets.Offsets(&at, i) {
			return bad, good, errTable
		}
		from, to := uint64(at.Offset()), uint64(at.Offset())+uint64(at.Len())
		if to > uint64(len(table)) || !readBlock(table[from:to], key, fn) {
			bad++
			continue
		}
		good++
	}
	return bad, good, err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// trailer takes apart what ends with a length, a checksum, and its length.
func trailer(b []byte) (sum uint32, data []byte, ok bool) {
	sum, rest, ok := cutChecksum(b)
	if !ok || len(rest) < 4 {
		return 0, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(rest[len(rest)-4:]))
	rest = rest[:len(rest)-4]
	if n > uint64(len(rest)) {
		return 0, nil, false
	}
	return sum, rest[uint64(len(rest))-n:], true
}

// cutChecksum takes a checksum and its length off the end. It is a message of Protocol Buffers: the algorithm in
// field 1, which is CRC-32C when it is missing, and the sum in field 2.
func cutChecksum(b []byte) (sum uint32, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b[len(b)-4:]))
	b = b[:len(b)-4]
	if n > uint64(len(b)) {
		return 0, nil, false
	}
	m, rest := b[uint64(len(b))-n:], b[:uint64(len(b))-n]
	for len(m) > 1 {
		v, size := binary.Uvarint(m[1:])
		if size <= 0 {
			return 0, nil, false
		}
		switch {
		case m[0] == 1<<3 && v != 0:
			return 0, nil, false
		case m[0] == 2<<3:
			sum = uint32(v)
		}
		m = m[1+size:]
	}
	return sum, rest, true
}

// decrypt undoes what is encrypted with a vector at its end. Without a key there is nothing to undo.
func decrypt(b, key []byte) ([]byte, bool) {
	if key == nil {
		return b, true
	}
	if len(b) < aes.BlockSize {
		return nil, false
	}
	end := len(b) - aes.BlockSize
	plain, err := y.XORBlockAllocate(b[:end], key, b[end:])
	return plain, err == nil
}

// readBlock calls fn for the entries of a block; it is false for a damaged one.
func readBlock(b, key []byte, fn func(scrap)) (ok bool) {
	b, ok = decrypt(b, key)
	if !ok {
		return false
	}
	sum, data, ok := cutChecksum(b)
	if !ok || len(data) < 4 || crc32.Checksum(data, castagnoli) != sum {
		return false
	}
	n := uint64(binary.BigEndian.Uint32(data[len(data)-4:]))
	if 4*n+4 > uint64(len(data)) {
		return false
	}
	starts := data[uint64(len(data))-4-4*n:]
	data = data[:uint64(len(data))-4-4*n]
	var base []byte
	for i := range n {
		from, to := uint64(binary.NativeEndian.Uint32(starts[4*i:])), uint64(len(data))
		if i+1 < n {
			to = uint64(binary.NativeEndian.Uint32(starts[4*i+4:]))
		}
		if from+4 > to || to > uint64(len(data)) {
			return false
		}
		f, full, ok := readEntry(data[from:to], base)
		if !ok {
			return false
		}
		if i == 0 {
			base = full
		}
		fn(f)
	}
	return true
}

// readEntry reads an entry of a block, whose key begins like that of the first. The engine writes these numbers
// in the order of the machine.
func readEntry(b, base []byte) (f scrap, key []byte, ok bool) {
	same, differs := int(binary.NativeEndian.Uint16(b)), int(binary.NativeEndian.Uint16(b[2:]))
	b = b[4:]
	if same > len(base) || differs > len(b) || same+differs < 8 {
		return f, nil, false
	}
	key = append(append(make([]byte, 0, same+differs), base[:same]...), b[:differs]...)
	b = b[differs:]
	if len(b) < 3 {
		return f, nil, false
	}
	var v y.ValueStruct
	v.Decode(b)
	return newScrap(key, v.Meta, v.Value), key, true
}
