package recall

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

const bob = policy.Address("bob@corp.example")

// TestOutcomes makes each code come about for one recipient.
func TestOutcomes(t *testing.T) {
	const outside = policy.Address("x@far.example")
	for name, c := range map[string]struct {
		to    policy.Address // bob by default
		setup func(w *world, id policy.ID)
		want  policy.RecallCode
		plan  policy.RecallCode // what the dry run says, if something else
		proof string            // in the detail or the words
		kept  []string          // folders of bob
	}{
		"held":                        {want: policy.RemovedFromHold},
		"held, to somebody outside":   {to: outside, want: policy.RemovedFromHold},
		"deferred in our own queue":   {to: outside, setup: func(w *world, id policy.ID) { w.ours(id) }, want: policy.RemovedFromQueue},
		"bounced":                     {to: outside, setup: func(w *world, id policy.ID) { w.happen(id, policy.Bounced, 0) }, want: policy.NeverDelivered, proof: "250 2.0.0 Ok"},
		"left for the world":          {to: outside, setup: func(w *world, id policy.ID) { w.happen(id, policy.RelayedRemote, 0) }, want: policy.ExternalRecipient, proof: "2000-01-01T00:00:00Z: 250 2.0.0 Ok"},
		"handed to an unknown hop":    {to: outside, setup: func(w *world, id policy.ID) { w.happen(id, policy.HandedOver, 0) }, want: policy.ExternalRecipient},
		"unknown outside":             {to: outside, setup: func(w *world, id policy.ID) { w.happen(id, policy.Unknown, 0) }, want: policy.RecallUnknown},
		"unread":                      {setup: func(w *world, id policy.ID) { w.deliver(id, 0) }, plan: policy.RecallPlanned, want: policy.RemovedFromMailbox, proof: `"INBOX" UID 1 by id`, kept: []string{staging}},
		"moved by a rule":             {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.desk.boxes[string(bob)][0].folder = "Projects" }, plan: policy.RecallPlanned, want: policy.RemovedFromMailbox, proof: `"Projects"`, kept: []string{staging}},
		"deleted but in the trash":    {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.desk.boxes[string(bob)][0].folder = "Trash" }, plan: policy.RecallPlanned, want: policy.RemovedFromMailbox, kept: []string{staging}},
		"found before the log has it": {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.rewind(id, policy.HandedOver) }, plan: policy.RecallPlanned, want: policy.RemovedFromMailbox, kept: []string{staging}},
		"read":                        {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.desk.read(string(bob)) }, want: policy.AlreadyRead, proof: `\Seen`, kept: []string{"INBOX"}},
		"answered":                    {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.desk.flag(string(bob), `\Answered`) }, want: policy.Replied, kept: []string{"INBOX"}},
		"forwarded":                   {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.desk.flag(string(bob), `$Forwarded`) }, want: policy.Forwarded, kept: []string{"INBOX"}},
		"receipt sent":                {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.desk.flag(string(bob), `$MDNSent`) }, want: policy.AlreadyRead, kept: []string{"INBOX"}},
		"read at the last moment": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.desk.hooked(once("take", func() { w.desk.read(string(bob)) }))
		}, plan: policy.RecallPlanned, want: policy.ReadDuringRecall, kept: []string{"INBOX"}},
		"seen read before, and marked unread": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.record(id, policy.Event{Kind: policy.ReadSeen, Recipients: []int{0}, Evidence: "flag_change"})
		}, want: policy.AlreadyRead, proof: "flag_change", kept: []string{"INBOX"}},
		"forwarded through us": {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.answer("cat@corp.example") }, want: policy.Forwarded, proof: "to 1 recipients", kept: []string{"INBOX"}},
		"answered through us":  {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.answer(sender) }, want: policy.Replied, kept: []string{"INBOX"}},
		"purged":               {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.desk.boxes[string(bob)] = nil }, want: policy.NotInMailbox},
		"deleted between look and removal": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.desk.hooked(once("take", func() { w.desk.boxes[string(bob)] = nil }))
		}, plan: policy.RecallPlanned, want: policy.NotInMailbox},
		"moved between look and removal": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.desk.hooked(once("take", func() { w.desk.move(w.desk.boxes[string(bob)][0], "Later") }))
		}, plan: policy.RecallPlanned, want: policy.RemovedFromMailbox, proof: `"Later"`, kept: []string{staging}},
		"purged, and without Message-ID": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.desk.boxes[string(bob)] = nil
			w.journal.messages[id].Envelope.MessageID = ""
		}, want: policy.MessageIDMissing},
		"another message with this Message-ID": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.desk.put(string(bob), "INBOX", letter{id: policy.ID{9}, messageID: "<1@corp.example>"})
		}, plan: policy.RecallPlanned, want: policy.RemovedFromMailbox, kept: []string{"INBOX", staging}},
		"two alike without our id": {setup: func(w *world, id policy.ID) {
			w.happen(id, policy.DeliveredMailbox, 0)
			w.desk.put(string(bob), "INBOX", letter{messageID: "<1@corp.example>"})
			w.desk.put(string(bob), "List", letter{messageID: "<1@corp.example>"})
		}, plan: policy.RecallPlanned, want: policy.RemovedFromMailbox, kept: []string{staging, staging}},
		"two different ones without our id": {setup: func(w *world, id policy.ID) {
			w.happen(id, policy.DeliveredMailbox, 0)
			w.desk.put(string(bob), "INBOX", letter{messageID: "<1@corp.example>"})
			w.desk.put(string(bob), "INBOX", letter{messageID: "<1@corp.example>", body: 1})
		}, want: policy.AmbiguousMatch, kept: []string{"INBOX", "INBOX"}},
		"two copies of which one was read": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.desk.read(string(bob))
			w.desk.put(string(bob), "List", letter{id: id})
		}, want: policy.AlreadyRead, kept: []string{"INBOX", "List"}},
		"two copies of which one is read meanwhile": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.desk.put(string(bob), "List", letter{id: id})
			takes := 0
			w.desk.hooked(func(op, _ string) error {
				if op == "take" {
					if takes++; takes == 2 {
						w.desk.boxes[string(bob)][1].flags = []string{`\Seen`}
					}
				}
				return nil
			})
		}, plan: policy.RecallPlanned, want: policy.ReadDuringRecall, kept: []string{"INBOX", "List"}},
		"no backend":             {to: "y@bare.example", setup: func(w *world, id policy.ID) { w.happen(id, policy.DeliveredMailbox, 0) }, want: policy.NoBackend},
		"mailbox somewhere else": {setup: func(w *world, id policy.ID) { w.happen(id, policy.DeliveredMailbox, 0) }, want: policy.NoBackend, proof: "no such mailbox"},
		"not allowed":            {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.desk.hooked(always2(mailbox.ErrDenied)) }, want: policy.PermissionDenied, proof: "not allowed", kept: []string{"INBOX"}},
		"under legal hold": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.change(func(c *Config) { c.LegalHold = []string{"bob@corp.example"} })
		}, want: policy.HoldPolicyForbids, kept: []string{"INBOX"}},
		"opted out": {setup: func(w *world, id policy.ID) {
			w.deliver(id, 0)
			w.change(func(c *Config) { c.OptOut = []string{"@corp.example"} })
		}, want: policy.RecipientOptOut, kept: []string{"INBOX"}},
		"an invitation":            {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.format = Meeting }, want: policy.ProtectedFormat, kept: []string{"INBOX"}},
		"encrypted":                {setup: func(w *world, id policy.ID) { w.deliver(id, 0); w.format = Encrypted }, plan: policy.RecallPlanned, want: policy.RemovedFromMailbox, kept: []string{staging}},
		"an invitation still held": {setup: func(w *world, id policy.ID) { w.format = Meeting }, want: policy.RemovedFromHold},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.run()
				to := c.to
				if to == "" {
					to = bob
				}
				id := w.send(to)
				if c.setup != nil {
					c.setup(w, id)
				}
				plan, err := w.Plan(w.Context(), w.request(id))
				if err != nil {
					t.Fatal(err)
				}
				if c.plan == "" {
					c.plan = c.want
				}
				if got := codes(plan)[to]; got != c.plan || !plan.DryRun || plan.ID != (policy.ID{}) {
					t.Errorf("planned %s, want %s", got, c.plan)
				}
				r := w.recall(id)
				line := r.Lines[0]
				if line.Code != c.want {
					t.Errorf("code %s, want %s (%s)", line.Code, c.want, line.Detail)
				}
				if !strings.Contains(line.Detail+line.Text.EN, c.proof) || line.Text.ZH == "" {
					t.Errorf("no proof %q in %q, %q", c.proof, line.Detail, line.Text.EN)
				}
				w.lies(string(bob), c.kept...)
				w.ended(r)
			})
		})
	}
}

// ended checks that a recall has ended, was reported once, and says the same after a restart.
func (w *world) ended(r *policy.RecallReport) {
	w.Helper()
	if r.Ended.IsZero() || r.Overall == policy.RecallInProgress {
		w.Errorf("it has not ended: %s", r.Overall)
	}
	if told := w.desk.told(); len(told) != 1 || told[0].ID != r.ID || told[0].Overall != r.Overall {
		w.Errorf("told %d times", len(told))
	}
	w.stop()
	w.run()
	again := w.report(r.ID)
	w.want(again, r.Overall, codes(r))
	if again.Counts != r.Counts || !again.Ended.Equal(r.Ended) {
		w.Errorf("after a restart: %+v, ended %v; before: %+v, ended %v", again.Counts, again.Ended, r.Counts, r.Ended)
	}
	if told := w.desk.told(); len(told) != 1 {
		w.Errorf("told %d times after a restart", len(told))
	}
}

func (w *world) change(f func(*Config)) {
	f(&w.cfg)
	w.Reload(w.cfg)
}

// ours defers a message in our own queue.
func (w *world) ours(id policy.ID) {
	w.happen(id, policy.Released)
	w.record(id, policy.Event{Kind: policy.Deferred, Until: time.Now().Add(time.Hour)})
}

// rewind gives the one recipient of a message another state.
func (w *world) rewind(id policy.ID, kind policy.Kind) {
	w.journal.rows[id][0].Fate = policy.Fate{}
	w.happen(id, kind, 0)
}

// answer lets bob send a message that refers to the first.
func (w *world) answer(to policy.Address) {
	w.sendAs(policy.Envelope{Sender: bob, Identity: "bob", MessageID: "<2@corp.example>", References: []string{"<1@corp.example>"}}, to)
}

func once(op string, f func()) func(string, string) error {
	done := false
	return func(o, _ string) error {
		if o == op && !done {
			done = true
			f()
		}
		return nil
	}
}

func always2(err error) func(string, string) error {
	return func(string, string) error { return fmt.Errorf("%w: NO [AUTHORIZATIONFAILED]", err) }
}

func TestReadTooTakesWhatWasRead(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.deliver(id, 0)
		w.desk.read(string(bob))
		req := w.asAdmin(w.request(id))
		req.UnreadOnly = false
		r := w.start(req)
		synctest.Wait()
		w.want(w.report(r.ID), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{bob: policy.RemovedFromMailbox})
	})
	inWorld(t, func(w *world) { // a user cannot ask for it
		w.run()
		id := w.send(bob)
		w.deliver(id, 0)
		w.desk.read(string(bob))
		req := w.request(id)
		req.UnreadOnly = false
		r := w.start(req)
		synctest.Wait()
		w.want(w.report(r.ID), policy.RecallAllFailed, map[policy.Address]policy.RecallCode{bob: policy.AlreadyRead})
	})
}

func TestModesEndWhereTheyShould(t *testing.T) {
	for mode, folders := range map[mailbox.Mode][]string{mailbox.Staging: {staging, staging}, mailbox.Trash: {"Trash", "Trash"}, mailbox.Expunge: nil} {
		t.Run(string(mode), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.desk.mode = mode
				w.run()
				id := w.send(bob)
				w.deliver(id, 0)
				w.desk.put(string(bob), "List", letter{id: id})
				w.want(w.recall(id), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{bob: policy.RemovedFromMailbox})
				w.lies(string(bob), folders...)
			})
		})
	}
}

func TestMixedRecipients(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send("bob@corp.example", "cat@corp.example", "x@far.example", "gone@far.example", "held@far.example")
		w.happen(id, policy.Released, 0, 1, 2, 3)
		w.deliver(id, 0, 1)
		w.desk.read("cat@corp.example")
		w.happen(id, policy.RelayedRemote, 2)
		w.happen(id, policy.Bounced, 3)
		req := w.request(id)
		req.Recipients = []string{"<BOB@corp.example>", "cat@corp.example", "x@far.example", "gone@far.example", "nobody@corp.example"}
		r := w.start(req)
		synctest.Wait()
		r = w.report(r.ID)
		w.want(r, policy.RecallPartial, map[policy.Address]policy.RecallCode{
			"bob@corp.example": policy.RemovedFromMailbox, "cat@corp.example": policy.AlreadyRead,
			"x@far.example": policy.ExternalRecipient, "gone@far.example": policy.NeverDelivered,
		})
		if r.Counts != (policy.RecallCounts{Success: 2, Fail: 3}) || len(r.Missing) != 1 || r.Missing[0] != "nobody@corp.example" {
			t.Errorf("counts %+v, missing %v", r.Counts, r.Missing)
		}
		rows, _ := w.journal.Recipients(id)
		if rows[0].State != policy.StateRecalled || rows[0].Recall.Code != policy.RemovedFromMailbox || rows[0].Recall.Job != r.ID || rows[4].State != policy.StateHeld {
			t.Errorf("rows are %+v", rows)
		}
	})
}

func TestServerTrouble(t *testing.T) {
	t.Run("it comes back", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.run()
			id := w.send(bob)
			w.deliver(id, 0)
			w.desk.hooked(always2(mailbox.ErrUnreachable))
			r := w.recall(id)
			w.want(r, policy.RecallInProgress, map[policy.Address]policy.RecallCode{bob: policy.Retrying})
			w.after(6 * time.Minute)
			w.desk.hooked(nil)
			w.after(15 * time.Minute)
			w.want(w.report(r.ID), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{bob: policy.RemovedFromMailbox})
		})
	})
	t.Run("it stays away", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.cfg.RetryFor = 2 * time.Hour
			w.run()
			id := w.send(bob)
			w.deliver(id, 0)
			w.desk.hooked(always2(mailbox.ErrUnreachable))
			r := w.recall(id)
			w.after(2*time.Hour + time.Minute)
			w.want(w.report(r.ID), policy.RecallAllFailed, map[policy.Address]policy.RecallCode{bob: policy.MailboxUnreachable})
		})
	})
	t.Run("an answer is lost, and the copy is found in staging", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.run()
			id := w.send(bob)
			w.deliver(id, 0)
			finds := 0
			w.desk.hooked(func(op, _ string) error {
				if finds++; op == "find" && finds > 1 {
					return mailbox.ErrUnreachable
				}
				return nil
			})
			r := w.recall(id)
			w.want(r, policy.RecallInProgress, map[policy.Address]policy.RecallCode{bob: policy.Retrying})
			w.lies(string(bob), staging)
			w.desk.hooked(nil)
			w.after(6 * time.Second)
			w.want(w.report(r.ID), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{bob: policy.RemovedFromMailbox})
		})
	})
	t.Run("the queue does not answer", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.run()
			w.queue.failing(errors.New("no helper"))
			id := w.send(bob)
			r := w.recall(id)
			w.want(r, policy.RecallInProgress, map[policy.Address]policy.RecallCode{bob: policy.Retrying})
			if !strings.Contains(r.Lines[0].Detail, "no helper") {
				t.Errorf("detail is %q", r.Lines[0].Detail)
			}
			w.queue.failing(nil)
			w.after(6 * time.Second)
			w.want(w.report(r.ID), policy.RecallAllSuccess, map[policy.Address]policy.RecallCode{bob: policy.RemovedFromHold})
		})
	})
}

func TestRetriesAtTheirTimes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.RetryFor = 3 * time.Hour
		w.run()
		id := w.send(bob)
		w.deliver(id, 0)
		begin := time.Now()
		var at []time.Duration
		w.desk.hooked(func(string, string) error {
			at = append(at, time.Since(begin))
			return mailbox.ErrUnreachable
		})
		w.recall(id)
		w.after(4 * time.Hour)
		want := "[0s 5s 20s 1m20s 6m20s 21m20s 1h21m20s 2h21m20s 3h0m0s]"
		if got := fmt.Sprint(at); got != want {
			t.Errorf("tried at %s, want %s", got, want)
		}
	})
}

func TestReportIsTriedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.desk.fail = errors.New("spool full")
		w.run()
		id := w.send(bob)
		r := w.recall(id)
		if len(w.desk.told()) != 0 || r.Overall != policy.RecallAllSuccess {
			t.Fatalf("told %v, %s", w.desk.told(), r.Overall)
		}
		w.stop()
		w.desk.fail = nil
		w.run()
		w.after(time.Second)
		if len(w.desk.told()) != 1 {
			t.Errorf("told %d times", len(w.desk.told()))
		}
	})
}

func TestNoReportWhenSwitchedOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.Report = false
		w.run()
		w.recall(w.send(bob))
		w.after(time.Hour)
		if len(w.desk.told()) != 0 {
			t.Error("told")
		}
	})
}

func TestNotFound(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		if _, err := w.Report(context.Background(), id); err == nil || !strings.Contains(err.Error(), "not found") {
			t.Errorf("a message passes for a recall: %v", err)
		}
	})
}
