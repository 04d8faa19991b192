package web

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestFlowCountsByTheMinute(t *testing.T) {
	var f flow
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	send := func(now time.Time, who string, kinds ...policy.Kind) {
		r := store.Record{Envelope: &policy.Envelope{Identity: who}}
		for _, k := range kinds {
			r.Events = append(r.Events, policy.Event{Kind: k})
		}
		f.count(&r, now)
	}
	send(at, "alice", policy.Accepted, policy.Held)
	send(at.Add(30*time.Second), "bob", policy.Accepted)
	send(at.Add(time.Minute), "bob", policy.Offered, policy.Accepted)
	send(at.Add(time.Minute), "bob", policy.Released)
	send(at.Add(time.Minute), "carol", policy.Refused)
	send(at.Add(time.Minute), "alice", policy.Canceled)
	v := f.view(at.Add(time.Minute), 1)
	last := len(v.Times) - 1
	if v.Times[last] != at.Add(time.Minute).Unix() || v.Accepted[last-1] != 2 || v.Accepted[last] != 2 || v.Held[last-1] != 1 ||
		v.Released[last] != 1 || v.Blocked[last] != 1 || v.Recalled[last] != 1 {
		t.Errorf("%+v", v)
	}
	if len(v.TopSenders) != 1 || v.TopSenders[0] != (SenderCount{"bob", 2}) {
		t.Errorf("top senders %+v", v.TopSenders)
	}
	some := func(n int) bool { return n != 0 }
	if v = f.view(at.Add(2*time.Hour), 5); slices.ContainsFunc(v.Accepted, some) || len(v.TopSenders) != 0 {
		t.Errorf("two hours later: %+v", v)
	}
}

func TestOverviewPage(t *testing.T) {
	d := newDash(t)
	d.accept("alice@corp.example", "One", "bob@elsewhere.example")
	d.alerts.list = []Alert{{ID: "1", Severity: "critical", Title: policy.Label{EN: payloads[0], ZH: payloads[1]}, Opened: d.now, Last: d.now}}
	d.parts = []Part{{Name: "upstream postfix", Detail: "connection refused"}}
	b := d.as("auditor")
	b.sees("/overview", "On hold now", "Delivered to mailbox", "upstream postfix", "connection refused", `data-chart="{&#34;times&#34;`)
	_, page := b.get("/overview")
	harmless(t, page)
	b.language = "zh-CN"
	b.sees("/overview", "暂缓中", "已投递到对方邮箱", "投递失败，已退信")
	if _, page := d.as("").get("/overview"); strings.Contains(page, "On hold now") {
		t.Error("nobody sees the overview")
	}
	if status, _ := d.as("user").get("/overview"); status != 403 {
		t.Errorf("a user sees the overview: %d", status)
	}
}

func TestOverviewCountsWhatWaits(t *testing.T) {
	d := newDash(t)
	for range 3 {
		d.accept("alice@corp.example", "One", "bob@elsewhere.example")
	}
	out, err := d.server.overview(context.Background(), nil)
	if err != nil || out.Body.Held.Messages != 3 || out.Body.Held.Oldest.IsZero() || out.Body.Approval.Messages != 0 || !out.Body.Ready {
		t.Errorf("%+v, %v", out.Body, err)
	}
}
