package recall

import (
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

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
