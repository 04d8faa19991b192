package gateway

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// returning is a held message whose sender can be told.
func returning(t *testing.T, front policy.Front) *held {
	h := newHeld(t, front)
	h.returns = newReturns(h.journal, notify.New("gw.corp.test", time.Hour, h.journal, time.Now), func(e *policy.Envelope) bool { return e.Sender.Domain() != "elsewhere.test" }, time.Now, zap.NewNop())
	return h
}

func (h *held) giveBack(t *testing.T, recipients ...int) web.Bounce {
	t.Helper()
	_, bounce, err := h.Return(t.Context(), h.id, recipients, "price list of last year", "api:test")
	if err != nil {
		t.Fatal(err)
	}
	return bounce
}

// bounces gives the reports in the journal, and how often the timeline says that the sender was told.
func (h *held) bounces(t *testing.T) (texts []string, told int) {
	t.Helper()
	q, err := store.ParseQuery("to:alice@corp.test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	page, err := h.journal.Search(t.Context(), q, 10, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range page.Messages {
		r, err := h.journal.Body(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		texts = append(texts, string(text))
		if m.Envelope.Sender != "" {
			t.Errorf("the bounce is from %s", m.Envelope.Sender)
		}
	}
	records, err := h.journal.Timeline(h.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		for _, e := range r.Events {
			if e.Kind == policy.Notified && e.Reason == returnedAbout {
				told++
			}
		}
	}
	return texts, told
}

func (h *held) owed(t *testing.T) int {
	t.Helper()
	names, err := h.journal.KeptNames(returnsName)
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestASenderIsToldThatHisMailWasStopped(t *testing.T) {
	for _, front := range []policy.Front{policy.Relay, policy.Milter} {
		t.Run(string(front), func(t *testing.T) {
			h := returning(t, front)
			if got := h.giveBack(t, 1); got != web.BounceSent {
				t.Errorf("bounce %q", got)
			}
			texts, told := h.bounces(t)
			if len(texts) != 1 || told != 1 || h.owed(t) != 0 {
				t.Fatalf("%d bounces, told %d times, %d owed", len(texts), told, h.owed(t))
			}
			for _, want := range []string{
				"Final-Recipient: rfc822; carol@corp.test", "Action: failed", "Status: 5.7.1", "Diagnostic-Code: x-sendgate; stopped by an administrator",
				"To: <alice@corp.test>", "report-type=delivery-status", "Reason: price list of last year", "An administrator stopped your message",
			} {
				if !strings.Contains(texts[0], want) {
					t.Errorf("no %q in\n%s", want, texts[0])
				}
			}
			if strings.Contains(texts[0], "bob@corp.test") {
				t.Error("it names a recipient who was not taken out")
			}
			h.giveBack(t) // bob, too; carol is not told of twice
			texts, told = h.bounces(t)
			if len(texts) != 2 || told != 2 || strings.Contains(texts[0], "carol@corp.test") || !strings.Contains(texts[0], "bob@corp.test") {
				t.Errorf("%d bounces, told %d times:\n%s", len(texts), told, texts[0])
			}
			if got := h.giveBack(t); got != web.BounceNone {
				t.Errorf("what was taken back before: %q", got)
			}
			if h.owed(t) != 0 {
				t.Errorf("%d owed", h.owed(t))
			}
		})
	}
}

func TestNobodyIsToldWhoIsNotToBe(t *testing.T) {
	for outcome, change := range map[string]func(*policy.Envelope){
		"a forged sender":       func(e *policy.Envelope) { e.Sender = "ceo@elsewhere.test" },
		"the null sender":       func(e *policy.Envelope) { e.Sender = "" },
		"what we wrote":         func(e *policy.Envelope) { e.Front = policy.Internal },
		"who wants no reports":  func(e *policy.Envelope) { e.Recipients[0].Notify = []string{"NEVER"} },
		"who wants only delays": func(e *policy.Envelope) { e.Recipients[0].Notify = []string{"DELAY"} },
	} {
		t.Run(outcome, func(t *testing.T) {
			h := returning(t, policy.Relay)
			e := envelope("bob@corp.test")
			e.Front = policy.Relay
			change(&e)
			h.id = h.journal.NewID()
			commit(t, h.journal, store.Change{Message: h.id, Envelope: &e, Events: []policy.Event{
				{Kind: policy.Accepted, Time: e.Received}, {Kind: policy.Held, Time: e.Received, Until: e.Received.Add(time.Hour)},
			}})
			if got := h.giveBack(t); got != web.BounceNone || h.owed(t) != 0 || h.states(t) != "canceled" {
				t.Errorf("bounce %q, %d owed, %s", got, h.owed(t), h.states(t))
			}
			if texts, told := h.bounces(t); len(texts)+told != 0 {
				t.Errorf("%d bounces, told %d times", len(texts), told)
			}
		})
	}
}

func TestASenderIsToldAfterPostfixHasDeletedIt(t *testing.T) {
	h := returning(t, policy.Milter)
	h.helper.set(h.helper.silent, "delete", true)
	if got := h.giveBack(t); got != web.BouncePending || h.owed(t) != 1 {
		t.Fatalf("bounce %q, %d owed", got, h.owed(t))
	}
	h.settleAll(t.Context())
	if texts, _ := h.bounces(t); len(texts) != 0 {
		t.Fatal("the sender is told while Postfix has the message")
	}
	h.helper.set(h.helper.silent, "delete", false)
	h.cancel(t) // the keeper's rounds do the same
	h.settleAll(t.Context())
	if texts, told := h.bounces(t); len(texts) != 1 || told != 1 || h.owed(t) != 0 {
		t.Errorf("%d bounces, told %d times, %d owed", len(texts), told, h.owed(t))
	}
}

func TestACrashLeadsToOneBounce(t *testing.T) {
	for outcome, before := range map[string]func(t *testing.T, h *held, owed *returnOwed){
		"after the decision": func(*testing.T, *held, *returnOwed) {},
		"after the report": func(t *testing.T, h *held, owed *returnOwed) {
			m, err := h.journal.Message(h.id)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := h.journal.Recipients(h.id)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := h.returns.reporter.Stopped(t.Context(), owed.Report, m, rows, owed.Reason); err != nil {
				t.Fatal(err)
			}
		},
		"after all": func(t *testing.T, h *held, owed *returnOwed) {
			value, err := h.journal.Kept(owed.name())
			if err != nil {
				t.Fatal(err)
			}
			h.settleAll(t.Context())
			if err := h.journal.Keep(owed.name(), value); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(outcome, func(t *testing.T) {
			h := returning(t, policy.Relay)
			owed, err := h.returns.note(h.id, nil, "why", "api:test")
			if err != nil {
				t.Fatal(err)
			}
			h.settleAll(t.Context())
			if h.owed(t) != 1 {
				t.Fatal("what a request is busy with was settled under its hands")
			}
			h.returns.letGo(owed)
			h.cancel(t)
			before(t, h, owed)
			h.settleAll(t.Context())
			if texts, told := h.bounces(t); len(texts) != 1 || told != 1 || h.owed(t) != 0 {
				t.Errorf("%d bounces, told %d times, %d owed", len(texts), told, h.owed(t))
			}
		})
	}
}

func TestWhatWasNotDecidedIsNotOwed(t *testing.T) {
	h := returning(t, policy.Relay)
	owed, err := h.returns.note(h.id, nil, "why", "api:test")
	if err != nil {
		t.Fatal(err)
	}
	h.returns.letGo(owed) // a crash before the decision
	if err := h.journal.Keep(returnsName+"x", []byte("{")); err != nil {
		t.Fatal(err)
	}
	h.settleAll(t.Context())
	if texts, told := h.bounces(t); len(texts)+told != 0 || h.owed(t) != 0 {
		t.Errorf("%d bounces, told %d times, %d owed", len(texts), told, h.owed(t))
	}
}

func TestOneSenderGetsSoManyReports(t *testing.T) {
	h := returning(t, policy.Relay)
	now := time.Now()
	h.returns.now = func() time.Time { return now }
	for range returnsMost {
		if told, err := h.returns.barred(h.id); err != nil || told != "" {
			t.Fatalf("%q, %v", told, err)
		}
	}
	if got := h.giveBack(t); got != web.BounceLimited || h.owed(t) != 0 || h.states(t) != "canceled canceled" {
		t.Errorf("bounce %q, %d owed, %s", got, h.owed(t), h.states(t))
	}
	if texts, told := h.bounces(t); len(texts)+told != 0 {
		t.Errorf("%d bounces, told %d times", len(texts), told)
	}
	now = now.Add(returnsSpan)
	if told, err := h.returns.barred(h.id); err != nil || told != "" || len(h.returns.lots) != 1 {
		t.Errorf("an hour later: %q, %v, %v", told, err, h.returns.lots)
	}
}
