package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

const (
	// recallFrames is the least time between two events of one recall.
	recallFrames = 250 * time.Millisecond
	// recallShare bounds the share of its time that a viewer keeps us reading: a large recall is read seldom.
	recallShare = 10
)

// framePause is how long a recall is not read again after a reading that took some time.
func framePause(took time.Duration) time.Duration { return max(recallFrames, recallShare*took) }

// streamRecall shows how a recall gets on. The recall is read once before, so that one that is not there is
// a problem and not an empty stream.
func (s *Server) streamRecall(ctx context.Context, in *recallIDInput) (*huma.StreamResponse, error) {
	id, err := recallID(in.ID)
	if err != nil {
		return nil, err
	}
	if _, err := s.recalls.Report(ctx, id); err != nil {
		return nil, s.recallProblem("read recall", err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.closing, cancel)()
		out := &eventWriter{w: w, control: http.NewResponseController(w), entitled: func() bool { return s.stillIs(r) }}
		out.begin()
		why := s.followRecall(ctx, id, func(r *policy.RecallReport) error {
			return out.event("", "recall", recallSummary(r))
		})
		s.log.Debug("the events of a recall ended", zap.Stringer("recall", id), zap.Error(why))
	}}, nil
}

// followRecall reads a recall now and whenever it has changed, at most once in a pause, until it has ended,
// ctx ends, or yield fails.
func (s *Server) followRecall(ctx context.Context, id policy.ID, yield func(*policy.RecallReport) error) error {
	changed, stop := s.recalls.Watch(id)
	defer stop()
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		began := time.Now()
		r, err := s.recalls.Report(ctx, id)
		if err != nil {
			return err
		}
		pause := framePause(time.Since(began))
		if err := yield(r); err != nil || !r.Ended.IsZero() {
			return err
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
