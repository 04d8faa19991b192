package domain

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sendgate/sendgate/policy"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		outcome string
		change  func(*Config)
		want    []string
	}{
		{"the default", func(*Config) {}, nil},
		{"everything set", func(c *Config) {
			c.Resolvers = []string{"192.0.2.53", "[2001:db8::53]:5353", "2001:db8::53", "[2001:db8::54]", "192.0.2.54:53"}
			c.Agree, c.Skip = 2, []string{"@corp.example", "@.corp.example", "@例え.jp"}
		}, nil},
		{"resolvers by name", func(c *Config) { c.Resolvers = []string{"dns.corp.example", "192.0.2.53:", ""} },
			[]string{"resolvers[0]", "resolvers[1]", "resolvers[2]"}},
		{"times", func(c *Config) { c.Timeout, c.Limit = time.Millisecond, 0 }, []string{"timeout", "limit"}},
		{"times too long", func(c *Config) { c.Timeout, c.Limit = time.Minute, time.Hour }, []string{"timeout", "limit"}},
		{"nobody agrees", func(c *Config) { c.Agree = 0 }, []string{"agree"}},
		{"more agree than there are", func(c *Config) { c.Resolvers, c.Agree = []string{"192.0.2.53"}, 2 }, []string{"agree"}},
		{"no cache", func(c *Config) { c.CacheEntries = 0 }, []string{"cache_entries"}},
		{"skipped without @", func(c *Config) { c.Skip = []string{"corp.example", "@", "@."} }, []string{"skip[0]", "skip[1]", "skip[2]"}},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			var got []string
			if err := cfg.Validate(); err != nil {
				for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
					var f *policy.Fault
					if !errors.As(e, &f) || f.Text == "" {
						t.Fatalf("%v", e)
					}
					got = append(got, f.Path)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	s := newAuthority(t, "mail.org. 60 IN MX 10 mx.mail.org.")
	s.set("broken.org.", fails(dns.RcodeServerFailure))
	b := newBench(t, nil, nil, s)
	for _, domain := range []string{"mail.org", "mail.org", "dead.org", "broken.org", "printer.local"} {
		b.look(t, domain)
	}
	b.clock.move(time.Hour)
	b.look(t, "mail.org")
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(b.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"sendgate_domain_lookups_total exists": 3, "sendgate_domain_lookups_total no_domain": 1,
		"sendgate_domain_lookups_total unknown": 1, "sendgate_domain_lookups_total not_checked": 1,
		"sendgate_domain_cache_lookups_total hit": 1, "sendgate_domain_cache_lookups_total miss": 3, "sendgate_domain_cache_lookups_total stale": 1,
		"sendgate_domain_cache_entries": 3, "sendgate_domain_resolve_seconds": 4, "sendgate_domain_resolver_failures_total": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
