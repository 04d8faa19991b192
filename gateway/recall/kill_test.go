package recall

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// TestKilledAtEveryStep kills the program at each step of a recall, with and without the step's effect, and starts it
// again: it comes to the same, and claims nothing that the mailboxes contradict.
func TestKilledAtEveryStep(t *testing.T) {
	for name, c := range map[string]struct {
		mode  mailbox.Mode
		setup func(w *world) policy.ID
	}{
		"single": {mailbox.Staging, func(w *world) policy.ID {
			id := w.send(bob, "cat@corp.example", far, "held@far.example", "q@corp.example")
			w.deliver(id, 0, 1)
			w.desk.read("cat@corp.example")
			w.happen(id, policy.RelayedRemote, 2)
			w.record(id, policy.Event{Kind: policy.Released, Recipients: []int{4}})
			w.record(id, policy.Event{Kind: policy.Deferred, Recipients: []int{4}, Until: time.Now().Add(time.Hour)})
			return id
		}},
		"single to the trash": {mailbox.Trash, func(w *world) policy.ID {
			id := w.send(bob)
			w.deliver(id, 0)
			w.desk.put(string(bob), "List", letter{id: id})
			return id
		}},
		"group": {mailbox.Staging, func(w *world) policy.ID {
			id := w.send(team)
			w.expand(id, 0, crew...)
			return id
		}},
		"group to the trash": {mailbox.Trash, func(w *world) policy.ID {
			id := w.send(team)
			w.expand(id, 0, crew...)
			return id
		}},
		"group read while it is taken": {mailbox.Staging, func(w *world) policy.ID {
			id := w.send(team)
			w.expand(id, 0, crew...)
			w.desk.hooked(func(op, user string) error {
				if op == "take" && user == string(crew[2]) {
					w.desk.read(string(crew[2]))
				}
				return nil
			})
			return id
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var want map[policy.Address]policy.RecallCode
			for n, over := 0, false; !over; n++ {
				for _, effect := range []bool{false, true} {
					inWorld(t, func(w *world) {
						w.desk.mode, w.cfg.Concurrency = c.mode, 1
						w.run()
						id := c.setup(w)
						w.life.dieAt, w.life.effect, w.life.steps = n, effect, 0
						r, err := w.Start(w.Context(), w.request(id))
						w.after(time.Minute)
						died := w.life.died()
						w.stop()
						w.life.revive()
						w.run()
						if err != nil { // it died before, or after, it was recorded
							if n > 2 {
								t.Fatalf("step %d: %v", n, err)
							}
							list, _ := w.List(w.Context(), policy.ID{}, 10)
							if effect != (len(list) == 1) {
								t.Fatalf("%d recalls are recorded", len(list))
							}
							if !effect {
								return
							}
							r = list[0]
						}
						w.after(2 * time.Hour)
						r = w.report(r.ID)
						if n == 0 {
							want = codes(r)
						}
						over = n > 0 && !died
						got := codes(r)
						for a, code := range got {
							// Read before it was looked at again, or when it was to be taken: both are so.
							if code == policy.AlreadyRead && want[a] == policy.ReadDuringRecall {
								got[a] = policy.ReadDuringRecall
							}
						}
						if !maps.Equal(got, want) {
							t.Errorf("killed at %d, effect %v: %v, want %v", n, effect, codes(r), want)
						}
						w.consistent(fmt.Sprintf("killed at %d, effect %v", n, effect), r)
						if told := w.desk.told(); len(told) == 0 || len(told) > 2 { // twice when that it was sent is not recorded
							t.Errorf("killed at %d: told %d times", n, len(told))
						}
					})
				}
				if n > 200 {
					t.Fatal("it does not end")
				}
			}
		})
	}
}

// consistent checks a report against the mailboxes: what was removed is nowhere to be seen, and what was not removed
// lies where its owner finds it.
func (w *world) consistent(when string, r *policy.RecallReport) {
	w.Helper()
	for _, l := range r.Lines {
		seen, aside := 0, 0
		for _, f := range w.desk.holds(l.Address.Key()) {
			switch f {
			case staging:
				aside++
			case "Trash":
			default:
				seen++
			}
		}
		switch {
		case l.Code.Status() == policy.RecallSuccess && seen > 0:
			w.Errorf("%s: %s has it, and the report says %s", when, l.Address, l.Code)
		case l.Code.Status() != policy.RecallSuccess && aside > 0:
			w.Errorf("%s: %s lost it, and the report says %s", when, l.Address, l.Code)
		}
	}
}

// TestKilledWhileExpunging cannot know what an answer that was lost has done: it never says too much.
func TestKilledWhileExpunging(t *testing.T) {
	for n := 1; n < 20; n++ {
		inWorld(t, func(w *world) {
			w.desk.mode = mailbox.Expunge
			w.run()
			id := w.send(bob)
			w.deliver(id, 0)
			w.life.dieAt, w.life.effect, w.life.steps = n+1, true, 0 // after the request
			r := w.start(w.request(id))
			w.after(time.Minute)
			w.stop()
			w.life.revive()
			w.run()
			w.after(2 * time.Hour)
			r = w.report(r.ID)
			if c := codes(r)[bob]; c != policy.RemovedFromMailbox && c != policy.NotInMailbox {
				t.Errorf("killed at %d: %s", n, c)
			}
			w.consistent(fmt.Sprint("killed at ", n), r)
		})
	}
}
