package web

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy/similar"
)

func TestCampaignsHaveAPage(t *testing.T) {
	d := newDash(t)
	d.as("auditor").sees("/campaigns", "No campaigns")
	c := d.campaign()
	d.as("auditor").sees("/campaigns", "Special offer", "Held for review", "Several accounts", "and 1 more", `href="/campaigns/`+c.ID.String()+`"`)
	d.as("auditor").sees("/campaigns/"+c.ID.String(), "Special offer", "mallory", "75 % alike", "Its text is not kept any more.", `data-chart=`,
		`<del><span class="unseen">removed: </span>shop</del> <ins><span class="unseen">added: </span>store</ins>`, `href="/messages/`+c.Samples[1].ID.String()+`"`)
	d.worded("operator", "/campaigns", "/campaigns?min=10", "/campaigns/"+c.ID.String())
	if status, page := d.as("auditor").get("/campaigns/" + stranger[:25] + "0"); status != http.StatusNotFound || !strings.Contains(page, "There is no such campaign") {
		t.Errorf("unknown: %d %s", status, inner(page))
	}
}

func TestTheChartOfACampaignHasEveryHour(t *testing.T) {
	d := newDash(t)
	s := d.server
	at := d.now.Truncate(time.Hour)
	c := s.campaignChart(&visit{lang: "en"}, []CampaignHour{{at, 3, 4}, {at.Add(2 * time.Hour), 5, 6}})
	if !slices.Equal(c.Series[0].Values, []int{0, 4, 0, 6, 0}) || !slices.Equal(c.Series[1].Values, []int{0, 3, 0, 5, 0}) || c.Times[0] != at.Add(-time.Hour).Unix() || !c.Hourly {
		t.Errorf("got %+v", c)
	}
	c = s.campaignChart(&visit{lang: "en"}, []CampaignHour{{at, 3, 4}, {at.Add(9999 * time.Hour), 5, 6}})
	if len(c.Times) != maxChartHours+1 || c.Series[0].Values[maxChartHours-1] != 6 {
		t.Errorf("%d hours", len(c.Times))
	}
	if c = s.campaignChart(&visit{lang: "en"}, nil); c.Times != nil {
		t.Errorf("of none: %+v", c)
	}
}

func TestTokensAreWrittenAsText(t *testing.T) {
	got := piecesOf([]Edit{{"same", []string{"你", "好", "mr", "<name>"}}, {"removed", []string{"甲"}}, {"added", []string{"乙"}}, {"same", []string{"end"}}})
	want := []piece{{"same", "你好 mr <name>", false}, {"removed", "甲", true}, {"added", "乙", false}, {"same", "end", true}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestCampaignsAreDecidedOnAPage(t *testing.T) {
	for name, tt := range map[string]struct {
		verb   string
		fields []string
		asked  string
		said   string
	}{
		"approve":  {"approve", nil, "approve|||user:operator", "Approved. Messages let go: 1."},
		"slow":     {"slow", []string{"reason", "busy"}, "slow||busy|user:operator", "Slowed down."},
		"cancel":   {"cancel", []string{"reason", "spam"}, "cancel||spam|user:operator", "Stopped. Messages taken back: 1."},
		"allow":    {"allow", []string{"for", "7d", "reason", "letter"}, "allow|2026-11-28T10:30:00Z|letter|user:operator", "Allowed."},
		"withdraw": {"withdraw", nil, "withdraw|||user:operator", "The decision is withdrawn."},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			c := d.campaign()
			if tt.verb == "withdraw" {
				d.campaigns.list[0].Decision = similar.Decision{Kind: similar.Canceled, By: "user:admin", At: d.now, Senders: []string{"alice"}}
				d.as("operator").sees("/campaigns/"+c.ID.String(), "Withdraw the decision", "user:admin", "Stopped")
			}
			at := "/campaigns/" + c.ID.String()
			_, page := d.as("operator").post(at+"/"+tt.verb, at, tt.fields...)
			if !strings.Contains(inner(page), tt.said) || !slices.Equal(d.campaigns.asked, []string{tt.asked}) {
				t.Errorf("asked %q\n%s", d.campaigns.asked, inner(page))
			}
			d.worded("operator", at)
		})
	}
}

func TestDecisionsOnAPageAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		role, verb, want string
		fields           []string
	}{
		"no reason":   {"admin", "cancel", "Say why", nil},
		"long reason": {"admin", "slow", "A reason has at most 1000 characters.", []string{"reason", strings.Repeat("x", 1001)}},
		"no time":     {"admin", "allow", "Choose for how long or until when", []string{"reason", "x"}},
		"wrong time":  {"admin", "allow", "Choose for how long or until when", []string{"until", "soon", "reason", "x"}},
		"undecided":   {"admin", "withdraw", "there is nothing to withdraw", nil},
		"an auditor":  {"auditor", "approve", "Your role does not allow this.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			at := "/campaigns/" + d.campaign().ID.String()
			_, page := d.as(tt.role).post(at+"/"+tt.verb, at, tt.fields...)
			if !strings.Contains(page, tt.want) || d.campaigns.asked != nil {
				t.Errorf("asked %q\n%s", d.campaigns.asked, inner(page))
			}
		})
	}
	d := newDash(t)
	if _, page := d.as("auditor").get("/campaigns/" + d.campaign().ID.String()); strings.Contains(page, `action="/campaigns/`) {
		t.Error("an auditor is offered acts")
	}
}

func TestHostileCampaignsAreHarmless(t *testing.T) {
	for _, bad := range payloads {
		d := newDash(t)
		c := d.campaign()
		id := mustID(t, d.accept("alice@corp.example", bad, "bob@example.net"))
		d.campaigns.texts[id] = "please visit " + bad + " before spring"
		d.campaigns.list[0].Samples[1] = similar.Sample{ID: id, Sender: bad, At: d.now, Similarity: 0.5}
		d.campaigns.list[0].Senders[0].Name = bad
		d.campaigns.list[0].Decision = similar.Decision{Kind: similar.Approved, By: bad, At: d.now, Senders: []string{bad}}
		for _, path := range []string{"/campaigns", "/campaigns/" + c.ID.String()} {
			status, page := d.as("admin").get(path)
			if status != http.StatusOK {
				t.Errorf("%s: %d", path, status)
			}
			harmless(t, page)
		}
	}
}
