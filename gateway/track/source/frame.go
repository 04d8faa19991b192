package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxMessage bounds a syslog message; the rest of a longer one is skipped. RFC 5424 6.1 asks for
// 2048 octets.
const maxMessage = 64 << 10

// maxCount bounds the announced length of a message.
const maxCount = 64 << 20

// A frameReader cuts a stream into messages, by counted octets (RFC 6587 3.4.1) or at line ends
// (3.4.2), as each message begins.
type frameReader struct{ in *bufio.Reader }

var errFrame = errors.New("no syslog message begins here")

// next reads a message; it is empty when there is nothing in it. A stream that ends within a counted
// message is io.ErrUnexpectedEOF.
func (r *frameReader) next() ([]byte, error) {
	count, err := r.count()
	switch {
	case err != nil:
		return nil, err
	case count < 0:
		return r.line()
	}
	frame := make([]byte, min(count, maxMessage))
	if _, err := io.ReadFull(r.in, frame); err != nil {
		return nil, cut(err)
	}
	if _, err := io.CopyN(io.Discard, r.in, int64(count-len(frame))); err != nil {
		return nil, cut(err)
	}
	return trim(frame), nil
}

// count reads MSG-LEN SP, or nothing and gives -1 when the message is not counted. MSG-LEN begins with
// another digit than zero.
func (r *frameReader) count() (int, error) {
	for n := 1; ; n++ {
		head, err := r.in.Peek(n)
		if len(head) < n {
			if n > 1 && errors.Is(err, io.EOF) {
				return -1, nil
			}
			return 0, err
		}
		switch c := head[n-1]; {
		case c >= '0' && c <= '9' && (n > 1 || c != '0'):
			if n > 10 {
				return 0, fmt.Errorf("%w: %.20q", errFrame, head)
			}
		case c == ' ' && n > 1:
			count, err := strconv.Atoi(string(head[:n-1]))
			if err != nil || count > maxCount {
				return 0, fmt.Errorf("%w: %.20q", errFrame, head)
			}
			_, err = r.in.Discard(n)
			return count, err
		default:
			return -1, nil
		}
	}
}

// line reads up to LF or the end of the stream.
func (r *frameReader) line() ([]byte, error) {
	var line []byte
	for {
		piece, err := r.in.ReadSlice('\n')
		line = append(line, piece[:min(len(piece), maxMessage-len(line))]...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return trim(line), nil
		}
		return nil, err
	}
}

// trim takes away what senders put behind a message.
func trim(p []byte) []byte { return bytes.TrimRight(p, "\n\r\x00") }
