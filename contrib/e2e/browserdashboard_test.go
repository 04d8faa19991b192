package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/sendgate/sendgate/gateway/demo"
)

// administrator is who the set-up link makes.
const (
	administrator = "ada"
	password      = "correct horse battery"
)

// TestDashboard works with the dashboard of a new gateway in a real browser. Whatever page is open, a message in
// the browser's console, a request to another host or a script out of a message fails the test.
func TestDashboard(t *testing.T) {
	t.Parallel()
	o, b := startOffice(t), startBrowser(t)
	p := b.openTab(t, o.api)
	done := t.Run("first start", func(t *testing.T) { o.firstStart(t, p) }) &&
		t.Run("sign-in by keyboard", func(t *testing.T) { o.signsIn(t, p) })
	if !done {
		return
	}
	t.Run("a message is held live and let go", func(t *testing.T) { o.watches(t, p) })
	ids := o.fill(t)
	t.Run("search", func(t *testing.T) { o.searches(t, p) })
	t.Run("dry run and recall", func(t *testing.T) { ids["recall"] = o.takesBack(t, p, ids["inside"]) })
	t.Run("a user takes back", func(t *testing.T) { o.userTakesBack(t, b) })
	t.Run("a suspended sender is released", func(t *testing.T) { o.unsuspends(t, p) })
	t.Run("languages and themes", func(t *testing.T) { o.switches(t, p) })
	t.Run("pages", func(t *testing.T) { o.everyPage(t, b, p, ids) })
}

// firstStart follows the link that the first start prints, which works once.
func (o *office) firstStart(t *testing.T, p *tab) {
	link := o.setUpLink()
	p.open(t, "/")
	p.awaitPath(t, "/sign-in")
	p.awaitText(t, "sendgate setup-link")
	o.sweep(t, p, map[string]string{"set-up": link})
	p.open(t, link)
	p.fill(t, "[name=name]", administrator)
	p.fill(t, "[name=password]", password)
	p.fill(t, "[name=again]", password+"!")
	p.press(t, "form[action='/set-up'] button")
	p.await(t, "the passwords differ", "document.querySelector('[role=alert]')")
	p.refused(t, 1)
	p.fill(t, "[name=password]", password)
	p.fill(t, "[name=again]", password)
	p.press(t, "form[action='/set-up'] button")
	p.awaitPath(t, "/overview")
	p.awaitText(t, administrator)
	p.press(t, "form[action='/sign-out'] button")
	p.awaitPath(t, "/sign-in")
	p.open(t, link)
	p.await(t, "the link is over", "document.querySelector('[role=alert]') && !document.querySelector('[name=password]')")
}

// refused drops so many lines of the console about answers that are errors, which the test asked for.
func (p *tab) refused(t *testing.T, n int) {
	t.Helper()
	faults := p.took()
	rest := slices.DeleteFunc(slices.Clone(faults), func(f string) bool { return strings.Contains(f, "the server responded with a status of 4") })
	if len(faults)-len(rest) > n {
		t.Errorf("%d answers were errors, not %d: %q", len(faults)-len(rest), n, faults)
	}
	for _, f := range rest {
		p.fault("%s", f)
	}
}

// signsIn needs no mouse: the name has the focus, and then come the password and the button.
func (o *office) signsIn(t *testing.T, p *tab) {
	p.open(t, "/messages?q=state%3Aheld")
	p.awaitPath(t, "/sign-in")
	p.await(t, "the focus is at the name", "document.activeElement.name === 'name'")
	p.keys(t, administrator)
	p.keys(t, kb.Tab)
	p.keys(t, "wrong")
	p.keys(t, kb.Enter)
	p.await(t, "a wrong password is refused", "document.querySelector('[role=alert]')")
	p.refused(t, 1)
	p.await(t, "after a wrong password the focus is at the password", "document.activeElement.name === 'password'")
	p.keys(t, password)
	p.keys(t, kb.Tab)
	p.await(t, "after the password comes the button", "document.activeElement.tagName === 'BUTTON'")
	p.keys(t, kb.Enter)
	p.awaitPath(t, "/messages")
	p.keys(t, kb.Tab)
	p.await(t, "the first stop is the link to the content", "document.activeElement.getAttribute('href') === '#main'")
	p.keys(t, kb.Enter)
	p.await(t, "the focus is at the content", "document.activeElement.id === 'main' || location.hash === '#main'")
	p.open(t, "/messages")
	p.keys(t, "/")
	p.await(t, "a slash leads to the search box", "document.activeElement.type === 'search'")
}

// watches has the list open while a message comes, and lets it go.
func (o *office) watches(t *testing.T, p *tab) {
	p.open(t, "/messages")
	p.await(t, "the list is live", "document.querySelector('.live.on')")
	id := o.send(t, post{from: "bob", to: []string{"carol@corp.example"}, subject: "Seen while it comes", text: "Hello."})
	p.awaitText(t, "Seen while it comes")
	p.press(t, fmt.Sprintf("a[href='/messages/%s']", id))
	p.awaitPath(t, "/messages/"+id)
	p.awaitText(t, "Held")
	p.await(t, "the message is live", "document.querySelector('.live.on')")
	p.press(t, fmt.Sprintf("form[action='/messages/%s/release'] button", id))
	p.await(t, "it is said", "document.querySelector('.flash.good')")
	o.awaitState(t, id, "delivered_mailbox")
	p.await(t, "it is in the mailbox", "document.querySelector('.mail-state .tag.mailbox')")
}

// searches finds one message with the words of the API, and with a filter.
func (o *office) searches(t *testing.T, p *tab) {
	rows := "[...document.querySelectorAll('#messages-list tbody tr')].map(r => r.innerText).join()"
	p.open(t, "/messages")
	p.fill(t, "#messages-q", "from:bob@corp.example subject:offer")
	p.keys(t, kb.Enter)
	p.await(t, "one message is found", fmt.Sprintf("document.querySelectorAll('#messages-list tbody tr').length === 1 && %s.includes('Offer 2026-114')", rows))
	p.open(t, "/messages?q=state%3Abounced")
	p.await(t, "the returned message is found", rows+".includes('Request for information')")
	p.open(t, "/messages?q=state%3Anonsense")
	p.await(t, "a wrong word is explained", "document.querySelector('.flash.bad')")
}

// takesBack looks first, takes back then, and reads the report.
func (o *office) takesBack(t *testing.T, p *tab, id string) (recall string) {
	p.open(t, "/recalls/new?message="+id)
	p.fill(t, "[name=reason]", "wrong attachment "+payloads[0])
	p.press(t, "form[action='/recalls/new'] button.primary")
	p.await(t, "the dry run is there", "document.querySelector('.recall-verdict')")
	p.awaitText(t, "li.lei@corp.example")
	o.inspect(t, p, "recall-plan")
	if state := o.message(t, id).State; state != "delivered_mailbox" {
		t.Errorf("after a dry run the message is %s", state)
	}
	p.press(t, ".recall-verdict form[action='/recalls'] button.primary")
	p.await(t, "the report is there", "/^\\/recalls\\/[0-9A-Z]{26}$/.test(location.pathname)")
	recall = strings.TrimPrefix(eval[string](t, p, "location.pathname"), "/recalls/")
	a := o.awaitRecall(t, recall)
	if a.Success != 2 {
		t.Errorf("%d of 2 were taken back: %+v", a.Success, a)
	}
	p.await(t, "the report is green", "document.querySelectorAll('.recall-lines .tag.good, .recall-lines .tag.recalled').length >= 2")
	p.awaitText(t, "wrong attachment")
	return recall
}

// userTakesBack signs in with the password of the mailbox and takes back own mail.
func (o *office) userTakesBack(t *testing.T, b *browser) {
	id := o.send(t, post{from: "wang.fang", to: []string{"bob@corp.example", "sales@customer.example"}, subject: "发错了附件", text: "附件有误。"})
	p := b.openTab(t, o.api)
	p.choose(t, "zh-CN", "light")
	p.open(t, "/")
	p.fill(t, "[name=name]", "wang.fang@corp.example")
	p.fill(t, "[name=password]", demo.Password)
	p.press(t, "form[action='/sign-in'] button.primary")
	p.awaitPath(t, "/mine")
	p.awaitText(t, "发错了附件")
	p.press(t, fmt.Sprintf("a[href='/recalls/new?message=%s']", id))
	p.awaitPath(t, "/recalls/new")
	p.fill(t, "[name=reason]", "附件有误")
	p.press(t, "form[action='/recalls/new'] button.primary")
	p.await(t, "the dry run is there", "document.querySelector('.recall-verdict')")
	p.press(t, ".recall-verdict form[action='/recalls'] button.primary")
	p.await(t, "the report is there", "/^\\/recalls\\/[0-9A-Z]{26}$/.test(location.pathname)")
	if a := o.awaitRecall(t, strings.TrimPrefix(eval[string](t, p, "location.pathname"), "/recalls/")); a.Success != 2 {
		t.Errorf("%d of 2 were taken back: %+v", a.Success, a)
	}
	p.open(t, "/overview") // what is not for users is refused, in words
	p.await(t, "the overview is refused", "!document.querySelector('[sse-connect=\"/overview/live\"]')")
	p.refused(t, 1)
	o.userPages(t, p, id)
}

// unsuspends lets a sender write again.
func (o *office) unsuspends(t *testing.T, p *tab) {
	o.call(t, "POST", "/senders/bob/suspend", map[string]any{"reason": "looks hijacked " + payloads[1]}, &struct{}{})
	p.open(t, "/senders")
	p.awaitText(t, "looks hijacked")
	p.press(t, "a[href='/senders/bob']")
	p.awaitPath(t, "/senders/bob")
	p.await(t, "the suspension is shown", "document.querySelector('.panel.alarm')")
	p.fill(t, "form[action='/senders/bob/unsuspend'] [name=reason]", "asked him by phone")
	p.press(t, "form[action='/senders/bob/unsuspend'] button.primary")
	p.await(t, "the suspension is over", "document.querySelector('.flash.good') && !document.querySelector('.panel.alarm')")
}

// switches changes language and theme by the buttons.
func (o *office) switches(t *testing.T, p *tab) {
	p.open(t, "/overview")
	p.press(t, "form[action='/language'] button")
	p.await(t, "the page is Chinese", "document.documentElement.lang === 'zh-CN' && document.body.innerText.includes('撤回')")
	p.press(t, "form[action='/theme'] button")
	p.await(t, "the page is dark", "document.documentElement.dataset.theme === 'dark'")
	p.press(t, "form[action='/language'] button")
	p.await(t, "the page is English", "document.documentElement.lang === 'en'")
	p.width(t, 390)
	p.await(t, "on a phone the places are folded away", "!document.querySelector('.nav').checkVisibility()")
	p.press(t, ".menu")
	p.await(t, "the menu shows them", "document.querySelector('.nav').checkVisibility() && document.querySelector('.menu').ariaExpanded === 'true'")
	p.press(t, ".nav a[href='/alerts']")
	p.awaitPath(t, "/alerts")
	p.width(t, 1280)
}
