package recall

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// TestOnlyOurIDIsTaken: next to a copy with our id, one without it that has the same Message-ID is another message,
// also when the first is out of the way.
func TestOnlyOurIDIsTaken(t *testing.T) {
	for mode, want := range map[mailbox.Mode][]string{
		mailbox.Staging: {"INBOX", staging}, mailbox.Trash: {"INBOX", "Trash"}, mailbox.Expunge: {"INBOX"},
	} {
		t.Run(string(mode), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.desk.mode = mode
				w.run()
				id := w.send(bob)
				w.desk.put(string(bob), "INBOX", letter{messageID: "<1@corp.example>", body: 1})
				w.deliver(id, 0)
				w.want(w.recall(id), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{bob: policy.RemovedFromMailbox})
				w.lies(string(bob), want...)
			})
		})
	}
}

// TestBorrowedAuthor: who writes somebody else's name and Message-ID into his mail does not get hold of theirs.
func TestBorrowedAuthor(t *testing.T) {
	const boss = "The boss <boss@corp.example>"
	for outcome, c := range map[string]struct {
		admin  bool
		theirs letter
		want   policy.RecallCode
		folder string
	}{
		"without our id, a user":           {theirs: letter{messageID: "<1@corp.example>"}, want: policy.AmbiguousMatch, folder: "INBOX"},
		"with our id":                      {theirs: letter{id: policy.ID{1}}, want: policy.RemovedFromMailbox, folder: staging},
		"without our id, an administrator": {admin: true, theirs: letter{messageID: "<1@corp.example>"}, want: policy.RemovedFromMailbox, folder: staging},
	} {
		t.Run(outcome, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.run()
				id := w.sendAs(policy.Envelope{
					Front: policy.Relay, Direction: policy.Outbound, Sender: sender, Identity: "ann", MessageID: "<1@corp.example>", From: boss, Size: 1000,
				}, bob)
				if c.theirs.id != (policy.ID{}) {
					c.theirs.id = id
				}
				w.desk.put(string(bob), "INBOX", c.theirs)
				w.happen(id, policy.DeliveredMailbox, 0)
				req := w.request(id)
				if c.admin {
					req = w.asAdmin(req)
				}
				r := w.start(req)
				synctest.Wait()
				if got := codes(w.report(r.ID))[bob]; got != c.want {
					t.Errorf("it came to %s, want %s", got, c.want)
				}
				w.lies(string(bob), c.folder)
			})
		})
	}
}

// TestStagedByAnEarlierRecall: what lies in staging without our id counts for the recall alone that has put it there.
func TestStagedByAnEarlierRecall(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		send := func() policy.ID {
			return w.sendAs(policy.Envelope{
				Front: policy.Relay, Direction: policy.Outbound, Sender: sender, Identity: "ann", MessageID: "<1@corp.example>", From: string(sender), Size: 1000,
			}, bob)
		}
		first, second := send(), send()
		w.desk.put(string(bob), "INBOX", letter{messageID: "<1@corp.example>"})
		w.happen(first, policy.DeliveredMailbox, 0)
		w.happen(second, policy.DeliveredMailbox, 0)
		w.want(w.recall(first), policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
		w.want(w.recall(second), policy.RecallAllFailed, one(bob, policy.NotInMailbox))
		w.desk.put(string(bob), "INBOX", letter{messageID: "<1@corp.example>"})
		r := w.recall(second)
		w.want(r, policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
		if _, err := w.Restore(w.Context(), r.ID, nil, "api:root"); err != nil {
			t.Fatal(err)
		}
		w.lies(string(bob), "INBOX", staging)
	})
}

// TestListsNameMailboxes: an address with an extension is in the lists with its mailbox.
func TestListsNameMailboxes(t *testing.T) {
	for outcome, c := range map[string]struct {
		list func(*Config) *[]string
		want policy.RecallCode
	}{
		"legal hold": {func(c *Config) *[]string { return &c.LegalHold }, policy.HoldPolicyForbids},
		"opt-out":    {func(c *Config) *[]string { return &c.OptOut }, policy.RecipientOptOut},
	} {
		t.Run(outcome, func(t *testing.T) {
			inWorld(t, func(w *world) {
				*c.list(&w.cfg) = []string{"Bob@corp.example"}
				w.run()
				const tagged = policy.Address("bob+trick@corp.example")
				id := w.send(tagged)
				w.desk.put(string(bob), "INBOX", letter{id: id})
				w.happen(id, policy.DeliveredMailbox, 0)
				if got := codes(w.recall(id))[tagged]; got != c.want {
					t.Errorf("it came to %s", got)
				}
				w.lies(string(bob), "INBOX")
			})
		})
	}
}

// TestMemberHeardOfLate: a member of whom the log speaks after the end keeps the message as the others do.
func TestMemberHeardOfLate(t *testing.T) {
	for outcome, c := range map[string]struct {
		setup func(w *world)
		want  map[policy.Address]policy.RecallCode
	}{
		"blocked": {
			func(w *world) { w.desk.read(string(crew[0])) },
			crewCodes(policy.AlreadyRead, policy.GroupMemberBlocked, policy.GroupMemberBlocked),
		},
		"taken": {func(*world) {}, crewCodes(policy.RemovedFromMailbox, policy.RemovedFromMailbox, policy.RemovedFromMailbox)},
	} {
		t.Run(outcome, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.run()
				id := w.send(team)
				w.expand(id, 0, crew[:2]...)
				c.setup(w)
				r := w.recall(id)
				w.after(time.Minute)
				w.expand(id, 0, crew[2])
				w.after(time.Minute)
				r = w.report(r.ID)
				if got := codes(r); len(got) != 3 || got[crew[2]] != c.want[crew[2]] || got[crew[0]] != c.want[crew[0]] {
					t.Errorf("codes are %v, want %v", got, c.want)
				}
				if r.Ended.IsZero() {
					t.Error("it has not ended")
				}
			})
		})
	}
}

// TestGroupWithoutStaging: a mailbox that does not let its copy be set aside is tried for as long as anything is,
// and the reason is told.
func TestGroupWithoutStaging(t *testing.T) {
	for outcome, c := range map[string]struct {
		err  error
		want policy.RecallCode
	}{
		"busy":   {mailbox.ErrUnreachable, policy.MailboxUnreachable},
		"denied": {mailbox.ErrDenied, policy.PermissionDenied},
	} {
		t.Run(outcome, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.cfg.RetryFor = time.Hour
				w.run()
				id := w.send(team)
				w.expand(id, 0, crew...)
				w.desk.hooked(func(op, user string) error {
					if op == "take" && user == string(crew[1]) {
						return c.err
					}
					return nil
				})
				r := w.recall(id)
				w.after(2 * time.Hour)
				r = w.report(r.ID)
				w.want(r, policy.RecallAllFailed, crewCodes(policy.GroupMemberBlocked, c.want, policy.GroupMemberBlocked))
				for _, m := range crew {
					w.lies(string(m), "INBOX")
				}
				w.ended(r)
			})
		})
	}
}

// TestCancelWithAnUnreadableJournal: what is set aside goes back also when the journal cannot be read at first.
func TestCancelWithAnUnreadableJournal(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(team)
		w.expand(id, 0, crew...)
		var recall policy.ID
		w.desk.hooked(func(op, user string) error {
			switch {
			case op == "restore":
				return mailbox.ErrUnreachable
			case op == "take" && user == string(crew[2]):
				return mailbox.ErrUnreachable
			}
			return nil
		})
		recall = w.recall(id).ID
		w.journal.unreadable(errors.New("input/output error"))
		if _, err := w.Cancel(w.Context(), recall, "root"); err == nil {
			t.Error("cancelled")
		}
		w.after(time.Minute)
		w.desk.hooked(nil)
		w.journal.unreadable(nil)
		w.after(2 * time.Hour)
		for _, m := range crew {
			w.lies(string(m), "INBOX")
		}
		if r := w.report(recall); r.Overall != policy.RecallCancelled {
			t.Errorf("overall is %s", r.Overall)
		}
	})
}

// TestSomebodyElsesSuccessIsContradicted: what another recall had taken back and was delivered nevertheless.
func TestSomebodyElsesSuccessIsContradicted(t *testing.T) {
	const outside = policy.Address("x@far.example")
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(outside, bob)
		w.happen(id, policy.Canceled, 0)
		r := w.recall(id)
		w.want(r, policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{outside: policy.AlreadyRecalled, bob: policy.RemovedFromHold})
		w.after(time.Minute)
		w.happen(id, policy.RelayedRemote, 0)
		w.after(time.Minute)
		r = w.report(r.ID)
		if got := codes(r)[outside]; got != policy.DeliveredBeforeRecall || !r.Corrected {
			t.Errorf("%s, corrected %v", got, r.Corrected)
		}
	})
}

// TestForgedAnswersBlockNothing: what came from outside in a recipient's name is not the recipient's answer.
func TestForgedAnswersBlockNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.deliver(id, 0)
		w.sendAs(policy.Envelope{Front: policy.Milter, Direction: policy.Inbound, Sender: bob, MessageID: "<2@far.example>", References: []string{"<1@corp.example>"}}, sender)
		w.want(w.recall(id), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{bob: policy.RemovedFromMailbox})
	})
}
