package web

import (
	"net/http"
	"slices"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

func TestResendToAllThatFailedOrToTheChosen(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want []int
	}{
		"all that failed":     {`{}`, nil},
		"with a reason":       {`{"reason":"mailbox made"}`, nil},
		"one in another case": {`{"recipients":["CAROL@Example.NET"]}`, []int{1}},
		"both":                {`{"recipients":["carol@example.net","bob@example.net"]}`, []int{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			id := r.accept("alice@corp.example", "Report", "bob@example.net", "carol@example.net")
			r.observe(id, policy.Event{Kind: policy.Bounced, Reply: "550 no"})
			got := post[MessageDetail](r, "/api/v1/messages/"+id+"/resend", tt.body)
			if !slices.Equal(r.holder.resent[0], tt.want) || (r.holder.resent[0] == nil) != (tt.want == nil) {
				t.Errorf("asked for %v, want %v", r.holder.resent[0], tt.want)
			}
			last := got.Timeline[len(got.Timeline)-1]
			if last.Kind != policy.Resent || last.Actor != "api:admin" || (name == "with a reason") != (last.Reason == "mailbox made") {
				t.Errorf("event %+v", last)
			}
			if acts := r.logs.FilterMessage("act").All(); len(acts) != 1 || acts[0].ContextMap()["verb"] != "resend" || acts[0].ContextMap()["id"] != id {
				t.Errorf("audit lines: %v", acts)
			}
		})
	}
}

func TestResendIsRefused(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	path := "/api/v1/messages/" + id + "/resend"
	noBody := &Refusal{Code: "no_body", Detail: "sendgate has no copy of this message (milter mode): send it again from the Sent folder"}
	for name, tt := range map[string]struct {
		path, body string
		fail       error
		status     int
		code       string
		detail     string
	}{
		"by the holder":   {path, `{}`, noBody, 409, "no_body", noBody.Detail},
		"broken":          {path, `{}`, errBroken, 500, "internal", "something went wrong here: the log of sendgate says what"},
		"a stranger":      {path, `{"recipients":["zoe@example.net"]}`, nil, 422, "invalid_address", "the message has no such recipient"},
		"unknown message": {"/api/v1/messages/" + stranger + "/resend", `{}`, nil, 404, "not_found", "there is no such message, or it is older than events are kept"},
		"not an id":       {"/api/v1/messages/17/resend", `{}`, nil, 404, "not_found", "that is not the id of a message: an id has 26 letters and digits"},
	} {
		t.Run(name, func(t *testing.T) {
			r.holder.fail = tt.fail
			w := r.ask(r.server, "secret-admin", http.MethodPost, tt.path, tt.body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
		})
	}
	if n := r.logs.FilterMessage("act").Len(); n != 0 {
		t.Errorf("%d acts in the audit", n)
	}
}
