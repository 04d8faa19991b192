package postfix

import (
	"path/filepath"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config says where the root helper is and how patient the gateway is with it.
type Config struct {
	// Helper is the unix socket of sendgate postfix-helper.
	Helper string `yaml:"helper"`
	// Timeout is the longest silence of the helper.
	Timeout time.Duration `yaml:"timeout"`
	// Settle is how long a removal waits for a delivery that is under way. Postfix's smtp client may
	// wait 600 s for the answer to the final dot (smtp_data_done_timeout).
	Settle time.Duration `yaml:"settle"`
}

// DefaultConfig waits longer than Postfix's own smtp client does.
func DefaultConfig() Config {
	return Config{Helper: DefaultSocket, Timeout: 60 * time.Second, Settle: 11 * time.Minute}
}

// DefaultSocket is where the helper listens unless told otherwise.
const DefaultSocket = "/run/sendgate-helper/postfix.sock"

// maxSocketPath is what fits into a socket address (unix(7)).
const maxSocketPath = 107

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if !filepath.IsAbs(c.Helper) || len(c.Helper) > maxSocketPath {
		faults.Add("helper", c.Helper, "must be an absolute path of at most %d octets", maxSocketPath)
	}
	if c.Timeout < time.Second || c.Timeout > 10*time.Minute {
		faults.Add("timeout", c.Timeout, "must be between 1s and 10m")
	}
	if c.Settle < 0 || c.Settle > time.Hour {
		faults.Add("settle", c.Settle, "must be between 0 and 1h")
	}
	return faults.Err()
}
