package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
)

// Programs of the system.
const (
	usermod   = "/usr/sbin/usermod"
	gpasswd   = "/usr/bin/gpasswd"
	systemctl = "/usr/bin/systemctl"
)

// The units, in the order in which they start.
var units = []string{"sendgate-postfix-helper.service", "sendgate.service"}

// A Place says where everything is.
type Place struct {
	Config        string // sendgate.yaml; the copies lie beside it
	PostfixConfig string // the directory of main.cf
	Postconf      string // the program postconf
	Postfix       string // the program postfix
	User          string // as whom the gateway runs
	Helper        string // socket of the root helper
	Store         string // directory of the journal
	Logs          string // the directory of syslog's files, /var/log
	Run           string // the directory of runtime files, /run
}

// copies is the directory of what was there before.
func (p Place) copies() string { return filepath.Join(filepath.Dir(p.Config), "before-setup") }

// Tools are what setup uses of the world.
type Tools struct {
	// Run runs a program at an absolute path and gives its output.
	Run func(ctx context.Context, program string, args ...string) (string, error)
	// Check reads a sendgate.yaml as the gateway would.
	Check func(file string) error
	// Held counts what the gateway holds; the error says that it cannot be asked.
	Held func(ctx context.Context) (int, error)
	// Free reports whether nothing listens on a local address.
	Free func(address string) bool
	// Now is the clock.
	Now func() time.Time
}

// runLimit is how long a program may take: a start of the gateway reads its journal.
const runLimit = 2 * time.Minute

// Run runs a program without a shell and in a clean environment.
func Run(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	var out, messages bytes.Buffer
	c := exec.CommandContext(ctx, program, args...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
	c.Dir = "/"
	c.Stdout, c.Stderr = &out, &messages
	c.WaitDelay = time.Second // a daemon keeps the output open
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %s", filepath.Base(program)+" "+strings.Join(args, " "), postconf.Shown(strings.Join(strings.Fields(messages.String()+" "+out.String()), " ")))
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", NewFault("run %s: %s", "运行 %s：%s", program, err)
	}
	return out.String(), nil
}

// postconf runs Postfix's own editor of its configuration.
func (t Tools) postconf(ctx context.Context, p Place, args ...string) (string, error) {
	return t.Run(ctx, p.Postconf, append([]string{"-c", p.PostfixConfig}, args...)...)
}

// postfix runs a command of postfix(1).
func (t Tools) postfix(ctx context.Context, p Place, command string) error {
	_, err := t.Run(ctx, p.Postfix, "-c", p.PostfixConfig, command)
	return err
}
