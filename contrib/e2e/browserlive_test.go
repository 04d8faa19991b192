package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// liveTabs is more than the six connections that a browser opens to a host.
const liveTabs = 8

// TestManyTabsAreLive opens more live pages than a browser has connections for one host (HTTP/1.1).
func TestManyTabsAreLive(t *testing.T) {
	t.Parallel()
	o, b := startOffice(t), startBrowser(t)
	first := b.openTab(t, o.api)
	o.firstStart(t, first)
	first.signIn(t, administrator, password)
	tabs := []*tab{first}
	for len(tabs) < liveTabs {
		tabs = append(tabs, first.beside(t))
	}
	for i, p := range tabs {
		p.open(t, []string{"/messages", "/messages?q=after%3A1h", "/overview", "/recalls"}[i%4])
		p.await(t, "the page is live", "document.querySelector('.live.on')")
	}
	o.send(t, post{from: "bob", to: []string{"carol@corp.example"}, subject: "Seen by all tabs", text: "Hello."})
	for i, p := range tabs {
		if i%4 < 2 {
			p.awaitText(t, "Seen by all tabs")
		}
		if own := eval[int](t, p, "performance.getEntriesByType('resource').filter(e => /\\/live(\\?|$)/.test(e.name)).length"); own != 0 {
			t.Errorf("tab %d has a connection of its own", i)
		}
	}
	ninth := first.beside(t)
	ninth.open(t, "/alerts") // there is a connection left for it
	ninth.awaitPath(t, "/alerts")
	first.open(t, "/settings/about") // others go on
	o.send(t, post{from: "bob", to: []string{"carol@corp.example"}, subject: "Seen by the others", text: "Hello."})
	tabs[1].awaitText(t, "Seen by the others")
	tabs[4].awaitText(t, "Seen by the others")
	first.press(t, "form[action='/sign-out'] button")
	first.awaitPath(t, "/sign-in")
	for _, p := range append(tabs[1:], ninth) {
		// A page that has asked for more meanwhile, as the chart of the overview does, has gone to the sign-in.
		p.await(t, "nobody is signed in, and nothing is live", "location.pathname === '/sign-in' || document.querySelector('.live') && !document.querySelector('.live.on')")
		p.open(t, "/sign-in") // else htmx tries again and again, and writes so to the console
		for _, f := range p.took() {
			if !strings.Contains(f, "[object Event]") && !strings.Contains(f, "401") {
				t.Error(f)
			}
		}
	}
}

// TestATabWithoutWorkerIsLive is about browsers that have no shared workers, as some on phones.
func TestATabWithoutWorkerIsLive(t *testing.T) {
	t.Parallel()
	o, b := startOffice(t), startBrowser(t)
	p := b.openTab(t, o.api)
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: "delete window.SharedWorker"}); err != nil {
		t.Fatal(err)
	}
	o.firstStart(t, p)
	p.signIn(t, administrator, password)
	p.open(t, "/messages")
	p.await(t, "the page is live", "document.querySelector('.live.on')")
	o.send(t, post{from: "bob", to: []string{"carol@corp.example"}, subject: "Seen alone", text: "Hello."})
	p.awaitText(t, "Seen alone")
}

// signIn fills the form.
func (p *tab) signIn(t *testing.T, name, secret string) {
	t.Helper()
	p.open(t, "/sign-in")
	p.fill(t, "[name=name]", name)
	p.fill(t, "[name=password]", secret)
	p.press(t, "form[action='/sign-in'] button.primary")
	p.await(t, "somebody is signed in", "document.querySelector(\"form[action='/sign-out']\")")
}

// beside opens a tab with the same cookies.
func (p *tab) beside(t *testing.T) *tab {
	t.Helper()
	next := &tab{server: p.server}
	ctx, end := chromedp.NewContext(p.ctx, chromedp.WithListener(next.listen))
	next.ctx = ctx
	t.Cleanup(func() {
		for _, f := range next.took() {
			t.Error(f)
		}
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	next.width(t, 1280)
	return next
}
