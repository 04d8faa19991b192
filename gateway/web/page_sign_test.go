package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
)

// form makes a request of a form as a browser of this site does.
func form(path string, fields ...string) *http.Request {
	v := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

func (d *dash) answer(r *http.Request) *http.Response {
	out := httptest.NewRecorder()
	d.handler.ServeHTTP(out, r)
	return out.Result()
}

func TestSignInFindsItsWords(t *testing.T) {
	d := newDash(t)
	for _, c := range []struct {
		outcome, language, name, password string
		status                            int
		text                              string
	}{
		{"a wrong password", "en", "admin", "guess", 403, "The name or the password is not right."},
		{"a wrong password in Chinese", "zh-CN", "operator", "guess", 403, "用户名或密码不正确。"},
		{"nobody of this name", "en", "<script>", "guess", 403, `value="&lt;script&gt;"`},
		{"a good one", "en", "auditor", password, 200, "Auditor"},
		{"a mail user", "zh-CN", "alice", password, 200, "用户"},
	} {
		b := d.as("")
		b.language = c.language
		status, page := b.post("/sign-in", "/sign-in", "name", c.name, "password", c.password, "back", "/account")
		if status != c.status || !strings.Contains(page, c.text) {
			t.Errorf("%s: %d\n%s", c.outcome, status, inner(page))
		}
	}
	var status int
	var page string
	for range 10 {
		status, page = d.as("").post("/sign-in", "/sign-in", "name", "admin", "password", "guess")
	}
	if status != http.StatusTooManyRequests || !strings.Contains(page, "Too many tries. Wait a minute, then try again.") {
		t.Errorf("after many tries: %d\n%s", status, inner(page))
	}
}

func TestWhoIsNotSignedInComesBack(t *testing.T) {
	d := newDash(t)
	res := d.answer(httptest.NewRequest(http.MethodGet, "/settings/users?x=1", nil))
	if to := res.Header.Get("Location"); res.StatusCode != 303 || to != "/sign-in?back=%2Fsettings%2Fusers%3Fx%3D1" {
		t.Errorf("%d %s", res.StatusCode, to)
	}
	_, page := d.as("").get("/settings/users?x=1")
	if !strings.Contains(page, `name="back" value="/settings/users?x=1"`) {
		t.Error(page)
	}
	if _, page := d.as("admin").get("/sign-in?back=/account"); !strings.Contains(page, "My account") {
		t.Errorf("who is signed in is asked again:\n%s", inner(page))
	}
}

// TestNobodyIsLedAway is about open redirects.
func TestNobodyIsLedAway(t *testing.T) {
	for _, to := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, `\\evil.example`, "javascript:alert(1)", "evil.example", "/\t/evil.example",
		"/a\r\nX: y", "///evil.example", "data:text/html,x", " //evil.example", "https:evil.example", "/%09/evil.example\x00", "http:/evil.example",
	} {
		d := newDash(t)
		in := d.answer(form("/sign-in", "name", "admin", "password", password, "back", to))
		checkLocal(t, "sign-in", to, in)
		signed := httptest.NewRequest(http.MethodGet, "/sign-in?"+url.Values{"back": {to}}.Encode(), nil)
		for _, c := range in.Cookies() {
			signed.AddCookie(c)
		}
		checkLocal(t, "sign-in when signed in", to, d.answer(signed))
		lang := form("/language", "language", "en")
		lang.Header.Set("Referer", to)
		checkLocal(t, "language", to, d.answer(lang))
	}
}

func checkLocal(t *testing.T, where, to string, res *http.Response) {
	t.Helper()
	got := res.Header.Get("Location")
	u, err := url.Parse(got)
	if res.StatusCode != http.StatusSeeOther || err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.Contains(got, `\`) {
		t.Errorf("%s with %q leads to %d %q", where, to, res.StatusCode, got)
	}
}

// TestForeignSitesCannotAct is about CSRF: a browser says where a form came from.
func TestForeignSitesCannotAct(t *testing.T) {
	d := newDash(t)
	in := d.answer(form("/sign-in", "name", "admin", "password", password))
	for outcome, foreign := range map[string]func(http.Header){
		"by its site":   func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		"a subdomain":   func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		"by its origin": func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "https://evil.example") },
		"no origin":     func(h http.Header) { h.Del("Sec-Fetch-Site"); h.Set("Origin", "null") },
	} {
		for _, path := range []string{"/sign-in", "/sign-out", "/set-up", "/account/password", "/settings/users", "/settings/users/auditor/remove", "/language", "/api/v1/users"} {
			r := form(path, "name", "eve", "password", password, "role", "admin")
			foreign(r.Header)
			for _, c := range in.Cookies() {
				r.AddCookie(c)
			}
			if res := d.answer(r); res.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s: %d", outcome, path, res.StatusCode)
			}
		}
	}
	if users, err := d.desk.Users(); err != nil || len(users) != 3 {
		t.Errorf("%d users, %v", len(users), err)
	}
}

// TestASessionIsNew is about session fixation, through the form.
func TestASessionIsNew(t *testing.T) {
	d := newDash(t)
	planted := &http.Cookie{Name: "sendgate_session", Value: strings.Repeat("A", 43)}
	r := form("/sign-in", "name", "admin", "password", password)
	r.AddCookie(planted)
	res := d.answer(r)
	after := httptest.NewRequest(http.MethodGet, "/account", nil)
	after.AddCookie(planted)
	if got := d.answer(after); got.StatusCode != http.StatusSeeOther || res.Cookies()[0].Value == planted.Value {
		t.Errorf("the planted cookie is signed in: %d", got.StatusCode)
	}
	in := func(c *http.Cookie) bool {
		r := httptest.NewRequest(http.MethodGet, "/account", nil)
		r.AddCookie(c)
		return d.answer(r).StatusCode == http.StatusOK
	}
	if !in(res.Cookies()[0]) {
		t.Fatal("not signed in")
	}
	out := form("/sign-out")
	out.AddCookie(res.Cookies()[0])
	if d.answer(out); in(res.Cookies()[0]) {
		t.Error("the session outlives signing out")
	}
}

// TestPasswordsOfURLsAreNotRead: they would stand in logs.
func TestPasswordsOfURLsAreNotRead(t *testing.T) {
	d := newDash(t)
	r := form("/sign-in?name=admin&password=" + url.QueryEscape(password))
	if res := d.answer(r); res.StatusCode != http.StatusForbidden {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestFirstStart(t *testing.T) {
	d := newDash(t)
	for _, name := range []string{"operator", "auditor"} {
		if err := d.desk.RemoveUser(name); err != nil {
			t.Fatal(err)
		}
	}
	link, err := d.server.SetUpLink(true)
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(link, "http://example.com")
	token := strings.TrimPrefix(path, "/set-up?token=")
	b := d.as("")
	b.sees(path, "Make the first administrator. This link works once.")
	for _, c := range []struct {
		outcome, token, name, password, again string
		status                                int
		text                                  string
	}{
		{"two passwords", token, "root", "battery staple", "battery stapl", 422, "The two new passwords differ."},
		{"a weak one", token, "root", "short", "short", 422, "A password needs at least 10 characters"},
		{"a name that is taken", token, "admin", "battery staple", "battery staple", 409, "There is a user of this name already."},
		{"another link", "guess", "root", "battery staple", "battery staple", 410, "This link has been used, or is older than a day."},
		{"a good one", token, "root", "battery staple", "battery staple", 0, "Sign out"},
		{"the link again", token, "eve", "battery staple", "battery staple", 410, "This link has been used"},
	} {
		status, page := b.post("/set-up", path, "token", c.token, "name", c.name, "password", c.password, "again", c.again)
		if c.status != 0 && status != c.status || !strings.Contains(page, c.text) {
			t.Errorf("%s: %d\n%s", c.outcome, status, inner(page))
		}
		d.now = d.now.Add(time.Minute) // for more tries
	}
}

func TestSetUpLinkOfTheAPI(t *testing.T) {
	d := newDash(t)
	w := d.ask(d.server, "secret-admin", http.MethodPost, "/api/v1/set-up-link", `{}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 409, "setup_done", `there is an administrator already: ask with "another" for a link that makes one more`)
	link := SetUpLink{}
	if code := d.do(http.MethodPost, "/api/v1/set-up-link", `{"another": true}`, &link); code != 200 || !strings.Contains(link.URL, "/set-up?token=") || link.Until.Sub(d.now) != signin.SetUpFor {
		t.Errorf("%d %+v", code, link)
	}
	plain := newRig(t)
	w = plain.ask(plain.server, "secret-admin", http.MethodPost, "/api/v1/set-up-link", `{}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "no_dashboard", "this gateway has no dashboard that people could sign in to")
}

func TestSingleSignOnIsOfferedWhereThereIsOne(t *testing.T) {
	d := newDash(t)
	if _, page := d.as("").get("/sign-in"); strings.Contains(page, "Single sign-on") {
		t.Error("offered without")
	}
	if status, _ := d.as("").get("/oidc/leave"); status != http.StatusNotFound {
		t.Errorf("left for nowhere: %d", status)
	}
	c := signin.DefaultConfig()
	c.OIDC.Issuer, c.OIDC.ClientID, c.URL = "http://127.0.0.1:1", "x", "http://127.0.0.1:8025"
	d.desk.Reload(c)
	d.as("").sees("/sign-in?back=/account", "Single sign-on", `href="/oidc/leave?back=%2Faccount"`)
	status, page := d.as("").get("/oidc/leave?back=//evil.example")
	if status != http.StatusBadGateway || !strings.Contains(page, "Single sign-on did not work") {
		t.Errorf("away: %d\n%s", status, inner(page))
	}
	status, page = d.as("").get("/oidc/back?code=x&state=y")
	if status != http.StatusBadRequest || !strings.Contains(page, "This sign-in took too long or began elsewhere.") {
		t.Errorf("not begun: %d\n%s", status, inner(page))
	}
}
