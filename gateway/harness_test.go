package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A fakeHelper speaks the helper's protocol (package postfix) about a queue of its own. Each
// connection is a question and its answer.
type fakeHelper struct {
	listener net.Listener

	mu     sync.Mutex
	queue  map[string]queued
	silent map[string]bool // verbs that get no answer
	fail   map[string]bool // verbs that fail
	busy   map[string]bool // queue ids that are under delivery
	asked  []string
}

// queued is a message in the queue of a fakeHelper.
type queued struct {
	postfix.Envelope
	content string
}

// startHelper runs a fakeHelper until the test ends.
func startHelper(t *testing.T) *fakeHelper {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "h"))
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHelper{listener: l, queue: map[string]queued{}, silent: map[string]bool{}, fail: map[string]bool{}, busy: map[string]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { h.serve(t, c) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return h
}

func (h *fakeHelper) config() postfix.Config {
	return postfix.Config{Helper: h.listener.Addr().String(), Timeout: time.Minute}
}

func (h *fakeHelper) serve(t *testing.T, c net.Conn) {
	defer c.Close()
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	data := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(c, data); err != nil {
		return
	}
	var q struct {
		Verb     string
		Messages []postfix.Identity
	}
	if err := json.Unmarshal(data, &q); err != nil {
		t.Errorf("the helper is asked %q: %v", data, err)
		return
	}
	w := bufio.NewWriter(c)
	if h.answer(t, w, q.Verb, q.Messages) {
		_ = w.Flush() // who asks for an envelope goes before the content
	}
}

// answer writes the answer; it is false when there is none.
func (h *fakeHelper) answer(t *testing.T, w io.Writer, verb string, messages []postfix.Identity) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range messages {
		h.asked = append(h.asked, verb+" "+m.ID)
	}
	if h.silent[verb] {
		return false
	}
	for i := range messages {
		r, read := h.act(verb, &messages[i])
		frame(t, w, 'r', r)
		if read != nil {
			frame(t, w, 'e', read.Envelope)
			raw(w, 'd', []byte(read.content))
		}
	}
	raw(w, 'z', nil)
	return true
}

func (h *fakeHelper) act(verb string, want *postfix.Identity) (r postfix.Result, read *queued) {
	m, ok := h.queue[want.ID]
	r = postfix.Result{ID: want.ID, Outcome: postfix.NotFound}
	switch {
	case h.fail[verb]:
		r.Outcome, r.Text = postfix.Failed, "told to fail"
	case !ok:
	case verb == "read":
		r.Outcome = postfix.Found
		return r, &m
	case verb == "release" && m.Queue != "hold":
		r.Outcome = postfix.NotHeld
	case verb == "release":
		m.Queue = "deferred"
		h.queue[want.ID] = m
		r.Outcome = postfix.Released
	case verb == "delete" && h.busy[want.ID]:
		m.Queue = "hold"
		h.queue[want.ID] = m
		r.Outcome, r.Recipients = postfix.InFlight, m.Recipients
	case verb == "delete":
		r.Recipients = m.Recipients
		delete(h.queue, want.ID)
		r.Outcome = postfix.Removed
	}
	return r, nil
}

func frame(t *testing.T, w io.Writer, kind byte, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	raw(w, kind, data)
}

func raw(w io.Writer, kind byte, data []byte) {
	_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data))), data...))
}

func (h *fakeHelper) put(m queued) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue[m.ID] = m
}

func (h *fakeHelper) has(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.queue[id]
	return ok
}

// set changes how verbs are answered.
func (h *fakeHelper) set(verbs map[string]bool, verb string, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	verbs[verb] = on
}

// questions are what was asked so far, without the reads.
func (h *fakeHelper) questions() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.asked), func(q string) bool { return strings.HasPrefix(q, "read ") })
}

// A hop is an SMTP server that refuses what begins with "bad" and remembers the rest.
type hop struct {
	listener net.Listener
	mu       sync.Mutex
	commands []string
	data     []string
}

// startHop runs a hop until the test ends.
func startHop(t *testing.T) *hop {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hop{listener: l}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			serving.Go(func() { h.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return h
}

func (h *hop) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(text string) { _, _ = io.WriteString(c, text+"\r\n") }
	say("220 hop.test ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			say("250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250 DSN")
		case "RCPT":
			if h.note(line); strings.HasPrefix(line, "RCPT TO:<bad") {
				say("550 5.1.1 no such user")
				continue
			}
			say("250 2.1.5 Ok")
		case "MAIL":
			h.note(line)
			say("250 2.1.0 Ok")
		case "DATA":
			say("354 Go on")
			h.take(r)
			say("250 2.0.0 Ok: queued as HOP1")
		default:
			say("250 2.0.0 Ok")
		}
	}
}

func (h *hop) note(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands = append(h.commands, line)
}

func (h *hop) take(r *bufio.Reader) {
	var data bytes.Buffer
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		data.WriteString(line)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.data = append(h.data, data.String())
}

func (h *hop) got() (commands, data []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.commands), slices.Clone(h.data)
}

func (h *hop) config(name string, match ...string) upstream.Config {
	c := upstream.DefaultConfig()
	c.Name, c.TLS, c.Match = name, upstream.TLSNone, match
	c.Servers = []upstream.Server{{Address: h.listener.Addr().String()}}
	return c
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Node, cfg.Now, cfg.Log, cfg.MinFree = t.TempDir(), "test", time.Now, zap.NewNop(), 64
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openKeeper(t *testing.T, h *fakeHelper, journal *store.Store) *postfix.Keeper {
	t.Helper()
	k, err := postfix.NewKeeper(postfix.New(h.config()), journal, time.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func openRoutes(t *testing.T, configs ...upstream.Config) *routes {
	t.Helper()
	r, err := newRoutes(configs, "gw.test", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

const queueID = "4jX2Mt505zz1q9rB"

// envelope is that of a message that Postfix holds.
func envelope(recipients ...policy.Address) policy.Envelope {
	e := policy.Envelope{
		Received: time.Now().UTC(), Front: policy.Milter, Direction: policy.Outbound, Sender: "alice@corp.test",
		Identity: "alice@corp.test", QueueID: queueID,
	}
	for _, r := range recipients {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: r})
	}
	return e
}
