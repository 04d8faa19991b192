package shell

import (
	"errors"
	"fmt"
	"time"
)

// Errors of Live.
var (
	errDraining = errors.New("no more connections are taken")
	errIdle     = errors.New("nothing is listened on")
)

// A trouble is an accept that failed.
type trouble struct {
	err error
	at  time.Time
}

// past reports whether accepting works again: while it fails it is tried each [maxPause]. Then it waits for a
// connection, and where nobody connects because we said that we are not ready, none would ever come.
func (t *trouble) past() bool { return time.Since(t.at) > 2*maxPause }

// Live is nil while connections are taken. It waits for nothing but the shell's own lock: a watchdog may ask.
func (s *Shell) Live() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch trouble := s.trouble.Load(); {
	case s.draining:
		return errDraining
	case len(s.ports) == 0:
		return errIdle
	case trouble != nil && !trouble.past():
		return fmt.Errorf("connections cannot be taken: %w", trouble.err)
	}
	return nil
}
