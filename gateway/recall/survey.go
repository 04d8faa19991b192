package recall

import (
	"context"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// survey looks at every member and touches nothing.
func (e *Engine) survey(ctx context.Context, j *job, g *group) {
	before := g.members
	g.members = make([]member, len(g.rows))
	e.remember(g.work)
	var tasks []task
	for k, i := range g.rows {
		m := &g.members[k]
		if m.row = i; k < len(before) {
			m.trouble = before[k].trouble
		}
		if l := j.latest(g.part, i); l.done() {
			m.outcome = outcome{code: l.code, evidence: l.evidence, copies: l.copies}
			continue
		}
		if o, ok := g.read[i]; ok {
			m.outcome = o
			continue
		}
		code, stage := e.judge(j, g.work, i)
		if stage == inQueue && g.passed[i] {
			stage = inMailbox
		}
		m.outcome, m.stage = outcome{code: code, evidence: proof(&g.work.rows[i])}, stage
		if stage != inMailbox {
			continue
		}
		if m.seat, m.outcome = e.admit(j, g.work, i); m.seat != nil {
			tasks = append(tasks, task{m.seat.name, func() { e.surveyOne(ctx, j, g, m) }})
		}
	}
	e.each(ctx, j.acting, tasks)
}

func (e *Engine) surveyOne(ctx context.Context, j *job, g *group, m *member) {
	copies := j.latest(g.part, m.row).copies
	v, err := m.seat.look(ctx, copies)
	if err != nil {
		m.outcome = trouble(g.work, m.row, err)
	} else {
		m.sight = v
		m.outcome = e.assess(j, g.work, m.row, &m.sight)
		if flag := readIn(m.sight.staged); j.unread() && flag != "" {
			m.outcome = outcome{code: policy.ReadDuringRecall, evidence: places(v.staged)}
		} else if len(copies) > 0 && readIn(m.sight.live) != "" && m.outcome.code == policy.AlreadyRead {
			m.outcome.code = policy.ReadDuringRecall
		}
	}
	m.outcome.copies = copies
	m.outcome = e.timed(j, g.work, m.row, m.outcome, e.now())
}

// readIn gives the flag that says that one of the copies was read.
func readIn(copies []mailbox.Copy) string {
	for k := range copies {
		if flag := copies[k].Read(); flag != "" {
			return flag
		}
	}
	return ""
}
