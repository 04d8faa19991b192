package e2e

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const chromiumBin = "/usr/bin/chromium"

// browser is a headless Chromium that talks to nobody but the dashboard.
type browser struct{ ctx context.Context }

// startBrowser runs a browser until the test ends. Without the flags it asks its makers for news.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	need(t, chromiumBin)
	// The test's own context ends before its clean-up, and would take the browser from under it.
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromiumBin), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(directory(t)),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("lang", "en-US"), chromedp.WSURLReadTimeout(patience))...)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(func() { end(); stop() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &browser{ctx}
}

// tab is a tab with cookies of its own. It takes down everything that no page may do.
type tab struct {
	ctx    context.Context
	server string // host:port of the dashboard

	mu     sync.Mutex
	faults []string
}

// openTab opens a tab until the test ends, which fails for what happened in it.
func (b *browser) openTab(t *testing.T, server string) *tab {
	t.Helper()
	p := &tab{server: server}
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	p.ctx = ctx
	t.Cleanup(func() {
		for _, f := range p.took() {
			t.Error(f)
		}
		end()
	})
	err := chromedp.Do(ctx)
	if err == nil {
		_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	}
	if err == nil {
		_, err = chromedp.Call(ctx, cdplog.Enable, struct{}{})
	}
	if err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	p.width(t, 1280)
	return p
}

// listen is called for each event of the tab and must not wait.
func (p *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var words []string
			for _, a := range e.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			p.fault("the console says %s", strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		p.fault("exception: %s", e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded: // the violations of the content security policy, too
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			p.fault("the browser says %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		p.asks(e.Request.URL)
	case *page.EventJavascriptDialogOpening:
		if strings.Contains(e.Message, injected) {
			p.fault("foreign script ran on %s: %s", e.URL, e.Message)
		}
		go func() {
			_, _ = chromedp.Call(p.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}()
	}
}

// asks looks whether the page may make a request.
func (p *tab) asks(to string) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme == "data" || u.Scheme == "about" || u.Scheme == "blob" {
		return
	}
	if u.Host != p.server {
		p.fault("a request left for %s", to)
	}
	if strings.Contains(u.Path, injected) {
		p.fault("a message made the page ask for %s", to)
	}
}

func (p *tab) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := fmt.Sprintf(format, args...); !slices.Contains(p.faults, f) {
		p.faults = append(p.faults, f)
	}
}

// took gives what was taken down so far, and forgets it.
func (p *tab) took() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.faults
	p.faults = nil
	return list
}

// do runs steps, each of which has a time.
func (p *tab) do(t *testing.T, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%s: %v\n%s", what, err, p.text())
	}
}

// open goes to a path of the dashboard.
func (p *tab) open(t *testing.T, path string) {
	t.Helper()
	p.do(t, "open "+path, chromedp.Navigate("http://"+p.server+path))
}

// press clicks at the first element of a selector, as with a mouse. A live page may have put another element in its place
// after it was found: then nothing was clicked at, and it is looked for again.
func (p *tab) press(t *testing.T, selector string) {
	t.Helper()
	click := chromedp.Click(chromedp.CSS(selector))
	p.do(t, "press "+selector, chromedp.Action[chromedp.Void](func(ctx context.Context, page *chromedp.Target) (v chromedp.Void, err error) {
		for {
			if v, err = click(ctx, page); err == nil || !strings.Contains(err.Error(), "Could not find node") || ctx.Err() != nil {
				return v, err
			}
		}
	}))
}

// fill writes into a field, over what stands there.
func (p *tab) fill(t *testing.T, selector, text string) {
	t.Helper()
	p.do(t, "fill "+selector, chromedp.Focus(chromedp.CSS(selector)),
		chromedp.Evaluate[chromedp.Void]("document.activeElement.select()"), chromedp.KeyEvent(text))
}

// keys types keys at what has the focus.
func (p *tab) keys(t *testing.T, keys string) {
	t.Helper()
	p.do(t, "type", chromedp.KeyEvent(keys))
}

// eval gives the value of an expression.
func eval[T any](t *testing.T, p *tab, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%.200s: %v", expression, err)
	}
	return value
}

// await waits until an expression holds, whatever page that is on.
func (p *tab) await(t *testing.T, what, expression string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("the page is\n%s", p.text())
		}
	}()
	eventually(t, what, func() bool {
		ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
		defer cancel()
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && yes // between two pages there is nothing to ask
	})
}

// awaitPath waits until a page is there.
func (p *tab) awaitPath(t *testing.T, path string) {
	t.Helper()
	p.await(t, "the page is "+path, fmt.Sprintf("document.readyState === 'complete' && location.pathname === %q", path))
}

// awaitText waits until the page says something.
func (p *tab) awaitText(t *testing.T, text string) {
	t.Helper()
	p.await(t, "the page says "+text, fmt.Sprintf("document.body && document.body.innerText.includes(%q)", text))
}

// text is what the page says now, for logs.
func (p *tab) text() string {
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	return text
}

// width makes the window so wide.
func (p *tab) width(t *testing.T, pixels int64) {
	t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: pixels, Height: 900, DeviceScaleFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
}

// choose sets the language and the theme as the dashboard keeps them.
func (p *tab) choose(t *testing.T, language, theme string) {
	t.Helper()
	for name, value := range map[string]string{"sendgate_language": language, "sendgate_theme": theme} {
		if _, err := chromedp.Call(p.ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: "http://" + p.server + "/"}); err != nil {
			t.Fatal(err)
		}
	}
}
