package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

const batch = "01KAHGZT7QX2Y8V4B6N3M5K9WC"

// newBatchAPI answers about a batch.
func newBatchAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := newPolicyAPI(t)
	pulled := waiting
	pulled.Batch, pulled.Text = batch, policy.Label{EN: "Pulled back: alice was suspended", ZH: "已撤回待审：alice 被暂停"}
	f.answer["GET /api/v1/approvals"] = web.ApprovalList{Approvals: []web.ApprovalRequest{pulled}}
	done := web.BatchResult{Done: 2, Results: []web.ActResult{{ID: first, Done: true}, {ID: second, Done: true}}}
	f.answer["POST /api/v1/approvals/"+batch+"/approve"] = done
	f.answer["POST /api/v1/approvals/"+batch+"/cancel"] = done
	return f
}

func TestBatches(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		asks string
		says []string
	}{
		"listed":        {[]string{"approvals", "--batch", batch}, "GET /api/v1/approvals?batch=" + batch + "&limit=50", []string{"Pulled back: alice was suspended", "batch " + batch + ": sendgate approvals approve or cancel"}},
		"listed, zh":    {[]string{"approvals", "--lang", "zh"}, "GET /api/v1/approvals?limit=50", []string{"已撤回待审：alice 被暂停", "批次 " + batch + "：可用 sendgate approvals approve 或 cancel 整批处理"}},
		"approved":      {[]string{"approvals", "approve", batch}, "POST /api/v1/approvals/" + batch + "/approve", []string{batch + " approved, messages let go: 2\n"}},
		"canceled":      {[]string{"approvals", "cancel", batch, "--reason", "not hers"}, "POST /api/v1/approvals/" + batch + `/cancel {"reason":"not hers"}`, []string{batch + " canceled, messages taken back: 2\n"}},
		"canceled, zh":  {[]string{"approvals", "cancel", batch, "--lang", "zh"}, "POST /api/v1/approvals/" + batch + "/cancel {}", []string{batch + " 已取消，撤回邮件 2 封\n"}},
		"approved, zh":  {[]string{"approvals", "approve", batch, "--lang", "zh"}, "POST /api/v1/approvals/" + batch + "/approve", []string{batch + " 已批准，放行邮件 2 封\n"}},
		"approved JSON": {[]string{"approvals", "approve", batch, "--json"}, "POST /api/v1/approvals/" + batch + "/approve", []string{`"done":2`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBatchAPI(t)
			out, _, err := f.sendgate(t, tt.args...)
			if err != nil || !slices.Equal(f.asked, []string{tt.asks}) {
				t.Errorf("asked %q (%v), want %q", f.asked, err, tt.asks)
			}
			for _, s := range tt.says {
				if !strings.Contains(out, s) {
					t.Errorf("%q is not in\n%s", s, out)
				}
			}
		})
	}
}

func TestBatchesThatFail(t *testing.T) {
	f := newBatchAPI(t)
	f.answer["POST /api/v1/approvals/"+batch+"/approve"] = web.BatchResult{Done: 1, Failed: 1, Results: []web.ActResult{
		{ID: first, Done: true}, {ID: second, Code: "conflict", Detail: "the message has changed meanwhile: look at it again"}}}
	_, _, err := f.sendgate(t, "approvals", "approve", batch)
	if want := "approve " + batch + ": 1 of 2 failed, the first " + second + ": the message has changed meanwhile: look at it again"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, _, err = f.sendgate(t, "approvals", "cancel", first); err == nil || err.Error() != "cancel "+first+": there is no such message" {
		t.Errorf("error %v", err)
	}
	for _, args := range [][]string{{"approvals", "approve"}, {"approvals", "cancel"}} {
		if _, _, err := f.sendgate(t, args...); err == nil || !strings.Contains(err.Error(), "accepts 1 arg(s), received 0; usage: sendgate approvals "+args[1]+" BATCH") {
			t.Errorf("error %v", err)
		}
	}
}
