package relay

import (
	"bytes"
	"fmt"
	"io"
)

// content reads a message from a client and refuses what must not be relayed: a bare CR or LF,
// which another server might take for the end of the message, and more octets than are accepted.
// Its errors are answers, or receiveErrors.
type content struct {
	r       io.Reader
	max     int64       // 0 is no limit
	bare    func() bool // whether r left out a bare CR; nil when it leaves out nothing
	size    int64
	afterCR bool
	tail    string // what is missing at the end of the last line
	end     error
}

// A receiveError says that the client did not deliver the message to its end.
type receiveError struct{ err error }

func (e *receiveError) Error() string { return fmt.Sprintf("receive the message: %v", e.err) }
func (e *receiveError) Unwrap() error { return e.err }

// Read gives octets that were checked.
func (c *content) Read(p []byte) (int, error) {
	if c.end == nil {
		n, err := c.r.Read(p)
		c.end = c.check(p[:n], err)
		if c.end == nil || c.end == io.EOF && n > 0 {
			return n, nil
		}
	}
	if c.end == io.EOF && c.tail != "" {
		n := copy(p, c.tail)
		c.tail = c.tail[n:]
		return n, nil
	}
	return 0, c.end
}

// check looks at the octets of one read and gives the end of the message or why it is not taken.
func (c *content) check(b []byte, err error) error {
	c.size += int64(len(b))
	if len(b) > 0 {
		c.tail = ""
		if b[len(b)-1] != '\n' {
			c.tail = "\r\n" // if it ends here; only a chunked message can
		}
	}
	switch {
	case c.max > 0 && c.size > c.max:
		return errTooLarge
	case !c.clean(b) || err == io.EOF && c.afterCR || c.bare != nil && c.bare():
		return errBareNewline
	case err == nil || err == io.EOF:
		return err
	}
	return &receiveError{err}
}

// clean reports whether every CR and LF so far is one half of a CRLF.
func (c *content) clean(b []byte) bool {
	if c.afterCR && len(b) > 0 {
		if b[0] != '\n' {
			return false
		}
		c.afterCR = false
		b = b[1:]
	}
	for len(b) > 0 {
		lf := bytes.IndexByte(b, '\n')
		if lf < 0 {
			cr := bytes.IndexByte(b, '\r')
			c.afterCR = cr == len(b)-1
			return cr < 0 || c.afterCR
		}
		if cr := bytes.IndexByte(b[:lf+1], '\r'); cr < 0 || cr != lf-1 {
			return false
		}
		b = b[lf+1:]
	}
	return true
}

// A counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
