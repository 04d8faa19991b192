package recall

import (
	"context"
	"errors"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A turn is what is due in one message: rows to be tried in queues, in mailboxes, and whole groups.
type turn struct {
	*work
	queue  []int
	mail   []int
	groups []*group
	// otherwise is what counts for a row when its mailbox does not have it.
	otherwise map[int]outcome
}

// gather reads the messages in which something is due.
func (e *Engine) gather(ctx context.Context, j *job) (turns []*turn) {
	now := e.now()
	for _, p := range j.parts {
		h, due := j.hearsay(p, now)
		if !due || ctx.Err() != nil {
			continue
		}
		w, err := e.read(p)
		switch {
		case errors.Is(err, store.ErrNotFound):
			e.forgotten(ctx, j, p)
		case err != nil:
			e.Log.Error("a message of a recall cannot be read", zap.Stringer("recall", j.id), zap.Error(err))
			j.mu.Lock()
			p.all, p.next = true, now.Add(pauses[0])
			j.mu.Unlock()
		default:
			turns = append(turns, e.turn(ctx, j, w, h, now))
		}
	}
	return turns
}

// A hearsay is what was heard about a message since it was looked at.
type hearsay struct {
	rows    map[int]bool
	members map[string]bool
	all     bool
}

func (h *hearsay) has(r *policy.Row) bool { return h.rows[r.Index] || h.members[r.Address.Key()] }

// hearsay takes what was heard about a message, and reports whether something is due in it.
func (j *job) hearsay(p *part, now time.Time) (h hearsay, due bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h = hearsay{p.dirty, p.members, p.all}
	due = p.all || len(p.dirty) > 0 || len(p.members) > 0 || !p.next.IsZero() && !p.next.After(now)
	p.dirty, p.members, p.all = map[int]bool{}, map[string]bool{}, false
	return h, due
}

// turn says what is to be done in a message.
func (e *Engine) turn(ctx context.Context, j *job, w *work, h hearsay, now time.Time) *turn {
	t := &turn{work: w, otherwise: map[int]outcome{}}
	w.again = map[int]bool{}
	j.mu.Lock()
	indexes := w.tidy(w)
	due := make([]int, 0, len(indexes))
	for _, i := range indexes {
		l, heard := w.known[i], h.has(&w.rows[i])
		switch {
		case !l.done() && (l.code == "" || heard || !w.tries[i].next.After(now)):
		case l.done() && contradicted(&l, &w.rows[i], heard):
		default:
			continue
		}
		due = append(due, i)
		if t := w.tries[i]; heard && !l.done() { // what was heard may be in flux
			t.count = 0
			w.tries[i] = t
		}
		if j.ends > 0 {
			w.again[i] = true
			if t := w.tries[i]; t.from.IsZero() || l.done() {
				w.tries[i] = try{from: now}
			}
		}
	}
	j.mu.Unlock()
	grouped := map[int]bool{}
	for _, i := range due {
		// Who was decided on before is looked after alone; who has only now become known shares the group's lot.
		if g := w.rows[i].Group; g > 0 && j.Request.GroupMode == policy.AllOrNothing && (!w.again[i] || j.latest(w.part, i).code == "") {
			grouped[g] = true
			continue
		}
		e.route(ctx, j, t, i)
	}
	t.groups = groupsOf(w, indexes, grouped)
	return t
}

// contradicted reports whether later evidence has it otherwise than what was said: it was delivered after all,
// or what was not known is known. What has arrived once more where it was taken out is looked for again.
func contradicted(l *line, r *policy.Row, heard bool) bool {
	switch l.code {
	case policy.RemovedFromHold, policy.RemovedFromQueue, policy.NeverDelivered:
		return r.State == policy.StateDeliveredMailbox || r.State == policy.StateRelayedRemote
	case policy.AlreadyRecalled: // by somebody else; heard, because it may have been put back on purpose
		return heard && (r.State == policy.StateDeliveredMailbox || r.State == policy.StateRelayedRemote)
	case policy.RecallUnknown:
		return r.State != policy.StateUnknown && r.State.Final()
	case policy.RemovedFromMailbox:
		return heard
	}
	return false
}

// route sends a row to where it can be taken out, or writes down why it cannot.
func (e *Engine) route(ctx context.Context, j *job, t *turn, i int) {
	code, stage := e.judge(j, t.work, i)
	switch {
	case t.again[i] && j.latest(t.part, i).code == policy.RemovedFromMailbox:
		t.mail = append(t.mail, i)
	case stage == inQueue:
		t.queue = append(t.queue, i)
	case stage == inMailbox:
		t.mail = append(t.mail, i)
	default:
		e.note(ctx, j, t.work, i, outcome{code: code, evidence: proof(&t.rows[i])})
	}
}

// groupsOf gives the groups of which a member is due, each with all of its members that are meant.
func groupsOf(w *work, indexes []int, due map[int]bool) (groups []*group) {
	at := map[int]int{}
	for _, i := range indexes {
		g := w.rows[i].Group
		if !due[g] {
			continue
		}
		k, ok := at[g]
		if !ok {
			k = len(groups)
			at[g] = k
			groups = append(groups, &group{work: w, passed: map[int]bool{}, read: map[int]outcome{}})
		}
		groups[k].rows = append(groups[k].rows, i)
	}
	return groups
}

// forgotten is what becomes of a message that is not stored any more.
func (e *Engine) forgotten(ctx context.Context, j *job, p *part) {
	w := &work{part: p, rows: make(policy.Rows, p.Rows)}
	indexes := p.Chosen
	if indexes == nil {
		indexes = rowsOf(&policy.Event{}, p.Rows)
	}
	for _, i := range indexes {
		if l := j.latest(p, i); !l.done() {
			e.note(ctx, j, w, i, outcome{code: policy.RecallUnknown, evidence: "the message is not stored any more", copies: l.copies})
		}
	}
	j.mu.Lock()
	p.open, p.next = 0, time.Time{}
	j.mu.Unlock()
}
