package recall

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Report gives what a recall has come to so far. store.ErrNotFound when there is none of this id.
func (e *Engine) Report(ctx context.Context, id policy.ID) (*policy.RecallReport, error) {
	j, err := e.find(id)
	if err != nil {
		return nil, err
	}
	return e.report(ctx, j)
}

// List gives at most n recalls that were asked for before another one, newest first, without their lines. The zero
// id stands for the newest.
func (e *Engine) List(ctx context.Context, before policy.ID, n int) (list []*policy.RecallReport, err error) {
	for id, err := range e.recorded(ctx, before) {
		if err != nil {
			return nil, err
		}
		if len(list) == n {
			break
		}
		r, err := e.head(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// head gives the report of a recall without its lines.
func (e *Engine) head(id policy.ID) (*policy.RecallReport, error) {
	e.mu.Lock()
	j := e.jobs[id]
	e.mu.Unlock()
	if j == nil {
		var err error
		if j, err = e.load(id); err != nil {
			return nil, err
		}
		if j.ended.IsZero() {
			if err := e.fold(j); err != nil {
				return nil, err
			}
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.head()
	if !j.ended.IsZero() {
		r.Counts = j.summary.Counts
	} else {
		r.Counts = j.counts()
	}
	return r, nil
}

// head gives a report without counts and lines. The caller has the lock.
func (j *job) head() *policy.RecallReport {
	r := &policy.RecallReport{
		ID: j.id, Request: j.Request, Requested: j.requested, Ended: j.ended, ApproveUntil: j.ApproveUntil, ApprovedBy: j.approvedBy,
		Missing: j.Missing, Corrected: j.corrected,
	}
	switch {
	case !j.ended.IsZero():
		r.Overall = j.summary.Overall
	case j.begun.IsZero() && j.stopped == "":
		r.Overall = policy.RecallAwaitingApproval
	default:
		r.Overall = policy.RecallInProgress
	}
	return r
}

// report gives the whole report of a job as far as it is durable.
func (e *Engine) report(ctx context.Context, j *job) (*policy.RecallReport, error) {
	j.mu.Lock()
	r := j.head()
	lines := make([]map[int]line, len(j.parts))
	for i, p := range j.parts {
		lines[i] = make(map[int]line, len(p.lines))
		for k, l := range p.lines {
			lines[i][k] = l
		}
	}
	j.mu.Unlock()
	for i, p := range j.parts {
		w, err := e.read(&part{target: p.target, known: lines[i], lines: lines[i]})
		if errors.Is(err, store.ErrNotFound) {
			w = &work{part: &part{target: p.target}, rows: make(policy.Rows, p.Rows)}
		} else if err != nil {
			return nil, err
		}
		w.describe(r, lines[i])
		e.relate(w, r)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	r.Counts.Fail += len(r.Missing)
	if slices.ContainsFunc(r.Lines, func(l policy.RecallLine) bool { return l.Code == policy.RecallRestored }) &&
		(r.Overall == policy.RecallAllSuccess || r.Overall == policy.RecallPartial) {
		r.Overall = r.Counts.Overall() // since it ended, copies went back
	}
	return r, nil
}

// describe adds the lines and groups of a message to a report.
func (w *work) describe(r *policy.RecallReport, lines map[int]line) {
	indexes := w.indexes()
	meant := map[int]bool{}
	for _, i := range indexes {
		meant[i] = true
	}
	for i, l := range lines { // those that were sent once more since, see tidy
		if !meant[i] && i < len(w.rows) && w.rows[i].State != policy.StateExpanded && l.done() {
			indexes = append(indexes, i)
		}
	}
	slices.Sort(indexes)
	groups := map[int]int{}
	for _, i := range indexes {
		row, l := &w.rows[i], lines[i]
		if l.code == "" {
			l.code = policy.RecallPlanned
		}
		v := policy.RecallLine{
			Message: w.Message, Index: i, Address: row.Address, Code: l.code, Text: worded(&l, row), Detail: l.evidence, Time: l.time,
		}
		r.Counts.Add(l.code)
		if row.Group > 0 {
			v.Group = w.rows[row.Group-1].Address
			w.member(r, groups, row, l.code)
		}
		r.Lines = append(r.Lines, v)
	}
}

// member counts a member in the report of its group.
func (w *work) member(r *policy.RecallReport, groups map[int]int, row *policy.Row, code policy.RecallCode) {
	k, ok := groups[row.Group]
	if !ok {
		k = len(r.Groups)
		groups[row.Group] = k
		r.Groups = append(r.Groups, policy.RecallGroup{Message: w.Message, Address: w.rows[row.Group-1].Address})
	}
	g := &r.Groups[k]
	g.Counts.Add(code)
	if keeps(code) && code != policy.GroupMemberBlocked && r.Request.GroupMode == policy.AllOrNothing {
		g.BlockedBy++
		g.Blockers = append(g.Blockers, row.Address)
	}
}

// relate adds the answers and forwards of a message to a report.
func (e *Engine) relate(w *work, r *policy.RecallReport) {
	ids, err := e.references(w.message.Envelope.MessageID)
	if err != nil {
		e.Log.Warn(fmt.Sprintf("what refers to message %s cannot be read: %v", w.Message, err))
	}
	for _, id := range ids {
		m, err := e.Journal.Message(id)
		if err != nil || id == w.Message {
			continue
		}
		r.Related = append(r.Related, policy.RecallRelated{
			Message: id, Of: w.Message, Sender: m.Envelope.Sender, Subject: m.Envelope.Subject, Recipients: m.Counted(), State: m.State(),
			Held: m.States[policy.StateHeld]+m.States[policy.StateApprovalPending] > 0,
		})
	}
}
