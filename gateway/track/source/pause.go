package source

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// A condition is what keeps a source from reading. It is tried again after growing pauses, and
// logged when it changes.
type condition struct {
	log   *zap.Logger
	first time.Duration
	text  string
	pause time.Duration
}

// maxPause is how long something that fails is left alone at most.
const maxPause = 10 * time.Second

// failed notes a failure and waits.
func (c *condition) failed(ctx context.Context, err error) error {
	c.note(err)
	c.pause = min(max(2*c.pause, c.first), maxPause)
	return wait(ctx, c.pause)
}

// note logs what is new.
func (c *condition) note(err error) {
	if text := err.Error(); text != c.text {
		c.text = text
		c.log.Warn("log cannot be read: trying again", zap.Error(err))
	}
}

// passed notes that it works.
func (c *condition) passed() {
	if c.text != "" {
		c.log.Info("log can be read again")
	}
	c.text, c.pause = "", 0
}

// wait sleeps unless the context ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
