package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// What follows the journal reads nothing again of a new message, nor of the end of a hold that no rule
// waits for. The journal here does not have the message, so that a look would find none and count nothing.
func TestAFollowedMessageIsNotReadAgain(t *testing.T) {
	b := newLedger(t)
	id := b.store.NewID()
	e := &policy.Envelope{
		Received: time.Now(), Front: policy.Relay, Direction: policy.Outbound, Sender: "ann@corp.example", Identity: "ann",
		Recipients: []policy.Recipient{{Address: "a@remote.example"}, {Address: "b@remote.example"}, {Address: "c@remote.example"}},
	}
	v := b.l.Decide(t.Context(), policy.Submission{Time: e.Received, Envelope: e, ID: b.store.NewID(), Trusted: true})
	if v.Charge == nil {
		t.Fatalf("%+v", v)
	}
	b.l.Forget(time.Now(), v.Charge.First)
	v.Charge.First = id
	accepted := store.Record{Batch: 9, Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted, Time: e.Received, Charge: v.Charge}}}
	b.l.observe(&accepted)
	if got := b.used(); got != 3 {
		t.Errorf("counted %d of 3", got)
	}
	for name, c := range map[string]struct {
		event policy.Event
		looks bool
	}{
		"the end of a hold":                 {policy.Event{Kind: policy.Released, Actor: "hold"}, false},
		"the end of one with a charge":      {policy.Event{Kind: policy.Released, Charge: v.Charge}, true},
		"an approval that nobody gave":      {policy.Event{Kind: policy.Released, Rule: "hour"}, true},
		"a person's approval":               {policy.Event{Kind: policy.Approved}, true},
		"a usual hold":                      {policy.Event{Kind: policy.Held}, false},
		"one that a limit has":              {policy.Event{Kind: policy.Held, Findings: v.Findings}, true},
		"a delivery, as of every message":   {policy.Event{Kind: policy.HandedOver}, false},
		"one that bounces":                  {policy.Event{Kind: policy.Bounced}, true},
		"one that was taken back in time":   {policy.Event{Kind: policy.Canceled}, true},
		"a hold whose end a person has set": {policy.Event{Kind: policy.HoldChanged}, true},
	} {
		if got := b.l.ofInterest(&store.Record{Message: id, Events: []policy.Event{c.event}}); got != c.looks {
			t.Errorf("%s: of interest %v", name, got)
		}
	}
}

// The release of what waits is looked at, whatever it says.
func TestTheReleaseOfWhatWaitsIsOfInterest(t *testing.T) {
	b := newLedger(t)
	b.send(5)
	id, v := b.send(1)
	if v.Action != policy.Hold {
		t.Fatalf("%+v", v)
	}
	b.observe()
	if !b.l.ofInterest(&store.Record{Message: id, Events: []policy.Event{{Kind: policy.Released}}}) {
		t.Error("it is not looked at")
	}
}

// A start that reads the journal can be stopped.
func TestAStoppedStartReadsNoFurther(t *testing.T) {
	b := newLedger(t)
	b.send(1)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := openLimits(ctx, b.store, t.TempDir(), b.settings(), newHistory(), time.Now, zap.NewNop())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
