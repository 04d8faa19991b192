package recall

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreValid(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	for text, f := range map[string]func(c *Config){
		"sender_window: -1s: must be between 0s and 9600h0m0s":                     func(c *Config) { c.SenderWindow = -time.Second },
		"admin_window: 9601h0m0s: must be between":                                 func(c *Config) { c.AdminWindow = 9601 * time.Hour },
		"extended_window: -1h0m0s: must be":                                        func(c *Config) { c.ExtendedWindow = -time.Hour },
		"approval_expires: 1s: must be":                                            func(c *Config) { c.ApprovalExpires = time.Second },
		"retry_for: 0s: must be between 1m0s and 168h0m0s":                         func(c *Config) { c.RetryFor = 0 },
		"keep_removed: 2160h0m0s: must be between 1h0m0s and 1440h0m0s":            func(c *Config) { c.KeepRemoved = 90 * 24 * time.Hour },
		"settle: 0s: must be":                                                      func(c *Config) { c.Settle = 0 },
		"extended_for.roles[0]: boss: must be one of admin, operator, auditor":     func(c *Config) { c.ExtendedFor.Roles = []string{"boss"} },
		"read_too[1]: all: must be one of":                                         func(c *Config) { c.ReadToo = []string{"admin", "all"} },
		"protected[0]: pdf: must be one of encrypted, meeting":                     func(c *Config) { c.Protected = []string{"pdf"} },
		"legal_hold[0]: corp.example: write an address, a domain (@corp.example)":  func(c *Config) { c.LegalHold = []string{"corp.example"} },
		"opt_out[1]: @: write an address":                                          func(c *Config) { c.OptOut = []string{"@.corp.example", "@"} },
		"group_mode: individual: must be one of all_or_nothing, best_effort":       func(c *Config) { c.GroupMode = "individual" },
		"notify: : must be one of none, read, all":                                 func(c *Config) { c.Notify = "" },
		"approval_over: -1: must not be negative; 0 switches it off":               func(c *Config) { c.ApprovalOver = -1 },
		"per_hour: -2: must not be negative":                                       func(c *Config) { c.PerHour = -2 },
		"alarm_over: -3: must not be negative":                                     func(c *Config) { c.AlarmOver = -3 },
		"concurrency: 0: must be between 1 and 1000":                               func(c *Config) { c.Concurrency = 0 },
		"service_address: recall: the address has no domain":                       func(c *Config) { c.ServiceAddress = "recall" },
		"status_url: gate.corp.example: write it as https://sendgate.corp.example": func(c *Config) { c.StatusURL = "gate.corp.example" },
	} {
		c := DefaultConfig()
		f(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("want %q, got %v", text, err)
		}
	}
}
