package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/gateway/track"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

const (
	// maxReports is how many notifications wait to be read; more are left out, and their recipients
	// stay as they were.
	maxReports = 256
	// trackPause is between two tries when the journal cannot take what was found out.
	trackPause = 5 * time.Second
)

// tracking runs the tracker beside the fronts: whatever happens to it, mail goes on.
type tracking struct {
	*track.Tracker
	reports chan []byte
	log     *zap.Logger
}

func newTracking(t *track.Tracker, log *zap.Logger) *tracking {
	return &tracking{Tracker: t, reports: make(chan []byte, maxReports), log: log}
}

// report takes a message that may be a delivery status notification.
func (t *tracking) report(message []byte) {
	select {
	case t.reports <- message:
	default:
		t.log.Warn("too many notifications at once: one was not read")
	}
}

// run follows the logs and reads notifications until ctx ends.
func (t *tracking) run(ctx context.Context) error {
	done := make(chan struct{})
	go func() { defer close(done); t.readReports(ctx) }()
	for {
		err := t.Run(ctx)
		if ctx.Err() != nil {
			break
		}
		t.log.Error("tracking is interrupted, and goes on where it was", zap.Error(err), zap.Duration("pause", trackPause))
		select {
		case <-time.After(trackPause):
		case <-ctx.Done():
		}
	}
	<-done
	return nil
}

func (t *tracking) readReports(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case message := <-t.reports:
			if err := t.Report(ctx, bytes.NewReader(message)); err != nil && ctx.Err() == nil {
				t.log.Warn("a notification could not be recorded", zap.Error(err))
			}
		}
	}
}

// importLog reads a log of the past for the API: what became of mail, and whom our senders know.
func (g *Gateway) importLog(ctx context.Context, name string, r io.Reader) (web.ImportReport, error) {
	cfg := g.loaded()
	directory, err := policy.NewDirectory(cfg.Identities)
	if err != nil {
		return web.ImportReport{}, err
	}
	l := &learner{directory: directory, internal: cfg.Policy.IsInternal, learn: g.limits.Learn, open: map[string]*logged{}}
	pr, pw := io.Pipe()
	taught := make(chan struct{})
	go func() {
		defer close(taught)
		err := l.read(ctx, name, pr)
		_ = pr.CloseWithError(err) // the tracker reads on
		_, _ = io.Copy(io.Discard, pr)
	}()
	i, err := g.tracking.ImportReader(ctx, name, io.TeeReader(r, forgiving{pw}))
	_ = pw.CloseWithError(err)
	<-taught
	return web.ImportReport{Lines: i.Lines, Entries: i.Entries, Events: i.Events}, err
}

// forgiving writes what can be written.
type forgiving struct{ w io.Writer }

// Write never fails.
func (f forgiving) Write(p []byte) (int, error) {
	_, _ = f.w.Write(p)
	return len(p), nil
}

// sources tells the API how the logs are followed.
func (t *tracking) sources() []web.Source {
	status := t.Status()
	all := make([]web.Source, len(status.Sources))
	for i, s := range status.Sources {
		all[i] = web.Source{Name: s.Name, State: web.SourceFollowing, LagSeconds: int64(s.Lag.Seconds()), LastLine: s.LastLine, Gaps: []web.Gap{}}
		if s.CaughtUp {
			all[i].State = web.SourceCaughtUp
		}
		for _, g := range status.Gaps {
			if g.Source == s.Name {
				all[i].Gaps = append(all[i].Gaps, web.Gap{From: g.From, To: g.To, Reason: g.Reason})
			}
		}
	}
	return all
}

// queue lists Postfix's queue for the tracker.
type queue struct{ keeper *postfix.Keeper }

// QueueIDs gives the ids of all queue files.
func (q queue) QueueIDs(ctx context.Context) (map[string]bool, error) {
	return q.keeper.QueueIDs(ctx)
}

// validateTrack wants upstreams that are there, and of which a 250 is only a hop.
func (c *Config) validateTrack(faults *policy.Faults) {
	faults.In("track", c.Track.Validate())
	for i, name := range c.Track.Upstreams {
		if !slices.ContainsFunc(c.Upstreams, func(u upstream.Config) bool { return u.Name == name }) {
			faults.Add(fmt.Sprintf("track.upstreams[%d]", i), name, "there is no upstream of this name")
		}
	}
}
