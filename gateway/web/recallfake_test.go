package web

import (
	"context"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// fakeRecalls gives the reports that it was given.
type fakeRecalls struct {
	now    time.Time
	refuse error // of Plan, Start and the acts
	// begun is what a recall is like when it has begun, where there is one.
	begun *policy.RecallReport
	// foreseen is what a dry run is like, where there is one.
	foreseen func(policy.RecallRequest) *policy.RecallReport
	stats    *policy.RecallStats

	mu      sync.Mutex
	reports []*policy.RecallReport // newest first
	request policy.RecallRequest   // the last one
	planned bool
	acts    []string
	span    [2]time.Time
	changed chan struct{}
	windows map[string]time.Duration // by role; none: recalls are switched off
}

func newFakeRecalls(now time.Time) *fakeRecalls {
	const week = 7 * 24 * time.Hour
	return &fakeRecalls{
		now: now, changed: make(chan struct{}, 1), stats: &policy.RecallStats{},
		windows: map[string]time.Duration{"admin": week, "operator": week, "auditor": 24 * time.Hour},
	}
}

func (f *fakeRecalls) window(role string) (time.Duration, bool) {
	window, ok := f.windows[role]
	return window, ok
}

func (f *fakeRecalls) Plan(_ context.Context, r policy.RecallRequest) (*policy.RecallReport, error) {
	f.mu.Lock()
	f.request, f.planned = r, true
	f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	if f.foreseen != nil {
		report := f.foreseen(r)
		report.Request, report.DryRun, report.Requested = r, true, f.now
		return report, nil
	}
	return &policy.RecallReport{
		Request: r, DryRun: true, Requested: f.now, Overall: policy.RecallInProgress, Counts: policy.RecallCounts{Processing: 1},
		Lines: []policy.RecallLine{{Message: r.Messages[0], Address: "bob@example.net", Code: policy.RecallPlanned, Text: policy.RecallPlanned.Label()}},
	}, nil
}

func (f *fakeRecalls) Start(_ context.Context, r policy.RecallRequest) (*policy.RecallReport, error) {
	f.request = r
	if f.refuse != nil {
		return nil, f.refuse
	}
	report := &policy.RecallReport{
		ID: policy.ID{0: 1, 15: byte(len(f.reports))}, Request: r, Requested: f.now, Overall: policy.RecallInProgress, Counts: policy.RecallCounts{Processing: 1},
	}
	if f.begun != nil {
		begun := *f.begun
		begun.ID, begun.Request, begun.Requested = report.ID, r, f.now
		report = &begun
	}
	f.put(report)
	return report, nil
}

// put is the newest recall from now on.
func (f *fakeRecalls) put(r *policy.RecallReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append([]*policy.RecallReport{r}, f.reports...)
}

// set changes a recall, and says so.
func (f *fakeRecalls) set(change func(*policy.RecallReport)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.reports[0]
	change(&next)
	f.reports[0] = &next
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *fakeRecalls) Report(_ context.Context, id policy.ID) (*policy.RecallReport, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.reports {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, store.ErrNotFound
}

func (f *fakeRecalls) List(_ context.Context, before policy.ID, n int) (page []*policy.RecallReport, err error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	for _, r := range f.reports {
		if (before == policy.ID{} || r.ID.Compare(before) < 0) && len(page) < n {
			page = append(page, r)
		}
	}
	return page, nil
}

func (f *fakeRecalls) act(ctx context.Context, what string, id policy.ID) (*policy.RecallReport, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	r, err := f.Report(ctx, id)
	if err == nil {
		f.acts = append(f.acts, what)
	}
	return r, err
}

func (f *fakeRecalls) Cancel(ctx context.Context, id policy.ID, actor string) (*policy.RecallReport, error) {
	return f.act(ctx, "cancel by "+actor, id)
}

func (f *fakeRecalls) Approve(ctx context.Context, id policy.ID, who policy.RecallRequester) (*policy.RecallReport, error) {
	return f.act(ctx, "approve by "+who.Actor+" as "+who.Role, id)
}

func (f *fakeRecalls) Restore(ctx context.Context, id policy.ID, recipients []string, actor string) (*policy.RecallReport, error) {
	what := "restore by " + actor
	for _, a := range recipients {
		what += " " + a
	}
	return f.act(ctx, what, id)
}

func (f *fakeRecalls) Watch(policy.ID) (<-chan struct{}, func()) { return f.changed, func() {} }

func (f *fakeRecalls) Stats(_ context.Context, from, to time.Time) (*policy.RecallStats, error) {
	f.span = [2]time.Time{from, to}
	return f.stats, f.refuse
}
