package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const margin = 3 * time.Second

// A rig is a server on a real store, with a clock that stands still and a holder that decides by
// the rules of gateway/hold in their simplest form.
type rig struct {
	t         *testing.T
	store     *store.Store
	server    *Server
	holder    *holder
	recalls   *fakeRecalls
	limits    *fakeLimits
	alerts    *fakeAlerts
	campaigns *fakeCampaigns
	desk      *signin.Desk // for the next serverFor: nil serves no dashboard
	now       time.Time
	logs      *observer.ObservedLogs
	parts     []Part

	tracking []Source                                                       // nil: nothing is tracked
	importer func(context.Context, string, io.Reader) (ImportReport, error) // for the next serverFor
}

// rigTime is when a rig begins.
var rigTime = time.Date(2026, 11, 21, 10, 30, 0, 0, time.UTC)

func newRig(t *testing.T) *rig {
	t.Helper()
	now := rigTime
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.MinFree, cfg.Node, cfg.Log = t.TempDir(), 64, "test", zap.NewNop()
	cfg.Now = func() time.Time { return now }
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, store: st, now: now}
	r.holder = &holder{store: st, now: now}
	r.recalls = newFakeRecalls(now)
	r.limits, r.alerts = &fakeLimits{now: now}, &fakeAlerts{now: now}
	r.campaigns = &fakeCampaigns{now: now, texts: map[policy.ID]string{}}
	r.server = r.serverFor(st)
	return r
}

// serverFor makes a server on a journal with a token for each role, named as the role.
func (r *rig) serverFor(j Journal) *Server {
	cfg := DefaultConfig()
	for _, role := range policy.Roles {
		sum := sha256.Sum256([]byte("secret-" + role))
		cfg.Tokens = append(cfg.Tokens, Token{Name: role, Role: role, SHA256: hex.EncodeToString(sum[:])})
	}
	core, logs := observer.New(zap.DebugLevel)
	r.logs = logs
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sendgate_test"}, func() float64 { return 7 }))
	needs := Needs{
		Journal: j, Holder: r.holder, Recalls: r.recalls, RecallWindow: r.recalls.window, RecallReadToo: func(role string) bool { return role == "admin" }, Limits: r.limits, Alerts: r.alerts, Campaigns: r.campaigns, Metrics: registry, Version: "1.2.3", Log: zap.New(core),
		Parts:  func() []Part { return r.parts },
		Margin: func() time.Duration { return margin },
		Now:    func() time.Time { return r.now },
		Import: r.importer, Desk: r.desk, SignIns: r.signIns,
	}
	if r.tracking != nil {
		needs.Tracking = func() []Source { return r.tracking }
	}
	return New(cfg, needs)
}

// accept commits a held message and gives its id.
func (r *rig) accept(sender, subject string, recipients ...string) string {
	r.t.Helper()
	e := &policy.Envelope{
		Received: r.now, Front: policy.Relay, Direction: policy.Outbound, Sender: policy.Address(sender),
		Identity: sender, Login: "alice", Client: netip.MustParseAddr("192.0.2.1"), Size: 4096,
		From: "Alice <" + sender + ">", Subject: subject, MessageID: "<m@corp.example>",
	}
	for _, a := range recipients {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(a)})
	}
	id := r.store.NewID()
	r.commit(store.Change{Message: id, Envelope: e, Events: []policy.Event{
		{Kind: policy.Accepted, Time: r.now, Actor: "smtp"},
		{Kind: policy.Held, Time: r.now, Until: r.now.Add(60*time.Second + margin), Rule: "default"},
	}})
	return id.String()
}

func (r *rig) commit(c store.Change) {
	r.t.Helper()
	if _, err := r.store.Commit(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

// observe adds an observation about some recipients of a message.
func (r *rig) observe(id string, e policy.Event) {
	r.t.Helper()
	e.Time = r.now
	r.commit(store.Change{Message: mustID(r.t, id), Events: []policy.Event{e}})
}

func mustID(t *testing.T, text string) policy.ID {
	t.Helper()
	id, err := policy.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// do makes a request with the admin's token and decodes the answer into out, which may be nil.
func (r *rig) do(method, path, body string, out any) int {
	r.t.Helper()
	w := r.ask(r.server, "secret-admin", method, path, body)
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			r.t.Fatalf("%s %s: %v\n%s", method, path, err, w.Body)
		}
	}
	return w.Code
}

func (r *rig) ask(s *Server, token, method, path, body string) *httptest.ResponseRecorder {
	r.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = bytes.NewBufferString(body)
	}
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, reader)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, req)
	return w
}

// get reads and expects 200.
func get[T any](r *rig, path string) (v T) {
	r.t.Helper()
	if code := r.do(http.MethodGet, path, "", &v); code != http.StatusOK {
		r.t.Fatalf("GET %s: %d", path, code)
	}
	return v
}

// post acts and expects 200.
func post[T any](r *rig, path, body string) (v T) {
	r.t.Helper()
	w := r.ask(r.server, "secret-admin", http.MethodPost, path, body)
	if w.Code != http.StatusOK {
		r.t.Fatalf("POST %s: %d\n%s", path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		r.t.Fatal(err)
	}
	return v
}

// A holder commits decisions without timers.
type holder struct {
	mu    sync.Mutex // of asked and until
	store *store.Store
	now   time.Time
	fail  error           // of every method, when set
	busy  map[string]bool // addresses in flight
	away  bool            // the queue cannot be asked
	until time.Time       // last end of a hold asked for
	asked []string        // actors
	limit time.Duration   // longest hold; 0 has none

	resent [][]int // recipients asked for
	told   []string
}

func (h *holder) Release(ctx context.Context, id policy.ID, actor string) error {
	return h.decide(ctx, id, policy.Event{Kind: policy.Released, Time: h.now, Actor: actor, Until: h.now})
}

func (h *holder) Hold(ctx context.Context, id policy.ID, until time.Time, actor string) error {
	h.mu.Lock()
	h.until = until
	h.mu.Unlock()
	if h.limit > 0 && until.Sub(h.now) > h.limit {
		return &Refusal{Code: "hold_too_long", Detail: "a hold ends at most 1h from now"}
	}
	return h.decide(ctx, id, policy.Event{Kind: policy.HoldChanged, Time: h.now, Actor: actor, Until: until})
}

func (h *holder) Approve(ctx context.Context, id policy.ID, actor string) error {
	if h.fail != nil {
		return h.fail
	}
	m, err := h.store.Message(id)
	if err != nil {
		return err
	}
	if m.States[policy.StateApprovalPending] == 0 {
		return &Refusal{Code: "no_approval", Detail: "the message does not wait for approval"}
	}
	_, err = h.store.Commit(ctx, store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{
		{Kind: policy.Approved, Time: h.now, Actor: actor, Until: h.now},
	}})
	return err
}

func (h *holder) decide(ctx context.Context, id policy.ID, e policy.Event) error {
	if h.fail != nil {
		return h.fail
	}
	h.mu.Lock()
	h.asked = append(h.asked, e.Actor)
	h.mu.Unlock()
	m, err := h.store.Message(id)
	if err != nil {
		return err
	}
	if m.States[policy.StateHeld] == 0 {
		return &Refusal{Code: "not_held", Detail: "the message is not held"}
	}
	_, err = h.store.Commit(ctx, store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{e}})
	return err
}

func (h *holder) Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) (outcomes []Outcome, err error) {
	if h.fail != nil {
		return nil, h.fail
	}
	m, err := h.store.Message(id)
	if err != nil {
		return nil, err
	}
	rows, err := h.store.Recipients(id)
	if err != nil {
		return nil, err
	}
	if recipients == nil {
		for i := range rows {
			recipients = append(recipients, i)
		}
	}
	var taken []int
	for _, i := range recipients {
		code := outcomeOf(&rows[i])
		if h.busy[string(rows[i].Address)] {
			code = policy.WaitingInFlight
		}
		if h.away {
			code = policy.Retrying
		}
		if code == policy.RemovedFromHold {
			taken = append(taken, i)
		}
		outcomes = append(outcomes, Outcome{i, code})
	}
	if taken == nil {
		return outcomes, nil
	}
	_, err = h.store.Commit(ctx, store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{
		{Kind: policy.RecallRequested, Time: h.now, Actor: actor, Recipients: taken, Reason: reason},
		{Kind: policy.Canceled, Time: h.now, Actor: actor, Recipients: taken, Reason: reason},
	}})
	return outcomes, err
}

// Return tells the senders of what it takes back, but for the null sender.
func (h *holder) Return(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]Outcome, Bounce, error) {
	outcomes, err := h.Cancel(ctx, id, recipients, reason, actor)
	m, _ := h.store.Message(id)
	if err != nil || m.Envelope.Sender == "" {
		return outcomes, BounceNone, err
	}
	h.mu.Lock()
	h.told = append(h.told, id.String()+" "+reason)
	h.mu.Unlock()
	return outcomes, BounceSent, nil
}

// outcomeOf is what becomes of a recipient by a cancel: what is held is taken back.
func outcomeOf(r *store.Recipient) policy.RecallCode {
	switch r.State {
	case policy.StateHeld, policy.StateApprovalPending:
		return policy.RemovedFromHold
	case policy.StateCanceled:
		return policy.AlreadyRecalled
	case policy.StateRelayedRemote:
		return policy.ExternalRecipient
	}
	return policy.RecallUnknown
}

// Resend refuses with the error that it was given, and commits else.
func (h *holder) Resend(ctx context.Context, id policy.ID, recipients []int, reason, actor string) error {
	h.resent = append(h.resent, recipients)
	if h.fail != nil {
		return h.fail
	}
	m, err := h.store.Message(id)
	if err != nil {
		return err
	}
	_, err = h.store.Commit(ctx, store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{
		{Kind: policy.Resent, Time: h.now, Actor: actor, Recipients: recipients, Reason: reason, Until: h.now},
	}})
	return err
}

var errBroken = errors.New("disk says: sector 7 is unreadable")
