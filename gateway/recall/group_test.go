package recall

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

const team = policy.Address("team@corp.example")

var crew = []policy.Address{"a@corp.example", "b@corp.example", "c@corp.example"}

// crewCodes gives the members of the team their codes, in their order.
func crewCodes(codes ...policy.RecallCode) map[policy.Address]policy.RecallCode {
	all := map[policy.Address]policy.RecallCode{}
	for i, c := range codes {
		all[crew[i]] = c
	}
	return all
}

func TestGroupOfUnreadIsTaken(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team, bob)
		w.expand(id, 0, crew...)
		w.deliver(id, 1)
		r := w.recall(id)
		want := crewCodes(policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.RemovedFromMailbox)
		want[bob] = policy.RemovedFromMailbox
		w.want(r, policy.RecallAllSuccess, want)
		if len(r.Groups) != 1 || r.Groups[0].Address != team || r.Groups[0].Counts != (policy.RecallCounts{Success: 3}) || r.Groups[0].BlockedBy != 0 {
			t.Errorf("groups are %+v", r.Groups)
		}
		for _, m := range crew {
			w.lies(string(m), staging)
		}
		w.ended(r)
	})
}

// TestGroupReaderAtAnyMoment lets a member read it before each operation of the recall: either nobody keeps it, or
// nobody loses it, and then the reader is said to have read it.
func TestGroupReaderAtAnyMoment(t *testing.T) {
	for _, mode := range []mailbox.Mode{mailbox.Staging, mailbox.Trash, mailbox.Expunge} {
		for n, over := 1, false; !over; n++ {
			t.Run(fmt.Sprintf("%s %d", mode, n), func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.desk.mode = mode
					w.cfg.Concurrency = 1
					w.run()
					id := w.send(team)
					w.expand(id, 0, crew...)
					ops := 0
					w.desk.hooked(func(string, string) error {
						if ops++; ops == n {
							w.desk.read(string(crew[1]))
						}
						return nil
					})
					r := w.recall(id)
					over = ops < n
					first := codes(r)[crew[0]]
					if first == policy.RemovedFromMailbox {
						w.want(r, policy.RecallAllSuccess, crewCodes(policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.RemovedFromMailbox))
						for _, m := range crew {
							if slices.Contains(w.desk.holds(string(m)), "INBOX") {
								t.Errorf("%s still has it", m)
							}
						}
						return
					}
					if c := codes(r)[crew[1]]; c != policy.AlreadyRead && c != policy.ReadDuringRecall {
						t.Errorf("the reader has %s", c)
					}
					want := crewCodes(policy.GroupMemberBlocked, codes(r)[crew[1]], policy.GroupMemberBlocked)
					w.want(r, policy.RecallAllFailed, want)
					for _, m := range crew {
						w.lies(string(m), "INBOX")
					}
					if g := r.Groups[0]; g.BlockedBy != 1 || !slices.Equal(g.Blockers, crew[1:2]) {
						t.Errorf("group is %+v", g)
					}
					w.ended(r)
				})
			})
			if n > 100 {
				t.Fatal("it does not end")
			}
		}
	}
}

func TestGroupNothingTouchedWhenOneHadRead(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew...)
		w.desk.read(string(crew[2]))
		plan, err := w.Plan(w.Context(), w.request(id))
		if err != nil {
			t.Fatal(err)
		}
		want := crewCodes(policy.GroupMemberBlocked, policy.GroupMemberBlocked, policy.AlreadyRead)
		w.want(plan, policy.RecallAllFailed, want)
		w.want(w.recall(id), policy.RecallAllFailed, want)
		if w.desk.ops["take"]+w.desk.ops["restore"] > 0 {
			t.Errorf("it did %v", w.desk.ops)
		}
	})
}

func TestGroupBestEffort(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew...)
		w.desk.read(string(crew[2]))
		req := w.request(id)
		req.GroupMode = policy.BestEffort
		r := w.start(req)
		synctest.Wait()
		r = w.report(r.ID)
		w.want(r, policy.RecallPartial, crewCodes(policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.AlreadyRead))
		if r.Groups[0].BlockedBy != 0 {
			t.Errorf("blocked by %d", r.Groups[0].BlockedBy)
		}
	})
}

func TestGroupWithSomebodyOutside(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew[:2]...)
		w.record(id, policy.Event{Kind: policy.RelayedRemote, Recipients: []int{0}, Member: "x@far.example", Reply: "250 taken"})
		want := crewCodes(policy.GroupMemberBlocked, policy.GroupMemberBlocked)
		want["x@far.example"] = policy.ForwardedExternal
		w.want(w.recall(id), policy.RecallAllFailed, want)
	})
}

func TestGroupWaitsForWhoeverIsUnderWay(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew[:2]...)
		w.record(id, policy.Event{Kind: policy.HandedOver, Recipients: []int{0}, Member: crew[2]})
		w.desk.put(string(crew[2]), "INBOX", letter{}) // the mailbox is there
		r := w.recall(id)
		w.want(r, policy.RecallInProgress, crewCodes(policy.RecallPlanned, policy.RecallPlanned, policy.WaitingArrival))
		if w.desk.ops["take"] > 0 {
			t.Error("somebody was touched")
		}
		w.expand(id, 0, crew[2])
		w.after(time.Second)
		w.want(w.report(r.ID), policy.RecallAllSuccess, crewCodes(policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.RemovedFromMailbox))
	})
}

func TestGroupGivenUpWhenSomebodyCannotBeReached(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.RetryFor = time.Hour
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew...)
		w.desk.hooked(func(op, user string) error {
			if user == string(crew[2]) {
				return mailbox.ErrUnreachable
			}
			return nil
		})
		r := w.recall(id)
		w.want(r, policy.RecallInProgress, crewCodes(policy.RecallPlanned, policy.RecallPlanned, policy.Retrying))
		w.after(time.Hour + time.Minute)
		r = w.report(r.ID)
		w.want(r, policy.RecallAllFailed, crewCodes(policy.GroupMemberBlocked, policy.GroupMemberBlocked, policy.MailboxUnreachable))
		for _, m := range crew {
			w.lies(string(m), "INBOX")
		}
	})
}

// TestGroupServerFailsInBetween takes the server of one member away once others are staged: everybody's copy is
// put back, and taken when the server is back.
func TestGroupServerFailsInBetween(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.Concurrency = 1
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew...)
		away := false
		w.desk.hooked(func(op, user string) error {
			away = away || op == "take" && user == string(crew[2])
			if away && user == string(crew[2]) {
				return mailbox.ErrUnreachable
			}
			return nil
		})
		r := w.recall(id)
		w.want(r, policy.RecallInProgress, crewCodes(policy.RecallPlanned, policy.RecallPlanned, policy.Retrying))
		for _, m := range crew {
			w.lies(string(m), "INBOX")
		}
		w.desk.hooked(nil)
		w.after(6 * time.Second)
		w.want(w.report(r.ID), policy.RecallAllSuccess, crewCodes(policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.RemovedFromMailbox))
	})
}

// TestGroupReaderIsNotToldBeforeTheOthers has a member read it while it is set aside: nobody can tell from the report who
// that is before the others are blocked as well.
func TestGroupReaderIsNotToldBeforeTheOthers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.Concurrency = 1
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew...)
		w.desk.hooked(func(op, user string) error {
			if op == "take" && user == string(crew[1]) {
				w.desk.read(user)
			}
			if op == "restore" {
				time.Sleep(3 * time.Second) // what was noted is written meanwhile
			}
			return nil
		})
		r := w.start(w.request(id))
		for range 20 {
			alone := 0
			for _, c := range codes(w.report(r.ID)) {
				if c.Status() == policy.RecallFail {
					alone++
				}
			}
			if alone != 0 && alone != len(crew) {
				t.Fatalf("codes are %v", codes(w.report(r.ID)))
			}
			w.after(time.Second / 2)
		}
		w.want(w.report(r.ID), policy.RecallAllFailed, crewCodes(policy.GroupMemberBlocked, policy.ReadDuringRecall, policy.GroupMemberBlocked))
	})
}

// TestGroupReaderWhileItIsSetAside leaves what is in the queue there when a mailbox turns out to have been read.
func TestGroupReaderWhileItIsSetAside(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.queue.postfix = func(policy.ID, int) policy.RecallCode { return policy.RemovedFromQueue }
		id := w.send(team)
		w.expand(id, 0, crew[:2]...)
		w.record(id, policy.Event{Kind: policy.Deferred, Recipients: []int{0}, Member: crew[2]})
		w.desk.hooked(func(op, user string) error {
			if op == "take" && user == string(crew[1]) {
				w.desk.read(user)
			}
			return nil
		})
		w.want(w.recall(id), policy.RecallAllFailed, crewCodes(policy.GroupMemberBlocked, policy.ReadDuringRecall, policy.GroupMemberBlocked))
		if w.queue.calls != 0 {
			t.Errorf("the queue was asked %d times", w.queue.calls)
		}
		w.lies(string(crew[0]), "INBOX")
	})
}

// TestGroupPuttingBackFails has a reader turn up, and the server of another member away when that one's copy is to
// go back: it does when the server is there again.
func TestGroupPuttingBackFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.Concurrency = 1
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew...)
		broken := true
		w.desk.hooked(func(op, user string) error {
			if op == "take" && user == string(crew[1]) {
				w.desk.read(string(crew[1]))
			}
			if op == "restore" && user == string(crew[0]) && broken {
				return mailbox.ErrUnreachable
			}
			return nil
		})
		r := w.recall(id)
		if got := codes(r); got[crew[0]] != policy.Retrying || got[crew[1]] != policy.ReadDuringRecall {
			t.Errorf("codes are %v", got)
		}
		w.lies(string(crew[0]), staging)
		w.stop() // the other members' copies are known by the journal
		broken = false
		w.run()
		w.after(time.Minute)
		w.want(w.report(r.ID), policy.RecallAllFailed, crewCodes(policy.GroupMemberBlocked, policy.ReadDuringRecall, policy.GroupMemberBlocked))
		for _, m := range crew {
			w.lies(string(m), "INBOX")
		}
	})
}

func TestGroupPartlyInTheQueue(t *testing.T) {
	for name, c := range map[string]struct {
		read bool
		want []policy.RecallCode
		all  string
	}{
		"taken":   {false, []policy.RecallCode{policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.RemovedFromQueue}, policy.RecallAllSuccess},
		"blocked": {true, []policy.RecallCode{policy.AlreadyRead, policy.GroupMemberBlocked, policy.GroupMemberBlocked}, policy.RecallAllFailed},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.run()
				w.queue.postfix = func(policy.ID, int) policy.RecallCode { return policy.RemovedFromQueue }
				id := w.send(team)
				w.expand(id, 0, crew[:2]...)
				w.record(id, policy.Event{Kind: policy.Deferred, Recipients: []int{0}, Member: crew[2]})
				if c.read {
					w.desk.read(string(crew[0]))
				}
				r := w.recall(id)
				w.want(r, c.all, crewCodes(c.want...))
				if c.read != (w.queue.calls == 0) {
					t.Errorf("the queue was asked %d times", w.queue.calls)
				}
			})
		})
	}
}

func TestGroupGoneFromTheQueueIsLookedForInMailboxes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		w.queue.postfix = func(policy.ID, int) policy.RecallCode { return policy.DeliveredBeforeRecall }
		id := w.send(team)
		w.expand(id, 0, crew[:2]...)
		w.record(id, policy.Event{Kind: policy.Deferred, Recipients: []int{0}, Member: crew[2]})
		w.desk.put(string(crew[2]), "INBOX", letter{id: id})
		w.want(w.recall(id), policy.RecallAllSuccess, crewCodes(policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.RemovedFromMailbox))
	})
}

func TestGroupHeldIsTakenAsAWhole(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team)
		w.want(w.recall(id), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{team: policy.RemovedFromHold})
	})
}

// TestGroupExpandedWhileItWaits replaces a group by its members while the recall waits for it.
func TestGroupExpandedWhileItWaits(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team)
		w.happen(id, policy.HandedOver, 0)
		r := w.recall(id)
		w.want(r, policy.RecallInProgress, map[policy.Address]policy.RecallCode{team: policy.WaitingArrival})
		w.expand(id, 0, crew...)
		w.after(time.Second)
		r = w.report(r.ID)
		w.want(r, policy.RecallAllSuccess, crewCodes(policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.RemovedFromMailbox))
		if r.Counts != (policy.RecallCounts{Success: 3}) {
			t.Errorf("counts are %+v", r.Counts)
		}
	})
}

func TestGroupNobodyKnowsTheMembersOf(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.RetryFor = time.Hour
		w.run()
		id := w.send(team)
		w.happen(id, policy.HandedOver, 0)
		r := w.recall(id)
		w.after(2 * time.Hour)
		r = w.report(r.ID)
		w.want(r, policy.RecallAllFailed, map[policy.Address]policy.RecallCode{team: policy.GroupNotExpandable})
		if !strings.Contains(r.Lines[0].Text.ZH, "群组成员") {
			t.Errorf("text is %+v", r.Lines[0].Text)
		}
	})
}

func TestChosenMemberOnly(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew...)
		w.desk.read(string(crew[0]))
		req := w.request(id)
		req.Recipients = []string{string(crew[1])}
		r := w.start(req)
		synctest.Wait()
		w.want(w.report(r.ID), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{crew[1]: policy.RemovedFromMailbox})
		w.lies(string(crew[2]), "INBOX")
	})
}
