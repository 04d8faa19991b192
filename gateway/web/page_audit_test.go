package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web/pages"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

func TestThePageOfTheAuditLog(t *testing.T) {
	d := newDash(t)
	if err := d.store.Audit(store.AuditEntry{Time: d.now, Act: "recall", Actor: "user:<script>", Object: d.store.NewID().String(), Detail: "reason: <b>x</b>"}); err != nil {
		t.Fatal(err)
	}
	admin, auditor, user := d.as("admin"), d.as("auditor"), d.as("user")
	status, page := admin.get("/audit")
	if status != http.StatusOK || !strings.Contains(page, "user:&lt;script&gt;") || strings.Contains(page, "<b>x") || !strings.Contains(page, `href="/recalls/`) || !strings.Contains(page, `href="/audit/person"`) {
		t.Errorf("%d %s", status, page)
	}
	if status, page = auditor.get("/audit?verify=1&act=recall"); status != http.StatusOK || !strings.Contains(page, "The log is whole.") || strings.Contains(page, `href="/audit/person"`) {
		t.Errorf("%d %s", status, page)
	}
	if _, page = auditor.get("/audit?act=hold&actor=x&from=2026-11-21&to=2026-11-21"); !strings.Contains(page, "No entry matches these filters.") {
		t.Errorf("%s", page)
	}
	if _, page = auditor.get("/audit?from=yesterday"); !strings.Contains(page, "write a day as 2026-11-21") {
		t.Errorf("%s", page)
	}
	if status, _ = user.get("/audit"); status != http.StatusForbidden {
		t.Errorf("a user: %d", status)
	}
	if status, _ = auditor.get("/audit/person"); status != http.StatusForbidden {
		t.Errorf("an auditor looks for a person: %d", status)
	}
	broken := d.serverFor(tamperedJournal{d.store, store.ErrAudit})
	admin.handler, admin.language = broken.Handler(), "zh-CN"
	if _, page = admin.get("/audit?verify=1"); !strings.Contains(page, "日志已损坏") || !strings.Contains(page, "the audit log is broken") {
		t.Errorf("%s", page)
	}
}

// What was done stands there in the language of who reads, entries of before as they are kept.
func TestThePageOfTheAuditLogIsInTheLanguageOfItsReader(t *testing.T) {
	d := newDash(t)
	r := httptest.NewRequest(http.MethodPost, "/sign-in", nil)
	d.server.signedIn(r, "eve", nil, signin.ErrWrong)
	d.server.writeAudit(store.AuditEntry{Act: "suspend", Actor: "user:root", Object: "alice@corp.example", Detail: auditDetail([]zap.Field{
		zap.Time("until", d.now.Add(time.Hour)), zap.String("reason", "wrong_password <b>"), zap.String("new", "never seen"),
	})})
	d.server.writeAudit(store.AuditEntry{Act: "change_user", Actor: "user:root", Object: "olga", Detail: auditDetail([]zap.Field{
		zap.String("role", "operator"), zap.Bool("disabled", true),
	})})
	d.server.writeAudit(store.AuditEntry{Act: "cancel", Actor: "user:root", Detail: "recipients: 1; reason: of before"})
	for lang, want := range map[string][]string{
		"zh-CN": {"客户端地址", "192.0.2.1:1234", "原因", "用户名或密码错误", "截止时间", `<time datetime="` + d.now.Add(time.Hour).UTC().Format(time.RFC3339), "wrong_password &lt;b&gt;", "never seen", "角色", "运维", "已禁用", "是", "recipients: 1; reason: of before"},
		"en":    {"client", "wrong name or password", "until", "role", "Operator", "disabled", "yes", "wrong_password &lt;b&gt;", "recipients: 1; reason: of before"},
	} {
		b := d.as("admin")
		b.language = lang
		_, page := b.get("/audit")
		_, page, _ = strings.Cut(page, `id="audit-list"`)
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("%s: %q is missing in %s", lang, text, page)
			}
		}
		if strings.Contains(page, "reason: wrong_password") || strings.Contains(page, "\x1e") || strings.Contains(page, "\x1f") {
			t.Errorf("%s: %s", lang, page)
		}
	}
}

// TestWhatIsAuditedHasWords finds parameters of acts that no catalog names.
func TestWhatIsAuditedHasWords(t *testing.T) {
	d := newDash(t)
	names := auditedNames(t)
	for name := range names {
		for _, lang := range pages.Languages {
			if key := "audit.parameter." + name; d.server.renderer.Say(lang, key) == key {
				t.Errorf("%s: %q has no words", lang, name)
			}
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d are found: %v", len(names), names)
	}
}

// auditedNames gives the names of fields in calls that write the audit log, and in the lists that these are given.
func auditedNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			var within []ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "append" {
					within = n.Args
				}
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"audit", "acted", "actedOn"}, f.Sel.Name) {
					within = n.Args
				}
			case *ast.CompositeLit:
				within = n.Elts
			}
			for _, e := range within {
				if name := fieldName(e); name != "" {
					names[name] = true
				}
			}
			return true
		})
	}
	for _, first := range []string{"verb", "id", "identity", "actor", "name"} { // in the program's log only
		delete(names, first)
	}
	return names
}

// fieldName is the name that zap.X("name", ...) has, else empty.
func fieldName(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := f.X.(*ast.Ident); !ok || x.Name != "zap" {
		return ""
	}
	name, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return ""
	}
	return strings.Trim(name.Value, `"`)
}

func TestPagesOfTheAuditLogFollowEachOther(t *testing.T) {
	d := newDash(t)
	for range auditPageSize + 1 {
		if err := d.store.Audit(store.AuditEntry{Time: d.now, Act: "hold", Actor: "user:x"}); err != nil {
			t.Fatal(err)
		}
	}
	b := d.as("operator")
	if _, page := b.get("/audit?act=hold"); !strings.Contains(page, `href="/audit?act=hold&amp;before=2"`) || strings.Contains(page, "Newest") {
		t.Errorf("%s", page)
	}
	if _, page := b.get("/audit?act=hold&before=2"); !strings.Contains(page, "Newest") || strings.Contains(page, "Older") {
		t.Errorf("%s", page)
	}
}

func TestThePageAboutAPerson(t *testing.T) {
	d := newDash(t)
	d.accept("alice@corp.example", "Report", "bob@example.net")
	b := d.as("admin")
	if status, page := b.get("/audit/person"); status != http.StatusOK || strings.Contains(page, "erase\"") {
		t.Errorf("%d %s", status, page)
	}
	_, page := b.get("/audit/person?person=alice%40corp.example")
	if !strings.Contains(page, `href="/api/v1/people/alice@corp.example/export"`) || !strings.Contains(page, "Type alice@corp.example to confirm") {
		t.Errorf("%s", page)
	}
	if _, page = b.post("/audit/person/erase", "/audit/person", "person", "alice@corp.example", "confirm", "alice"); !strings.Contains(page, "name to confirm: nothing was erased") {
		t.Errorf("%s", page)
	}
	if _, page = b.post("/audit/person/erase", "/audit/person", "person", "alice@corp.example", "confirm", "alice@corp.example", "reason", "alice@corp.example"); !strings.Contains(page, "do not name the person in it") {
		t.Errorf("%s", page)
	}
	if _, page = b.post("/audit/person/erase", "/audit/person", "person", "alice@corp.example", "confirm", "alice@corp.example"); !strings.Contains(page, "The person was taken out of") {
		t.Errorf("%s", page)
	}
	for _, one := range []struct{ act, object, want string }{
		{"cancel", "01", "/messages/01"}, {"suspend", "a@b/c", "/senders/a@b%2Fc"}, {"campaign_slow", d.store.NewID().String()[:5], ""},
		{"import", "mail.log", ""}, {"sign_in", "", ""},
	} {
		if got := auditLink(&AuditEntry{Act: one.act, Object: one.object}); got != one.want {
			t.Errorf("%+v: %q", one, got)
		}
	}
}
