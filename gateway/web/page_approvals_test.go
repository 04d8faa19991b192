package web

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// pulled commits a message of a sender that waits as a part of a batch.
func (r *rig) pulled(identity, subject, batch string) string {
	r.t.Helper()
	id := r.store.NewID()
	r.commit(store.Change{Message: id, Envelope: &policy.Envelope{
		Received: r.now, Front: policy.Relay, Direction: policy.Outbound, Sender: policy.Address(identity), Identity: identity, Subject: subject,
		Recipients: []policy.Recipient{{Address: "bob@example.net"}},
	}, Events: []policy.Event{
		{Kind: policy.Accepted, Time: r.now, Actor: "smtp"},
		{Kind: policy.ApprovalRequested, Time: r.now, Until: r.now.Add(72 * time.Hour), Rule: "pulled_back", Subject: batch, Reason: "suspended: stolen"},
	}})
	return id.String()
}

func TestBatchesAreListed(t *testing.T) {
	r := newRig(t)
	if got := get[BatchList](r, "/api/v1/approvals/batches"); got.Batches == nil || len(got.Batches) != 0 {
		t.Errorf("got %+v", got)
	}
	single := r.wait()
	r.pulled("mallory@corp.example", "One", "b1")
	r.pulled("mallory@corp.example", "Two", "b1")
	r.pulled("eve@corp.example", "Three", "b2")
	got := get[BatchList](r, "/api/v1/approvals/batches")
	want := Batch{
		ID: "b1", Identity: "mallory@corp.example", Messages: 2, Text: policy.Label{EN: "suspended: stolen", ZH: "suspended: stolen"}, Since: r.now,
		Expires: r.now.Add(72 * time.Hour), OnExpiry: "return",
	}
	if len(got.Batches) != 2 || got.Batches[1] != want || got.Batches[0].ID != "b2" || got.More {
		t.Errorf("got %+v", got)
	}
	if list := get[ApprovalList](r, "/api/v1/approvals?single=true&limit=1"); len(list.Approvals) != 1 || list.Approvals[0].ID != single {
		t.Errorf("single: %+v", list)
	}
}

func TestApprovalsHaveAPage(t *testing.T) {
	d := newDash(t)
	d.as("auditor").sees("/approvals", "Nothing waits for approval")
	id := d.wait()
	d.pulled("mallory@corp.example", "Stolen one", "b1")
	b := d.as("operator")
	b.sees("/approvals", "Newsletter", "150 recipients in one message, the limit is 100", "then back to its sender", `value="`+id+`"`,
		"Pulled back from", "suspended: stolen", `action="/approvals/b1"`, `href="/approvals?batch=b1"`)
	if _, page := b.get("/approvals"); strings.Contains(page, "Stolen one") {
		t.Error("a message of a batch is among the others")
	}
	b.sees("/approvals?batch=b1", "Stolen one", "Pulled back from mallory@corp.example")
	if status, page := b.get("/approvals?batch=gone"); status != http.StatusNotFound || !strings.Contains(page, "It no longer waits for approval.") {
		t.Errorf("gone: %d %s", status, inner(page))
	}
	d.worded("operator", "/approvals", "/approvals?batch=b1")
	if _, page := d.as("auditor").get("/approvals"); strings.Contains(page, `type="checkbox"`) || strings.Contains(page, `name="act"`) {
		t.Error("an auditor is offered acts")
	}
}

func TestSelectedMessagesAreDecided(t *testing.T) {
	for name, tt := range map[string]struct {
		act, reason, said string
		state             policy.State
	}{
		"approve": {"approve", "", "Approved: 2.", policy.StateQueued},
		"cancel":  {"cancel", "not ours", "Taken back: 2.", policy.StateCanceled},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			ids := []string{d.wait(), d.wait()}
			_, page := d.as("operator").post("/approvals", "/approvals", "id", ids[0], "id", ids[1], "act", tt.act, "reason", tt.reason)
			if !strings.Contains(page, tt.said) {
				t.Errorf("%s", inner(page))
			}
			for _, id := range ids {
				if m := get[MessageDetail](d.rig, "/api/v1/messages/"+id); m.State != tt.state {
					t.Errorf("%s is %s", id, m.State)
				}
			}
		})
	}
}

func TestABatchIsDecidedAsAWhole(t *testing.T) {
	for act, want := range map[string]policy.State{"approve": policy.StateQueued, "cancel": policy.StateCanceled} {
		d := newDash(t)
		ids := []string{d.pulled("mallory@corp.example", "One", "b1"), d.pulled("mallory@corp.example", "Two", "b1")}
		_, page := d.as("operator").post("/approvals/b1", "/approvals?batch=b1", "act", act, "reason", "looked at")
		if !strings.Contains(page, ": 2.") || !strings.Contains(page, "Nothing waits for approval") {
			t.Errorf("%s: %s", act, inner(page))
		}
		for _, id := range ids {
			if m := get[MessageDetail](d.rig, "/api/v1/messages/"+id); m.State != want {
				t.Errorf("%s: %s is %s", act, id, m.State)
			}
		}
	}
}

func TestDecisionsOnApprovalsAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		role, path, want string
		fields           []string
	}{
		"none":          {"admin", "/approvals", "Select at least one message.", []string{"act", "approve"}},
		"what":          {"admin", "/approvals", "Choose what to do with the messages.", []string{"id", "ID", "act", "frame"}},
		"what of all":   {"admin", "/approvals/b1", "Choose what to do with the messages.", nil},
		"no reason":     {"admin", "/approvals", "Say why", []string{"id", "ID", "act", "cancel"}},
		"not all":       {"admin", "/approvals", "Not done: 1, because: It no longer waits for approval.", []string{"id", "ID", "id", "x", "act", "approve"}},
		"long reason":   {"admin", "/approvals", "A reason has at most 1000 characters.", []string{"id", "ID", "act", "cancel", "reason", strings.Repeat("x", 1001)}},
		"long for all":  {"admin", "/approvals/b1", "A reason has at most 1000 characters.", []string{"act", "cancel", "reason", strings.Repeat("x", 1001)}},
		"no batch":      {"admin", "/approvals/b1", "It no longer waits for approval.", []string{"act", "approve"}},
		"an auditor":    {"auditor", "/approvals", "Your role does not allow this.", []string{"id", "ID", "act", "approve"}},
		"an auditor, a": {"auditor", "/approvals/b1", "Your role does not allow this.", []string{"act", "cancel", "reason", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			fields := slices.Clone(tt.fields)
			if i := slices.Index(fields, "ID"); i >= 0 {
				fields[i] = d.wait()
			}
			if _, page := d.as(tt.role).post(tt.path, "/approvals", fields...); !strings.Contains(page, tt.want) {
				t.Errorf("%s", inner(page))
			}
		})
	}
}

func TestHostileApprovalsAreHarmless(t *testing.T) {
	d := newDash(t)
	for _, bad := range payloads {
		d.pulled(bad, bad, bad)
		d.pulled(bad, bad, "")
	}
	status, page := d.as("admin").get("/approvals")
	if status != http.StatusOK || !strings.Contains(page, "&lt;script&gt;") {
		t.Errorf("%d", status)
	}
	harmless(t, page)
}
