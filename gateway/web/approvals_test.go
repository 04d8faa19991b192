package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// large is what the limit message-large says about a message to 150 recipients.
var large = policy.Finding{
	Rule: "message-large", Kind: "limit", Unit: policy.Recipients, Key: "alice@corp.example", Asked: 150, Limit: 100, Source: "rule",
	Exceeded: true, Decided: true, Action: policy.Approval,
}

// wait commits a message that waits for approval and gives its id.
func (r *rig) wait(findings ...policy.Finding) string {
	r.t.Helper()
	id := r.store.NewID()
	r.commit(store.Change{Message: id, Envelope: &policy.Envelope{
		Received: r.now, Front: policy.Relay, Direction: policy.Outbound, Sender: "alice@corp.example", Identity: "alice@corp.example",
		Subject: "Newsletter", Recipients: []policy.Recipient{{Address: "bob@example.net"}},
	}, Events: []policy.Event{
		{Kind: policy.Accepted, Time: r.now, Actor: "smtp", Findings: []policy.Finding{large}},
		{Kind: policy.ApprovalRequested, Time: r.now, Until: r.now.Add(72 * time.Hour), Rule: "message-large", Reason: "limit message-large", Findings: findings},
	}})
	return id.String()
}

func TestApprovalsAreListed(t *testing.T) {
	text := policy.Label{EN: "150 recipients in one message, the limit is 100", ZH: "单封邮件有 150 个收件人，上限 100"}
	other := large
	other.Detail = policy.Label{EN: "asked again", ZH: "再次请求"}
	shadow := other
	shadow.Shadow = true
	for name, tt := range map[string]struct {
		findings []policy.Finding
		expiry   string
		text     policy.Label
	}{
		"told when it was accepted":  {nil, "return", text},
		"told when it was asked for": {[]policy.Finding{shadow, other}, "return", other.Detail},
		"goes out unapproved":        {[]policy.Finding{{Kind: "approval", Action: policy.Pass}}, "release", text},
		"goes back unapproved":       {[]policy.Finding{{Kind: "approval", Action: policy.Reject}}, "return", text},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.accept("alice@corp.example", "Held only", "bob@example.net")
			id := r.wait(tt.findings...)
			list := get[ApprovalList](r, "/api/v1/approvals")
			if len(list.Approvals) != 1 || list.Next != "" {
				t.Fatalf("got %+v", list)
			}
			got := list.Approvals[0]
			if got.ID != id || got.Subject != "Newsletter" || got.Rule != "message-large" || got.State != policy.StateApprovalPending ||
				!got.Expires.Equal(r.now.Add(72*time.Hour)) || !got.Since.Equal(r.now) || got.OnExpiry != tt.expiry || got.Text != tt.text {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestApprovalsHavePages(t *testing.T) {
	r := newRig(t)
	if got := get[ApprovalList](r, "/api/v1/approvals"); got.Approvals == nil {
		t.Error("null")
	}
	older, newer := r.wait(), r.wait()
	page := get[ApprovalList](r, "/api/v1/approvals?limit=1")
	if len(page.Approvals) != 1 || page.Approvals[0].ID != newer || page.Next == "" {
		t.Fatalf("got %+v", page)
	}
	page = get[ApprovalList](r, "/api/v1/approvals?limit=1&cursor="+page.Next)
	if len(page.Approvals) != 1 || page.Approvals[0].ID != older || page.Next != "" {
		t.Errorf("got %+v", page)
	}
	w := r.ask(r.server, "secret-admin", "GET", "/api/v1/approvals?cursor=5", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "invalid_cursor", "the cursor is not one of ours: use next of the page before")
}

func TestApproveLetsGo(t *testing.T) {
	r := newRig(t)
	id := r.wait()
	got := post[MessageDetail](r, "/api/v1/messages/"+id+"/approve", "")
	last := got.Timeline[len(got.Timeline)-1]
	if got.State != policy.StateQueued || last.Kind != policy.Approved || last.Actor != "api:admin" {
		t.Errorf("got %s, %+v", got.State, last)
	}
	if acts := r.logs.FilterMessage("act").All(); len(acts) != 1 || acts[0].ContextMap()["verb"] != "approve" || acts[0].ContextMap()["id"] != id {
		t.Errorf("audit lines: %v", acts)
	}
}

func TestApproveIsRefused(t *testing.T) {
	r := newRig(t)
	held := r.accept("alice@corp.example", "Held only", "bob@example.net")
	waiting := r.wait()
	for name, tt := range map[string]struct {
		id           string
		fail         error
		status       int
		code, detail string
	}{
		"held only":       {held, nil, 409, "no_approval", "the message does not wait for approval"},
		"changed":         {waiting, store.ErrConflict, 409, "conflict", "the message has changed meanwhile: look at it again"},
		"broken":          {waiting, errBroken, 500, "internal", "something went wrong here: the log of sendgate says what"},
		"unknown message": {stranger, nil, 404, "not_found", "there is no such message, or it is older than events are kept"},
		"not an id":       {"17", nil, 404, "not_found", "that is not the id of a message: an id has 26 letters and digits"},
	} {
		t.Run(name, func(t *testing.T) {
			r.holder.fail = tt.fail
			w := r.ask(r.server, "secret-operator", http.MethodPost, "/api/v1/messages/"+tt.id+"/approve", "")
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
		})
	}
}

func TestABatchSaysOfEachWhatCameOfIt(t *testing.T) {
	for _, verb := range []string{"approve", "cancel"} {
		t.Run(verb, func(t *testing.T) {
			r := newRig(t)
			good, held, other := r.wait(), r.accept("alice@corp.example", "Held only", "bob@example.net"), r.wait()
			body := `{"message_ids":["` + strings.Join([]string{good, held, "17", stranger, other, other}, `","`) + `"]`
			if verb == "cancel" {
				body += `,"reason":"wrong file"`
			}
			got := post[BatchResult](r, "/api/v1/approvals/"+verb, body+"}")
			want := []ActResult{
				{good, true, "", ""},
				{held, false, "no_approval", "the message does not wait for approval"},
				{"17", false, "not_found", "that is not the id of a message: an id has 26 letters and digits"},
				{stranger, false, "not_found", "there is no such message, or it is older than events are kept"},
				{other, true, "", ""},
				{other, false, "no_approval", "the message does not wait for approval"},
			}
			if got.Done != 2 || got.Failed != 4 || len(got.Results) != len(want) {
				t.Fatalf("got %+v", got)
			}
			for i := range want {
				if got.Results[i] != want[i] {
					t.Errorf("%d: %+v, want %+v", i, got.Results[i], want[i])
				}
			}
			state := map[string]policy.State{"approve": policy.StateQueued, "cancel": policy.StateCanceled}[verb]
			if m := get[MessageDetail](r, "/api/v1/messages/"+good); m.State != state {
				t.Errorf("state %s", m.State)
			}
			if n := r.logs.FilterMessage("act").Len(); n != 2 {
				t.Errorf("%d audit lines", n)
			}
		})
	}
}

func TestABatchThatFails(t *testing.T) {
	r := newRig(t)
	id := r.wait()
	for name, tt := range map[string]struct {
		verb, body, detail string
		status             int
	}{
		"no ids":                   {"approve", `{"message_ids":[]}`, "validation failed", 422},
		"cancel without a reason":  {"cancel", `{"message_ids":["` + id + `"]}`, "say why, in reason: it is kept with the message", 422},
		"reason of an approval":    {"approve", `{"message_ids":["` + id + `"],"reason":"x"}`, "validation failed", 422},
		"three hundred and one":    {"approve", `{"message_ids":["` + strings.Repeat(id+`","`, 300) + id + `"]}`, "validation failed", 422},
		"cancel of more than that": {"cancel", `{"reason":"x","message_ids":["` + strings.Repeat(id+`","`, 300) + id + `"]}`, "validation failed", 422},
	} {
		code := "invalid_request"
		if strings.HasPrefix(tt.detail, "say") {
			code = "reason_required"
		}
		w := r.ask(r.server, "secret-admin", "POST", "/api/v1/approvals/"+tt.verb, tt.body)
		wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, code, tt.detail)
		if w.Code == 200 {
			t.Error(name)
		}
	}
	r.holder.fail = errBroken
	got := post[BatchResult](r, "/api/v1/approvals/cancel", `{"message_ids":["`+id+`"],"reason":"x"}`)
	if want := (ActResult{id, false, "internal", "something went wrong here: the log of sendgate says what"}); got.Results[0] != want {
		t.Errorf("got %+v", got.Results[0])
	}
	r.holder.fail, r.holder.busy = nil, map[string]bool{"bob@example.net": true}
	got = post[BatchResult](r, "/api/v1/approvals/cancel", `{"message_ids":["`+id+`"],"reason":"x"}`)
	if got.Results[0].Code != "not_cancelled" || !strings.HasPrefix(got.Results[0].Detail, "nothing could be taken back: is being sent just now") {
		t.Errorf("got %+v", got.Results[0])
	}
}
