package track

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

const (
	// pause is how long a log may say nothing before it is asked whether lines are missing there.
	pause = time.Hour
	// clockSlack is how far the times of lines may be from ours as they come.
	clockSlack = time.Hour
	// clockPause is how often an operator is told.
	clockPause = time.Hour
	// notFollowed is the reason of the gap before the first line of a log.
	notFollowed = "this log was not followed before"
)

// seen is what is told of the lines of a log: from when to when they are, and of which hosts.
type seen struct {
	from, to            time.Time
	entries, unreadable int64
	spans               []span          // without a pause
	hosts               map[string]span // by the host that wrote them
}

// A span is a stretch of time.
type span struct{ from, to time.Time }

func (s *span) add(t time.Time) {
	if s.from.IsZero() || t.Before(s.from) {
		s.from = t
	}
	if t.After(s.to) {
		s.to = t
	}
}

// at notes the time and host of a line.
func (s *seen) at(t time.Time, host string) {
	all := span{s.from, s.to}
	all.add(t)
	s.from, s.to = all.from, all.to
	if s.hosts == nil {
		s.hosts = map[string]span{}
	}
	host = shortHost(host)
	if of, known := s.hosts[host]; known || len(s.hosts) < maxHosts {
		of.add(t)
		s.hosts[host] = of
	}
	if n := len(s.spans); n > 0 && !t.Before(s.spans[n-1].from.Add(-pause)) && !t.After(s.spans[n-1].to.Add(pause)) {
		s.spans[n-1].add(t)
		return
	}
	if len(s.spans) < maxSpans {
		s.spans = append(s.spans, span{t, t})
	}
}

// Bounds of what is remembered of a log: the hosts that are told apart, and the pauses.
const (
	maxHosts = 1000
	maxSpans = 10_000
)

// host is that of all lines, empty where there are several or none.
func (s *seen) host() string {
	if len(s.hosts) != 1 {
		return ""
	}
	for host := range s.hosts {
		return host
	}
	return ""
}

// beginning notes that nothing was followed before the first line of a log, where mail of that time is
// on the way: what became of it may stand in lines that nobody has read.
func (t *Tracker) beginning(ctx context.Context, f *feed) error {
	if !f.fresh || f.seen.from.IsZero() {
		return nil
	}
	older := false
	for _, state := range []policy.State{policy.StateQueued, policy.StateDeferred, policy.StateHandedOver} {
		err := t.journal.InState(ctx, state, func(id policy.ID) bool {
			older = older || id.Timestamp().Before(f.seen.from)
			return !older
		})
		if err != nil {
			return err
		}
	}
	if older {
		if err := t.addGaps(f, []source.Gap{{To: f.seen.from, Reason: notFollowed}}); err != nil {
			return err
		}
	}
	f.fresh = false
	return nil
}

// unfollowed reports whether no log was followed at a time.
func (t *Tracker) unfollowed(at time.Time) bool {
	for _, g := range t.gaps {
		if g.From.IsZero() && g.Reason == notFollowed && at.Before(g.To) {
			return true
		}
	}
	return false
}

// compareClock tells an operator when lines that have just been written bear a time that is far from
// ours. What is ahead is wrong in any case; what is behind may be old lines until all have been read.
// The lock is held.
func (t *Tracker) compareClock(f *feed, b *source.Batch) {
	if f.newest.IsZero() {
		return
	}
	now := t.now()
	off := f.newest.Sub(now)
	live := f.caught && b.Caught && now.Sub(f.heard) < quiet
	switch {
	case off > clockSlack, live && off < -clockSlack:
		f.off = off
	case live || off > -clockSlack:
		f.off = 0
		return
	default:
		return
	}
	if now.Sub(f.warned) >= clockPause {
		f.warned = now
		t.log.Warn("lines of the log bear times far from now: look at the clock and the time zone",
			zap.String("source", f.source.Name()), zap.Duration("off", off), zap.Time("newest", f.newest))
	}
}
