package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
)

func TestAccount(t *testing.T) {
	d := newDash(t)
	before := len(d.desk.Sessions(nil))
	b := d.as("operator")
	b.sees("/account", "operator", "sendgate account", "Change password", "this one")
	d.now = d.now.Add(time.Minute)
	for _, c := range []struct{ outcome, so, next, again, text string }{
		{"two passwords", password, "battery staple", "battery", "The two new passwords differ."},
		{"a wrong one so far", "guess", "battery staple", "battery staple", "The name or the password is not right."},
		{"a weak one", password, "short", "short", "A password needs at least 10 characters"},
		{"a good one", password, "battery staple", "battery staple", "The password is changed."},
	} {
		_, page := b.post("/account/password", "/account", "password", c.so, "new", c.next, "again", c.again)
		if !strings.Contains(page, c.text) || !strings.Contains(page, "My account") {
			t.Errorf("%s:\n%s", c.outcome, inner(page))
		}
	}
	b.language = "zh-CN"
	b.sees("/account", "我的账号", "当前会话", "运维")
	if len(d.desk.Sessions(nil)) != before+1 { // the one of before is over when it is next used
		t.Errorf("%d sessions", len(d.desk.Sessions(nil)))
	}
}

func TestAMailUserHasNoPasswordHere(t *testing.T) {
	d := newDash(t)
	b := d.as("alice")
	b.sees("/account", "alice@corp.example", "mailbox")
	if _, page := b.get("/account"); strings.Contains(page, "/account/password") {
		t.Error("a form for a password that is not here")
	}
	if _, page := b.post("/account/password", "/account", "password", password, "new", "battery staple", "again", "battery staple"); !strings.Contains(page, "This account has no password here.") {
		t.Error(inner(page))
	}
	for _, tab := range []string{"users", "sessions", "tokens", "configuration"} {
		if status, _ := b.get("/settings/" + tab); status != http.StatusNotFound {
			t.Errorf("%s: %d", tab, status)
		}
	}
}

// TestSessionsAreOnesOwn: others are not seen, and not ended, but by administrators of all domains.
func TestSessionsAreOnesOwn(t *testing.T) {
	d := newDash(t)
	alice, operator, admin := d.as("alice"), d.as("operator"), d.as("admin")
	ids, before := map[string]string{}, len(d.desk.Sessions(nil))
	for _, s := range d.desk.Sessions(nil) {
		ids[s.User] = s.ID
	}
	if _, page := alice.post("/account/sessions/"+ids["operator"]+"/revoke", "/account"); !strings.Contains(page, "This session has ended already.") {
		t.Error(inner(page))
	}
	if status, _ := operator.post("/account/sessions/"+ids["admin"]+"/revoke", "/account"); status != 200 || len(d.desk.Sessions(nil)) != before {
		t.Errorf("%d, %d sessions", status, len(d.desk.Sessions(nil)))
	}
	if _, page := operator.get("/account"); strings.Contains(page, ids["admin"]) || strings.Contains(page, ids["alice"]) {
		t.Error("an operator sees sessions of others")
	}
	admin.sees("/settings/sessions", "alice", "operator", "mailbox")
	if _, page := admin.post("/settings/sessions/"+ids["alice"]+"/revoke", "/settings/sessions"); !strings.Contains(page, "The session has ended.") {
		t.Error(inner(page))
	}
	if _, page := alice.get("/account"); !strings.Contains(page, "Password") {
		t.Error("alice is still signed in")
	}
}

func TestUsersOnTheirPage(t *testing.T) {
	d := newDash(t)
	b := d.as("admin")
	b.sees("/settings/users", "operator", "auditor", "Add user")
	for _, c := range []struct {
		outcome, path string
		fields        []string
		text          string
	}{
		{"a bad name", "/settings/users", []string{"name", "a b", "role", "admin", "password", "battery staple"}, "A user name has at most 64 letters"},
		{"the role of mail users", "/settings/users", []string{"name", "bob", "role", "user", "password", "battery staple"}, "There is no such role for a user."},
		{"bad domains", "/settings/users", []string{"name", "bob", "role", "admin", "domains", "a@b", "password", "battery staple"}, "Write domains such as corp.example"},
		{"a good one", "/settings/users", []string{"name", "王芳", "role", "admin", "domains", "Corp.Example, x.example", "password", "battery staple"}, "corp.example, x.example"},
		{"taken", "/settings/users", []string{"name", "王芳", "role", "admin", "password", "battery staple"}, "There is a user of this name already."},
		{"disabled", "/settings/users/%E7%8E%8B%E8%8A%B3", []string{"role", "auditor", "disabled", "1"}, "disabled"},
		{"nobody", "/settings/users/nobody", []string{"role", "auditor"}, "There is no such"},
		{"the last administrator", "/settings/users/admin", []string{"role", "auditor"}, "This is the last administrator of all domains"},
		{"removing the last", "/settings/users/admin/remove", nil, "This is the last administrator of all domains"},
		{"removing", "/settings/users/%E7%8E%8B%E8%8A%B3/remove", nil, "The user is removed."},
	} {
		if _, page := b.post(c.path, "/settings/users", c.fields...); !strings.Contains(page, c.text) {
			t.Errorf("%s:\n%s", c.outcome, inner(page))
		}
	}
	b.language = "zh-CN"
	b.sees("/settings/users/operator", "删除用户", "停用：不能登录")
}

// TestAdministratorsOfSomeDomainsMakeNoUsers: who could would soon be one of all domains.
func TestAdministratorsOfSomeDomainsMakeNoUsers(t *testing.T) {
	d := newDash(t)
	if err := d.desk.AddUser("local", password, "admin", []string{"corp.example"}); err != nil {
		t.Fatal(err)
	}
	b := d.as("local")
	b.sees("/settings", "About")
	if _, page := b.get("/settings"); strings.Contains(page, "/settings/users") {
		t.Error("users are offered")
	}
	b.post("/settings/users", "/settings", "name", "eve", "role", "admin", "password", "battery staple")
	b.post("/settings/users/local", "/settings", "role", "admin")
	b.post("/settings/users/admin/remove", "/settings")
	users, err := d.desk.Users()
	if err != nil || len(users) != 4 || len(users[2].Domains) != 1 {
		t.Errorf("%+v, %v", users, err)
	}
}

func TestSettingsShowWhatIsInEffect(t *testing.T) {
	d := newDash(t)
	d.server.configuration = func() (string, error) { return "hostname: gw <script>\n", nil }
	b := d.as("admin")
	b.sees("/settings/configuration", "hostname: gw &lt;script&gt;")
	b.sees("/settings/tokens", "api:auditor", "Auditor")
	b.sees("/settings/about", "1.2.3", "htmx.org", "0BSD", "uplot", "Permission is hereby granted")
	d.as("auditor").sees("/settings/about", "htmx.org")
	if status, _ := d.as("auditor").get("/settings/configuration"); status != http.StatusNotFound {
		t.Errorf("an auditor reads the configuration: %d", status)
	}
	if status, _ := b.get("/settings/nothing"); status != http.StatusNotFound {
		t.Errorf("no such tab: %d", status)
	}
	d.server.configuration = func() (string, error) { return "", errors.New("broken") }
	if status, page := b.get("/settings/configuration"); status != 500 || strings.Contains(page, "broken") {
		t.Errorf("%d\n%s", status, inner(page))
	}
}

func TestMe(t *testing.T) {
	d := newDash(t)
	for who, want := range map[string]Me{
		"secret-auditor": {Actor: "api:auditor", Kind: "token", Role: "auditor"},
	} {
		var got Me
		if err := json.Unmarshal(d.ask(d.server, who, http.MethodGet, "/api/v1/me", "").Body.Bytes(), &got); err != nil || got.Actor != want.Actor || got.Kind != want.Kind || got.Role != want.Role {
			t.Errorf("%+v, %v", got, err)
		}
	}
	_, text := d.as("alice").get("/api/v1/me")
	var got Me
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.User != "alice" || got.Kind != signin.Mail || got.Identity != "alice@corp.example" || got.Actor != "user:alice" {
		t.Errorf("%+v, %v\n%s", got, err, text)
	}
	w := d.ask(d.server, "secret-admin", http.MethodPost, "/api/v1/me/password", `{"password": "x", "new_password": "battery staple"}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 409, "not_local", "this account has no password here: change it where it belongs")
	w = d.ask(d.server, "secret-admin", http.MethodPost, "/api/v1/sessions/none/revoke", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "no_session", "there is no such session, or it has ended")
}

func TestProblemsOfUsersHaveTheirTexts(t *testing.T) {
	d := newDash(t)
	for outcome, c := range map[string]struct {
		method, path, body string
		status             int
		code, detail       string
	}{
		"name":     {"POST", "/api/v1/users", `{"name": "a b", "role": "admin", "password": "battery staple"}`, 422, "bad_name", "a user name has at most 64 letters, digits and . _ - @"},
		"password": {"POST", "/api/v1/users", `{"name": "bob", "role": "admin", "password": "short"}`, 422, "weak_password", "a password has at least 10 characters and is not the user name"},
		"role":     {"POST", "/api/v1/users", `{"name": "bob", "role": "king", "password": "battery staple"}`, 422, "bad_role", "a user has one of the roles admin, operator, auditor"},
		"taken":    {"POST", "/api/v1/users", `{"name": "ADMIN", "role": "admin", "password": "battery staple"}`, 409, "name_taken", "there is a user of this name already"},
		"domain":   {"POST", "/api/v1/users", `{"name": "bob", "role": "admin", "domains": ["a b"], "password": "battery staple"}`, 422, "bad_domain", "domains are written as corp.example"},
		"nobody":   {"POST", "/api/v1/users/bob", `{"role": "auditor"}`, 404, "no_user", "there is no such user"},
		"last":     {"POST", "/api/v1/users/admin", `{"role": "auditor"}`, 409, "last_admin", "the last administrator of all domains stays one"},
	} {
		t.Run(outcome, func(t *testing.T) {
			w := d.ask(d.server, "secret-admin", c.method, c.path, c.body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), c.status, c.code, c.detail)
		})
	}
}

func TestProgramsHaveShortNames(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0": "Edge · Windows",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                        "Firefox · Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1":           "Safari · iPhone",
		"curl/8.0": "curl/8.0", "": "", "Linux": "Linux",
	} {
		if got := programOf(agent); got != want {
			t.Errorf("%q: %q", agent, got)
		}
	}
}
