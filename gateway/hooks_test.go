package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// A program is a receiver of events.
type program struct {
	url    string
	mu     sync.Mutex
	status int
	asked  int
	taken  []string // kind and message, of what was answered 2xx
}

// startProgram serves until the test ends; everything is answered with the status.
func startProgram(t *testing.T, status int) *program {
	t.Helper()
	p := &program{status: status}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e webhook.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked++
		if w.WriteHeader(p.status); p.status < 300 {
			p.taken = append(p.taken, strings.TrimSpace(string(e.Kind)+" "+e.Timeline))
		}
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *program) answer(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *program) tries() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *program) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.taken)
}

// takes waits for these events, and holds that there are no others.
func (p *program) takes(t *testing.T, want []string) {
	t.Helper()
	machinetest.Eventually(t, "the program has all events", func() bool { return len(p.got()) >= len(want) })
	if got := p.got(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A teller tells one program, "crm", of what a journal has.
type teller struct {
	scribe // of the journal, without a file
	hooksAPI
	end  func()
	mu   sync.Mutex
	told []alert.Occurrence
}

// tellerOf runs the webhooks of a journal until they are ended.
func tellerOf(t *testing.T, journal *store.Store, url string) *teller {
	t.Helper()
	core, own := observer.New(zapcore.DebugLevel)
	r := &teller{scribe: scribe{t: t, journal: journal, own: own}}
	cfg := DefaultConfig()
	cfg.Hostname = "gw.test"
	cfg.Webhooks = []webhook.SubscriberConfig{{Name: "crm", URL: webhook.Secret(url), Private: true, Timeout: time.Minute}}
	h, err := openHooks(&cfg, journal, newFacts(journal), func(o alert.Occurrence) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, o)
	}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	r.hooksAPI = hooksAPI{h}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.run(ctx) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("webhooks have ended the gateway: %v", err)
		}
	})
	t.Cleanup(r.end)
	return r
}

// only is the one webhook there is.
func (r *teller) only() web.Webhook {
	r.t.Helper()
	all := r.List()
	if len(all) != 1 || all[0].Name != "crm" || all[0].Signed || len(all[0].Events) != 0 || !strings.HasPrefix(all[0].Host, "127.0.0.1:") {
		r.t.Fatalf("%+v", all)
	}
	return all[0]
}

// is waits until the webhook is in a state.
func (r *teller) is(state string) web.Webhook {
	r.t.Helper()
	machinetest.Eventually(r.t, "the webhook is "+state, func() bool { return r.only().State == state })
	return r.only()
}

func (r *teller) occurrences() []alert.Occurrence {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

func TestAProgramIsToldOfEachEvent(t *testing.T) {
	p := startProgram(t, http.StatusOK)
	r := tellerOf(t, openStore(t), p.url)
	want := r.accepts(3)
	machinetest.Eventually(t, "the program has all events", func() bool { return len(p.got()) == len(want) })
	got := p.got()
	for i := 0; i < len(want); i += 2 { // of one message in their order; messages go beside each other
		if first, second := slices.Index(got, want[i]), slices.Index(got, want[i+1]); first < 0 || second < first {
			t.Errorf("%q, want %q", got, want)
		}
	}
	machinetest.Eventually(t, "it is known that nothing waits", func() bool { w := r.only(); return w.Behind == 0 && w.LagSeconds == 0 })
	if w := r.only(); w.State != webhook.Well || w.Delivered != 6 || w.LastDelivery.IsZero() || w.Error != "" || !w.NextTry.IsZero() {
		t.Errorf("%+v", w)
	}
}

// TestAProgramThatAnswers500AndThen200 gets what it did not take, and says meanwhile how it is.
func TestAProgramThatAnswers500AndThen200(t *testing.T) {
	p := startProgram(t, http.StatusInternalServerError)
	r := tellerOf(t, openStore(t), p.url)
	want := r.accepts(1)
	machinetest.Eventually(t, "it was tried again by itself", func() bool { return p.tries() >= 2 })
	w := r.is(webhook.Failing)
	if w.Error != "HTTP status 500" || w.ErrorAt.IsZero() || w.NextTry.IsZero() || w.Behind == 0 || w.Delivered != 0 {
		t.Errorf("%+v", w)
	}
	p.answer(http.StatusOK)
	if err := r.Resume("crm", false); err != nil { // it need not wait for its next try
		t.Error(err)
	}
	p.takes(t, want)
	r.is(webhook.Well)
	p.takes(t, append(want, r.accepts(1)...))
	if told := r.occurrences(); len(told) != 0 {
		t.Errorf("people were told of a moment: %+v", told)
	}
}

// TestAProgramThatIsGone is told nothing more until somebody resumes it, and people hear of both.
func TestAProgramThatIsGone(t *testing.T) {
	p := startProgram(t, http.StatusGone)
	journal := openStore(t)
	r := tellerOf(t, journal, p.url)
	want := r.accepts(2)
	if w := r.is(webhook.Disabled); w.Error != "HTTP status 410" {
		t.Errorf("%+v", w)
	}
	machinetest.Eventually(t, "people are told", func() bool { return len(r.occurrences()) == 1 })
	if o := r.occurrences()[0]; o.Kind != alert.WebhookFailing || o.Subject != "crm" || o.Ends || !strings.Contains(o.Text.EN, "gone for good (HTTP status 410)") {
		t.Errorf("%+v", o)
	}
	p.answer(http.StatusOK)
	r.end()
	r = tellerOf(t, journal, p.url) // a restart changes nothing
	want = append(want, r.accepts(1)...)
	if w := r.only(); w.State != webhook.Disabled || w.Behind == 0 || len(p.got()) != 0 {
		t.Errorf("after a restart: %+v, %q", w, p.got())
	}
	if err := r.Test(t.Context(), "crm"); err != nil || !slices.Equal(p.got(), []string{"test"}) {
		t.Errorf("a test of a disabled webhook: %v, %q", err, p.got())
	}
	if err := r.Resume("crm", false); err != nil {
		t.Error(err)
	}
	machinetest.Eventually(t, "it has all events", func() bool { return len(p.got()) == 1+len(want) })
	r.is(webhook.Well)
}

func TestWhatWaitsIsGivenUp(t *testing.T) {
	p := startProgram(t, http.StatusBadGateway)
	r := tellerOf(t, openStore(t), p.url)
	r.accepts(3)
	r.is(webhook.Failing)
	if err := r.Resume("crm", true); err != nil {
		t.Error(err)
	}
	machinetest.Eventually(t, "nothing waits", func() bool { w := r.only(); return w.Behind == 0 && w.State == webhook.Well })
	p.answer(http.StatusNoContent)
	p.takes(t, r.accepts(1))
}

// TestEventsOfARestart were committed while the program, and then sendgate, was away.
func TestEventsOfARestart(t *testing.T) {
	p, journal := startProgram(t, http.StatusServiceUnavailable), openStore(t)
	r := tellerOf(t, journal, p.url)
	want := r.accepts(1)
	r.is(webhook.Failing)
	r.end()
	want = append(want, r.accepts(1)...) // as the end of a shutdown may
	p.answer(http.StatusOK)
	tellerOf(t, journal, p.url)
	machinetest.Eventually(t, "it has all events", func() bool { return len(p.got()) == len(want) })
	got := p.got()
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestATestOfAWebhook(t *testing.T) {
	p := startProgram(t, http.StatusForbidden)
	r := tellerOf(t, openStore(t), p.url)
	if err := r.Test(t.Context(), "crm"); err == nil || err.Error() != "HTTP status 403" {
		t.Errorf("refused: %v", err)
	}
	p.answer(http.StatusAccepted)
	if err := r.Test(t.Context(), "crm"); err != nil || !slices.Equal(p.got(), []string{"test"}) {
		t.Errorf("taken: %v, %q", err, p.got())
	}
	if err := r.Test(t.Context(), "erp"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of another name: %v", err)
	}
	if err := r.Resume("erp", false); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of another name: %v", err)
	}
	if w := r.only(); w.Delivered != 0 || w.Behind != 0 {
		t.Errorf("a test is no event: %+v", w)
	}
	away := tellerOf(t, openStore(t), "http://127.0.0.1:1")
	if err := away.Test(t.Context(), "crm"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestWebhooksThatCannotBeTakenUp stop the start, and say which file.
func TestWebhooksThatCannotBeTakenUp(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing := filepath.Join(dir, "missing")
	for _, tt := range []struct {
		outcome string
		config  webhook.SubscriberConfig
		want    string
	}{
		{"no file of the URL", webhook.SubscriberConfig{URLFile: missing}, "webhook crm: read url_file: open " + missing},
		{"an empty one", webhook.SubscriberConfig{URLFile: file("empty", "\n")}, "webhook crm: read url_file: "},
		{"no URL in it", webhook.SubscriberConfig{URLFile: file("word", "crm.example\n")}, "is no URL: write https://host/path"},
		{"a URL without TLS", webhook.SubscriberConfig{URLFile: file("clear", "http://crm.example/x\n")}, "use https: "},
		{"one of this machine", webhook.SubscriberConfig{URLFile: file("own", "http://127.0.0.1:9/x\n")}, "set private: true if it is meant"},
		{"no file of the secret", webhook.SubscriberConfig{URL: "https://crm.example/", SecretFile: missing}, "webhook crm: read secret_file: open " + missing},
	} {
		cfg := DefaultConfig()
		tt.config.Name, tt.config.Timeout = "crm", time.Second
		cfg.Webhooks = []webhook.SubscriberConfig{tt.config}
		journal := openStore(t)
		_, err := openHooks(&cfg, journal, newFacts(journal), func(alert.Occurrence) {}, zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.outcome, err)
		}
	}
}

// TestWebhooksEndWithTheJournal is the order of a shutdown, and no trouble.
func TestWebhooksEndWithTheJournal(t *testing.T) {
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Node, cfg.Now, cfg.Log, cfg.MinFree = t.TempDir(), "test", time.Now, zap.NewNop(), 64
	journal, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, http.StatusOK)
	r := tellerOf(t, journal, p.url)
	p.takes(t, r.accepts(1))
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	r.end()
	if n := r.own.FilterLevelExact(zapcore.ErrorLevel).Len(); n != 0 {
		t.Errorf("%+v", r.own.All())
	}
	main := DefaultConfig()
	main.Webhooks = []webhook.SubscriberConfig{{Name: "crm", URL: "https://crm.example/", Timeout: time.Second}}
	_, err = openHooks(&main, journal, newFacts(journal), func(alert.Occurrence) {}, zap.NewNop())
	if !errors.Is(err, store.ErrClosed) || !strings.HasPrefix(err.Error(), "read how far webhook crm was told: ") {
		t.Errorf("of a journal that is closed: %v", err)
	}
}

// TestTheFeedOfAPlace begins with the batch of the place: who kept it may not have had all of that.
func TestTheFeedOfAPlace(t *testing.T) {
	journal := openStore(t)
	s := scribe{t: t, journal: journal}
	for range 3 {
		s.accepts(1)
	}
	for from, want := range map[uint64]uint64{0: 1, 1: 1, 2: 2, 3: 3} {
		feed, err := followed{journal}.Follow(from)
		if err != nil {
			t.Fatal(err)
		}
		r, ok, err := feed.NextUpTo(t.Context(), journal.LastBatch())
		if err != nil || !ok || r.Batch != want || r.Events[0].Kind != policy.Accepted {
			t.Errorf("from %d: batch %d, %v, %v", from, r.Batch, ok, err)
		}
	}
}
