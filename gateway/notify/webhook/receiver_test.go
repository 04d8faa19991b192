package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sendgate/sendgate/policy"
)

// A posted request, as a service received it.
type posted struct {
	at     time.Time
	url    string
	header http.Header
	body   []byte
}

// object reads the body.
func (p posted) object(t *testing.T) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(p.body, &o); err != nil {
		t.Fatalf("%v in %s", err, p.body)
	}
	return o
}

// at follows keys and indexes into JSON.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, step := range path {
		ok := false
		switch step := step.(type) {
		case string:
			var o map[string]any
			if m, is := v.(object); is {
				o, ok = m, true
			} else {
				o, ok = v.(map[string]any)
			}
			v = o[step]
		case int:
			var list []any
			if list, ok = v.([]any); ok {
				if ok = step < len(list); ok {
					v = list[step]
				}
			}
		}
		if !ok {
			t.Fatalf("nothing at %v", path[:i+1])
		}
	}
	return v
}

// expect compares what is in a body.
func expect(t *testing.T, o object, want any, path ...any) {
	t.Helper()
	if got := at(t, o, path...); got != want {
		t.Errorf("%v is %q, want %q", path, got, want)
	}
}

// A receiver stands for a service. It answers what reply says for the nth request.
type receiver struct {
	reply func(n int) (status int, header http.Header, body string)

	mu  sync.Mutex
	got []posted
}

func always(status int, body string) *receiver {
	return &receiver{reply: func(int) (int, http.Header, string) { return status, nil, body }}
}

// RoundTrip answers without a network, for tests in which time is not real.
func (r *receiver) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	n := len(r.got)
	r.got = append(r.got, posted{time.Now(), q.URL.String(), q.Header, body})
	r.mu.Unlock()
	status, header, text := r.reply(n)
	if status == 0 {
		<-q.Context().Done()
		return nil, q.Context().Err()
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: q,
	}, nil
}

// ServeHTTP answers over the network.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	n := len(r.got)
	r.got = append(r.got, posted{time.Now(), q.URL.String(), q.Header, body})
	r.mu.Unlock()
	status, header, text := r.reply(n)
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = io.Copy(w, bytes.NewBufferString(text))
}

func (r *receiver) posts() []posted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]posted(nil), r.got...)
}

const secret = "SEC0123456789abcdef"

// hookFor is a hook with a secret in a file where the kind has one.
func hookFor(t *testing.T, kind, url string) Config {
	t.Helper()
	c := DefaultConfig()
	c.Name, c.Kind, c.URL, c.Private = "ops", kind, Secret(url), true
	if kind == JSON || kind == DingTalk || kind == Feishu {
		c.SecretFile = filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(c.SecretFile, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// deliver posts notices to a service over the network and gives what it received.
func deliver(t *testing.T, c Config, r *receiver, notices ...Notice) []posted {
	t.Helper()
	server := httptest.NewServer(r)
	defer server.Close()
	c.URL = Secret(strings.Replace(string(c.URL), "http://service", server.URL, 1))
	if err := Validate([]Config{c}); err != nil {
		t.Fatal(err)
	}
	s, err := New([]Config{c}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notices {
		s.Notify(n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ctx) // posts what is queued
	return r.posts()
}

// observed gives a logger and what it logged.
func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zap.DebugLevel)
	return zap.New(core), logs
}

func label(en, zh string) policy.Label { return policy.Label{EN: en, ZH: zh} }

// over is a notice with everything in it.
func over() Notice {
	return Notice{
		Kind: "limit", Severity: Warning, Title: label("Hourly limit reached", "达到每小时限额"),
		Lines: []policy.Label{label("12 messages are held.", "12 封邮件已暂缓。")},
		Facts: []Fact{
			{Name: label("Sender", "发件人"), Value: "zhang.san@corp.example"},
			{Name: label("Used", "已用"), Value: "300 / 300"},
		},
		Link: "https://gate.corp.example/limits?id=7", IncidentID: "inc-7", Time: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
	}
}
