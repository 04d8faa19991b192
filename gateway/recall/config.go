package recall

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Config says who may take back what, for how long, and how.
type Config struct {
	// Enabled lets mail be taken back after it has left the hold, too.
	Enabled bool `yaml:"enabled"`
	// SenderWindow is for how long after its acceptance a sender may take a message out of mailboxes,
	// AdminWindow for how long an administrator or operator may. What is still in a queue has no age limit.
	SenderWindow time.Duration `yaml:"sender_window"`
	AdminWindow  time.Duration `yaml:"admin_window"`
	// ExtendedWindow counts for the roles and for the mailbox backends in ExtendedFor, where it is longer.
	ExtendedWindow time.Duration  `yaml:"extended_window"`
	ExtendedFor    ExtendedConfig `yaml:"extended_for"`
	// ReasonRequired refuses recalls without a reason.
	ReasonRequired bool `yaml:"reason_required"`
	// ReadToo lists the roles that may take back what was read.
	ReadToo []string `yaml:"read_too"`
	// GroupMode counts for requests that do not say, and Notify does so too.
	GroupMode policy.RecallGroupMode `yaml:"group_mode"`
	Notify    policy.RecallNotice    `yaml:"notify"`
	// ApprovalOver is the number of recipients beyond which a second administrator has to approve within
	// ApprovalExpires; 0 for never.
	ApprovalOver    int           `yaml:"approval_over"`
	ApprovalExpires time.Duration `yaml:"approval_expires"`
	// PerHour bounds the recalls of a user in an hour, AlarmOver the recipients of a user's recalls in an
	// hour before administrators are told. 0 is no bound, and no alarm.
	PerHour   int `yaml:"per_hour"`
	AlarmOver int `yaml:"alarm_over"`
	// LegalHold and OptOut are patterns of addresses, as in rules, from whose mailboxes nothing is taken.
	LegalHold []string `yaml:"legal_hold"`
	OptOut    []string `yaml:"opt_out"`
	// Protected lists formats that are not taken out of mailboxes: encrypted, meeting.
	Protected []string `yaml:"protected"`
	// Concurrency is how many mailboxes of one backend are worked on at a time.
	Concurrency int `yaml:"concurrency"`
	// RetryFor is how long something is tried again, unless the window ends before.
	RetryFor time.Duration `yaml:"retry_for"`
	// KeepRemoved is how long after the end of a recall what it took lies in staging.
	KeepRemoved time.Duration `yaml:"keep_removed"`
	// Settle is for how long at least after its end a recall also removes what arrives late.
	Settle time.Duration `yaml:"settle"`
	// Report sends one mail to who asked when a recall has ended.
	Report bool `yaml:"report"`
	// ServiceAddress is where recalls can be asked for by mail; empty for nowhere.
	ServiceAddress string `yaml:"service_address"`
	// TrustNetworks lets people ask by mail without a login of their own, by the envelope sender that a client of
	// a configured network names. That is safe only where the networks have nothing but mail servers that hold
	// each sender to the own address.
	TrustNetworks bool `yaml:"trust_networks"`
	// StatusURL is the address under which the page with a recall's status is reached from outside; empty
	// when reports shall have no link.
	StatusURL string `yaml:"status_url"`
}

// ExtendedConfig says for whom the extended window counts.
type ExtendedConfig struct {
	// Roles are those of the identities that may use the longer time.
	Roles    []string `yaml:"roles"`
	Backends []string `yaml:"backends"` // names of mailboxes
}

// DefaultConfig gives senders a day, administrators a week.
func DefaultConfig() Config {
	const day = 24 * time.Hour
	return Config{
		Enabled: true, SenderWindow: day, AdminWindow: 7 * day, ExtendedWindow: 15 * day,
		ReasonRequired: true, ReadToo: []string{admin},
		GroupMode: policy.AllOrNothing, Notify: policy.NotifyNone,
		ApprovalOver: 300, ApprovalExpires: 3 * day, PerHour: 20, AlarmOver: 20,
		Protected: []string{string(Meeting)}, Concurrency: 16,
		RetryFor: day, KeepRemoved: 30 * day, Settle: 15 * time.Minute, Report: true,
	}
}

// Longest values. Timelines are kept for 90 days unless configured otherwise, and a recall is known by its own.
const (
	maxWindow = 400 * 24 * time.Hour
	maxKept   = 60 * 24 * time.Hour
	maxRetry  = 7 * 24 * time.Hour
)

// Validate reports every fault at once, as [policy.Faults].
func (c *Config) Validate() error {
	var faults policy.Faults
	c.validateTimes(&faults)
	c.validateLists(&faults)
	choice(&faults, "group_mode", string(c.GroupMode), string(policy.AllOrNothing), string(policy.BestEffort))
	choice(&faults, "notify", string(c.Notify), string(policy.NotifyNone), string(policy.NotifyRead), string(policy.NotifyAll))
	for _, n := range []struct {
		path  string
		value int
	}{{"approval_over", c.ApprovalOver}, {"per_hour", c.PerHour}, {"alarm_over", c.AlarmOver}} {
		if n.value < 0 {
			faults.Add(n.path, n.value, "must not be negative; 0 switches it off")
		}
	}
	if c.Concurrency < 1 || c.Concurrency > 1000 {
		faults.Add("concurrency", c.Concurrency, "must be between 1 and 1000")
	}
	if c.ServiceAddress != "" {
		if _, err := policy.ParseAddress(c.ServiceAddress); err != nil {
			faults.Add("service_address", c.ServiceAddress, "%v", err)
		}
	}
	if u := c.StatusURL; u != "" && !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
		faults.Add("status_url", u, "write it as https://sendgate.corp.example")
	}
	return faults.Err()
}

func (c *Config) validateTimes(faults *policy.Faults) {
	for _, d := range []struct {
		path        string
		value       time.Duration
		least, most time.Duration
	}{
		{"sender_window", c.SenderWindow, 0, maxWindow},
		{"admin_window", c.AdminWindow, 0, maxWindow},
		{"extended_window", c.ExtendedWindow, 0, maxWindow},
		{"approval_expires", c.ApprovalExpires, time.Minute, maxRetry},
		{"retry_for", c.RetryFor, time.Minute, maxRetry},
		{"keep_removed", c.KeepRemoved, time.Hour, maxKept},
		{"settle", c.Settle, time.Second, maxRetry},
	} {
		if d.value < d.least || d.value > d.most {
			faults.Add(d.path, d.value, "must be between %v and %v", d.least, d.most)
		}
	}
}

func (c *Config) validateLists(faults *policy.Faults) {
	each(faults, "extended_for.roles", c.ExtendedFor.Roles, policy.Roles)
	each(faults, "read_too", c.ReadToo, policy.Roles)
	each(faults, "protected", c.Protected, []string{string(Encrypted), string(Meeting)})
	patterns(faults, "legal_hold", c.LegalHold)
	patterns(faults, "opt_out", c.OptOut)
}

func choice(faults *policy.Faults, path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		faults.Add(path, value, "must be one of %s", strings.Join(allowed, ", "))
	}
}

func each(faults *policy.Faults, path string, values, allowed []string) {
	for i, v := range values {
		choice(faults, fmt.Sprintf("%s[%d]", path, i), v, allowed...)
	}
}

func patterns(faults *policy.Faults, path string, values []string) {
	for i, p := range values {
		address := p
		if domain, ok := strings.CutPrefix(p, "@"); ok {
			address = "x@" + strings.TrimPrefix(domain, ".")
		}
		if a, err := policy.ParseAddress(address); err != nil || a.Domain() == "" {
			faults.Add(fmt.Sprintf("%s[%d]", path, i), p, "write an address, a domain (@corp.example) or one with all below it (@.corp.example)")
		}
	}
}

// window is how old a message may be that somebody takes out of a mailbox; backend is empty where it is not known.
func (c *Config) window(role, backend string) time.Duration {
	w := c.SenderWindow
	if role == admin || role == operator {
		w = c.AdminWindow
	}
	if slices.Contains(c.ExtendedFor.Roles, role) || backend != "" && slices.Contains(c.ExtendedFor.Backends, backend) {
		w = max(w, c.ExtendedWindow)
	}
	return w
}

// longest is how long a recall can have to do with a message after it was asked for.
func (c *Config) longest() time.Duration { return c.ApprovalExpires + c.RetryFor + c.Settle }

// matches reports whether one of the patterns names an address.
func matches(patterns []string, a policy.Address) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return policy.MatchAddress(p, a) })
}
