package recall

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

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
