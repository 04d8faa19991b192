package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// values gives what collectors show, by name and labels; of a histogram the number of observations. What is 0 is
// left out.
func values(t *testing.T, all ...prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()); v != 0 {
				got[name] = v
			}
		}
	}
	return got
}

// A meterBench is a meter on a journal of its own.
type meterBench struct {
	*testing.T
	store *store.Store
	meter *mailMeter
}

func newMeterBench(t *testing.T) *meterBench {
	journal := openStore(t)
	b := &meterBench{t, journal, newMailMeter(journal, journal.Subscribe(0))}
	cfg := DefaultConfig()
	cfg.Policy.Limits = []policy.LimitRule{{Name: "daily"}}
	b.meter.reload(&cfg)
	return b
}

func (b *meterBench) commit(c store.Change) {
	b.Helper()
	m, err := b.store.Message(c.Message)
	if err == nil {
		c.Revision = m.Revision
	}
	if _, err := b.store.Commit(b.Context(), c); err != nil {
		b.Fatal(err)
	}
}

// counted gives the figures once all that was committed is counted.
func (b *meterBench) counted() map[string]float64 {
	b.Helper()
	for last := b.store.LastBatch(); ; {
		r, ok, err := b.meter.feed.NextUpTo(b.Context(), last)
		if err != nil {
			b.Fatal(err)
		}
		if !ok {
			return values(b.T, b.meter.Collectors()...)
		}
		b.meter.count(&r)
	}
}

// What happens to a message is counted once, and by its recipients.
func TestMailIsCountedFromTheJournal(t *testing.T) {
	b := newMeterBench(t)
	id, now := b.store.NewID(), time.Now().UTC()
	e := envelope("a@x.test", "b@x.test", "c@x.test")
	findings := []policy.Finding{
		{Rule: "daily", Kind: "limit", Key: "alice", Exceeded: true, Decided: true, Action: policy.Hold},
		{Rule: "daily", Kind: "limit", Key: "everybody", Exceeded: true, Action: policy.Hold},
		{Rule: "daily", Kind: "limit", Key: "fits", Action: policy.Hold},
		{Rule: "gone from the configuration", Kind: "limit", Exceeded: true, Shadow: true, Action: policy.Reject},
		{Rule: "anomaly", Kind: "anomaly", Source: "pace", Exceeded: true, Action: policy.Pace},
		{Rule: "anomaly", Kind: "anomaly", Source: "volume_hour", Action: policy.Log},
	}
	b.commit(store.Change{Message: id, Envelope: &e, Events: []policy.Event{
		{Kind: policy.Accepted, Time: now, Actor: "smtp", Findings: findings},
		{Kind: policy.Held, Time: now, Until: now.Add(time.Hour), Findings: findings[:1]},
	}})
	b.meter.known = map[policy.ID]metered{} // as after a long hold
	b.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.Released, Time: now, Until: now}}})
	b.commit(store.Change{Message: id, Events: []policy.Event{
		{Kind: policy.RelayedRemote, Time: now, Recipients: []int{0, 1}},
		{Kind: policy.Bounced, Time: now, Recipients: []int{2}},
	}})
	other := e
	other.Front = policy.Relay
	b.commit(store.Change{Message: b.store.NewID(), Envelope: &other, Events: []policy.Event{
		{Kind: policy.Refused, Time: now, Findings: []policy.Finding{{Rule: "suspended", Exceeded: true, Decided: true, Action: policy.Reject}}},
	}})
	got := b.counted()
	if at := got["sendgate_last_accepted_timestamp_seconds"]; int64(at) != now.Unix() {
		t.Errorf("accepted last at %v", at)
	}
	delete(got, "sendgate_last_accepted_timestamp_seconds")
	want := map[string]float64{
		"sendgate_messages_total accepted milter": 1, "sendgate_recipients_total accepted milter": 3,
		"sendgate_messages_total held milter": 1, "sendgate_recipients_total held milter": 3,
		"sendgate_messages_total released milter": 1, "sendgate_recipients_total released milter": 3,
		"sendgate_messages_total relayed_remote milter": 1, "sendgate_recipients_total relayed_remote milter": 2,
		"sendgate_messages_total bounced milter": 1, "sendgate_recipients_total bounced milter": 1,
		"sendgate_messages_total refused relay": 1, "sendgate_recipients_total refused relay": 3,
		"sendgate_rule_exceeded_total hold enforced daily": 1, "sendgate_rule_exceeded_total reject told other": 1,
		"sendgate_rule_exceeded_total pace told anomaly": 1, "sendgate_rule_exceeded_total reject enforced suspended": 1,
		"sendgate_anomaly_messages_total pace": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
}

// A recall is timed from its id on; what it did to a message is told by code. Other timelines are no mail.
func TestRecallsAreCountedFromTheJournal(t *testing.T) {
	b := newMeterBench(t)
	message, now := b.store.NewID(), time.Now().UTC()
	e := envelope("a@x.test", "b@x.test")
	b.commit(store.Change{Message: message, Envelope: &e, Events: []policy.Event{{Kind: policy.Accepted, Time: now}}})
	recall := b.store.NewID()
	b.commit(store.Change{Message: recall, Events: []policy.Event{{Kind: policy.RecallRequested, Time: now}}})
	b.commit(store.Change{Message: message, Events: []policy.Event{
		{Kind: policy.RecallOutcome, Time: now, Recipients: []int{0, 1}, Subject: recall.String(), Reason: string(policy.RemovedFromMailbox)},
		{Kind: policy.RecallOutcome, Time: now, Recipients: []int{1}, Subject: recall.String(), Reason: "a code of a later version"},
	}})
	b.commit(store.Change{Message: recall, Events: []policy.Event{
		{Kind: policy.RecallOutcome, Time: now, Reason: "reopened"}, // of its own timeline
		{Kind: policy.RecallEnded, Time: now.Add(time.Second), Reason: policy.RecallPartial},
	}})
	got := b.counted()
	for name, want := range map[string]float64{
		"sendgate_recalls_total partial": 1, "sendgate_recall_seconds": 1,
		"sendgate_recall_recipients_total removed_from_mailbox": 2, "sendgate_recall_recipients_total other": 1,
		"sendgate_messages_total recall_outcome milter": 2, "sendgate_messages_total recall_ended milter": 0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// What is remembered of messages has a bound.
func TestTheMemoryOfTheMeterIsBounded(t *testing.T) {
	m := newMailMeter(nil, nil)
	for i := range maxMetered + 10 {
		m.remember(policy.ID{byte(i), byte(i >> 8), byte(i >> 16)}, metered{})
	}
	if n := len(m.known); n > maxMetered || n < maxMetered-maxMetered/8 {
		t.Errorf("%d messages are remembered", n)
	}
}

// A failing backend fails as it is told.
type failing struct {
	mailbox.Backend
	err error
}

func (f failing) Find(context.Context, string, *mailbox.Match) ([]mailbox.Copy, error) {
	return nil, f.err
}

func (f failing) Take(context.Context, string, mailbox.Copy, mailbox.Options) (mailbox.Taken, error) {
	return mailbox.Taken{}, f.err
}
func (f failing) Restore(context.Context, string, policy.MailCopy) error { return f.err }
func (f failing) Purge(context.Context, string, policy.MailCopy) error   { return f.err }
func (f failing) Check(context.Context, string) error                    { return f.err }

func TestMailboxRequestsAreCounted(t *testing.T) {
	meter, ctx := newMailboxMeter(), t.Context()
	for _, tt := range []struct {
		err  error
		call func(b mailbox.Backend) error
	}{
		{nil, func(b mailbox.Backend) error { _, err := b.Find(ctx, "u", nil); return err }},
		{mailbox.ErrNoMailbox, func(b mailbox.Backend) error { _, err := b.Find(ctx, "u", nil); return err }},
		{mailbox.ErrGone, func(b mailbox.Backend) error {
			_, err := b.Take(ctx, "u", mailbox.Copy{}, mailbox.Options{})
			return err
		}},
		{mailbox.ErrDenied, func(b mailbox.Backend) error { return b.Restore(ctx, "u", policy.MailCopy{}) }},
		{mailbox.ErrUnreachable, func(b mailbox.Backend) error { return b.Purge(ctx, "u", policy.MailCopy{}) }},
		{errors.New("broken"), func(b mailbox.Backend) error { return b.Check(ctx, "u") }},
	} {
		err := tt.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if got := tt.call(meter.measured(failing{err: err}, "boxes")); !errors.Is(got, tt.err) {
			t.Errorf("%v came out as %v", tt.err, got)
		}
	}
	want := map[string]float64{
		"sendgate_mailbox_requests_total boxes find ok": 1, "sendgate_mailbox_requests_total boxes find no_mailbox": 1,
		"sendgate_mailbox_requests_total boxes take gone": 1, "sendgate_mailbox_requests_total boxes restore denied": 1,
		"sendgate_mailbox_requests_total boxes purge unreachable": 1, "sendgate_mailbox_requests_total boxes check failed": 1,
		"sendgate_mailbox_request_seconds boxes find": 2, "sendgate_mailbox_request_seconds boxes take": 1,
		"sendgate_mailbox_request_seconds boxes restore": 1, "sendgate_mailbox_request_seconds boxes purge": 1,
		"sendgate_mailbox_request_seconds boxes check": 1,
	}
	if got := values(t, meter.Collectors()...); !maps.Equal(got, want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
}
