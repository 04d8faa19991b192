package alert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// The real store is a Journal, and its subscriptions are feeds.
var (
	_ Journal = (*store.Store)(nil)
	_ Feed    = (*store.Subscription)(nil)
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // texts name times of this machine
	os.Exit(m.Run())
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func settings() Settings {
	return Settings{
		Admins: []policy.Address{"ops@corp.example"}, Senders: true, Quiet: 15 * time.Minute, CloseAfter: time.Hour, HourlyMax: 20,
		Dashboard: "https://gate.corp.example",
	}
}

// numberedIDs gives ids that are the same in each run.
func numberedIDs() func() policy.ID {
	n := uint64(0)
	return func() policy.ID {
		n++
		id := policy.ID{}
		_ = id.SetTime(ulid.Timestamp(noon))
		id[14], id[15] = byte(n>>8), byte(n)
		return id
	}
}

func message(n int) policy.ID {
	return policy.ID{9, 9, 9, 12: byte(n >> 8), 13: byte(n)}
}

// exceeded is message n of ann, held by the hourly limit.
func exceeded(n int, at time.Time) Occurrence {
	return Occurrence{
		Kind: LimitExceeded, Subject: "ann@corp.example", Rule: "external-hour", Window: time.Hour, Time: at, Outcome: policy.Hold,
		Message: message(n), Sample: fmt.Sprintf("offer %d", n), Mailbox: "ann@corp.example",
		Finding: policy.Finding{
			Rule: "external-hour", Kind: "limit", Unit: policy.ExternalRecipients, Key: "ann@corp.example", Window: time.Hour,
			Asked: 12, Used: 298, Limit: 300, Next: at.Add(32 * time.Minute), Exceeded: true, Decided: true, Action: policy.Hold,
		},
	}
}

// sent gives what is in the outbox, "admins: title", and empties it.
func sent(b *book) (list []string) {
	for _, p := range b.outbox {
		list = append(list, p.To+": "+p.Notice.label())
	}
	b.outbox = nil
	return list
}

func (n Notice) label() string {
	l := n.Title.EN
	if n.Update {
		l += " (update)"
	}
	return l
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// A memory is a Journal without messages but those put into it.
type memory struct {
	ids  func() policy.ID
	mu   sync.Mutex
	kept map[string][]byte
	full error
	msgs map[policy.ID]store.Message
}

func newMemory() *memory {
	return &memory{ids: numberedIDs(), kept: map[string][]byte{}, msgs: map[policy.ID]store.Message{}}
}

func (m *memory) NewID() policy.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ids()
}

func (m *memory) Message(id policy.ID) (store.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if msg, ok := m.msgs[id]; ok {
		return msg, nil
	}
	return store.Message{}, store.ErrNotFound
}

func (m *memory) Keep(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full != nil {
		return m.full
	}
	if len(value) > 64<<10 {
		return errors.New("too large")
	}
	m.kept[name] = value
	return nil
}

func (m *memory) Kept(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[name], m.full
}

// A post notes what it carries.
type post struct {
	mu    sync.Mutex
	err   error
	mails []mailed
	hooks []Notice
}

type mailed struct {
	id policy.ID
	to []policy.Address
	n  Notice
}

func (p *post) Mail(_ context.Context, id policy.ID, to []policy.Address, n Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	p.mails = append(p.mails, mailed{id, to, n})
	return nil
}

func (p *post) Hook(n Notice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks = append(p.hooks, n)
}

// take gives what was mailed since it was asked last.
func (p *post) take() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mails {
		list = append(list, fmt.Sprintf("%s: %s", m.to[0], m.n.label()))
	}
	p.mails = nil
	return list
}

// ids are those of what was mailed.
func (p *post) ids() (list []policy.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mails {
		list = append(list, m.id)
	}
	return list
}

// A feed gives records that tests put into it.
type feed chan store.Record

func (f feed) Next(ctx context.Context) (store.Record, error) {
	select {
	case r, ok := <-f:
		if !ok {
			return r, store.ErrClosed
		}
		return r, nil
	case <-ctx.Done():
		return store.Record{}, ctx.Err()
	}
}
