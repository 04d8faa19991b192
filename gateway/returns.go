package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	returnsName   = "return/" // of what is kept in the store, before the message and the report
	returnsPause  = 30 * time.Second
	returnsExpire = 5 * 24 * time.Hour // after that nothing is owed any more
	returnedAbout = "stopped"          // the reason of the event that tells of the report
	// returnsMost is how many reports one sender gets in returnsSpan: of a whole batch a sender needs not read thousands.
	returnsMost = 100
	returnsSpan = time.Hour
)

// returns writes to senders that an administrator stopped their mail. What is owed is noted before the
// decision, with the id of the report, and is written after it: a crash between the two leads to one report,
// never to none or to two.
type returns struct {
	journal  *store.Store
	reporter *notify.Reporter
	// ours reports whether the envelope sender of a message is one of the organisation's own: a forged one gets no report.
	ours func(*policy.Envelope) bool
	now  func() time.Time
	log  *zap.Logger

	mu    sync.Mutex
	hands map[string]bool        // names that a request is busy with
	lots  map[string][]time.Time // by sender: when a report was promised, in the last returnsSpan
}

// A returnOwed is what is kept.
type returnOwed struct {
	Message    policy.ID `json:"message"`
	Report     policy.ID `json:"report"`
	Recipients []int     `json:"recipients"` // indexes; those that had not been taken back before
	Reason     string    `json:"reason"`
	Actor      string    `json:"actor"`
	Since      time.Time `json:"since"`
}

func (o *returnOwed) name() string {
	return returnsName + o.Message.String() + "/" + o.Report.String()
}

func newReturns(journal *store.Store, reporter *notify.Reporter, ours func(*policy.Envelope) bool, now func() time.Time, log *zap.Logger) *returns {
	return &returns{journal: journal, reporter: reporter, ours: ours, now: now, log: log, hands: map[string]bool{}, lots: map[string][]time.Time{}}
}

// Return takes a message back as [holder.Cancel] does, and tells its sender. In milter mode it may take a while
// until Postfix has deleted the message; the sender is told after that.
func (h holder) Return(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]web.Outcome, web.Bounce, error) {
	instead, err := h.returns.barred(id)
	if err != nil {
		return nil, "", err
	}
	if instead != "" {
		outcomes, err := h.Cancel(ctx, id, recipients, reason, actor)
		return outcomes, instead, err
	}
	owed, err := h.returns.note(id, recipients, reason, actor)
	if err != nil {
		return nil, "", err
	}
	defer h.returns.letGo(owed)
	outcomes, err := h.Cancel(ctx, id, recipients, reason, actor)
	told, failed := h.settle(ctx, owed)
	if failed != nil { // it is tried again
		h.returns.log.Warn("the sender of a message that was stopped is told later", zap.Stringer("id", id), zap.Error(failed))
		told = web.BouncePending
	}
	return outcomes, told, err
}

// barred says why the sender of a message gets no report: it is forged, or has got many lately. "" is that it does.
func (r *returns) barred(id policy.ID) (web.Bounce, error) {
	m, err := r.journal.Message(id)
	if err != nil {
		return "", err
	}
	if !r.ours(&m.Envelope) {
		return web.BounceNone, nil
	}
	sender, now := m.Envelope.Sender.Key(), r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for who, times := range r.lots {
		times = slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= returnsSpan })
		if r.lots[who] = times; len(times) == 0 {
			delete(r.lots, who)
		}
	}
	if len(r.lots[sender]) >= returnsMost {
		return web.BounceLimited, nil
	}
	r.lots[sender] = append(r.lots[sender], now)
	return "", nil
}

// note keeps what will be owed when the message is taken back.
func (r *returns) note(id policy.ID, recipients []int, reason, actor string) (*returnOwed, error) {
	rows, err := r.journal.Recipients(id)
	if err != nil {
		return nil, err
	}
	owed := &returnOwed{Message: id, Report: r.journal.NewID(), Reason: reason, Actor: actor, Since: r.now().UTC()}
	for _, i := range rows.Resolve(recipients) {
		if !takenBack(&rows[i]) {
			owed.Recipients = append(owed.Recipients, i)
		}
	}
	value, err := json.Marshal(owed)
	if err != nil {
		return nil, fmt.Errorf("note a report to the sender: %w", err)
	}
	r.mu.Lock()
	r.hands[owed.name()] = true
	r.mu.Unlock()
	if err := r.journal.Keep(owed.name(), value); err != nil {
		r.letGo(owed)
		return nil, err
	}
	return owed, nil
}

func (r *returns) letGo(owed *returnOwed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.hands, owed.name())
}

func (r *returns) inHands(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hands[name]
}

func takenBack(row *store.Recipient) bool {
	return row.State == policy.StateCanceled || row.State == policy.StateRecalled
}

// settle writes the report when it is certain that the message does not go out.
func (h holder) settle(ctx context.Context, owed *returnOwed) (web.Bounce, error) {
	m, err := h.journal.Message(owed.Message)
	if err != nil {
		return "", err
	}
	rows, err := h.journal.Recipients(owed.Message)
	if err != nil {
		return "", err
	}
	about, byDecision := returned(rows, owed.Recipients)
	expired := h.returns.now().Sub(owed.Since) > returnsExpire
	switch {
	case len(about) == 0 || expired:
		return web.BounceNone, h.journal.Drop(owed.name())
	case m.Envelope.Front == policy.Milter && byDecision && m.States[policy.StateCanceled] == m.Counted() && !h.deleted(m.ID):
		return web.BouncePending, nil // Postfix has it still
	}
	told, err := h.returns.write(ctx, &m, about, owed)
	if err != nil {
		return "", err
	}
	return told, h.journal.Drop(owed.name())
}

// returned gives those rows that were taken back, a group for its members: who they are is not for the sender.
// byDecision reports whether one of them waited for the decision alone.
func returned(rows policy.Rows, indexes []int) (about []store.Recipient, byDecision bool) {
	named := map[int]bool{}
	for _, i := range indexes {
		if i >= len(rows) || !takenBack(&rows[i]) {
			continue
		}
		byDecision = byDecision || rows[i].State == policy.StateCanceled
		for rows[i].Group > 0 {
			i = rows[i].Group - 1
		}
		if !named[i] {
			named[i] = true
			about = append(about, rows[i])
		}
	}
	return about, byDecision
}

// write tells the sender and says in the timeline that he was told.
func (r *returns) write(ctx context.Context, m *store.Message, about []store.Recipient, owed *returnOwed) (web.Bounce, error) {
	report, told, err := r.reporter.Stopped(ctx, owed.Report, *m, about, owed.Reason)
	if err != nil {
		return "", err
	}
	if len(told) == 0 {
		return web.BounceNone, nil
	}
	_, err = r.journal.Commit(ctx, store.Change{Message: m.ID, Events: []policy.Event{{
		Kind: policy.Notified, Time: r.now(), Actor: owed.Actor, Recipients: told, Reason: returnedAbout, Evidence: report.String(), Key: owed.name(),
	}}})
	return web.BounceSent, err
}

// runReturns settles what a crash or a slow Postfix has left.
func (h holder) runReturns(ctx context.Context) error {
	tick := time.NewTicker(returnsPause)
	defer tick.Stop()
	for {
		h.settleAll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (h holder) settleAll(ctx context.Context) {
	names, err := h.journal.KeptNames(returnsName)
	if err != nil {
		h.returns.log.Warn("reports to senders wait", zap.Error(err))
	}
	for _, name := range names {
		if h.returns.inHands(name) {
			continue
		}
		if err := h.settleKept(ctx, name); err != nil && ctx.Err() == nil {
			h.returns.log.Warn("a report to a sender waits", zap.String("name", name), zap.Error(err))
		}
	}
}

func (h holder) settleKept(ctx context.Context, name string) error {
	value, err := h.journal.Kept(name)
	if err != nil || value == nil {
		return err
	}
	var owed returnOwed
	if err := json.Unmarshal(value, &owed); err != nil || owed.name() != name {
		return h.journal.Drop(name) // nothing that we wrote
	}
	_, err = h.settle(ctx, &owed)
	return err
}

// tellable reports whether a report may go to the sender of a message: not to an address that whoever sent it has only
// written there. Where policy.internal is empty nobody knows whose an address is.
func (g *Gateway) tellable(e *policy.Envelope) bool {
	if e.Sender == "" {
		return false
	}
	return len(g.loaded().Policy.Internal) == 0 || g.recalls.Internal(e.Sender) || g.recalls.Owns(e.Identity, e.Sender)
}
