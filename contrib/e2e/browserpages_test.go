package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// look is one way to look at a page.
type look struct {
	language, theme string
	width           int64
	audit           bool // by axe
}

// looks are the ways in which every page is looked at. The first two are audited: what axe finds depends on
// colours and widths, hardly on languages.
var looks = []look{
	{"en", "light", 1280, true}, {"zh-CN", "dark", 390, true}, {"en", "light", 390, false}, {"zh-CN", "dark", 1280, false},
	{"en", "dark", 1280, false}, {"zh-CN", "light", 1280, false}, {"en", "dark", 390, false}, {"zh-CN", "light", 390, false},
}

// everyLook gives those that are looked at: all only for pictures.
func everyLook() []look {
	if shots() != "" {
		return looks
	}
	return looks[:2]
}

// shots is the directory for pictures of all pages; empty is none.
func shots() string { return os.Getenv("SENDGATE_SHOTS") }

// everyPage looks at all pages of an administrator, and at those that need nobody.
func (o *office) everyPage(t *testing.T, b *browser, p *tab, ids map[string]string) {
	var campaigns struct{ Campaigns []struct{ ID string } }
	o.call(t, "GET", "/campaigns", nil, &campaigns)
	pages := map[string]string{
		"overview": "/overview", "messages": "/messages", "messages-found": "/messages?q=state%3Abounced", "messages-none": "/messages?q=subject%3Anothing",
		"recalls": "/recalls", "recall-find": "/recalls/new", "recall-found": "/recalls/new?find=1&from=carol", "recall-how": "/recalls/new?message=" + ids["held"],
		"senders": "/senders", "sender": "/senders/alice", "limits": "/limits", "limits-test": "/limits/test", "approvals": "/approvals",
		"campaigns": "/campaigns", "alerts": "/alerts", "audit": "/audit", "audit-person": "/audit/person?person=alice%40corp.example",
		"settings-users": "/settings/users", "settings-user": "/settings/users/" + administrator, "settings-sessions": "/settings/sessions", "settings-webhooks": "/settings/webhooks",
		"settings-tokens": "/settings/tokens", "settings-configuration": "/settings/configuration", "settings-about": "/settings/about",
		"account": "/account", "message-held": "/messages/" + ids["held"], "message-deferred": "/messages/" + ids["deferred"],
		"message-returned": "/messages/" + ids["returned"], "message-recalled": "/messages/" + ids["inside"], "message-hostile": "/messages/" + ids["hostile0"],
		"message-source": "/messages/" + ids["hostile1"] + "/source?part=headers", "message-body": "/messages/" + ids["hostile1"] + "/source?part=body",
	}
	if ids["recall"] != "" {
		pages["recall"] = "/recalls/" + ids["recall"]
	}
	if len(campaigns.Campaigns) == 0 {
		t.Error("there is no campaign to look at")
	} else {
		pages["campaign"] = "/campaigns/" + campaigns.Campaigns[0].ID
	}
	for i := range payloads {
		p.open(t, "/messages/"+ids[fmt.Sprintf("hostile%d", i)])
		o.harmless(t, p)
	}
	for _, name := range []string{"messages", "message-hostile", "message-source", "message-body", "message-returned", "message-deferred", "campaigns", "campaign", "approvals", "audit", "alerts", "recall", "recall-found"} {
		if pages[name] == "" {
			continue
		}
		p.open(t, pages[name])
		if !strings.Contains(eval[string](t, p, "document.querySelector('main').innerText"), "injected") {
			t.Errorf("%s shows nothing of what hostile mail says: it is not tested", name)
		}
		o.harmless(t, p)
	}
	o.sweep(t, p, pages)
	o.sweep(t, b.openTab(t, o.api), map[string]string{"sign-in": "/sign-in", "set-up-over": "/set-up?token=none"})
	p.open(t, "/nowhere")
	p.refused(t, 1)
}

// userPages looks at the pages of somebody who has mail.
func (o *office) userPages(t *testing.T, p *tab, id string) {
	o.sweep(t, p, map[string]string{"user-mine": "/mine", "user-account": "/account", "user-recalls": "/recalls", "user-message": "/messages/" + id})
}

// sweep looks at pages in every way.
func (o *office) sweep(t *testing.T, p *tab, pages map[string]string) {
	t.Helper()
	axe := axeSource(t)
	for _, l := range everyLook() {
		p.width(t, l.width)
		p.choose(t, l.language, l.theme)
		for name, path := range pages {
			p.open(t, path)
			o.seen(t, p, name, l)
			if l.audit && axe != "" {
				p.audited(t, axe, fmt.Sprintf("%s, %s %s %d", name, l.language, l.theme, l.width))
			}
			if l.width > 390 { // as on a phone that is turned
				p.width(t, 390)
				o.fits(t, p, name, 390)
				p.width(t, l.width)
			}
			for _, f := range p.took() {
				t.Errorf("%s (%s): %s", name, path, f)
			}
		}
	}
	p.width(t, 1280)
	p.choose(t, "en", "light")
}

// inspect looks at a page that no address leads to, as it stands, in both widths.
func (o *office) inspect(t *testing.T, p *tab, name string) {
	t.Helper()
	for _, width := range []int64{390, 1280} {
		p.width(t, width)
		l := look{eval[string](t, p, "document.documentElement.lang"), eval[string](t, p, "document.documentElement.dataset.theme || ''"), width, true}
		o.seen(t, p, name, l)
	}
	if axe := axeSource(t); axe != "" {
		p.audited(t, axe, name)
	}
}

// seen checks what holds for every page, and takes a picture of it.
func (o *office) seen(t *testing.T, p *tab, name string, l look) {
	t.Helper()
	o.harmless(t, p)
	if got := eval[string](t, p, "document.documentElement.lang + ' ' + (document.documentElement.dataset.theme || '')"); got != l.language+" "+l.theme {
		t.Errorf("%s is %s, not %s %s", name, got, l.language, l.theme)
	}
	o.fits(t, p, name, l.width)
	if shots() != "" {
		p.picture(t, fmt.Sprintf("%s.%s.%s.%d.png", name, l.language, l.theme, l.width))
	}
}

// fits holds that nothing has to be scrolled sideways.
func (o *office) fits(t *testing.T, p *tab, name string, width int64) {
	t.Helper()
	if wide := eval[[]string](t, p, tooWide); len(wide) > 0 {
		t.Errorf("%s is wider than %d pixels: %s", name, width, strings.Join(wide, ", "))
	}
}

// tooWide names the elements that make the page scroll sideways.
const tooWide = `(() => {
  const w = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= w) return [];
  const inside = (e) => { for (let p = e.parentElement; p; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
  return ["page " + document.documentElement.scrollWidth].concat([...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > w + 1 && !inside(e))
    .slice(0, 8).map((e) => e.tagName + "." + e.className + "#" + e.id + " " + Math.round(e.getBoundingClientRect().right)));
})()`

// harmless holds that nothing out of a message became a part of the page.
func (o *office) harmless(t *testing.T, p *tab) {
	t.Helper()
	found := eval[[]string](t, p, `[...document.querySelectorAll('.`+injected+`, script:not([src]), iframe, object, embed, [onerror], [onload], [onfocus], a[href^="javascript:" i], [src*="`+injected+`"]')].map(e => e.outerHTML)`)
	if len(found) > 0 {
		t.Errorf("a message is part of the page: %q", found)
	}
}

// picture writes what the whole page looks like.
func (p *tab) picture(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(shots(), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(shots(), name), png, 0o644)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// audited has axe look for what keeps people out, by the rules of WCAG 2.1 A and AA.
func (p *tab) audited(t *testing.T, axe, where string) {
	t.Helper()
	p.do(t, "axe", chromedp.Evaluate[chromedp.Void](axe))
	text := eval[string](t, p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"], resultTypes: ["violations"]})
  .then((r) => JSON.stringify(r.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
  .map((v) => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 4).map((n) => n.html.slice(0, 160) + " | " + (n.any[0] ? n.any[0].message : ""))}))))`)
	var findings []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(text), &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Errorf("%s: %s (%s):\n  %s", where, f.ID, f.Help, strings.Join(f.Nodes, "\n  "))
	}
}

// axeSource is the program that checks whether pages are accessible; it is empty when it cannot be had, and the
// test says so.
func axeSource(t *testing.T) string {
	t.Helper()
	source, err := loadAxe()
	if err != nil {
		t.Logf("NOT CHECKED for accessibility: %v. Set SENDGATE_AXE to a directory with axe.min.js of axe-core 4", err)
	}
	return source
}

var loadAxe = sync.OnceValues(func() (string, error) {
	dir := os.Getenv("SENDGATE_AXE")
	if dir == "" {
		var err error
		if dir, err = fetchAxe(); err != nil {
			return "", err
		}
		defer os.RemoveAll(dir)
	}
	for _, file := range []string{"axe.min.js", "package/axe.min.js"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
			return string(text), nil
		}
	}
	return "", fmt.Errorf("%s has no axe.min.js", dir)
})

// fetchAxe asks npm for it.
func fetchAxe() (dir string, err error) {
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("it is fetched with npm by root only")
	}
	if dir, err = os.MkdirTemp("", "sendgate-e2e-axe-"); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{{"npm", "pack", "--silent", "axe-core@4"}, {"sh", "-c", "tar xzf axe-core-*.tgz"}} {
		command := exec.CommandContext(ctx, args[0], args[1:]...)
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			_ = os.RemoveAll(dir)
			return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return dir, nil
}
