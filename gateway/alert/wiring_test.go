package alert_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"go.uber.org/zap/zaptest"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A carrier is what the gateway makes of both parts.
type carrier struct {
	mailer *notify.Mailer
	hooks  *webhook.Sender
}

func (c carrier) Mail(ctx context.Context, id policy.ID, to []policy.Address, n alert.Notice) error {
	return c.mailer.Mail(ctx, id, to, forHooks(n))
}

func (c carrier) Hook(n alert.Notice) { c.hooks.Notify(forHooks(n)) }

func forHooks(n alert.Notice) webhook.Notice {
	w := webhook.Notice{
		Kind: string(n.Kind), Severity: webhook.Severity(n.Severity), Title: n.Title, Lines: n.Lines,
		IncidentID: n.Incident, Update: n.Update, Time: n.Time,
	}
	for _, f := range n.Facts {
		w.Facts = append(w.Facts, webhook.Fact(f))
	}
	return w
}

// A service takes what is posted.
type service struct {
	mu  sync.Mutex
	got map[string]webhook.Payload // by kind
	err error
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var p webhook.Payload
	err := json.NewDecoder(r.Body).Decode(&p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
	}
	s.got[p.Kind] = p
}

func (s *service) kinds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

var kinds = []alert.Kind{
	alert.LimitWarning, alert.LimitExceeded, alert.ApprovalWaiting, alert.ApprovalExpired, alert.Suspended, alert.Unsuspended, alert.BoostGiven,
	alert.DomainRefused, alert.UnknownRate, alert.TrackingGap, alert.DiskLow, alert.Campaign, alert.Hijack, alert.PulledBack, alert.MassRecall,
	alert.Restored, alert.StoreBounded,
	alert.Bypass, alert.BypassOver,
}

// Everything together: a message that a limit holds, and one of each kind, on a real store. A hook
// and the mail in the journal say the same.
func TestEachKindArrives(t *testing.T) {
	cfg := store.DefaultConfig()
	cfg.Dir = t.TempDir()
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	receiver := &service{got: map[string]webhook.Payload{}}
	server := httptest.NewServer(receiver)
	defer server.Close()
	config := notify.DefaultConfig()
	hook := webhook.DefaultConfig()
	hook.Name, hook.URL, hook.Private = "programs", webhook.Secret(server.URL), true
	config.Admins, config.Webhooks = []string{"ops@corp.example"}, []webhook.Config{hook}
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	log := zaptest.NewLogger(t)
	hooks, err := webhook.New(config.Webhooks, log)
	if err != nil {
		t.Fatal(err)
	}
	directory, err := policy.NewDirectory([]policy.Identity{{Login: "ann@corp.example"}})
	if err != nil {
		t.Fatal(err)
	}
	desk, err := alert.New(alert.Settings{
		Admins: config.Addresses(), Hooks: len(config.Webhooks) > 0, Senders: config.Senders,
		Quiet: config.Quiet, CloseAfter: config.CloseAfter, HourlyMax: 40,
	}, alert.People{Config: policy.DefaultConfig(), Directory: directory}, st,
		carrier{notify.NewMailer("gw.corp.example", config, st, time.Now), hooks}, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	desk.Begin(st.LastBatch(), st.LastBatch())
	feed := st.Subscribe(0)
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { hooks.Run(ctx) })
	parts.Go(func() {
		if err := desk.Run(ctx, feed); err != nil {
			t.Error(err)
		}
	})
	defer parts.Wait()
	defer cancel()

	id, now := st.NewID(), time.Now()
	finding := policy.Finding{
		Rule: "day", Kind: "limit", Unit: policy.Recipients, Key: "ann@corp.example", Window: 24 * time.Hour, Asked: 7, Used: 996, Limit: 1000,
		Exceeded: true, Decided: true, Action: policy.Hold, Next: now.Add(time.Hour),
	}
	_, err = st.Commit(t.Context(), store.Change{Message: id, Envelope: &policy.Envelope{
		Received: now, Front: policy.Milter, Direction: policy.Outbound, Identity: "ann@corp.example", Sender: "ann@corp.example", Subject: "报价",
		Recipients: []policy.Recipient{{Address: "bob@partner.example"}},
	}, Events: []policy.Event{
		{Kind: policy.Accepted, Time: now, Findings: []policy.Finding{finding}},
		{Kind: policy.Held, Time: now, Until: now.Add(time.Hour), Rule: "day", Findings: []policy.Finding{finding}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the held message", func() bool { return receiver.kinds() == 1 && len(mails(t, st, id)) == 2 })
	for to, text := range mails(t, st, id) {
		for _, want := range []string{finding.Text().EN, finding.Text().ZH, "报价", id.String()} {
			if !strings.Contains(text, want) {
				t.Errorf("mail to %s lacks %q:\n%s", to, want, text)
			}
		}
	}
	for _, k := range kinds {
		at := time.Now()
		for range 20 { // some are told from a number on
			desk.Raise(alert.Occurrence{Kind: k, Subject: "thing", Time: at, Text: policy.Label{EN: "it happened", ZH: "已发生"}})
		}
	}
	await(t, "each kind", func() bool { return receiver.kinds() == len(kinds) })
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	for _, k := range kinds {
		p := receiver.got[string(k)]
		if p.IncidentID == "" || p.Title.ZH == "" || p.Title.EN == "" || len(p.Lines) == 0 {
			t.Errorf("%s: %+v", k, p)
		}
	}
	if receiver.err != nil {
		t.Error(receiver.err)
	}
}

// mails gives the plain text of the notices in the journal, by their recipient.
func mails(t *testing.T, st *store.Store, but policy.ID) map[string]string {
	t.Helper()
	ids := map[policy.ID]bool{}
	if err := st.Due(func(d store.DueMessage) bool { ids[d.ID] = true; return true }); err != nil {
		t.Fatal(err)
	}
	delete(ids, but)
	all := map[string]string{}
	for id := range ids {
		rcpts, err := st.Recipients(id)
		if err != nil {
			t.Fatal(err)
		}
		all[string(rcpts[0].Address)] = plain(t, st, id)
	}
	return all
}

func plain(t *testing.T, st *store.Store, id policy.ID) string {
	t.Helper()
	body, err := st.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	m, err := message.Read(body)
	if err != nil {
		t.Fatal(err)
	}
	part, err := m.MultipartReader().NextPart()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(part.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
