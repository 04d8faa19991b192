package web

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// password is that of every user of a dash; the users are named as their roles.
const password = "correct horse battery"

// A dash is a rig that serves the dashboard.
type dash struct {
	*rig
	desk    *signin.Desk
	handler http.Handler
}

// mailUsers lets in who has the password, with the role user.
type mailUsers struct{}

func (mailUsers) Check(_ context.Context, _, secret string) error {
	if secret != password {
		return signin.ErrWrong
	}
	return nil
}

func (mailUsers) Who(login string) (identity, role string) { return login + "@corp.example", "user" }

// newDash makes a local user for each role; the user of the role user is one of the mail server.
func newDash(t *testing.T) *dash {
	t.Helper()
	d := &dash{rig: newRig(t)}
	signedIn := prepared()
	for name, value := range signedIn.kept {
		if err := d.store.Keep(name, value); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if d.desk, err = signin.New(signin.DefaultConfig(), d.store, mailUsers{}, func() time.Time { return d.now }, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	d.rig.desk = d.desk
	d.server = d.serverFor(d.store)
	d.handler = d.server.Handler()
	return d
}

// A memory is a store of people.
type memory map[string][]byte

func (m memory) Keep(name string, value []byte) error { m[name] = value; return nil }
func (m memory) Kept(name string) ([]byte, error)     { return m[name], nil }
func (m memory) Drop(name string) error               { delete(m, name); return nil }

func (m memory) KeptNames(prefix string) (names []string, err error) {
	for _, n := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, nil
}

// people are users and their sessions, of the moment of every new rig.
type people struct {
	kept    memory
	cookies map[string][]*http.Cookie // by role
}

// prepared makes them once: to hash a password takes its time by intent.
var prepared = sync.OnceValue(func() people {
	p := people{memory{}, map[string][]*http.Cookie{}}
	desk, err := signin.New(signin.DefaultConfig(), p.kept, mailUsers{}, func() time.Time { return rigTime }, zap.NewNop())
	for _, role := range policy.Roles {
		if err == nil && role != "user" { // whom the mail server knows
			err = desk.AddUser(role, password, role, nil)
		}
		if err == nil {
			out := httptest.NewRecorder()
			_, err = desk.SignIn(out, httptest.NewRequest(http.MethodPost, "/sign-in", nil), role, password)
			p.cookies[role] = out.Result().Cookies()
		}
		if err != nil {
			panic(err)
		}
	}
	return p
})

// A browser keeps cookies and follows redirects on this host.
type browser struct {
	t        *testing.T
	handler  http.Handler
	cookies  map[string]string
	language string
}

// as signs somebody in; the empty role is nobody.
func (d *dash) as(role string) *browser {
	d.t.Helper()
	b := &browser{t: d.t, handler: d.handler, cookies: map[string]string{}, language: "en"}
	if role == "" {
		return b
	}
	r := httptest.NewRequest(http.MethodPost, "/sign-in", nil)
	for _, c := range prepared().cookies[role] {
		r.AddCookie(c)
		b.cookies[c.Name] = c.Value
	}
	if d.desk.Session(r) != nil {
		return b
	}
	out := httptest.NewRecorder()
	if _, err := d.desk.SignIn(out, r, role, password); err != nil {
		d.t.Fatal(err)
	}
	b.keep(out.Result())
	return b
}

func (b *browser) keep(res *http.Response) {
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
	}
}

// get gives status and page at the end of redirects.
func (b *browser) get(path string) (status int, page string) {
	return b.send(httptest.NewRequest(http.MethodGet, path, nil))
}

// post sends a form, from the page that it stands on.
func (b *browser) post(path, from string, fields ...string) (status int, page string) {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Referer", "http://example.com"+from) // httptest's host
	return b.send(r)
}

func (b *browser) send(r *http.Request) (status int, page string) {
	for range 10 {
		for name, value := range b.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		r.Header.Set("Accept-Language", b.language)
		out := httptest.NewRecorder()
		b.handler.ServeHTTP(out, r)
		res := out.Result()
		b.keep(res)
		to := res.Header.Get("Location")
		if to == "" {
			return res.StatusCode, out.Body.String()
		}
		r = httptest.NewRequest(http.MethodGet, to, nil)
	}
	b.t.Fatal("redirected without end")
	return 0, ""
}

// sees fails unless a page has all these texts.
func (b *browser) sees(path string, texts ...string) {
	b.t.Helper()
	status, page := b.get(path)
	if status != http.StatusOK {
		b.t.Errorf("%s: %d", path, status)
	}
	for _, text := range texts {
		if !strings.Contains(page, text) {
			b.t.Errorf("%s lacks %q:\n%s", path, text, inner(page))
		}
	}
}

var tagPattern = regexp.MustCompile(`<[^>]*>|\s+`)

// inner is what a page says.
func inner(page string) string { return strings.TrimSpace(tagPattern.ReplaceAllString(page, " ")) }

// payloads run as script where a page does not escape them.
var payloads = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'-alert(1)-'`, `javascript:alert(1)`, `</title><svg onload=alert(1)>`,
	"\u202Egnp.exe", `{{.}}`, `<a href="https://evil.example">`,
}

// harmless fails where a page has a payload unescaped.
func harmless(t *testing.T, page string) {
	t.Helper()
	for _, bad := range []string{"<script>alert", "<img src=x", "<svg onload", "onerror=alert(1)>", `href="javascript:`, `<a href="https://evil`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}
