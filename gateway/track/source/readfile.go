package source

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ReadFile reads a log file, plain or compressed with gzip, from its beginning to its end, as an
// import does. The last batch has Caught set; no batch has a cursor. Its error is the context's, take's,
// or that of a file that cannot be opened or read on; the lines before have been handed over then.
func ReadFile(ctx context.Context, name string, take Take) (err error) {
	l, err := openLog(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	return l.readAll(ctx, take)
}

// Read is ReadFile for what comes from elsewhere; name is told in errors.
func Read(ctx context.Context, name string, r io.Reader, take Take) error {
	in := bufio.NewReader(r)
	l := &logFile{path: name, in: in, buf: make([]byte, chunk), later: -1}
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" { // RFC 1952 2.3.1; what cannot be read shows later
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("open %s: %w", name, err)
		}
		l.in, l.gz = unpacked, true
	}
	return l.readAll(ctx, take)
}

func (l *logFile) readAll(ctx context.Context, take Take) error {
	for {
		b := Batch{At: time.Now()}
		eof, readErr := l.fill(&b)
		if eof || readErr != nil {
			l.end(&b)
		}
		b.Behind, b.Caught = l.behind(), eof
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := take(ctx, b); err != nil || readErr != nil {
			return errors.Join(err, readErr)
		}
		if eof {
			return nil
		}
	}
}
