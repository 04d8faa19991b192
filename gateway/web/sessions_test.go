package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/store"
)

// audited gives the newest entries of an act.
func (r *rig) audited(act string) (all []store.AuditEntry) {
	r.t.Helper()
	all, err := r.store.AuditLog(0, 50, func(e *store.AuditEntry) bool { return e.Act == act })
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func TestTheEndOfASessionIsAudited(t *testing.T) {
	d := newDash(t)
	if _, page := d.as("operator").post("/sign-out", "/account"); !strings.Contains(page, "You are signed out.") {
		t.Errorf("signing out: %s", inner(page))
	}
	if got := d.audited(actSignOut); len(got) != 1 || got[0].Actor != "user:operator" || got[0].Object != "operator" || !strings.Contains(got[0].Detail, "client: 192.0.2.1") {
		t.Errorf("signed out: %+v", got)
	}
	status, page := d.as("admin").get("/settings/sessions")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	_, rest, _ := strings.Cut(page, "/settings/sessions/")
	id, _, _ := strings.Cut(rest, "/")
	if status, _ = d.as("admin").post("/settings/sessions/"+id+"/revoke", "/settings/sessions"); status != http.StatusOK {
		t.Fatal(status)
	}
	if got := d.audited("revoke_session"); len(got) != 1 || got[0].Actor != "user:admin" || got[0].Object == "" {
		t.Errorf("ended by an administrator: %+v", got)
	}
	d.server.sweepSessions()
	if got := d.audited(actSessionEnded); len(got) != 0 {
		t.Errorf("what people ended is told again: %+v", got)
	}
	d.now = d.now.Add(13 * time.Hour)
	if status, _ = d.as("admin").get("/overview"); status != http.StatusOK { // the page for signing in
		t.Fatal(status)
	}
	for range 2 {
		d.server.sweepSessions()
	}
	got := d.audited(actSessionEnded)
	if len(got) != 2 || got[0].Actor != "sendgate" || got[0].Object == "" || !strings.Contains(got[0].Detail, "reason: idle; since: 2026-11-21T10:30:00Z") {
		t.Errorf("by themselves: %+v", got)
	}
	for _, act := range []string{actSignOut, actSessionEnded} {
		if l := actLabel(act); l.EN == strings.ReplaceAll(act, "_", " ") || l.ZH == l.EN {
			t.Errorf("%s has no words", act)
		}
	}
}

func TestWithoutADeskNothingIsSwept(t *testing.T) {
	if err := newRig(t).server.followSessions(t.Context()); err != nil {
		t.Error(err)
	}
}
