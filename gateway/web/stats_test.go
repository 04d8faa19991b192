package web

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// countingJournal counts as told and notes for which time it was asked.
type countingJournal struct {
	*store.Store
	counts   map[policy.State]int64
	from, to time.Time
}

func (j *countingJournal) Counts(from, to time.Time) map[policy.State]int64 {
	j.from, j.to = from, to
	return j.counts
}

func TestStatsCountByStateAndLabel(t *testing.T) {
	r := newRig(t)
	r.tracking = []Source{{Name: "mail.log", State: SourceCaughtUp}}
	j := &countingJournal{Store: r.store, counts: map[policy.State]int64{
		policy.StateBounced: 2, policy.StateExpired: 1, policy.StateRelayedRemote: 4, policy.StateUnknown: 1, policy.StateHeld: 0,
	}}
	r.server = r.serverFor(j)
	got := get[Stats](r, "/api/v1/stats?hours=2")
	since := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC) // it is 10:30
	if !j.from.Equal(since) || !j.to.Equal(r.now) || !got.Since.Equal(since) || got.Hours != 2 {
		t.Errorf("asked from %v to %v; since %v, %d hours", j.from, j.to, got.Since, got.Hours)
	}
	states := map[policy.State]int64{policy.StateBounced: 2, policy.StateExpired: 1, policy.StateRelayedRemote: 4, policy.StateUnknown: 1}
	if got.Recipients != 8 || got.UnknownRatio != 0.125 || !maps.Equal(got.States, states) {
		t.Errorf("got %+v", got)
	}
	want := []LabelCount{
		{policy.LabelDelivering, 0}, {policy.LabelMailbox, 0}, {policy.LabelRemote, 4}, {policy.LabelReturned, 3},
		{policy.LabelBlocked, 0}, {policy.LabelRecalled, 0}, {policy.LabelUnknown, 1},
	}
	if !slices.Equal(got.Labels, want) {
		t.Errorf("labels %v", got.Labels)
	}
	if len(got.Tracking) != 1 || got.Tracking[0].Name != "mail.log" {
		t.Errorf("tracking %v", got.Tracking)
	}
}

func TestEveryStateHasACountedLabel(t *testing.T) {
	for _, s := range policy.States {
		if !slices.Contains(labels, s.Label()) {
			t.Errorf("%s is in no line", s)
		}
	}
}

func TestStatsOfNothing(t *testing.T) {
	r := newRig(t)
	got := get[Stats](r, "/api/v1/stats")
	if got.Hours != 24 || got.Recipients != 0 || got.UnknownRatio != 0 || !got.Since.Equal(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v", got)
	}
	w := r.ask(r.server, "secret-auditor", http.MethodGet, "/api/v1/stats", "")
	if !strings.Contains(w.Body.String(), `"states":{},"labels":[{"label":{"en":"Delivering","zh":"投递中"},"recipients":0},`) ||
		!strings.Contains(w.Body.String(), `"tracking":[]`) {
		t.Errorf("%s", w.Body)
	}
	for _, hours := range []string{"0", "2161", "x"} {
		w := r.ask(r.server, "secret-admin", http.MethodGet, "/api/v1/stats?hours="+hours, "")
		wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "invalid_request", "validation failed")
	}
}

// The real store counts what the API shows.
func TestStatsOfARealJournal(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "team@example.net", "carol@example.net")
	r.observe(id, policy.Event{Kind: policy.Bounced, Recipients: []int{0}, Member: "ann@example.net"})
	r.observe(id, policy.Event{Kind: policy.Unknown, Recipients: []int{0}, Member: "eve@example.net"})
	got := get[Stats](r, "/api/v1/stats")
	want := map[policy.State]int64{policy.StateBounced: 1, policy.StateUnknown: 1, policy.StateHeld: 1}
	if !maps.Equal(got.States, want) || got.Recipients != 3 {
		t.Errorf("states %v of %d", got.States, got.Recipients)
	}
}

func TestTrackingShowsSourcesAndGaps(t *testing.T) {
	r := newRig(t)
	zone := time.FixedZone("CST", 8*3600)
	r.tracking = []Source{
		{Name: "mail.log", State: SourceError, Error: "permission denied", LagSeconds: 90, LastLine: r.now.In(zone),
			Gaps: []Gap{{From: r.now.Add(-time.Hour).In(zone), To: r.now.In(zone), Reason: "rotated twice while sendgate was down"}}},
		{Name: "journald", State: SourceFollowing},
	}
	r.server = r.serverFor(r.store)
	got := get[Tracking](r, "/api/v1/tracking")
	want := Tracking{[]Source{
		{Name: "mail.log", State: SourceError, Error: "permission denied", LagSeconds: 90, LastLine: r.now,
			Gaps: []Gap{{From: r.now.Add(-time.Hour), To: r.now, Reason: "rotated twice while sendgate was down"}}},
		{Name: "journald", State: SourceFollowing, Gaps: []Gap{}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if r.tracking[0].LastLine.Location() != zone {
		t.Error("the list of the tracker was changed")
	}
}

func TestTrackingOfNothingIsAnEmptyArray(t *testing.T) {
	r := newRig(t)
	w := r.ask(r.server, "secret-auditor", http.MethodGet, "/api/v1/tracking", "")
	if got, want := w.Body.String(), "{\"sources\":[]}\n"; w.Code != 200 || got != want {
		t.Errorf("%d %q", w.Code, got)
	}
}

var _ Journal = (*countingJournal)(nil)
