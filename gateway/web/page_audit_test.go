package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/store"
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
	for object, want := range map[AuditEntry]string{
		{Act: "cancel", Object: "01"}: "/messages/01", {Act: "suspend", Object: "a@b/c"}: "/senders/a@b%2Fc", {Act: "campaign_slow", Object: d.store.NewID().String()[:5]}: "",
		{Act: "import", Object: "mail.log"}: "", {Act: "sign_in"}: "",
	} {
		if got := auditLink(&object); got != want {
			t.Errorf("%+v: %q", object, got)
		}
	}
}
