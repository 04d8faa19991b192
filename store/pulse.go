package store

import (
	"context"
	"errors"
	"fmt"
)

// keptPulse is written when nothing else shows that the disk takes what is written.
const keptPulse = "pulse"

// Pulse is nil when the committer takes its turn and a synced write comes back before ctx ends. A full disk is
// none of its business ([ErrFull] comes and goes by itself); that the engine has failed is: only a restart helps then.
func (s *Store) Pulse(ctx context.Context) error {
	if err := s.failed(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- s.beat() }()
	select {
	case err := <-done:
		if errors.Is(err, ErrFull) {
			return nil
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("the journal does not commit: %w", ctx.Err())
	}
}

// beat goes the way of a change through the committer, without one, and writes a value.
func (s *Store) beat() error {
	p := &pendingChange{done: make(chan struct{})}
	select {
	case s.queue <- p:
	case <-s.stop:
		return ErrClosed
	}
	select {
	case <-p.done:
	case <-s.committed:
		return ErrClosed
	}
	if p.err != nil {
		return p.err
	}
	return s.Keep(keptPulse, nil)
}
