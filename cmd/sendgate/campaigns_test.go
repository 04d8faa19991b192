package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

var (
	mailing = web.Campaign{
		ID: first, Subject: "秋季促销\x1b[2J", Sender: "alice@corp.example", SenderCount: 3, First: noon.Add(-time.Hour), Last: noon, Messages: 120, Recipients: 130,
		Distinct: web.Reach{Hour: 30, Day: 110}, Level: "review", Label: policy.Label{EN: "Held for review", ZH: "暂缓待审"}, Hijack: true,
	}
	letter = web.Campaign{
		ID: second, Subject: "Newsletter", Sender: "bob@corp.example", SenderCount: 1, First: noon, Last: noon, Messages: 2,
		Level: "none", Label: policy.Label{EN: "Inconspicuous", ZH: "未见异常"},
		Decision: &web.CampaignDecision{Verdict: "allowed", Label: policy.Label{EN: "Allowed", ZH: "已允许"}, By: "api:ops", At: noon, Until: noon.Add(720 * time.Hour)},
	}
	stopped = web.CampaignDecision{Verdict: "canceled", Label: policy.Label{EN: "Stopped", ZH: "已终止"}, By: "api:ops", At: noon}
	mailed  = web.CampaignDetail{
		Campaign: mailing, Waiting: 7, WaitingIDs: []string{second},
		Senders: []web.CampaignSender{
			{Identity: "alice@corp.example", First: noon.Add(-time.Hour), Last: noon, Messages: 100, Distinct: web.Reach{Hour: 20, Day: 95}},
			{Identity: "mallory\x1b[2J", First: noon, Last: noon, Messages: 20, Distinct: web.Reach{Hour: 10, Day: 15}},
		},
		Hours: []web.CampaignHour{{Start: noon.Add(-time.Hour), Messages: 100, Recipients: 110}, {Start: noon, Messages: 20, Recipients: 20}},
		Samples: []web.CampaignSample{
			{ID: first, Identity: "alice@corp.example", Subject: "秋季促销", Time: noon, Similarity: 1, Edits: []web.Edit{
				edit("same", "dear <name> please visit our shop before spring 请 于 五 月 前 来"),
			}},
			{ID: second, Identity: "mallory", Subject: "Offer", Time: noon, Similarity: 0.756, Edits: []web.Edit{
				edit("same", "dear <name> please visit our"), edit("removed", "shop"), edit("added", "old store"), edit("same", "before"), edit("removed", "spring"),
				edit("same", "请 于"), edit("removed", "五"), edit("added", "六"), edit("same", "月 前 来"), edit("added", "bye\x1b[2J"),
			}},
			{ID: first, Identity: "alice@corp.example", Subject: "", Time: noon, Similarity: 0.5, Gone: true},
			{ID: first, Identity: "alice@corp.example", Subject: "x", Time: noon, Similarity: 0.999},
		},
	}
)

func edit(op, text string) web.Edit { return web.Edit{Op: op, Tokens: strings.Fields(text)} }

// newCampaignAPI answers about campaigns, too.
func newCampaignAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := newPolicyAPI(t)
	over := *letter.Decision
	over.Until, over.Over = noon, true
	expired := letter
	expired.Decision = &over
	f.answer["GET /api/v1/campaigns"] = web.CampaignList{Campaigns: []web.Campaign{mailing, letter, expired}, Total: 5}
	f.answer["GET /api/v1/campaigns/"+first] = mailed
	allowed := mailed
	allowed.Campaign, allowed.Senders, allowed.Hours, allowed.Samples = letter, nil, nil, nil
	f.answer["GET /api/v1/campaigns/"+second] = allowed
	canceled := mailed
	canceled.Decision = &stopped
	for verb, campaign := range map[string]web.CampaignDetail{"approve": mailed, "cancel": canceled, "slow": mailed, "withdraw": mailed, "allow": allowed} {
		f.answer["POST /api/v1/campaigns/"+first+"/"+verb] = web.CampaignResult{Messages: 7, Campaign: campaign}
	}
	return f
}

func TestCampaignsInBothLanguages(t *testing.T) {
	inBothLanguages(t, newCampaignAPI, map[string][]string{
		"campaigns":         {"campaigns"},
		"campaign":          {"campaigns", first},
		"campaign-allowed":  {"campaigns", second},
		"campaign-approve":  {"campaigns", "approve", first},
		"campaign-cancel":   {"campaigns", "cancel", first, "--reason", "spam"},
		"campaign-slow":     {"campaigns", "slow", first},
		"campaign-allow":    {"campaigns", "allow", first, "--for", "30d", "--reason", "newsletter"},
		"campaign-withdraw": {"campaigns", "withdraw", first},
	})
}

func TestWhatTheCampaignCommandsAskFor(t *testing.T) {
	const list, path = "GET /api/v1/campaigns?limit=1000&min=1", "POST /api/v1/campaigns/" + first + "/"
	asks{
		"list":             {[]string{"campaigns"}, []string{"GET /api/v1/campaigns?limit=50&min=2"}},
		"list more":        {[]string{"campaigns", "--min", "1", "--limit", "5"}, []string{"GET /api/v1/campaigns?limit=5&min=1"}},
		"one":              {[]string{"campaigns", first, "--token", "demo"}, []string{"GET /api/v1/campaigns/" + first + " as Bearer demo"}},
		"one by its end":   {[]string{"campaigns", "8t0v1x"}, []string{list, "GET /api/v1/campaigns/" + first}},
		"approve":          {[]string{"campaigns", "approve", first}, []string{path + `approve {"reason":""}`}},
		"approve a part":   {[]string{"campaigns", "approve", "8T0V1X", "--reason", "x"}, []string{list, path + `approve {"reason":"x"}`}},
		"cancel":           {[]string{"campaigns", "cancel", first, "--reason", "spam"}, []string{path + `cancel {"reason":"spam"}`}},
		"slow":             {[]string{"campaigns", "slow", first, "--reason", "x"}, []string{path + `slow {"reason":"x"}`}},
		"withdraw":         {[]string{"campaigns", "withdraw", first}, []string{path + `withdraw {"reason":""}`}},
		"allow for":        {[]string{"campaigns", "allow", first, "--for", "30d", "--reason", "x"}, []string{path + `allow {"for":"30d","reason":"x"}`}},
		"allow until then": {[]string{"campaigns", "allow", first, "--until", "2026-12-01T00:00:00+08:00", "--reason", "x"}, []string{path + `allow {"until":"2026-12-01T00:00:00+08:00","reason":"x"}`}},
	}.check(t, func(t *testing.T) *fakeAPI {
		f := newCampaignAPI(t)
		f.answer["GET /api/v1/campaigns"] = web.CampaignList{Campaigns: []web.Campaign{mailing, letter}}
		return f
	})
}

func TestCampaignJSONIsTheAnswerAsItCame(t *testing.T) {
	asItCame(t, newCampaignAPI, [][]string{
		{"campaigns"}, {"campaigns", first}, {"campaigns", "approve", first}, {"campaigns", "allow", first, "--for", "30d", "--reason", "x"},
	})
}

func TestNoCampaigns(t *testing.T) {
	f := newCampaignAPI(t)
	f.answer["GET /api/v1/campaigns"] = web.CampaignList{}
	for lang, want := range map[string]string{"en": "no campaigns\n", "zh": "没有群发\n"} {
		if out, _, err := f.sendgate(t, "campaigns", "--lang", lang); err != nil || out != want {
			t.Errorf("%q %v", out, err)
		}
	}
}

func TestOnlyTheLastHoursOfACampaignArePrinted(t *testing.T) {
	f := newCampaignAPI(t)
	long := web.CampaignDetail{Campaign: letter}
	for i := range 30 {
		long.Hours = append(long.Hours, web.CampaignHour{Start: noon.Add(time.Duration(i) * time.Hour), Messages: uint32(1000 + i)})
	}
	f.answer["GET /api/v1/campaigns/"+first] = long
	out, _, err := f.sendgate(t, "campaigns", first)
	if err != nil || strings.Contains(out, " 1005 ") || !strings.Contains(out, " 1006 ") || !strings.Contains(out, " 1029 ") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCampaignErrorsAndTheirExitCodes(t *testing.T) {
	reason, unknown := &web.Problem{Code: "reason_required"}, &web.Problem{Code: "not_found"}
	reason.Status, reason.Detail = 422, "say why, in reason: it is kept in the journal"
	unknown.Status, unknown.Detail = 404, "there is no such campaign"
	for name, tt := range map[string]struct {
		args []string
		exit int
		want string
	}{
		"allow without a time":    {[]string{"campaigns", "allow", first, "--reason", "x"}, 2, "say how long with --for 24h, or until when with --until TIME"},
		"allow for nonsense":      {[]string{"campaigns", "allow", first, "--for", "soon", "--reason", "x"}, 2, `--for "soon": write a duration such as 90m, 24h or 7d`},
		"approve nothing":         {[]string{"campaigns", "approve"}, 2, "accepts 1 arg(s), received 0; usage: sendgate campaigns approve ID [flags]"},
		"two campaigns":           {[]string{"campaigns", first, second}, 2, "accepts at most 1 arg(s), received 2; usage: sendgate campaigns [ID] [flags]"},
		"too short":               {[]string{"campaigns", "V1X"}, 2, `"V1X": give at least six characters of the id`},
		"cancel without a reason": {[]string{"campaigns", "cancel", first}, 1, "cancel " + first + ": say why, in reason: it is kept in the journal"},
		"unknown":                 {[]string{"campaigns", "01KJZ5V8QW3F7M2N4P6R8T0ZZZ"}, 1, "there is no such campaign"},
		"unknown part":            {[]string{"campaigns", "slow", "ZZZZZZ"}, 1, `none of the newest thousand campaigns has "ZZZZZZ" at the end or the beginning of its id`},
		"ambiguous part":          {[]string{"campaigns", first[:10]}, 1, `"01KJZ5V8QW" is part of several ids: give more of it`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCampaignAPI(t)
			f.answer["POST /api/v1/campaigns/"+first+"/cancel"] = reason
			f.answer["GET /api/v1/campaigns/01KJZ5V8QW3F7M2N4P6R8T0ZZZ"] = unknown
			_, _, err := f.sendgate(t, tt.args...)
			if err == nil || err.Error() != tt.want || exitCode(err) != tt.exit {
				t.Errorf("got %v, want %q with exit code %d", err, tt.want, tt.exit)
			}
			if tt.exit == 2 && f.asked != nil {
				t.Errorf("asked %q", f.asked)
			}
		})
	}
	f := newCampaignAPI(t)
	delete(f.answer, "GET /api/v1/campaigns")
	if _, _, err := f.sendgate(t, "campaigns", "approve", "8T0V1X"); err == nil || err.Error() != "there is no such message" {
		t.Errorf("got %v", err)
	}
}

func TestDifferencesAsText(t *testing.T) {
	long := strings.Repeat("w ", 20) + strings.Repeat("v ", 20)
	head, tail := strings.TrimSpace(strings.Repeat("w ", 12)), strings.TrimSpace(strings.Repeat("v ", 12))
	for name, tt := range map[string]struct {
		edits   []web.Edit
		shorten bool
		want    string
	}{
		"nothing":                   {nil, true, ""},
		"the same":                  {[]web.Edit{edit("same", "a b")}, true, "a b"},
		"replaced":                  {[]web.Edit{edit("same", "a"), edit("removed", "b"), edit("added", "c d"), edit("same", "e")}, true, "a [-b-]{+c d+} e"},
		"added, then removed":       {[]web.Edit{edit("added", "c"), edit("removed", "b")}, true, "{+c+} [-b-]"},
		"ideographs stand together": {[]web.Edit{edit("same", "请 看"), edit("removed", "甲"), edit("added", "乙"), edit("same", "好 a 好")}, true, "请看[-甲-]{+乙+}好 a 好"},
		"an edit without tokens":    {[]web.Edit{edit("same", "a"), edit("removed", ""), edit("same", "b")}, true, "a b"},
		"long before":               {[]web.Edit{edit("same", long), edit("added", "x")}, true, "… " + tail + " {+x+}"},
		"long after":                {[]web.Edit{edit("added", "x"), edit("same", long)}, true, "{+x+} " + head + " …"},
		"long between":              {[]web.Edit{edit("added", "x"), edit("same", long), edit("added", "y")}, true, "{+x+} " + head + " … " + tail + " {+y+}"},
		"long and nothing else":     {[]web.Edit{edit("same", long)}, true, head + " …"},
		"long and whole":            {[]web.Edit{edit("same", long)}, false, strings.TrimSpace(long)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := diffText(tt.edits, tt.shorten); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
