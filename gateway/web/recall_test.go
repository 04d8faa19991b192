package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

const recallsPath = "/api/v1/recalls"

var allBack = &policy.RecallReport{
	Overall: policy.RecallAllSuccess, Ended: time.Date(2026, 11, 21, 10, 30, 1, 0, time.UTC), Counts: policy.RecallCounts{Success: 1},
}

func TestWhatIsAskedOfTheRecalls(t *testing.T) {
	r := newRig(t)
	one := r.accept("alice@corp.example", "Report one", "a@x.example", "b@x.example")
	two := r.accept("alice@corp.example", "Report two", "b@x.example")
	r.accept("dave@corp.example", "Invoice", "b@x.example")
	who := policy.RecallRequester{Actor: "api:admin", Role: "admin"}
	ids := func(texts ...string) (all []policy.ID) {
		for _, text := range texts {
			all = append(all, mustID(t, text))
		}
		return all
	}
	for name, tt := range map[string]struct {
		body string
		want policy.RecallRequest
	}{
		"least":           {`{"message_ids":["` + one + `"]}`, policy.RecallRequest{Messages: ids(one), UnreadOnly: true, Requester: who}},
		"named twice":     {`{"message_ids":["` + one + `","` + one + `"],"reason":" x "}`, policy.RecallRequest{Messages: ids(one), Reason: "x", UnreadOnly: true, Requester: who}},
		"found":           {`{"query":"from:alice"}`, policy.RecallRequest{Messages: ids(two, one), Query: "from:alice", UnreadOnly: true, Requester: who}},
		"named and found": {`{"message_ids":["` + one + `"],"query":"from:alice"}`, policy.RecallRequest{Messages: ids(one, two), Query: "from:alice", UnreadOnly: true, Requester: who}},
		"everything said": {
			`{"message_ids":["` + one + `"],"recipients":["b@x.example"],"reason":"wrong file","unread_only":false,"group_mode":"best_effort","notify":"read","correction":"` + two + `"}`,
			policy.RecallRequest{
				Messages: ids(one), Recipients: []string{"b@x.example"}, Reason: "wrong file", GroupMode: policy.BestEffort,
				Notify: policy.NotifyRead, Correction: mustID(t, two), Requester: who,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r.recalls.planned = false
			post[Recall](r, recallsPath, strings.Replace(tt.body, "{", `{"dry_run":true,`, 1))
			if !reflect.DeepEqual(r.recalls.request, tt.want) || !r.recalls.planned {
				t.Errorf("asked for %+v\nwant %+v", r.recalls.request, tt.want)
			}
		})
	}
}

func TestMessagesAreFoundByTheirMessageID(t *testing.T) {
	r := newRig(t)
	one := r.accept("alice@corp.example", "Report", "a@x.example") // all have <m@corp.example>
	two := r.accept("Alice@CORP.example", "Report", "b@x.example")
	for _, field := range []string{"<m@corp.example>", "m@corp.example", " <m@corp.example> "} {
		post[Recall](r, recallsPath, `{"dry_run":true,"message_id_header":"`+field+`"}`)
		if want := []policy.ID{mustID(t, two), mustID(t, one)}; !slices.Equal(r.recalls.request.Messages, want) {
			t.Errorf("%q finds %v, want %v", field, r.recalls.request.Messages, want)
		}
	}
	r.accept("mallory@corp.example", "Report", "a@x.example")
	w := r.ask(r.server, "secret-admin", http.MethodPost, recallsPath, `{"message_id_header":"<m@corp.example>"}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 409, "ambiguous_match", "messages of several senders have this Message-ID: name them by sendgate's own ids")
}

func TestADryRunIsDoneAndTouchesNothing(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	got := post[Recall](r, recallsPath, `{"dry_run":true,"message_ids":["`+id+`"],"reason":"x"}`)
	if got.ID != "" || !got.DryRun || got.Status != "done" || got.ProcessingCount != 1 || got.Recipients[0].Code != policy.RecallPlanned {
		t.Errorf("got %+v", got)
	}
	if len(r.recalls.reports) != 0 || r.logs.FilterMessage("act").Len() != 0 {
		t.Error("a recall began")
	}
}

func TestTheAnswerIsWhatTheRecallHasComeTo(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	r.recalls.begun = allBack
	got := post[Recall](r, recallsPath, `{"message_ids":["`+id+`"],"reason":"wrong file"}`)
	if got.ID == "" || got.Status != "done" || got.Overall != "all_success" || got.SuccessCount != 1 || got.Percent != 100 || got.Ended.IsZero() {
		t.Errorf("got %+v", got)
	}
	if got.Actor != "api:admin" || got.Reason != "wrong file" || !slices.Equal(got.MessageIDs, []string{id}) || got.MessageCount != 1 || !got.UnreadOnly {
		t.Errorf("the request: %+v", got)
	}
	acts := r.logs.FilterMessage("act").All()
	if len(acts) != 1 || acts[0].ContextMap()["verb"] != "recall" || acts[0].ContextMap()["id"] != got.ID {
		t.Errorf("audit lines: %v", acts)
	}
	r.recalls.begun = &policy.RecallReport{Overall: policy.RecallAwaitingApproval, ApproveUntil: r.now.Add(72 * time.Hour), Counts: policy.RecallCounts{Processing: 400}}
	got = post[Recall](r, recallsPath, `{"message_ids":["`+id+`"],"reason":"x"}`)
	if got.Status != "in_progress" || got.Overall != "awaiting_approval" || !got.ApproveUntil.Equal(r.now.Add(72*time.Hour)) {
		t.Errorf("got %+v", got)
	}
}

func TestWhatTheRulesDoNotAllowIsAnAnswer(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	for _, code := range []string{
		policy.RefusedDisabled, policy.RefusedChannel, policy.RefusedWindow, policy.RefusedReason, policy.RefusedRate, policy.RefusedRecalled,
	} {
		for _, dry := range []string{`"dry_run":true,`, ``} {
			text := policy.Label{EN: "no: " + code, ZH: "不可以：" + code}
			r.recalls.refuse = &policy.RecallRefusal{Code: code, Text: text}
			got := post[Recall](r, recallsPath, `{`+dry+`"message_ids":["`+id+`"],"reason":"x"}`)
			if got.Status != "unavailable" || got.Overall != "rejected" || got.ID != "" || got.Restriction == nil || *got.Restriction != (Restriction{code, text}) {
				t.Errorf("%s: %+v", code, got)
			}
			if got.Actor != "api:admin" || !slices.Equal(got.MessageIDs, []string{id}) {
				t.Errorf("%s: the request %+v", code, got)
			}
		}
	}
	if n := r.logs.FilterMessage("recall refused").Len(); n != 12 || r.logs.FilterMessage("act").Len() != 0 {
		t.Errorf("%d lines about it, want 12 and none of an act", n)
	}
}

func TestARepeatedRequestFindsTheRecallThatThereIs(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	first := &policy.RecallReport{
		ID: r.store.NewID(), Request: policy.RecallRequest{Messages: []policy.ID{mustID(t, id)}, Requester: policy.RecallRequester{Actor: "api:ops"}},
		Overall: policy.RecallInProgress, Requested: r.now.Add(-time.Minute), Counts: policy.RecallCounts{Success: 2, Processing: 1},
	}
	r.recalls.put(first)
	for _, code := range []string{policy.RefusedInProgress, policy.RefusedRecalled} {
		r.recalls.refuse = &policy.RecallRefusal{Code: code, Text: policy.Label{EN: "is being taken back", ZH: "正在撤回"}, Existing: first.ID}
		got := post[Recall](r, recallsPath, `{"message_ids":["`+id+`"],"reason":"x"}`)
		if got.ID != first.ID.String() || got.Status != "unavailable" || got.Restriction.Code != code || got.Overall != "in_progress" || got.SuccessCount != 2 || got.Actor != "api:ops" {
			t.Errorf("%s: %+v", code, got)
		}
	}
}

func TestRefusalsThatAreProblems(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	running := &policy.RecallReport{ID: r.store.NewID(), Overall: policy.RecallInProgress}
	r.recalls.put(running)
	body := `{"message_ids":["` + id + `"],"reason":"x"}`
	act := recallsPath + "/" + running.ID.String()
	for name, tt := range map[string]struct {
		path, body string
		err        error
		status     int
		code       string
	}{
		"not the sender":     {recallsPath, body, &policy.RecallRefusal{Code: policy.RefusedNotSender}, 403, "not_sender"},
		"no such message":    {recallsPath, body, &policy.RecallRefusal{Code: policy.RefusedNotFound}, 404, "not_found"},
		"too many":           {recallsPath, body, &policy.RecallRefusal{Code: policy.RefusedTooMany}, 422, "too_many"},
		"the own approval":   {act + "/approve", "", &policy.RecallRefusal{Code: policy.RefusedOwn}, 403, "second_person_required"},
		"nothing to approve": {act + "/approve", "", &policy.RecallRefusal{Code: policy.RefusedState}, 409, "wrong_state"},
		"ended already":      {act + "/cancel", "", &policy.RecallRefusal{Code: policy.RefusedState}, 409, "wrong_state"},
		"nothing to restore": {act + "/restore", "", &policy.RecallRefusal{Code: policy.RefusedState}, 409, "wrong_state"},
		"too often":          {act + "/restore", `{}`, &policy.RecallRefusal{Code: policy.RefusedRate}, 429, "rate_limited"},
		"no reason":          {act + "/cancel", "", &policy.RecallRefusal{Code: policy.RefusedReason}, 422, "reason_required"},
		"disk full":          {recallsPath, body, store.ErrFull, 503, "store_full"},
		"broken":             {act + "/cancel", "", errBroken, 500, "internal"},
		"broken stats":       {"/api/v1/stats/recalls", "", errBroken, 500, "internal"},
		"broken list":        {recallsPath + "?limit=5", "", errBroken, 500, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			detail := ""
			if refusal := new(policy.RecallRefusal); errors.As(tt.err, &refusal) {
				refusal.Text = policy.Label{EN: "because of " + name, ZH: "不"}
				detail = refusal.Text.EN
			}
			r.recalls.refuse = tt.err
			method := http.MethodPost
			if strings.Contains(name, "broken ") {
				method = http.MethodGet
			}
			w := r.ask(r.server, "secret-admin", method, tt.path, tt.body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, detail)
		})
	}
}

func TestARecallsActsAreInTheNameOfTheToken(t *testing.T) {
	r := newRig(t)
	ended := *allBack
	ended.ID = r.store.NewID()
	r.recalls.put(&ended)
	path := recallsPath + "/" + ended.ID.String()
	for _, ask := range [][2]string{
		{"/approve", ""}, {"/cancel", ""}, {"/restore", ""}, {"/restore", `{}`}, {"/restore", `{"recipients":["bob@corp.example"]}`},
	} {
		if got := post[Recall](r, path+ask[0], ask[1]); got.ID != ended.ID.String() || got.Overall != "all_success" {
			t.Errorf("%s answers %+v", ask[0], got)
		}
	}
	want := []string{
		"approve by api:admin as admin", "cancel by api:admin", "restore by api:admin", "restore by api:admin", "restore by api:admin bob@corp.example",
	}
	if !slices.Equal(r.recalls.acts, want) {
		t.Errorf("done: %q, want %q", r.recalls.acts, want)
	}
	var verbs []string
	for _, line := range r.logs.FilterMessage("act").All() {
		verbs = append(verbs, line.ContextMap()["verb"].(string))
	}
	if want := []string{"recall_approve", "recall_cancel", "recall_restore", "recall_restore", "recall_restore"}; !slices.Equal(verbs, want) {
		t.Errorf("audit lines: %q, want %q", verbs, want)
	}
}

func TestRecallsAreListedByPages(t *testing.T) {
	r := newRig(t)
	var want []string
	for range 5 {
		report := *allBack
		report.ID, report.Lines = r.store.NewID(), nil
		report.Request = policy.RecallRequest{Messages: make([]policy.ID, 3), Reason: "x"}
		r.recalls.put(&report)
		want = append([]string{report.ID.String()}, want...)
	}
	var got []string
	pages := 0
	for cursor := ""; ; pages++ {
		list := get[RecallList](r, recallsPath+"?limit=2&cursor="+cursor)
		for _, v := range list.Recalls {
			got = append(got, v.ID)
			if v.MessageCount != 3 || v.MessageIDs != nil || v.Recipients != nil || v.Reason != "x" {
				t.Errorf("in the list: %+v", v)
			}
		}
		if cursor = list.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) || pages != 2 {
		t.Errorf("after %d cursors got %v, want %v", pages, got, want)
	}
	r.recalls.reports = nil
	if w := r.ask(r.server, "secret-auditor", http.MethodGet, recallsPath, ""); w.Body.String() != "{\"recalls\":[]}\n" {
		t.Errorf("nothing is %s", w.Body)
	}
}

func TestRecallIsShownAsFarAsARoleMaySee(t *testing.T) {
	r := newRig(t)
	m, reply := r.store.NewID(), r.store.NewID()
	proof := policy.Label{EN: "was read already (2026-11-21T10:00:00Z: FLAGS (\\Seen))", ZH: "对方已读"}
	report := &policy.RecallReport{
		ID: r.store.NewID(), Request: policy.RecallRequest{Messages: []policy.ID{m}, Recipients: []string{"team@corp.example", "zoe@x.example"}, GroupMode: policy.AllOrNothing},
		Overall: policy.RecallPartial, Ended: r.now, Corrected: true, ApprovedBy: "api:second", Missing: []string{"zoe@x.example"},
		Lines: []policy.RecallLine{
			{Message: m, Address: "ann@corp.example", Group: "team@corp.example", Code: policy.AlreadyRead, Text: proof, Detail: "Archive: * 1 FETCH (FLAGS (\\Seen))", Time: r.now},
			{Message: m, Address: "ben@corp.example", Group: "team@corp.example", Code: policy.GroupMemberBlocked, Text: policy.GroupMemberBlocked.Label()},
			{Message: m, Address: "cat@corp.example", Group: "staff@corp.example", Code: policy.NotInMailbox, Text: policy.NotInMailbox.Label(), Detail: "SEARCH"},
			{Message: m, Address: "bob@corp.example", Code: policy.RemovedFromMailbox, Text: policy.RemovedFromMailbox.Label(), Detail: "INBOX"},
		},
		Groups: []policy.RecallGroup{
			{Message: m, Address: "Team@corp.example", Counts: policy.RecallCounts{Fail: 2}, BlockedBy: 1, Blockers: []policy.Address{"ann@corp.example"}},
			{Message: m, Address: "staff@corp.example", Counts: policy.RecallCounts{Fail: 1, Processing: 1}},
		},
		Related: []policy.RecallRelated{{Message: reply, Of: m, Sender: "ann@corp.example", Subject: "Re: Report", Recipients: 2, State: policy.StateHeld, Held: true}},
	}
	r.recalls.put(report)
	see := func(role string) (v Recall) {
		t.Helper()
		w := r.ask(r.server, "secret-"+role, http.MethodGet, recallsPath+"/"+report.ID.String(), "")
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 {
			t.Fatalf("%d %v %s", w.Code, err, w.Body)
		}
		return v
	}
	admin := see("admin")
	want := RecallRecipient{
		MessageID: m.String(), Address: "ann@corp.example", Group: "team@corp.example", Status: policy.RecallFail, Code: policy.AlreadyRead,
		Text: proof, Detail: "Archive: * 1 FETCH (FLAGS (\\Seen))", Time: r.now,
	}
	if admin.Recipients[0] != want || !slices.Equal(admin.Groups[0].Blockers, []string{"ann@corp.example"}) {
		t.Errorf("an administrator sees %+v %+v", admin.Recipients[0], admin.Groups[0])
	}
	if g := admin.Groups[1]; g.Address != "staff@corp.example" || g.Percent != 50 || g.BlockedBy != 0 || g.Blockers != nil {
		t.Errorf("group %+v", g)
	}
	if got := admin.Related[0]; got != (RecallRelated{reply.String(), m.String(), "ann@corp.example", "Re: Report", 2, policy.StateHeld, policy.LabelDelivering, true}) {
		t.Errorf("related %+v", got)
	}
	if last := admin.Recipients[4]; last.Address != "zoe@x.example" || last.Code != policy.InvalidAddress || last.Status != policy.RecallFail || last.MessageID != "" {
		t.Errorf("a stranger is %+v", last)
	}
	if !admin.Corrected || admin.ApprovedBy != "api:second" || len(admin.Chosen) != 2 || admin.GroupMode != "all_or_nothing" {
		t.Errorf("got %+v", admin)
	}
	for _, role := range []string{"operator", "auditor"} {
		v := see(role)
		if v.Groups[0].BlockedBy != 1 || v.Groups[0].Blockers != nil {
			t.Errorf("%s sees the group %+v", role, v.Groups[0])
		}
		if ann := v.Recipients[0]; ann.Code != policy.GroupMemberBlocked || ann.Text != policy.GroupMemberBlocked.Label() || ann.Detail != "" {
			t.Errorf("%s sees who it was: %+v", role, ann)
		}
		if cat, bob := v.Recipients[2], v.Recipients[3]; cat.Code != policy.NotInMailbox || cat.Detail != "SEARCH" || bob.Detail != "INBOX" {
			t.Errorf("%s does not see %+v %+v", role, cat, bob)
		}
	}
}

func TestStatisticsOfRecalls(t *testing.T) {
	r := newRig(t)
	counts := policy.RecallCounts{Success: 3, Fail: 1, Processing: 2}
	r.recalls.stats = &policy.RecallStats{
		Recalls: 4, Recipients: counts,
		ByReason: []policy.RecallShare{{Reason: "wrong file", Recalls: 3, Recipients: counts}},
		ByAge:    []policy.RecallShare{{UpTo: time.Minute, Recalls: 1}, {UpTo: 0, Recalls: 3}},
		ByCode:   map[policy.RecallCode]int{policy.AlreadyRead: 1, policy.RemovedFromHold: 3, policy.Retrying: 0},
		Hold:     []policy.RecallHold{{Hold: 5 * time.Minute, Caught: 0.5, More: 2}},
	}
	got := get[RecallStats](r, "/api/v1/stats/recalls")
	if want := (RecallCounts{3, 1, 2, 0.75}); got.Recalls != 4 || got.Counts != want || got.ByReason[0] != (RecallReason{"wrong file", 3, want}) {
		t.Errorf("got %+v", got)
	}
	if got.ByAge[0].UpTo != Span(time.Minute) || got.ByAge[1].UpTo != 0 || got.Hold[0] != (RecallHold{Span(5 * time.Minute), 0.5, 2}) {
		t.Errorf("by age %+v, hold %+v", got.ByAge, got.Hold)
	}
	if len(got.ByCode) != 2 || got.ByCode[0].Code != policy.RemovedFromHold || got.ByCode[1].Status != policy.RecallFail || got.ByCode[1].Text != policy.AlreadyRead.Label() {
		t.Errorf("by code %+v", got.ByCode)
	}
	if want := [2]time.Time{r.now.AddDate(0, 0, -30), r.now}; r.recalls.span != want {
		t.Errorf("from %v", r.recalls.span)
	}
	get[RecallStats](r, "/api/v1/stats/recalls?from=2026-11-01T08:00:00%2B08:00&to=2026-11-02T00:00:00Z")
	if want := [2]time.Time{time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}; r.recalls.span != want {
		t.Errorf("from %v", r.recalls.span)
	}
	r.recalls.stats = &policy.RecallStats{}
	w := r.ask(r.server, "secret-auditor", http.MethodGet, "/api/v1/stats/recalls", "")
	if !strings.Contains(w.Body.String(), `"by_reason":[],"by_age":[],"by_code":[],"hold":[]`) {
		t.Errorf("nothing is %s", w.Body)
	}
}
