package policy

import "time"

// DefaultLimits are those of a file that names none. They were chosen from what mail services publish
// as theirs: see the table in the example configuration.
func DefaultLimits() []LimitRule {
	limit := func(name string, unit Unit, n int64, per time.Duration, action Action) LimitRule {
		var l LimitRule
		l.SetDefaults()
		l.Name, l.Unit, l.Limit, l.Per, l.Action = name, unit, n, Per(per), action
		return l
	}
	pace := limit("pace", Messages, 30, time.Minute, Pace) // Exchange Online
	pace.Burst = 30
	return []LimitRule{
		limit("message-large", Recipients, 100, 0, Approval), // RFC 5321 4.5.3.1.8
		limit("message-huge", Recipients, 500, 0, Reject),    // Exchange Online
		limit("visible", VisibleRecipients, 20, 0, Approval),
		pace,
		limit("external-hour", ExternalRecipients, 300, time.Hour, Hold), // between Exchange Online's strict and standard
		limit("internal-hour", InternalRecipients, 1000, time.Hour, Hold),
		limit("day", Recipients, 1000, 24*time.Hour, Hold),
		limit("strangers-day", FirstTimeRecipients, 200, 24*time.Hour, Hold), // mox
	}
}
