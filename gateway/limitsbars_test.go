package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
)

// newWatched is a ledger that watches accounts, and limits nobody.
func newWatched(t *testing.T) *ledger {
	t.Helper()
	return newLedgerWith(t, func(s *guard.Settings) {
		s.Config.Limits, s.Anomaly = nil, anomaly.DefaultConfig()
	})
}

// observe catches up with the journal, as run does.
func (b *ledger) observe() {
	b.t.Helper()
	if err := b.l.catchUp(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *ledger) commit(id policy.ID, e policy.Event) {
	b.t.Helper()
	if _, err := b.store.Commit(b.t.Context(), store.Change{Message: id, Events: []policy.Event{e}}); err != nil {
		b.t.Fatal(err)
	}
}

// steal signs in as ann from many networks; ten strangers in the order of the alphabet are too much then.
func (b *ledger) steal() policy.Verdict {
	b.t.Helper()
	for i := range 11 {
		b.commit(b.store.NewID(), policy.Event{Kind: policy.Login, Subject: "ann", Evidence: fmt.Sprintf("198.51.%d.9", i)})
	}
	b.observe()
	b.n++
	e := &policy.Envelope{Received: time.Now(), Front: policy.Relay, Direction: policy.Outbound, Sender: "ann@corp.example", Identity: "ann"}
	for i := range 10 {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("r%d@remote.example", i))})
	}
	return b.l.Decide(b.t.Context(), policy.Submission{Time: e.Received, Envelope: e, ID: b.store.NewID(), Trusted: true})
}

// suspensions are those in the journal.
func (b *ledger) suspensions() (list []policy.Event) {
	b.t.Helper()
	ids, err := b.store.Records(b.t.Context(), policy.Suspended, 10, policy.ID{})
	for _, id := range ids {
		var records []store.Record
		if records, err = b.store.Timeline(id); err != nil {
			break
		}
		list = append(list, records[0].Events[0])
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

func TestAnAccountThatSuspendsItselfIsWrittenDown(t *testing.T) {
	b := newWatched(t)
	ctx, end := context.WithCancel(t.Context())
	written, feed := make(chan struct{}), b.store.Subscribe(b.store.LastBatch())
	go func() { defer close(written); b.l.writeBars(ctx) }()
	if v := b.steal(); v.Action != policy.Defer || v.Status != "4.7.28" {
		t.Fatalf("%v %+v", v.Action, v.Findings)
	}
	for e := (policy.Event{}); e.Kind != policy.Suspended; {
		r, err := feed.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		e = r.Events[0]
	}
	end()
	<-written
	e := b.suspensions()[0]
	if e.Subject != "ann" || e.Actor != "anomaly" || e.Amount != 1 || len(e.Findings) < 3 || !slices.ContainsFunc(e.Findings, func(f policy.Finding) bool { return f.Source == "networks" }) {
		t.Errorf("%+v", e)
	}
	for _, saved := range []bool{false, true} {
		b.restart(saved)
		if s, ok := b.api().Suspension("ann"); !ok || s.Nth != 1 || !s.Automatic() || !s.Until.Equal(e.Until) {
			t.Errorf("after a restart: %+v", s)
		}
	}
	if err := b.api().Unsuspend(t.Context(), "ann", guard.Forget, "new password", "api:ops"); err != nil {
		t.Fatal(err)
	}
	b.restart(false)
	if _, ok := b.api().Suspension("ann"); ok {
		t.Error("it comes back")
	}
}

func TestASuspensionThatTheJournalDoesNotTakeIsWrittenAgain(t *testing.T) {
	b := newWatched(t)
	if v := b.steal(); v.Action != policy.Defer {
		t.Fatal(v.Action)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	list := b.l.bars.take()
	if len(list) != 1 || b.l.writeBar(ended, list[0]) {
		t.Fatalf("%+v is written without a context", list)
	}
	if _, ok := b.api().Suspension("ann"); !ok || len(b.suspensions()) != 0 {
		t.Error("it is not in force, or written")
	}
	b.l.bars.add(list[0])
	b.l.writeBars(ended) // as at the end of run
	if got := b.suspensions(); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestWhatWaitsIsNotCountedAgainAtEachStart(t *testing.T) {
	b := newWatched(t)
	b.commit(b.store.NewID(), policy.Event{Kind: policy.Login, Subject: "ann", Evidence: "198.51.100.9"})
	for range 20 { // more than are known again one by one
		e := &policy.Envelope{Received: time.Now(), Front: policy.Relay, Direction: policy.Outbound, Sender: "ann@corp.example", Identity: "ann", Subject: "offer"}
		b.n++
		e.Recipients = []policy.Recipient{{Address: policy.Address(fmt.Sprintf("r%d@remote.example", b.n))}}
		id := b.store.NewID()
		_, err := b.store.Commit(t.Context(), store.Change{Message: id, Envelope: e, Events: []policy.Event{
			{Kind: policy.Accepted}, {Kind: policy.ApprovalRequested, Rule: "anomaly", Until: time.Now().Add(time.Hour)},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.observe()
	want := b.accounts()
	for _, saved := range []bool{true, true, false} {
		b.restart(saved)
		if got := b.accounts(); got != want {
			t.Fatal("the accounts differ")
		}
	}
}

// accounts gives what is known of them, whatever batch it is of.
func (b *ledger) accounts() string {
	b.t.Helper()
	var out strings.Builder
	if err := b.l.Save(guard.PartAccounts, &out, 1); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

func TestWhoWasNotWatchedIsWatchedAfterARestart(t *testing.T) {
	on, off := DefaultConfig(), DefaultConfig()
	off.Anomaly.Enabled = false
	stricter := on
	stricter.Anomaly.Hour = 5
	for name, tt := range map[string]struct {
		old, now *Config
		want     bool
	}{
		"switched on": {&off, &on, true}, "switched off": {&on, &off, false}, "stricter": {&on, &stricter, false},
	} {
		if got := slices.Contains(restartKeys(tt.old, tt.now), "anomaly"); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheHelpDeskIsNamed(t *testing.T) {
	cfg := DefaultConfig()
	g := &Gateway{}
	if s := g.guardSettings(&cfg, nil); s.Contact != "" {
		t.Error(s.Contact)
	}
	cfg.Anomaly.Suspension.Always = []string{"help@corp.example", "boss@corp.example"}
	if s := g.guardSettings(&cfg, nil); s.Contact != "help@corp.example" || !s.Anomaly.Enabled {
		t.Errorf("%q", s.Contact)
	}
	cfg.Policy.Limits = nil
	if tags(&cfg) {
		t.Error("nothing adds fields")
	}
	if cfg.Anomaly.Field = "X-Sendgate-Anomaly"; !tags(&cfg) {
		t.Error("a stage does")
	}
}
