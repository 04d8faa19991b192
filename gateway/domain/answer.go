package domain

import (
	"fmt"

	"github.com/sendgate/sendgate/policy"
)

// State is what is known about a domain.
type State string

// The states. Mail to all but the middle three passes.
const (
	Exists     State = "exists"
	NoDomain   State = "no_domain" // NXDOMAIN
	NoMail     State = "no_mail"   // neither MX nor address
	NullMX     State = "null_mx"   // says itself that it takes none (RFC 7505)
	Unknown    State = "unknown"
	NotChecked State = "not_checked"
)

// refused reports whether mail to a domain in this state is refused.
func (s State) refused() bool { return s == NoDomain || s == NoMail || s == NullMX }

// RuleName is the rule that a [policy.Verdict] of this package names.
const RuleName = "recipient domain"

// An Answer is what the DNS says about the domain of a recipient.
type Answer struct {
	Domain string
	State  State
	// MX holds the mail servers, most preferred first, in lower case without the final dot. With
	// Implicit it is the domain itself, which has an address and no MX.
	MX       []string
	Implicit bool
	// Group names the destination: the provider of the first mail server, else the registered domain.
	// It is empty only for an empty domain.
	Group string
	// Suggestion is the domain that was probably meant; only with states that are refused.
	Suggestion string
	// Stale is set on an answer that is used beyond its time because it could not be renewed.
	Stale bool
	// Reason says for the operator who said so, or why it is not known.
	Reason string
}

// Verdict refuses mail to a domain that does not exist or takes none; it is the zero [policy.Verdict]
// for every other answer.
func (a Answer) Verdict() policy.Verdict {
	status := "5.1.2" // bad destination system address (RFC 3463 3.2)
	var text policy.Label
	switch a.State {
	case NoDomain:
		text = policy.Label{EN: "The domain %s does not exist.", ZH: "域名 %s 不存在。"}
	case NoMail:
		text = policy.Label{EN: "The domain %s has no mail server.", ZH: "域名 %s 没有邮件服务器。"}
	case NullMX:
		status = "5.1.10" // recipient address has null MX (RFC 7505 6)
		text = policy.Label{EN: "The domain %s does not accept mail.", ZH: "域名 %s 不接收邮件。"}
	default:
		return policy.Verdict{}
	}
	text = policy.Label{EN: fmt.Sprintf(text.EN, a.Domain), ZH: fmt.Sprintf(text.ZH, a.Domain)}
	if a.Suggestion != "" {
		text.EN += " Did you mean " + a.Suggestion + "?"
		text.ZH += "您是否想写 " + a.Suggestion + "？"
	}
	return policy.Verdict{
		Action: policy.Reject, Rule: RuleName, Code: 550, Status: status, Text: text, Reason: a.Reason,
		Findings: []policy.Finding{{Rule: RuleName, Kind: "domain", Exceeded: true, Decided: true, Action: policy.Reject, Detail: text}},
	}
}
