package notify

import (
	"net/mail"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
)

// Config says who is told what happens, and how.
type Config struct {
	// From is the author of notices; empty is "sendgate <postmaster@HOSTNAME>".
	From string `yaml:"from"`
	// Admins get mail about everything. They are named by hand, so that they may be anywhere.
	Admins []string `yaml:"admins"`
	// Language of mail is zh, en or both.
	Language string `yaml:"language"`
	// Senders tells senders, too, what became of their own mail.
	Senders bool `yaml:"senders"`
	// Quiet is the least time between two notices of one incident.
	Quiet time.Duration `yaml:"quiet"`
	// CloseAfter is how long nothing has come when an incident is over.
	CloseAfter time.Duration `yaml:"close_after"`
	// HourlyMax is how many notices one receiver gets in an hour; more are put together.
	HourlyMax int              `yaml:"hourly_max"`
	Webhooks  []webhook.Config `yaml:"webhooks"`
}

// DefaultConfig tells senders, in both languages; administrators have to be named.
func DefaultConfig() Config {
	return Config{Language: webhook.Both, Senders: true, Quiet: 15 * time.Minute, CloseAfter: time.Hour, HourlyMax: 20}
}

// maxAdmins bounds how many people one mail goes to.
const maxAdmins = 50

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	if c.From != "" {
		if a, err := mail.ParseAddress(c.From); err != nil || !isAddress(a.Address) || !isASCII(a.Address) {
			faults.Add("from", c.From, "is not an author: write Name <address@domain>, the address in ASCII")
		}
	}
	for i, a := range c.Admins {
		if !isAddress(a) {
			faults.Add("admins["+strconv.Itoa(i)+"]", a, "is not an address: write name@domain")
		}
	}
	if len(c.Admins) > maxAdmins {
		faults.Add("admins", len(c.Admins), "at most %d; a mailing list can have more", maxAdmins)
	}
	if c.Language != webhook.Chinese && c.Language != webhook.English && c.Language != webhook.Both {
		faults.Add("language", c.Language, "must be one of zh, en, both")
	}
	if c.Quiet < time.Minute || c.Quiet > 24*time.Hour {
		faults.Add("quiet", c.Quiet, "must be between 1m and 24h")
	}
	if c.CloseAfter < time.Minute || c.CloseAfter > 7*24*time.Hour {
		faults.Add("close_after", c.CloseAfter, "must be between 1m and 168h")
	}
	if c.HourlyMax < 4 || c.HourlyMax > 1000 {
		faults.Add("hourly_max", c.HourlyMax, "must be between 4 and 1000")
	}
	faults.In("webhooks", webhook.Validate(c.Webhooks))
	return faults.Err()
}

// Addresses gives the administrators of a valid configuration.
func (c *Config) Addresses() []policy.Address {
	var list []policy.Address
	for _, a := range c.Admins {
		if address, err := policy.ParseAddress(a); err == nil {
			list = append(list, address)
		}
	}
	return list
}

// isAddress reports whether mail can be sent to an address: postmaster without a domain is none here.
func isAddress(s string) bool {
	a, err := policy.ParseAddress(s)
	return err == nil && a.Domain() != ""
}
