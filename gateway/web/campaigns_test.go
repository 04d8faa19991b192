package web

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/similar"
	"github.com/sendgate/sendgate/store"
)

// fakeCampaigns has a list of campaigns and notes what was decided.
type fakeCampaigns struct {
	now     time.Time
	list    []similar.Campaign
	texts   map[policy.ID]string
	waiting []policy.ID
	asked   []string
	fail    error // of Decide
	lost    error // of Waiting
	unread  error // of Text
	lose    bool  // the campaign that was decided on
}

func (c *fakeCampaigns) List(messages int) (list []similar.Campaign) {
	for _, one := range c.list {
		if one.Messages >= uint64(messages) {
			list = append(list, one)
		}
	}
	return list
}

func (c *fakeCampaigns) find(id policy.ID) int {
	return slices.IndexFunc(c.list, func(one similar.Campaign) bool { return one.ID == id })
}

func (c *fakeCampaigns) Get(id policy.ID) (similar.Campaign, error) {
	if i := c.find(id); i >= 0 {
		return c.list[i], nil
	}
	return similar.Campaign{}, similar.ErrUnknown
}

var kindsOfVerbs = map[string]similar.DecisionKind{
	"approve": similar.Approved, "cancel": similar.Canceled, "return": similar.Canceled, "slow": similar.Slowed, "allow": similar.Allowed,
}

func (c *fakeCampaigns) Decide(_ context.Context, id policy.ID, what string, until time.Time, reason, actor string) (int, error) {
	if c.fail != nil {
		return 0, c.fail
	}
	end := ""
	if !until.IsZero() {
		end = until.Format(time.RFC3339)
	}
	c.asked = append(c.asked, strings.Join([]string{what, end, reason, actor}, "|"))
	i := c.find(id)
	c.list[i].Decision = similar.Decision{Kind: kindsOfVerbs[what], By: actor, At: c.now, Until: until, Senders: []string{"alice"}}
	if what == "withdraw" {
		c.list[i].Decision = similar.Decision{}
	}
	if c.lose {
		c.list = nil
	}
	n := len(c.waiting)
	c.waiting = nil
	return n, nil
}

func (c *fakeCampaigns) Waiting(context.Context, policy.ID) ([]policy.ID, error) {
	return c.waiting, c.lost
}

func (c *fakeCampaigns) Text(_ context.Context, id policy.ID) (string, similar.Hints, error) {
	if c.unread != nil {
		return "", similar.Hints{}, c.unread
	}
	text, ok := c.texts[id]
	if !ok {
		return "", similar.Hints{}, store.ErrNotFound
	}
	return text, similar.Hints{Sender: "alice@corp.example"}, nil
}

const (
	firstText  = "Please visit our shop at the old market before spring evening"
	secondText = "Please visit our store at the old market before autumn evening"
)

// campaign makes one of two messages that differ in two words, and a third of which there is no more.
func (r *rig) campaign() similar.Campaign {
	r.t.Helper()
	first := mustID(r.t, r.accept("alice@corp.example", "Special offer", "bob@example.net"))
	second := mustID(r.t, r.accept("alice@corp.example", "Special offer for you", "carol@example.net"))
	gone := mustID(r.t, stranger)
	r.campaigns.texts = map[policy.ID]string{first: firstText, second: secondText}
	r.campaigns.waiting = []policy.ID{second}
	c := similar.Campaign{
		ID: first, First: r.now.Add(-time.Hour), Last: r.now.In(time.FixedZone("CST", 8*3600)), Messages: 120, Recipients: 130, Distinct: similar.Distinct{Hour: 30, Day: 110},
		Senders: []similar.Sender{
			{Name: "alice", First: r.now.Add(-time.Hour), Last: r.now, Messages: 100, Distinct: similar.Distinct{Hour: 20, Day: 95}},
			{Name: "mallory", First: r.now, Last: r.now, Messages: 20, Distinct: similar.Distinct{Hour: 10, Day: 15}},
		},
		Samples: []similar.Sample{
			{ID: first, Sender: "alice", At: r.now.Add(-time.Hour), Similarity: 1},
			{ID: second, Sender: "mallory", At: r.now, Similarity: 0.75},
			{ID: gone, Sender: "alice", At: r.now, Similarity: 0.5},
		},
		Hours: []similar.Hourly{{Hour: r.now.Unix()/3600 - 1, Messages: 100, Recipients: 110}, {Hour: r.now.Unix() / 3600, Messages: 20, Recipients: 20}},
		Level: similar.Review, Hijack: true,
	}
	r.campaigns.list = []similar.Campaign{c, {ID: second, Messages: 2, Last: r.now}, {ID: gone, Messages: 1, Last: r.now}}
	return c
}

func TestCampaignsAreListed(t *testing.T) {
	r := newRig(t)
	if got := get[CampaignList](r, "/api/v1/campaigns"); got.Campaigns == nil || got.Total != 0 {
		t.Errorf("got %+v", got)
	}
	c := r.campaign()
	for q, want := range map[string][2]int{"": {2, 2}, "?min=1": {3, 3}, "?min=1&limit=2": {2, 3}, "?min=3": {1, 1}} {
		if got := get[CampaignList](r, "/api/v1/campaigns"+q); len(got.Campaigns) != want[0] || got.Total != want[1] {
			t.Errorf("%q: %d of %d, want %v", q, len(got.Campaigns), got.Total, want)
		}
	}
	want := Campaign{
		ID: c.ID.String(), Subject: "Special offer", Sender: "alice", SenderCount: 2, First: r.now.Add(-time.Hour), Last: r.now, Messages: 120, Recipients: 130,
		Distinct: Reach{30, 110}, Level: "review", Label: policy.Label{EN: "Held for review", ZH: "暂缓待审"}, Hijack: true,
	}
	list := get[CampaignList](r, "/api/v1/campaigns?min=1").Campaigns
	if !reflect.DeepEqual(list[0], want) {
		t.Errorf("got  %+v\nwant %+v", list[0], want)
	}
	if last := list[2]; last.Subject != "" || last.Sender != "" || last.Level != "none" {
		t.Errorf("of which nothing is stored: %+v", last)
	}
}

func TestACampaignShowsHowItsMessagesDiffer(t *testing.T) {
	r := newRig(t)
	c := r.campaign()
	got := get[CampaignDetail](r, "/api/v1/campaigns/"+c.ID.String())
	if got.Subject != "Special offer" || got.Waiting != 1 || !slices.Equal(got.WaitingIDs, []string{c.Samples[1].ID.String()}) {
		t.Errorf("got %+v", got)
	}
	if want := (CampaignSender{"mallory", r.now, r.now, 20, Reach{10, 15}}); len(got.Senders) != 2 || got.Senders[1] != want {
		t.Errorf("senders %+v", got.Senders)
	}
	if want := (CampaignHour{r.now.Truncate(time.Hour), 20, 20}); len(got.Hours) != 2 || got.Hours[1] != want {
		t.Errorf("hours %+v", got.Hours)
	}
	words := strings.Fields(strings.ToLower(firstText))
	want := []CampaignSample{
		{ID: c.ID.String(), Identity: "alice", Subject: "Special offer", Time: r.now.Add(-time.Hour), Similarity: 1, Edits: []Edit{{"same", words}}},
		{ID: c.Samples[1].ID.String(), Identity: "mallory", Subject: "Special offer for you", Time: r.now, Similarity: 0.75, Edits: []Edit{
			{"same", words[:3]}, {"removed", []string{"shop"}}, {"added", []string{"store"}}, {"same", words[4:9]},
			{"removed", []string{"spring"}}, {"added", []string{"autumn"}}, {"same", words[10:]},
		}},
		{ID: stranger, Identity: "alice", Time: r.now, Similarity: 0.5, Gone: true, Edits: []Edit{}},
	}
	if !reflect.DeepEqual(got.Samples, want) {
		t.Errorf("got  %+v\nwant %+v", got.Samples, want)
	}
}

func TestSamplesAreComparedWithTheFirstThatHasAText(t *testing.T) {
	r := newRig(t)
	c := r.campaign()
	delete(r.campaigns.texts, c.ID)
	got := get[CampaignDetail](r, "/api/v1/campaigns/"+c.ID.String()).Samples
	if !got[0].Gone || len(got[1].Edits) != 1 || got[1].Edits[0].Op != "same" {
		t.Errorf("got %+v", got)
	}
	r.campaigns.texts[c.ID] = ""
	got = get[CampaignDetail](r, "/api/v1/campaigns/"+c.ID.String()).Samples
	if got[0].Gone || got[0].Edits == nil || len(got[0].Edits) != 0 || len(got[1].Edits) != 1 || got[1].Edits[0].Op != "added" {
		t.Errorf("with an empty one: %+v", got)
	}
	r.campaigns.unread = errBroken
	got = get[CampaignDetail](r, "/api/v1/campaigns/"+c.ID.String()).Samples
	if !got[0].Gone || !got[1].Gone || r.logs.FilterMessage("read the text of a sample").Len() != 3 {
		t.Errorf("unreadable: %+v", got)
	}
}

func TestOnlySomeIDsOfWhatWaitsAreShown(t *testing.T) {
	r := newRig(t)
	c := r.campaign()
	r.campaigns.waiting = make([]policy.ID, 301)
	if got := get[CampaignDetail](r, "/api/v1/campaigns/"+c.ID.String()); got.Waiting != 301 || len(got.WaitingIDs) != 300 {
		t.Errorf("%d, with %d ids", got.Waiting, len(got.WaitingIDs))
	}
}

func TestDecisionsAboutCampaigns(t *testing.T) {
	for name, tt := range map[string]struct {
		verb, body, asked string
		want              *CampaignDecision
	}{
		"approved":              {"approve", `{}`, "approve|||api:admin", &CampaignDecision{Verdict: "approved", Label: policy.Label{EN: "Approved", ZH: "已批准"}}},
		"approved for a reason": {"approve", `{"reason":"asked alice"}`, "approve||asked alice|api:admin", &CampaignDecision{Verdict: "approved", Label: policy.Label{EN: "Approved", ZH: "已批准"}}},
		"stopped":               {"cancel", `{"reason":"spam"}`, "cancel||spam|api:admin", &CampaignDecision{Verdict: "canceled", Label: policy.Label{EN: "Stopped", ZH: "已终止"}}},
		"slowed":                {"slow", `{}`, "slow|||api:admin", &CampaignDecision{Verdict: "slowed", Label: policy.Label{EN: "Slowed down by decision", ZH: "已人工限速"}}},
		"allowed for a time": {"allow", `{"for":"30d","reason":"newsletter"}`, "allow|2026-12-21T10:30:00Z|newsletter|api:admin",
			&CampaignDecision{Verdict: "allowed", Label: policy.Label{EN: "Allowed", ZH: "已允许"}, Until: time.Date(2026, 12, 21, 10, 30, 0, 0, time.UTC)}},
		"allowed until a time": {"allow", `{"until":"2026-11-22T08:00:00+08:00","reason":"newsletter"}`, "allow|2026-11-22T00:00:00Z|newsletter|api:admin",
			&CampaignDecision{Verdict: "allowed", Label: policy.Label{EN: "Allowed", ZH: "已允许"}, Until: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}},
		"withdrawn": {"withdraw", `{}`, "withdraw|||api:admin", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.campaign()
			if tt.verb == "withdraw" {
				r.campaigns.list[0].Decision = similar.Decision{Kind: similar.Approved}
			}
			got := post[CampaignResult](r, "/api/v1/campaigns/"+c.ID.String()+"/"+tt.verb, tt.body)
			if got.Messages != 1 || got.Campaign.ID != c.ID.String() || got.Campaign.Waiting != 0 || !slices.Equal(r.campaigns.asked, []string{tt.asked}) {
				t.Errorf("asked %q, got %+v", r.campaigns.asked, got)
			}
			if tt.want != nil {
				tt.want.By, tt.want.At, tt.want.Senders = "api:admin", r.now, []string{"alice"}
			}
			if !reflect.DeepEqual(got.Campaign.Decision, tt.want) {
				t.Errorf("got %+v, want %+v", got.Campaign.Decision, tt.want)
			}
			acts := r.logs.FilterMessage("act").All()
			if len(acts) != 1 {
				t.Fatalf("audit lines: %v", acts)
			}
			line := acts[0].ContextMap()
			if line["verb"] != tt.verb || line["campaign"] != c.ID.String() || line["actor"] != "api:admin" || line["messages"] != int64(1) {
				t.Errorf("audit line: %v", line)
			}
		})
	}
}

func TestAnOldDecisionSaysThatItIsOver(t *testing.T) {
	r := newRig(t)
	c := r.campaign()
	for kind, want := range map[similar.DecisionKind]bool{similar.Allowed: true, similar.Approved: false, "newer": false} {
		r.campaigns.list[0].Decision = similar.Decision{Kind: kind, Until: r.now}
		d := get[CampaignDetail](r, "/api/v1/campaigns/"+c.ID.String()).Decision
		if d.Over != want || d.Senders == nil || d.Label.EN == "" || d.Label.ZH == "" {
			t.Errorf("%s: %+v", kind, d)
		}
	}
}

func TestEveryLevelAndVerdictHasAName(t *testing.T) {
	for l := similar.Silent; l <= similar.Alert; l++ {
		if n := levelLabel(l); n.EN == "" || n.ZH == "" {
			t.Errorf("%s: %+v", l, n)
		}
	}
	for _, k := range kindsOfVerbs {
		if _, ok := decisionLabels[k]; !ok {
			t.Errorf("%s has none", k)
		}
	}
}

func TestCampaignsAreRefused(t *testing.T) {
	const (
		noID    = "that is not the id of a campaign: an id has 26 letters and digits"
		unknown = "there is no such campaign, or it is forgotten because nothing like it was sent for long"
		why     = "say why, in reason: it is kept in the journal"
		other   = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	)
	for name, tt := range map[string]struct {
		id, verb, body string
		fail           error
		status         int
		code, detail   string
	}{
		"not an id":                {"17", "", "", nil, 404, "not_found", noID},
		"unknown":                  {other, "", "", nil, 404, "not_found", unknown},
		"approve no id":            {"17", "approve", "{}", nil, 404, "not_found", noID},
		"approve unknown":          {other, "approve", "{}", nil, 404, "not_found", unknown},
		"slow unknown":             {other, "slow", "{}", nil, 404, "not_found", unknown},
		"cancel unknown":           {other, "cancel", "{}", nil, 404, "not_found", unknown},
		"allow unknown":            {other, "allow", "{}", nil, 404, "not_found", unknown},
		"withdraw unknown":         {other, "withdraw", "{}", nil, 404, "not_found", unknown},
		"cancel without a reason":  {"", "cancel", `{"reason":" "}`, nil, 422, "reason_required", why},
		"allow without a reason":   {"", "allow", `{"for":"30d"}`, nil, 422, "reason_required", why},
		"allow without a time":     {"", "allow", `{"reason":"x"}`, nil, 422, "invalid_time", errHoldTime.Detail},
		"allow for nonsense":       {"", "allow", `{"for":"soon","reason":"x"}`, nil, 422, "invalid_time", `"for" is a duration above zero, such as 90s, 10m, 24h or 7d`},
		"allow until the past":     {"", "allow", `{"until":"2026-11-21T10:30:00Z","reason":"x"}`, nil, 422, "invalid_time", `"until" is in the past`},
		"nothing to withdraw":      {"", "withdraw", `{}`, nil, 409, "nothing_decided", "nobody has decided about the campaign: there is nothing to withdraw"},
		"forgotten meanwhile":      {"", "approve", `{}`, fmt.Errorf("decide: %w", similar.ErrUnknown), 404, "not_found", unknown},
		"refused":                  {"", "approve", `{}`, &Refusal{"no_body", "a body is gone"}, 409, "no_body", "a body is gone"},
		"broken":                   {"", "approve", `{}`, errBroken, 500, "internal", "something went wrong here: the log of sendgate says what"},
		"a time where none is due": {"", "approve", `{"for":"30d"}`, nil, 422, "invalid_request", "validation failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.campaign()
			r.campaigns.fail = tt.fail
			method, path := http.MethodGet, "/api/v1/campaigns/"+tt.id
			if tt.id == "" {
				path += c.ID.String()
			}
			if tt.verb != "" {
				method, path = http.MethodPost, path+"/"+tt.verb
			}
			w := r.ask(r.server, "secret-operator", method, path, tt.body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
			if len(r.campaigns.asked) > 0 || r.logs.FilterMessage("act").Len() > 0 {
				t.Error("it was done")
			}
		})
	}
}

func TestCampaignsThatCannotBeShown(t *testing.T) {
	r := newRig(t)
	c := r.campaign()
	path := "/api/v1/campaigns/" + c.ID.String()
	r.campaigns.lost = errBroken
	w := r.ask(r.server, "secret-admin", "GET", path, "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 500, "internal", "something went wrong here: the log of sendgate says what")
	r.campaigns.lose = true
	w = r.ask(r.server, "secret-admin", "POST", path+"/approve", "{}")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "not_found", "there is no such campaign, or it is forgotten because nothing like it was sent for long")
	if r.logs.FilterMessage("act").Len() != 1 {
		t.Error("what was done before it was forgotten is not in the log")
	}
}

func TestWhoMaySeeAndDecideCampaigns(t *testing.T) {
	r := newRig(t)
	path := "/api/v1/campaigns/" + r.campaign().ID.String()
	for name, tt := range map[string]struct {
		role, method, path string
		status             int
	}{
		"an auditor reads":          {"auditor", "GET", path, 200},
		"an auditor lists":          {"auditor", "GET", "/api/v1/campaigns", 200},
		"an auditor decides":        {"auditor", "POST", path + "/approve", 403},
		"an operator decides":       {"operator", "POST", path + "/approve", 200},
		"a user reads":              {"user", "GET", path, 403},
		"a user lists":              {"user", "GET", "/api/v1/campaigns", 403},
		"a user decides":            {"user", "POST", path + "/approve", 403},
		"an administrator approves": {"admin", "POST", path + "/approve", 200},
	} {
		body := ""
		if tt.method == "POST" {
			body = "{}"
		}
		if w := r.ask(r.server, "secret-"+tt.role, tt.method, tt.path, body); w.Code != tt.status {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.status)
		}
	}
}

func TestWhereTheCampaignOfAMessageIsNamed(t *testing.T) {
	const id = "01KJZ5V8QW3F7M2N4P6R8T0V1X"
	sentence := policy.Label{EN: "Similar message sent to 120 recipients in 24 h, 30 in 1 h", ZH: "24 小时内向 120 位收件人发送了相似邮件，其中 1 小时内 30 位"}
	f := policy.Finding{
		Rule: "similar", Kind: "similar", Unit: policy.ExternalRecipients, Key: id, Window: 24 * time.Hour, Asked: 1, Used: 119, Limit: 100,
		Exceeded: true, Decided: true, Action: policy.Approval, Detail: sentence,
	}
	for name, tt := range map[string]struct{ key, campaign, en, zh string }{
		"a campaign":       {id, id, " (campaign " + id + ")", "（群发 " + id + "）"},
		"the first of one": {policy.ID{}.String(), "", "", ""},
		"no id":            {"x", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := f
			f.Key = tt.key
			message := r.record(
				policy.Event{Kind: policy.Accepted, Actor: "smtp", Findings: []policy.Finding{f}},
				policy.Event{Kind: policy.ApprovalRequested, Rule: "similar", Until: r.now.Add(72 * time.Hour)},
			)
			steps := get[Explanation](r, "/api/v1/messages/"+message+"/explain").Steps
			if got := steps[0].Findings[0]; got.Campaign != tt.campaign || got.Text != sentence || got.Used != 119 || got.Asked != 1 || got.Limit != 100 {
				t.Errorf("finding %+v", got)
			}
			want := policy.Label{EN: "waits for approval until 2026-11-24 18:30:00: " + sentence.EN + tt.en, ZH: "等待审批至 2026-11-24 18:30:00：" + sentence.ZH + tt.zh}
			if steps[1].Text != want {
				t.Errorf("step %+v, want %+v", steps[1].Text, want)
			}
			if got := get[MessageDetail](r, "/api/v1/messages/"+message).Timeline[0].Findings[0]; got.Campaign != tt.campaign {
				t.Errorf("remark %+v", got)
			}
			if got := get[ApprovalList](r, "/api/v1/approvals").Approvals[0]; got.Campaign != tt.campaign || got.Text != sentence {
				t.Errorf("approval %+v", got)
			}
		})
	}
}
