package web

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// erasing is a server with mail of ann and her colleagues.
type erasing struct {
	*rig
	ids map[string]policy.ID
}

func newErasing(t *testing.T) *erasing {
	e := &erasing{rig: newRig(t), ids: map[string]policy.ID{}}
	e.put("sent", "ann@corp.example", "Ann", "Salary of Ann", "bob@example.net")
	e.put("aside", "ann@corp.example", "erp", "Invoice 4711", "carol@example.net") // counted for a program
	e.put("received", "bob@example.net", "bob", "For ann@corp.example only", "Ann@corp.example")
	e.put("shared", "bob@example.net", "bob", "All hands, ann@corp.example too", "ann@corp.example", "carol@corp.example")
	e.put("another", "joann@corp.example", "joann", "Mine", "bob@example.net")
	for name, id := range e.ids {
		e.observe(id.String(), policy.Event{
			Kind: policy.RelayedRemote, Actor: "track", QueueID: "Q" + name, Reply: "250 2.0.0 Ok ann@corp.example", Evidence: "to=<ann@corp.example> ann smith, status=sent",
			Findings: []policy.Finding{{Rule: "r", Kind: "limit", Key: "ann@corp.example"}},
		})
	}
	e.put("held", "ann@corp.example", "Ann", "Still here", "bob@example.net")
	return e
}

func (e *erasing) put(name, sender, identity, subject string, to ...string) {
	id := e.store.NewID()
	env := policy.Envelope{
		Received: e.now, Front: policy.Relay, Direction: policy.Outbound, Sender: policy.Address(sender), Identity: identity, Login: identity,
		Client: netip.MustParseAddr("192.0.2.7"), Helo: "ann-laptop", Size: 3, Subject: subject, From: "Ann <" + sender + ">",
		MessageID: "<" + name + "@corp.example>", References: []string{"<r@corp.example>"},
	}
	for _, a := range to {
		env.Recipients = append(env.Recipients, policy.Recipient{Address: policy.Address(a), Original: a})
	}
	body := e.store.NewBody(id)
	if _, err := body.Write([]byte("Subject: " + subject + "\r\n\r\nann@corp.example\r\n")); err != nil {
		e.t.Fatal(err)
	}
	_, err := e.store.Commit(e.t.Context(), store.Change{Message: id, Envelope: &env, Body: body, Events: []policy.Event{
		{Kind: policy.Accepted, Time: e.now, Actor: "smtp", Charge: &policy.Charge{Amounts: []policy.Amount{{Rule: "r", Key: "ann@corp.example"}}}},
		{Kind: policy.Held, Time: e.now, Until: e.now.Add(time.Hour)},
	}})
	if err != nil {
		e.t.Fatal(err)
	}
	e.ids[name] = id
}

// everything is all that the journal has of a message, as the API tells it, with its body.
func (e *erasing) everything(name string) string {
	w := e.ask(e.server, "secret-admin", http.MethodGet, "/api/v1/messages/"+e.ids[name].String(), "")
	source := e.ask(e.server, "secret-admin", http.MethodGet, "/api/v1/messages/"+e.ids[name].String()+"/source?part=body", "")
	records, err := e.store.Timeline(e.ids[name])
	if err != nil {
		e.t.Fatal(err)
	}
	all, err := json.Marshal(records)
	if err != nil {
		e.t.Fatal(err)
	}
	charges := ""
	for _, r := range records {
		for _, ev := range r.Events {
			if ev.Charge != nil {
				text, _ := json.Marshal(ev.Charge)
				charges += string(text)
			}
		}
	}
	m, err := e.store.Message(e.ids[name])
	if err != nil {
		e.t.Fatal(err)
	}
	row, _ := json.Marshal(m)
	return strings.ToLower(w.Body.String() + source.Body.String() + string(all) + charges + string(row))
}

func (e *erasing) found(q string) (names []string) {
	query, err := store.ParseQuery(q, e.now)
	if err != nil {
		e.t.Fatal(err)
	}
	page, err := e.store.Search(e.t.Context(), query, 100, "")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, m := range page.Messages {
		for name, id := range e.ids {
			if id == m.ID {
				names = append(names, name)
			}
		}
	}
	return names
}

func (e *erasing) erase(body string) Erasure {
	e.t.Helper()
	return post[Erasure](e.rig, "/api/v1/people/ann%40corp.example/erase", body)
}

func TestAPersonIsErasedFromMessages(t *testing.T) {
	e := newErasing(t)
	before := map[string]string{}
	for name := range e.ids {
		before[name] = e.everything(name)
	}
	plan := e.erase(`{"dry_run":true}`)
	if plan.Messages != (ErasedMessages{Erased: 4, OnTheWay: 1}) || !plan.DryRun || !strings.Contains(plan.Text.EN, "Nothing was changed") || !strings.Contains(plan.Text.ZH, "未作任何更改") {
		t.Errorf("the plan: %+v", plan)
	}
	for name := range e.ids {
		if e.everything(name) != before[name] {
			t.Errorf("a dry run has changed %s", name)
		}
	}

	done := e.erase(`{"reason":"request 117"}`)
	if done.Messages != plan.Messages || done.Left.Sent != 1 || done.Left.Received != 0 || !strings.Contains(done.Text.EN, "taken out of 4 messages") || !strings.Contains(done.Text.EN, "1 on the way") || !strings.Contains(done.Text.ZH, "投递中 1 封") {
		t.Errorf("it came to %+v", done)
	}
	for _, name := range []string{"sent", "aside", "received", "shared"} {
		text := e.everything(name)
		for _, word := range []string{"ann@corp.example", "ann smith", "salary", "4711", "only"} {
			if strings.Contains(text, word) {
				t.Errorf("%s still has %q:\n%s", name, word, text)
			}
		}
		if !strings.Contains(text, "erased-") || !strings.Contains(text, `"kind":"erased"`) || !strings.Contains(text, "request 117") || !strings.Contains(text, "no_source") {
			t.Errorf("%s does not say that it was erased:\n%s", name, text)
		}
	}
	for name, words := range map[string][]string{
		"sent": {"bob@example.net", "250 2.0.0"}, "shared": {"all hands", "carol@corp.example", "bob@example.net"}, "received": {"bob@example.net"}, "another": {"mine", "joann@corp.example"},
	} {
		for _, word := range words {
			if !strings.Contains(e.everything(name), word) {
				t.Errorf("%s lost %q", name, word)
			}
		}
	}
	if strings.Contains(e.everything("sent"), "192.0.2.7") || strings.Contains(e.everything("aside"), `"erp"`) || strings.Contains(e.everything("sent"), "laptop") {
		t.Error("who sent it can still be told")
	}
	if e.everything("held") != before["held"] {
		t.Error("what is still ours was changed")
	}
	e.onlyTheName("another", before["another"])
	for q, want := range map[string]string{
		"from:ann@corp.example": "held", "identity:ann": "held", "to:ann@corp.example": "", "subject:salary": "", "subject:4711": "", "id:<sent@corp.example>": "",
		"identity:erp": "", "from:ann": "held", "id:<received@corp.example>": "", "to:carol@example.net": "aside", "queue:Qsent": "sent", "from:joann": "another",
	} {
		if got := strings.Join(e.found(q), " "); got != want {
			t.Errorf("%s finds %q, want %q", q, got, want)
		}
	}
	again := e.erase(`{}`)
	if again.Messages != (ErasedMessages{OnTheWay: 1}) {
		t.Errorf("once more: %+v", again)
	}
	e.wholeAfterwards()
}

// onlyTheName holds that of somebody else's message nothing was changed but the name in it.
func (e *erasing) onlyTheName(name, before string) {
	e.t.Helper()
	row := func(text string) string { return text[strings.LastIndex(text, `{"id"`):] }
	now := e.everything(name)
	if strings.Contains(now, "ann@corp.example ") || strings.Contains(now, "<ann@corp.example>") || !strings.Contains(now, "250 2.0.0 ok erased-") || !strings.Contains(now, "ann smith") {
		e.t.Errorf("%s: %s", name, now)
	}
	if !strings.Contains(now, "joann@corp.example") || !strings.Contains(now, `"subject":"mine"`) || row(now) == "" || e.states(name) != "relayed_remote" {
		e.t.Errorf("more than the name was changed in %s: %s\nbefore: %s", name, now, before)
	}
}

func (e *erasing) states(name string) (states string) {
	rows, err := e.store.Recipients(e.ids[name])
	if err != nil {
		e.t.Fatal(err)
	}
	for i := range rows {
		states += string(rows[i].State)
	}
	return states
}

// wholeAfterwards opens the journal anew: it verifies itself.
func (e *erasing) wholeAfterwards() {
	e.t.Helper()
	if v := get[AuditVerdict](e.rig, "/api/v1/audit/verify"); !v.Whole {
		e.t.Errorf("the audit log: %+v", v)
	}
	for name, id := range e.ids {
		rows, err := e.store.Recipients(id)
		if err != nil {
			e.t.Fatal(err)
		}
		m, err := e.store.Message(id)
		if err != nil || len(rows) != m.Recipients || (m.BodySize == 0) != (name != "held" && name != "another") {
			e.t.Errorf("%s: %d rows of %d, %d octets, %v", name, len(rows), m.Recipients, m.BodySize, err)
		}
	}
}

func TestLegalHoldWins(t *testing.T) {
	e := newErasing(t)
	e.server.legalHold = func(a policy.Address) bool { return a.Key() == "carol@corp.example" }
	done := e.erase(`{}`)
	if done.Messages != (ErasedMessages{Erased: 3, OnTheWay: 1, LegalHold: 1}) || !strings.Contains(done.Text.EN, "1 under legal hold") || !strings.Contains(done.Text.ZH, "受法律保留 1 封") {
		t.Errorf("%+v", done)
	}
	if !strings.Contains(e.everything("shared"), `"ann@corp.example"`) {
		t.Error("what the law holds was changed")
	}
	e.server.legalHold = func(a policy.Address) bool { return a.Key() == "ann@corp.example" }
	for _, body := range []string{`{}`, `{"dry_run":true}`} {
		w := e.ask(e.server, "secret-admin", http.MethodPost, "/api/v1/people/ann%40corp.example/erase", body)
		wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 409, "legal_hold", errLegalHold.Detail)
	}
}

func TestWhatARecallStillNeedsIsKept(t *testing.T) {
	e := newErasing(t)
	job := e.store.NewID().String()
	e.observe(e.ids["received"].String(), policy.Event{Kind: policy.RecallOutcome, Subject: job, Reason: string(policy.RemovedFromMailbox), Copies: []policy.MailCopy{{User: "ann"}}})
	e.observe(e.ids["shared"].String(), policy.Event{Kind: policy.RecallOutcome, Subject: job, Reason: string(policy.Retrying)})
	if done := e.erase(`{}`); done.Messages != (ErasedMessages{Erased: 2, OnTheWay: 1, Recalled: 2}) {
		t.Errorf("%+v", done)
	}
	e.now = e.now.Add(restorable)
	if done := e.erase(`{"dry_run":true}`); done.Messages != (ErasedMessages{Erased: 1, OnTheWay: 1, Recalled: 1}) {
		t.Errorf("a month later: %+v", done)
	}
}

func TestNamesInTexts(t *testing.T) {
	e := newEraser("ann@corp.example", time.Now())
	for text, want := range map[string]string{
		"":                                    "",
		"to Ann@Corp.example.":                "to X.",
		"joann@corp.example":                  "joann@corp.example",
		"ann@corp.example.org":                "ann@corp.example.org",
		"<ann@corp.example>,ann@corp.example": "<X>,X",
		"ann":                                 "ann",
		"\xff ann@corp.example":               "\xff X",
	} {
		if got := strings.ReplaceAll(e.text(text), e.mark, "X"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if other := newEraser("ann@corp.example", time.Now()); other.mark == e.mark {
		t.Error("two erasures have the same digest: it could be made again")
	}
	for reply, want := range map[string]string{"550 5.1.1 <ann@x> unknown": "550 5.1.1", "450-4.2.1 ann": "450-4.2.1", "ann": "", "250 ok": "250", "5501": "550"} {
		if got := codes(reply); got != want {
			t.Errorf("%q: %q", reply, got)
		}
	}
}

// FuzzNamesInTexts holds that what namesPerson finds is not there any more.
func FuzzNamesInTexts(f *testing.F) {
	f.Add("to Ann@Corp.example.", "ann@corp.example")
	f.Add("a.a.a", "a")
	f.Fuzz(func(t *testing.T, text, person string) {
		if !isPerson(person) || strings.ToLower(text) != text || strings.ToLower(person) != person || strings.Contains("erased-0123456789abcdef@erased.invalid", person) {
			return
		}
		e := newEraser(person, time.Time{})
		after := e.text(text)
		if namesPerson(after, person) && !strings.Contains(person, "erased") {
			t.Errorf("%q in %q leaves %q", person, text, after)
		}
	})
}
