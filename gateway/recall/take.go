package recall

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// A removal is the work on one mailbox.
type removal struct {
	*seat
	unread   bool
	copies   []policy.MailCopy // taken so far
	evidence []string
}

func (t *removal) said(evidence string) {
	if evidence != "" {
		t.evidence = append(t.evidence, evidence)
	}
}

func (t *removal) outcome(code policy.RecallCode) outcome {
	return outcome{code: code, evidence: strings.Join(t.evidence, "\n"), copies: t.copies}
}

// empty takes all copies of a message out of a mailbox, and looks again until there is none. It does not say
// that it is gone before it has seen so.
func (e *Engine) empty(ctx context.Context, j *job, w *work, s *seat) outcome {
	l := j.latest(w.part, s.row)
	t := &removal{seat: s, unread: j.unread(), copies: slices.Clone(l.copies)}
	for range maxLooks {
		v, err := s.look(ctx, t.copies)
		if err != nil {
			return t.failed(trouble(w, s.row, err))
		}
		o := e.assess(j, w, s.row, &v)
		switch {
		case o.code == policy.RecallPlanned:
			t.said(o.evidence)
			if o := t.take(ctx, w, v.live); o.code != "" {
				return e.undo(ctx, t, o, l.done())
			}
		case o.code == policy.RecallStaged && len(v.unknown(t.copies)) > 0:
			t.said("set aside by an earlier try:\n" + o.evidence)
			if o := t.take(ctx, w, v.unknown(t.copies)); o.code != "" {
				return e.undo(ctx, t, o, l.done())
			}
		case o.code == policy.RecallStaged, len(v.live) == 0 && len(t.copies) > 0:
			t.finish(ctx)
			return t.outcome(policy.RemovedFromMailbox)
		default:
			if !l.done() {
				t.copies = s.adopted(&v, t.copies)
			}
			return e.undo(ctx, t, o, l.done())
		}
	}
	o := t.outcome(policy.Retrying)
	o.last = policy.MailboxUnreachable
	return o
}

// failed keeps what was taken in an outcome that is none of it.
func (t *removal) failed(o outcome) outcome {
	o.copies = t.copies
	if len(o.copies) > 0 && !o.processing() { // what lies in staging is not given up
		o.code, o.last = policy.Retrying, o.code
	}
	return o
}

// take takes copies. Of several ones each is staged first, so that all can go back when one was read. An
// outcome without a code says: go on and look again.
func (t *removal) take(ctx context.Context, w *work, copies []mailbox.Copy) outcome {
	options := mailbox.Options{UnreadOnly: t.unread}
	if len(copies) > 1 {
		options.Mode = mailbox.Staging
	}
	for _, c := range copies {
		got, err := t.Take(ctx, t.user, c, options)
		if err != nil {
			return trouble(w, t.row, err)
		}
		t.said(got.Evidence)
		switch got.Outcome {
		case mailbox.Removed:
			t.keep(got.Copy)
		case mailbox.ReadMeanwhile:
			return outcome{code: policy.ReadDuringRecall, evidence: got.Evidence}
		}
	}
	return outcome{}
}

// keep notes a copy that was taken, once.
func (t *removal) keep(c policy.MailCopy) {
	c.Recipient, c.Backend = t.row, t.name
	if !slices.ContainsFunc(t.copies, func(x policy.MailCopy) bool { return samePlace(x, c) && x.UID != 0 }) {
		t.copies = append(t.copies, c)
	}
}

// finish does with staged copies what the backend's mode says, where they were staged for the sake of others.
// One for which that fails stays in staging, which is as good: nobody can read it there.
func (t *removal) finish(ctx context.Context) {
	if len(t.copies) < 2 {
		return
	}
	t.settle(ctx)
}

func (t *removal) settle(ctx context.Context) {
	for i, c := range t.copies {
		if c.Mode != string(mailbox.Staging) {
			continue
		}
		got, err := t.Take(ctx, t.user, mailbox.Copy{
			Folder: c.Staged, FolderID: c.StagedID, UID: c.UID, Flags: c.Flags, Internal: c.Internal, Staged: true,
		}, mailbox.Options{})
		if err == nil && got.Outcome == mailbox.Removed {
			n := got.Copy
			n.Recipient, n.Backend, n.Folder, n.Flags, n.Internal = c.Recipient, c.Backend, c.Folder, c.Flags, c.Internal
			t.copies[i] = n
		}
	}
}

// undo puts back what was taken when the whole did not succeed, except for what waits only. A row that had come
// to a good end before, and of which one more copy has turned up, stays as it is.
func (e *Engine) undo(ctx context.Context, t *removal, o outcome, ended bool) outcome {
	switch {
	case len(t.copies) == 0:
		return o
	case o.processing() || ended:
		o.copies = t.copies
		return o
	}
	left, err := t.putBack(ctx)
	if err != nil { // the next look finds the same reason, and tries it again
		return outcome{code: policy.Retrying, evidence: o.evidence + "\nnot put back yet: " + err.Error(), copies: left, last: policy.MailboxUnreachable}
	}
	o.copies = left
	return o
}

// putBack puts copies back that lie in staging. It gives those that could not be, with the last reason that is
// worth another try.
func (t *removal) putBack(ctx context.Context) (left []policy.MailCopy, err error) {
	for _, c := range t.copies {
		if c.Mode != string(mailbox.Staging) {
			left = append(left, c)
			continue
		}
		switch e := t.Restore(ctx, t.user, c); {
		case e == nil, errors.Is(e, mailbox.ErrGone):
		default:
			left, err = append(left, c), e
		}
	}
	return left, err
}
