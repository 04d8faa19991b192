package track

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// committing is how many changes wait for the journal at a time; it batches them.
	committing = 256
	// asking is how many questions the journal answers at a time.
	asking = 8
	// journalPause is between two tries to write to a journal that cannot.
	journalPause = time.Second
)

// A work is what follows from a batch: a change for each message, and questions to the journal.
type work struct {
	changes []store.Change
	at      map[policy.ID]int
	asks    []*node
	asked   map[*node]bool
	said    []*node // events of the changes make their links durable
	nested  []nesting
	whole   map[string]bool // the keys of events that follow from what was said of a whole queue file
	holds   []*mark         // of lines that had waited: the cursors pass them when the changes are durable
}

// A nesting is a member of a group that turned out to be a group itself. event names a member of it;
// the row of the inner group has its index only when it is in the journal.
type nesting struct {
	id    policy.ID
	inner *leaf
	event policy.Event
}

func newWork() *work {
	return &work{at: map[policy.ID]int{}, asked: map[*node]bool{}, whole: map[string]bool{}}
}

// add puts an event about the message of a queue file into the work.
func (w *work) add(n *node, e policy.Event) {
	id := n.link.id
	i, ok := w.at[id]
	if !ok {
		i = len(w.changes)
		w.at[id] = i
		w.changes = append(w.changes, store.Change{Message: id, Patient: true})
	}
	c := &w.changes[i]
	c.Events = append(c.Events, e)
	if e.QueueID == n.queueID && !n.said {
		w.said = append(w.said, n)
	}
}

// addWhole is add of an event that follows from what was said of a whole queue file.
func (w *work) addWhole(n *node, e policy.Event) {
	w.whole[e.Key] = true
	w.add(n, e)
}

// hold lets the cursors stay at batches until the work is concluded. The lock is held.
func (w *work) hold(marks []*mark) {
	for _, m := range marks {
		m.open++
	}
	w.holds = append(w.holds, marks...)
}

func (w *work) ask(n *node) {
	if !w.asked[n] {
		w.asked[n] = true
		w.asks = append(w.asks, n)
	}
}

// commit writes the work to the journal. It ends with the context, or when the journal was closed.
func (t *Tracker) commit(ctx context.Context, w *work) error {
	var group errgroup.Group
	group.SetLimit(committing)
	for i := range w.changes {
		group.Go(func() error {
			if err := t.spare(w, &w.changes[i]); err != nil || len(w.changes[i].Events) == 0 {
				return err
			}
			return t.commitOne(ctx, &w.changes[i])
		})
	}
	return group.Wait()
}

// spare leaves out of a change what was said of a whole queue file and would take from sendgate what
// it still has to send: nobody else would. The milter's own queue file is the message itself.
func (t *Tracker) spare(w *work, c *store.Change) error {
	if !slices.ContainsFunc(c.Events, func(e policy.Event) bool { return w.whole[e.Key] }) {
		return nil
	}
	m, err := t.journal.Message(c.Message)
	if err != nil {
		return ignoreNotFound(err)
	}
	rows, err := t.journal.Recipients(c.Message)
	if err != nil {
		return ignoreNotFound(err)
	}
	c.Events = slices.DeleteFunc(c.Events, func(e policy.Event) bool {
		after, changed := slices.Clone(rows).Apply(e)
		if w.whole[e.Key] && slices.ContainsFunc(changed, func(i int) bool { return ownsStill(&m, rows, after, i) }) {
			return true
		}
		rows = after
		return false
	})
	return nil
}

// ownsStill reports whether a row would lose that sendgate has to act on it.
func ownsStill(m *store.Message, rows, after policy.Rows, i int) bool {
	if i >= len(rows) || rows[i].Due.IsZero() || !after[i].Due.IsZero() {
		return false
	}
	return m.Envelope.Front != policy.Milter || rows[i].Attempt > 1
}

// flatten tells the journal of the groups in groups.
func (t *Tracker) flatten(ctx context.Context, w *work) error {
	for _, n := range w.nested {
		rows, err := t.journal.Recipients(n.id)
		if err != nil {
			return ignoreNotFound(err)
		}
		for i := range rows {
			if r := &rows[i]; r.Group == n.inner.index+1 && !r.Superseded && r.Address.Key() == n.inner.key {
				n.event.Recipients = []int{i}
				if err := t.commitOne(ctx, &store.Change{Message: n.id, Events: []policy.Event{n.event}, Patient: true}); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// commitOne tries until the journal can write: the line will not come again.
func (t *Tracker) commitOne(ctx context.Context, c *store.Change) error {
	for {
		_, err := t.journal.Commit(ctx, *c)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrClosed):
			return err
		case !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrFailed):
			t.metrics.failed.Inc()
			t.log.Error("a change from the log cannot be kept", zap.Stringer("id", c.Message), zap.Int("events", len(c.Events)), zap.Error(err))
			return nil
		}
		t.log.Warn("the log waits for the journal", zap.Error(err))
		if !wait(ctx, journalPause) {
			return ctx.Err()
		}
	}
}

// wait waits, and reports whether the context still goes on.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// askAll asks the journal about the queue files of the work and links those that it knows. last says
// that it is the last time.
func (t *Tracker) askAll(ctx context.Context, w *work, last bool) error {
	nodes := w.asks
	w.asks = nil
	if len(nodes) == 0 {
		return ctx.Err()
	}
	questions := make([]question, len(nodes))
	t.mu.Lock()
	for i, n := range nodes {
		questions[i] = n.question()
	}
	t.mu.Unlock()
	answers := make([]*answer, len(nodes))
	var group errgroup.Group
	group.SetLimit(asking)
	for i := range questions {
		group.Go(func() error {
			a, ok, err := t.ask(questions[i])
			if ok {
				answers[i] = &a
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		if errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
			return err
		}
		t.log.Warn("the journal could not be asked about queue files", zap.Error(err))
		last = false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, n := range nodes {
		t.hear(w, n, answers[i], last)
	}
	return nil
}

// hear takes an answer.
func (t *Tracker) hear(w *work, n *node, a *answer, last bool) {
	switch {
	case n.link != nil: // an edge was quicker
	case a != nil:
		t.connect(w, n, a)
	case n.parent != "" && (n.requeued || last):
		t.inherit(w, n)
	}
	n.next = t.now().Add(firstPause << (2 * min(n.tries, 6)))
	n.tries++
	if last {
		t.retry(w, n, true)
		t.graph.settle(n)
	}
}

// connect links a queue file as the journal says.
func (t *Tracker) connect(w *work, n *node, a *answer) {
	l := t.graph.attach(n, t.graph.shared(a.subject))
	l.partial = a.partial
	if a.named {
		l.carryRows(a.rows)
	} else {
		l.carryNewest()
	}
	for i := range l.targets {
		l.targets[i].whole = a.whole && l.targets[i].member == ""
	}
	l.unsure = len(l.targets) > 1 && (!a.named || a.by == byMessageID)
	l.early = n.messageID == "" && !n.long() && a.by != byIdent
	for _, tg := range l.targets {
		l.seen[tg.leaf] = tg.queueID == n.queueID
	}
	n.said = a.durable
	if a.by != "" && a.named {
		t.sayLink(w, n, "found by "+a.by)
	}
	if n.said {
		w.said = append(w.said, n)
	}
	t.retry(w, n, false)
}

// conclude notes what has become durable.
func (t *Tracker) conclude(w *work) {
	for _, m := range w.holds {
		m.open--
	}
	for _, n := range w.said {
		n.said = n.link != nil
		if n.link != nil && len(n.pending) == 0 {
			t.graph.settle(n)
		}
	}
}
