package gateway

import (
	"slices"

	"github.com/sendgate/sendgate/gateway/ask"
	"github.com/sendgate/sendgate/gateway/milter"
	"github.com/sendgate/sendgate/gateway/relay"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
)

// guardSettings are the rules. The check of domains is as it was at the start.
func (g *Gateway) guardSettings(cfg *Config, directory *policy.Directory) guard.Settings {
	s := guard.Settings{Config: cfg.Policy, Directory: directory, Anomaly: cfg.Anomaly}
	if desk := cfg.Anomaly.Suspension.Always; len(desk) > 0 {
		s.Contact = desk[0]
	}
	s.Bypassed, s.Lifted = g.bypass.on, g.bypass.lifts
	if g.limits != nil {
		s.Trial, s.Suspend = g.limits.trial, g.limits.bars.add
	}
	if g.domains != nil {
		s.Domains, s.Refused = g.domains, g.refused
	}
	return s
}

// relaySettings are what the relay takes over at a reload.
func (g *Gateway) relaySettings(cfg *Config, directory *policy.Directory) relay.Settings {
	return relay.Settings{
		Config: cfg.Relay, Engine: closed{g.asking, g.drain}, Directory: directory, Router: g.routes,
		Reports: g.tracking.report, Content: readsContent(cfg), Head: g.mayAsk(cfg), SignedIn: g.logins.note, Suspended: g.notSignedIn,
	}
}

// readsContent reports whether anybody looks at what messages say.
func readsContent(cfg *Config) bool { return cfg.Similar.Enabled || cfg.Recall.Enabled }

// mayAsk finds the messages that could be requests for a recall.
func (g *Gateway) mayAsk(cfg *Config) func(to []policy.Recipient, subject string) bool {
	if !cfg.Recall.Enabled {
		return nil
	}
	service := serviceAddress(cfg)
	return func(to []policy.Recipient, subject string) bool {
		return ask.MayAsk(subject) || service != "" && slices.ContainsFunc(to, func(r policy.Recipient) bool { return r.Address.Key() == service.Key() })
	}
}

// tags reports whether a rule adds fields to the header.
func tags(cfg *Config) bool {
	return cfg.Anomaly.Enabled && cfg.Anomaly.Field != "" || slices.ContainsFunc(cfg.Policy.Limits, func(l policy.LimitRule) bool { return l.Action == policy.Tag })
}

// milterSettings are what the milter takes over at a reload.
func (g *Gateway) milterSettings(cfg *Config, directory *policy.Directory) milter.Settings {
	reports := milter.Reports(g.tracking.report)
	if !cfg.Milter.Notifications {
		reports = nil
	}
	return milter.Settings{
		Config: cfg.Milter, Engine: closed{g.asking, g.drain}, Directory: directory,
		Needs: milter.Needs{
			Envelope: g.domains != nil, Content: readsContent(cfg), Head: g.mayAsk(cfg), Fields: tags(cfg),
			Body: cfg.Milter.MessageSize || cfg.Milter.Notifications,
		},
		Reports:  reports,
		SignedIn: g.logins.note, Hearer: g.limits,
	}
}
