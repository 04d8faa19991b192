package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/policy/limit"
	"github.com/sendgate/sendgate/store"
)

// fakeLimits remembers what it was told, and answers from that.
type fakeLimits struct {
	now       time.Time
	trial     time.Time
	usage     []policy.Finding // of everybody, the fullest first
	grants    []limit.Grant
	suspended []guard.Suspension
	asked     []string // verb, key, rule, reason, actor
	fail      error    // of every act, when set
	tested    []policy.LimitRule
	since     time.Time
	test      func(context.Context) (BackTest, error)
}

func (l *fakeLimits) Hold() (policy.HoldConfig, []policy.Rule) {
	return policy.DefaultConfig().Hold, []policy.Rule{{Name: "ceo", Match: policy.Match{Senders: []string{"boss@corp.example"}}, Action: policy.Hold, For: 5 * time.Minute}}
}

func (l *fakeLimits) Rules() []policy.LimitRule { return policy.DefaultLimits() }
func (l *fakeLimits) Trial() time.Time          { return l.trial }

func (l *fakeLimits) Usage(key string) (list []policy.Finding) {
	for _, f := range l.usage {
		if f.Key == key {
			list = append(list, f)
		}
	}
	return list
}

func (l *fakeLimits) Near(fraction float64, n int) (list []policy.Finding) {
	for _, f := range l.usage {
		if float64(f.Used) >= fraction*float64(f.Limit) && len(list) < n {
			list = append(list, f)
		}
	}
	return list
}

func (l *fakeLimits) Grants(key string) (list []limit.Grant) {
	for _, g := range l.grants {
		if key == "" || g.Key == key {
			list = append(list, g)
		}
	}
	return list
}

func (l *fakeLimits) Suspension(identity string) (guard.Suspension, bool) {
	for _, s := range l.suspended {
		if s.Identity == identity {
			return s, true
		}
	}
	return guard.Suspension{}, false
}

func (l *fakeLimits) Suspensions() []guard.Suspension { return l.suspended }

func (l *fakeLimits) note(words ...string) error {
	l.asked = append(l.asked, strings.Join(words, " | "))
	return l.fail
}

func (l *fakeLimits) Boost(_ context.Context, g limit.Grant) error {
	if l.fail == nil {
		l.grants = append(l.grants, g)
	}
	return l.note("boost", g.Key, g.Rule, g.Reason, g.Author)
}

func (l *fakeLimits) Revoke(_ context.Context, key, rule, reason, actor string) error {
	l.grants = slices.DeleteFunc(l.grants, func(g limit.Grant) bool { return g.Key == key && (rule == "" || g.Rule == rule) })
	return l.note("revoke", key, rule, reason, actor)
}

func (l *fakeLimits) Reset(_ context.Context, key, rule, reason, actor string) error {
	return l.note("reset", key, rule, reason, actor)
}

func (l *fakeLimits) Suspend(_ context.Context, identity string, until time.Time, reason, actor string) error {
	l.suspended = append(l.suspended, guard.Suspension{Identity: identity, Since: l.now, Until: until, Reason: reason, Author: actor})
	return l.note("suspend", identity, reason, actor)
}

func (l *fakeLimits) Unsuspend(_ context.Context, identity, history, reason, actor string) error {
	l.suspended = slices.DeleteFunc(l.suspended, func(s guard.Suspension) bool { return s.Identity == identity })
	return l.note(strings.TrimSpace("unsuspend "+history), identity, reason, actor)
}

func (l *fakeLimits) Test(ctx context.Context, rules []policy.LimitRule, since time.Time) (BackTest, error) {
	l.tested, l.since = rules, since
	return l.test(ctx)
}

// TestMain makes texts with times of day the same on every machine: all tests run in China's time.
func TestMain(m *testing.M) {
	time.Local = time.FixedZone("CST", 8*3600)
	os.Exit(m.Run())
}

// hour is a usage of the limit external-hour.
func (r *rig) hour(key string, used, most int64, source limit.Source) policy.Finding {
	f := policy.Finding{
		Rule: "external-hour", Kind: "limit", Unit: policy.ExternalRecipients, Key: key, Window: time.Hour, Asked: 1, Used: used, Limit: most,
		Source: string(source), Action: policy.Hold, Warn: used*10 >= most*8,
	}
	if used >= most {
		f.Exceeded, f.Next = true, r.now.Add(12*time.Minute)
	}
	return f
}

func TestWhoIsNearALimit(t *testing.T) {
	r := newRig(t)
	r.limits.trial = r.now.Add(time.Hour)
	r.limits.usage = []policy.Finding{
		r.hour("alice@corp.example", 320, 300, limit.FromRule), r.hour("to:gmail.com", 270, 300, limit.FromBoost), r.hour("bob#crm", 30, 300, limit.FromRule),
	}
	got := get[UsageList](r, "/api/v1/limits?near=80")
	if len(got.Limits) != 2 || !got.Trial.Equal(r.limits.trial) {
		t.Fatalf("got %+v", got)
	}
	alice, gmail := got.Limits[0], got.Limits[1]
	if alice.Identity != "alice@corp.example" || alice.KeyKind != policy.ByIdentity || alice.Rule != "external-hour" ||
		alice.Unit != (UnitName{policy.ExternalRecipients, policy.Label{EN: "external recipients", ZH: "个外部收件人"}}) ||
		alice.Window != Span(time.Hour) || alice.Used != 320 || alice.Limit != 300 || alice.Percent != 106 || alice.Source != "rule" ||
		!alice.NextFree.Equal(r.now.Add(12*time.Minute)) || !alice.Warn {
		t.Errorf("alice %+v", alice)
	}
	want := policy.Label{EN: "320 of 300 external recipients per hour used; next free 18:42", ZH: "每小时上限 300 个外部收件人，已用 320；18:42 起可发送"}
	if alice.Text != want {
		t.Errorf("text %+v", alice.Text)
	}
	if gmail.Identity != "" || gmail.KeyKind != policy.ByRecipientDomain || gmail.Source != "boost" || !gmail.NextFree.IsZero() ||
		gmail.Text.EN != "270 of 300 external recipients per hour used" {
		t.Errorf("gmail %+v", gmail)
	}
	if w := r.ask(r.server, "secret-admin", "GET", "/api/v1/limits?limit=1", ""); !strings.Contains(w.Body.String(), `"window":"1h"`) || strings.Contains(w.Body.String(), "gmail") {
		t.Errorf("body %s", w.Body)
	}
	r.limits.trial = r.now
	if w := r.ask(r.server, "secret-admin", "GET", "/api/v1/limits?near=100", ""); strings.Contains(w.Body.String(), "trial") {
		t.Errorf("the trial is over: %s", w.Body)
	}
}

func TestKeysOfLimits(t *testing.T) {
	for key, want := range map[string]policy.Key{
		"alice": policy.ByIdentity, "a@b#c": policy.ByIdentity, "2001:db8::/64": policy.ByIdentity, "": policy.ByIdentity,
		"from:corp.example": policy.BySenderDomain, "to:gmail.com": policy.ByRecipientDomain, "net:192.0.2.1": policy.ByNetwork, "gateway:": policy.ByGateway,
	} {
		if got := keyKind(key); got != want {
			t.Errorf("%q: %s, want %s", key, got, want)
		}
	}
}

func TestSendersAreListed(t *testing.T) {
	r := newRig(t)
	r.limits.usage = []policy.Finding{
		r.hour("full@corp.example", 300, 300, limit.FromRule), r.hour("near@corp.example", 250, 300, limit.FromRule),
		r.hour("from:corp.example", 250, 300, limit.FromRule), r.hour("calm@corp.example", 3, 300, limit.FromRule),
	}
	r.limits.suspended = []guard.Suspension{{Identity: "stolen@corp.example", Since: r.now, Reason: "spam", Author: "api:ops"}}
	r.limits.grants = []limit.Grant{{Rule: "day", Key: "bulk#crm", Boost: true, Amount: 500, Given: r.now, Until: r.now.Add(time.Hour), Reason: "invoices", Author: "api:ops"}}
	for q, want := range map[string][]string{
		"":          {"stolen@corp.example", "full@corp.example", "near@corp.example", "bulk#crm"},
		"?limit=1":  {"stolen@corp.example"},
		"?q=CALM":   {"calm@corp.example"},
		"?q=crm":    {"bulk#crm"},
		"?q=nobody": nil,
	} {
		var names []string
		list := get[SenderList](r, "/api/v1/senders"+q)
		for _, v := range list.Senders {
			names = append(names, v.Identity)
			if v.Usage == nil || v.Grants == nil {
				t.Errorf("%s: null in %+v", q, v)
			}
		}
		if !slices.Equal(names, want) || list.Senders == nil {
			t.Errorf("%s: %q, want %q", q, names, want)
		}
	}
	all := get[SenderList](r, "/api/v1/senders").Senders
	if all[0].Suspension == nil || all[0].Suspension.Reason != "spam" || all[1].Usage[0].Percent != 100 || all[3].Grants[0].Amount != 500 {
		t.Errorf("got %+v", all)
	}
}

func TestASenderIsShownWithEverything(t *testing.T) {
	r := newRig(t)
	r.accept("alice@corp.example", "One", "bob@example.net")
	sent := r.accept("alice@corp.example", "Two", "bob@example.net")
	post[MessageDetail](r, "/api/v1/messages/"+sent+"/release", "")
	r.observe(sent, policy.Event{Kind: policy.RelayedRemote, Reply: "250 Ok"})
	r.accept("alice2@corp.example", "Other", "bob@example.net")
	r.limits.usage = []policy.Finding{r.hour("alice@corp.example", 250, 800, limit.FromBoost), r.hour("bob", 1, 300, limit.FromRule)}
	r.limits.grants = []limit.Grant{{Rule: "external-hour", Key: "alice@corp.example", Boost: true, Amount: 500, Given: r.now, Until: r.now.Add(time.Hour), Reason: "invoices", Author: "api:ops"}}
	r.limits.suspended = []guard.Suspension{{Identity: "alice@corp.example", Since: r.now, Until: r.now.Add(time.Hour), Reason: "spam", Author: "api:ops"}}

	got := get[SenderDetail](r, "/api/v1/senders/alice%40corp.example")
	if got.Identity != "alice@corp.example" || len(got.Usage) != 1 || got.Usage[0].Source != "boost" || got.Usage[0].Limit != 800 {
		t.Errorf("usage %+v", got.Usage)
	}
	if len(got.Grants) != 1 || got.Grants[0] != (Grant{"external-hour", true, 500, r.now, r.now.Add(time.Hour), "invoices", "api:ops"}) {
		t.Errorf("grants %+v", got.Grants)
	}
	if want := (Suspension{Since: r.now, Until: r.now.Add(time.Hour), Reason: "spam", Author: "api:ops"}); got.Suspension == nil || !reflect.DeepEqual(*got.Suspension, want) {
		t.Errorf("suspension %+v", got.Suspension)
	}
	want := []StateCount{
		{policy.StateHeld, policy.Label{EN: "Held", ZH: "暂缓发送"}, 1}, {policy.StateRelayedRemote, policy.LabelRemote, 1},
	}
	if m := got.Messages; m.Total != 2 || m.More || !slices.Equal(m.States, want) || !m.Since.Equal(r.now.Add(-24*time.Hour)) {
		t.Errorf("messages %+v", m)
	}
}

func TestIdentitiesInPathsAreEscaped(t *testing.T) {
	r := newRig(t)
	for _, identity := range []string{
		"alice@corp.example", "alice@corp.example#crm", "2001:db8::/64", "a b", `odd"quote`, "张伟", "100%", "gateway:", "a?b=c", "..%2f",
	} {
		r.limits.usage = []policy.Finding{r.hour(identity, 1, 300, limit.FromRule)}
		got := get[SenderDetail](r, "/api/v1/senders/"+url.PathEscape(identity))
		if got.Identity != identity || len(got.Usage) != 1 {
			t.Errorf("%q: %+v", identity, got)
		}
		r.limits.asked = nil
		post[SenderDetail](r, "/api/v1/senders/"+url.PathEscape(identity)+"/reset", `{"reason":"x"}`)
		if want := []string{"reset | " + identity + " |  | x | api:admin"}; !slices.Equal(r.limits.asked, want) {
			t.Errorf("%q: asked %q", identity, r.limits.asked)
		}
	}
}

func TestAMessageWithoutASenderOfThatIdentityCountsForNobody(t *testing.T) {
	r := newRig(t)
	r.accept("alice@corp.example", "One", "bob@example.net")
	// The search by "alice" finds the message, but it counts for another identity.
	if got := get[SenderDetail](r, "/api/v1/senders/alice"); got.Messages.Total != 0 || got.Messages.States == nil || got.Usage == nil || got.Grants == nil {
		t.Errorf("got %+v", got)
	}
}

func TestASenderOfABrokenJournal(t *testing.T) {
	r := newRig(t)
	s := r.serverFor(searchless{r.store, errBroken})
	w := r.ask(s, "secret-admin", "GET", "/api/v1/senders/alice", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 500, "internal", "something went wrong here: the log of sendgate says what")
	w = r.ask(s, "secret-admin", "GET", "/api/v1/approvals", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 500, "internal", "something went wrong here: the log of sendgate says what")
	s = r.serverFor(searchless{r.store, store.ErrTooBroad})
	if w := r.ask(s, "secret-admin", "GET", "/api/v1/senders/alice", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"more":true`) {
		t.Errorf("too broad: %d %s", w.Code, w.Body)
	}
}

// searchless is a journal that cannot be searched.
type searchless struct {
	*store.Store
	err error
}

func (s searchless) Search(context.Context, store.Query, int, string) (store.Page, error) {
	return store.Page{}, s.err
}

func TestASuspensionThatNobodyMade(t *testing.T) {
	r := newRig(t)
	why := policy.Label{EN: "Unusual for this account (score 9): 60 new recipients", ZH: "该账号行为异常（评分 9）：60 个陌生收件人"}
	r.limits.suspended = []guard.Suspension{{
		Identity: "eve", Since: r.now, Reason: why.EN, Author: "anomaly", Nth: 4,
		Findings: []policy.Finding{{Rule: "anomaly", Kind: "anomaly", Source: "suspend", Used: 9, Limit: 8, Decided: true, Action: policy.Reject, Detail: why}},
	}}
	got := get[SenderDetail](r, "/api/v1/senders/eve").Suspension
	if got == nil || !got.Automatic || got.Nth != 4 || len(got.Findings) != 1 {
		t.Fatalf("%+v", got)
	}
	if f := got.Findings[0]; f.Score != 9 || f.Used != 0 || f.Limit != 8 || f.Source != "suspend" || f.Text != why {
		t.Errorf("%+v", f)
	}
}

func TestActsOnSenders(t *testing.T) {
	end := time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
	const alice = "alice@corp.example"
	for name, tt := range map[string]struct {
		verb, body string
		asked      string
		grant      limit.Grant // given
		suspended  time.Time   // until
	}{
		"boost of all": {"boost", `{"amount":500,"for":"24h","reason":"invoices","release":true}`, "boost | " + alice + " |  | invoices | api:admin",
			limit.Grant{Key: alice, Boost: true, Amount: 500, Until: end}, time.Time{}},
		"boost of one": {"boost", `{"rule":"day","amount":1,"for":"1d","reason":"x"}`, "boost | " + alice + " | day | x | api:admin",
			limit.Grant{Rule: "day", Key: alice, Boost: true, Amount: 1, Until: end}, time.Time{}},
		"override": {"override", `{"rule":"day","limit":5000,"until":"2026-11-22T18:30:00+08:00","reason":"x"}`, "boost | " + alice + " | day | x | api:admin",
			limit.Grant{Rule: "day", Key: alice, Amount: 5000, Until: end}, time.Time{}},
		"revoke of all":          {"revoke", `{}`, "revoke | " + alice + " |  |  | api:admin", limit.Grant{}, time.Time{}},
		"revoke of one":          {"revoke", `{"rule":"gone","reason":"x"}`, "revoke | " + alice + " | gone | x | api:admin", limit.Grant{}, time.Time{}},
		"reset of all":           {"reset", `{"reason":"x"}`, "reset | " + alice + " |  | x | api:admin", limit.Grant{}, time.Time{}},
		"reset of one":           {"reset", `{"rule":"day","reason":"x"}`, "reset | " + alice + " | day | x | api:admin", limit.Grant{}, time.Time{}},
		"suspend for good":       {"suspend", `{"reason":"spam"}`, "suspend | " + alice + " | spam | api:admin", limit.Grant{}, time.Time{}},
		"suspend for some hours": {"suspend", `{"reason":"spam","for":"24h"}`, "suspend | " + alice + " | spam | api:admin", limit.Grant{}, end},
		"suspend until a time":   {"suspend", `{"reason":"spam","until":"2026-11-22T10:30:00Z"}`, "suspend | " + alice + " | spam | api:admin", limit.Grant{}, end},
		"unsuspend and forget":   {"unsuspend", `{"history":"forget"}`, "unsuspend forget | " + alice + " |  | api:admin", limit.Grant{}, time.Time{}},
		"unsuspend and keep":     {"unsuspend", `{"history":"keep"}`, "unsuspend keep | " + alice + " |  | api:admin", limit.Grant{}, time.Time{}},
		"unsuspend and forgive":  {"unsuspend", `{"history":"forgive"}`, "unsuspend | " + alice + " |  | api:admin", limit.Grant{}, time.Time{}},
		"unsuspend":              {"unsuspend", `{"reason":"password changed"}`, "unsuspend | " + alice + " | password changed | api:admin", limit.Grant{}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			switch tt.verb {
			case "revoke":
				r.limits.grants = []limit.Grant{{Rule: "gone", Key: alice, Amount: 1}}
			case "unsuspend":
				r.limits.suspended = []guard.Suspension{{Identity: alice}}
			}
			got := post[SenderDetail](r, "/api/v1/senders/alice%40corp.example/"+tt.verb, tt.body)
			if !slices.Equal(r.limits.asked, []string{tt.asked}) {
				t.Errorf("asked %q, want %q", r.limits.asked, tt.asked)
			}
			if len(got.Grants) != len(r.limits.grants) || (tt.grant.Key != "") != (len(r.limits.grants) == 1) {
				t.Fatalf("grants %+v, %+v", got.Grants, r.limits.grants)
			}
			if tt.grant.Key != "" {
				g := r.limits.grants[0]
				tt.grant.Given, tt.grant.Reason, tt.grant.Author = r.now, g.Reason, "api:admin"
				if g != tt.grant {
					t.Errorf("grant %+v, want %+v", g, tt.grant)
				}
			}
			if (got.Suspension != nil) != (tt.verb == "suspend") || tt.verb == "suspend" && !got.Suspension.Until.Equal(tt.suspended) {
				t.Errorf("suspension %+v", got.Suspension)
			}
			acts := r.logs.FilterMessage("act").All()
			if len(acts) != 1 || acts[0].ContextMap()["verb"] != tt.verb || acts[0].ContextMap()["identity"] != alice || acts[0].ContextMap()["actor"] != "api:admin" {
				t.Errorf("audit lines: %v", acts)
			}
		})
	}
}

func TestActsOnSendersAreRefused(t *testing.T) {
	const (
		when   = `say how long with "for" ("10m", from now) or until when with "until", not both and not neither`
		span   = `"for" is a duration above zero, such as 90s, 10m, 24h or 7d`
		reason = "say why, in reason: it is kept in the journal"
		norule = "there is no limit of the name weekly: see the list of rules"
	)
	r := newRig(t)
	both := `{"amount":1,"for":"1h","until":"2026-11-22T10:30:00Z","reason":"x"}`
	for name, tt := range map[string]struct {
		path, body   string
		fail         error
		status       int
		code, detail string
	}{
		"boost without a reason":      {"a/boost", `{"amount":1,"for":"1h"}`, nil, 422, "reason_required", reason},
		"boost with a blank reason":   {"a/boost", `{"amount":1,"for":"1h","reason":"  "}`, nil, 422, "reason_required", reason},
		"boost without a time":        {"a/boost", `{"amount":1,"reason":"x"}`, nil, 422, "invalid_time", when},
		"boost with two times":        {"a/boost", both, nil, 422, "invalid_time", when},
		"boost for nonsense":          {"a/boost", `{"amount":1,"for":"soon","reason":"x"}`, nil, 422, "invalid_time", span},
		"boost for less than nothing": {"a/boost", `{"amount":1,"for":"-1h","reason":"x"}`, nil, 422, "invalid_time", span},
		"boost until the past":        {"a/boost", `{"amount":1,"until":"2026-11-20T10:30:00Z","reason":"x"}`, nil, 422, "invalid_time", `"until" is in the past`},
		"boost for ever":              {"a/boost", `{"amount":1,"for":"99999d","reason":"x"}`, nil, 422, "invalid_time", "that is more than ten years away: change the rule in the configuration instead"},
		"boost by nothing":            {"a/boost", `{"amount":0,"for":"1h","reason":"x"}`, nil, 422, "invalid_request", "validation failed"},
		"boost of no rule":            {"a/boost", `{"rule":"weekly","amount":1,"for":"1h","reason":"x"}`, nil, 422, "unknown_rule", norule},
		"boost refused":               {"a/boost", `{"amount":1,"for":"1h","reason":"x"}`, &Refusal{"no_limit", "no limit applies to a"}, 409, "no_limit", "no limit applies to a"},
		"boost fails":                 {"a/boost", `{"amount":1,"for":"1h","reason":"x"}`, errBroken, 500, "internal", "something went wrong here: the log of sendgate says what"},
		"boost on a full disk":        {"a/boost", `{"amount":1,"for":"1h","reason":"x"}`, store.ErrFull, 503, "store_full", "the disk is nearly full: nothing can be written until space is free"},
		"boost of a strange name":     {"a%0Ab/boost", `{"amount":1,"for":"1h","reason":"x"}`, nil, 422, "invalid_identity", "that is no identity: it is what messages show as identity, without control characters"},
		"override without a rule":     {"a/override", `{"limit":1,"for":"1h","reason":"x"}`, nil, 422, "invalid_request", "validation failed"},
		"override without a reason":   {"a/override", `{"rule":"day","limit":1,"for":"1h"}`, nil, 422, "reason_required", reason},
		"override of no rule":         {"a/override", `{"rule":"weekly","limit":1,"for":"1h","reason":"x"}`, nil, 422, "unknown_rule", norule},
		"override fails":              {"a/override", `{"rule":"day","limit":1,"for":"1h","reason":"x"}`, errBroken, 500, "internal", ""},
		"reset without a reason":      {"a/reset", `{}`, nil, 422, "reason_required", reason},
		"reset of no rule":            {"a/reset", `{"rule":"weekly","reason":"x"}`, nil, 422, "unknown_rule", norule},
		"reset fails":                 {"a/reset", `{"reason":"x"}`, errBroken, 500, "internal", ""},
		"reset of a strange name":     {"a%07/reset", `{"reason":"x"}`, nil, 422, "invalid_identity", ""},
		"revoke of nothing":           {"a/revoke", `{}`, nil, 409, "nothing_granted", "there is no boost and no override to end"},
		"revoke of another rule":      {"granted/revoke", `{"rule":"hour"}`, nil, 409, "nothing_granted", ""},
		"revoke of a strange name":    {"a%07/revoke", `{}`, nil, 422, "invalid_identity", ""},
		"revoke fails":                {"granted/revoke", `{}`, errBroken, 500, "internal", ""},
		"suspend without a reason":    {"a/suspend", `{"for":"1h"}`, nil, 422, "reason_required", reason},
		"suspend with two times":      {"a/suspend", `{"for":"1h","until":"2026-11-22T10:30:00Z","reason":"x"}`, nil, 422, "invalid_time", `say how long with "for" or until when with "until", not both; neither is until somebody ends it`},
		"suspend for nonsense":        {"a/suspend", `{"for":"1x","reason":"x"}`, nil, 422, "invalid_time", span},
		"suspend of a domain":         {"to:gmail.com/suspend", `{"reason":"x"}`, nil, 422, "invalid_identity", "only an identity can be suspended, not a domain, a network or the gateway"},
		"suspend of a strange name":   {"a%07/suspend", `{"reason":"x"}`, nil, 422, "invalid_identity", ""},
		"suspend fails":               {"a/suspend", `{"reason":"x"}`, errBroken, 500, "internal", ""},
		"unsuspend of who is not":     {"a/unsuspend", `{}`, nil, 409, "not_suspended", "the sender is not suspended"},
		"unsuspend of the gateway":    {"gateway:/unsuspend", `{}`, nil, 422, "invalid_identity", ""},
		"unsuspend fails":             {"suspended/unsuspend", `{}`, errBroken, 500, "internal", ""},
		"unknown verb":                {"a/forget", `{}`, nil, 404, "not_found", ""},
		"an unknown key":              {"a/suspend", `{"reason":"x","days":1}`, nil, 422, "invalid_request", "validation failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r.limits.fail, r.limits.asked = tt.fail, nil
			r.limits.grants = []limit.Grant{{Rule: "day", Key: "granted", Amount: 1}}
			r.limits.suspended = []guard.Suspension{{Identity: "suspended"}}
			w := r.ask(r.server, "secret-operator", http.MethodPost, "/api/v1/senders/"+tt.path, tt.body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
			if tt.fail == nil && r.limits.asked != nil || r.logs.FilterMessage("act").Len() > 0 {
				t.Errorf("done all the same: %q", r.limits.asked)
			}
		})
	}
}

func TestRolesAndLimits(t *testing.T) {
	const suspend = `{"reason":"x"}`
	boost := `{"amount":1,"for":"1h","reason":"x"}`
	rules := `{"since":"1h","limits":[{"name":"a","limit":1}]}`
	reads := []string{"/limits", "/senders", "/senders/alice", "/approvals", "/rules", "/alerts"}
	acts := map[string]string{
		"/senders/alice/boost": boost, "/senders/alice/override": `{"rule":"day","limit":1,"for":"1h","reason":"x"}`, "/senders/alice/reset": suspend,
		"/senders/alice/suspend": suspend, "/senders/alice/unsuspend": `{}`, "/senders/alice/revoke": `{}`,
		"/approvals/approve": `{"message_ids":["` + stranger + `"]}`, "/approvals/cancel": `{"message_ids":["` + stranger + `"],"reason":"x"}`,
		"/alerts/1/acknowledge": "",
	}
	for role, want := range map[string]struct{ reads, acts int }{"admin": {200, 200}, "operator": {200, 200}, "auditor": {200, 403}, "user": {403, 403}} {
		r := newRig(t)
		r.limits.test = func(context.Context) (BackTest, error) { return BackTest{}, nil }
		r.alerts.list = []Alert{{ID: "1"}}
		for _, path := range reads {
			if got := r.askAs(role, "GET", path, ""); got != want.reads {
				t.Errorf("%s reads %s: %d", role, path, got)
			}
		}
		if got := r.askAs(role, "POST", "/rules/test", rules); got != want.reads { // changes nothing
			t.Errorf("%s tests rules: %d", role, got)
		}
		for path, body := range acts {
			r.limits.suspended, r.limits.grants = []guard.Suspension{{Identity: "alice"}}, []limit.Grant{{Key: "alice"}}
			if got := r.askAs(role, "POST", path, body); got != want.acts {
				t.Errorf("%s does %s: %d", role, path, got)
			}
		}
	}
}

// askAs gives the status of an answer to a role.
func (r *rig) askAs(role, method, path, body string) int {
	return r.ask(r.server, "secret-"+role, method, apiPath+path, body).Code
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]struct {
		d    time.Duration
		back string
	}{
		"1h": {time.Hour, "1h"}, "90s": {90 * time.Second, "1m30s"}, "60m": {time.Hour, "1h"}, "1h30m": {90 * time.Minute, "1h30m"}, "10m": {10 * time.Minute, "10m"},
		"1d": {24 * time.Hour, "24h"}, "7d": {168 * time.Hour, "7d"}, "1d12h": {36 * time.Hour, "36h"}, "720h": {720 * time.Hour, "30d"}, "0s": {0, "0s"}, "100ms": {100 * time.Millisecond, "100ms"},
		"20s": {20 * time.Second, "20s"}, "10h0m1s": {10*time.Hour + time.Second, "10h0m1s"}, "100m": {100 * time.Minute, "1h40m"},
	} {
		var s Span
		if err := s.UnmarshalText([]byte(text)); err != nil || time.Duration(s) != want.d || s.String() != want.back {
			t.Errorf("%s: %v %v, %s", text, time.Duration(s), err, s)
		}
	}
	for _, text := range []string{"", "d", "1", "1x", "1d1x", "1d-1h", "-1d", "999999999d", "106751d24h", "1dd"} {
		if d, err := parseSpan(text); !errors.Is(err, errSpanForm) {
			t.Errorf("%q: %v %v", text, d, err)
		}
	}
	for d, want := range map[time.Duration]string{0: "message", time.Minute: "minute", time.Hour: "hour", 24 * time.Hour: "day", 2 * time.Hour: "2h"} {
		if l := Span(d).Label(); l.EN != want || l.ZH == "" {
			t.Errorf("%v: %+v", d, l)
		}
	}
}

func FuzzSpan(f *testing.F) {
	for _, s := range []string{"1h", "30d", "1d12h", "-1h", "9d9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseSpan(text)
		if err != nil {
			return
		}
		if again, err := parseSpan(Span(d).String()); err != nil || again != d {
			t.Errorf("%q is %v, %q is %v %v", text, d, Span(d).String(), again, err)
		}
	})
}
