package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const everybodysWindow = 24 * time.Hour

// recallDash is a dash whose users may take back mail.
func recallDash(t *testing.T) *dash {
	t.Helper()
	d := newDash(t)
	d.recalls.windows["user"] = everybodysWindow
	return d
}

// A firstFlush ends a request when something of its answer was sent.
type firstFlush struct {
	*httptest.ResponseRecorder
	end context.CancelFunc
}

func (f firstFlush) SetWriteDeadline(time.Time) error { return nil }

func (f firstFlush) Flush() { f.end() }

// stream gives the first events of a live page.
func (b *browser) stream(path string) string {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	out := firstFlush{httptest.NewRecorder(), cancel}
	b.handler.ServeHTTP(out, r)
	return out.Body.String()
}

// lineOf is a line of a report.
func lineOf(message string, t *testing.T, address, group string, code policy.RecallCode, detail string) policy.RecallLine {
	return policy.RecallLine{
		Message: mustID(t, message), Address: policy.Address(address), Group: policy.Address(group), Code: code, Text: code.Label(), Detail: detail,
	}
}

// report makes a report of lines, with their counts.
func reportOf(overall string, lines ...policy.RecallLine) *policy.RecallReport {
	r := &policy.RecallReport{Overall: overall, Lines: lines}
	for i := range lines {
		r.Counts.Add(lines[i].Code)
	}
	return r
}

// mixedPlan can take back two of five.
func mixedPlan(t *testing.T, id string) func(policy.RecallRequest) *policy.RecallReport {
	return func(policy.RecallRequest) *policy.RecallReport {
		return reportOf(policy.RecallInProgress,
			lineOf(id, t, "bob@corp.example", "", policy.RecallPlanned, "INBOX, uid 7"),
			lineOf(id, t, "carol@corp.example", "", policy.AlreadyRead, "Archive, uid 9"),
			lineOf(id, t, "dan@elsewhere.example", "", policy.RemovedFromHold, ""),
			lineOf(id, t, "erin@elsewhere.example", "", policy.ExternalRecipient, "250 2.0.0 Ok"),
			lineOf(id, t, "finn@corp.example", "", policy.WaitingArrival, ""),
		)
	}
}

func TestARecallIsFoundPlannedAndBegun(t *testing.T) {
	d := recallDash(t)
	id := d.accept("alice@corp.example", "Salary list", "bob@corp.example")
	other := d.accept("alice@corp.example", "Salary list again", "bob@corp.example")
	d.accept("dave@corp.example", "Lunch", "bob@corp.example")
	d.recalls.foreseen = mixedPlan(t, id)
	b := d.as("admin")
	b.sees("/recalls", "Recall messages", "Nothing has been recalled yet")
	b.sees("/recalls/new", "Find the messages", "Only messages that nobody has read")
	b.sees("/recalls/new?find=1", "Fill in a subject, a sender or a recipient.")
	b.sees("/recalls/new?find=1&subject=x&after=yesterdayish", "This search is not understood:")
	b.sees("/recalls/new?find=1&subject=nothing", "No such messages")
	_, page := b.get("/recalls/new?find=1&subject=salary&from=alice@corp.example&span=24h")
	if !strings.Contains(page, `value="`+id+`"`) || !strings.Contains(page, `value="`+other+`"`) || strings.Contains(page, "Lunch") {
		t.Errorf("found: %s", inner(page))
	}
	if !strings.Contains(page, "Take all that the search finds") || !strings.Contains(page, "q=from%3Aalice%40corp.example&#43;subject%3Asalary&#43;after%3A24h") {
		t.Error("the search as a whole cannot be taken")
	}
	b.sees("/recalls/new?message="+id, "Salary list", "Reason (required)", "Take back what was read, too", "See what would happen")
	b.sees("/recalls/new?q=from%3Aalice", "Salary list again", "Messages: 2")

	fields := []string{
		"message", id, "message", id, "reason", "wrong list", "read_too", "1", "group_mode", "best_effort", "notify", "read",
		"recipients", "bob@corp.example, carol@corp.example", "correction", other,
	}
	_, page = b.post("/recalls/new", "/recalls/new", fields...)
	for _, text := range []string{
		"2 of 5 can be taken back", "1 not certain yet", "2 cannot be taken back", "Phones may already have shown", "Recall now", "INBOX, uid 7", "wrong list",
		"is in the mailbox, unread: it is taken out", "has not been sent yet: it will not be", "was read already", "Each member alone", "Those who have read it",
	} {
		if !strings.Contains(page, text) {
			t.Errorf("the plan lacks %q:\n%s", text, inner(page))
		}
	}
	if len(d.recalls.reports) != 0 {
		t.Fatal("a dry run has begun a recall")
	}
	status, page := b.post("/recalls", "/recalls/new", fields...)
	if status != http.StatusOK || !strings.Contains(page, "Under way") || !strings.Contains(page, "0 of 1 taken back") {
		t.Errorf("%d: %s", status, inner(page))
	}
	q := d.recalls.request
	if !slices.Equal(q.Messages, []policy.ID{mustID(t, id)}) || q.Reason != "wrong list" || q.UnreadOnly || q.GroupMode != policy.BestEffort ||
		q.Notify != policy.NotifyRead || !slices.Equal(q.Recipients, []string{"bob@corp.example", "carol@corp.example"}) || q.Correction != mustID(t, other) ||
		q.Requester.Actor != "user:admin" {
		t.Errorf("asked for %+v", q)
	}
	b.sees("/recalls", "wrong list", "Under way", "admin")
}

func TestAFormKeepsWhatWasSaid(t *testing.T) {
	d := recallDash(t)
	id := d.accept("alice@corp.example", "Salary list", "bob@corp.example")
	b := d.as("admin")
	said := []string{"message", id, "read_too", "1", "group_mode", "all_or_nothing", "notify", "all", "recipients", "bob@corp.example"}
	kept := []string{`name="read_too" value="1" checked`, `value="all_or_nothing" checked`, `<option value="all" selected>`, ">bob@corp.example</textarea>"}
	for name, tt := range map[string]struct {
		fields []string
		want   string
	}{
		"no reason":       {said, "Say why: a reason is required here."},
		"no such message": {append(slices.Clone(said), "reason", "x", "correction", strings.Repeat("0", 26)), "There is no such message"},
		"a step back":     {append(slices.Clone(said), "back", "1"), "See what would happen"},
		"a long reason":   {append(slices.Clone(said), "reason", strings.Repeat("x", 1001)), "role=\"alert\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, page := b.post("/recalls/new", "/recalls/new", tt.fields...)
			for _, text := range append(kept, tt.want) {
				if !strings.Contains(page, text) {
					t.Errorf("lacks %q:\n%s", text, page)
				}
			}
		})
	}
	if _, page := b.post("/recalls/new", "/recalls/new", "message", id, "reason", "x", "group_mode", "drop tables", "notify", "x"); strings.Contains(page, "drop tables") ||
		d.recalls.request.GroupMode != "" || d.recalls.request.Notify != "" {
		t.Error("a value that there is not is passed on")
	}
}

func TestWhatTheRulesForbidIsSaidOnTheForm(t *testing.T) {
	d := recallDash(t)
	id := d.accept("alice@corp.example", "Salary list", "bob@corp.example")
	running := reportOf(policy.RecallInProgress)
	running.ID = policy.ID{0: 1, 15: 9}
	d.recalls.put(running)
	d.recalls.refuse = &policy.RecallRefusal{
		Code: policy.RefusedInProgress, Text: policy.Label{EN: "it is being taken back", ZH: "正在撤回中"}, Existing: running.ID,
	}
	b := d.as("operator")
	for _, path := range []string{"/recalls/new", "/recalls"} {
		b.language = "en"
		_, page := b.post(path, "/recalls/new", "message", id, "reason", "x")
		if !strings.Contains(page, "it is being taken back") || !strings.Contains(page, "/recalls/"+running.ID.String()) {
			t.Errorf("%s: %s", path, inner(page))
		}
		b.language = "zh-CN"
		if _, page := b.post(path, "/recalls/new", "message", id, "reason", "x"); !strings.Contains(page, "正在撤回中") {
			t.Errorf("%s: %s", path, inner(page))
		}
	}
}

func TestOnlyRolesThatMayAreOfferedReadMail(t *testing.T) {
	d := recallDash(t)
	id := d.accept("user@corp.example", "Salary list", "bob@corp.example")
	for role, offered := range map[string]bool{"admin": true, "operator": false, "user": false} {
		_, page := d.as(role).get("/recalls/new?message=" + id)
		if strings.Contains(page, "read_too") != offered || !strings.Contains(page, "Salary list") {
			t.Errorf("%s: offered %v", role, !offered)
		}
	}
	d.recalls.foreseen = func(policy.RecallRequest) *policy.RecallReport {
		return reportOf(policy.RecallAllFailed, lineOf(id, t, "b@x.example", "", policy.AlreadyRead, ""))
	}
	_, page := d.as("operator").post("/recalls/new", "/recalls/new", "message", id, "reason", "x")
	if !strings.Contains(page, "Nothing of this can be taken back") || strings.Contains(page, "Recall now") {
		t.Errorf("nothing to do: %s", inner(page))
	}
}

func TestOnlyWhatNobodyHasReadIsFound(t *testing.T) {
	d := recallDash(t)
	codes := map[policy.ID]policy.RecallCode{}
	for _, code := range []policy.RecallCode{policy.RecallPlanned, policy.AlreadyRead, policy.GroupMemberBlocked, policy.RemovedFromHold, policy.Replied} {
		codes[mustID(t, d.accept("alice@corp.example", "Report "+string(code), "bob@corp.example"))] = code
	}
	d.recalls.foreseen = func(r policy.RecallRequest) *policy.RecallReport {
		return reportOf(policy.RecallInProgress, lineOf(r.Messages[0].String(), t, "bob@corp.example", "", codes[r.Messages[0]], ""))
	}
	_, page := d.as("admin").get("/recalls/new?find=1&from=alice&unread=1")
	for _, code := range codes {
		if got, want := strings.Contains(page, "Report "+string(code)), code == policy.RecallPlanned || code == policy.RemovedFromHold; got != want {
			t.Errorf("%s: found %v", code, got)
		}
	}
	if !strings.Contains(page, "Left out: 3") || strings.Contains(page, "Take all that the search finds") {
		t.Error(inner(page))
	}
}

// groupReport has a group in which somebody is in the way, and a forward that is held.
func groupReport(d *dash, id, forward string) *policy.RecallReport {
	r := reportOf(policy.RecallPartial,
		lineOf(id, d.t, "bob@corp.example", "", policy.RemovedFromMailbox, "INBOX uid 7 MOVED"),
		lineOf(id, d.t, "ann@corp.example", "team@corp.example", policy.AlreadyRead, `Archive \Seen`),
		lineOf(id, d.t, "ben@corp.example", "team@corp.example", policy.GroupMemberBlocked, ""),
	)
	r.ID, r.Requested, r.Ended, r.Corrected = policy.ID{0: 1, 15: 7}, d.now, d.now, true
	r.Request = policy.RecallRequest{
		Messages: []policy.ID{mustID(d.t, id)}, Reason: "wrong list", UnreadOnly: true, GroupMode: policy.AllOrNothing, Notify: policy.NotifyNone,
		Requester: policy.RecallRequester{Actor: "user:user", Role: "user", Identity: "user@corp.example"},
	}
	r.Groups = []policy.RecallGroup{{
		Message: mustID(d.t, id), Address: "team@corp.example", Counts: policy.RecallCounts{Fail: 2}, BlockedBy: 1, Blockers: []policy.Address{"ann@corp.example"},
	}}
	r.Related = []policy.RecallRelated{{
		Message: mustID(d.t, forward), Of: mustID(d.t, id), Sender: "bob@corp.example", Subject: "Fwd: Salary list", Recipients: 2, State: policy.StateHeld, Held: true,
	}}
	return r
}

func TestARecallShowsEachRoleWhatItMaySee(t *testing.T) {
	d := recallDash(t)
	id := d.accept("user@corp.example", "Salary list", "bob@corp.example", "team@corp.example")
	forward := d.accept("bob@corp.example", "Fwd: Salary list", "out@elsewhere.example")
	d.recalls.put(groupReport(d, id, forward))
	path := "/recalls/" + d.recalls.reports[0].ID.String()
	for role, want := range map[string]struct{ has, lacks []string }{
		"admin":    {[]string{"In the way:", "ann@corp.example", "was read already", "INBOX uid 7 MOVED", "Fwd: Salary list", "Cancel it too", "Put all back"}, []string{"sse-connect"}},
		"operator": {[]string{"1 in the way", "INBOX uid 7 MOVED", "Fwd: Salary list", "Put all back"}, []string{"In the way:", "was read already"}},
		"auditor":  {[]string{"1 in the way", "Fwd: Salary list"}, []string{"Cancel it too", "Put all back", "<form method=\"post\" action=\"/recalls"}},
		"user":     {[]string{"1 in the way", "Salary list", "Partly taken back", "Corrected", "/mine"}, []string{"INBOX uid 7 MOVED", "Fwd: Salary list", "Put all back", "In the way:", "was read already"}},
	} {
		t.Run(role, func(t *testing.T) {
			_, page := d.as(role).get(path)
			for _, text := range want.has {
				if !strings.Contains(page, text) {
					t.Errorf("lacks %q:\n%s", text, inner(page))
				}
			}
			for _, text := range want.lacks {
				if strings.Contains(page, text) {
					t.Errorf("has %q", text)
				}
			}
		})
	}
	if status, _ := d.as("mallory").get(path); status != http.StatusNotFound {
		t.Errorf("somebody else's: %d", status)
	}
	if status, page := d.as("admin").get("/recalls/nonsense"); status != http.StatusNotFound || !strings.Contains(page, "There is no such message or recall") {
		t.Errorf("no recall: %d", status)
	}
}

func TestWhatIsDoneAboutARecall(t *testing.T) {
	d := recallDash(t)
	id := d.accept("alice@corp.example", "Salary list", "bob@corp.example")
	forward := d.accept("bob@corp.example", "Fwd: Salary list", "out@elsewhere.example")
	r := groupReport(d, id, forward)
	r.Overall, r.Ended, r.ApproveUntil = policy.RecallAwaitingApproval, time.Time{}, d.now.Add(time.Hour)
	d.recalls.put(r)
	path := "/recalls/" + r.ID.String()
	b := d.as("admin")
	b.sees(path, "Waits for approval", "Approve", "Cancel the recall", `sse-connect="`+path+`/live"`)
	for _, tt := range []struct {
		act, want, done string
		fields          []string
	}{
		{"/approve", "Approved: the recall begins.", "approve by user:admin as admin", nil},
		{"/cancel", "The recall is cancelled.", "cancel by user:admin", nil},
		{"/restore", "The mail is back in its mailboxes.", "restore by user:admin", []string{"all", "1"}},
		{"/restore", "The mail is back in its mailboxes.", "restore by user:admin bob@corp.example", []string{"recipient", "bob@corp.example"}},
		{"/restore", "Choose at least one.", "", nil},
	} {
		d.recalls.acts = nil
		_, page := b.post(path+tt.act, path, tt.fields...)
		if !strings.Contains(page, tt.want) || strings.Join(d.recalls.acts, "") != tt.done {
			t.Errorf("%s: %v\n%s", tt.act, d.recalls.acts, inner(page))
		}
	}
	_, page := b.post(path+"/related/"+forward+"/cancel", path)
	if !strings.Contains(page, "It is cancelled and will not be sent.") {
		t.Error(inner(page))
	}
	if m := get[MessageDetail](d.rig, "/api/v1/messages/"+forward); m.State != policy.StateCanceled {
		t.Errorf("the forward is %s", m.State)
	}
	if _, page := b.post(path+"/related/"+id+"/cancel", path); !strings.Contains(page, "There is no such message") {
		t.Error("what is not related is cancelled")
	}
	d.recalls.refuse = &policy.RecallRefusal{Code: policy.RefusedState, Text: policy.Label{EN: "no", ZH: "不"}}
	b.language = "zh-CN"
	if _, page := b.post(path+"/cancel", path); !strings.Contains(page, "撤回状态已变化，无法执行此操作。") {
		t.Error(inner(page))
	}
	d.recalls.refuse, d.recalls.acts = nil, nil
	auditor := d.as("auditor")
	for _, act := range []string{"/approve", "/cancel", "/restore"} {
		auditor.post(path+act, path, "all", "1")
	}
	if len(d.recalls.acts) > 0 {
		t.Errorf("an auditor did %v", d.recalls.acts)
	}
	r.Request.Requester.Actor = "user:admin"
	if _, page := b.get(path); !strings.Contains(page, "须由另一位管理员审批") || strings.Contains(page, path+"/approve") {
		t.Error("who asked may approve")
	}
}

func TestAPageOfARecallLives(t *testing.T) {
	d := recallDash(t)
	id := d.accept("alice@corp.example", "Salary list", "bob@corp.example")
	r := reportOf(policy.RecallInProgress, lineOf(id, t, "bob@corp.example", "", policy.Retrying, ""))
	r.ID, r.Request.Messages = policy.ID{0: 1, 15: 7}, []policy.ID{mustID(t, id)}
	d.recalls.put(r)
	b := d.as("operator")
	for path, events := range map[string][]string{
		"/recalls/" + r.ID.String() + "/live": {"recalls_now", "recalls_table", "recalls_acts", "recalls_groups", "recalls_related", "recalls_restore"},
		"/recalls/live":                       {"recalls_rows"},
	} {
		text := b.stream(path)
		for _, e := range events {
			if !strings.Contains(text, "event: "+e+"\n") {
				t.Errorf("%s lacks %s:\n%s", path, e, text)
			}
		}
	}
}

func TestManyRecipientsAreFolded(t *testing.T) {
	d := recallDash(t)
	id := d.accept("alice@corp.example", "Salary list", "bob@corp.example")
	lines := make([]policy.RecallLine, recallLines+10)
	for i := range lines {
		lines[i] = lineOf(id, t, "r"+itoa(i)+"@corp.example", "", policy.RemovedFromMailbox, "")
	}
	lines[len(lines)-1].Code = policy.AlreadyRead // comes first nevertheless
	r := reportOf(policy.RecallPartial, lines...)
	r.ID, r.Ended, r.Request.Messages = policy.ID{0: 1, 15: 7}, d.now, []policy.ID{mustID(t, id)}
	d.recalls.put(r)
	b := d.as("admin")
	_, page := b.get("/recalls/" + r.ID.String())
	if !strings.Contains(page, "10 more are not shown") || !strings.Contains(page, ">r209@corp.example<") || strings.Contains(page, ">r208@corp.example<") {
		t.Error("not folded as it should be")
	}
	b.sees("/recalls/"+r.ID.String()+"?all=1", ">r208@corp.example<")
}

func TestRecallsAreCounted(t *testing.T) {
	d := recallDash(t)
	d.recalls.stats = &policy.RecallStats{
		Recalls: 40, Recipients: policy.RecallCounts{Success: 30, Fail: 10},
		ByReason: []policy.RecallShare{{Reason: "wrong attachment", Recalls: 25, Recipients: policy.RecallCounts{Success: 3, Fail: 1}}},
		ByAge:    []policy.RecallShare{{UpTo: time.Minute, Recalls: 20, Recipients: policy.RecallCounts{Success: 9, Fail: 1}}, {Recalls: 3}},
		ByCode:   map[policy.RecallCode]int{policy.AlreadyRead: 8},
		Hold:     []policy.RecallHold{{Hold: 30 * time.Second, Caught: .3, More: 4}, {Hold: 90 * time.Second, Caught: .62, More: 12}},
	}
	b := d.as("auditor")
	b.sees("/recalls?days=90", "75 %", "wrong attachment", "90 %", "within 1 min", "was read already", "62 % of the recalls come within 1 min 30 s", "stopped 12 more copies", "+12")
	if got := d.recalls.span[0]; !got.Equal(d.now.Add(-90 * day)) {
		t.Errorf("counted from %v", got)
	}
	b.language = "zh-CN"
	b.sees("/recalls", "撤回统计", "62% 的撤回在发出后 1 分 30 秒 内发起")
	if _, page := d.as("auditor").get("/recalls"); strings.Contains(page, `href="/recalls/new"`) {
		t.Error("an auditor is offered a recall")
	}
	for share, want := range map[float64]int{0: 0, .001: 1, .5: 50, .999: 99, 1: 100} {
		if got := percentOf(share); got != want {
			t.Errorf("%v is %d %%", share, got)
		}
	}
}

func TestRecallPagesAreForThoseWhoMay(t *testing.T) {
	d := recallDash(t)
	id := d.accept("alice@corp.example", "Salary list", "bob@corp.example")
	auditor, user := d.as("auditor"), d.as("user")
	for name, tt := range map[string]struct {
		who    *browser
		path   string
		status int
	}{
		"an auditor asks for no recall": {auditor, "/recalls/new?message=" + id, http.StatusForbidden},
		"a user has own mail only":      {user, "/recalls/new?message=" + id, http.StatusNotFound},
		"a user has own recalls":        {user, "/recalls", http.StatusOK},
		"an operator":                   {d.as("operator"), "/recalls/new?message=" + id, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			if status, page := tt.who.get(tt.path); status != tt.status {
				t.Errorf("%d: %s", status, inner(page))
			}
		})
	}
	if _, page := d.as("").get("/recalls"); !strings.Contains(page, "/sign-in") {
		t.Error("nobody sees recalls")
	}
	for _, path := range []string{"/recalls", "/recalls/new"} {
		user.post(path, "/mine", "message", id, "reason", "x")
		auditor.post(path, "/mine", "message", id, "reason", "x")
	}
	if len(d.recalls.reports) > 0 || d.recalls.planned {
		t.Error("it was asked for nevertheless")
	}
	// A user who searches for the mail of others finds own mail only.
	if _, page := user.get("/recalls/new?q=from%3Aalice"); strings.Contains(page, "Salary list") {
		t.Error("a user finds the mail of others")
	}
}

func TestRecallPagesAreHarmless(t *testing.T) {
	d := recallDash(t)
	b := d.as("admin")
	for _, bad := range payloads {
		id := d.accept("alice@corp.example", bad, "bob@corp.example")
		r := groupReport(d, id, d.accept("bob@corp.example", bad, "x@x.example"))
		r.Request.Reason, r.Request.Query, r.Request.Recipients = bad, bad, []string{bad}
		r.Request.Requester.Actor = "user:" + bad
		for i := range r.Lines {
			r.Lines[i].Address, r.Lines[i].Detail, r.Lines[i].Text = policy.Address(bad), bad, policy.Label{EN: bad, ZH: bad}
		}
		r.Groups[0].Address, r.Groups[0].Blockers = policy.Address(bad), []policy.Address{policy.Address(bad)}
		r.Related[0].Subject, r.Related[0].Sender = bad, policy.Address(bad)
		d.recalls.reports = nil
		d.recalls.put(r)
		d.recalls.stats = &policy.RecallStats{Recalls: 1, ByReason: []policy.RecallShare{{Reason: bad, Recalls: 1}}}
		d.recalls.foreseen = func(policy.RecallRequest) *policy.RecallReport {
			plan := *r
			plan.ID = policy.ID{}
			return &plan
		}
		for _, path := range []string{
			"/recalls", "/recalls/" + r.ID.String(), "/recalls/new?message=" + id, linkTo("/recalls/new", "q", bad),
			linkTo("/recalls/new", "find", "1", "from", "alice@corp.example", "subject", bad, "after", bad), "/recalls/new?find=1&from=alice@corp.example",
		} {
			_, page := b.get(path)
			harmless(t, page)
		}
		_, page := b.post("/recalls/new", "/recalls/new", "message", id, "reason", bad, "recipients", bad, "correction", bad, "group_mode", bad)
		harmless(t, page)
		_, page = b.post("/recalls/new", "/recalls/new", "message", id, "reason", bad, "recipients", bad)
		if !strings.Contains(page, "can be taken back") {
			t.Error(inner(page))
		}
		harmless(t, page)
		d.recalls.refuse = &policy.RecallRefusal{Code: policy.RefusedWindow, Text: policy.Label{EN: bad, ZH: bad}}
		_, page = b.post("/recalls", "/recalls/new", "message", id, "reason", bad)
		harmless(t, page)
		d.recalls.refuse = nil
	}
}

func TestAddressesAreCutApart(t *testing.T) {
	for text, want := range map[string][]string{
		"":                           nil,
		"a@x.example":                {"a@x.example"},
		" a@x.example,b@x.example; ": {"a@x.example", "b@x.example"},
		"a@x.example\r\nb@x.example": {"a@x.example", "b@x.example"},
		"a@x.example，b@x.example；":   {"a@x.example", "b@x.example"},
	} {
		if got := addressList(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q", text, got)
		}
	}
}
