package track

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// The queue of one host only can be listed; mail of another with our milter is not missing from it.
func TestListingOfOneHost(t *testing.T) {
	s := newSite(t)
	s.accept(letter{queueID: "B0B1C2D3E4", to: []string{"x@far.example"}})
	gone := s.accept(letter{queueID: "C0B1C2D3E4", to: []string{"x@far.example"}})
	other := s.accept(letter{host: "mx2.corp.example", queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	third := s.accept(letter{host: "mx2.corp.example", queueID: "A0B1C2D3E5", to: []string{"x@far.example"}})
	s.read("10:00:01 @mx2 postfix/smtp: A0B1C2D3E5: to=<x@far.example>, relay=none, " + delays + "dsn=4.4.1, status=deferred (timed out)")
	s.tracker.lister = listing{"B0B1C2D3E4": true}
	for range 3 {
		s.pass(10 * time.Minute)
		s.sweep()
	}
	s.want(gone, "x@far.example=unknown")
	s.want(other, "x@far.example=queued")
	s.want(third, "x@far.example=deferred")
}

func TestNothingListedIsNothingMissing(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.tracker.lister = listing{}
	for range 3 {
		s.pass(10 * time.Minute)
		s.sweep()
	}
	s.want(id, "x@far.example=queued")
}

// The next relay is ours, and its log is not followed.
func TestHopThatNobodyFollows(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read(hop("10:00:01", "A0B1C2D3E4", "x@far.example", "D0B1C2D3E4") + removed("10:00:01", "A0B1C2D3E4"))
	s.pass(5*24*time.Hour + 3*time.Hour)
	s.sweep()
	s.sweep()
	if r := s.row(id, 0); r.State != policy.StateHandedOver || r.Reason != "handed over, not followed further" {
		t.Errorf("%s (%s)", r.State, r.Reason)
	}
}

// The next relay is followed, and said no more of the message after it had taken it.
func TestHopThatIsFollowed(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read(hop("10:00:01", "A0B1C2D3E4", "x@far.example", "D0B1C2D3E4") + removed("10:00:01", "A0B1C2D3E4"))
	s.read("10:00:00 postfix/smtpd: D0B1C2D3E4: client=localhost[127.0.0.1]\n")
	s.pass(5*24*time.Hour + 3*time.Hour)
	s.sweep()
	s.want(id, "x@far.example=unknown")
}

func TestLogNotFollowedBefore(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.feed.fresh = true
	s.read("10:00:20 postfix/qmgr: FFFF000011: removed")
	want := Gap{Source: "mail", To: at("10:00:20"), Reason: "this log was not followed before", Host: "mx1"}
	if g := s.tracker.Status().Gaps; len(g) != 1 || g[0] != want {
		t.Fatalf("gaps %+v, want %+v", g, want)
	}
	s.read("10:00:21 postfix/qmgr: FFFF000012: removed")
	if g := s.tracker.Status().Gaps; len(g) != 1 {
		t.Errorf("gaps %+v", g)
	}
	s.pass(5*24*time.Hour + 3*time.Hour)
	s.sweep()
	if r := s.row(id, 0); r.State != policy.StateUnknown || r.Rule != "gap" {
		t.Errorf("%s by rule %q", r.State, r.Rule)
	}
}

func TestFirstLogOfANewGateway(t *testing.T) {
	s := newSite(t)
	s.feed.fresh = true
	s.read("10:00:20 postfix/qmgr: FFFF000011: removed")
	if g := s.tracker.Status().Gaps; len(g) != 0 {
		t.Errorf("gaps %+v although no mail is older", g)
	}
}

func TestWholeWayBeforeTheFirstLog(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.tracker.gaps = []Gap{{Source: "mail", To: at("10:00:20").Add(30 * 24 * time.Hour), Reason: notFollowed}}
	s.pass(31 * 24 * time.Hour)
	s.sweep()
	if r := s.row(id, 0); r.State != policy.StateHandedOver || r.Reason != "handed over before any log was followed" {
		t.Errorf("%s (%s)", r.State, r.Reason)
	}
}

func TestGapsClosedByAnImport(t *testing.T) {
	gap := func(host, from, to string) Gap {
		return Gap{Source: "a", Host: host, From: at(from), To: at(to)}
	}
	for _, c := range []struct {
		name string
		gap  Gap
		want []Gap
	}{
		{"of the same host, over a pause", gap("mx1.corp.example", "10:00:00", "14:00:00"), nil},
		{"of another host", gap("mx2", "10:00:00", "14:00:00"), []Gap{gap("mx2", "10:00:00", "14:00:00")}},
		{"of no known host, up to a pause", gap("", "10:00:00", "14:00:00"), []Gap{gap("", "10:30:00", "13:30:00")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s seen
			for _, clock := range []string{"09:30:00", "10:00:00", "10:30:00", "13:30:00", "14:10:00"} {
				s.at(at(clock), "mx1")
			}
			got := closedBy([]Gap{c.gap}, &s)
			if len(got) != len(c.want) || len(got) == 1 && got[0] != c.want[0] {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// The log of another host does not close the gap of this one.
func TestImportOfAnotherHost(t *testing.T) {
	s := newSite(t)
	s.read("09:00:00 postfix/qmgr: FFFF000011: removed")
	s.gapped("09:10:00", "09:20:00")
	other := rfc3339("09:00:00 @mx2 postfix/qmgr: FFFF000011: removed") + "\n" + rfc3339("09:50:00 @mx2 postfix/qmgr: FFFF000012: removed")
	if _, err := s.tracker.ImportReader(context.Background(), "mx2", strings.NewReader(other)); err != nil {
		t.Fatal(err)
	}
	if g := s.tracker.Status().Gaps; len(g) != 1 || g[0].Host != "mx1" {
		t.Errorf("gaps %+v, want the one of mx1", g)
	}
}

func TestClockOfALog(t *testing.T) {
	for _, c := range []struct {
		name string
		line string
		live bool
		off  time.Duration
	}{
		{"on time", "10:00:29", true, 0},
		{"a time zone behind", "08:00:30", true, -2 * time.Hour},
		{"old lines that are read later", "08:00:30", false, 0},
		{"ahead", "18:00:30", false, 8 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			core, logs := observer.New(zap.WarnLevel)
			s.tracker.log = zap.New(core)
			if c.live {
				s.readNow("")
			}
			for range 2 {
				s.readNow(c.line + " postfix/qmgr: FFFF000011: removed")
				if !c.live {
					break
				}
			}
			if got := s.tracker.Status().Sources[0].Off; got != c.off {
				t.Errorf("off %v, want %v", got, c.off)
			}
			n := logs.FilterMessage("lines of the log bear times far from now: look at the clock and the time zone").Len()
			if want := 0; c.off != 0 && n != 1 || c.off == 0 && n != want {
				t.Errorf("%d warnings", n)
			}
			if c.off != 0 {
				s.readNow("")
				s.readNow("10:00:29 postfix/qmgr: FFFF000012: removed")
				if got := s.tracker.Status().Sources[0].Off; got != 0 {
					t.Errorf("still off by %v", got)
				}
			}
		})
	}
}
