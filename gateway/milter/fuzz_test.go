package milter

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sendgate/sendgate/gateway/shell"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A judge is a journal that looks at what a hostile peer makes of it.
type judge struct {
	t  *testing.T
	mu sync.Mutex
}

func (j *judge) NewID() policy.ID { return policy.ID{1} }

func (j *judge) Recipients(policy.ID) (policy.Rows, error) { return nil, store.ErrNotFound }

func (j *judge) Commit(_ context.Context, c store.Change) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := c.Envelope
	for _, event := range c.Events {
		if event.Kind == policy.Held && e.QueueID == "" {
			j.t.Error("held without a queue id")
		}
	}
	if e.Direction != policy.Outbound || e.Identity == "" {
		j.t.Errorf("direction %q, identity %q", e.Direction, e.Identity)
	}
	if e.QueueID != "" && !validQueueID(e.QueueID) {
		j.t.Errorf("queue id %q", e.QueueID)
	}
	if len(e.Recipients) > 100 {
		j.t.Errorf("%d recipients", len(e.Recipients))
	}
	for what, s := range map[string]string{
		"sender": string(e.Sender), "login": e.Login, "helo": e.Helo, "subject": e.Subject, "from": e.From,
		"message id": e.MessageID, "upstream": c.Events[0].Upstream,
	} {
		if len(s) > 2048 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			j.t.Errorf("%s %q", what, s)
		}
	}
	return 1, nil
}

// FuzzSession throws bytes at a session in each of its states.
func FuzzSession(f *testing.F) {
	offer := optneg(6, postfixActions, postfixProtocol)
	connect := packet('C', cstrings("h"), []byte("4\x00\x19"), cstrings("192.0.2.1"))
	mail, rcpt := packet('M', cstrings("<a@b.example>")), packet('R', cstrings("<c@d.example>"))
	field, end := packet('L', cstrings("Subject", "x")), packet('E')
	ids := packet('D', []byte("E"), cstrings("i", "4ZFuzz"))
	states := [][][]byte{
		{},
		{offer},
		{offer, connect},
		{offer, connect, mail},
		{offer, connect, mail, rcpt},
		{offer, connect, mail, rcpt, field},
		{offer, connect, mail, rcpt, field, ids, end},
	}
	for i := range states {
		f.Add(byte(i), join(connect, mail, rcpt, field, ids, end))
		f.Add(byte(i), join(packet('D', []byte("M"), cstrings("i", "4Z", "{auth_authen}", "x\ty")), mail, rcpt, packet('A'), end))
		f.Add(byte(i), []byte("\x00\x00\x00\x01?"))
	}
	directory, err := policy.NewDirectory(nil)
	if err != nil {
		f.Fatal(err)
	}
	config := DefaultConfig()
	config.Networks = append(config.Networks, newLab(f).settings.Config.Networks...)
	config.MaxRecipients = 100
	settings := Settings{Config: config, Engine: policy.NewRules(policy.DefaultConfig(), directory), Directory: directory, Needs: Needs{Body: true}}
	f.Fuzz(func(t *testing.T, state byte, garbage []byte) {
		out := quiet(t)
		m, err := New("gate.test", &judge{t: t}, settings, time.Now, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		listener := &pipeListener{conns: make(chan net.Conn, 1)}
		served := make(chan error, 1)
		go func() { served <- m.shell.Serve(shell.Port{Listener: listener}, m.converse) }()
		ours, theirs := net.Pipe()
		listener.conns <- theirs
		var reading sync.WaitGroup
		reading.Go(func() { io.Copy(io.Discard, ours) })
		for _, p := range append(states[int(state)%len(states)], garbage) {
			if _, err := ours.Write(p); err != nil {
				break // it was hung up
			}
		}
		ours.Close()
		reading.Wait()
		if err := m.shell.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		m.notes.wait()
		if strings.Contains(out.String(), "panic") {
			t.Error(out.String())
		}
	})
}

func join(packets ...[]byte) (all []byte) {
	for _, p := range packets {
		all = append(all, p...)
	}
	return all
}
