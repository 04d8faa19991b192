package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink is the rest of the world: an SMTP server that takes everything, unless it is told to refuse,
// and remembers it with the parameters as they were written. It is our own, because go-smtp's refuses
// the ORCPT that Postfix writes for a UTF-8 address.
type sink struct {
	address string
	mu      sync.Mutex
	taken   []sunk
	answer  func(verb string, m sunk) string
	passing func(sunk) // gets what comes, which is then not kept; set before anything comes
}

// answering has the sink ask what to answer instead of its 250: to the last recipient of a message
// (verb RCPT) and to its data (verb DATA); "" is its own.
func (s *sink) answering(answer func(verb string, m sunk) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// judge gives another answer than the sink's own, "" for none.
func (s *sink) judge(verb string, m sunk) string {
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	if answer == nil {
		return ""
	}
	return answer(verb, m)
}

// sunk is a message as the sink got it.
type sunk struct {
	mail string   // what followed "MAIL FROM:"
	rcpt []string // what followed each "RCPT TO:"
	data []byte
	at   time.Time // when it was taken
}

// startSink runs a sink until the test ends.
func startSink(t *testing.T) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{address: l.Addr().String()}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			sessions.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return s
}

// messages are those that came so far.
func (s *sink) messages() []sunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

// await waits for n messages.
func (s *sink) await(t *testing.T, n int) []sunk {
	t.Helper()
	eventually(t, fmt.Sprintf("%d messages in the sink", n), func() bool { return len(s.messages()) >= n })
	return s.messages()
}

// serve speaks to one client until it leaves.
func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	say := func(text string) { _, _ = conn.Write([]byte(text + "\r\n")) }
	say("220 sink.test ESMTP")
	var message sunk
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			say("250-sink.test\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN")
		case "MAIL":
			message = sunk{mail: line[len("MAIL FROM:"):]}
			say("250 2.1.0 Ok")
		case "RCPT":
			asked := message
			asked.rcpt = append(slices.Clip(message.rcpt), line[len("RCPT TO:"):])
			if no := s.judge(verb, asked); no != "" {
				say(no)
				continue
			}
			message = asked
			say("250 2.1.5 Ok")
		case "DATA":
			if len(message.rcpt) == 0 { // the client sent it in one go with what was refused
				say("554 5.5.1 No valid recipients")
				continue
			}
			say("354 Go on")
			if message.data, err = readData(r); err != nil {
				return
			}
			if no := s.judge(verb, message); no != "" {
				say(no)
				continue
			}
			say("250 2.0.0 Ok: queued as " + s.take(message))
		case "QUIT":
			say("221 2.0.0 Bye")
			return
		default: // HELO, RSET, NOOP
			say("250 2.0.0 Ok")
		}
	}
}

func (s *sink) take(message sunk) (id string) {
	if s.passing != nil {
		s.passing(message)
		return "PASSED"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	message.at = time.Now()
	s.taken = append(s.taken, message)
	return fmt.Sprintf("SINK%d", len(s.taken))
}

// readData reads a message up to its final dot and takes the stuffed dots away (RFC 5321 4.5.2).
func readData(r *bufio.Reader) ([]byte, error) {
	var data bytes.Buffer
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return data.Bytes(), nil
		}
		data.Write(bytes.TrimPrefix(line, []byte(".")))
	}
}
