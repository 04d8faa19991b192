package postconf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// runLimit is how long postconf may take; it needs milliseconds, or name service lookups.
const runLimit = 20 * time.Second

// Program gives a function that runs postconf at an absolute path on the configuration in a directory, without a shell
// and in a clean environment.
func Program(program, dir string) func(ctx context.Context, args ...string) (string, error) {
	return func(ctx context.Context, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, runLimit)
		defer cancel()
		var out, messages bytes.Buffer
		c := exec.CommandContext(ctx, program, append([]string{"-c", dir}, args...)...)
		c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
		c.Dir = "/"
		c.Stdout, c.Stderr = &out, &messages
		c.WaitDelay = time.Second
		err := c.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("postconf: %s", strings.Join(strings.Fields(messages.String()), " "))
		}
		return out.String(), err
	}
}
