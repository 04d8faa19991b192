package main

import (
	"fmt"
	"strings"
)

// A variant is a way in which the gateway is configured for a measurement.
type variant struct {
	name    string
	rules   string // what stands below policy
	domains string // the section
}

const (
	noDomains = "domains: {enabled: false}\n"
	// askDomains checks domains, but not that of the bench: every recipient is waited for, the DNS never.
	askDomains = "domains: {enabled: true, skip: [\"@customers.example\"]}\n"
)

// variants gives those that were asked for: without rules, with ten, with ten and the check of domains.
func variants(policy string, domains bool) ([]variant, error) {
	off := variant{"sendgate without rules", "  limits: []\n", noDomains}
	on := variant{"sendgate", tenRules(), noDomains}
	var list []variant
	switch policy {
	case "off":
		list = []variant{off}
	case "on":
		list = []variant{on}
	case "both":
		list = []variant{off, on}
	default:
		return nil, fmt.Errorf("-policy %s: use off, on or both", policy)
	}
	if domains {
		list = append(list, variant{"sendgate, domains", on.rules, askDomains})
	}
	return list, nil
}

// tenRules are the default limits and two more, from the first message and so high that all mail fits.
func tenRules() string {
	var b strings.Builder
	b.WriteString("  trial: 0s\n  limits:\n")
	rule := func(name, more string) {
		fmt.Fprintf(&b, "  - {name: %s, limit: 1000000000, %s}\n", name, more)
	}
	rule("message-large", "unit: recipients, per: message, action: approval")
	rule("message-huge", "unit: recipients, per: message, action: reject")
	rule("visible", "unit: visible_recipients, per: message, action: approval")
	rule("pace", "unit: messages, per: minute, action: pace, burst: 1000000000")
	rule("external-hour", "unit: external_recipients, per: hour, action: hold")
	rule("internal-hour", "unit: internal_recipients, per: hour, action: hold")
	rule("day", "unit: recipients, per: day, action: hold")
	rule("strangers-day", "unit: first_time_recipients, per: day, action: hold")
	rule("domain-hour", "key: recipient_domain, unit: recipients, per: hour, action: hold")
	rule("network-hour", "key: network, unit: recipients, per: hour, action: hold")
	return b.String()
}
