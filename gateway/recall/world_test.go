package recall

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A desk is the mailboxes, the organisation, the reporter and the alarm.
type desk struct {
	*server
	life    *life
	mu      sync.Mutex
	reports []*policy.RecallReport
	alarms  []Alarm
	fail    error
}

func (d *desk) For(a policy.Address) (mailbox.Backend, string, string, bool) {
	switch a.Domain() {
	case "corp.example":
		user, _, _ := strings.Cut(policy.Address(a.Key()).Local(), "+")
		return d.server, user + "@corp.example", "dovecot", true
	case "old.example":
		return d.server, a.Key(), "exchange", true
	}
	return nil, "", "", false
}

func (d *desk) Named(name string) (mailbox.Backend, bool) {
	return d.server, name == "dovecot" || name == "exchange"
}

func (d *desk) Internal(a policy.Address) bool {
	return slices.Contains([]string{"corp.example", "old.example", "bare.example"}, a.Domain())
}

func (d *desk) Owns(identity string, a policy.Address) bool {
	return identity == "ann" && a.Key() == "ann@corp.example"
}

func (d *desk) Report(_ context.Context, r *policy.RecallReport) (policy.ID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life.died() {
		return policy.ID{}, errDead
	}
	if d.fail != nil {
		return policy.ID{}, d.fail
	}
	d.reports = append(d.reports, r)
	return policy.ID{1}, nil
}

func (d *desk) alarm(a Alarm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alarms = append(d.alarms, a)
}

func (d *desk) told() []*policy.RecallReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.reports)
}

// A world is an engine with all that it needs. It lives in a bubble of synctest.
type world struct {
	testing.TB
	life    *life
	journal *memory
	queue   *queue
	desk    *desk
	cfg     Config
	tracked func(time.Time) bool
	format  Format
	*Engine
	stop func()
}

func newWorld(t *testing.T) *world {
	l := &life{}
	j := newMemory(l)
	w := &world{TB: t, life: l, journal: j, queue: &queue{journal: j}, desk: &desk{server: newServer(l), life: l}, cfg: DefaultConfig()}
	w.tracked = func(time.Time) bool { return true }
	return w
}

// run starts the engine, again if it has been stopped.
func (w *world) run() {
	w.Helper()
	w.Engine = New(w.cfg, Needs{
		Journal: w.journal, Feed: w.journal.subscribe(), Queue: w.queue, Mailboxes: w.desk, Directory: w.desk, Reporter: w.desk, Alarm: w.desk.alarm,
		Tracked: func(t time.Time) bool { return w.tracked(t) }, Formats: func(*store.Message) Format { return w.format },
		Gateway: "gate.corp.example", IDHeader: "X-Sendgate-ID", Now: time.Now, Log: zap.NewNop(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil && !w.life.died() {
			w.Errorf("run: %v", err)
		}
	}
	synctest.Wait()
}

func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(w)
		if w.stop != nil {
			w.stop()
		}
	})
}

const sender = policy.Address("ann@corp.example")

// send stores a message to recipients, which is held.
func (w *world) send(recipients ...policy.Address) policy.ID {
	w.Helper()
	return w.sendAs(policy.Envelope{Front: policy.Relay, Direction: policy.Outbound, Sender: sender, Identity: "ann", MessageID: "<1@corp.example>", From: "Ann <ann@corp.example>", Size: 1000}, recipients...)
}

func (w *world) sendAs(m policy.Envelope, recipients ...policy.Address) policy.ID {
	w.Helper()
	id := w.journal.NewID()
	if m.Received.IsZero() {
		m.Received = time.Now()
	}
	for _, a := range recipients {
		m.Recipients = append(m.Recipients, policy.Recipient{Address: a})
	}
	_, err := w.journal.commit(store.Change{Message: id, Envelope: &m, Events: []policy.Event{
		{Kind: policy.Accepted, Time: time.Now()}, {Kind: policy.Held, Time: time.Now(), Until: time.Now().Add(time.Minute)},
	}})
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// happen records what happened to some rows.
func (w *world) happen(id policy.ID, kind policy.Kind, rows ...int) {
	w.Helper()
	w.record(id, policy.Event{Kind: kind, Recipients: rows, Reply: "250 2.0.0 Ok"})
}

func (w *world) record(id policy.ID, e policy.Event) {
	w.Helper()
	e.Time = time.Now()
	m, err := w.journal.Message(id)
	if err == nil {
		_, err = w.journal.commit(store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{e}})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// deliver puts a message into the mailboxes of rows and records that.
func (w *world) deliver(id policy.ID, rows ...int) {
	w.Helper()
	all, _ := w.journal.Recipients(id)
	m, _ := w.journal.Message(id)
	for _, i := range rows {
		w.desk.put(all[i].Address.Key(), "INBOX", letter{id: id, messageID: m.Envelope.MessageID})
		w.happen(id, policy.DeliveredMailbox, i)
	}
}

// expand replaces row g by members that have it in their mailboxes.
func (w *world) expand(id policy.ID, g int, members ...policy.Address) {
	w.Helper()
	for _, a := range members {
		w.desk.put(a.Key(), "INBOX", letter{id: id})
		w.record(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{g}, Member: a})
	}
}

func (w *world) request(ids ...policy.ID) policy.RecallRequest {
	return policy.RecallRequest{
		Messages: ids, Reason: "wrong attachment", UnreadOnly: true,
		Requester: policy.RecallRequester{Actor: "api:ann", Role: user, Identity: "ann"},
	}
}

func (w *world) asAdmin(r policy.RecallRequest) policy.RecallRequest {
	r.Requester = policy.RecallRequester{Actor: "api:root", Role: admin, Identity: "root"}
	return r
}

func (w *world) start(r policy.RecallRequest) *policy.RecallReport {
	w.Helper()
	report, err := w.Start(w.Context(), r)
	if err != nil {
		w.Fatal(err)
	}
	return report
}

// recall starts a recall of whole messages, waits until nothing moves, and gives the report.
func (w *world) recall(ids ...policy.ID) *policy.RecallReport {
	w.Helper()
	synctest.Wait()
	id := w.start(w.request(ids...)).ID
	synctest.Wait()
	return w.report(id)
}

func (w *world) report(id policy.ID) *policy.RecallReport {
	w.Helper()
	r, err := w.Report(context.Background(), id)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// after lets time pass.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// codes gives the codes of a report by address.
func codes(r *policy.RecallReport) map[policy.Address]policy.RecallCode {
	all := map[policy.Address]policy.RecallCode{}
	for _, l := range r.Lines {
		all[l.Address] = l.Code
	}
	return all
}

func (w *world) want(r *policy.RecallReport, overall string, want map[policy.Address]policy.RecallCode) {
	w.Helper()
	if got := codes(r); !maps.Equal(got, want) {
		w.Errorf("codes are %v, want %v", got, want)
	}
	if r.Overall != overall {
		w.Errorf("overall is %s, want %s", r.Overall, overall)
	}
}

// lies checks in which folders a user has the message.
func (w *world) lies(user string, folders ...string) {
	w.Helper()
	if got := w.desk.holds(user); !slices.Equal(got, folders) {
		w.Errorf("%s has it in %v, want %v", user, got, folders)
	}
}

func address(i int) policy.Address { return policy.Address(fmt.Sprintf("u%d@corp.example", i)) }
