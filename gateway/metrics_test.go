package gateway

import (
	"maps"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A reload that a file's faults prevented shows, and so does one of which a part waits for a restart.
func TestReloadsAreMeasured(t *testing.T) {
	g := openAll(t)
	figures := func() [2]float64 {
		got := values(t, g.meters.reloads.good, g.meters.reloads.restart)
		return [2]float64{got["sendgate_config_last_reload_successful"], got["sendgate_config_restart_needed"]}
	}
	changed := g.loaded()
	changed.Delivery.Workers++
	for _, step := range []struct {
		name string
		do   func()
		want [2]float64
	}{
		{"started", func() {}, [2]float64{1, 0}},
		{"unreadable", g.ReloadFailed, [2]float64{0, 0}},
		{"in part", func() { _ = g.Reload(changed) }, [2]float64{1, 1}},
		{"changed back", func() { _ = g.Reload(g.started) }, [2]float64{1, 0}},
	} {
		step.do()
		if got := figures(); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}

// Whether upstreams and the helper answer is asked when Prometheus asks.
func TestReachIsMeasured(t *testing.T) {
	up, helper := startHop(t), startHelper(t)
	down := up.config("outside")
	down.Servers[0].Address = "127.0.0.1:1"
	routes := openRoutes(t, up.config("inside", "@corp.test"), down)
	g := &Gateway{routes: routes, keeper: openKeeper(t, helper, openStore(t))}
	got := values(t, newReachCollector(g))
	want := map[string]float64{"sendgate_upstream_up inside": 1}
	if g.keeper.Ready() == nil {
		want["sendgate_postfix_helper_up"] = 1
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Recipients are counted by state while they are on the way, and what the journal takes by kind.
func TestTheStockIsMeasured(t *testing.T) {
	journal, now := openStore(t), time.Now().UTC()
	e := envelope("a@x.test", "b@x.test", "c@x.test")
	id := journal.NewID()
	for _, c := range []store.Change{
		{Message: id, Envelope: &e, Events: []policy.Event{{Kind: policy.Accepted, Time: now}, {Kind: policy.Held, Time: now, Until: now.Add(time.Hour)}}},
		{Message: id, Events: []policy.Event{{Kind: policy.Bounced, Time: now, Recipients: []int{1}}}},
	} {
		if _, err := journal.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	got := values(t, storeMetrics(journal)...)
	for name, want := range map[string]float64{
		"sendgate_open_recipients held": 2, "sendgate_open_recipients bounced": 0, "sendgate_journal_commits_total": 2,
		"sendgate_journal_writable": 1, "sendgate_journal_max_bytes": 0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got["sendgate_journal_reserve_bytes"] < 64<<20 || got["sendgate_journal_free_bytes"] <= 0 {
		t.Errorf("free %v, reserve %v", got["sendgate_journal_free_bytes"], got["sendgate_journal_reserve_bytes"])
	}
	if at := got["sendgate_journal_oldest_timestamp_seconds"]; int64(at) != id.Timestamp().Unix() {
		t.Errorf("the oldest message is of %v, want %v", at, id.Timestamp().Unix())
	}
}

// Suspensions are told apart by who brought them about; a person's are as well in force.
func TestSuspensionsAreMeasured(t *testing.T) {
	g := openAll(t)
	for _, e := range []policy.Event{
		{Kind: policy.Suspended, Actor: "anomaly", Subject: "alice", Until: time.Now().Add(time.Hour), Amount: 1},
		{Kind: policy.Suspended, Actor: "api:admin", Subject: "bob"},
		{Kind: policy.Suspended, Actor: "api:admin", Subject: "carol", Until: time.Now().Add(-time.Hour)},
	} {
		if err := g.limits.act(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	got := values(t, newGuardCollector(g.limits))
	if want := map[string]float64{"sendgate_suspended_accounts conduct": 1, "sendgate_suspended_accounts person": 1}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
