package source

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// chunk is how much is read at a time.
const chunk = 64 << 10

// A logFile is an open log file, plain or compressed, and the place up to which it was read.
type logFile struct {
	path  string
	file  *os.File
	info  fs.FileInfo // when it was opened
	gz    bool
	in    io.Reader
	id    fileID
	later int64 // octets in the files after it when it was opened; -1 unknown

	buf   []byte
	rest  []byte // of buf, not yet split
	split splitter
	ahead mark // behind what was split
	done  mark // behind the last whole line
}

// openLog opens a file at its beginning. What it holds is told by its first octets, not by its name.
func openLog(path string) (*logFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := &logFile{path: path, file: f, in: f, buf: make([]byte, chunk)}
	if err := l.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.Close())
	}
	return l, nil
}

func (l *logFile) begin() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a plain file")
	}
	l.info, l.id = info, idOf(info)
	var magic [2]byte
	if err := readFull(l.file, magic[:], 0); err != nil || magic != [2]byte{0x1f, 0x8b} { // RFC 1952 2.3.1
		return nil
	}
	l.gz = true
	l.in, err = gzip.NewReader(l.file)
	return err
}

// errElsewhere says that a file does not have the content that a position was taken in.
var errElsewhere = errors.New("the file has another content")

// goTo moves to a position, having seen that this is the file it belongs to.
func (l *logFile) goTo(ctx context.Context, p *position) error {
	var m mark
	var err error
	if l.gz {
		m, err = l.pass(ctx, p)
	} else if m, err = markAt(l.file, p.Offset); err == nil {
		_, err = l.file.Seek(p.Offset, io.SeekStart)
	}
	switch {
	case errors.Is(err, io.EOF): // shorter than that
		return errElsewhere
	case err != nil:
		return fmt.Errorf("look for the cursor in %s: %w", l.path, err)
	case !m.is(p):
		return errElsewhere
	}
	l.ahead, l.done = m, m
	return nil
}

// pass reads up to a position, or to where the content shows to be another.
func (l *logFile) pass(ctx context.Context, p *position) (m mark, err error) {
	compared := false
	for m.offset < p.Offset {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		n, err := l.in.Read(l.buf[:min(int64(len(l.buf)), p.Offset-m.offset)])
		m.pass(l.buf[:n])
		if err != nil && m.offset < p.Offset {
			return m, err
		}
		if !compared && m.offset >= headLen {
			if compared = true; sum(m.head) != p.Head {
				return m, nil
			}
		}
	}
	return m, nil
}

// goToEnd skips what is there. A line that is not whole yet is skipped when it is.
func (l *logFile) goToEnd() error {
	size, err := l.size()
	if err != nil {
		return err
	}
	m, err := markAt(l.file, size)
	if err != nil {
		return fmt.Errorf("read %s: %w", l.path, err)
	}
	if _, err := l.file.Seek(size, io.SeekStart); err != nil {
		return err
	}
	l.ahead, l.done = m, m
	l.split.skip = m.n > 0 && m.tail[m.n-1] != '\n'
	return nil
}

// fill adds lines to a batch until it is full or the file ends.
func (l *logFile) fill(b *Batch) (eof bool, err error) {
	for octets := 0; len(b.Lines) < MaxLines && octets < MaxOctets; {
		if len(l.rest) == 0 {
			n, err := l.in.Read(l.buf)
			l.rest = l.buf[:n]
			if n == 0 && errors.Is(err, io.EOF) {
				return true, nil
			}
			if n == 0 && err != nil {
				return false, fmt.Errorf("read %s: %w", l.path, err)
			}
			continue
		}
		line, used, ended := l.split.next(l.rest)
		l.ahead.pass(l.rest[:used])
		l.rest = l.rest[used:]
		if ended {
			l.done = l.ahead
		}
		if line != nil {
			b.Lines = append(b.Lines, Raw{Data: line})
		}
		octets += used
	}
	return false, nil
}

// end adds the line that nobody will complete.
func (l *logFile) end(b *Batch) {
	l.done = l.ahead
	if line := l.split.flush(); line != nil {
		b.Lines = append(b.Lines, Raw{Data: line})
	}
}

// giveUp makes this the end of the file.
func (l *logFile) giveUp() { l.in, l.rest = strings.NewReader(""), nil }

// size is that of the open file.
func (l *logFile) size() (int64, error) {
	info, err := l.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// written is when the open file was last written to.
func (l *logFile) written() time.Time {
	info, err := l.file.Stat()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// changed says whether the file no longer holds what was read of it: it was truncated, and perhaps
// written again.
func (l *logFile) changed() (bool, error) {
	if l.gz {
		return false, nil
	}
	now, err := markAt(l.file, l.ahead.offset)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return err == nil && !now.equal(&l.ahead), err
}

// key tells what was tried from what has changed since.
func (l *logFile) key() string { return key(l.path, l.id, l.info.Size(), l.info.ModTime()) }

// behind is how many octets are unread.
func (l *logFile) behind() int64 {
	if l.gz || l.later < 0 {
		return -1
	}
	size, err := l.size()
	if err != nil {
		return -1
	}
	return max(0, size-l.done.offset) + l.later
}

func (l *logFile) close() error { return l.file.Close() }
