package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/store"
)

// audited gives the newest entries of an act.
func (r *rig) audited(act string) (all []AuditEntry) {
	r.t.Helper()
	entries, err := r.store.AuditLog(0, 50, func(e *store.AuditEntry) bool { return e.Act == act })
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range entries {
		all = append(all, auditView(&entries[i]))
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

// What a page asks for by itself, for as long as it is open, is no use of its session: only what somebody does is.
func TestAnOpenPageDoesNotKeepASession(t *testing.T) {
	idle := signin.DefaultConfig().Idle
	for path, keeps := range map[string]bool{
		"/overview": true, "/api/v1/me": true, "/overview/live": false, "/live?of=/overview/live": false, "/overview/chart": false,
	} {
		t.Run(path, func(t *testing.T) {
			d := newDash(t)
			seen := func() time.Time { return d.desk.Sessions(nil)[0].Seen }
			b, begun := d.as("admin"), seen()
			for range 4 { // each after nearly half of the time
				d.now = d.now.Add(idle/2 - time.Minute)
				if d.now.Sub(begun) > idle && !keeps {
					break
				}
				gone, leave := context.WithCancel(t.Context())
				leave() // a stream says what there is and finds nobody
				if status, _ := b.send(httptest.NewRequestWithContext(gone, http.MethodGet, path, nil)); status != http.StatusOK {
					t.Fatal(status)
				}
				if kept := seen().Equal(d.now); kept != keeps {
					t.Fatalf("seen %v at %v", seen(), d.now)
				}
			}
			d.server.sweepSessions()
			open := 0
			for _, s := range d.desk.Sessions(nil) {
				if s.User == "admin" {
					open++
				}
			}
			if (open == 1) != keeps {
				t.Errorf("%d sessions are open", open)
			}
		})
	}
}

// A stream that is open when its session has idled ends; the beats by which it keeps its connection are no use either.
func TestAStreamEndsWhenItsSessionIdles(t *testing.T) {
	for _, path := range []string{"/api/v1/events", "/overview/live", liveOf("/overview/live")} {
		t.Run(path, func(t *testing.T) {
			d := newDash(t)
			r := httptest.NewRequest(http.MethodGet, path, nil)
			for name, value := range d.as("admin").cookies {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			who, refused := d.server.identify(r)
			if refused != nil {
				t.Fatal(refused)
			}
			r = r.WithContext(context.WithValue(r.Context(), principalKey, who))
			for range 3 {
				d.now = d.now.Add(signin.DefaultConfig().Idle / 3)
				if !d.server.stillIs(r) || d.server.sessionOf(r) == nil {
					t.Fatal("it ends before its time")
				}
			}
			d.now = d.now.Add(time.Minute)
			if d.server.stillIs(r) || d.server.sessionOf(r) != nil {
				t.Error("it goes on")
			}
		})
	}
}

func TestWithoutADeskNothingIsSwept(t *testing.T) {
	if err := newRig(t).server.followSessions(t.Context()); err != nil {
		t.Error(err)
	}
}
