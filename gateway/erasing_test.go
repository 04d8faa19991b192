package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/recall"
	"github.com/sendgate/sendgate/gateway/relay"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/policy/limit"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// leaver is who is erased in these tests; subject is what one of their messages is about.
const (
	leaver  = "zoe.quill@corp.example"
	subject = "Notice of termination"
)

// A tracedGateway runs, and is asked over its API.
type tracedGateway struct {
	*Gateway
	t    *testing.T
	cfg  Config
	stop func()
}

func startTraced(t *testing.T, cfg Config) *tracedGateway {
	t.Helper()
	g, err := New(cfg, "test", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(errors.Join(err, g.Close()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	return &tracedGateway{g, t, cfg, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}}
}

// ask makes a request as the administrator.
func (g *tracedGateway) ask(method, path, body string) (int, string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.APIAddr().String()+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+DemoToken)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// message is one that has arrived.
func (g *tracedGateway) message(from, about string, to ...policy.Address) policy.ID {
	g.t.Helper()
	e := envelope(to...)
	e.Front, e.QueueID, e.Sender, e.Identity, e.Login, e.Subject = policy.Relay, "", policy.Address(from), from, from, about
	id := g.store.NewID()
	commit(g.t, g.store, store.Change{Message: id, Envelope: &e, Events: []policy.Event{
		{Kind: policy.Accepted, Time: e.Received}, {Kind: policy.Held, Time: e.Received, Until: e.Received.Add(time.Hour)},
	}})
	return id
}

// leaveTraces does what leaves the person in every memory there is. It gives a message of theirs.
func (g *tracedGateway) leaveTraces() policy.ID {
	g.t.Helper()
	mine, other := g.message(leaver, subject, "bob@corp.example"), g.message("bob@corp.example", "lunch", "carol@corp.example")
	for _, id := range []policy.ID{mine, other} {
		startRecall(g.t, g.Gateway, policy.RecallRequest{
			Messages: []policy.ID{id}, Reason: "asked by " + leaver, UnreadOnly: true, Recipients: nil,
			Requester: policy.RecallRequester{Actor: "user:" + leaver, Role: "admin", Identity: leaver},
		})
	}
	for _, reply := range []string{"", "535 5.7.8 no"} {
		g.logins.note(policy.SignIn{Identity: leaver, Client: netip.MustParseAddr("192.0.2.77"), Program: "zoes-laptop", Reply: reply})
	}
	api := limitsAPI{g.limits, g.loaded}
	now := time.Now().UTC()
	if err := api.Boost(g.t.Context(), limit.Grant{Rule: api.Rules()[0].Name, Key: leaver, Boost: true, Amount: 5, Given: now, Until: now.Add(time.Hour), Reason: "for " + leaver, Author: "user:" + leaver}); err != nil {
		g.t.Fatal(err)
	}
	if err := api.Suspend(g.t.Context(), leaver, now.Add(time.Hour), "seen from "+leaver, "user:bob"); err != nil {
		g.t.Fatal(err)
	}
	if err := api.Unsuspend(g.t.Context(), leaver, "", "it was "+leaver, "user:bob"); err != nil {
		g.t.Fatal(err)
	}
	g.massRecall(recall.Alarm{Requester: policy.RecallRequester{Identity: leaver}, Recipients: 34})
	owed := returnOwed{Message: mine, Report: g.store.NewID(), Reason: "says " + leaver, Actor: "user:" + leaver, Since: now}
	value, err := json.Marshal(&owed)
	if err != nil {
		g.t.Fatal(err)
	}
	g.queue.returns.mu.Lock()
	g.queue.returns.hands[owed.name()] = true // so that it stays
	g.queue.returns.lots[leaver] = []time.Time{now}
	g.queue.returns.mu.Unlock()
	if err := g.store.Keep(owed.name(), value); err != nil {
		g.t.Fatal(err)
	}
	machinetest.Eventually(g.t, "the sign-ins are written down", func() bool {
		all, err := g.logins.of(g.t.Context(), leaver)
		return err == nil && len(all) == 2
	})
	machinetest.Eventually(g.t, "recalls are not followed any more", func() bool {
		list, err := g.recalls.List(g.t.Context(), policy.ID{}, 10)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, r := range list {
			if g.recalls.Follows(r.ID) {
				return false
			}
		}
		return len(list) == 2
	})
	machinetest.Eventually(g.t, "alerts are raised", func() bool { return len(g.alerts.List(false)) >= 3 })
	return mine
}

// answers is what the API says wherever the person may be.
func (g *tracedGateway) answers(mine policy.ID) map[string]string {
	all := map[string]string{}
	paths := []string{
		"/api/v1/messages", "/api/v1/messages/" + mine.String(), "/api/v1/recalls", "/api/v1/alerts?open=false", "/api/v1/campaigns?min=1", "/api/v1/senders",
		"/api/v1/limits/near?fraction=0", "/api/v1/audit", "/api/v1/flow", "/api/v1/approvals", "/api/v1/recalls/stats", "/metrics",
	}
	list, err := g.recalls.List(g.t.Context(), policy.ID{}, 10)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, r := range list {
		paths = append(paths, "/api/v1/recalls/"+r.ID.String())
	}
	for _, path := range paths {
		code, text := g.ask("GET", path, "")
		if code != http.StatusOK && code != http.StatusNotFound {
			g.t.Errorf("%s: %d %s", path, code, text)
		}
		all[path] = text
	}
	return all
}

// unnamed holds that nothing that is stored or told names the person.
func (g *tracedGateway) unnamed(when string, mine policy.ID) {
	g.t.Helper()
	for path, text := range g.answers(mine) {
		for _, word := range []string{leaver, subject, "192.0.2.77", "zoes-laptop"} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(word)) {
				g.t.Errorf("%s: %s has %q: %s", when, path, word, text)
			}
		}
	}
	for _, word := range []string{leaver, subject, "192.0.2.77", "zoes-laptop"} {
		if ids, err := g.store.Naming(g.t.Context(), word); err != nil || len(ids) > 0 {
			records, _ := g.store.Timeline(ids[0])
			g.t.Errorf("%s: the journal has %q: %+v, %v", when, word, records, err)
		}
	}
	names, err := g.store.KeptNames("")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, name := range names {
		if value, err := g.store.Kept(name); err != nil || bytes.Contains(value, []byte(leaver)) || strings.Contains(name, leaver) {
			g.t.Errorf("%s: %s is kept with the name, %v", when, name, err)
		}
	}
	if text, err := json.Marshal(g.alerts.List(false)); err != nil || bytes.Contains(text, []byte(leaver)) {
		g.t.Errorf("%s: alerts: %s, %v", when, text, err)
	}
	if n := len(g.queue.returns.lots); n > 0 {
		g.t.Errorf("%s: it is known who got reports", when)
	}
	if all, err := g.logins.of(g.t.Context(), leaver); err != nil || len(all) > 0 {
		g.t.Errorf("%s: sign-ins: %+v, %v", when, all, err)
	}
	var memory bytes.Buffer
	for _, part := range guard.Parts {
		if err := g.limits.Save(part, &memory, 1); err != nil {
			g.t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(g.cfg.Store.Dir, memoryDir, part+".snapshot"))
		if err != nil || bytes.Contains(file, []byte(leaver)) {
			g.t.Errorf("%s: the snapshot of %s names the person: %v", when, part, err)
		}
	}
	if bytes.Contains(memory.Bytes(), []byte(leaver)) {
		g.t.Errorf("%s: the memory names the person", when)
	}
}

func TestAnErasedPersonIsNowhere(t *testing.T) {
	cfg := DemoConfig(t.TempDir(), startHop(t).listener.Addr().String())
	cfg.Milter.Listen, cfg.API.Socket, cfg.API.Listen = nil, "", "127.0.0.1:0"
	cfg.Relay.Listen = []relay.Listener{{Address: "127.0.0.1:0"}}
	cfg.Notices.Admins, cfg.Recall.Settle = nil, 0
	g := startTraced(t, cfg)
	mine := g.leaveTraces()
	named := 0
	for _, text := range g.answers(mine) {
		if strings.Contains(text, leaver) {
			named++
		}
	}
	if named < 5 {
		t.Fatalf("only %d answers name the person before", named)
	}
	path := "/api/v1/people/" + leaver + "/erase"
	code, text := g.ask("POST", path, `{"dry_run":true}`)
	var plan, done web.Erasure
	if err := json.Unmarshal([]byte(text), &plan); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	code, text = g.ask("POST", path, `{"reason":"request 117"}`)
	if err := json.Unmarshal([]byte(text), &done); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	v := &done.Elsewhere
	if v.SignIns != 1 || v.Recalls != 2 || v.Decisions != 3 || v.Named != 1 || v.Left != 0 || v.Alerts < 3 || v.Limits < 1 || v.Accounts < 1 {
		t.Errorf("it came to %+v", v)
	}
	if p := &plan.Elsewhere; p.SignIns != v.SignIns || p.Recalls != v.Recalls || p.Decisions != v.Decisions || p.Named != v.Named || p.Alerts != 0 {
		t.Errorf("planned was %+v", p)
	}
	for _, want := range []string{"1 day of sign-ins, 2 recalls, 3 suspensions and grants"} {
		if !strings.Contains(done.Text.EN, want) || !strings.Contains(done.Text.ZH, "登录记录 1 天，撤回任务 2 个，暂停与限额调整 3 项") {
			t.Errorf("said %+v", done.Text)
		}
	}
	if !strings.Contains(done.Unreached.EN, "logs of the mail server") || !strings.Contains(done.Unreached.ZH, "备份") {
		t.Errorf("unreached: %+v", done.Unreached)
	}
	g.unnamed("at once", mine)
	if _, err := g.recalls.List(t.Context(), policy.ID{}, 10); err != nil {
		t.Error(err)
	}
	g.stop()
	g = startTraced(t, cfg)
	g.unnamed("after a restart", mine)
	g.stop()
	if err := os.RemoveAll(filepath.Join(cfg.Store.Dir, memoryDir)); err != nil {
		t.Fatal(err)
	}
	g = startTraced(t, cfg) // all of the journal is read
	machinetest.Eventually(t, "the memory is saved", func() bool {
		done := make(chan error, 1)
		g.limits.asks <- func() { g.limits.saved = 0; done <- g.limits.save() }
		return <-done == nil
	})
	g.unnamed("from the journal alone", mine)
	g.stop()
}

func TestNothingIsErasedOfWhoIsSuspended(t *testing.T) {
	cfg := DemoConfig(t.TempDir(), startHop(t).listener.Addr().String())
	cfg.Milter.Listen, cfg.API.Socket, cfg.API.Listen = nil, "", "127.0.0.1:0"
	cfg.Relay.Listen = []relay.Listener{{Address: "127.0.0.1:0"}}
	g := startTraced(t, cfg)
	defer g.stop()
	api := limitsAPI{g.limits, g.loaded}
	if err := api.Suspend(t.Context(), leaver, time.Time{}, "hijacked", "user:bob"); err != nil {
		t.Fatal(err)
	}
	code, text := g.ask("POST", "/api/v1/people/"+leaver+"/erase", `{}`)
	if code != http.StatusConflict || !strings.Contains(text, "the account is suspended: end that first, or nothing would keep it from sending once it is forgotten") {
		t.Errorf("%d %s", code, text)
	}
}

func TestAnErasureWaitsForNobodyForEver(t *testing.T) {
	l := &limits{asks: make(chan func())}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.erase(ctx, 0, strings.ToLower, ""); !errors.Is(err, errNotFollowed) {
		t.Error(err)
	}
}

// What was read of the journal before it was rewritten, and not taken up yet, would bring the person back.
func TestTheLimitsForgetWhenTheyHaveFollowedTheJournal(t *testing.T) {
	b := newLedger(t)
	b.send(2)
	b.send(1)
	b.observe()
	b.send(2) // nobody has taken this up
	done := make(chan error, 1)
	go func() {
		_, err := b.l.erase(t.Context(), b.store.LastBatch(), func(s string) string { return strings.ReplaceAll(s, "ann", "x") }, "ann@corp.example")
		done <- err
	}()
	(<-b.l.asks)() // as whoever follows the journal does
	b.observe()
	select {
	case ask := <-b.l.asks:
		ask()
	case err := <-done:
		t.Fatalf("it was too early: %v, %d are counted again", err, b.used())
	}
	if err := <-done; err != nil || b.used() != 0 {
		t.Errorf("%v, %d are counted", err, b.used())
	}
}
