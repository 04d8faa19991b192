package relay

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
)

// FuzzSession plays foreign bytes in several states of a session. Whatever they are, the session ends,
// and each message that was answered 250 was one that was taken.
func FuzzSession(f *testing.F) {
	states := []string{
		"",
		"EHLO a\r\n",
		"EHLO a\r\nMAIL FROM:<a@corp.example>\r\n",
		"EHLO a\r\nMAIL FROM:<a@corp.example>\r\nRCPT TO:<b@remote.example>\r\n",
		"EHLO a\r\nMAIL FROM:<a@corp.example>\r\nRCPT TO:<b@remote.example>\r\nDATA\r\n",
		"EHLO a\r\nMAIL FROM:<a@corp.example>\r\nRCPT TO:<b@remote.example>\r\nBDAT 5\r\nabcde",
		"EHLO a\r\nAUTH LOGIN\r\n",
	}
	for _, s := range []string{
		"NOOP\r\nQUIT\r\n", "Subject: x\r\n\r\nhi\r\n.\r\n", "BDAT 3 LAST\r\na\r\n", "BDAT 0\r\nRSET\r\nBDAT 0 LAST\r\n",
		"AUTH PLAIN AGEAYg==\r\n", "YWxpY2U=\r\n*\r\n", "RCPT TO:<postmaster>\r\n", "MAIL FROM:<\"x> A=B\"@c> SIZE=1\r\n",
		"STARTTLS\r\n\x16\x03\x01", "a\n.\r\nb\r\n.\r\nMAIL FROM:<>\r\n", "\x00\xff\r\n",
	} {
		for i := range states {
			f.Add(i, s)
		}
	}
	sink := &fuzzLab{}
	f.Fuzz(func(t *testing.T, state int, in string) {
		if state < 0 || state >= len(states) {
			return
		}
		sink.once.Do(sink.start)
		got := sink.play(t, states[state]+in)
		for _, line := range strings.Split(strings.TrimSuffix(got, "\r\n"), "\r\n") {
			if len(line) < 4 || line[0] < '2' || line[0] > '5' || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("answer %q in %q", line, got)
			}
		}
		for i, held := range strings.Split(got, "250 2.0.0 Held as ") {
			if i > 0 {
				if _, err := journal.Message(idIn(t, held)); err != nil {
					t.Errorf("answered 250 and not kept: %v", err)
				}
			}
		}
	})
}

// A fuzzLab is a relay whose upstream is away, for all inputs of a fuzz target.
type fuzzLab struct {
	once sync.Once
	addr string
}

func (l *fuzzLab) start() {
	directory, err := policy.NewDirectory(nil)
	if err != nil {
		panic(err)
	}
	c := upstream.DefaultConfig()
	c.Name, c.TLS, c.Servers = "inside", upstream.TLSNone, []upstream.Server{{Address: "127.0.0.1:1"}}
	up, err := upstream.New(c, "gate.test", nopLog)
	if err != nil {
		panic(err)
	}
	settings := Settings{Config: DefaultConfig(), Engine: policy.NewRules(policy.DefaultConfig(), directory), Directory: directory, Router: routes{first: up}}
	settings.Config.Listen = []Listener{{Address: "127.0.0.1:0", TLS: TLSNone}}
	settings.Config.AllowInsecureAuth = true
	r := New("gate.test", journal, settings, time.Now, nopLog)
	r.pause = func(context.Context, time.Duration) {}
	if err := r.Listen(); err != nil {
		panic(err)
	}
	go r.Serve(context.Background())
	l.addr = r.Addrs()[0].String()
}

// play sends everything and gives all answers.
func (l *fuzzLab) play(t *testing.T, in string) string {
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	go func() {
		io.WriteString(conn, in)
		conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("%v after %q", err, got)
	}
	return string(got)
}
