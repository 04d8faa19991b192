package recall

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// A member is one of a group that is taken back from all or from none.
type member struct {
	row     int
	stage   stage
	seat    *seat
	sight   sight
	outcome outcome
	trouble outcome // why its copy could not be set aside; without a code it could
}

// A group is the members of one that are meant, as they were seen last.
type group struct {
	*work
	rows    []int
	members []member
	// passed marks rows of which the queue has said that it does not have them.
	passed map[int]bool
	// read is who was seen reading while the copies were set aside. It is told with the others' outcomes, and not
	// before: alone it would name who keeps it from being taken back.
	read map[int]outcome
	mu   sync.Mutex // guards read
}

// together takes a message back from all members of a group, or leaves it with all of them. Nothing is touched
// before everyone was looked at; then it is set aside, out of everybody's reach but so that it can go back; and
// only when everyone was looked at again it stays so.
func (e *Engine) together(ctx context.Context, j *job, g *group) {
	for range maxLooks + 1 { // to set aside, to ask the queue, to set aside what it did not have, and two for what moves
		e.survey(ctx, j, g)
		switch {
		case ctx.Err() != nil, !j.acting():
			return
		case g.blockers() > 0:
			e.release(ctx, j, g)
			return
		case g.any(waits):
			e.await(ctx, j, g)
			return
		case g.any(func(m *member) bool { return m.outcome.code == policy.RecallPlanned || len(m.stray()) > 0 }):
			e.setAside(ctx, j, g)
		case g.any(func(m *member) bool { return m.stage == inQueue }): // last: nothing goes back there
			if !e.groupQueue(ctx, j, g) {
				return
			}
		default:
			e.settle(ctx, j, g)
			return
		}
	}
	e.exhausted(ctx, j, g)
}

// exhausted ends looks that come to nothing: mostly a mailbox does not let its copy be set aside.
func (e *Engine) exhausted(ctx context.Context, j *job, g *group) {
	e.survey(ctx, j, g)
	if ctx.Err() != nil || !j.acting() {
		return
	}
	for k := range g.members {
		if m := &g.members[k]; m.outcome.code == policy.RecallPlanned && m.trouble.code != "" {
			m.trouble.copies = m.outcome.copies
			m.outcome = e.timed(j, g.work, m.row, m.trouble, e.now())
		}
	}
	if g.blockers() > 0 {
		e.release(ctx, j, g)
		return
	}
	e.await(ctx, j, g)
}

// waits reports whether a member's mailbox does not have it yet, or cannot be looked into now.
func waits(m *member) bool {
	return m.stage != inQueue && m.outcome.processing() && m.outcome.code != policy.RecallPlanned && m.outcome.code != policy.RecallStaged
}

func (g *group) any(is func(*member) bool) bool {
	for k := range g.members {
		if is(&g.members[k]) {
			return true
		}
	}
	return false
}

// keeps reports whether the outcome of a member keeps it from being taken back from the others: what was put back
// on purpose does not.
func keeps(c policy.RecallCode) bool {
	return c.Status() == policy.RecallFail && c != policy.RecallRestored
}

func (g *group) blockers() (n int) {
	for k := range g.members {
		if keeps(g.members[k].outcome.code) {
			n++
		}
	}
	return n
}

// stray gives the staged copies of a member that nobody has written down.
func (m *member) stray() []mailbox.Copy {
	if m.outcome.code != policy.RecallStaged {
		return nil
	}
	return m.sight.unknown(m.outcome.copies)
}

// groupQueue takes back what members have in queues. It reports whether the group can be looked at again at
// once: nothing is under way just now.
func (e *Engine) groupQueue(ctx context.Context, j *job, g *group) bool {
	var rows []int
	for k := range g.members {
		if g.members[k].stage == inQueue {
			rows = append(rows, g.members[k].row)
		}
	}
	outcomes, mail, err := e.fromQueue(ctx, j, g.work, rows)
	if err != nil {
		return false
	}
	for _, i := range mail { // what is in its mailbox is looked at with the others
		g.passed[i] = true
		delete(outcomes, i)
	}
	again := true
	for k := range g.members {
		m := &g.members[k]
		o, ok := outcomes[m.row]
		if !ok {
			continue
		}
		m.outcome, m.stage = e.timed(j, g.work, m.row, o, e.now()), atEnd
		again = again && !m.outcome.processing()
		e.note(ctx, j, g.work, m.row, m.outcome)
	}
	if !again {
		e.await(ctx, j, g)
	}
	return again
}

// setAside moves the copies of all members into staging.
func (e *Engine) setAside(ctx context.Context, j *job, g *group) {
	var tasks []task
	for k := range g.members {
		m := &g.members[k]
		copies := m.sight.live
		if m.outcome.code == policy.RecallStaged {
			copies = m.stray()
		} else if m.outcome.code != policy.RecallPlanned {
			continue
		}
		if len(copies) > 0 {
			tasks = append(tasks, task{m.seat.name, func() { e.setAsideOne(ctx, j, g, m, copies) }})
		}
	}
	e.each(ctx, j.acting, tasks)
}

// setAsideOne writes down what was moved, and that somebody has read it; anything else is seen at the next look.
func (e *Engine) setAsideOne(ctx context.Context, j *job, g *group, m *member, copies []mailbox.Copy) {
	t := &removal{seat: m.seat, unread: j.unread(), copies: m.outcome.copies}
	t.said(m.outcome.evidence)
	for _, c := range copies {
		got, err := t.Take(ctx, t.user, c, mailbox.Options{UnreadOnly: t.unread, Mode: mailbox.Staging})
		if err != nil {
			m.trouble = trouble(g.work, m.row, err)
			break
		}
		t.said(got.Evidence)
		if got.Outcome == mailbox.Removed {
			t.keep(got.Copy)
		}
		if got.Outcome == mailbox.ReadMeanwhile {
			left, err := t.putBack(ctx)
			o := outcome{code: policy.ReadDuringRecall, evidence: strings.Join(t.evidence, "\n"), copies: left}
			if err == nil {
				g.saw(m.row, o)
				return
			}
			t.copies = left
			break
		}
	}
	if len(t.copies) > 0 {
		e.note(ctx, j, g.work, m.row, t.outcome(policy.RecallStaged))
	}
}

// saw notes that a member has read it meanwhile.
func (g *group) saw(row int, o outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read[row] = o
}

// settle ends it well: everyone's copy is set aside and nobody has read it.
func (e *Engine) settle(ctx context.Context, j *job, g *group) {
	ctx = context.WithoutCancel(ctx)
	var tasks []task
	for k := range g.members {
		m := &g.members[k]
		if m.outcome.code != policy.RecallStaged {
			if !m.outcome.processing() {
				e.note(ctx, j, g.work, m.row, m.outcome)
			}
			continue
		}
		tasks = append(tasks, task{m.seat.name, func() {
			t := &removal{seat: m.seat, copies: m.outcome.copies}
			t.settle(ctx)
			t.said(j.latest(g.part, m.row).evidence)
			t.said("all members were looked at again")
			e.note(ctx, j, g.work, m.row, t.outcome(policy.RemovedFromMailbox))
		}})
	}
	e.each(ctx, always, tasks)
}

// always is for what has been decided: who cancels the recall now comes too late.
func always() bool { return true }

// release ends it badly: who blocks it is written down, and everyone else's copy goes back to where it was.
func (e *Engine) release(ctx context.Context, j *job, g *group) {
	why := fmt.Sprintf("%d of %d members", g.blocking(), len(g.members))
	e.giveBack(ctx, j, g, func(m *member) outcome {
		o := m.outcome
		if s := o.code.Status(); s == policy.RecallFail || s == policy.RecallSuccess && m.stage == atEnd {
			return o
		}
		return outcome{code: policy.GroupMemberBlocked, evidence: why, copies: o.copies}
	})
}

// blocking counts the members because of whom the others are blocked.
func (g *group) blocking() (n int) {
	for k := range g.members {
		if c := g.members[k].outcome.code; keeps(c) && c != policy.GroupMemberBlocked {
			n++
		}
	}
	return n
}

// await leaves everything as it is until a member's mailbox can be looked into, and looks at all again then.
func (e *Engine) await(ctx context.Context, j *job, g *group) {
	e.giveBack(ctx, j, g, func(m *member) outcome {
		o := m.outcome
		switch {
		case !o.processing() && m.stage == atEnd:
			return o
		case m.stage != inQueue && o.processing() && o.code != policy.RecallStaged:
			return o
		}
		return outcome{code: policy.RecallPlanned, copies: o.copies}
	})
}

// giveBack puts back what was set aside and writes down what final says of each member.
func (e *Engine) giveBack(ctx context.Context, j *job, g *group, final func(*member) outcome) {
	ctx = context.WithoutCancel(ctx)
	outcomes := make([]outcome, len(g.members))
	var tasks []task
	for k := range g.members {
		m := &g.members[k]
		o := final(m)
		if m.seat != nil {
			o.copies = m.seat.adopted(&m.sight, o.copies)
		}
		outcomes[k] = o
		if m.seat == nil || len(o.copies) == 0 {
			continue
		}
		tasks = append(tasks, task{m.seat.name, func() {
			t := &removal{seat: m.seat, copies: o.copies}
			left, err := t.putBack(ctx)
			if o.copies = left; err != nil {
				o = outcome{code: policy.Retrying, evidence: "not put back yet: " + err.Error(), copies: left, last: policy.MailboxUnreachable}
			}
			outcomes[k] = o
		}})
	}
	e.each(ctx, always, tasks)
	for k := range g.members { // told together
		e.note(ctx, j, g.work, g.members[k].row, outcomes[k])
	}
}
