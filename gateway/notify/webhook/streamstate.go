package webhook

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// at is the place.
func (s *stream) at() place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place
}

// moved notes that everything up to a place was told.
func (s *stream) moved(end place) {
	s.mu.Lock()
	s.place.Batch, s.place.Position = end.Batch, end.Position
	s.mu.Unlock()
	s.keep(false)
}

func (s *stream) disabled() bool { return s.at().Disabled != "" }

// skipped moves the place to the end of the journal if somebody has asked for it.
func (s *stream) skipped() bool {
	s.mu.Lock()
	asked := s.skip
	if asked {
		s.skip, s.oldest = false, time.Time{}
		s.failing, s.next, s.retries = time.Time{}, time.Time{}, 0 // a try that was under way may have failed since
		s.place.Batch, s.place.Position = s.journal.LastBatch(), endOfBatch
	}
	s.mu.Unlock()
	if asked {
		s.keep(true)
	}
	return asked
}

// interrupted reports whether somebody has asked to skip what waits.
func (s *stream) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.skip
}

// begin notes the time of the oldest event that is being posted; zero when there is none.
func (s *stream) begin(oldest time.Time) {
	s.mu.Lock()
	s.oldest = oldest
	s.mu.Unlock()
}

// succeeded notes that an event was taken.
func (s *stream) succeeded() {
	s.events.WithLabelValues("delivered").Inc()
	s.mu.Lock()
	again := !s.failing.IsZero()
	told := s.told
	s.delivered, s.last, s.failing, s.retries, s.next, s.told = s.delivered+1, time.Now(), time.Time{}, 0, time.Time{}, false
	s.mu.Unlock()
	if again {
		s.log.Info("webhook takes events again")
	}
	if told {
		s.tell(Condition{Webhook: s.config.Name, Host: s.host, State: Well})
	}
}

// failed notes a failure, and tells people when there has been no success for long.
func (s *stream) failed(err error, wait time.Duration) {
	s.events.WithLabelValues("failed").Inc()
	now := time.Now()
	s.mu.Lock()
	first := s.failing.IsZero()
	if first {
		s.failing = now
	}
	s.err, s.errAt, s.next, s.retries = err.Error(), now, now.Add(wait), s.retries+1
	late := !s.told && now.Sub(s.failing) >= Behind
	s.told = s.told || late
	s.mu.Unlock()
	if first {
		s.log.Warn("webhook fails; events wait in the journal", zap.Duration("again_in", wait), zap.Error(err))
	}
	if late {
		s.tell(Condition{Webhook: s.config.Name, Host: s.host, State: Failing, Detail: err.Error()})
	}
}

// disable stops the stream until somebody resumes it.
func (s *stream) disable(why string) {
	s.events.WithLabelValues("failed").Inc()
	s.mu.Lock()
	s.place.Disabled, s.err, s.errAt, s.told = why, why, time.Now(), true
	s.mu.Unlock()
	s.keep(true)
	s.log.Error("webhook is disabled: its receiver says that it is gone for good", zap.String("answer", why))
	s.tell(Condition{Webhook: s.config.Name, Host: s.host, State: Disabled, Detail: why})
}

// resume goes on with a stream now; with skip what waits is given up.
func (s *stream) resume(skip bool) {
	s.mu.Lock()
	again := s.place.Disabled != ""
	s.place.Disabled, s.skip = "", s.skip || skip
	s.failing, s.next, s.retries = time.Time{}, time.Time{}, 0
	told := s.told
	s.told = false
	s.mu.Unlock()
	if again {
		s.keep(true)
	}
	if told {
		s.tell(Condition{Webhook: s.config.Name, Host: s.host, State: Well})
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// wait is for a time (0: for ever), until somebody changes something, or ctx ends.
func (s *stream) wait(ctx context.Context, d time.Duration) {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-timer:
	case <-s.kick:
	case <-ctx.Done():
	}
}

// status says how it is.
func (s *stream) status() Status {
	last := s.journal.LastBatch()
	s.mu.Lock()
	defer s.mu.Unlock()
	v := Status{
		Name: s.config.Name, Host: s.host, Events: s.config.Events, Signed: s.target.secret != "", State: Well, Delivered: s.delivered,
		LastDelivery: s.last, Error: s.err, ErrorAt: s.errAt, NextTry: s.next, Retries: s.retries,
	}
	if last > s.place.Batch {
		v.Behind = last - s.place.Batch
	}
	if !s.oldest.IsZero() {
		v.Lag = max(0, time.Since(s.oldest))
	}
	switch {
	case s.place.Disabled != "":
		v.State = Disabled
	case !s.failing.IsZero():
		v.State = Failing
	}
	return v
}
