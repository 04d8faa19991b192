package track

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/track/source"
)

func TestConfigFaults(t *testing.T) {
	valid := func() source.Config {
		c := source.DefaultConfig()
		c.Name, c.File = "mail", "/var/log/mail.log"
		return c
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"the default", func(*Config) {}, ""},
		{"a file", func(c *Config) { c.Sources = []source.Config{valid()} }, ""},
		{"two sources of one name", func(c *Config) { c.Sources = []source.Config{valid(), valid()} },
			"sources[1].name: mail: is the name of another source too: each has a cursor of its own"},
		{"a source without anything", func(c *Config) { c.Sources = []source.Config{{}} }, "sources[0]"},
		{"a relay with a path", func(c *Config) { c.OurRelays = []string{"mx1", "mx1/x"} },
			"our_relays[1]: mx1/x: must be a name, an address or a network, with a port after a colon or without"},
		{"a relay with a bad port", func(c *Config) { c.OurRelays = []string{"mx1:70000"} },
			"our_relays[0]: mx1:70000: must be a name, an address or a network, with a port after a colon or without"},
		{"a transport with its directory", func(c *Config) { c.MailboxTransports = []string{"/usr/bin/procmail"} },
			"mailbox_transports[0]: /usr/bin/procmail: must be the name of a transport or program, without its directory"},
		{"impatient", func(c *Config) { c.UnknownAfter = time.Second }, "unknown_after: 1s: must be at least 1m: logs come late"},
		{"a short lifetime", func(c *Config) { c.QueueLifetime = time.Minute }, "queue_lifetime: 1m0s: must be at least 1h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			err := cfg.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestOurRelays(t *testing.T) {
	all := newRelays([]string{"MX1.corp.example", "mx2:10025", "10.0.0.0/8", "192.0.2.1", "[2001:db8::1]:25", "127.0.0.1:10025"})
	for _, c := range []struct {
		name, address string
		port          int
		want          bool
	}{
		{"mx1.corp.example", "", 25, true}, {"mx1.corp.example.", "198.51.100.9", 25, true},
		{"mx2", "", 10025, true}, {"mx2", "", 25, false},
		{"x", "10.1.2.3", 25, true}, {"x", "11.1.2.3", 25, false}, {"x", "192.0.2.1", 25, true},
		{"x", "2001:db8::1", 25, true}, {"x", "2001:db8::1", 26, false},
		{"127.0.0.1", "127.0.0.1", 10025, true}, {"127.0.0.1", "127.0.0.1", 2525, false}, {"none", "", 0, false},
	} {
		if got := all.has(c.name, c.address, c.port); got != c.want {
			t.Errorf("%s[%s]:%d is ours: %v, want %v", c.name, c.address, c.port, got, c.want)
		}
	}
}

func TestStatusAndMetrics(t *testing.T) {
	s := newSite(t)
	s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read(deferred("10:00:10", "A0B1C2D3E4", "x@far.example") +
		"10:00:11 postfix/smtpd: NOQUEUE: reject: RCPT from pc[192.0.2.7]: 554 5.7.1 <x@far.example>: Relay access denied; from=<a@b.example> to=<x@far.example> proto=ESMTP helo=<pc>")
	s.tick()
	s.clock = at("10:00:41")
	st := s.tracker.Status()
	if len(st.Sources) != 1 || st.Sources[0].Lag != 30*time.Second || st.Sources[0].CaughtUp || !st.Sources[0].LastLine.Equal(at("10:00:11")) || st.Sources[0].CursorAge != 11*time.Second {
		t.Errorf("status %+v", st)
	}
	s.pass(time.Minute)
	if st := s.tracker.Status(); st.Sources[0].Lag != 0 || !st.Sources[0].CaughtUp {
		t.Errorf("status %+v, want caught up", st)
	}
	s.clock = s.clock.Add(time.Hour)
	if st := s.tracker.Status(); st.Sources[0].Lag != time.Hour || st.Sources[0].CaughtUp {
		t.Errorf("status %+v, want an hour behind", st)
	}

	got := s.metrics()
	for name, want := range map[string]float64{
		"sendgate_track_lines_total mail": 2, "sendgate_track_entries_total status": 1, "sendgate_track_entries_total rejected": 1,
		"sendgate_track_lag_seconds mail": 3600, "sendgate_track_gaps": 0, "sendgate_track_unmatched_lines_total": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
}

// metrics gives all values by name and label.
func (s *site) metrics() map[string]float64 {
	s.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s.tracker.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return got
}
