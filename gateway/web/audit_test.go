package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// audited gives the acts of the audit log, newest first.
func (c *crew) audited() (acts []string) {
	c.t.Helper()
	entries, err := c.store.AuditLog(0, store.MaxPage, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range entries {
		e := auditView(&entries[i])
		acts = append(acts, strings.Join([]string{e.Act, e.Actor, e.Object, e.Detail}, "|"))
	}
	return acts
}

func TestWhatIsDoneIsInTheAuditLog(t *testing.T) {
	c := newCrew(t)
	c.commitDecision(c.foreign, policy.Event{Kind: policy.ApprovalRequested, Time: c.now, Subject: "batch"})
	for _, one := range []struct{ kind, path, body, want string }{
		{"U", "/api/v1/messages/" + c.own + "/hold", `{"for":"10m"}`, "hold|user:alice@corp.example|" + c.own + "|until: 2026-11-21T10:40:00Z"},
		{"A", "/api/v1/approvals/batch/cancel", `{"reason":"all spam"}`, "cancel_batch|user:root||done: 1; failed: 0; reason: all spam; messages: " + c.foreign},
		{"O", "/api/v1/messages/" + c.own + "/cancel", `{"reason":"no"}`, "cancel|user:olga|" + c.own + "|recipients: 1"},
		{"D", "/api/v1/senders/alice%40corp.example/reset", `{"reason":"as asked"}`, "reset|user:dora|alice@corp.example|reason: as asked"},
		{"O", "/api/v1/campaigns/" + policy.ID{15: 1}.String() + "/slow", `{"reason":"odd"}`, "campaign_slow|user:olga|" + policy.ID{15: 1}.String() + "|messages: 0; reason: odd"},
		{"O", "/api/v1/alerts/1/acknowledge", "", "acknowledge|user:olga|1|"},
		{"L", "/api/v1/messages/" + c.own + "/release", "", "refused|user:lars|release-message|role: auditor"},
	} {
		c.request(one.kind[0], "POST", one.path, one.body)
		if acts := c.audited(); len(acts) == 0 || acts[0] != one.want {
			t.Errorf("%s: %q", one.want, acts)
		}
	}
	before := len(c.audited())
	c.request('L', "POST", "/api/v1/messages/"+c.own+"/release", "")
	if after := len(c.audited()); after != before {
		t.Error("the same refusal is noted twice in a minute")
	}
	c.now = c.now.Add(2 * time.Minute)
	c.request('L', "POST", "/api/v1/messages/"+c.own+"/release", "")
	if after := len(c.audited()); after != before+1 {
		t.Error("a refusal is not noted again")
	}
}

func TestSignInsAreInTheAuditLog(t *testing.T) {
	c := newCrew(t)
	r := httptest.NewRequest(http.MethodPost, "/sign-in", nil)
	c.server.signedIn(r, "Root", &signin.Session{User: "root", Kind: "local", Role: "admin"}, nil)
	c.server.signedIn(r, "root", nil, signin.ErrWrong)
	c.server.signedIn(r, "root", nil, signin.ErrTooOften)
	c.server.signedIn(r, "x", nil, errors.Join(signin.ErrBusy, errors.New("secret of a server")))
	c.server.signedIn(r, "y", nil, errBroken)
	want := []string{
		"sign_in_failed|user:y||client: 192.0.2.1:1234; reason: internal",
		"sign_in_failed|user:x||client: 192.0.2.1:1234; reason: unreachable",
		"sign_in_failed|user:root||client: 192.0.2.1:1234; reason: wrong_password",
		"sign_in|user:root||client: 192.0.2.1:1234; role: admin; kind: local",
	}
	if got := c.audited(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestTheAuditLogIsListedByFilters(t *testing.T) {
	c := newCrew(t)
	for i := range 5 {
		c.audit0(t, store.AuditEntry{Time: c.now.Add(time.Duration(i) * time.Hour), Act: []string{"recall", "hold"}[i%2], Actor: fmt.Sprintf("user:U%d", i), Object: "alice@corp.example"})
	}
	for query, want := range map[string][]uint64{
		"": {5, 4, 3, 2, 1}, "?act=recall": {5, 3, 1}, "?act=rec": nil, "?actor=u3": {4}, "?object=ALICE": {5, 4, 3, 2, 1}, "?object=bob": nil,
		"?from=2026-11-21T12:30:00Z": {5, 4, 3}, "?to=2026-11-21T12:30:00Z": {2, 1}, "?before=3": {2, 1}, "?limit=2": {5, 4}, "?act=recall&limit=1&before=5": {3},
	} {
		got := get[AuditList](c.rig, "/api/v1/audit"+query)
		var numbers []uint64
		for _, e := range got.Entries {
			numbers = append(numbers, e.Number)
		}
		if !slices.Equal(numbers, want) {
			t.Errorf("%q: %v, want %v", query, numbers, want)
		}
		if strings.Contains(query, "limit") != (got.Next != 0) || got.Next != 0 && got.Next != numbers[len(numbers)-1] {
			t.Errorf("%q: next %d", query, got.Next)
		}
	}
	first := get[AuditList](c.rig, "/api/v1/audit?limit=1").Entries[0]
	if first.Label != (policy.Label{EN: "Recalled", ZH: "发起撤回"}) || first.Erased || len(first.Hash) != 64 || !first.Time.Equal(c.now.Add(4*time.Hour)) {
		t.Errorf("got %+v", first)
	}
	if got := actLabel("view_nothing"); got != (policy.Label{EN: "view nothing", ZH: "view nothing"}) {
		t.Errorf("an act without words: %v", got)
	}
}

func (c *crew) audit0(t *testing.T, e store.AuditEntry) {
	t.Helper()
	if err := c.store.Audit(e); err != nil {
		t.Fatal(err)
	}
}

// tamperedJournal has a broken audit log, or one that cannot be read.
type tamperedJournal struct {
	*store.Store
	err error
}

func (j tamperedJournal) VerifyAudit() (uint64, error) { return 2, j.err }
func (j tamperedJournal) Audit(store.AuditEntry) error { return errBroken }

func TestTheAuditLogIsVerified(t *testing.T) {
	c := newCrew(t)
	c.audit0(t, store.AuditEntry{Time: c.now, Act: "recall"})
	whole := get[AuditVerdict](c.rig, "/api/v1/audit/verify")
	if !whole.Whole || whole.Entries != 1 || whole.Last != 1 || len(whole.Hash) != 64 || whole.Fault != "" {
		t.Errorf("got %+v", whole)
	}
	broken := c.serverFor(tamperedJournal{c.store, fmt.Errorf("%w: entry 3 was changed", store.ErrAudit)})
	var got AuditVerdict
	w := c.ask(broken, "secret-auditor", "GET", "/api/v1/audit/verify", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Whole || got.Fault != "the audit log is broken: entry 3 was changed" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := c.ask(c.serverFor(tamperedJournal{c.store, errBroken}), "secret-auditor", "GET", "/api/v1/audit/verify", ""); w.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// What cannot be noted was done all the same, and the log of the program says so.
	if w := c.ask(broken, "secret-operator", "POST", "/api/v1/messages/"+c.own+"/hold", `{"for":"10m"}`); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDetailsOfTheAuditLogAreOneLine(t *testing.T) {
	long := strings.Repeat("alice@corp.example ", 200)
	if got := auditText(long); len(got) > maxDetail+5 || strings.HasSuffix(strings.TrimSuffix(got, " …"), "exampl") || !strings.HasSuffix(got, "alice@corp.example …") {
		t.Errorf("cut to %q", got[len(got)-40:])
	}
	if got := auditText(strings.Repeat("外发异常", 500)); len(got) > maxDetail+5 || len(got) < maxDetail-5 || !strings.HasSuffix(got, "异常外发 …") && !strings.HasSuffix(got, "外 …") {
		t.Errorf("a text without spaces is cut to %d octets, %q", len(got), got[max(0, len(got)-20):])
	}
	if got := newRefusals(); !got.isNew("a", time.Unix(0, 0)) || got.isNew("a", time.Unix(1, 0)) || !got.isNew("b", time.Unix(1, 0)) {
		t.Error("refusals are told apart wrongly")
	}
	many := newRefusals()
	for i := range maxRefusals + 5 {
		many.isNew(fmt.Sprint(i), time.Unix(0, 0))
	}
	if len(many.last) > maxRefusals {
		t.Errorf("%d refusals are remembered", len(many.last))
	}
}

// What was done is kept by names and values: a reason cannot pretend to be another value.
func TestParametersOfTheAuditLogAreWhatTheyWere(t *testing.T) {
	kept := auditDetail([]zap.Field{
		zap.String("reason", "two\nlines\xff; role: admin\x1erole\x1fadmin"), zap.String("none", ""), zap.Time("until", time.Time{}), zap.Error(nil), zap.Strings("to", []string{"a", "b"}),
	})
	want := []AuditParameter{{"reason", "two lines\uFFFD; role: admin role admin"}, {"to", "[a b]"}}
	if got := parametersOf(kept); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := auditView(&store.AuditEntry{Detail: kept}); got.Detail != "reason: two lines\uFFFD; role: admin role admin; to: [a b]" || !slices.Equal(got.Parameters, want) {
		t.Errorf("got %+v", got)
	}
	for _, before := range []string{"", "reason: all spam; role: admin", "restored from the backup of batch 7"} {
		if got := auditView(&store.AuditEntry{Detail: before}); got.Detail != before || got.Parameters != nil {
			t.Errorf("an entry of before: %+v", got)
		}
	}
	long := parametersOf(auditDetail([]zap.Field{zap.Int("done", 1), zap.String("reason", strings.Repeat("长", 900)), zap.String("messages", "A")}))
	if len(long) != 2 || long[0] != (AuditParameter{"done", "1"}) || !strings.HasPrefix(long[1].Value, strings.Repeat("长", 600)) || !strings.HasSuffix(long[1].Value, " …") {
		t.Errorf("cut to %q", long)
	}
}

func FuzzAuditParameters(f *testing.F) {
	f.Add("reason", "as asked")
	f.Add("until", "\x1e\x1f; \n")
	f.Fuzz(func(t *testing.T, reason, second string) {
		kept := auditDetail([]zap.Field{zap.String("reason", reason), zap.String("second", second)})
		if got := parametersOf(kept); len(got) > 2 || len(got) == 2 && (got[0].Name != "reason" || got[1].Name != "second") || len(kept) > maxDetail+5 {
			t.Errorf("%q is read as %q", kept, got)
		}
	})
}

func TestNamesOfAPersonInATextAreWhole(t *testing.T) {
	for text, want := range map[string]bool{
		"ann": true, "user:ann": true, "ANN wrote": true, "by ann.": true, "ann; bob": true, "<ann>": true, "ann...": true, "joann ann": true,
		"请暂停ann的外发": true, "帐号ann。": true, "アンann様": true,
		"joann": false, "ann@corp.example": false, "x.ann": false, "ann+news": false, "annä": false, "ann.b": false, "": false, "an": false,
	} {
		if got := namesPerson(text, "Ann"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if namesPerson("x", "") {
		t.Error("nobody is named")
	}
}

func TestAPersonIsExported(t *testing.T) {
	c := newCrew(t)
	c.accept("bob@other.example", "To alice and eve", "alice@corp.example", "eve@example.net")
	c.accept("Alice@corp.example", "Sent with a login", "bob@example.net")
	c.audit0(t, store.AuditEntry{Time: c.now, Act: "suspend", Actor: "user:root", Object: "alice@corp.example"})
	found := get[PersonSummary](c.rig, "/api/v1/people/alice@corp.example")
	if found.Sent != 2 || found.Received != 1 || found.Audit != 1 || !found.Newest.Equal(c.now) {
		t.Errorf("found %+v", found)
	}
	w := c.request('A', "GET", "/api/v1/people/alice%40corp.example/export", "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != jsonLines || !strings.Contains(w.Header().Get("Content-Disposition"), "attachment") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	var kinds []string
	for line := range strings.Lines(w.Body.String()) {
		var p PersonLine
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, p.Kind)
		if p.Kind == "received" && (strings.Contains(line, "eve@") || len(p.Message.Recipients) != 1 || len(p.Message.Timeline) == 0) {
			t.Errorf("of a message to two: %s", line)
		}
		if p.Kind == "sent" && (len(p.Message.Timeline) == 0 || p.Message.Subject == "") {
			t.Errorf("of an own message: %s", line)
		}
		if p.Kind == "end" && (p.Summary.Sent != 2 || p.Summary.Received != 1 || p.Summary.Audit != 2) { // with the export itself
			t.Errorf("at the end %s", line)
		}
	}
	if !slices.Equal(kinds, []string{"sent", "sent", "received", "audit", "audit", "end"}) {
		t.Errorf("lines %q", kinds)
	}
	for _, path := range []string{"/api/v1/people/a%20b", "/api/v1/people/a%22b/export"} {
		if w := c.request('A', "GET", path, ""); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "a person is an address or an identity, without spaces, quotes and control characters") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if _, err := c.server.personSummary(canceled(t), "alice@corp.example"); err == nil {
		t.Error("who is gone is searched for all the same")
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestAPersonIsErasedFromTheAuditLog(t *testing.T) {
	c := newCrew(t)
	c.audit0(t, store.AuditEntry{Time: c.now, Act: "suspend", Actor: "user:root", Object: "alice@corp.example"})
	c.audit0(t, store.AuditEntry{Time: c.now, Act: "sign_in", Actor: "user:Alice@corp.example"})
	c.audit0(t, store.AuditEntry{Time: c.now, Act: "hold", Actor: "user:bob", Detail: "reason: malice@corp.example asked"})
	w := c.request('A', "POST", "/api/v1/people/alice%40corp.example/erase", `{"reason":"alice@corp.example asked"}`)
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "the reason stays in the audit log: do not name the person in it") {
		t.Errorf("a reason with the name: %d %s", w.Code, w.Body)
	}
	w = c.request('A', "POST", "/api/v1/people/alice%40corp.example/erase", `{"reason":"request 117"}`)
	var got Erasure
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Audit != 2 || got.Sessions != 1 || got.Left.Sent != 1 || got.Left.Audit != 0 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got.Text.EN != "The person was taken out of 0 messages and 2 entries of the audit log. Messages left as they are: 1 on the way." ||
		got.Text.ZH != "已从 0 封邮件记录和 2 条审计记录中清除此人的信息。以下邮件保持不变：投递中 1 封。" {
		t.Errorf("said %v", got.Text)
	}
	if c.request('U', "GET", "/api/v1/messages", "").Code != http.StatusUnauthorized {
		t.Error("the session of who was erased is open")
	}
	acts := c.audited()
	if acts[0] != "erase_person|user:root||messages: 0; audit: 2; sessions: 1; reason: request 117" || slices.ContainsFunc(acts, func(a string) bool { return strings.Contains(a, "|alice@") }) || !strings.Contains(acts[1], "malice@") {
		t.Errorf("the log has %q", acts)
	}
	if v := get[AuditVerdict](c.rig, "/api/v1/audit/verify"); !v.Whole || v.Entries != 4 {
		t.Errorf("after erasing %+v", v)
	}
	if e := get[AuditList](c.rig, "/api/v1/audit?act=suspend").Entries; len(e) != 1 || !e[0].Erased || e[0].Actor != "" {
		t.Errorf("got %+v", e)
	}
}

func TestAUserIsNotPastLimitsAndApprovals(t *testing.T) {
	c := newCrew(t)
	if w := c.request('U', "POST", "/api/v1/messages/"+c.own+"/release", ""); w.Code != http.StatusOK || !c.holder.until.Equal(c.now.Add(soon)) {
		t.Errorf("a release by its sender: %d, held until %v", w.Code, c.holder.until)
	}
	body := `{"recipients":["bob@example.net"]}`
	w := c.request('U', "POST", "/api/v1/messages/"+c.own+"/resend", body)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "only recipients whom the message did not reach, because it was returned, can be sent it again") {
		t.Errorf("a resend of what did not fail: %d %s", w.Code, w.Body)
	}
	c.observe(c.own, policy.Event{Kind: policy.Bounced, Recipients: []int{0}})
	if w := c.request('U', "POST", "/api/v1/messages/"+c.own+"/resend", body); w.Code != http.StatusOK {
		t.Errorf("a resend of what came back: %d %s", w.Code, w.Body)
	}
}

func TestAUserDoesNotSeeWhoHasReadWhat(t *testing.T) {
	c := newCrew(t)
	if w := c.request('U', "GET", "/api/v1/recalls/"+policy.ID{15: 1}.String(), ""); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "INBOX") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for outcome, e := range map[string]struct{ in, want TimelineEntry }{
		"what no recall says": {TimelineEntry{Evidence: "log"}, TimelineEntry{Evidence: "log"}},
		"a mailbox":           {TimelineEntry{Recall: "1", Evidence: "INBOX", Reason: "already_read"}, TimelineEntry{Recall: "1", Reason: "already_read"}},
		"a member of a group": {TimelineEntry{Recall: "1", Member: "m", Reason: string(policy.ExternalRecipient)}, TimelineEntry{Recall: "1", Member: "m", Reason: string(policy.GroupMemberBlocked)}},
	} {
		got := e.in
		veil(&got)
		if fmt.Sprint(got) != fmt.Sprint(e.want) {
			t.Errorf("%s: %+v", outcome, got)
		}
	}
	views := []Recipient{{Group: "g", Recall: &RecallState{Code: policy.ExternalRecipient, Status: policy.RecallFail}}, {Recall: &RecallState{Code: policy.ExternalRecipient, Status: policy.RecallFail}}, {}}
	veilRecipients(views)
	if views[0].Recall.Code != policy.GroupMemberBlocked || views[1].Recall.Code != policy.ExternalRecipient {
		t.Errorf("got %+v", views)
	}
}
