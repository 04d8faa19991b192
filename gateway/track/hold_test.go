package track

import (
	"context"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// copyfile is a second source.
type copyfile struct{ logfile }

func (copyfile) Name() string { return "copy" }

// A queue file that waits holds the cursors of all sources that had lines about it.
func TestEachSourceWaitsForItsOwnLines(t *testing.T) {
	s := newSite(t)
	if err := s.tracker.addFeed(copyfile{}, time.UTC); err != nil {
		t.Fatal(err)
	}
	id := s.accept(overRelay([]string{"x@far.example"}))
	s.read("10:00:01 postfix/smtpd: AAAA1111: client=gw[192.0.2.9]")
	if err := s.tracker.take(context.Background(), s.tracker.feeds[1], s.batch(sent("10:00:02", "AAAA1111", "x@far.example"))); err != nil {
		t.Fatal(err)
	}
	s.tick()
	if got, err := s.journal.Kept("track cursor copy"); err != nil || got != nil {
		t.Errorf("the cursor %q has passed a line whose message may still become known (%v)", got, err)
	}
	s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver, Time: at("10:00:01"), QueueID: "AAAA1111", Recipients: []int{0}}}})
	s.clock = s.clock.Add(time.Second)
	s.tick()
	s.want(id, "x@far.example=relayed_remote")
	if got, err := s.journal.Kept("track cursor copy"); err != nil || string(got) != "2" {
		t.Errorf("kept cursor %q, want 2 (%v)", got, err)
	}
}

// Lines that had waited are in no other work: what concludes meanwhile does not let the cursor pass.
func TestCursorWaitsForTheWorkThatHasTheLines(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example", "y@far.example"}))
	s.read(`10:00:01 postfix/cleanup: AAAA1111: message-id=<m1@corp.example>
		10:00:01 postfix/qmgr: AAAA1111: from=<sender@corp.example>, size=500, nrcpt=2 (queue active)
	` + sent("10:00:02", "AAAA1111", "x@far.example"))
	s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver, Time: at("10:00:01"), Recipients: []int{0, 1}}}})
	slow := newWork()
	for n := range s.tracker.graph.waiting {
		slow.ask(n)
	}
	if err := s.tracker.askAll(context.Background(), slow, false); err != nil {
		t.Fatal(err)
	}
	s.read(sent("10:00:02", "AAAA1111", "y@far.example"))
	s.tick()
	if got := s.kept(); got != "" {
		t.Errorf("the cursor %q has passed a line that is not durable", got)
	}
	if err := s.tracker.finish(context.Background(), slow, false); err != nil {
		t.Fatal(err)
	}
	s.tick()
	s.want(id, "x@far.example=relayed_remote y@far.example=relayed_remote")
	if got := s.kept(); got != "2" {
		t.Errorf("kept cursor %q, want 2", got)
	}
}

// The first line of a queue file may come last, and be of the same second as its removal.
func TestFirstLineComesLast(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example"}))
	s.read(sent("10:00:01", "AAAA1111", "x@far.example") + removed("10:00:01", "AAAA1111"))
	s.read("10:00:01 postfix/smtpd: AAAA1111: client=gw[192.0.2.9]")
	s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver, Time: at("10:00:01"), QueueID: "AAAA1111", Recipients: []int{0}}}})
	s.clock = s.clock.Add(time.Second)
	s.tick()
	s.want(id, "x@far.example=relayed_remote")
}
