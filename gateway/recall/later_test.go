package recall

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// milter stores a message that Postfix was let go on with.
func (w *world) milter(recipients ...policy.Address) policy.ID {
	w.Helper()
	id := w.sendAs(policy.Envelope{Front: policy.Milter, Direction: policy.Outbound, Sender: sender, Identity: "ann", MessageID: "<1@corp.example>", QueueID: "4Q"}, recipients...)
	w.happen(id, policy.Released)
	return id
}

func one(a policy.Address, c policy.RecallCode) map[policy.Address]policy.RecallCode {
	return map[policy.Address]policy.RecallCode{a: c}
}

const far = policy.Address("x@far.example")

func TestArrivalIsWaitedFor(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.happen(id, policy.HandedOver, 0)
		w.desk.put(string(bob), "INBOX", letter{})
		r := w.recall(id)
		w.want(r, policy.RecallInProgress, one(bob, policy.WaitingArrival))
		w.after(9 * time.Minute) // the next try of its own is minutes away
		w.deliver(id, 0)
		w.after(time.Second)
		w.want(w.report(r.ID), policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
		w.lies(string(bob), "INBOX", staging)
	})
}

func TestArrivalThatNobodyTells(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.happen(id, policy.HandedOver, 0)
		w.desk.put(string(bob), "INBOX", letter{})
		r := w.recall(id)
		w.after(30 * time.Second)
		w.desk.put(string(bob), "INBOX", letter{id: id})
		w.after(time.Minute)
		w.want(w.report(r.ID), policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
	})
}

func TestArrivalTooLate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		after  time.Duration
	}{
		"retry_for":  {func(c *Config) { c.RetryFor = time.Hour }, time.Hour},
		"the window": {func(c *Config) { c.SenderWindow = 2 * time.Hour }, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				c.change(&w.cfg)
				w.run()
				id := w.send(bob)
				w.happen(id, policy.HandedOver, 0)
				w.desk.put(string(bob), "INBOX", letter{})
				r := w.recall(id)
				w.after(c.after - time.Second)
				w.want(w.report(r.ID), policy.RecallInProgress, one(bob, policy.WaitingArrival))
				w.after(2 * time.Second)
				w.want(w.report(r.ID), policy.RecallAllFailed, one(bob, policy.WindowExpired))
			})
		})
	}
}

func TestFlightEnds(t *testing.T) {
	for name, c := range map[string]struct {
		kind policy.Kind
		want policy.RecallCode
		all  string
	}{
		"delivered outside": {policy.RelayedRemote, policy.DeliveredBeforeRecall, policy.RecallAllFailed},
		"returned":          {policy.Bounced, policy.NeverDelivered, policy.RecallAllSuccess},
		"lost":              {policy.Unknown, policy.RecallUnknown, policy.RecallAllFailed},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.run()
				id := w.send(far)
				w.happen(id, policy.Released)
				r := w.recall(id)
				w.want(r, policy.RecallInProgress, one(far, policy.WaitingInFlight))
				w.after(time.Minute)
				w.happen(id, c.kind, 0)
				w.after(time.Second)
				w.want(w.report(r.ID), c.all, one(far, c.want))
			})
		})
	}
	t.Run("nobody says how", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.run()
			id := w.send(far)
			w.happen(id, policy.Released)
			r := w.recall(id)
			w.after(25 * time.Hour)
			w.want(w.report(r.ID), policy.RecallAllFailed, one(far, policy.RecallUnknown))
		})
	})
}

func TestPostfixQueueCountsWhenTheLogWasRead(t *testing.T) {
	inWorld(t, func(w *world) {
		var read atomic.Bool
		w.tracked = func(time.Time) bool { return read.Load() }
		w.queue.postfix = func(policy.ID, int) policy.RecallCode { return policy.RemovedFromQueue }
		w.run()
		id := w.milter(far)
		r := w.recall(id)
		w.want(r, policy.RecallInProgress, one(far, policy.WaitingInFlight))
		if !strings.Contains(r.Lines[0].Detail, "log was not read") {
			t.Errorf("detail is %q", r.Lines[0].Detail)
		}
		read.Store(true)
		w.after(6 * time.Second)
		w.want(w.report(r.ID), policy.RecallAllSuccess, one(far, policy.RemovedFromQueue))
	})
	inWorld(t, func(w *world) { // and it says that it was delivered
		var read atomic.Bool
		w.tracked = func(time.Time) bool { return read.Load() }
		w.queue.postfix = func(policy.ID, int) policy.RecallCode { return policy.RemovedFromQueue }
		w.run()
		id := w.milter(far)
		r := w.recall(id)
		w.after(time.Second)
		w.happen(id, policy.RelayedRemote, 0)
		read.Store(true)
		w.after(6 * time.Second)
		w.want(w.report(r.ID), policy.RecallAllFailed, one(far, policy.DeliveredBeforeRecall))
	})
	inWorld(t, func(w *world) { // nobody reads it
		w.tracked = func(time.Time) bool { return false }
		w.queue.postfix = func(policy.ID, int) policy.RecallCode { return policy.RemovedFromQueue }
		w.run()
		r := w.recall(w.milter(far))
		w.after(25 * time.Hour)
		w.want(w.report(r.ID), policy.RecallAllFailed, one(far, policy.RecallUnknown))
	})
}

func TestPostfixWasDoneWithIt(t *testing.T) {
	inWorld(t, func(w *world) {
		var read atomic.Bool
		w.tracked = func(time.Time) bool { return read.Load() }
		w.queue.postfix = func(policy.ID, int) policy.RecallCode { return policy.DeliveredBeforeRecall }
		w.run()
		r := w.recall(w.milter(far))
		w.want(r, policy.RecallInProgress, one(far, policy.WaitingInFlight))
		read.Store(true)
		w.after(6 * time.Second)
		w.want(w.report(r.ID), policy.RecallAllFailed, one(far, policy.DeliveredBeforeRecall))
	})
	for name, postfix := range map[string]policy.RecallCode{"gone": policy.DeliveredBeforeRecall, "whole only": policy.WholeMessageOnly, "lost": policy.RecallUnknown, "in flight": policy.WaitingInFlight} {
		t.Run("inside, "+name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.queue.postfix = func(policy.ID, int) policy.RecallCode { return postfix }
				w.run()
				id := w.milter(bob)
				w.desk.put(string(bob), "INBOX", letter{})
				r := w.recall(id)
				if r.Overall != policy.RecallInProgress {
					t.Fatalf("overall is %s: %v", r.Overall, codes(r))
				}
				w.deliver(id, 0)
				w.after(time.Second)
				w.want(w.report(r.ID), policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
			})
		})
	}
	inWorld(t, func(w *world) {
		w.queue.postfix = func(policy.ID, int) policy.RecallCode { return policy.WholeMessageOnly }
		w.run()
		w.want(w.recall(w.milter(far)), policy.RecallAllFailed, one(far, policy.WholeMessageOnly))
	})
}

// TestDeliveredAfterAll has evidence to the contrary after the end: within and long after the time to settle, with
// the engine running and down.
func TestDeliveredAfterAll(t *testing.T) {
	for name, c := range map[string]struct {
		late time.Duration
		down bool
	}{"soon": {time.Minute, false}, "days later": {3 * 24 * time.Hour, false}, "while it is down": {time.Minute, true}} {
		t.Run(name, func(t *testing.T) {
			t.Run("taken out of the mailbox", func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.run()
					id := w.send(bob)
					r := w.recall(id)
					w.want(r, policy.RecallAllSuccess, one(bob, policy.RemovedFromHold))
					w.late(c.late, c.down, func() { w.deliver(id, 0) })
					r = w.report(r.ID)
					w.want(r, policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
					w.lies(string(bob), staging)
					if r.Corrected || len(w.desk.told()) != 1 {
						t.Errorf("corrected %v, told %d times: it is a success as before", r.Corrected, len(w.desk.told()))
					}
				})
			})
			t.Run("read", func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.run()
					id := w.send(bob)
					r := w.recall(id)
					w.late(c.late, c.down, func() {
						w.desk.put(string(bob), "INBOX", letter{id: id, flags: []string{`\Seen`}})
						w.happen(id, policy.DeliveredMailbox, 0)
					})
					w.corrected(r.ID, one(bob, policy.AlreadyRead))
				})
			})
			t.Run("outside", func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.run()
					id := w.send(far)
					r := w.recall(id)
					w.late(c.late, c.down, func() { w.happen(id, policy.RelayedRemote, 0) })
					w.corrected(r.ID, one(far, policy.DeliveredBeforeRecall))
				})
			})
			t.Run("the server is away first", func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.run()
					id := w.send(bob)
					r := w.recall(id)
					w.desk.hooked(always2(mailbox.ErrUnreachable))
					w.late(c.late, c.down, func() { w.deliver(id, 0) })
					w.want(w.report(r.ID), policy.RecallInProgress, one(bob, policy.Retrying))
					w.desk.hooked(nil)
					w.after(time.Minute)
					w.want(w.report(r.ID), policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
					if len(w.desk.told()) != 1 {
						t.Errorf("told %d times", len(w.desk.told()))
					}
				})
			})
		})
	}
}

// late lets something happen after a while.
func (w *world) late(d time.Duration, down bool, f func()) {
	w.after(d)
	if down {
		w.stop()
	}
	f()
	if down {
		w.run()
	}
	w.after(time.Second)
}

// corrected checks that a second report was sent which says otherwise.
func (w *world) corrected(id policy.ID, want map[policy.Address]policy.RecallCode) {
	w.Helper()
	r := w.report(id)
	w.want(r, policy.RecallAllFailed, want)
	told := w.desk.told()
	if !r.Corrected || len(told) != 2 || told[0].Corrected || !told[1].Corrected || told[1].Overall != policy.RecallAllFailed {
		w.Errorf("corrected %v, told %d times", r.Corrected, len(told))
	}
	w.stop()
	w.run()
	if r := w.report(id); !r.Corrected || len(w.desk.told()) != 2 {
		w.Errorf("after a restart corrected %v, told %d times", r.Corrected, len(w.desk.told()))
	}
}

func TestSecondCopyArrives(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.deliver(id, 0)
		r := w.recall(id)
		w.after(time.Minute)
		w.deliver(id, 0)
		w.after(time.Second)
		w.lies(string(bob), staging, staging)
		w.want(w.report(r.ID), policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
		report, err := w.Restore(w.Context(), r.ID, nil, "api:root")
		if err != nil {
			t.Fatal(err)
		}
		w.lies(string(bob), "INBOX", "INBOX")
		if text := report.Lines[0].Text.EN; !strings.HasSuffix(text, "put back by api:root, 2000-01-01T00:01:01Z") {
			t.Errorf("text is %q", text)
		}
		w.want(report, policy.RecallAllFailed, one(bob, policy.RecallRestored))
	})
}

// TestWokenRecallStaysForAWhile has news of a recall that was forgotten: the next does not read it again.
func TestWokenRecallStaysForAWhile(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.deliver(id, 0)
		r := w.recall(id)
		followed := func() *job {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.jobs[r.ID]
		}
		w.after(time.Hour)
		if followed() != nil {
			t.Fatal("it is not forgotten")
		}
		w.record(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}, Key: "1"})
		w.after(time.Minute)
		first := followed()
		w.record(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}, Key: "2"})
		w.after(time.Minute)
		if first == nil || followed() != first {
			t.Error("it was read again")
		}
		w.after(w.cfg.Settle)
		if followed() != nil {
			t.Error("it is not forgotten after that")
		}
	})
}

func TestNothingComesBackOnOldNews(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.deliver(id, 0)
		r := w.recall(id)
		w.after(time.Minute)
		commits := w.journal.commits
		w.record(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}, Key: "again"})
		w.after(time.Minute)
		if n := w.journal.commits - commits; n != 1 {
			t.Errorf("%d commits", n)
		}
		w.want(w.report(r.ID), policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
	})
}

func TestUnknownHeals(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(far)
		w.happen(id, policy.Unknown, 0)
		r := w.recall(id)
		w.want(r, policy.RecallAllFailed, one(far, policy.RecallUnknown))
		w.after(time.Hour)
		w.happen(id, policy.Bounced, 0)
		w.after(time.Second)
		r = w.report(r.ID)
		w.want(r, policy.RecallAllSuccess, one(far, policy.NeverDelivered))
		if !r.Corrected {
			t.Error("nobody was told")
		}
	})
}

func TestSentAgainByAPersonStays(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		r := w.recall(id)
		w.happen(id, policy.Resent, 0)
		w.deliver(id, 1)
		w.after(time.Minute)
		w.lies(string(bob), "INBOX")
		w.want(w.report(r.ID), policy.RecallAllSuccess, one(bob, policy.RemovedFromHold))
	})
}

func TestFloodOfArrivalsIsLookedAtTogether(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.ApprovalOver = 0
		w.run()
		var to []policy.Address
		for i := range 500 {
			to = append(to, address(i))
		}
		id := w.send(to...)
		w.happen(id, policy.HandedOver)
		for _, a := range to {
			w.desk.put(string(a), "INBOX", letter{})
		}
		r := w.recall(id)
		for i := range to {
			w.deliver(id, i)
		}
		w.after(time.Minute)
		if r = w.report(r.ID); r.Overall != policy.RecallAllSuccess {
			t.Errorf("it is %s: %+v", r.Overall, r.Counts)
		}
		if n := w.desk.ops["find"]; n > 5*len(to) {
			t.Errorf("%d looks for %d mailboxes", n, len(to))
		}
		synctest.Wait()
	})
}

// What could not be taken out of the hold, because the helper of Postfix was away, can be as soon as the hold has ended:
// the recall does not wait for its next try, which may be an hour off, and the message is not let go before it. Where
// an attempt to let it go is just under way, it looks again soon.
func TestTheEndOfAHoldIsNews(t *testing.T) {
	for _, kind := range []policy.Kind{policy.Released, policy.Approved} {
		for _, flying := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, ", in flight: ", flying), func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.run()
					id := w.send("x@far.example")
					w.queue.failing(errors.New("the helper is away"))
					r := w.recall(id)
					w.want(r, policy.RecallInProgress, map[policy.Address]policy.RecallCode{"x@far.example": policy.Retrying})
					w.after(2 * time.Hour)
					if !flying {
						w.queue.failing(nil)
					}
					w.record(id, policy.Event{Kind: kind, Until: time.Now()})
					synctest.Wait()
					if flying {
						w.queue.failing(nil)
						w.after(pauses[0])
					}
					w.want(w.report(r.ID), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{"x@far.example": policy.RemovedFromQueue})
				})
			})
		}
	}
}
