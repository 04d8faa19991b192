package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// An entry is what is needed of an entry of the journal.
type entry struct {
	cursor     string
	realtime   time.Time
	host       string
	identifier string
	comm       string
	pid        string
	message    []byte
}

// An exportReader reads the Journal Export Format: fields, one on each line, and an empty line after
// each entry. A field is NAME=value, or, when the value is binary, NAME, LF, its length as 64 bits
// little endian, the value, LF.
type exportReader struct{ in *bufio.Reader }

// Bounds of what is believed. Journald itself cuts names at 64 and refuses values over 768 MiB
// (journal-importer.h, DATA_SIZE_MAX).
const (
	maxField  = 768 << 20
	maxFields = 1024 // as ENTRY_FIELD_COUNT_MAX
)

var errExport = errors.New("this is not the journal export format")

// next reads an entry. The end of the stream is io.EOF; what lacks its empty line was cut off.
func (r *exportReader) next() (*entry, error) {
	var e entry
	for n := 0; n <= maxFields; {
		line, err := r.line()
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case len(line) == 0 && n == 0, n == 0 && bytes.HasPrefix(line, []byte("-- ")):
			continue // "-- No entries --"
		case len(line) == 0:
			return &e, nil
		}
		n++
		name, value, text := bytes.Cut(line, []byte("="))
		if !text {
			if value, err = r.binary(); err != nil {
				return nil, err
			}
		}
		if err := e.set(string(name), value); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: an entry has more than %d fields", errExport, maxFields)
}

// line reads up to LF and keeps at most maxLine octets.
func (r *exportReader) line() ([]byte, error) {
	var line []byte
	for {
		piece, err := r.in.ReadSlice('\n')
		line = append(line, piece[:min(len(piece), maxLine+1-len(line))]...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		}
		return bytes.TrimSuffix(line, []byte("\n")), nil
	}
}

// binary reads a value with its length before it and LF behind, and keeps at most maxLine octets.
func (r *exportReader) binary() ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return nil, cut(err)
	}
	size := binary.LittleEndian.Uint64(head[:])
	if size > maxField {
		return nil, fmt.Errorf("%w: a field has %d octets", errExport, size)
	}
	// Read as it comes: the length alone must not make us take memory.
	var value bytes.Buffer
	if _, err := io.CopyN(&value, r.in, int64(min(size, maxLine))); err != nil {
		return nil, cut(err)
	}
	if _, err := io.CopyN(io.Discard, r.in, int64(size)-int64(value.Len())); err != nil {
		return nil, cut(err)
	}
	switch end, err := r.in.ReadByte(); {
	case err != nil:
		return nil, cut(err)
	case end != '\n':
		return nil, fmt.Errorf("%w: no line end after a field", errExport)
	}
	return value.Bytes(), nil
}

// cut makes the end of the stream within an entry what it is.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// set keeps a field that is needed. Of a field that is there several times the last counts.
func (e *entry) set(name string, value []byte) error {
	switch name {
	case "__CURSOR":
		e.cursor = string(value)
		if len(value) > maxJournal || !journalCursor.Match(value) {
			return fmt.Errorf("%w: cursor %.100q", errExport, value)
		}
	case "__REALTIME_TIMESTAMP":
		micros, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || micros < 0 {
			return fmt.Errorf("%w: time %.100q", errExport, value)
		}
		e.realtime = time.UnixMicro(micros).UTC()
	case "_HOSTNAME":
		e.host = string(value)
	case "SYSLOG_IDENTIFIER":
		e.identifier = string(value)
	case "_COMM":
		e.comm = string(value)
	case "SYSLOG_PID":
		e.pid = string(value)
	case "_PID":
		if e.pid == "" {
			e.pid = string(value)
		}
	case "MESSAGE":
		e.message = value
	}
	return nil
}

// raw is the entry as a log line; false without a text.
func (e *entry) raw() (Raw, bool) {
	if len(e.message) == 0 {
		return Raw{}, false
	}
	tag := e.identifier
	if tag == "" {
		tag = e.comm
	}
	data := []byte(tag)
	if e.pid != "" {
		data = append(data, "["+e.pid+"]"...)
	}
	data = append(append(data, ": "...), e.message...)
	return Raw{Data: oneLine(data), Time: e.realtime, Host: e.host}, true
}

// oneLine makes line ends and NUL within a message spaces.
func oneLine(p []byte) []byte {
	for i, c := range p {
		if c == '\n' || c == '\r' || c == 0 {
			p[i] = ' '
		}
	}
	return p
}
