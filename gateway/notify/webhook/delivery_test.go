package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sendgate/sendgate/policy"
)

// A run is a sender that runs in a bubble of synctest.
type run struct {
	*Sender
	stop func()
}

// start runs a sender for one hook, with notices that wait from the start.
func start(t *testing.T, c Config, r http.RoundTripper, log *zap.Logger, queued ...Notice) run {
	t.Helper()
	s, err := newSender([]Config{c}, r, log)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range queued {
		s.Notify(n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(done)
	}()
	return run{s, func() { cancel(); <-done }}
}

func (r run) counts(t *testing.T) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); n > 0 {
				all = append(all, fmt.Sprintf("%s %v", m.GetLabel()[1].GetValue(), n))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func numbered(i int, s Severity) Notice {
	return Notice{Kind: "n", Severity: s, Title: label(fmt.Sprintf("no. %d", i), fmt.Sprintf("第 %d", i))}
}

const chat = "https://chat.example/send?key=0123456789abcdef"

// Results that come with status 200 or without, and what follows.
func TestResults(t *testing.T) {
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	for _, c := range []struct {
		outcome, kind string
		status        int
		header        http.Header
		body          string
		again         time.Duration // after which it is tried again; 0 is never
		text          string        // in the log
	}{
		{"any success", JSON, 202, nil, "", 0, ""},
		{"WeCom takes it", WeCom, 200, nil, ok, 0, ""},
		{"WeCom does not know the key", WeCom, 200, nil, `{"errcode":93000,"errmsg":"invalid webhook url"}`, 0, `errcode 93000: "invalid webhook url"`},
		{"WeCom has had too much", WeCom, 200, nil, `{"errcode":45009,"errmsg":"api freq out of limit"}`, time.Minute, "errcode 45009"},
		{"WeCom is busy", WeCom, 200, nil, `{"errcode":-1,"errmsg":"system busy"}`, firstWait, "errcode -1"},
		{"not WeCom at all", WeCom, 200, nil, "<html>", firstWait, "no errcode"},
		{"DingTalk does not accept the signature", DingTalk, 200, nil, `{"errcode":310000,"errmsg":"sign not match"}`, 0, "errcode 310000"},
		{"DingTalk has had too much", DingTalk, 200, nil, `{"status":1111,"wait":5,"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`, time.Minute, "errcode 130101"},
		{"Feishu takes it", Feishu, 200, nil, `{"code":0,"msg":"success","StatusCode":0}`, 0, ""},
		{"Feishu takes it, in the old form", Feishu, 200, nil, `{"StatusCode":0,"StatusMessage":"success"}`, 0, ""},
		{"Feishu does not accept the signature", Feishu, 200, nil, `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`, 0, "code 19021"},
		{"Feishu has had too much", Feishu, 200, nil, `{"code":11232,"msg":"frequency limited"}`, firstWait, "code 11232"},
		{"Feishu says how long", Feishu, 429, header("X-Ogw-Ratelimit-Reset", "52"), `{"code":99991400}`, 52 * time.Second, "HTTP status 429"},
		{"not Feishu at all", Feishu, 200, nil, "{}", firstWait, "no code"},
		{"Slack says how long", Slack, 429, header("Retry-After", "30"), "rate_limited", 30 * time.Second, "HTTP status 429"},
		{"a date to wait for", Slack, 503, header("Retry-After", "Sat, 01 Jan 2000 00:01:40 GMT"), "", 100 * time.Second, "HTTP status 503"},
		{"longer than we wait", Slack, 429, header("Retry-After", "86400"), "", maxAsked, "HTTP status 429"},
		{"a date that has passed", Slack, 503, header("Retry-After", "Fri, 01 Jan 1999 00:00:00 GMT"), "", firstWait, "HTTP status 503"},
		{"Slack knows no such room", Slack, 404, nil, "no_service", 0, "HTTP status 404"},
		{"Slack does not understand", Slack, 400, nil, "invalid_payload", 0, "HTTP status 400"},
		{"Teams is overrun", Teams, 429, nil, "", firstWait, "HTTP status 429"},
		{"a broken server", JSON, 502, nil, "", firstWait, "HTTP status 502"},
		{"a redirect", JSON, 307, header("Location", "https://elsewhere.example/"), "", 0, "HTTP status 307"},
		{"no answer", JSON, 0, nil, "", 10*time.Second + firstWait, "context deadline exceeded"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, logs := observed()
				r := &receiver{reply: func(n int) (int, http.Header, string) {
					if n > 0 {
						return 200, nil, `{"errcode":0,"code":0}`
					}
					return c.status, c.header, c.body
				}}
				s := start(t, hookFor(t, c.kind, chat), r, log)
				begun := time.Now()
				s.Notify(over())
				time.Sleep(20 * time.Minute)
				s.stop()
				got := r.posts()
				if c.again == 0 && len(got) != 1 || c.again > 0 && (len(got) != 2 || got[1].at.Sub(begun) != c.again) {
					t.Errorf("%d requests, the last after %v", len(got), got[len(got)-1].at.Sub(begun))
				}
				if len(got) == 2 && got[0].header.Get("X-Sendgate-Delivery") != got[1].header.Get("X-Sendgate-Delivery") {
					t.Error("the delivery has another id the second time")
				}
				want := "sent 1"
				if c.text != "" && c.again == 0 {
					want = "failed 1"
				}
				if s.counts(t) != want {
					t.Errorf("counted %s, want %s", s.counts(t), want)
				}
				checkLog(t, fmt.Sprint(logs.All()), c.text)
				for _, e := range logs.All() {
					if e.ContextMap()["host"] != "chat.example" {
						t.Errorf("the log names no host: %v", e)
					}
				}
			})
		})
	}
}

// checkLog looks for a text, and for what must not be there.
func checkLog(t *testing.T, log, text string) {
	t.Helper()
	if text == "" && strings.Contains(log, "webhook failed") || !strings.Contains(log, text) {
		t.Errorf("logged %s, want %q", log, text)
	}
	for _, hidden := range []string{"0123456789abcdef", "key=", secret, "/send"} {
		if strings.Contains(log, hidden) {
			t.Errorf("%q is in the log: %s", hidden, log)
		}
	}
}

func TestServersDoNotGetURLsIntoTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		s := start(t, hookFor(t, WeCom, chat), always(200, `{"errcode":93000,"errmsg":"no key 0123456789abcdef, from /send"}`), log)
		s.Notify(over())
		synctest.Wait()
		s.stop()
		text := fmt.Sprint(logs.All()[0].ContextMap()["error"])
		if text != `errcode 93000: "no key <secret>, from /send"` {
			t.Errorf("%s", text)
		}
	})
}

// broken fails as net/http does, with the URL in the error.
type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		r := always(500, "")
		s := start(t, hookFor(t, JSON, chat), r, log)
		begun := time.Now()
		s.Notify(over())
		time.Sleep(2 * time.Hour)
		s.stop()
		var waits []string
		for i, p := range r.posts() {
			if i > 0 && i < 11 {
				waits = append(waits, p.at.Sub(r.posts()[i-1].at).String())
			}
			if p.at.Sub(begun) > giveUp {
				t.Errorf("tried after %v", p.at.Sub(begun))
			}
		}
		if got := strings.Join(waits, " "); got != "2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s" {
			t.Errorf("waited %s", got)
		}
		if s.counts(t) != "failed 1" || logs.FilterMessage("webhook failed, given up").Len() != 1 {
			t.Errorf("%s: %v", s.counts(t), logs.All())
		}
	})
}

func TestErrorsOfTheNetworkHideTheURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		s := start(t, hookFor(t, WeCom, chat), broken{}, log)
		s.Notify(over())
		synctest.Wait()
		s.stop()
		checkLog(t, fmt.Sprint(logs.All()), "connection refused")
		if n := logs.FilterMessage("webhook failed at the end, given up").Len(); n != 1 {
			t.Errorf("logged %d times at the end: %v", n, logs.All())
		}
	})
}

// The limit of a chat room is kept, and what does not fit comes as one message.
func TestChatRoomGetsADigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := observed()
		r := always(200, ok)
		c := hookFor(t, WeCom, chat)
		c.Language = English
		var queued []Notice
		for i := range 19 { // one more than there is room for
			queued = append(queued, numbered(i, Warning))
		}
		s := start(t, c, r, log, queued...)
		synctest.Wait()
		got := r.posts()
		if len(got) != 1 {
			t.Fatalf("%d messages", len(got))
		}
		text := at(t, got[0].object(t), "markdown", "content").(string)
		if !strings.Contains(text, "［Warning］ 19 notices") || !strings.Contains(text, "［Warning］ no. 0\n") || !strings.Contains(text, "［Warning］ no. 18") {
			t.Errorf("%s", text)
		}
		// With room for all each has its own.
		for i := range 3 {
			s.Notify(numbered(i, Info))
		}
		time.Sleep(10 * time.Second)
		if n := len(r.posts()); n != 4 {
			t.Errorf("%d messages", n)
		}
		s.stop()
		if s.counts(t) != "sent 22" {
			t.Errorf("%s", s.counts(t))
		}
	})
}

func TestLimitOfAChatRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := observed()
		r := always(200, ok)
		s := start(t, hookFor(t, DingTalk, chat), r, log)
		for i := range 600 { // for five minutes
			s.Notify(numbered(i, Warning))
			time.Sleep(500 * time.Millisecond)
		}
		s.stop()
		got := r.posts()
		for i := range got {
			in := 0
			for _, p := range got[i:] {
				if p.at.Sub(got[i].at) < time.Minute {
					in++
				}
			}
			if in > 20 {
				t.Fatalf("%d messages in a minute", in)
			}
		}
		if len(got) < 30 || s.counts(t) != "sent 600" {
			t.Errorf("%d messages, %s", len(got), s.counts(t))
		}
	})
}

// Programs get each notice by itself.
func TestProgramsGetEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := observed()
		r := always(200, "")
		s := start(t, hookFor(t, JSON, chat), r, log)
		for i := range 60 {
			s.Notify(numbered(i, Info))
		}
		synctest.Wait()
		s.stop()
		if n := len(r.posts()); n != 60 {
			t.Errorf("%d posts", n)
		}
	})
}

// Notices of one incident that wait are one.
func TestIncidentsAreUpdatedInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := observed()
		s, err := newSender([]Config{hookFor(t, JSON, chat)}, always(200, ""), log)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			n := over()
			n.Update, n.Lines = i > 0, []policy.Label{label(fmt.Sprint(i), "")}
			s.Notify(n)
			s.Notify(numbered(i, Info))
		}
		q := s.hooks[0].queue
		if len(q) != 4 || q[0].Lines[0].EN != "2" || q[0].Update {
			t.Errorf("%+v", q)
		}
		later := over()
		later.IncidentID, later.Update = "inc-8", true
		s.Notify(later)
		s.Notify(later)
		if q = s.hooks[0].queue; len(q) != 5 || !q[4].Update {
			t.Errorf("%+v", q)
		}
	})
}

// Notify never waits, whatever the server does.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, logs := observed()
		s, err := newSender([]Config{hookFor(t, JSON, chat)}, always(0, ""), log)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 150 {
			severity := Info
			if i%2 == 0 {
				severity = Critical
			}
			s.Notify(numbered(i, severity))
		}
		q := s.hooks[0].queue
		critical := 0
		for _, n := range q {
			if n.Severity == Critical {
				critical++
			}
		}
		if len(q) != maxQueued || critical != 75 || q[len(q)-1].Title.EN != "no. 149" {
			t.Errorf("%d waiting, %d critical, the last is %q", len(q), critical, q[len(q)-1].Title.EN)
		}
		if got := (run{s, nil}).counts(t); got != "dropped 50" || logs.FilterMessage("queue of webhook is full, notice dropped").Len() != 50 {
			t.Errorf("counted %s", got)
		}
	})
}

// At the end there is one try, which takes no longer than five seconds.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _ := observed()
		r := &receiver{reply: func(n int) (int, http.Header, string) {
			if n == 0 {
				return 503, http.Header{"Retry-After": {"600"}}, ""
			}
			return 200, nil, ok
		}}
		s := start(t, hookFor(t, WeCom, chat), r, log)
		s.Notify(numbered(1, Info))
		synctest.Wait()
		s.Notify(numbered(2, Info))
		s.stop()
		got := r.posts()
		if len(got) != 2 || !strings.Contains(string(got[1].body), "no. 1") || !strings.Contains(string(got[1].body), "no. 2") || s.counts(t) != "sent 2" {
			t.Errorf("%d posts, %s", len(got), s.counts(t))
		}

		s = start(t, hookFor(t, WeCom, chat), always(0, ""), log)
		s.Notify(numbered(1, Info))
		synctest.Wait()
		begun := time.Now()
		s.stop()
		if took := time.Since(begun); took > lastTry || s.counts(t) != "failed 1" {
			t.Errorf("ended after %v: %s", took, s.counts(t))
		}
	})
}

func TestFilters(t *testing.T) {
	log, _ := observed()
	c := hookFor(t, JSON, chat)
	c.MinSeverity, c.Kinds = Warning, []string{"limit", "suspended"}
	s, err := newSender([]Config{c}, always(200, ""), log)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []Notice{
		{Kind: "limit", Severity: Info}, {Kind: "limit", Severity: Warning}, {Kind: "other", Severity: Critical},
		{Kind: "suspended", Severity: Critical}, {Kind: "suspended", Severity: "unheard of"},
	} {
		s.Notify(n)
	}
	if q := s.hooks[0].queue; len(q) != 2 || q[0].Kind != "limit" || q[1].Kind != "suspended" {
		t.Errorf("%+v", q)
	}
}

// A redirect is not followed, not even on the same host: what is posted stays with whom it is meant for.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := always(200, "")
	other := httptest.NewServer(elsewhere)
	defer other.Close()
	r := &receiver{reply: func(int) (int, http.Header, string) { return 308, http.Header{"Location": {other.URL}}, "" }}
	if got := deliver(t, hookFor(t, JSON, "http://service/"), r, over()); len(got) != 1 || len(elsewhere.posts()) != 0 {
		t.Errorf("%d posts here, %d there", len(got), len(elsewhere.posts()))
	}
}

// A certificate that nobody vouches for is refused.
func TestCertificateIsChecked(t *testing.T) {
	r := always(200, "")
	server := httptest.NewTLSServer(r)
	defer server.Close()
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	log, logs := observed()
	s, err := New([]Config{hookFor(t, JSON, server.URL+"/0123456789abcdef")}, log)
	if err != nil {
		t.Fatal(err)
	}
	s.Notify(over())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ctx)
	checkLog(t, fmt.Sprint(logs.All()), "certificate")
	if len(r.posts()) != 0 {
		t.Error("posted")
	}
}
