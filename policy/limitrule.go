package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Unit is what a limit counts.
type Unit string

// The units. External and internal recipients are told apart by Config.Internal.
const (
	Messages            Unit = "messages"
	Recipients          Unit = "recipients"
	ExternalRecipients  Unit = "external_recipients"
	InternalRecipients  Unit = "internal_recipients"
	FirstTimeRecipients Unit = "first_time_recipients" // external ones that the sender has not written to before
	Bytes               Unit = "bytes"
	VisibleRecipients   Unit = "visible_recipients" // external addresses in To and Cc
)

var unitLabels = map[Unit]Label{
	Messages: {"messages", "封邮件"}, Recipients: {"recipients", "个收件人"}, ExternalRecipients: {"external recipients", "个外部收件人"},
	InternalRecipients: {"internal recipients", "个内部收件人"}, FirstTimeRecipients: {"first-time external recipients", "个首次联系的外部收件人"},
	Bytes: {"bytes", "字节"}, VisibleRecipients: {"visible external recipients in To and Cc", "个收件人栏和抄送栏中可见的外部地址"},
}

// Label names so many units.
func (u Unit) Label(n int64) Label {
	l := unitLabels[u]
	if n == 1 {
		l.EN = strings.Replace(strings.Replace(l.EN, "recipients", "recipient", 1), "messages", "message", 1)
	}
	return l
}

// Key is whom a limit counts for.
type Key string

// The keys.
const (
	ByIdentity        Key = "identity"
	BySenderDomain    Key = "sender_domain"
	ByNetwork         Key = "network" // of the client: /32, IPv6 /64
	ByRecipientDomain Key = "recipient_domain"
	ByDestination     Key = "destination" // recipient domains that share a mail service, by their MX
	ByGateway         Key = "gateway"     // everybody together
)

// More actions; see [Pass].
const (
	Approval Action = "approval" // held until a person decides
	Pace     Action = "pace"     // let go one after the other, at the rate of the limit
	Route    Action = "route"    // over another upstream
	Tag      Action = "tag"      // a field is added to the header
	Log      Action = "log"      // only said
)

// Ways in which a rule that cannot be applied fails.
const (
	FailOpen   = "open"   // as if it were not there
	FailClosed = "closed" // the message is refused for now, 451
	FailHold   = "hold"   // the message is held, for a person to look
)

// What becomes of a message that nobody approved.
const (
	ExpiryReturn  = "return"  // to its sender
	ExpiryRelease = "release" // it goes out
)

// A LimitRule bounds how much may be sent. Every limit that matches a message counts it; an exceeded
// one acts. All are tested before any takes.
type LimitRule struct {
	// Name stands in explanations, logs and metrics; usage is kept under it.
	Name  string `yaml:"name"`
	Match Match  `yaml:"match"`
	// Key is whose use is counted together: identity, sender_domain, network, recipient_domain, destination (by MX) or gateway.
	Key Key `yaml:"key"`
	// Unit is what is counted: messages, recipients, external_recipients, internal_recipients, first_time_recipients, visible_recipients (To and Cc) or bytes.
	Unit Unit `yaml:"unit"`
	// Limit is the largest sum that is still within it.
	Limit int64 `yaml:"limit"`
	Per   Per   `yaml:"per"`  // "message", or the length of the window
	Warn  int   `yaml:"warn"` // percent of the limit from which it is told; 0 never
	// Action is what becomes of a message that exceeds it: hold, pace, approval, defer, reject, route, tag or log.
	Action Action `yaml:"action"`
	// Burst is how many units may go at once, with pace.
	Burst int64 `yaml:"burst"`
	// ApprovalExpires is how long a message waits for a person; then OnExpiry happens.
	ApprovalExpires time.Duration `yaml:"approval_expires"`
	OnExpiry        string        `yaml:"on_expiry"`
	Upstream        string        `yaml:"upstream"` // with route
	Field           string        `yaml:"field"`    // with tag: "Name: value"
	// Code and Status replace those of the reply, with defer and reject.
	Code   int    `yaml:"code"`
	Status string `yaml:"status"`
	// OnError is what a message gets when the rule cannot be applied: open (it passes), closed (451) or hold.
	OnError string `yaml:"on_error"`
	Shadow  bool   `yaml:"shadow"` // only say what it would have done
}

// Per is the length of a window; 0 is each message by itself.
type Per time.Duration

// UnmarshalText reads "message", "minute", "hour", "day" or a duration.
func (p *Per) UnmarshalText(b []byte) error {
	switch s := string(b); s {
	case "message":
		*p = 0
	case "minute":
		*p = Per(time.Minute)
	case "hour":
		*p = Per(time.Hour)
	case "day":
		*p = Per(24 * time.Hour)
	default:
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return fmt.Errorf(`%q: write message, minute, hour, day or a duration such as 10m`, s)
		}
		*p = Per(d)
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (p Per) MarshalText() ([]byte, error) {
	if p == 0 {
		return []byte("message"), nil
	}
	return []byte(time.Duration(p).String()), nil
}

// Bounds of limits.
const (
	maxWindow   = 31 * 24 * time.Hour
	minWindow   = time.Minute
	maxApproval = 30 * 24 * time.Hour
)

func (l *LimitRule) validate(faults *Faults, at string) {
	if l.Name == "" {
		faults.Add(at+".name", nil, "a limit needs a name: it is what people see as the reason")
	}
	if !slices.Contains([]Key{ByIdentity, BySenderDomain, ByNetwork, ByRecipientDomain, ByDestination, ByGateway}, l.Key) {
		faults.Add(at+".key", string(l.Key), "use identity, sender_domain, network, recipient_domain, destination or gateway")
	}
	if _, ok := unitLabels[l.Unit]; !ok {
		faults.Add(at+".unit", string(l.Unit),
			"use messages, recipients, external_recipients, internal_recipients, first_time_recipients, visible_recipients or bytes")
	}
	if l.Limit < 1 {
		faults.Add(at+".limit", l.Limit, "must be at least 1; a message that nobody may send is a matter for the mail server")
	}
	if d := time.Duration(l.Per); d != 0 && (d < minWindow || d > maxWindow) {
		faults.Add(at+".per", d, "a window is between 1m and 744h, or write message")
	}
	if l.Warn < 0 || l.Warn > 100 {
		faults.Add(at+".warn", l.Warn, "is a percentage of the limit, 0 for no warning")
	}
	l.validateAction(faults, at)
	l.Match.validate(faults, at+".match")
}

func (l *LimitRule) validateAction(faults *Faults, at string) {
	if !slices.Contains([]Action{Hold, Pace, Approval, Defer, Reject, Route, Tag, Log}, l.Action) {
		faults.Add(at+".action", string(l.Action), "use hold, pace, approval, defer, reject, route, tag or log")
	}
	switch l.Action {
	case Pace, Hold:
		if l.Per == 0 && l.Action == Pace {
			faults.Add(at+".per", "message", "a pace needs a time: minute, hour, day or a duration")
		}
		if l.Per == 0 && l.Action == Hold {
			faults.Add(at+".action", string(l.Action), "a message that is too large does not fit later either: use approval or reject")
		}
	case Route:
		if l.Upstream == "" {
			faults.Add(at+".upstream", nil, "route needs the name of an upstream")
		}
	case Tag:
		if name, value, ok := strings.Cut(l.Field, ":"); !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsAny(value, "\r\n") {
			faults.Add(at+".field", l.Field, `tag needs a header field, such as "X-Sendgate-Limit: many"`)
		}
	}
	if l.Action == Approval && (l.ApprovalExpires < time.Minute || l.ApprovalExpires > maxApproval) {
		faults.Add(at+".approval_expires", l.ApprovalExpires, "must be between 1m and 720h")
	}
	if !slices.Contains([]string{ExpiryReturn, ExpiryRelease}, l.OnExpiry) {
		faults.Add(at+".on_expiry", l.OnExpiry, "use return or release")
	}
	if !slices.Contains([]string{FailOpen, FailClosed, FailHold}, l.OnError) {
		faults.Add(at+".on_error", l.OnError, "use open, closed or hold")
	}
	if l.Action == Pace && l.Burst < 1 {
		faults.Add(at+".burst", l.Burst, "must be at least 1")
	}
	if l.Code != 0 && (l.Action == Defer && l.Code/100 != 4 || l.Action == Reject && l.Code/100 != 5) {
		faults.Add(at+".code", l.Code, "defer answers with 4xx, reject with 5xx")
	}
}

// SetDefaults fills an entry of a list before the file is read into it.
func (l *LimitRule) SetDefaults() {
	*l = LimitRule{
		Key: ByIdentity, Unit: ExternalRecipients, Per: Per(time.Hour), Warn: 80, Action: Hold, Burst: 1,
		ApprovalExpires: 72 * time.Hour, OnExpiry: ExpiryReturn, OnError: FailOpen,
	}
}
