package recall

import (
	"context"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// end records that a recall has ended, with what it came to, when everything of it is at an end. An overall
// result that is empty follows from the counts.
func (e *Engine) end(ctx context.Context, j *job, overall string) {
	now := e.now()
	j.mu.Lock()
	switch {
	case overall != "":
	case j.stopped != "":
		overall = policy.RecallCancelled
	default:
		overall = j.counts().Overall()
	}
	s := j.summarise(overall)
	s.Corrected = j.ends > 0 && j.differs(&s)
	j.mu.Unlock()
	err := e.say(context.WithoutCancel(ctx), j.id, policy.Event{Kind: policy.RecallEnded, Time: now, Actor: j.actor(), Reason: overall}, s)
	if err != nil {
		e.Log.Error("the end of a recall could not be recorded yet", zap.Stringer("recall", j.id), zap.Error(err))
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended, j.summary, j.changed = now, s, false
	j.corrected = j.corrected || s.Corrected
	if j.ends++; j.ends == 1 || s.Corrected {
		j.due, j.telling = true, try{}
	}
	j.mark()
	j.tell()
	e.Log.Info("recall_ended", zap.Stringer("recall", j.id), zap.String("overall", overall), zap.Int("success", s.Counts.Success),
		zap.Int("fail", s.Counts.Fail), zap.Bool("corrected", s.Corrected), zap.String("actor", j.actor()))
}

// differs reports whether somebody was told something else than what is in a summary. The caller has the lock.
func (j *job) differs(s *summary) bool {
	if s.Counts != j.summary.Counts {
		return true
	}
	for _, p := range j.parts {
		for _, l := range p.lines {
			if l.told != "" && l.told != l.code.Status() {
				return true
			}
		}
	}
	return false
}

// mark notes what is told. The caller has the lock.
func (j *job) mark() {
	for _, p := range j.parts {
		for _, lines := range []map[int]line{p.lines, p.known} {
			for i, l := range lines {
				l.told = l.code.Status()
				lines[i] = l
			}
		}
	}
}

// tellRequester sends the report of a recall that has ended, or the corrected one.
func (e *Engine) tellRequester(ctx context.Context, j *job) {
	now := e.now()
	j.mu.Lock()
	due := j.due && !j.ended.IsZero() && !j.telling.next.After(now)
	j.mu.Unlock()
	if !due || !e.config().Report || ctx.Err() != nil {
		return
	}
	id, err := e.tellOnce(ctx, j)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		j.due = false
		return
	}
	e.Log.Error("the report of a recall could not be sent yet", zap.Stringer("recall", j.id), zap.Stringer("report", id), zap.Error(err))
	if j.telling.after(now); j.telling.next.After(j.ended.Add(e.config().RetryFor)) {
		j.due = false
	}
}

func (e *Engine) tellOnce(ctx context.Context, j *job) (id policy.ID, err error) {
	r, err := e.report(ctx, j)
	if err != nil {
		return id, err
	}
	if id, err = e.Reporter.Report(ctx, r); err != nil {
		return id, err
	}
	ev := policy.Event{Kind: policy.Notified, Time: e.now(), Actor: "recall"}
	if id != (policy.ID{}) {
		ev.Subject = id.String()
	}
	if err := e.say(context.WithoutCancel(ctx), j.id, ev, nil); err != nil {
		e.Log.Error("that a report was sent could not be recorded", zap.Stringer("recall", j.id), zap.Error(err))
	}
	return id, nil
}
