package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

func TestEveryRecallCodeHasAStatusAndBothLanguages(t *testing.T) {
	if len(RecallCodes) != len(recallTexts) {
		t.Errorf("%d codes are listed, %d have texts", len(RecallCodes), len(recallTexts))
	}
	seen := map[Label]RecallCode{}
	for _, c := range RecallCodes {
		l := recallTexts[c].text
		if l.EN == "" || l.ZH == "" || recallTexts[c].status == "" {
			t.Errorf("%s: %+v", c, recallTexts[c])
		}
		if other, ok := seen[l]; ok {
			t.Errorf("%s and %s read the same", c, other)
		}
		seen[l] = c
	}
	if c := RecallCode("of a later version"); c.Status() != RecallFail || c.Label() != RecallUnknown.Label() {
		t.Errorf("a code that is not listed: %s %v", c.Status(), c.Label())
	}
}

// TestRecallFromAMailbox goes from the delivery over a recall to a restore.
func TestRecallFromAMailbox(t *testing.T) {
	job := ulid.MustNew(1, nil)
	outcome := func(seconds int, code RecallCode) Event {
		e := at(seconds, RecallOutcome)
		e.Subject, e.Reason = job.String(), string(code)
		return e
	}
	for _, c := range []struct {
		outcome string
		events  []Event
		want    State
		note    RecallCode
	}{
		{"taken out of the mailbox", []Event{at(0, DeliveredMailbox), outcome(1, RemovedFromMailbox)}, StateRecalled, RemovedFromMailbox},
		{"on arrival, before the log has said that it arrived", []Event{at(0, HandedOver), outcome(1, RemovedFromMailbox), at(2, DeliveredMailbox)}, StateRecalled, RemovedFromMailbox},
		{"read: it stays delivered", []Event{at(0, DeliveredMailbox), outcome(1, AlreadyRead)}, StateDeliveredMailbox, AlreadyRead},
		{"restored", []Event{at(0, DeliveredMailbox), outcome(1, RemovedFromMailbox), at(2, Restored)}, StateDeliveredMailbox, RemovedFromMailbox},
		{"a restore of what was not recalled says nothing", []Event{at(0, RelayedRemote), at(2, Restored)}, StateRelayedRemote, ""},
		{"a bounce after it is stronger", []Event{at(0, DeliveredMailbox), outcome(1, RemovedFromMailbox), at(2, AsyncBounced)}, StateAsyncBounced, RemovedFromMailbox},
		{"the newest note stays", []Event{at(0, DeliveredMailbox), outcome(3, AlreadyRead), outcome(1, Retrying)}, StateDeliveredMailbox, AlreadyRead},
	} {
		rows := Rows{{}}
		for _, e := range c.events {
			rows, _ = rows.Apply(e)
		}
		if rows[0].State != c.want || rows[0].Recall.Code != c.note {
			t.Errorf("%s: %s %s, want %s %s", c.outcome, rows[0].State, rows[0].Recall.Code, c.want, c.note)
		}
		if c.note != "" && rows[0].Recall.Job != job {
			t.Errorf("%s: of recall %s", c.outcome, rows[0].Recall.Job)
		}
	}
	rows, changed := Rows{{}}.Apply(Event{Kind: RecallOutcome, Time: time.Now(), Subject: "no id", Reason: string(AlreadyRead)})
	if len(changed) != 0 || rows[0].Recall != (RecallNote{}) {
		t.Errorf("an outcome of no recall is noted: %+v", rows[0].Recall)
	}
}

func TestReferences(t *testing.T) {
	for _, c := range []struct {
		outcome, inReplyTo, references string
		want                           []string
	}{
		{"neither", "", "", nil},
		{"an answer", "<a@x>", "<r@x> <a@x>", []string{"<a@x>", "<r@x>"}},
		{"the nearest first, four of them", "", "<1@x> <2@x>\r\n <3@x>\t<4@x> <5@x>", []string{"<5@x>", "<4@x>", "<3@x>", "<2@x>"}},
		{"words around it", "Your message of Monday <a@x> (thanks)", "", []string{"<a@x>"}},
		{"no brackets", "a@x", "b@x c@x", nil},
		{"open and empty brackets", "<a@x", "<> <b c> <d@x>", []string{"<d@x>"}},
		{"too long", "<" + strings.Repeat("a", 255) + ">", "<b@x>", []string{"<b@x>"}},
		{"a very long chain", "", strings.Repeat("<a@x> ", 100_000) + "<z@x>", []string{"<z@x>", "<a@x>"}},
	} {
		if got := References(c.inReplyTo, c.references); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.outcome, got, c.want)
		}
	}
}
