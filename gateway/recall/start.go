package recall

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// Start begins a recall. It is durable when the error is nil; what it has come to within two seconds is in the
// report. What the rules do not allow is a [*policy.RecallRefusal], the first one in the order of their codes.
func (e *Engine) Start(ctx context.Context, req policy.RecallRequest) (*policy.RecallReport, error) {
	j, err := e.admission(ctx, req)
	if err != nil {
		return nil, err
	}
	e.firstResults(ctx, j)
	return e.report(context.WithoutCancel(ctx), j)
}

// admission checks a request and records it.
func (e *Engine) admission(ctx context.Context, req policy.RecallRequest) (*job, error) {
	e.door.Lock()
	defer e.door.Unlock()
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
	if err := e.fresh(&req, works); err != nil {
		return nil, err
	}
	recipients, err := e.affordable(&req, works, cfg, now)
	if err != nil {
		return nil, err
	}
	rec := record{Version: recordVersion, Request: req, Missing: missing}
	for _, w := range works {
		rec.Targets = append(rec.Targets, w.target)
	}
	if cfg.ApprovalOver > 0 && recipients > cfg.ApprovalOver {
		rec.ApproveUntil = now.Add(cfg.ApprovalExpires)
	}
	j, err := e.record(ctx, rec, recipients, now)
	if err != nil {
		return nil, err
	}
	for i, p := range j.parts {
		p.targets = works[i].targets
	}
	e.alarm(j)
	e.watch(j)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.enrol(j), nil
}

// affordable checks what depends on the size of a request, and on what its sender has asked for before. It counts
// the recipients.
func (e *Engine) affordable(req *policy.RecallRequest, works []*work, cfg *Config, now time.Time) (recipients int, err error) {
	for _, w := range works {
		w.targets = len(w.indexes())
		recipients += w.targets
	}
	recalls, _ := e.spent(&req.Requester, now)
	switch {
	case cfg.ReasonRequired && strings.TrimSpace(req.Reason) == "":
		return 0, refuseReason()
	case req.Requester.Role == user && cfg.PerHour > 0 && recalls >= cfg.PerHour:
		return 0, refuseRate(cfg.PerHour)
	case recipients > maxRecipients:
		return 0, refuseSize()
	}
	return recipients, nil
}

// record makes a recall durable before anything is done for it, and counts it.
func (e *Engine) record(ctx context.Context, rec record, recipients int, now time.Time) (*job, error) {
	id := e.Journal.NewID()
	req := &rec.Request
	ev := policy.Event{Kind: policy.RecallRequested, Time: now, Actor: req.Requester.Actor, Reason: req.Reason}
	if err := e.say(ctx, id, ev, rec); err != nil {
		return nil, err
	}
	e.Log.Info("recall_requested", zap.Stringer("recall", id), zap.String("actor", req.Requester.Actor), zap.Int("messages", len(rec.Targets)),
		zap.Int("recipients", recipients), zap.Bool("waits_for_approval", !rec.ApproveUntil.IsZero()))
	j := newJob(id, now.Truncate(time.Microsecond), rec) // as the journal keeps times
	e.used = append(e.used, used{now, person(&req.Requester), id, recipients})
	return j, nil
}

// alarm tells administrators that a user takes back a lot.
func (e *Engine) alarm(j *job) {
	who, cfg := &j.Request.Requester, e.config()
	if who.Role != user || cfg.AlarmOver == 0 {
		return
	}
	if _, recipients := e.spent(who, j.requested); recipients > cfg.AlarmOver {
		e.Alarm(Alarm{Recall: j.id, Requester: *who, Messages: len(j.parts), Recipients: recipients})
	}
}

// count takes a recall of an earlier process into account.
func (e *Engine) count(j *job, now time.Time) {
	if now.Sub(j.requested) >= time.Hour {
		return
	}
	recipients := 0
	for _, t := range j.Targets {
		if recipients += len(t.Chosen); t.Chosen == nil {
			recipients += t.Rows
		}
	}
	e.door.Lock()
	defer e.door.Unlock()
	if !slices.ContainsFunc(e.used, func(u used) bool { return u.recall == j.id }) {
		e.used = append(e.used, used{j.requested, person(&j.Request.Requester), j.id, recipients})
	}
}

// firstResults waits until everything was looked at once, but not for long.
func (e *Engine) firstResults(ctx context.Context, j *job) {
	e.mu.Lock()
	running := e.running
	e.mu.Unlock()
	if running == nil {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-j.first:
	case <-timer.C:
	case <-ctx.Done():
	case <-running.Done():
	}
}
