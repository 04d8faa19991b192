package web

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// pull commits a message that waits as a part of a batch, and gives its id.
func (r *rig) pull(batch string) string {
	r.t.Helper()
	id := r.store.NewID()
	why := policy.Label{EN: "Pulled back: alice was suspended at 14:32", ZH: "已撤回待审：alice 于 14:32 被暂停"}
	r.commit(store.Change{Message: id, Envelope: &policy.Envelope{
		Received: r.now, Front: policy.Relay, Direction: policy.Outbound, Sender: "alice@corp.example", Identity: "alice@corp.example",
		Subject: "Invoice", Recipients: []policy.Recipient{{Address: "bob@example.net"}},
	}, Events: []policy.Event{
		{Kind: policy.Accepted, Time: r.now, Actor: "smtp"},
		{Kind: policy.Held, Time: r.now, Until: r.now.Add(time.Minute)},
		{Kind: policy.ApprovalRequested, Time: r.now, Until: r.now.Add(72 * time.Hour), Rule: "pulled back", Reason: why.EN, Subject: batch, Actor: "anomaly",
			Findings: []policy.Finding{
				{Rule: "pulled back", Kind: "pulled_back", Decided: true, Action: policy.Approval, Detail: why},
				{Rule: "pulled back", Kind: "approval", Action: policy.Reject},
			}},
	}})
	return id.String()
}

const batch, otherBatch = "01KAHGZT7QX2Y8V4B6N3M5K9WC", "01KAHGZT7QX2Y8V4B6N3M5K9WD"

// ids are those of a list.
func (l *ApprovalList) ids() (all []string) {
	for i := range l.Approvals {
		all = append(all, l.Approvals[i].ID)
	}
	slices.Sort(all)
	return all
}

func TestABatchIsListed(t *testing.T) {
	r := newRig(t)
	first := r.pull(batch)
	for range 3 {
		r.wait()
	}
	other, second := r.pull(otherBatch), r.pull(batch)
	list := get[ApprovalList](r, "/api/v1/approvals?batch="+batch)
	if got := list.ids(); !slices.Equal(got, []string{first, second}) || list.Next != "" {
		t.Fatalf("got %q, next %q", got, list.Next)
	}
	v := list.Approvals[0]
	if v.Batch != batch || v.Rule != "pulled back" || v.Text.ZH != "已撤回待审：alice 于 14:32 被暂停" || v.OnExpiry != "return" {
		t.Errorf("got %+v", v)
	}
	var paged []string
	cursor := ""
	for {
		page := get[ApprovalList](r, "/api/v1/approvals?limit=2&batch="+batch+"&cursor="+cursor)
		if len(page.Approvals) == 0 && page.Next != "" {
			t.Fatal("an empty page that is not the last")
		}
		paged = append(paged, page.ids()...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if slices.Sort(paged); !slices.Equal(paged, []string{first, second}) {
		t.Errorf("in pages: %q", paged)
	}
	whole := get[ApprovalList](r, "/api/v1/approvals")
	if got := whole.ids(); len(got) != 6 || !slices.Contains(got, other) {
		t.Errorf("without a batch: %q", got)
	}
	if none := get[ApprovalList](r, "/api/v1/approvals?batch="+stranger); none.Approvals == nil || len(none.Approvals) != 0 {
		t.Errorf("got %+v", none)
	}
	w := r.ask(r.server, "secret-admin", http.MethodGet, "/api/v1/approvals?batch="+batch+"&cursor=5", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "invalid_cursor", "the cursor is not one of ours: use next of the page before")
}

func TestABatchIsActedOnAsAWhole(t *testing.T) {
	for verb, state := range map[string]policy.State{"approve": policy.StateQueued, "cancel": policy.StateCanceled} {
		t.Run(verb, func(t *testing.T) {
			r := newRig(t)
			mine := []string{r.pull(batch), r.pull(batch), r.pull(batch)}
			others := []string{r.pull(otherBatch), r.wait()}
			body := ""
			if verb == "cancel" {
				body = `{"reason":"not hers"}`
			}
			got := post[BatchResult](r, "/api/v1/approvals/"+batch+"/"+verb, body)
			if got.Done != 3 || got.Failed != 0 || len(got.Results) != 3 {
				t.Fatalf("got %+v", got)
			}
			for _, id := range mine {
				if m := get[MessageDetail](r, "/api/v1/messages/"+id); m.State != state {
					t.Errorf("%s is %s", id, m.State)
				}
			}
			for _, id := range others {
				if m := get[MessageDetail](r, "/api/v1/messages/"+id); m.State != policy.StateApprovalPending {
					t.Errorf("%s is %s", id, m.State)
				}
			}
			if n := r.logs.FilterMessage("act").Len(); n != 3 {
				t.Errorf("%d audit lines", n)
			}
			w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/approvals/"+batch+"/"+verb, body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "not_found", "nothing of that batch waits for approval")
		})
	}
}

func TestABatchNeedsAReasonToBeCanceled(t *testing.T) {
	r := newRig(t)
	r.pull(batch)
	w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/approvals/"+batch+"/cancel", `{}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "reason_required", "say why, in reason: it is kept with the message")
	w = r.ask(r.server, "secret-auditor", http.MethodPost, "/api/v1/approvals/"+batch+"/approve", "")
	if w.Code != http.StatusForbidden {
		t.Errorf("an auditor may approve: %d", w.Code)
	}
}
