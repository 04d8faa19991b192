package pages

import (
	"crypto/tls"
	"html/template"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"text/template/parse"
	"time"
	"unicode/utf8"

	"github.com/sendgate/sendgate/policy"
)

func TestEveryTemplateStandsInBothLanguages(t *testing.T) {
	r := renderer(t)
	for _, lang := range Languages {
		for name, templates := range r.pages[lang] {
			page, err := templates()
			if err != nil {
				t.Fatal(err)
			}
			if len(r.pages[lang]) != len(r.pages[Languages[0]]) || page.Lookup("main") == nil || page.Lookup("layout.html") == nil {
				t.Errorf("%s in %s has no main", name, lang)
			}
			for _, called := range calledBy(page) {
				if page.Lookup(called) == nil {
					t.Errorf("%s in %s: no template %q", name, lang, called)
				}
			}
		}
	}
}

// calledBy gives the templates that the parts of a page call: a missing one would show only when it is run.
func calledBy(page *template.Template) (names []string) {
	for _, t := range page.Templates() {
		if t.Tree != nil {
			names = called(names, t.Tree.Root)
		}
	}
	return names
}

func called(names []string, n parse.Node) []string {
	switch n := n.(type) {
	case *parse.TemplateNode:
		return append(names, n.Name)
	case *parse.ListNode:
		if n != nil {
			for _, one := range n.Nodes {
				names = called(names, one)
			}
		}
	case *parse.IfNode:
		return called(called(names, n.List), n.ElseList)
	case *parse.WithNode:
		return called(called(names, n.List), n.ElseList)
	case *parse.RangeNode:
		return called(called(names, n.List), n.ElseList)
	}
	return names
}

var forbidden = regexp.MustCompile(`(?i)<style|\sstyle=|<script(>| [^>]*>[^<])|javascript:|\son[a-z]+\s*=|(src|href|action)="(https?:)?//`)

// TestNoTemplateNeedsWhatThePolicyRefuses: inline script, inline style, and other hosts.
func TestNoTemplateNeedsWhatThePolicyRefuses(t *testing.T) {
	for name, text := range sources(t) {
		if !strings.HasSuffix(name, ".html") {
			continue
		}
		if found := forbidden.FindString(text); found != "" {
			t.Errorf("%s: %q", name, found)
		}
		if strings.Contains(text, "hx-on") || strings.Contains(text, "js:") {
			t.Errorf("%s has code in an attribute", name)
		}
	}
	for _, bad := range []string{`<p style="x">`, `<script>x`, `<script src="/a">x`, `<a href="//x">`, `<a onclick="x">`, `<a href="javascript:x">`} {
		if !forbidden.MatchString(bad) {
			t.Errorf("%s is not found", bad)
		}
	}
}

func TestAPageIsInItsLanguage(t *testing.T) {
	r := renderer(t)
	for lang, want := range map[string]string{"en": "This did not work", "zh-CN": "操作未成功"} {
		out := httptest.NewRecorder()
		r.Page(out, http.StatusTeapot, "error", Frame{Language: lang, Theme: "dark", User: "<i>eve</i>", Role: "admin", Data: `<script>alert(1)</script>`, Flash: &Flash{Kind: "bad", Text: "<b>"}})
		page := out.Body.String()
		for _, part := range []string{want, `<html lang="` + lang + `" data-theme="dark">`, "&lt;script&gt;alert(1)", "&lt;i&gt;eve", "&lt;b&gt;"} {
			if !strings.Contains(page, part) {
				t.Errorf("%s: no %q in\n%s", lang, part, page)
			}
		}
		h := out.Result().Header
		if out.Code != http.StatusTeapot || h.Get("Content-Language") != lang || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%d %v", out.Code, h)
		}
	}
	if got := r.Say("en", "unit.day", 3); got != "3 d" {
		t.Error(got)
	}
}

func TestAPageThatFailsIsNotShownByHalf(t *testing.T) {
	r := renderer(t)
	for _, name := range []string{"error", "nothing"} {
		out := httptest.NewRecorder()
		r.Part(out, name, "_none", Frame{Language: "en"})
		if out.Code != http.StatusInternalServerError || out.Body.String() != "this page could not be rendered; the log says why\n" {
			t.Errorf("%s: %d %q", name, out.Code, out.Body)
		}
	}
}

func TestGuard(t *testing.T) {
	h := Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	plain, secure := httptest.NewRecorder(), httptest.NewRecorder()
	h.ServeHTTP(plain, httptest.NewRequest(http.MethodGet, "/", nil))
	over := httptest.NewRequest(http.MethodGet, "/", nil)
	over.TLS = &tls.ConnectionState{}
	h.ServeHTTP(secure, over)
	policy := plain.Header().Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'", "connect-src 'self'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("no %s in %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
		t.Error(policy)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := plain.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if plain.Header().Get("Strict-Transport-Security") != "" || secure.Header().Get("Strict-Transport-Security") == "" {
		t.Error("Strict-Transport-Security is for TLS")
	}
}

func TestAssets(t *testing.T) {
	r := renderer(t)
	for name, kind := range map[string]string{
		"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
		"vendor/htmx.min.js": "text/javascript; charset=utf-8", "vendor/htmx.LICENSE": "text/plain; charset=utf-8",
	} {
		at, err := r.assets.url(name)
		if err != nil {
			t.Fatal(err)
		}
		out := httptest.NewRecorder()
		r.Assets().ServeHTTP(out, httptest.NewRequest(http.MethodGet, at, nil))
		h := out.Result().Header
		if out.Code != 200 || h.Get("Content-Type") != kind || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", at, out.Code, h)
		}
	}
	for _, path := range []string{"/static/app.css", "/static/../renderer.go", "/static/", "/static/vendor/"} {
		out := httptest.NewRecorder()
		r.Assets().ServeHTTP(out, httptest.NewRequest(http.MethodGet, path, nil))
		if out.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, out.Code)
		}
	}
	if _, err := r.assets.url("none.js"); err == nil || err.Error() != `static file "none.js": there is none` {
		t.Error(err)
	}
}

// TestForeignCodeHasItsLicence holds the table and the files together.
func TestForeignCodeHasItsLicence(t *testing.T) {
	r := renderer(t)
	if len(r.Vendored()) != 3 {
		t.Fatalf("%+v", r.Vendored())
	}
	for _, v := range r.Vendored() {
		if v.Name == "" || v.Version == "" || v.Licence == "" || len(v.Text) < 100 {
			t.Errorf("%+v", v)
		}
	}
	table, err := staticFiles.ReadFile("static/vendor/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range r.assets.names {
		file, ok := strings.CutPrefix(name, "vendor/")
		if ok && !strings.HasSuffix(file, ".LICENSE") && file != "README.md" && !strings.Contains(string(table), file) {
			t.Errorf("%s is not in the table", file)
		}
	}
}

func TestSpans(t *testing.T) {
	r := renderer(t)
	for _, c := range []struct {
		value    any
		en, zhCN string
	}{
		{time.Duration(0), "0 ms", "0 ms"},
		{250 * time.Millisecond, "250 ms", "250 ms"},
		{59 * time.Second, "59 s", "59 秒"},
		{61 * time.Second, "1 min 1 s", "1 分 1 秒"},
		{2*time.Hour + 5*time.Second, "2 h", "2 小时"},
		{26*time.Hour + 59*time.Minute, "1 d 2 h", "1 天 2 小时"},
		{90, "1 min 30 s", "1 分 30 秒"},
		{-90 * time.Second, "-1 min 30 s", "-1 分 30 秒"},
	} {
		en, err := r.span("en", c.value)
		zh, err2 := r.span("zh-CN", c.value)
		if en != c.en || zh != c.zhCN || err != nil || err2 != nil {
			t.Errorf("%v: %q %q %v", c.value, en, zh, err)
		}
	}
	if _, err := r.span("en", "soon"); err == nil || err.Error() != "span: a string is no duration" {
		t.Error(err)
	}
}

func TestFunctions(t *testing.T) {
	f := renderer(t).funcs("en")
	sized := f["size"].(func(int64) string)
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 123456: "123 kB", 5_300_000: "5.3 MB", 7e15: "7,000 TB"} {
		if got := sized(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	if got, err := link("/a", "q", "x y&z", "empty", ""); got != "/a?q=x+y%26z" || err != nil {
		t.Error(got, err)
	}
	if got, err := link("/a", "q", ""); got != "/a" || err != nil {
		t.Error(got, err)
	}
	if _, err := link("/a", "q"); err == nil || err.Error() != "link /a: names and values go in pairs" {
		t.Error(err)
	}
	if _, err := dict("a"); err == nil || err.Error() != "dict: names and values go in pairs" {
		t.Error(err)
	}
	if _, err := dict(1, 2); err == nil || err.Error() != "dict: 1 is no name" {
		t.Error(err)
	}
	has := f["has"].(func(s, prefix string) bool)
	if !has("/settings/users", "/settings") || has("/settingsx", "/settings") || otherLanguage("en") != "zh-CN" || otherLanguage("zh-CN") != "en" {
		t.Error("places")
	}
	if got := f["l"].(func(policy.Label) string)(policy.LabelMailbox); !utf8.ValidString(got) || got != policy.LabelMailbox.EN {
		t.Error(got)
	}
}
