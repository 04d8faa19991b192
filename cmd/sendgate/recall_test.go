package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

var (
	grouping = web.Recall{
		ID: second, Status: "done", Overall: "partial", Requested: noon, Ended: noon.Add(time.Minute), Actor: "api:ops", ApprovedBy: "api:second", Reason: "wrong file",
		SuccessCount: 1, FailureCount: 2, Percent: 100, Corrected: true, MessageCount: 1,
		Recipients: []web.RecallRecipient{
			{MessageID: first, Address: "bob@corp.example", Status: "success", Text: policy.RemovedFromMailbox.Label(), Detail: "INBOX\n* 1 FETCH (FLAGS ())"},
			{MessageID: first, Address: "ann@corp.example", Group: "team@corp.example", Status: "fail", Text: policy.AlreadyRead.Label()},
			{MessageID: first, Address: "ben@corp.example", Group: "team@corp.example", Status: "fail", Text: policy.GroupMemberBlocked.Label()},
		},
		Groups: []web.RecallGroup{
			{MessageID: first, Address: "team@corp.example", FailureCount: 2, Percent: 100, BlockedBy: 1, Blockers: []string{"ann@corp.example"}},
			{MessageID: first, Address: "all@corp.example", SuccessCount: 1, ProcessingCount: 1, Percent: 50},
			{MessageID: first, Address: "sales@corp.example", FailureCount: 3, Percent: 100, BlockedBy: 2},
		},
		Related: []web.RecallRelated{
			{MessageID: second, Of: first, From: "ann@corp.example", Subject: "Re: 会议通知", RecipientCount: 2, State: policy.StateHeld, Label: policy.LabelDelivering, Held: true},
			{MessageID: first, Of: first, From: "", Subject: "Fwd: Report", RecipientCount: 1, State: policy.StateRelayedRemote, Label: policy.LabelRemote},
		},
	}

	unapproved = web.Recall{
		ID: second, Status: "in_progress", Overall: "awaiting_approval", Requested: noon, Actor: "api:ops", ProcessingCount: 400, ApproveUntil: noon.Add(72 * time.Hour),
		Recipients: []web.RecallRecipient{{MessageID: first, Address: "bob@corp.example", Status: "processing", Text: policy.RecallPlanned.Label()}},
	}

	recallStats = web.RecallStats{
		From: noon.AddDate(0, 0, -30), To: noon, Recalls: 5, Counts: web.RecallCounts{Success: 6, Fail: 2, Processing: 1, SuccessRatio: 0.75},
		ByReason: []web.RecallReason{{Reason: "附件错误", Recalls: 4, Counts: web.RecallCounts{Success: 6}}, {Reason: "", Recalls: 1, Counts: web.RecallCounts{Fail: 2, Processing: 1}}},
		ByAge:    []web.RecallAge{{UpTo: web.Span(time.Minute), Recalls: 3}, {Recalls: 2, Counts: web.RecallCounts{Fail: 2}}},
		ByCode: []web.RecallCodeCount{
			{Code: policy.RemovedFromHold, Status: "success", Text: policy.RemovedFromHold.Label(), Recipients: 6}, {Code: policy.AlreadyRead, Status: "fail", Text: policy.AlreadyRead.Label(), Recipients: 2},
		},
		Hold: []web.RecallHold{{Hold: web.Span(90 * time.Second), Caught: 0.62, More: 2}},
	}
)

// newRecallAPI is a fake API with recalls of all kinds.
func newRecallAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := newFakeAPI(t)
	f.answer["GET /api/v1/recalls/"+second] = grouping
	f.answer["POST /api/v1/recalls/"+second+"/approve"] = recalled
	f.answer["POST /api/v1/recalls/"+second+"/cancel"] = grouping
	f.answer["POST /api/v1/recalls/"+second+"/restore"] = grouping
	f.answer["GET /api/v1/stats/recalls"] = recallStats
	return f
}

func TestRecallTablesInBothLanguages(t *testing.T) {
	inBothLanguages(t, newRecallAPI, map[string][]string{
		"recall-shown":   {"recalls", second, "--evidence"},
		"recall-approve": {"recalls", "approve", second},
		"recall-stats":   {"recalls", "stats"},
	})
	for _, lang := range []string{"en", "zh"} {
		f := newRecallAPI(t)
		f.answer["POST /api/v1/recalls"] = unapproved
		out, _, err := f.sendgate(t, "recall", first, "--lang", lang)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "recall-waiting."+lang, out)
	}
}

func TestWhatTheCommandsAskOfRecalls(t *testing.T) {
	asks{
		"by the header":   {[]string{"recall", "--message-id", "m@x"}, []string{`POST /api/v1/recalls {"message_id_header":"m@x","unread_only":true}`}},
		"approve":         {[]string{"recalls", "approve", second}, []string{"POST /api/v1/recalls/" + second + "/approve"}},
		"cancel":          {[]string{"recalls", "cancel", "8t0w2y"}, []string{"GET /api/v1/recalls?limit=1000", "POST /api/v1/recalls/" + second + "/cancel"}},
		"restore":         {[]string{"recalls", "restore", second}, []string{"POST /api/v1/recalls/" + second + "/restore {}"}},
		"restore to some": {[]string{"recalls", "restore", second, "--recipient", "a@b.c"}, []string{"POST /api/v1/recalls/" + second + `/restore {"recipients":["a@b.c"]}`}},
		"a part of an id": {[]string{"recalls", "8T0W2Y"}, []string{"GET /api/v1/recalls?limit=1000", "GET /api/v1/recalls/" + second}},
		"too little":      {[]string{"recalls", "W2Y"}, nil},
		"no days":         {[]string{"recalls", "stats", "--days", "0"}, nil},
		"approve nothing": {[]string{"recalls", "approve"}, nil},
	}.check(t, newRecallAPI)
	f := newRecallAPI(t)
	if _, _, err := f.sendgate(t, "recalls", "stats", "--days", "7"); err != nil || !strings.HasPrefix(f.asked[0], "GET /api/v1/stats/recalls?from=20") {
		t.Errorf("asked %q (%v)", f.asked, err)
	}
}

func TestARefusedRecallIsAnError(t *testing.T) {
	refused := web.Recall{
		Status: "unavailable", Overall: "rejected", Recipients: []web.RecallRecipient{},
		Restriction: &web.Restriction{Code: "window_expired", Text: policy.Label{EN: "the time is over", ZH: "撤回时限已过"}},
	}
	again := recalled
	again.Status, again.Restriction = "unavailable", &web.Restriction{Code: "recall_in_progress", Text: policy.Label{EN: "it is being taken back", ZH: "正在撤回"}}
	expired := grouping
	expired.Overall = "rejected"
	for name, tt := range map[string]struct {
		answer   web.Recall
		lang     string
		err, out string
	}{
		"refused":            {refused, "en", "the time is over", ""},
		"refused in Chinese": {refused, "zh", "撤回时限已过", ""},
		"already":            {again, "en", "it is being taken back: sendgate recalls " + second, "1 of 3 taken back"},
		"nobody approved":    {expired, "en", "rejected: nobody approved it in time", "1 of 3 taken back"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newRecallAPI(t)
			f.answer["POST /api/v1/recalls"] = tt.answer
			out, _, err := f.sendgate(t, "recall", first, "--lang", tt.lang)
			if err == nil || err.Error() != tt.err || exitCode(err) != 1 || !strings.Contains(out, tt.out) || tt.out == "" && out != "" {
				t.Errorf("%v\n%s", err, out)
			}
			out, _, err = f.sendgate(t, "recall", first, "--json")
			var r web.Recall
			if err == nil || json.Unmarshal([]byte(out), &r) != nil || r.Overall != tt.answer.Overall {
				t.Errorf("as JSON: %v\n%s", err, out)
			}
		})
	}
}

// frames are events of a recall as the server sends them.
func frames(list ...web.Recall) string {
	var b strings.Builder
	for i := range list {
		data, _ := json.Marshal(&list[i])
		b.WriteString("event: recall\ndata: " + string(data) + "\n\n")
	}
	return b.String()
}

func TestWaitingForARecallShowsHowItGetsOn(t *testing.T) {
	half := recalled
	half.Percent, half.ProcessingCount, half.FailureCount = 50, 2, 0
	for lang, want := range map[string]string{
		"en": "waits until 2026-11-24 12:00:00 for a second person: sendgate recalls approve " + second + "\n50 %: 1 taken back, 0 failed, 2 open\n100 %: 1 taken back, 2 failed, 0 open\n",
		"zh": "等待第二人批准（至 2026-11-24 12:00:00）：sendgate recalls approve " + second + "\n50 %：已撤回 1，失败 0，处理中 2\n100 %：已撤回 1，失败 2，处理中 0\n",
	} {
		f := newRecallAPI(t)
		f.answer["GET /api/v1/recalls/"+second+"/events"] = frames(unapproved, half, half, grouping)
		out, errs, err := f.sendgate(t, "recall", first, "--wait", "--lang", lang)
		if err != nil || errs != want || !strings.Contains(out, "ann@corp.example (team@corp.example)") {
			t.Errorf("%v\n%s\n%s", err, errs, out)
		}
		if last := f.asked[len(f.asked)-1]; last != "GET /api/v1/recalls/"+second {
			t.Errorf("asked %q", f.asked)
		}
	}
}

func TestWaitingIsForWhatHasNotEnded(t *testing.T) {
	f := newRecallAPI(t)
	f.answer["POST /api/v1/recalls"] = grouping
	if _, errs, err := f.sendgate(t, "recall", first, "--wait"); err != nil || errs != "" || len(f.asked) != 1 {
		t.Errorf("asked %q (%v)", f.asked, err)
	}
	f = newRecallAPI(t) // the events are refused
	if _, _, err := f.sendgate(t, "recall", first, "--wait"); err == nil || err.Error() != "there is no such message" {
		t.Errorf("%v", err)
	}
	f = newRecallAPI(t)
	f.answer["GET /api/v1/recalls/"+second+"/events"] = "data: <html>\n\n"
	if _, _, err := f.sendgate(t, "recall", first, "--wait"); err == nil || !strings.Contains(err.Error(), " does not speak like sendgate: ") {
		t.Errorf("%v", err)
	}
}

func TestABrokenStreamIsTakenUpAgain(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			_ = json.NewEncoder(w).Encode(recalled)
		case strings.HasSuffix(r.URL.Path, "/events"):
			if asked++; asked == 1 {
				_, _ = w.Write([]byte(frames(recalled)))
				return
			}
			_, _ = w.Write([]byte(frames(grouping)))
		default:
			_ = json.NewEncoder(w).Encode(grouping)
		}
	}))
	defer server.Close()
	f := &fakeAPI{Server: server}
	_, errs, err := f.sendgate(t, "recall", first, "--wait")
	want := "66 %: 1 taken back, 1 failed, 1 open\nthe stream broke off, connecting again\n100 %: 1 taken back, 2 failed, 0 open\n"
	if err != nil || errs != want || asked != 2 {
		t.Errorf("%v\n%s", err, errs)
	}
}

func TestShowSaysWhetherAMessageCanBeTakenBack(t *testing.T) {
	for name, tt := range map[string]struct {
		recall web.Recallable
		en, zh string
	}{
		"until":   {web.Recallable{Available: true, Until: noon.Add(time.Hour)}, "CAN BE RECALLED  until 2026-11-21 13:00:00\n", "撤回        2026-11-21 13:00:00 前可撤回\n"},
		"waiting": {web.Recallable{Available: true}, "CAN BE RECALLED  as long as it waits\n", "撤回        在队列中时可撤回\n"},
		"not":     {web.Recallable{Restriction: &web.Restriction{Text: policy.Label{EN: "it is too old", ZH: "时限已过"}}}, "CAN BE RECALLED  it is too old\n", "撤回        时限已过\n"},
	} {
		f := newFakeAPI(t)
		m := shown
		m.Recall = tt.recall
		m.Recipients = slices.Clone(m.Recipients)
		m.Recipients[0].Recall = &web.RecallState{Text: policy.AlreadyRead.Label()}
		f.answer["GET /api/v1/messages/"+first] = m
		for lang, want := range map[string]string{"en": tt.en, "zh": tt.zh} {
			out, _, err := f.sendgate(t, "show", first, "--lang", lang)
			if err != nil || !strings.Contains(out, want) || !strings.Contains(out, "queued as 4bX; "+policy.AlreadyRead.Label().In(lang)) {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

func TestRecallsInTimelines(t *testing.T) {
	c := &client{lang: "en"}
	for want, e := range map[string]*web.TimelineEntry{
		"was read already":               {Kind: policy.RecallOutcome, Reason: "already_read"},
		"what became of it is not known": {Kind: policy.RecallOutcome, Reason: "from_a_newer_server"},
		"partly taken back":              {Kind: policy.RecallEnded, Reason: "partial"},
		"newer":                          {Kind: policy.RecallEnded, Reason: "newer"},
		"typo":                           {Kind: policy.RecallRequested, Reason: "typo"},
	} {
		if got := c.reason(e); got != want {
			t.Errorf("%s: %q, want %q", e.Kind, got, want)
		}
	}
}
