package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// signIns are those of alice; who "broken" is cannot be read.
func (r *rig) signIns(_ context.Context, identity string) ([]policy.Event, error) {
	at := func(hours int) time.Time { return r.now.Add(-time.Duration(hours) * time.Hour) }
	switch identity {
	case "alice@corp.example":
		return []policy.Event{
			{Kind: policy.Login, Time: at(1), Subject: identity, Evidence: "192.0.2.8", Mechanism: "PLAIN", Program: "laptop<script>alert(1)</script>"},
			{Kind: policy.Login, Time: at(2), Subject: identity, Evidence: "2001:db8::7", Mechanism: "LOGIN"},
			{Kind: policy.Login, Time: at(3), Subject: identity, Evidence: "203.0.113.9", Program: "ylmf-pc", Reply: "535 5.7.8 authentication failed"},
			{Kind: policy.Login, Time: at(4), Subject: identity, Evidence: "192.0.2.7", Mechanism: "PLAIN", Program: "laptop"},
		}, nil
	case "broken@corp.example":
		return nil, errors.New("the disk is gone")
	}
	return nil, nil
}

func TestOwnSignInsAndLimits(t *testing.T) {
	c := newCrew(t)
	var got struct {
		SignIns []SignIn `json:"sign_ins"`
	}
	w := c.request('U', "GET", "/api/v1/me/sign-ins", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := []SignIn{
		{c.now.Add(-1 * time.Hour), "192.0.2.8", "192.0.2.0/24", "PLAIN", "laptop<script>alert(1)</script>", false, "", true},
		{c.now.Add(-2 * time.Hour), "2001:db8::7", "2001:db8::/48", "LOGIN", "", false, "", false},
		{c.now.Add(-3 * time.Hour), "203.0.113.9", "203.0.113.0/24", "", "ylmf-pc", true, "535 5.7.8 authentication failed", false},
		{c.now.Add(-4 * time.Hour), "192.0.2.7", "192.0.2.0/24", "PLAIN", "laptop", false, "", false},
	}
	if len(got.SignIns) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got.SignIns[i] != want[i] {
			t.Errorf("%d: %+v, want %+v", i, got.SignIns[i], want[i])
		}
	}
	var limits MyLimits
	w = c.request('U', "GET", "/api/v1/me/limits", "")
	if err := json.Unmarshal(w.Body.Bytes(), &limits); err != nil || limits.Suspended || strings.Contains(w.Body.String(), "bob@") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := c.request('D', "GET", "/api/v1/senders/alice%40corp.example/sign-ins", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "203.0.113.9") {
		t.Errorf("for an administrator of the domain: %d %s", w.Code, w.Body)
	}
	if w := c.request('A', "GET", "/api/v1/senders/broken%40corp.example/sign-ins", ""); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("what cannot be read: %d %s", w.Code, w.Body)
	}
}

func TestTokensSayWhenTheyWereUsed(t *testing.T) {
	d := newDash(t)
	d.as("admin").sees("/settings/tokens", "api:operator", "never, as far as is known")
	if w := d.ask(d.server, "secret-operator", "GET", "/api/v1/messages", ""); w.Code != http.StatusOK {
		t.Fatal(w.Code)
	}
	w := d.ask(d.server, "secret-admin", "GET", "/api/v1/tokens", "")
	var got struct{ Tokens []KnownToken }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, one := range got.Tokens {
		used[one.Name] = one.Used.Equal(d.now) && strings.HasPrefix(one.Client, "192.0.2.1:")
	}
	if len(used) != 4 || !used["operator"] || !used["admin"] || used["auditor"] || used["user"] {
		t.Errorf("%s", w.Body)
	}
}

// Who looks after mail sees on the page of a sender what the owner sees on that of the account, with the replies.
func TestSignInsStandOnThePageOfTheSender(t *testing.T) {
	d := newDash(t)
	for _, role := range []string{"admin", "operator", "auditor"} {
		b := d.as(role)
		b.sees("/senders/alice%40corp.example", `id="sign-ins"`, "203.0.113.9", "refused", "535 5.7.8 authentication failed", "192.0.2.0/24", "signed in, new place", "ylmf-pc", "A refused one may be anybody’s.")
		_, page := b.get("/senders/alice%40corp.example")
		harmless(t, page)
		if strings.Contains(page, `href="/settings/sessions"`) != (role == "admin") {
			t.Errorf("%s and the sessions", role)
		}
	}
	b := d.as("admin")
	b.sees("/senders/bob%40corp.example", "No sign-in was seen in the last 30 days.")
	if _, page := b.get("/senders/net:192.0.2.0%2F24"); strings.Contains(page, `id="sign-ins"`) {
		t.Error("a network has sign-ins")
	}
	if status, page := b.get("/senders/broken%40corp.example"); status != http.StatusInternalServerError || strings.Contains(page, "the disk is gone") {
		t.Errorf("what cannot be read: %d %s", status, inner(page))
	}
	b.language = "zh-CN"
	b.sees("/senders/alice%40corp.example", "发信登录记录", "被拒绝", "被拒绝的登录可能来自任何人")
}

// From where somebody is signed in to the dashboard, and from where a message came, leads to the sender's sign-ins.
func TestSessionsAndMessagesLeadToSignIns(t *testing.T) {
	d := newDash(t)
	b := d.as("admin")
	b.sees("/settings/sessions", `<a href="/senders/user@corp.example#sign-ins">user</a>`)
	id := d.accept("alice@corp.example", "Report", "bob@example.net")
	b.sees("/messages/"+id, `<a href="/senders/alice@corp.example#sign-ins">192.0.2.1</a>`)
}

// Only the newest are shown at once.
func TestOlderSignInsAreFolded(t *testing.T) {
	d := newDash(t)
	d.server.signIns = func(context.Context, string) (all []policy.Event, err error) {
		for i := range 23 {
			all = append(all, policy.Event{Kind: policy.Login, Time: d.now.Add(-time.Duration(i) * time.Hour), Evidence: "192.0.2.7"})
		}
		return all, nil
	}
	b := d.as("operator")
	b.sees("/senders/alice%40corp.example", "<summary>3 older</summary>")
	if _, page := b.get("/senders/alice%40corp.example"); strings.Count(page, "<code>192.0.2.7</code>") != 23 {
		t.Error("some are missing")
	}
}

func TestNetworksOfSignIns(t *testing.T) {
	for address, want := range map[string]string{"::ffff:192.0.2.7": "192.0.2.0/24", "fe80::1%eth0": "fe80::/48", "nonsense": "nonsense", "": ""} {
		if got := networkOf(address); got != want {
			t.Errorf("%q: %q", address, got)
		}
	}
}

func TestTheAccountOfSomebodyWithMail(t *testing.T) {
	d := newDash(t)
	u := d.as("user")
	d.limits.usage = append(d.limits.usage, policy.Finding{
		Rule: "external-hour", Key: "user@corp.example", Used: 100, Limit: 100, Window: time.Hour, Exceeded: true, Next: d.now.Add(20 * time.Minute), Unit: policy.ExternalRecipients,
	})
	u.sees("/account", "Your limits", "100 of 100", "external-hour", "No sign-in was seen in the last 30 days.", "mailbox")
	u.language = "zh-CN"
	u.sees("/account", "我的发信限额", "每小时", "何时可再发", "最近 30 天没有登录记录。")
	if _, page := d.as("admin").get("/account"); strings.Contains(page, "Your limits") {
		t.Error("who has no mail has limits")
	}
	a := d.as("")
	if status, page := a.post("/sign-in", "/sign-in", "name", "alice", "password", password); status != http.StatusOK {
		t.Fatalf("%d %s", status, inner(page))
	}
	a.sees("/account", "203.0.113.9", "refused", "192.0.2.0/24", "signed in, new place", "ylmf-pc", "You have sent nothing lately that counts.")
	_, page := a.get("/account")
	harmless(t, page)
	a.language = "zh-CN"
	a.sees("/account", "发信登录记录", "被拒绝", "成功，新地点")
}
