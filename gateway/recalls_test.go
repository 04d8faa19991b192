package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/recall"
	"github.com/sendgate/sendgate/gateway/track"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

func TestLogsWereReadUpToATime(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	at := func(before time.Duration, caughtUp bool) track.SourceStatus {
		return track.SourceStatus{LastLine: now.Add(-before), CaughtUp: caughtUp}
	}
	const second, minute = time.Second, time.Minute
	for name, tt := range map[string]struct {
		sources []track.SourceStatus
		ago     time.Duration
		want    bool
	}{
		"no logs":                      {nil, 0, true},
		"a later line":                 {[]track.SourceStatus{at(second, false)}, minute, true},
		"a line of the same second":    {[]track.SourceStatus{at(minute, false)}, minute, false},
		"an earlier line":              {[]track.SourceStatus{at(2*minute, false)}, minute, false},
		"silence, read to the end":     {[]track.SourceStatus{at(time.Hour, true)}, minute, true},
		"silence, but just now":        {[]track.SourceStatus{at(time.Hour, true)}, 29 * second, false},
		"never a line":                 {[]track.SourceStatus{{}}, minute, false},
		"one of two is behind":         {[]track.SourceStatus{at(second, true), at(time.Hour, false)}, minute, false},
		"both, each in its own manner": {[]track.SourceStatus{at(second, false), at(time.Hour, true)}, minute, true},
	} {
		if got := readUpTo(tt.sources, now.Add(-tt.ago), now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFormatsThatMayBeProtected(t *testing.T) {
	multipart := func(kind, second string) string {
		return "Content-Type: multipart/" + kind + "; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: " + second + "\r\n\r\ny\r\n--b--\r\n"
	}
	for message, want := range map[string]recall.Format{
		"Subject: x\r\n\r\nhello\r\n": recall.Plain,
		"Content-Type: application/PKCS7-mime; smime-type=enveloped-data\r\n\r\nMII\r\n":                    recall.Encrypted,
		"Content-Type: application/x-pkcs7-mime; name=smime.p7m\r\n\r\nMII\r\n":                             recall.Encrypted,
		"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\nMII\r\n":                       recall.Plain,
		multipart("encrypted; protocol=\"application/pgp-encrypted\"", "application/octet-stream"):          recall.Encrypted,
		multipart("signed; protocol=\"application/pgp-signature\"", "application/pgp-signature"):            recall.Plain,
		multipart("alternative", "text/calendar; method=REQUEST; charset=utf-8"):                            recall.Meeting,
		multipart("mixed", "application/pdf"):                                                               recall.Plain,
		"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n":           recall.Meeting,
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\ncut short": recall.Plain,
		"": recall.Plain,
	} {
		if got := formatOf(strings.NewReader(message)); got != want {
			t.Errorf("%q is %q, want %q", message, got, want)
		}
	}
}

func TestTheWindowOfARole(t *testing.T) {
	cfg := Config{Recall: recall.DefaultConfig()}
	cfg.Recall.ExtendedFor.Roles = []string{"operator"}
	r := &recalls{router: mailbox.NewRouter(nil, nil)}
	r.Reload(&cfg, nil)
	for role, want := range map[string]time.Duration{
		"user": 24 * time.Hour, "admin": 7 * 24 * time.Hour, "auditor": 7 * 24 * time.Hour, "operator": 15 * 24 * time.Hour,
	} {
		if got, ok := r.window(role); got != want || !ok {
			t.Errorf("%s: %v %v, want %v", role, got, ok, want)
		}
	}
	cfg.Recall.Enabled = false
	r.Reload(&cfg, nil)
	if _, ok := r.window("admin"); ok {
		t.Error("there is a window although recalls are switched off")
	}
}

// reachable has every mailbox of a domain, and does nothing.
type reachable struct{ mailbox.Backend }

func (reachable) Close() error { return nil }

func TestWhoIsInternalAndOwnsWhat(t *testing.T) {
	directory, err := policy.NewDirectory([]policy.Identity{{Login: "alice", Addresses: []string{"alice@corp.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{}
	cfg.Policy.Internal = []string{"@corp.test"}
	r := &recalls{router: mailbox.NewRouter([]mailbox.Config{{Name: "m", Domains: []string{"@boxes.test"}}}, []mailbox.Backend{reachable{}})}
	r.Reload(&cfg, directory)
	for a, want := range map[policy.Address]bool{"bob@corp.test": true, "bob@boxes.test": true, "bob@example.org": false} {
		if got := r.Internal(a); got != want {
			t.Errorf("%s internal: %v", a, got)
		}
	}
	if !r.Owns("alice", "alice@corp.test") || r.Owns("alice", "bob@corp.test") {
		t.Error("who owns what")
	}
}

func TestMailboxesAreOpenedAllOrNone(t *testing.T) {
	var c mailbox.Config
	c.SetDefaults()
	c.Name, c.Domains, c.IMAP.Address, c.IMAP.Login = "a", []string{"@corp.test"}, "127.0.0.1:1", "sendgate"
	c.IMAP.PasswordFile = t.TempDir() + "/none"
	_, err := openMailboxes([]mailbox.Config{c}, newMailboxMeter())
	if err == nil || !strings.HasPrefix(err.Error(), "mailboxes a: ") {
		t.Errorf("got %v", err)
	}
	c.IMAP = mailbox.IMAP{}
	c.Doveadm.URL, c.Doveadm.APIKeyFile = "http://127.0.0.1:1/doveadm/v1", c.IMAP.PasswordFile
	if _, err := openMailboxes([]mailbox.Config{c}, newMailboxMeter()); err == nil || !strings.HasPrefix(err.Error(), "mailboxes a: ") {
		t.Errorf("got %v", err)
	}
	r, err := openMailboxes(nil, newMailboxMeter())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, name, ok := r.For("ann@corp.test"); ok {
		t.Errorf("%s, where nothing is configured", name)
	}
}

func TestFaultsOfRecallsAndMailboxes(t *testing.T) {
	var good mailbox.Config
	good.SetDefaults()
	good.Name, good.Domains, good.IMAP.Address, good.IMAP.Login, good.IMAP.PasswordFile = "a", []string{"@corp.test"}, "127.0.0.1:143", "sendgate", "/p"
	bad := good
	bad.Mode = "burn"
	c := Config{Recall: recall.DefaultConfig(), Mailboxes: []mailbox.Config{good, good, bad}}
	c.Mailboxes[2].Name = "b"
	c.Recall.ExtendedFor.Backends = []string{"b", "c"}
	c.Recall.GroupMode = "some"
	var faults policy.Faults
	c.validateRecalls(&faults)
	want := []string{
		"recall.group_mode: some: must be one of all_or_nothing, best_effort",
		"mailboxes[1].name: a: there are other mailboxes of this name",
		"mailboxes[2].mode: burn: must be staging, trash or expunge",
		"recall.extended_for.backends[1]: c: there are no mailboxes of this name",
	}
	if got := fmt.Sprint(faults.Err()); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestTheQueueSpeaksInCodesOfRecalls(t *testing.T) {
	h := newHeld(t, policy.Relay)
	q := recallQueue{h.holder}
	got, err := q.Cancel(t.Context(), h.id, []int{1}, "wrong", "api:test")
	if want := []recall.Outcome{{Recipient: 1, Code: policy.RemovedFromHold}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
	if _, err := q.Cancel(t.Context(), h.journal.NewID(), nil, "wrong", "api:test"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestNobodyIsToldWithoutAReporter(t *testing.T) {
	if id, err := (reporter{}).Report(t.Context(), &policy.RecallReport{}); err != nil || id != (policy.ID{}) {
		t.Errorf("got %v %v", id, err)
	}
}

// The whole gateway, as it is put together: what is held goes back by a recall, and comes to its end.
func TestAGatewayTakesBackWhatItHolds(t *testing.T) {
	cfg := DemoConfig(t.TempDir(), startHop(t).listener.Addr().String())
	cfg.Milter.Listen, cfg.API.Socket, cfg.API.Listen = nil, "", "127.0.0.1:0"
	cfg.Relay.Listen[0].Address = "127.0.0.1:0"
	g, err := New(cfg, "test", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(errors.Join(err, g.Close()))
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	e := envelope("bob@corp.example", "carol@example.org")
	e.Front, e.QueueID = policy.Relay, ""
	id := g.store.NewID()
	commit(t, g.store, store.Change{Message: id, Envelope: &e, Events: []policy.Event{
		{Kind: policy.Accepted, Time: e.Received}, {Kind: policy.Held, Time: e.Received, Until: e.Received.Add(time.Hour)},
	}})
	req := policy.RecallRequest{Messages: []policy.ID{id}, Reason: "wrong file", UnreadOnly: true, Requester: policy.RecallRequester{Actor: "api:test", Role: "admin"}}
	plan, err := g.recalls.Plan(t.Context(), req)
	if err != nil || len(plan.Lines) != 2 || plan.Lines[0].Code != policy.RemovedFromHold {
		t.Errorf("planned: %+v %v", plan, err)
	}
	r := startRecall(t, g, req)
	if r.Overall != policy.RecallAllSuccess || r.Counts != (policy.RecallCounts{Success: 2}) || r.Ended.IsZero() {
		t.Errorf("it came to %+v", r)
	}
	m, err := g.store.Message(id)
	if err != nil || m.States[policy.StateCanceled] != 2 {
		t.Errorf("states %v %v", m.States, err)
	}
	g.massRecall(recall.Alarm{Recall: r.ID, Requester: policy.RecallRequester{Identity: "alice"}, Recipients: 34})
	g.massRecall(recall.Alarm{Recall: r.ID, Requester: policy.RecallRequester{Actor: "api:x"}, Recipients: 34})
	all := alertsAPI{g.alerts.Desk}.List(true)
	for i, who := range []string{"api:x", "alice"} {
		if len(all) != 2 || all[i].Kind != string(alert.MassRecall) || all[i].Subject != who || !strings.Contains(all[i].Text.EN, "34 recipients") {
			t.Errorf("alerts %+v", all)
		}
	}
}

// startRecall begins a recall as soon as the engine has begun, and waits for its end.
func startRecall(t *testing.T, g *Gateway, req policy.RecallRequest) *policy.RecallReport {
	t.Helper()
	r, err := g.recalls.Start(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	changed, stop := g.recalls.Watch(r.ID)
	defer stop()
	late := time.After(time.Minute)
	for r.Ended.IsZero() {
		if r, err = g.recalls.Report(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		if !r.Ended.IsZero() {
			break
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("after a minute it is %+v", r)
		}
	}
	return r
}
