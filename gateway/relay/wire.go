package relay

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"
)

// A wire is the connection as go-smtp sees it, above TLS. It hands on one command line at a time,
// so that it is always in step with the library, and mends what cannot be mended elsewhere:
//
//   - a read error is for ever: neither a DATA nor a BDAT that timed out can turn into commands
//     (quirk tests TestQuirkTimeoutInData, TestQuirkTruncatedChunk);
//   - STARTTLS is ours: the dialogue ends and a new one begins over TLS, with nothing kept;
//   - RCPT TO:<postmaster> gets a domain, and the session is told (RFC 5321 4.5.1);
//   - an ORCPT of Postfix with a UTF-8 address is understood;
//   - command lines are bounded, body lines are not;
//   - what the library repeats of a command is shown without control characters;
//   - the answers to a pipelined group leave in one write, when the library asks for more;
//   - an answer of the upstream can take the place of a fixed text of the library;
//   - EHLO is answered with our name, STARTTLS and REQUIRETLS.
type wire struct {
	net.Conn
	in       *bufio.Reader
	hostname string
	secure   bool // over TLS
	startTLS bool // offered
	silent   bool // swallow the greeting: it was said before STARTTLS

	closed chan struct{}

	mu         sync.Mutex
	out        []byte // answers not yet sent
	midAnswer  bool   // the last write did not end a line
	instead    string // of the next answer
	extensions []string
	phase      phase
	chunk      int64 // octets left, in a chunk
	end        endOfData
	long       int    // octets of a response to a challenge that were handed on in pieces
	rest       []byte // of a command line, not yet taken by the library
	verb       string // of the last command
	extended   bool   // the client greeted with EHLO
	bare       bool   // the last command was RCPT TO:<postmaster>
	err        error  // of reading; it stays
	upgrading  bool
	leaving    bool
}

// phase is what the next octets from the client are.
type phase int

const (
	inCommand phase = iota
	inChallenge
	inBody
	inChunk
)

const (
	// RFC 5321 4.5.3.1.4 wants 512 octets for a command, RFC 4954 12,288 for AUTH; bearer tokens can
	// be longer.
	maxCommandLine   = 16 << 10
	maxChallengeLine = 64 << 10
	maxPending       = 8 << 10 // answers are sent at the latest when there are so many octets
)

func newWire(conn net.Conn, in *bufio.Reader, hostname string) *wire {
	return &wire{Conn: conn, in: in, hostname: hostname, closed: make(chan struct{})}
}

// Read sends what is to be said and hands on a command line, or a piece of a body.
func (w *wire) Read(p []byte) (int, error) {
	if err := w.ready(); err != nil {
		return 0, err
	}
	n, err := w.read(p)
	if err != nil {
		w.fail(err)
	}
	return n, err
}

// ready sends the answers before the client is waited for.
func (w *wire) ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.flush()
	}
	if w.err == nil && w.leaving {
		w.err = io.EOF
	}
	return w.err
}

// fail makes an error of reading permanent. The library would show its text to the peer.
func (w *wire) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	if w.phase == inBody || w.phase == inChunk {
		w.instead = answerInterrupted
	}
}

const answerInterrupted = "451 4.4.2 The message was interrupted\r\n"

// read runs in go-smtp's goroutine, as do all answers but the last one of a connection.
func (w *wire) read(p []byte) (int, error) {
	switch {
	case len(w.rest) > 0:
		n := copy(p, w.rest)
		w.rest = w.rest[n:]
		return n, nil
	case w.phase == inBody:
		return w.readBody(p)
	case w.phase == inChunk:
		return w.readChunk(p)
	}
	w.bare = false
	line, err := w.in.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull && w.phase == inChallenge && w.long < maxChallengeLine:
		w.long += len(line)
	case err == bufio.ErrBufferFull:
		return 0, smtp.ErrTooLongLine
	case err != nil:
		return 0, err // half a command is none
	case w.phase == inChallenge:
		w.phase, w.long = inCommand, 0
	default:
		if line = w.command(line); line == nil {
			return 0, io.EOF
		}
	}
	n := copy(p, line)
	w.rest = append(w.rest[:0], line[n:]...)
	return n, nil
}

// command looks at a command line and gives the one that the library is to see; nil ends the
// dialogue for STARTTLS.
func (w *wire) command(line []byte) []byte {
	verb, arg := splitCommand(string(line))
	w.verb = verb
	switch verb {
	case "EHLO", "HELO":
		w.extended = verb == "EHLO"
	case "STARTTLS":
		if !w.startTLS {
			return line
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.out = append(w.out, "220 2.0.0 Ready to start TLS\r\n"...)
		w.upgrading = w.flush() == nil
		return nil
	case "BDAT":
		n, ok := chunkSize(arg)
		if ok && n > 0 {
			w.phase, w.chunk = inChunk, n
		} else if ok && !strings.Contains(arg, " ") {
			// No octets and not the last: the library would start its goroutine and not wait for it.
			return []byte("NOOP\r\n")
		}
	case "RCPT":
		if rest, ok := cutPostmaster(arg); ok {
			w.bare = true
			return []byte("RCPT TO:<postmaster@" + w.hostname + ">" + rest + "\r\n")
		}
		return []byte(mendOriginal(string(line)))
	}
	return line
}

// readBody hands on octets up to the end of data, not beyond: what follows are commands.
func (w *wire) readBody(p []byte) (int, error) {
	if _, err := w.in.Peek(1); err != nil {
		return 0, err
	}
	window, _ := w.in.Peek(min(len(p), w.in.Buffered()))
	n, ended := w.end.scan(window)
	if ended {
		w.phase = inCommand
	}
	copy(p, window[:n])
	return w.in.Discard(n)
}

// readChunk hands on octets of a BDAT chunk. The library takes a connection that ends inside a
// chunk for the end of that chunk.
func (w *wire) readChunk(p []byte) (int, error) {
	n, err := w.in.Read(p[:min(int64(len(p)), w.chunk)])
	w.chunk -= int64(n)
	if w.chunk == 0 {
		w.phase = inCommand
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write takes an answer of the library.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isClosed() {
		return 0, net.ErrClosed
	}
	first := !w.midAnswer
	w.midAnswer = !bytes.HasSuffix(p, []byte("\n"))
	if first {
		w.answer(p)
	} else {
		w.out = appendClean(w.out, p)
	}
	if len(w.out) < maxPending {
		return len(p), nil
	}
	return len(p), w.flush()
}

// answer takes the line of an answer; w.mu is held.
func (w *wire) answer(p []byte) {
	switch {
	case w.silent:
		w.silent = false
		return
	case w.instead != "":
		w.out = append(w.out, w.instead...)
		w.instead = ""
		return
	case bytes.HasPrefix(p, []byte("354")):
		w.phase, w.end = inBody, endOfData{}
	case bytes.HasPrefix(p, []byte("334")):
		w.phase = inChallenge
	case w.verb == "EHLO" && bytes.HasPrefix(p, []byte("250-Hello ")):
		w.out = append(w.out, "250-"+w.hostname+"\r\n"...)
		if w.startTLS {
			w.out = append(w.out, "250-STARTTLS\r\n"...)
		}
		for _, x := range w.extensions {
			w.out = append(w.out, "250-"+x+"\r\n"...)
		}
		return
	}
	w.out = appendClean(w.out, p)
}

// appendClean adds a line of the library, which repeats what it was told, without control
// characters.
func appendClean(out, p []byte) []byte {
	text := bytes.TrimRight(p, "\r\n")
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			c = '?'
		}
		out = append(out, c)
	}
	return append(out, p[len(text):]...)
}

// sayInstead puts a whole answer in the place of the library's next one.
func (w *wire) sayInstead(answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instead = answer
}

// extend offers more extensions in the next answer to EHLO.
func (w *wire) extend(keywords ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.extensions = keywords
}

// flush sends the answers; w.mu is held.
func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.out)
	if w.out = w.out[:0]; cap(w.out) > 2*maxPending {
		w.out = nil
	}
	return err
}

// leave ends the dialogue after the answer that is about to be given.
func (w *wire) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaving = true
}

// hangUp says a last word and closes the connection, from any goroutine.
func (w *wire) hangUp(answer string) {
	w.mu.Lock()
	if !w.midAnswer && !w.isClosed() {
		w.out = append(w.out, answer...)
	}
	w.mu.Unlock()
	w.Close()
}

// Close sends what was still to be said. The connection stays open for TLS after STARTTLS.
func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isClosed() {
		return nil
	}
	close(w.closed)
	err := w.flush()
	if w.err == nil {
		w.err = net.ErrClosed
	}
	if w.upgrading {
		return err
	}
	return w.Conn.Close()
}

func (w *wire) isClosed() bool {
	select {
	case <-w.closed:
		return true
	default:
		return false
	}
}
