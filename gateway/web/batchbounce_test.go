package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/similar"
)

func TestABatchIsStoppedWithBounces(t *testing.T) {
	for name, path := range map[string]string{"named messages": "/api/v1/approvals/cancel", "what was pulled back": "/api/v1/approvals/batch/cancel"} {
		t.Run(name, func(t *testing.T) {
			c := newCrew(t)
			c.commitDecision(c.foreign, policy.Event{Kind: policy.ApprovalRequested, Time: c.now, Subject: "batch"})
			ids := ""
			if !strings.Contains(path, "batch") {
				ids = `"message_ids":["` + c.foreign + `"],`
			}
			w := c.request('A', "POST", path, `{`+ids+`"bounce":true}`)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), http.StatusUnprocessableEntity, "bounce_reason_required", errBounceReason.Detail)
			w = c.request('A', "POST", path, `{`+ids+`"bounce":true,"reason":"all spam"}`)
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"done":1,"failed":0,"told":1`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if acts := c.audited(); !strings.Contains(acts[0], "done: 1; failed: 0; told: 1; reason: all spam") {
				t.Errorf("audited %q", acts[0])
			}
		})
	}
}

func TestACampaignIsStoppedWithBounces(t *testing.T) {
	c := newCrew(t)
	id := policy.ID{15: 1}
	w := c.request('A', "POST", "/api/v1/campaigns/"+id.String()+"/cancel", `{"reason":"not ours","bounce":true}`)
	if w.Code != http.StatusOK || len(c.campaigns.asked) != 1 || !strings.HasPrefix(c.campaigns.asked[0], "return||not ours|") || c.campaigns.list[0].Decision.Kind != similar.Canceled {
		t.Errorf("%d %s, asked %q", w.Code, w.Body, c.campaigns.asked)
	}
	if acts := c.audited(); !strings.HasPrefix(acts[0], "campaign_cancel|") || !strings.HasSuffix(acts[0], "reason: not ours; bounce: true") {
		t.Errorf("audited %q", acts[0])
	}
}
