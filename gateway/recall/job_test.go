package recall

import (
	"context"
	"errors"
	"fmt"
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

func TestRestore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob, "cat@corp.example", far)
		w.deliver(id, 0, 1)
		w.desk.boxes["cat@corp.example"][0].folder = "Projects"
		r := w.recall(id)
		w.stop() // it is restored by another process
		w.run()
		w.after(time.Hour)
		if _, err := w.Restore(w.Context(), r.ID, []string{"cat@corp.example", "far@far.example"}, "api:root"); err != nil {
			t.Fatal(err)
		}
		w.lies("cat@corp.example", "Projects")
		w.lies(string(bob), staging)
		rows, _ := w.journal.Recipients(id)
		if rows[1].State != policy.StateDeliveredMailbox || rows[0].State != policy.StateRecalled {
			t.Errorf("states are %s, %s", rows[0].State, rows[1].State)
		}
		w.happen(id, policy.DeliveredMailbox, 1) // the log is late: what was put back stays
		w.after(time.Minute)
		w.lies("cat@corp.example", "Projects")
		if _, err := w.Restore(w.Context(), r.ID, nil, "api:root"); err != nil {
			t.Fatal(err)
		}
		w.lies(string(bob), "INBOX")
		_, err := w.Restore(w.Context(), r.ID, nil, "api:root")
		w.refused(err, policy.RefusedState, "nothing of it lies in staging that could be put back", "暂存区中没有可恢复的邮件")
		w.stop()
		w.run()
		for _, l := range w.report(r.ID).Lines[:2] {
			if l.Code != policy.RecallRestored || !strings.Contains(l.Text.EN, "was taken out of the mailbox, and put back by api:root, ") ||
				!strings.Contains(l.Text.ZH, "撤回后已恢复到对方邮箱（api:root，") || !strings.Contains(l.Detail, "back to") {
				t.Errorf("line is %+v", l)
			}
		}
	})
}

func TestRestoreThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		setup func(w *world)
		want  error
		then  bool // it is put back at the second try
	}{
		"the server is away":               {func(w *world) { w.desk.hooked(always2(mailbox.ErrUnreachable)) }, mailbox.ErrUnreachable, true},
		"somebody has emptied staging":     {func(w *world) { w.desk.boxes[string(bob)] = nil }, mailbox.ErrGone, false},
		"the answer of the first was lost": {func(w *world) { w.desk.move(w.desk.boxes[string(bob)][0], "INBOX") }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.run()
				id := w.send(bob)
				w.deliver(id, 0)
				r := w.recall(id)
				c.setup(w)
				_, err := w.Restore(w.Context(), r.ID, nil, "api:root")
				if !errors.Is(err, c.want) {
					t.Fatalf("error is %v", err)
				}
				if c.then {
					w.desk.hooked(nil)
					if _, err := w.Restore(w.Context(), r.ID, nil, "api:root"); err != nil {
						t.Error(err)
					}
					w.lies(string(bob), "INBOX")
				}
			})
		})
	}
}

func TestPurge(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id, other := w.send(bob), w.send("cat@corp.example")
		w.deliver(id, 0)
		w.deliver(other, 0)
		r := w.recall(id)
		w.recall(other)
		if _, err := w.Restore(w.Context(), w.report(r.ID).ID, nil, "api:root"); err != nil {
			t.Fatal(err)
		}
		w.after(30*24*time.Hour - time.Minute)
		w.lies("cat@corp.example", staging)
		w.desk.hooked(always2(mailbox.ErrUnreachable))
		w.after(3 * time.Hour)
		w.lies("cat@corp.example", staging)
		w.desk.hooked(nil)
		w.after(2 * time.Hour)
		w.lies("cat@corp.example")
		w.lies(string(bob), "INBOX")
		n := w.desk.ops["purge"]
		w.stop()
		w.run()
		w.after(2 * time.Hour)
		if w.desk.ops["purge"] != n || n != 1 {
			t.Errorf("purged %d times, then %d", n, w.desk.ops["purge"]-n)
		}
	})
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

func TestRelated(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.answer(far) // is held
		r := w.recall(id)
		if len(r.Related) != 1 || r.Related[0].Of != id || r.Related[0].Sender != bob || !r.Related[0].Held || r.Related[0].Recipients != 1 {
			t.Fatalf("related are %+v", r.Related)
		}
		w.want(w.recall2(r.Related[0].Message), policy.RecallAllSuccess, one(far, policy.RemovedFromHold))
		if r := w.report(r.ID); r.Related[0].Held || r.Related[0].State != policy.StateCanceled {
			t.Errorf("related are %+v", r.Related)
		}
	})
}

func (w *world) recall2(id policy.ID) *policy.RecallReport {
	w.Helper()
	m, _ := w.journal.Message(id)
	m.Envelope.Direction = policy.Outbound
	return w.start(w.asAdmin(w.request(id)))
}

func TestStats(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.ApprovalOver = 2
		w.run()
		begin := time.Now()
		ask := func(after time.Duration, reason string, to ...policy.Address) {
			id := w.send(to...)
			w.happen(id, policy.RelayedRemote, 0)
			w.after(after)
			req := w.request(id)
			req.Reason = reason
			w.start(req)
			synctest.Wait()
		}
		ask(20*time.Second, "wrong file", far)
		ask(80*time.Second, "Wrong  file", far, bob)
		ask(2*time.Hour, "wrong person", far)
		ask(0, "nobody approves it", far, bob, "c@far.example")
		s, err := w.Stats(w.Context(), begin, time.Now().Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if s.Recalls != 3 || s.Recipients != (policy.RecallCounts{Success: 1, Fail: 3}) || s.ByCode[policy.ExternalRecipient] != 3 || s.ByCode[policy.RemovedFromHold] != 1 {
			t.Errorf("stats are %+v", s)
		}
		if len(s.ByReason) != 2 || s.ByReason[0].Reason == "" || s.ByReason[0].Recalls != 2 || s.ByReason[0].Recipients.Fail != 2 || s.ByReason[1].Reason != "wrong person" {
			t.Errorf("by reason: %+v", s.ByReason)
		}
		if a := s.ByAge; a[0].Recalls != 1 || a[1].Recalls != 1 || a[4].Recalls != 1 || a[4].UpTo != 6*time.Hour || a[len(a)-1].UpTo != 0 {
			t.Errorf("by age: %+v", a)
		}
		got := fmt.Sprintf("%.2f %d, %.2f %d, %.2f %d", s.Hold[0].Caught, s.Hold[0].More, s.Hold[1].Caught, s.Hold[1].More, s.Hold[2].Caught, s.Hold[2].More)
		if got != "0.33 1, 0.33 1, 0.67 2" {
			t.Errorf("holds: %s", got)
		}
		if s, _ := w.Stats(w.Context(), begin.Add(-time.Hour), begin); s.Recalls != 0 {
			t.Errorf("%d recalls before the first", s.Recalls)
		}
	})
}

func TestConcurrencyIsBoundedByBackendOverAllJobs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.Concurrency, w.cfg.ApprovalOver = 5, 0
		w.desk.work = 50 * time.Millisecond
		w.run()
		for range 3 {
			var to []policy.Address
			for i := range 40 {
				to = append(to, address(i))
			}
			id := w.send(to...)
			for i := range to {
				w.deliver(id, i)
			}
			go func() { _, _ = w.Start(w.Context(), w.request(id)) }()
		}
		w.after(time.Minute)
		if w.desk.most != 5 {
			t.Errorf("%d at a time", w.desk.most)
		}
	})
}

// TestTenThousandRecipients takes a message out of 10,000 mailboxes, in two jobs of which the second goes on after a
// restart.
func TestTenThousandRecipients(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.ApprovalOver = 0
		w.run()
		to := make([]policy.Address, 10000)
		for i := range to {
			to[i] = address(i)
		}
		id := w.send(to...)
		for i, a := range to {
			var flags []string
			if i%100 == 0 {
				flags = []string{`\Seen`}
			}
			w.desk.put(string(a), "INBOX", letter{id: id, flags: flags})
		}
		w.happen(id, policy.DeliveredMailbox)
		w.desk.work = 5 * time.Millisecond
		before := w.journal.commits
		r := w.start(w.asAdmin(w.request(id)))
		w.stop()
		if r = w.report(r.ID); r.Counts.Success == 0 || r.Counts.Processing == 0 {
			t.Errorf("after two seconds: %+v", r.Counts)
		}
		w.desk.work = 0
		w.run()
		w.after(time.Minute)
		r = w.report(r.ID)
		if r.Overall != policy.RecallPartial || r.Counts != (policy.RecallCounts{Success: 9900, Fail: 100}) || len(r.Lines) != 10000 {
			t.Errorf("it is %s: %+v", r.Overall, r.Counts)
		}
		if n := w.journal.commits - before; n > 100 {
			t.Errorf("%d commits", n)
		}
		if w.desk.ops["take"] > 10000 {
			t.Errorf("%d taken", w.desk.ops["take"])
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

// TestManyMessages takes a campaign back, which is many messages of one recipient.
func TestManyMessages(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.ApprovalOver = 0
		w.run()
		var ids []policy.ID
		for i := range 3000 {
			id := w.send(address(i))
			if i%2 == 0 {
				w.deliver(id, 0)
			}
			ids = append(ids, id)
		}
		r := w.start(w.asAdmin(w.request(ids...)))
		w.after(time.Minute)
		r = w.report(r.ID)
		if r.Overall != policy.RecallAllSuccess || r.Counts.Success != 3000 {
			t.Errorf("it is %s: %+v", r.Overall, r.Counts)
		}
		_, err := w.Start(w.Context(), w.asAdmin(w.request(ids...)))
		w.refused(err, policy.RefusedRecalled, "it has been taken back already", "该邮件此前已撤回")
	})
}
