package track

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// day is that of all test logs.
const day = "2026-11-21T"

// A site is a gateway with a real journal, one message and a log.
type site struct {
	t       *testing.T
	clock   time.Time
	journal *store.Store
	tracker *Tracker
	feed    *feed
	cursor  int
	ids     []policy.ID
}

func at(clock string) time.Time {
	t, err := time.Parse(time.RFC3339, day+clock+"Z")
	if err != nil {
		panic(err)
	}
	return t
}

func newSite(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	s := &site{t: t, clock: at("10:00:30")}
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Node, cfg.Now, cfg.Log = t.TempDir(), "test", func() time.Time { return at("10:00:30") }, zap.NewNop()
	var err error
	if s.journal, err = store.Open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.journal.Close(); err != nil {
			t.Error(err)
		}
	})
	s.restart(change...)
	return s
}

func (s *site) now() time.Time { return s.clock }

// restart is a new process that follows the same log.
func (s *site) restart(change ...func(*Config)) {
	s.t.Helper()
	cfg := DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	s.tracker = newTracker(cfg, s.journal, nil, s.now, zaptest.NewLogger(s.t, zaptest.Level(zap.ErrorLevel)))
	if err := s.tracker.addFeed(logfile{}, time.UTC); err != nil {
		s.t.Fatal(err)
	}
	if err := s.tracker.loadGaps(); err != nil {
		s.t.Fatal(err)
	}
	s.feed = s.tracker.feeds[0]
	s.feed.fresh = false // the log has been followed for long
}

// logfile is the source of the tests: they hand its lines over themselves.
type logfile struct{}

func (logfile) Name() string { return "mail" }

func (logfile) Follow(ctx context.Context, _ string, _ source.Take) error {
	<-ctx.Done()
	return ctx.Err()
}

// A letter is a message to be accepted.
type letter struct {
	front     policy.Front
	queueID   string // milter
	host      string // milter
	messageID string
	sender    policy.Address
	to        []string
	at        string
	events    []policy.Event // after accepted
}

// accept commits a message as the fronts do.
func (s *site) accept(l letter) policy.ID {
	s.t.Helper()
	if l.at == "" {
		l.at = "10:00:00"
	}
	if l.host == "" {
		l.host = "mx1.corp.example"
	}
	if l.front == "" {
		l.front = policy.Milter
	}
	if l.sender == "" {
		l.sender = "sender@corp.example"
	}
	if l.messageID == "" {
		l.messageID = "<m1@corp.example>"
	}
	e := &policy.Envelope{
		Received: at(l.at), Front: l.front, Sender: l.sender, Identity: "sender", MessageID: l.messageID, QueueID: l.queueID,
	}
	for _, to := range l.to {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(to)})
	}
	events := []policy.Event{{Kind: policy.Accepted, Time: at(l.at), Actor: milterActor, QueueID: l.queueID}}
	if l.front == policy.Milter {
		events[0].Upstream = l.host
		events = append(events, policy.Event{Kind: policy.Queued, Time: at(l.at), Actor: milterActor, QueueID: l.queueID, Upstream: l.host})
	}
	id := s.journal.NewID()
	if err := id.SetTime(uint64(at(l.at).UnixMilli())); err != nil {
		s.t.Fatal(err)
	}
	s.commit(store.Change{Message: id, Envelope: e, Events: append(events, l.events...)})
	s.ids = append(s.ids, id)
	return id
}

func (s *site) commit(c store.Change) {
	s.t.Helper()
	if _, err := s.journal.Commit(context.Background(), c); err != nil {
		s.t.Fatal(err)
	}
}

// read hands lines over as one batch. A line is "10:00:01 TAG: TEXT", or "10:00:01 @HOST TAG: TEXT".
func (s *site) read(log string) {
	s.t.Helper()
	if err := s.tracker.take(context.Background(), s.feed, s.batch(log)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) batch(log string) *source.Batch {
	s.cursor++
	b := &source.Batch{Cursor: fmt.Sprint(s.cursor), Behind: -1}
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		b.Lines = append(b.Lines, source.Raw{Data: []byte(rfc3339(line))})
	}
	return b
}

func rfc3339(line string) string {
	clock, rest, _ := strings.Cut(line, " ")
	host := "mx1"
	if h, ok := strings.CutPrefix(rest, "@"); ok {
		host, rest, _ = strings.Cut(h, " ")
	}
	tag, text, _ := strings.Cut(rest, ": ")
	return day + clock + "+00:00 " + host + " " + tag + "[77]: " + text
}

// pass lets time go by, with the log read up to the end of it.
func (s *site) pass(d time.Duration) {
	s.t.Helper()
	s.clock = s.clock.Add(d)
	b := s.batch("")
	b.Caught, b.At, b.Cursor = true, s.clock, ""
	if err := s.tracker.take(context.Background(), s.feed, b); err != nil {
		s.t.Fatal(err)
	}
	s.tick()
}

func (s *site) tick() {
	s.t.Helper()
	if err := s.tracker.tick(context.Background(), false); err != nil {
		s.t.Fatal(err)
	}
	s.tracker.keepCursors()
}

// sweep looks for recipients without evidence.
func (s *site) sweep() {
	s.t.Helper()
	if err := s.tracker.sweep(context.Background(), true); err != nil {
		s.t.Fatal(err)
	}
}

// states gives the rows of a message as people see them: "team@corp.example" with its members behind.
func (s *site) states(id policy.ID) string {
	s.t.Helper()
	rows, err := s.journal.Recipients(id)
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for i := range rows {
		r := &rows[i]
		if r.Group > 0 {
			fmt.Fprintf(&b, " +%s", r.Address)
		} else {
			fmt.Fprintf(&b, " %s", r.Address)
		}
		fmt.Fprintf(&b, "=%s", r.State)
		if r.Superseded {
			b.WriteString("(old)")
		}
	}
	return strings.TrimSpace(b.String())
}

func (s *site) want(id policy.ID, want string) {
	s.t.Helper()
	if got := s.states(id); got != want {
		s.t.Errorf("states\n got %s\nwant %s", got, want)
	}
}

func (s *site) row(id policy.ID, i int) policy.Row {
	s.t.Helper()
	rows, err := s.journal.Recipients(id)
	if err != nil {
		s.t.Fatal(err)
	}
	return rows[i]
}

// events counts the events of a kind in a timeline.
func (s *site) events(id policy.ID, kind policy.Kind) (n int) {
	s.t.Helper()
	records, err := s.journal.Timeline(id)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range records {
		for i := range r.Events {
			if r.Events[i].Kind == kind {
				n++
			}
		}
	}
	return n
}
