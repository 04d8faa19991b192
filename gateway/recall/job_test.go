package recall

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func second(actor string) policy.RecallRequester {
	return policy.RecallRequester{Actor: actor, Role: admin, Identity: strings.TrimPrefix(actor, "api:")}
}

func TestApproval(t *testing.T) {
	setup := func(w *world) *policy.RecallReport {
		w.cfg.ApprovalOver = 1
		w.run()
		id := w.send(bob, far)
		w.deliver(id, 0)
		r := w.start(w.asAdmin(w.request(id)))
		if r.Overall != policy.RecallAwaitingApproval || !r.ApproveUntil.Equal(r.Requested.Add(72*time.Hour)) || r.Counts.Processing != 2 {
			w.Fatalf("it is %s until %v: %+v", r.Overall, r.ApproveUntil, r.Counts)
		}
		w.after(time.Hour)
		if w.desk.ops["find"]+w.queue.calls > 0 {
			w.Fatal("it has begun")
		}
		return r
	}
	t.Run("given", func(t *testing.T) {
		inWorld(t, func(w *world) {
			r := setup(w)
			w.stop()
			w.run()
			_, err := w.Approve(w.Context(), r.ID, second("api:root"))
			w.refused(err, policy.RefusedOwn, "a second person has to approve it, not who asked for it", "须由申请人以外的另一人审批")
			same := second("socket:uid 0")
			same.Identity = "root"
			_, err = w.Approve(w.Context(), r.ID, same)
			w.refused(err, policy.RefusedOwn, "a second person has to approve it, not who asked for it", "须由申请人以外的另一人审批")
			for _, who := range []policy.RecallRequester{
				{Actor: "api:op", Role: operator, Identity: "op"}, {Actor: "api:adm", Role: admin, Identity: "adm", Domains: []string{"other.example"}},
			} {
				_, err = w.Approve(w.Context(), r.ID, who)
				w.refused(err, policy.RefusedNotSender, "only an administrator of the sender's domain can approve it", "只有发件人所属域的管理员可以审批")
			}
			if _, err = w.Approve(w.Context(), r.ID, second("api:zoe")); err != nil {
				t.Fatal(err)
			}
			w.after(time.Second)
			r = w.report(r.ID)
			w.want(r, policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{bob: policy.RemovedFromMailbox, far: policy.RemovedFromHold})
			if r.ApprovedBy != "api:zoe" {
				t.Errorf("approved by %q", r.ApprovedBy)
			}
			_, err = w.Approve(w.Context(), r.ID, second("api:zoe"))
			w.refused(err, policy.RefusedState, "it has ended already", "该撤回任务已结束")
			w.ended(r)
		})
	})
	t.Run("not in time", func(t *testing.T) {
		inWorld(t, func(w *world) {
			r := setup(w)
			w.after(71 * time.Hour)
			r = w.report(r.ID)
			w.want(r, policy.RecallRejected, map[policy.Address]policy.RecallCode{bob: policy.RecallStopped, far: policy.RecallStopped})
			_, err := w.Approve(w.Context(), r.ID, second("api:zoe"))
			w.refused(err, policy.RefusedState, "it has ended already", "该撤回任务已结束")
			w.happen(r.Request.Messages[0], policy.DeliveredMailbox, 0)
			w.after(time.Hour)
			w.lies(string(bob), "INBOX")
			w.ended(r)
		})
	})
	t.Run("cancelled before", func(t *testing.T) {
		inWorld(t, func(w *world) {
			r := setup(w)
			if _, err := w.Cancel(w.Context(), r.ID, "api:root"); err != nil {
				t.Fatal(err)
			}
			w.after(time.Second)
			w.want(w.report(r.ID), policy.RecallCancelled, map[policy.Address]policy.RecallCode{bob: policy.RecallStopped, far: policy.RecallStopped})
		})
	})
	t.Run("not needed", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.run()
			id := w.send(far)
			w.happen(id, policy.Released)
			r := w.recall(id)
			_, err := w.Approve(w.Context(), r.ID, second("api:zoe"))
			w.refused(err, policy.RefusedState, "it does not wait for approval", "该撤回任务无需审批")
			_, err = w.Approve(w.Context(), policy.ID{1}, second("api:zoe"))
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("approve of nothing: %v", err)
			}
		})
	})
}

func TestCancel(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.Concurrency, w.cfg.ApprovalOver = 1, 0
		w.desk.work = time.Second
		w.run()
		var to []policy.Address
		for i := range 30 {
			to = append(to, address(i))
		}
		id := w.send(to...)
		for i := range to {
			w.deliver(id, i)
		}
		r := w.start(w.request(id)) // after two seconds
		w.after(8 * time.Second)
		if _, err := w.Cancel(w.Context(), r.ID, "api:root"); err != nil {
			t.Fatal(err)
		}
		w.after(10 * time.Second)
		r = w.report(r.ID)
		if r.Overall != policy.RecallCancelled || r.Counts.Success < 2 || r.Counts.Fail < 20 || r.Counts.Processing > 0 {
			t.Errorf("it is %s: %+v", r.Overall, r.Counts)
		}
		w.consistent("cancelled", r)
		_, err := w.Cancel(w.Context(), r.ID, "api:root")
		w.refused(err, policy.RefusedState, "it has ended already", "该撤回任务已结束")
		w.ended(r)
	})
}

// TestCancelInAGroup cancels while copies of some members are set aside, also across a restart after which nobody
// knows of one of them.
func TestCancelInAGroup(t *testing.T) {
	for name, unknown := range map[string]bool{"known": false, "not written down": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.cfg.Concurrency = 1
				w.run()
				id := w.send(team)
				w.expand(id, 0, crew...)
				w.desk.work = time.Second
				takes := 0
				w.desk.hooked(func(op, user string) error {
					if op != "take" {
						return nil
					}
					if takes++; takes != 2 {
						return nil
					}
					if unknown {
						w.life.mu.Lock()
						w.life.dieAt, w.life.effect = w.life.steps+1, false
						w.life.mu.Unlock()
						return mailbox.ErrUnreachable
					}
					_, err := w.Cancel(w.Context(), w.open()[0].id, "api:root")
					if err != nil {
						t.Error(err)
					}
					return nil
				})
				rid := w.start(w.request(id)).ID
				w.after(30 * time.Second)
				if unknown {
					w.lies(string(crew[0]), staging)
					w.stop()
					w.life.revive()
					w.desk.hooked(func(op, user string) error { return mailbox.ErrUnreachable })
					w.run()
					if _, err := w.Cancel(w.Context(), rid, "api:root"); err != nil {
						t.Fatal(err)
					}
					w.after(time.Minute)
					w.desk.hooked(nil)
					w.after(30 * time.Minute)
				}
				r := w.report(rid)
				w.want(r, policy.RecallCancelled, crewCodes(policy.RecallStopped, policy.RecallStopped, policy.RecallStopped))
				for _, m := range crew {
					w.lies(string(m), "INBOX")
				}
			})
		})
	}
}

func TestListAndOtherTimelines(t *testing.T) {
	inWorld(t, func(w *world) {
		_, err := w.journal.commit(store.Change{Message: policy.ID{1}, Events: []policy.Event{{Kind: policy.RecallRequested, Evidence: `{"id":"old"}`}}})
		if err != nil {
			t.Fatal(err)
		}
		w.run()
		var ids []policy.ID
		for range 5 {
			ids = append(ids, w.recall(w.send(bob)).ID)
			w.after(time.Second)
		}
		flying := w.send(far)
		w.happen(flying, policy.Released)
		ids = append(ids, w.recall(flying).ID)
		slices.Reverse(ids)
		for range 2 {
			var got []policy.ID
			before := policy.ID{}
			for {
				list, err := w.List(w.Context(), before, 4)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range list {
					got = append(got, r.ID)
					want := policy.RecallCounts{Success: 1}
					if r.ID == ids[0] {
						want = policy.RecallCounts{Processing: 1}
					}
					if r.Lines != nil || r.Counts != want {
						t.Errorf("%s: %+v", r.ID, r.Counts)
					}
					before = r.ID
				}
				if len(list) < 4 {
					break
				}
			}
			if !slices.Equal(got, ids) {
				t.Errorf("listed %v, want %v", got, ids)
			}
			w.after(time.Hour) // until nobody follows those that have ended
		}
	})
}

func TestWatch(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(far)
		w.happen(id, policy.Released)
		r := w.recall(id)
		changed, stop := w.Watch(r.ID)
		w.happen(id, policy.Bounced, 0)
		w.after(time.Second)
		select {
		case <-changed:
		default:
			t.Error("nothing was told")
		}
		stop()
		none, stop := w.Watch(policy.ID{1})
		defer stop()
		select {
		case <-none:
			t.Error("something was told of nothing")
		default:
		}
	})
}

// TestMessageNoLongerStored ends what was waited for when retention has removed the message.
func TestMessageNoLongerStored(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(far, bob)
		w.happen(id, policy.Released)
		r := w.recall(id)
		w.journal.mu.Lock()
		delete(w.journal.messages, id)
		delete(w.journal.timelines, id)
		w.journal.mu.Unlock()
		w.after(time.Minute)
		if r = w.report(r.ID); r.Overall != policy.RecallAllFailed || r.Counts.Fail != 2 {
			t.Errorf("it is %s: %+v", r.Overall, r.Counts)
		}
		w.ended(r)
		w.want(r, policy.RecallAllFailed, one("", policy.RecallUnknown))
	})
}

// TestRunAgain goes on after the journal could not be read for a while.
func TestRunAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.PerHour = 2
		w.run()
		id := w.send(far)
		w.happen(id, policy.Released)
		r := w.recall(id)
		w.stop()
		broken := errors.New("disk")
		w.Engine.Feed = brokenFeed{broken}
		if err := w.Run(w.Context()); !errors.Is(err, broken) {
			t.Errorf("run: %v", err)
		}
		w.Engine.Feed = w.journal.subscribe()
		ctx, cancel := context.WithCancel(w.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		w.stop = func() { cancel(); <-ended }
		synctest.Wait()
		w.happen(id, policy.Bounced, 0)
		w.after(time.Second)
		w.want(w.report(r.ID), policy.RecallAllSuccess, one(far, policy.NeverDelivered))
		if len(w.desk.told()) != 1 {
			t.Errorf("told %d times", len(w.desk.told()))
		}
		w.recall(w.send(bob)) // the second in this hour, not the fourth
	})
}

type brokenFeed struct{ err error }

func (f brokenFeed) Next(context.Context) (store.Record, error) { return store.Record{}, f.err }
