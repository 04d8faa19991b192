package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// patience bounds every wait in these tests.
const patience = 60 * time.Second

var journal *store.Store // of all tests; messages are told apart by their queue ids

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "milter")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.MinFree, cfg.Node = dir, 64, "test"
	if journal, err = store.Open(cfg); err != nil {
		panic(err)
	}
	defer journal.Close()
	return m.Run()
}

// A recording journal tells what was committed to it, passes it on, and may fail before that.
type recording struct {
	Journal
	mu      sync.Mutex
	changes []store.Change
	fail    func(store.Change) error
}

func (r *recording) Commit(ctx context.Context, c store.Change) (uint64, error) {
	if r.fail != nil {
		if err := r.fail(c); err != nil {
			return 0, err
		}
	}
	revision, err := r.Journal.Commit(ctx, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
	return revision, err
}

func (r *recording) all() []store.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]store.Change(nil), r.changes...)
}

// fixed decides the same for everything.
type fixed func(policy.Submission) policy.Verdict

func (f fixed) Decide(_ context.Context, s policy.Submission) policy.Verdict { return f(s) }
func (f fixed) Forget(time.Time, policy.ID)                                  {}

var passAll = fixed(func(policy.Submission) policy.Verdict { return policy.Verdict{} })

// A lab is a milter under test.
type lab struct {
	t        testing.TB
	milter   *Milter
	settings Settings
	journal  *recording
	log      *observer.ObservedLogs
	now      func() time.Time
	stop     func() error // ends Serve and waits for it
}

// newLab makes a milter, not yet running, that trusts 192.0.2.0/24 and holds by the default rules.
func newLab(t testing.TB) *lab {
	t.Helper()
	directory, err := policy.NewDirectory([]policy.Identity{
		{Login: "alice", Addresses: []string{"alice@corp.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, journal: &recording{Journal: journal}, now: time.Now, settings: Settings{
		Config:    DefaultConfig(),
		Engine:    policy.NewRules(policy.DefaultConfig(), directory),
		Directory: directory,
	}}
	l.settings.Config.Listen = []Listener{{Address: "127.0.0.1:0"}}
	l.settings.Config.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	return l
}

// passing makes the rules let everything pass.
func (l *lab) passing() *lab {
	l.settings.Engine = passAll
	return l
}

// make makes the milter.
func (l *lab) make() {
	l.t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	l.log = logs
	var err error
	if l.milter, err = New("gate.test", l.journal, l.settings, l.now, zap.New(core)); err != nil {
		l.t.Fatal(err)
	}
}

// start runs the milter until the test ends or stop is called.
func (l *lab) start() *lab {
	l.t.Helper()
	l.make()
	if err := l.milter.Listen(); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.milter.Serve(ctx) }()
	l.stop = sync.OnceValue(func() error { cancel(); return <-done })
	l.t.Cleanup(func() {
		if err := l.stop(); err != nil {
			l.t.Error(err)
		}
	})
	return l
}

func (l *lab) address() string { return l.milter.sockets[0].Addr().String() }

// verbs gives the lines of the mail log with a verb.
func (l *lab) verbs(verb string) []observer.LoggedEntry { return l.log.FilterMessage(verb).All() }

// A peer speaks the protocol packet by packet, as an MTA.
type peer struct {
	t testing.TB
	net.Conn
	terms    terms
	got      atomic.Int64  // octets since the negotiation
	patience time.Duration // with each step; zero in a bubble, whose time is virtual
}

func (p *peer) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	p.got.Add(int64(n))
	return n, err
}

// What Postfix 3.7 offers.
const (
	postfixActions  = 0x1ff
	postfixProtocol = 0x1fffff
)

// dial connects and negotiates like Postfix.
func (l *lab) dial() *peer {
	l.t.Helper()
	p := l.connect()
	p.negotiate(postfixActions, postfixProtocol)
	return p
}

// connect only connects.
func (l *lab) connect() *peer {
	l.t.Helper()
	conn, err := net.Dial(l.milter.sockets[0].Addr().Network(), l.address())
	if err != nil {
		l.t.Fatal(err)
	}
	return newPeer(l.t, conn)
}

func newPeer(t testing.TB, conn net.Conn) *peer {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &peer{t: t, Conn: conn, patience: patience}
}

// packet is one packet on the wire.
func packet(code byte, data ...[]byte) []byte {
	body := bytes.Join(data, nil)
	p := binary.BigEndian.AppendUint32(nil, uint32(len(body)+1))
	return append(append(p, code), body...)
}

// cstrings ends each string with NUL.
func cstrings(all ...string) []byte {
	if len(all) == 0 {
		return nil
	}
	return []byte(strings.Join(all, "\x00") + "\x00")
}

func optneg(version, actions, protocol uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, version)
	b = binary.BigEndian.AppendUint32(b, actions)
	return packet('O', binary.BigEndian.AppendUint32(b, protocol))
}

// send writes a packet.
func (p *peer) send(code byte, data ...[]byte) {
	p.t.Helper()
	if p.patience > 0 { // for each step: a large message takes long on a busy machine
		p.SetDeadline(time.Now().Add(p.patience))
	}
	if _, err := p.Write(packet(code, data...)); err != nil {
		p.t.Fatalf("send %c: %v", code, err)
	}
}

// receive reads a packet.
func (p *peer) receive() (code byte, data string) {
	p.t.Helper()
	code, data, err := readPacket(p)
	if err != nil {
		p.t.Fatalf("receive: %v", err)
	}
	return code, data
}

func readPacket(r io.Reader) (code byte, data string, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, "", err
	}
	return b[0], string(b[1:]), nil
}

func (p *peer) negotiate(actions, protocol uint32) {
	p.t.Helper()
	if _, err := p.Write(optneg(6, actions, protocol)); err != nil {
		p.t.Fatal(err)
	}
	code, data := p.receive()
	if code != 'O' || len(data) != 12 {
		p.t.Fatalf("got %c %q, want the terms", code, data)
	}
	p.terms = terms{
		actions:  gomilter.OptAction(binary.BigEndian.Uint32([]byte(data[4:]))),
		protocol: gomilter.OptProtocol(binary.BigEndian.Uint32([]byte(data[8:]))),
	}
	p.got.Store(0)
}

// event sends an event and gives the answer as text: "c", or the reply.
func (p *peer) event(silent gomilter.OptProtocol, code byte, data ...[]byte) string {
	p.t.Helper()
	p.send(code, data...)
	if p.terms.silent(silent) {
		return "c"
	}
	answer, text := p.receive()
	if answer == 'y' {
		return strings.TrimSuffix(text, "\x00")
	}
	return string(answer)
}

// macros go before the event that they belong to.
func (p *peer) macros(event byte, pairs ...string) {
	p.t.Helper()
	p.send('D', []byte{event}, cstrings(pairs...))
}

// client says CONNECT and HELO.
func (p *peer) client(address string) *peer {
	p.t.Helper()
	family := byte('4')
	if strings.Contains(address, ":") {
		family = '6'
	}
	p.macros('C', "j", "mx.corp.example", "{daemon_name}", "smtpd")
	p.want("c", p.event(gomilter.OptNoConnReply, 'C', cstrings("host.example"), []byte{family, 0x30, 0x39}, cstrings(address)))
	p.want("c", p.event(gomilter.OptNoHeloReply, 'H', cstrings("client.example")))
	return p
}

func (p *peer) want(want, got string) {
	p.t.Helper()
	if got != want {
		p.t.Fatalf("got %q, want %q", got, want)
	}
}

func (p *peer) mail(from string, macros ...string) string {
	p.t.Helper()
	if len(macros) > 0 {
		p.macros('M', macros...)
	}
	return p.event(gomilter.OptNoMailReply, 'M', cstrings("<"+from+">", "SIZE=1000"))
}

func (p *peer) rcpt(to string, macros ...string) string {
	p.t.Helper()
	if len(macros) > 0 {
		p.macros('R', macros...)
	}
	return p.event(gomilter.OptNoRcptReply, 'R', cstrings("<"+to+">"))
}

func (p *peer) header(name, value string) {
	p.t.Helper()
	p.want("c", p.event(gomilter.OptNoHeaderReply, 'L', cstrings(name, value)))
}

func (p *peer) body(text string) {
	p.t.Helper()
	if p.terms.protocol&gomilter.OptNoEOH == 0 {
		p.want("c", p.event(gomilter.OptNoEOHReply, 'N'))
	}
	if p.terms.sizes() {
		p.want("c", p.event(gomilter.OptNoBodyReply, 'B', []byte(text)))
	}
}

// end says the end of the message with its queue id, and gives what the milter wants: modifications,
// then the answer.
func (p *peer) end(queueID string) []string {
	p.t.Helper()
	if queueID != "" {
		p.macros('E', "i", queueID)
	}
	p.send('E')
	var all []string
	for {
		code, data := p.receive()
		data = strings.TrimSuffix(data, "\x00")
		switch code {
		case 'y':
			return append(all, data)
		case 'q', 'h':
			all = append(all, string(code)+" "+strings.ReplaceAll(data, "\x00", ": "))
		default:
			return append(all, string(code)+data)
		}
	}
}

// message sends a whole message and gives what the milter wants at its end.
func (p *peer) message(queueID, from string, to ...string) []string {
	p.t.Helper()
	p.want("c", p.mail(from))
	for _, a := range to {
		p.want("c", p.rcpt(a))
	}
	p.header("Subject", "hello")
	p.header("Message-ID", "<"+queueID+"@corp.example>")
	p.body("text\r\n")
	return p.end(queueID)
}

// abort is what Postfix says after each message.
func (p *peer) abort() { p.t.Helper(); p.send('A') }

// closed expects the end of the connection, and gives what came before it.
func (p *peer) closed() string {
	p.t.Helper()
	rest, err := io.ReadAll(p)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatal("the connection stays open")
	}
	return string(rest)
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-again.C {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// committed waits for the only change about a queue id.
func (l *lab) committed(queueID string) store.Change {
	l.t.Helper()
	var found []store.Change
	eventually(l.t, "a change about "+queueID, func() bool {
		found = found[:0]
		for _, c := range l.journal.all() {
			if c.Events[0].QueueID == queueID {
				found = append(found, c)
			}
		}
		return len(found) > 0
	})
	if len(found) > 1 {
		l.t.Fatalf("%d changes about %s", len(found), queueID)
	}
	return found[0]
}

// stored gives a message's row.
func stored(t testing.TB, id policy.ID) store.Message {
	t.Helper()
	m, err := journal.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
