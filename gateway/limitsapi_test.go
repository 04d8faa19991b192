package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/limit"
)

func (b *ledger) api() limitsAPI {
	return limitsAPI{b.l, func() Config { return Config{Policy: b.settings().Config} }}
}

func TestWhatAPersonDoesSurvives(t *testing.T) {
	b := newLedger(t)
	ctx, now := t.Context(), time.Now()
	b.send(5)
	grant := limit.Grant{Key: "ann", Boost: true, Amount: 7, Given: now, Until: now.Add(time.Hour), Reason: "month end", Author: "api:ops"}
	if err := b.api().Boost(ctx, grant); err != nil {
		t.Fatal(err)
	}
	if err := b.api().Suspend(ctx, "eve", time.Time{}, "hijacked", "api:ops"); err != nil {
		t.Fatal(err)
	}
	b.restart(false)
	b.restart(true)
	if g := b.api().Grants(""); len(g) != 1 || g[0].Rule != "hour" || g[0].Amount != 7 || g[0].Author != "api:ops" {
		t.Errorf("grants %+v", g)
	}
	if s, ok := b.api().Suspension("eve"); !ok || s.Reason != "hijacked" {
		t.Errorf("suspension %+v, %v", s, ok)
	}
	if u := b.api().Usage("ann"); len(u) != 1 || u[0].Used != 5 || u[0].Limit != 12 || u[0].Source != "boost" {
		t.Errorf("usage %+v", u)
	}
	if n := b.api().Near(0.4, 10); len(n) != 1 || n[0].Key != "ann" {
		t.Errorf("near %+v", n)
	}
	if err := b.api().Revoke(ctx, "ann", "", "enough", "api:ops"); err != nil {
		t.Fatal(err)
	}
	if err := b.api().Unsuspend(ctx, "eve", "", "new password", "api:ops"); err != nil {
		t.Fatal(err)
	}
	if err := b.api().Reset(ctx, "ann", "", "a mistake", "api:ops"); err != nil {
		t.Fatal(err)
	}
	b.restart(false)
	if g, s, u := b.api().Grants("ann"), b.api().Suspensions(), b.used(); len(g) != 0 || len(s) != 0 || u != 0 {
		t.Errorf("grants %+v, suspensions %+v, used %d", g, s, u)
	}
	err := b.api().Boost(ctx, limit.Grant{Key: "ann", Boost: true, Given: now, Until: now, Reason: "r", Author: "a"})
	if err == nil || !strings.Contains(err.Error(), "positive amount") {
		t.Errorf("an impossible boost: %v", err)
	}
}

func TestBackTest(t *testing.T) {
	b := newLedger(t)
	since := time.Now().Add(-time.Hour)
	for range 4 {
		b.send(1)
	}
	b.send(3) // does not fit the limit of five any more
	var rules []policy.LimitRule
	for name, action := range map[string]policy.Action{"three": policy.Hold, "two": policy.Defer} {
		var r policy.LimitRule
		r.SetDefaults()
		r.Name, r.Action, r.Limit = name, action, map[string]int64{"three": 3, "two": 100}[name]
		rules = append(rules, r)
	}
	got, err := b.api().Test(t.Context(), rules, since)
	if err != nil || got.Messages != 5 || got.Recipients != 7 || len(got.Rules) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, r := range got.Rules {
		want := map[string][4]int{"three": {2, 2, 0, 1}, "two": {0, 0, 0, 0}}[r.Name]
		if have := [4]int{r.Exceeded, r.Held, r.Refused, r.Senders}; have != want {
			t.Errorf("%s: %v, want %v", r.Name, have, want)
		}
		if len(r.Examples) != r.Exceeded || r.Exceeded > 0 && r.Examples[0].Text.ZH == "" {
			t.Errorf("%s: %+v", r.Name, r.Examples)
		}
	}
	if b.used() != 4 {
		t.Errorf("a back-test counts: %d", b.used())
	}
}

func TestIdentitiesInAnySpelling(t *testing.T) {
	b := newLedger(t)
	ctx, now := t.Context(), time.Now()
	b.send(5)
	if err := b.api().Boost(ctx, limit.Grant{Key: "ANN", Boost: true, Amount: 7, Given: now, Until: now.Add(time.Hour), Reason: "r", Author: "a"}); err != nil {
		t.Fatal(err)
	}
	if u, g := b.api().Usage("Ann"), b.api().Grants("aNN"); len(u) != 1 || u[0].Limit != 12 || len(g) != 1 {
		t.Errorf("usage %+v, grants %+v", u, g)
	}
	if err := b.api().Suspend(ctx, "EVE@Corp.Example", time.Time{}, "r", "a"); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.l.Suspended(now, "eve@corp.example"); !ok {
		t.Error("not suspended")
	}
	if _, ok := b.api().Suspension("Eve@CORP.example"); !ok {
		t.Error("not found")
	}
	if err := b.api().Unsuspend(ctx, "eve@CORP.example", "", "r", "a"); err != nil {
		t.Fatal(err)
	}
	if err := b.api().Revoke(ctx, "ANN", "", "r", "a"); err != nil {
		t.Fatal(err)
	}
	if err := b.api().Reset(ctx, "ANN", "", "r", "a"); err != nil {
		t.Fatal(err)
	}
	if len(b.api().Suspensions()) != 0 || len(b.api().Grants("")) != 0 || b.used() != 0 {
		t.Errorf("suspensions %+v, grants %+v, used %d", b.api().Suspensions(), b.api().Grants(""), b.used())
	}
}
