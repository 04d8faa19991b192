package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// drainPause is how often it is looked what is left.
	drainPause = time.Second
	// drainAtOnce is how many messages are let go at a time: the journal batches their commits.
	drainAtOnce = 64
	// drainNamed is how many of those that stay are named.
	drainNamed = 100
	// drainRule stands in refusals.
	drainRule = "drain"
	// drainLinger is how long the API answers after the end, so that who watches sees it.
	drainLinger = 3 * time.Second
)

var errDrainBegun = errors.New("the gateway is being drained already")

// A drainJournal is what is left to do. [store.Store] is one.
type drainJournal interface {
	Due(fn func(store.DueMessage) bool) error
	Message(id policy.ID) (store.Message, error)
	Recipients(id policy.ID) (policy.Rows, error)
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
}

// A drainQueue lets messages go. [holder] is one.
type drainQueue interface {
	Release(ctx context.Context, id policy.ID, actor string) error
	Approve(ctx context.Context, id policy.ID, actor string) error
}

// A drain empties the gateway. From its begin on no mail is taken (closed), what is held goes, and when nothing
// is left the listeners close, sessions finish, what they have still brought goes, too, and the process ends with
// success, so that nobody starts it again. It belongs to the process: after a crash mail is taken again. What
// waits for a person, or belongs to a suspended account, stays in the store unless all is to go.
type drain struct {
	journal   drainJournal
	queue     drainQueue
	suspended func(identity string) bool
	now       func() time.Time
	log       *zap.Logger
	begun     chan struct{} // of one

	mu   sync.Mutex
	job  web.Drain
	last time.Time // when waiting mail was last told to be tried at once
}

func newDrain(journal drainJournal, queue drainQueue, suspended func(string) bool, now func() time.Time, log *zap.Logger) *drain {
	return &drain{
		journal: journal, queue: queue, suspended: suspended, now: now, log: log, begun: make(chan struct{}, 1),
		job: web.Drain{State: web.DrainOff, Stays: []web.Staying{}},
	}
}

// Drain says how far it is.
func (d *drain) Drain() web.Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.job // its list is never changed in place
}

// on reports whether mail is refused.
func (d *drain) on() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.job.State != web.DrainOff
}

// StartDrain begins.
func (d *drain) StartDrain(until time.Time, all bool, actor string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job.State != web.DrainOff {
		return errDrainBegun
	}
	d.job = web.Drain{State: web.DrainOn, Since: d.now().UTC(), Until: until.UTC(), All: all, Author: actor, Stays: []web.Staying{}}
	d.log.Warn("the gateway is being drained: no mail is taken", zap.String("actor", actor), zap.Bool("all", all), zap.Time("until", until))
	select {
	case d.begun <- struct{}{}:
	default:
	}
	return nil
}

// StopDrain takes mail again, as long as the listeners are open.
func (d *drain) StopDrain(actor string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job.State != web.DrainOn {
		return false
	}
	d.job = web.Drain{State: web.DrainOff, Stays: []web.Staying{}}
	d.log.Warn("the gateway is no longer drained: mail is taken again", zap.String("actor", actor))
	return true
}

// run waits for a drain and carries it out, until ctx ends. closeFronts closes the listeners and returns when
// their sessions have finished; end ends the process.
func (d *drain) run(ctx context.Context, closeFronts, end func()) error {
	tick := time.NewTicker(drainPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.begun:
		}
		if !d.empty(ctx, tick.C) || !d.enter(web.DrainOn, web.DrainClosing) {
			continue
		}
		closeFronts()
		if !d.empty(ctx, tick.C) {
			return nil
		}
		d.conclude()
		select {
		case <-ctx.Done():
		case <-time.After(drainLinger):
		}
		end()
		return nil
	}
}

// enter goes from one state to the next, unless somebody has changed it.
func (d *drain) enter(from, to string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job.State != from {
		return false
	}
	d.job.State = to
	return true
}

// empty lets go what there is until nothing is left or the time is over. It is false when the drain was stopped
// or ctx ended.
func (d *drain) empty(ctx context.Context, tick <-chan time.Time) bool {
	for d.on() { // what is here after a stop is held as ever
		left, err := d.look(ctx)
		job := d.Drain()
		switch {
		case ctx.Err() != nil || job.State == web.DrainOff:
			return false
		case !d.now().Before(job.Until):
			return true
		case err != nil:
			d.log.Error("what is left cannot be read; the drain tries again", zap.Error(err))
		case left == 0:
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick:
		}
	}
	return false
}

// A drainRound is one look at everything that is due.
type drainRound struct {
	left, staying int
	stays         []web.Staying
	release       []policy.ID
	approve       []policy.ID
	waiting       []policy.ID // for another try
}

// look goes through everything that sendgate has still to do, lets go what may, and gives what is left.
func (d *drain) look(ctx context.Context) (left int, err error) {
	job := d.Drain()
	var ids []policy.ID
	err = d.journal.Due(func(m store.DueMessage) bool { ids = append(ids, m.ID); return true })
	d.blind(err != nil)
	if err != nil {
		return 0, err
	}
	r := drainRound{stays: []web.Staying{}}
	for _, id := range ids {
		d.sort(id, job.All, &r)
	}
	released := d.letGo(ctx, &r, job.Author)
	d.hasten(ctx, r.waiting)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job.State != web.DrainOff {
		d.job.Left, d.job.Staying, d.job.Stays = r.left, r.staying, r.stays
		d.job.Released += released
	}
	return r.left, nil
}

// blind notes whether the journal cannot say what is left.
func (d *drain) blind(is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.job.Unknown = is && d.job.State != web.DrainOff
}

// sort puts a message where it belongs. What is being handed through is its client's. What cannot be read stays, and
// keeps nothing else from leaving.
func (d *drain) sort(id policy.ID, all bool, r *drainRound) {
	m, err := d.journal.Message(id)
	if errors.Is(err, store.ErrNotFound) {
		return
	}
	stay := ""
	switch s := m.States; {
	case err != nil:
		m.ID, stay = id, "unreadable"
	case m.Due.IsZero() || s[policy.StateOffered] > 0:
		return
	case s[policy.StateApprovalPending] > 0 && !all:
		stay = "approval"
	case s[policy.StateApprovalPending] > 0:
		r.approve = append(r.approve, id)
	case s[policy.StateHeld] > 0 && !all && d.suspended(m.Envelope.Identity):
		stay = "suspended"
	case s[policy.StateHeld] > 0:
		r.release = append(r.release, id)
	default:
		r.waiting = append(r.waiting, id)
	}
	if stay == "" {
		r.left++
		return
	}
	r.stay(&m, stay)
}

func (r *drainRound) stay(m *store.Message, why string) {
	r.staying++
	if len(r.stays) < drainNamed {
		r.stays = append(r.stays, web.Staying{ID: m.ID.String(), Sender: m.Envelope.Sender.String(), Why: why})
	}
}

// letGo lets messages go. What cannot go now comes again in the next round.
func (d *drain) letGo(ctx context.Context, r *drainRound, actor string) (released int) {
	var group errgroup.Group
	group.SetLimit(drainAtOnce)
	var mu sync.Mutex
	each := func(ids []policy.ID, do func(context.Context, policy.ID, string) error) {
		for _, id := range ids {
			group.Go(func() error {
				if !d.on() { // it was stopped meanwhile
					return nil
				}
				if err := do(ctx, id, actor); err != nil {
					d.log.Info("a message does not go yet", zap.Stringer("id", id), zap.Error(err))
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				released++
				return nil
			})
		}
	}
	each(r.release, d.queue.Release)
	each(r.approve, d.queue.Approve)
	_ = group.Wait() // none fails
	return released
}

// hasten makes what failed before be tried at once, at the begin of a drain only: after that its pauses are as
// long as ever, or an upstream that is away would be asked without end.
func (d *drain) hasten(ctx context.Context, waiting []policy.ID) {
	d.mu.Lock()
	since := d.job.Since
	again := since.Equal(d.last)
	d.last = since
	d.mu.Unlock()
	if again {
		return
	}
	for _, id := range waiting {
		if err := d.hastenOne(ctx, id); err != nil {
			d.log.Info("a message is tried at its own time", zap.Stringer("id", id), zap.Error(err))
		}
	}
}

func (d *drain) hastenOne(ctx context.Context, id policy.ID) error {
	rows, err := d.journal.Recipients(id)
	if err != nil {
		return err
	}
	now := d.now()
	var events []policy.Event
	for i := range rows {
		if r := &rows[i]; r.Counted() && r.State == policy.StateDeferred && r.Due.After(now) {
			events = append(events, policy.Event{
				Kind: policy.Deferred, Untried: true, Time: now, Until: now, Actor: "drain", Recipients: []int{i}, Reply: r.Reply, Reason: "the gateway is being drained: tried at once",
			})
		}
	}
	if len(events) == 0 {
		return nil
	}
	_, err = d.journal.Commit(ctx, store.Change{Message: id, Events: events})
	return err
}

// conclude says what stays. What the time was too short for stays, too.
func (d *drain) conclude() {
	job := d.Drain()
	if job.Left > 0 || job.Unknown {
		r := d.late(job.Stays)
		d.mu.Lock()
		d.job.Staying, d.job.Stays = r.staying, r.stays
		d.mu.Unlock()
	}
	d.enter(web.DrainClosing, web.DrainEnded)
	job = d.Drain()
	for _, s := range job.Stays {
		d.log.Warn("stays in the store until the next start", zap.String("id", s.ID), zap.String("sender", s.Sender), zap.String("why", s.Why))
	}
	d.log.Warn("the gateway is drained and ends", zap.Int("released", job.Released), zap.Int("staying", job.Staying), zap.Bool("more_may_stay", job.Unknown))
}

// late adds to those that stay what has not gone in time.
func (d *drain) late(stays []web.Staying) *drainRound {
	r := &drainRound{stays: slices.Clone(stays), staying: len(stays)}
	known := map[string]bool{}
	for _, s := range stays {
		known[s.ID] = true
	}
	err := d.journal.Due(func(due store.DueMessage) bool {
		m, err := d.journal.Message(due.ID)
		switch {
		case known[due.ID.String()] || errors.Is(err, store.ErrNotFound):
		case err != nil:
			m.ID = due.ID
			r.stay(&m, "unreadable")
		case m.States[policy.StateOffered] == 0:
			r.stay(&m, "time")
		}
		return true
	})
	d.blind(err != nil)
	if err != nil {
		d.log.Error("what is left cannot be read", zap.Error(err))
	}
	return r
}

// closed is the rules while no mail is taken. Both fronts ask them, so both answer 421 4.3.2 (RFC 3463 3.4): the
// listeners stay open, because a person's mail program shows this sentence and not a broken connection, and
// because Postfix would let mail pass unlooked at with milter_default_action=accept. What has been decided on
// before is finished. Inbound mail passes: it is never in our hands.
type closed struct {
	policy.Engine
	drain *drain
}

// Decide puts off what is new.
func (c closed) Decide(ctx context.Context, s policy.Submission) policy.Verdict {
	e := s.Envelope
	if s.Stage == policy.StageContent || e.Direction == policy.Inbound || e.Front == policy.Internal || !c.drain.on() {
		return c.Engine.Decide(ctx, s)
	}
	return policy.Verdict{
		Action: policy.Defer, Rule: drainRule, Code: 421, Status: "4.3.2", Reason: "the gateway is being drained",
		Text: policy.Label{
			EN: "This gateway is being shut down and takes no more mail, try again later",
			ZH: "邮件网关正在停机，暂不接收邮件，请稍后重试",
		},
	}
}
