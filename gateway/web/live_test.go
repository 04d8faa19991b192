package web

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
)

// A liveView is an open stream of server-sent events, as somebody sees it.
type liveView struct {
	t     *testing.T
	lines chan string // closed when the stream has ended
	seen  strings.Builder
}

// watch opens a stream over a real connection until the test ends.
func (c *crew) watch(ts *httptest.Server, kind byte, path string) *liveView {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.URL+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.AddCookie(c.cookies[kind])
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != eventStream {
		c.t.Fatalf("%s by %c: %s", path, kind, res.Status)
	}
	v := &liveView{t: c.t, lines: make(chan string)}
	done := make(chan struct{})
	go func() {
		defer close(v.lines)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			select {
			case v.lines <- s.Text():
			case <-done:
				return
			}
		}
	}()
	c.t.Cleanup(func() { close(done); cancel(); res.Body.Close() })
	return v
}

// until reads on until a text comes.
func (v *liveView) until(text string) {
	v.t.Helper()
	for line := range v.lines {
		v.seen.WriteString(line + "\n")
		if strings.Contains(line, text) {
			return
		}
	}
	v.t.Fatalf("no %q in\n%s", text, v.seen.String())
}

// ends reads what is left, and gives all.
func (v *liveView) ends() string {
	for line := range v.lines {
		v.seen.WriteString(line + "\n")
	}
	return v.seen.String()
}

// liveOf is the path of one connection for several pages.
func liveOf(paths ...string) string { return "/live?" + url.Values{"of": paths}.Encode() }

func (c *crew) live() *httptest.Server {
	ts := httptest.NewServer(c.server.Handler())
	c.t.Cleanup(func() { ts.CloseClientConnections(); ts.Close() })
	return ts
}

func TestOneConnectionForManyPages(t *testing.T) {
	c := newCrew(t)
	ts := c.live()
	v := c.watch(ts, 'A', liveOf("/messages/live?q=subject%3Amine", "/overview", "/settings/about", "https://evil.example/overview/live", "//evil.example/live",
		liveOf("/overview/live"), "/live", "/nowhere/live", "overview/live", "/overview/live"))
	v.until("event: part")
	v.until("data: ")
	v.until("data: 9 overview_parts")
	seen := v.seen.String()
	for _, number := range "12345678" {
		if strings.Contains(seen, "data: "+string(number)+" ") {
			t.Errorf("something of page %c\n%s", number, seen)
		}
	}
	if !strings.Contains(seen, "data: 0 messages_rows\n") && !strings.Contains(seen, "data: 9 overview_now\n") {
		t.Errorf("parts are missing\n%s", seen)
	}
	if err := c.rig.desk.Revoke(c.people['A'].session.ID); err != nil {
		t.Fatal(err)
	}
	if seen = v.ends(); !strings.Contains(seen, "data: 0 messages_rows\n") || strings.Contains(seen, "Theirs") || !strings.Contains(seen, "Mine") {
		t.Errorf("the query is that of its page\n%s", seen)
	}
	r := httptest.NewRequest(http.MethodGet, liveOf("/overview/live"), nil)
	r.AddCookie(c.cookies['A'])
	w := httptest.NewRecorder()
	c.server.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusNoContent {
		t.Errorf("whose session has ended: %d", w.Code)
	}
}

func TestOneConnectionHasAnEnd(t *testing.T) {
	c := newCrew(t)
	paths := make([]string, maxLive+1)
	for i := range paths {
		paths[i] = "/nowhere"
	}
	paths[maxLive] = "/messages/live"
	if seen := c.watch(c.live(), 'A', liveOf(paths...)).ends(); strings.Contains(seen, "messages_rows") {
		t.Errorf("more than %d pages on one connection\n%s", maxLive, seen)
	}
}

// TestLiveStreamsStayWithinReach is about what comes while one looks: of two messages that change, one is foreign.
func TestLiveStreamsStayWithinReach(t *testing.T) {
	c := newCrew(t)
	ts, page := c.live(), c.accept("alice@corp.example", "Mine, and looked at", "bob@example.net")
	for outcome, one := range map[string]struct {
		kind byte
		path string
	}{
		"the API, of a domain": {'D', "/api/v1/events"}, "the API, of an auditor of a domain": {'d', "/api/v1/events"},
		"the list, of a domain": {'D', "/messages/live"}, "the list among others, of a domain": {'d', liveOf("/overview/live", "/messages/live")},
		"own mail": {'U', "/mine/live"}, "own mail among others": {'U', liveOf("/mine/live", "/messages/live?q=subject%3ATheirs")},
		"an own message": {'U', "/messages/" + page + "/live"},
	} {
		t.Run(outcome, func(t *testing.T) {
			v := c.watch(ts, one.kind, one.path)
			v.t = t
			switch {
			case strings.HasPrefix(one.path, "/api/"):
				v.until("retry:")
			case strings.Contains(one.path, page):
				v.until("event: message_acts")
			default:
				v.until("Mine")
			}
			reason := "says " + strings.ReplaceAll(outcome, " ", "-")
			for _, id := range []string{c.foreign, c.own} {
				c.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Evidence: reason, Reply: "250 " + reason})
			}
			fresh := map[string]string{"foreign": c.accept("bob@other.example", "Theirs too", "eve@example.net"), "own": c.accept("alice@corp.example", "Mine too", "bob@example.net")}
			if strings.Contains(one.path, page) {
				c.observe(page, policy.Event{Kind: policy.DeliveredMailbox, Evidence: reason})
				v.until("Delivered to mailbox")
			} else {
				v.until(fresh["own"])
			}
			if seen := v.seen.String(); c.isForeign(seen) || strings.Contains(seen, fresh["foreign"]) || strings.Contains(seen, "Theirs") {
				t.Errorf("something foreign\n%s", seen)
			}
		})
	}
}

// What is out of reach has a stream that never says a word about it.
func TestAForeignPageIsNotLive(t *testing.T) {
	c := newCrew(t)
	ts := c.live()
	for kind, paths := range map[byte][]string{
		'U': {"/messages/" + c.foreign + "/live", "/overview/live", "/senders/alice%40corp.example/live", "/alerts/live"},
		'D': {"/messages/" + c.foreign + "/live", "/senders/bob%40other.example/live"},
	} {
		v := c.watch(ts, kind, liveOf(append(paths, map[byte]string{'U': "/mine/live", 'D': "/messages/live"}[kind])...))
		v.until("Mine")
		for range 2 * len(paths) { // each looks again, and says that there is nothing
			v.until(": not now")
		}
		if seen := v.seen.String(); c.isForeign(seen) || strings.Contains(seen, "data: 0 ") || strings.Contains(seen, "data: 1 ") {
			t.Errorf("%c: %s", kind, seen)
		}
	}
}

// Whoever may see less by now is told nothing more, over the API as on a page; what is told to others goes on.
func TestAStreamEndsWithItsEntitlement(t *testing.T) {
	role, domains := "auditor", []string{"other.example"}
	for outcome, one := range map[string]struct {
		kind byte
		path string
		act  func(*crew) error
	}{
		"the session is ended": {'O', "/api/v1/events", func(c *crew) error { return c.rig.desk.Revoke(c.people['O'].session.ID) }},
		"another role":         {'O', "/api/v1/events?q=Fresh", func(c *crew) error { return c.rig.desk.ChangeUser("olga", signin.Change{Role: &role}) }},
		"other domains":        {'D', "/api/v1/events", func(c *crew) error { return c.rig.desk.ChangeUser("dora", signin.Change{Domains: &domains}) }},
		"the user is removed":  {'L', "/api/v1/events", func(c *crew) error { return c.rig.desk.RemoveUser("lars") }},
		"single pages, too":    {'O', "/messages/live", func(c *crew) error { return c.rig.desk.ChangeUser("olga", signin.Change{Role: &role}) }},
		"pages on one connection": {'D', liveOf("/messages/live", "/overview/live"), func(c *crew) error {
			return c.rig.desk.ChangeUser("dora", signin.Change{Domains: &domains})
		}},
	} {
		t.Run(outcome, func(t *testing.T) {
			c := newCrew(t)
			ts := c.live()
			v, other := c.watch(ts, one.kind, one.path), c.watch(ts, 'A', "/api/v1/events")
			start := "Mine"
			if strings.HasPrefix(one.path, "/api/") {
				c.accept("alice@corp.example", "Fresh", "bob@example.net")
				start = "Fresh"
			}
			v.until(start)
			if err := one.act(c); err != nil {
				t.Fatal(err)
			}
			late := c.accept("alice@corp.example", "Fresh but late", "bob@example.net")
			other.until(late)
			if seen := v.ends(); strings.Contains(seen, late) || strings.Contains(seen, "late") {
				t.Errorf("told after it: %s", seen)
			}
		})
	}
}

// A token that a reload takes away, or gives another role, is asked for again at each record.
func TestAStreamEndsWithItsToken(t *testing.T) {
	r := newRig(t)
	request := httptest.NewRequest(http.MethodGet, "/api/v1/events", nil)
	request.Header.Set("Authorization", "Bearer secret-auditor")
	who, refused := r.server.identify(request)
	if refused != nil {
		t.Fatal(refused)
	}
	request = request.WithContext(context.WithValue(request.Context(), principalKey, who))
	w := patientRecorder{httptest.NewRecorder()}
	out := &eventWriter{w: w, control: http.NewResponseController(w), entitled: func() bool { return r.server.stillIs(request) }}
	if err := out.write([]byte("one\n")); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	sum := sha256.Sum256([]byte("secret-auditor"))
	c.Tokens = []Token{{Name: "auditor", Role: "operator", SHA256: hex.EncodeToString(sum[:])}}
	for outcome, tokens := range map[string][]Token{"another role": c.Tokens, "withdrawn": nil} {
		c.Tokens = tokens
		r.server.Reload(c)
		if err := out.write([]byte(outcome)); !errors.Is(err, errEntitled) || err.Error() != "who asked for it may see it no more" {
			t.Errorf("%s: %v", outcome, err)
		}
	}
	if got := w.Body.String(); got != "one\n" {
		t.Errorf("written: %q", got)
	}
}
