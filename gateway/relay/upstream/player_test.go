package upstream

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// A player is a server that plays one dialogue for each connection, in the order of the connections:
//
//	S: text      sent
//	RAW: text    sent in one piece, \n in it for CRLF
//	C: text      expected, a line; the next S must not come before the client has nothing more to say
//	B: text      expected, the body up to the final dot, \n in it for CRLF
//	TLS          handshake as a server
//	NOW          the player's context is at its deadline
//	END          expected, the client closes without another word
//	CLOSE, RESET the server closes
type player struct {
	t        *testing.T
	listener net.Listener
	scripts  []string
	tls      *tls.Config
	done     sync.WaitGroup
	now      chan struct{}
}

// context is one whose deadline is at the step NOW.
func (p *player) context() context.Context { return expiring{context.Background(), p.now} }

type expiring struct {
	context.Context
	now chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.now }

func (e expiring) Err() error {
	select {
	case <-e.now:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

const (
	greeting = "S: 220 sink ESMTP\nC: EHLO gw.example\n"
	plain    = greeting + "S: 250-sink\nS: 250 8BITMIME\n"
	piped    = greeting + "S: 250-sink\nS: 250-PIPELINING\nS: 250 8BITMIME\n"
)

// play starts a player; it is over, and every dialogue played, when the test ends.
func play(t *testing.T, scripts ...string) *player {
	t.Helper()
	return playTLS(t, nil, scripts...)
}

// playTLS plays with a certificate.
func playTLS(t *testing.T, settings *tls.Config, scripts ...string) *player {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, listener: l, scripts: scripts, tls: settings, now: make(chan struct{})}
	p.done.Go(p.run)
	t.Cleanup(func() {
		if t.Failed() {
			l.Close()
		}
		p.done.Wait()
		l.Close()
	})
	return p
}

func (p *player) address() string { return p.listener.Addr().String() }

func (p *player) run() {
	for i, script := range p.scripts {
		if err := p.listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return
		}
		conn, err := p.listener.Accept()
		if err != nil {
			p.t.Errorf("connection %d did not come: %v", i+1, err)
			return
		}
		p.done.Go(func() { p.dialogue(i+1, conn, script) })
	}
}

func (p *player) dialogue(n int, conn net.Conn, script string) {
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReaderSize(conn, 1<<16)
	for line := range strings.SplitSeq(strings.TrimSuffix(script, "\n"), "\n") {
		verb, text, _ := strings.Cut(line, ": ")
		switch verb {
		case "S":
			if r.Buffered() > 0 {
				rest, _ := r.Peek(r.Buffered())
				p.t.Errorf("connection %d: before %q the client also sent %q", n, line, rest)
			}
			io.WriteString(conn, text+"\r\n")
		case "RAW":
			io.WriteString(conn, strings.ReplaceAll(text, `\n`, "\r\n"))
		case "C":
			got, err := r.ReadString('\n')
			if got = strings.TrimSuffix(got, "\r\n"); got != text {
				p.t.Errorf("connection %d: got %q, %v; want %q", n, got, err, text)
				return
			}
		case "B":
			got := readBody(r)
			if want := strings.ReplaceAll(text, `\n`, "\r\n"); got != want {
				p.t.Errorf("connection %d: body %q, want %q", n, got, want)
				return
			}
		case "TLS":
			secure := tls.Server(conn, p.tls)
			if err := secure.Handshake(); err != nil {
				return // the client's test says what it makes of it
			}
			conn = secure
			r.Reset(secure)
		case "NOW":
			close(p.now)
		case "END":
			if rest, _ := io.ReadAll(r); len(rest) > 0 {
				p.t.Errorf("connection %d: at its end the client sent %.200q", n, rest)
			}
		case "RESET":
			conn.(*net.TCPConn).SetLinger(0)
			return
		case "CLOSE":
			return
		default:
			p.t.Errorf("no such step: %q", line)
		}
	}
}

// readBody reads up to the final dot, which is left out.
func readBody(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if line == ".\r\n" || err != nil {
			return b.String()
		}
		b.WriteString(line)
	}
}

// testConfig has timeouts that a test can wait for, and none reaches on a busy machine.
func testConfig(addresses ...string) Config {
	c := DefaultConfig()
	c.Name = "test"
	c.TLS = TLSNone
	for i, a := range addresses {
		c.Servers = append(c.Servers, Server{Address: a, Priority: i})
	}
	long := 40 * time.Second
	c.Timeouts = Timeouts{Connect: long, Greeting: long, Command: long, Data: long, Block: long, End: long}
	return c
}

func newUpstream(t testing.TB, c Config) *Upstream {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	u, err := New(c, "gw.example", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

func probe(t *testing.T, u *Upstream) *Conn {
	t.Helper()
	c, err := u.Probe(t.Context(), Client{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func recipients(addresses ...policy.Address) []policy.Recipient {
	var list []policy.Recipient
	for _, a := range addresses {
		list = append(list, policy.Recipient{Address: a})
	}
	return list
}

// message is a delivery from a@example with a short body.
func message(to ...policy.Address) Delivery {
	return withBody("Subject: x\r\n\r\n.hidden\r\n", to...)
}

func withBody(body string, to ...policy.Address) Delivery {
	return Delivery{
		Envelope:   &policy.Envelope{Sender: "a@example"},
		Recipients: recipients(to...),
		Open:       func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil },
	}
}

func deliver(t *testing.T, u *Upstream, d Delivery) []Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	return u.Deliver(ctx, d)
}

// certificate makes one for a name, with the file of its authority.
func certificate(t *testing.T, name string) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem") // beside it, key.pem
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}
