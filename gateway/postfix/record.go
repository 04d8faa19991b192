package postfix

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The types of records that matter here (Postfix, global/rec_type.h).
const (
	recordSize      = 'C' // sizes and offsets, in decimal
	recordTime      = 'T' // arrival: seconds and microseconds, in decimal
	recordSender    = 'S'
	recordOriginal  = 'O' // the address before rewriting, of the recipient that follows
	recordRecipient = 'R'
	recordDone      = 'D' // a recipient that Postfix is done with
	recordDropped   = '/' // an original address that was taken away again
	recordAttribute = 'A' // name=value
	recordContent   = 'M' // the content begins
	recordLine      = 'N' // a line of the content
	recordPiece     = 'L' // a piece of a line
	recordExtracted = 'X' // the content has ended
	recordEnd       = 'E'
	recordPointer   = 'p' // goes on at another offset, or, at 0, right here
	recordPadding   = 'w'
)

// maxRecord bounds a record. Postfix's own are at most line_length_limit long, 2048 by default;
// records of attributes may be longer.
const maxRecord = 1 << 20

var (
	errRecordLength = errors.New("a record has an impossible length")
	errPointer      = errors.New("a record points to nowhere")
	errLoop         = errors.New("the records go in a circle")
)

type record struct {
	kind byte
	data []byte // valid until the next record
}

// records reads the records of a queue file in the order in which they count.
type records struct {
	file   io.ReadSeeker
	size   int64
	read   int64 // octets so far; a file read to its end in any order has given each of its octets once
	buffer *bufio.Reader
	data   []byte
}

func newRecords(file io.ReadSeeker, size int64) *records {
	return &records{file: file, size: size, buffer: bufio.NewReaderSize(file, 32<<10)}
}

// next follows pointers and skips padding.
func (r *records) next() (record, error) {
	for {
		rec, err := r.raw()
		switch {
		case err != nil:
			return record{}, err
		case rec.kind == recordPadding:
		case rec.kind == recordPointer:
			if err := r.follow(string(rec.data)); err != nil {
				return record{}, err
			}
		default:
			return rec, nil
		}
	}
}

// raw reads the record that lies next in the file: a type, the length in septets, lowest first, the
// data.
func (r *records) raw() (record, error) {
	kind, err := r.octet()
	if err != nil {
		return record{}, err
	}
	length, err := r.length()
	if err != nil {
		return record{}, err
	}
	if r.read += int64(length); r.read > r.size {
		return record{}, errLoop
	}
	if cap(r.data) < length {
		r.data = make([]byte, length)
	}
	data := r.data[:length]
	if _, err := io.ReadFull(r.buffer, data); err != nil {
		return record{}, fmt.Errorf("record of %d octets: %w", length, noEOF(err))
	}
	return record{kind, data}, nil
}

func (r *records) length() (int, error) {
	n := 0
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.octet()
		if err != nil {
			return 0, noEOF(err)
		}
		n |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			if n > maxRecord {
				return 0, errRecordLength
			}
			return n, nil
		}
	}
	return 0, errRecordLength
}

func (r *records) octet() (byte, error) {
	b, err := r.buffer.ReadByte()
	if err == nil {
		r.read++
	}
	return b, err
}

// follow goes on at the offset, unless it is 0.
func (r *records) follow(text string) error {
	offset, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || offset < 0 || offset > r.size {
		return errPointer
	}
	if offset == 0 {
		return nil
	}
	if _, err := r.file.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("go on at offset %d: %w", offset, err)
	}
	r.buffer.Reset(r.file)
	return nil
}

// noEOF makes an end of file an unexpected one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
