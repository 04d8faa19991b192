package recall

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A comeback is a copy on its way back to its owner.
type comeback struct {
	part *part
	row  int
	line line
	left []policy.MailCopy // that could not be put back
	err  error
}

// Restore puts back what a recall took out of the mailboxes of recipients, of all when none is named. What cannot
// be put back stays where it is; the error says so when that is all of it.
func (e *Engine) Restore(ctx context.Context, id policy.ID, recipients []string, actor string) (*policy.RecallReport, error) {
	j, err := e.find(id)
	if err != nil {
		return nil, err
	}
	all, err := e.restorable(j, recipients)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, refuseRestore()
	}
	var mu sync.Mutex
	var tasks []task
	for k := range all {
		c := &all[k]
		tasks = append(tasks, task{c.line.copies[0].Backend, func() {
			left, err := e.comeBack(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			c.left, c.err = left, err
		}})
		c.left, c.err = c.line.copies, context.Canceled // until its turn
	}
	e.each(ctx, always, tasks)
	if err := e.restored(ctx, j, all, actor); err != nil {
		return nil, err
	}
	return e.report(context.WithoutCancel(ctx), j)
}

// restorable gives the copies of the recipients meant that lie in staging.
func (e *Engine) restorable(j *job, recipients []string) (all []comeback, err error) {
	wanted := policy.NewSelection(recipients)
	for _, p := range j.parts {
		w, err := e.read(p)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		j.mu.Lock()
		for _, i := range w.rows.Resolve(wanted.Of(w.rows)) {
			if l := p.lines[i]; l.done() && staged(l.copies) {
				all = append(all, comeback{part: p, row: i, line: l})
			}
		}
		j.mu.Unlock()
	}
	return all, nil
}

func staged(copies []policy.MailCopy) bool {
	for _, c := range copies {
		if c.Mode == string(mailbox.Staging) {
			return true
		}
	}
	return false
}

// comeBack puts the copies of one row back. One that is not in staging counts only when it is in a folder of its
// owner: an earlier try was cut off.
func (e *Engine) comeBack(ctx context.Context, c *comeback) (left []policy.MailCopy, err error) {
	for _, k := range c.line.copies {
		b, ok := e.Mailboxes.Named(k.Backend)
		switch {
		case k.Mode != string(mailbox.Staging):
			left = append(left, k)
			continue
		case !ok:
			left, err = append(left, k), fmt.Errorf("no mailboxes named %q are configured", k.Backend)
			continue
		}
		problem := b.Restore(ctx, k.User, k)
		if errors.Is(problem, mailbox.ErrGone) && e.back(ctx, c, b, k.User) {
			problem = nil
		}
		if problem != nil {
			left, err = append(left, k), problem
		}
	}
	return left, err
}

// back reports whether the message lies in a folder of its owner.
func (e *Engine) back(ctx context.Context, c *comeback, b mailbox.Backend, user string) bool {
	w, err := e.read(c.part)
	if err != nil {
		return false
	}
	s := &seat{Backend: b, user: user, match: e.match(w)}
	v, err := s.look(ctx, nil)
	return err == nil && len(v.live) > 0
}

// restored records what was put back.
func (e *Engine) restored(ctx context.Context, j *job, all []comeback, actor string) error {
	now := e.now()
	var failure error
	byPart := map[*part][]*comeback{}
	for k := range all {
		c := &all[k]
		if len(c.left) == len(c.line.copies) {
			failure = fmt.Errorf("put back: %w", c.err)
			e.Log.Warn("what was taken cannot be put back", zap.Stringer("recall", j.id), zap.Stringer("id", c.part.Message), zap.Int("recipient", c.row), zap.Error(c.err))
			continue
		}
		byPart[c.part] = append(byPart[c.part], c)
	}
	for p, list := range byPart {
		for len(list) > 0 {
			n := min(len(list), batch)
			if err := e.recordRestored(ctx, j, p, list[:n], actor); err != nil {
				return err
			}
			list = list[n:]
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tell()
	if len(byPart) > 0 {
		e.Log.Info("recall_restored", zap.Stringer("recall", j.id), zap.String("actor", actor), zap.Time("time", now))
		return nil
	}
	return failure
}

func (e *Engine) recordRestored(ctx context.Context, j *job, p *part, list []*comeback, actor string) error {
	now := e.now()
	var events []policy.Event
	for _, c := range list {
		evidence := ""
		for _, k := range c.line.copies {
			evidence += fmt.Sprintf("%q UID %d back to %q\n", k.Staged, k.UID, k.Folder)
		}
		events = append(events, policy.Event{
			Kind: policy.Restored, Time: now, Actor: actor, Subject: j.id.String(), Recipients: []int{c.row}, Evidence: evidence[:len(evidence)-1], Copies: c.left,
		})
	}
	if _, err := e.Journal.Commit(context.WithoutCancel(ctx), store.Change{Message: p.Message, Events: events}); err != nil {
		return fmt.Errorf("record what was put back: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for k, c := range list {
		l := c.line
		l.code, l.actor, l.time, l.evidence, l.copies = policy.RecallRestored, actor, now, events[k].Evidence, c.left
		p.lines[c.row], p.known[c.row] = l, l
	}
	return nil
}
