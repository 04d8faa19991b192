package track

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	// sweepPause is how often it is looked for recipients without evidence.
	sweepPause = time.Minute
	// fullSweep is how often all that is on the way is looked at, rather than what was removed lately.
	fullSweep = time.Hour
	// silence is how long a log may stay behind before that counts as a gap.
	silence = time.Hour
	// listedAfter is the age from which a message has to be in the queue listing, and absentFor how far
	// apart the two listings are that it is missing from.
	listedAfter = 15 * time.Minute
	absentFor   = time.Minute
	listPause   = 5 * time.Minute
	// maxRemoved bounds the removals that are remembered until the next sweep of all.
	maxRemoved = 200_000
	// alertRatio is the share of unknown recipients above which an operator is told, alertPause how
	// often.
	alertRatio = 0.0001
	alertPause = time.Hour
)

// watch remembers a removal. The lock is held.
func (t *Tracker) watch(n *node, at time.Time) {
	if len(t.removed) < maxRemoved {
		t.removed = append(t.removed, removal{n.link.id, at})
	}
}

// sweepLoop looks for recipients without evidence.
func (t *Tracker) sweepLoop(ctx context.Context) error {
	var full time.Time
	for wait(ctx, sweepPause) {
		all := t.now().Sub(full).Abs() >= fullSweep
		if err := t.sweep(ctx, all); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, store.ErrClosed) {
				return err
			}
			t.log.Warn("the look for recipients without evidence is done again", zap.Error(err))
			continue
		}
		if all {
			full = t.now()
		}
	}
	return nil
}

// sweep looks once, at all that is on the way or only at what may have become due.
func (t *Tracker) sweep(ctx context.Context, all bool) error {
	ids := t.dueRemovals()
	states := []policy.State{policy.StateQueued, policy.StateDeferred}
	if all && len(t.cfg.Upstreams) > 0 { // what nobody follows stays there by the million
		states = append(states, policy.StateHandedOver)
	}
	oldest := t.now().Add(-t.cfg.QueueLifetime - time.Hour)
	for _, state := range states {
		err := t.journal.InState(ctx, state, func(id policy.ID) bool {
			if !all && id.Timestamp().After(oldest) {
				return false
			}
			ids = append(ids, id)
			return true
		})
		if err != nil {
			return fmt.Errorf("messages in state %s: %w", state, err)
		}
	}
	slices.SortFunc(ids, policy.ID.Compare)
	for _, id := range slices.Compact(ids) {
		if err := t.examine(ctx, id, nil); err != nil {
			return err
		}
	}
	if err := t.compareQueue(ctx); err != nil {
		return err
	}
	t.measure()
	return nil
}

// dueRemovals takes those removals after which all lines of the queue file have been read.
func (t *Tracker) dueRemovals() (ids []policy.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	upTo := t.evidence(t.now()).Add(-t.cfg.UnknownAfter)
	t.removed = slices.DeleteFunc(t.removed, func(r removal) bool {
		if r.at.After(upTo) {
			return false
		}
		ids = append(ids, r.id)
		return true
	})
	return ids
}

// evidence is the time up to which missing lines count as missing: that up to which all logs have been
// read, or an hour ago where one cannot be read. The lock is held.
func (t *Tracker) evidence(now time.Time) time.Time {
	h := now
	for _, f := range t.feeds {
		line := f.line
		if earliest := now.Add(-silence); line.Before(earliest) && now.Sub(f.heard) > quiet {
			line = earliest
		}
		if line.Before(h) {
			h = line
		}
	}
	return h
}

// examine gives the recipients of a message an end that nothing else will give them. absent is why the
// message is known to be in no queue any more, where it is.
func (t *Tracker) examine(ctx context.Context, id policy.ID, absent *policy.Event) error {
	m, err := t.journal.Message(id)
	if err != nil {
		return ignoreNotFound(err)
	}
	rows, err := t.journal.Recipients(id)
	if err != nil {
		return ignoreNotFound(err)
	}
	records, err := t.journal.Timeline(id)
	if err != nil {
		return ignoreNotFound(err)
	}
	h := readHistory(&m, records)
	c := store.Change{Message: id, Patient: true}
	for i := range rows {
		if r := &rows[i]; t.expected(r) {
			if e, ok := t.missing(&m, r, h, absent); ok {
				c.Events = append(c.Events, e)
			}
		}
	}
	if len(c.Events) == 0 {
		return nil
	}
	if err := t.commitOne(ctx, &c); err != nil {
		return err
	}
	for i := range c.Events {
		e := &c.Events[i]
		t.log.Info(string(e.Kind), zap.Stringer("id", id), zap.Int("recipient", e.Recipients[0]), zap.String("queue_id", e.QueueID), zap.String("reason", e.Reason))
	}
	return nil
}

// expected reports whether a row is on the way where the logs should tell of its end.
func (t *Tracker) expected(r *policy.Row) bool {
	if !r.Counted() || !r.Due.IsZero() {
		return false // what sendgate itself has to act on is not lost
	}
	switch r.State {
	case policy.StateQueued, policy.StateDeferred:
		return true
	case policy.StateHandedOver:
		return t.followed(r)
	}
	return false
}

// followed reports whether somebody handed over to has a log among ours. What the log itself calls
// handed over is given to a program, or to a relay that says no queue id.
func (t *Tracker) followed(r *policy.Row) bool {
	if byLog(r) {
		return false
	}
	name, _, _ := strings.Cut(r.Upstream, " ")
	return slices.Contains(t.cfg.Upstreams, name)
}

// A history is what the timeline of a message says about its queue files.
type history struct {
	sent    time.Time // when it last went on its way
	removed map[string]*policy.Event
}

func readHistory(m *store.Message, records []store.Record) history {
	h := history{sent: m.Envelope.Received, removed: map[string]*policy.Event{}}
	for _, r := range records {
		for i := range r.Events {
			switch e := &r.Events[i]; e.Kind {
			case policy.Released, policy.Resent, policy.HandedOver, policy.Approved:
				if e.Time.After(h.sent) {
					h.sent = e.Time
				}
			case policy.Dequeued:
				h.removed[e.QueueID] = e
			}
		}
	}
	return h
}

// missing gives the end of a row without one, by the rules (a) and (c), or (b) where absent says so.
func (t *Tracker) missing(m *store.Message, r *policy.Row, h history, absent *policy.Event) (policy.Event, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	read := t.evidence(now)
	queueID := r.QueueID
	if queueID == "" {
		queueID = m.Envelope.QueueID
	}
	e := policy.Event{
		Kind: policy.Unknown, Time: now, Actor: actor, Recipients: []int{r.Index}, QueueID: queueID, Rule: "no_evidence",
	}
	end := read
	switch removed := h.removed[queueID]; {
	case removed != nil && !removed.Time.After(read.Add(-t.cfg.UnknownAfter)):
		end = removed.Time
		e.Evidence = removed.Evidence
		e.Reason = "the queue file was removed, and no line says what became of this recipient"
		e.Key = "removed "
		removedBy(&e, removed, m.Envelope.Front)
	case absent != nil:
		e.Reason, e.Evidence, e.Key = absent.Reason, absent.Evidence, "absent "
	case h.sent.Before(read.Add(-t.cfg.QueueLifetime-time.Hour)) && t.untold(m, r, queueID):
		e.Kind, e.Rule, e.Reason, e.Key = policy.HandedOver, "", reasonUntold, "untold "
	case h.sent.Before(read.Add(-t.cfg.QueueLifetime-time.Hour)) && t.unfollowed(h.sent.Add(t.cfg.QueueLifetime)):
		e.Kind, e.Rule, e.Reason, e.Key = policy.HandedOver, "", reasonUnfollowed, "unfollowed "
	case h.sent.Before(read.Add(-t.cfg.QueueLifetime - time.Hour)):
		e.Reason = fmt.Sprintf("no end within the queue lifetime of %v", t.cfg.QueueLifetime)
		e.Key = "lifetime "
	default:
		return e, false
	}
	if e.Kind == policy.Unknown {
		if g, ok := t.gap(h.sent, end); ok {
			e.Rule = "gap"
			e.Reason = fmt.Sprintf("lines of the log %s are missing from %s to %s: %s", g.Source, stamp(g.From), stamp(g.To), g.Reason)
		}
	}
	e.Key += fmt.Sprint(queueID, " ", r.Index)
	return e, true
}

// What is said of recipients whose end stands in no log that was ever followed.
const (
	reasonUntold     = "handed over, not followed further"
	reasonUnfollowed = "handed over before any log was followed"
)

// untold reports whether a row went on to a queue of which no line was ever read: the log of that
// server is not followed. The lock is held.
func (t *Tracker) untold(m *store.Message, r *policy.Row, queueID string) bool {
	if r.State != policy.StateQueued || r.Reason != reasonHop || r.Upstream != "" {
		return false
	}
	return !slices.ContainsFunc(t.graph.byQueue[queueID], func(n *node) bool { return n.link != nil && n.link.id == m.ID })
}

// removedBy tells from a missing end what was removed on purpose.
func removedBy(e *policy.Event, removed *policy.Event, front policy.Front) {
	switch removed.Reason {
	case reasonByHand, reasonDropped:
		e.Kind, e.Rule, e.Reason = policy.Blocked, "postfix", removed.Reason
	case reasonAborted:
		if front == policy.Milter {
			e.Kind, e.Rule, e.Reason = policy.NeverQueued, "postfix", "Postfix did not accept the message; its client was not told so"
		}
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}

// compareQueue looks for messages that are in no queue although nothing says that they left it: rule
// (b). Only the queue that our milter and helper serve can be listed.
func (t *Tracker) compareQueue(ctx context.Context) error {
	if t.lister == nil || t.now().Sub(t.listed).Abs() < listPause {
		return nil
	}
	t.listed = t.now()
	listed, err := t.lister.QueueIDs(ctx)
	if err != nil {
		t.log.Debug("the queue could not be listed", zap.Error(err))
		return nil
	}
	now := t.now()
	absent, young := map[policy.ID]time.Time{}, []policy.ID(nil)
	for _, state := range []policy.State{policy.StateQueued, policy.StateDeferred} {
		err := t.journal.InState(ctx, state, func(id policy.ID) bool {
			if now.Sub(id.Timestamp()) < listedAfter {
				young = append(young, id)
				return len(young) < maxYoung
			}
			absent[id] = now
			return true
		})
		if err != nil {
			return err
		}
	}
	for id := range absent {
		if err := t.learnHost(id, listed); err != nil {
			return err
		}
	}
	for _, id := range young {
		if err := t.learnHost(id, listed); err != nil {
			return err
		}
	}
	for id := range absent {
		if err := t.compareOne(ctx, id, listed, absent, now); err != nil {
			return err
		}
	}
	t.absent = absent
	return nil
}

// maxYoung bounds the messages of the last minutes that are looked up in the listing.
const maxYoung = 1000

// learnHost remembers the host of a message that is listed: the queue is that host's, and that of
// another Postfix with our milter is not.
func (t *Tracker) learnHost(id policy.ID, listed map[string]bool) error {
	m, err := t.journal.Message(id)
	if err != nil {
		return ignoreNotFound(err)
	}
	if m.Envelope.Front != policy.Milter || !listed[m.Envelope.QueueID] {
		return nil
	}
	rows, err := t.journal.Recipients(id)
	if err != nil {
		return ignoreNotFound(err)
	}
	if host := queueHost(&m, rows); host != "" && !t.lists(host) {
		t.hosts = append(t.hosts, host)
	}
	return nil
}

// lists reports whether the listing is that of a host.
func (t *Tracker) lists(host string) bool {
	return host != "" && slices.ContainsFunc(t.hosts, func(h string) bool { return sameHost(h, host) })
}

// queueHost is the host whose milter has brought a message, as the milter or the log names it.
func queueHost(m *store.Message, rows policy.Rows) string {
	for i := range rows {
		if r := &rows[i]; r.QueueID == m.Envelope.QueueID && r.Upstream != "" {
			host, _, _ := strings.Cut(r.Upstream, "/")
			return host
		}
	}
	return ""
}

func (t *Tracker) compareOne(ctx context.Context, id policy.ID, listed map[string]bool, absent map[policy.ID]time.Time, now time.Time) error {
	m, err := t.journal.Message(id)
	if err != nil {
		delete(absent, id)
		return ignoreNotFound(err)
	}
	rows, err := t.journal.Recipients(id)
	if err != nil {
		return ignoreNotFound(err)
	}
	here := m.Envelope.Front == policy.Milter && m.Envelope.QueueID != "" && !listed[m.Envelope.QueueID] && t.lists(queueHost(&m, rows))
	for i := range rows {
		if r := &rows[i]; r.Counted() && !r.State.Final() && r.QueueID != m.Envelope.QueueID {
			here = false // it is in another queue
		}
	}
	since, before := t.absent[id]
	t.mu.Lock()
	_, gap := t.gap(m.Envelope.Received, now)
	caught := !t.horizon(now).Before(now.Add(-absentFor))
	t.mu.Unlock()
	switch {
	case !here || gap || !caught:
		delete(absent, id)
		return nil
	case !before:
		return nil
	}
	absent[id] = since
	if now.Sub(since) < absentFor {
		return nil
	}
	return t.examine(ctx, id, &policy.Event{
		Reason: "the message is not in the queue, and no line says what became of this recipient", Evidence: "queue listing without " + m.Envelope.QueueID,
	})
}

// measure gives the share of unknown recipients, and tells an operator when it is too high.
func (t *Tracker) measure() {
	now := t.now()
	var all, unknown int64
	for state, n := range t.journal.Counts(now.Add(-24*time.Hour), now.Add(time.Hour)) {
		all += n
		if state == policy.StateUnknown {
			unknown = n
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ratio = 0
	if all > 0 {
		t.ratio = float64(unknown) / float64(all)
	}
	if t.ratio > alertRatio && now.Sub(t.alerted) >= alertPause {
		t.alerted = now
		t.log.Warn("too many recipients are unknown: look for gaps in the logs", zap.Int64("unknown", unknown),
			zap.Int64("recipients", all), zap.Float64("ratio", t.ratio), zap.Int("gaps", len(t.gaps)))
	}
}
