package recall

import (
	"context"

	"github.com/sendgate/sendgate/policy"
)

// Plan says what a recall would come to if it were asked for now. It looks into mailboxes and queues and touches
// nothing. It refuses what can never be; a missing reason and the limits of how often come with Start.
func (e *Engine) Plan(ctx context.Context, req policy.RecallRequest) (*policy.RecallReport, error) {
	cfg, now := e.config(), e.now()
	if !cfg.Enabled {
		return nil, refuseDisabled()
	}
	req = normalise(req, cfg)
	works, missing, err := e.resolve(&req)
	if err != nil {
		return nil, err
	}
	if err := e.allowed(&req, works, cfg, now); err != nil {
		return nil, err
	}
	r := &policy.RecallReport{Request: req, DryRun: true, Requested: now, Missing: missing, Overall: policy.RecallInProgress}
	j := newJob(policy.ID{}, now, record{Request: req})
	recipients := 0
	for _, w := range works {
		w.part = newPart(w.target)
		e.foresee(ctx, j, w, r)
		e.relate(w, r)
		recipients += len(w.indexes())
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.Counts.Fail += len(missing); r.Counts.Processing == 0 {
		r.Overall = r.Counts.Overall()
	}
	if cfg.ApprovalOver > 0 && recipients > cfg.ApprovalOver {
		r.ApproveUntil = now.Add(cfg.ApprovalExpires)
	}
	return r, nil
}

// foresee adds to a report what a recall would come to for one message.
func (e *Engine) foresee(ctx context.Context, j *job, w *work, r *policy.RecallReport) {
	all := &group{work: w, rows: w.indexes()}
	e.survey(ctx, j, all)
	lines := map[int]line{}
	for k := range all.members {
		m := &all.members[k]
		lines[m.row] = line{code: m.outcome.code, evidence: m.outcome.evidence}
	}
	if j.Request.GroupMode == policy.AllOrNothing {
		w.veto(lines)
	}
	w.describe(r, lines)
}

// veto marks the members of groups in which somebody blocks the others.
func (w *work) veto(lines map[int]line) {
	blocked := map[int]bool{}
	for i, l := range lines {
		if g := w.rows[i].Group; g > 0 && l.code.Status() == policy.RecallFail {
			blocked[g] = true
		}
	}
	for i, l := range lines {
		if g := w.rows[i].Group; blocked[g] && l.code.Status() != policy.RecallFail && l.code != policy.NeverDelivered && l.code != policy.AlreadyRecalled {
			lines[i] = line{code: policy.GroupMemberBlocked}
		}
	}
}
