package alert

import (
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// People knows who belongs to the organisation.
type People struct {
	Config    policy.Config
	Directory *policy.Directory
}

// Mailbox is where the sender of a message reads mail, or the null address when it is none of ours.
func (p People) Mailbox(e *policy.Envelope) policy.Address {
	if e.Sender == "" || e.Direction == policy.Inbound || e.Front == policy.Internal {
		return ""
	}
	identity, _, _ := strings.Cut(e.Identity, "#") // an application behind a shared address
	if e.Sender.Domain() != "" && p.Directory.Owns(identity, e.Sender) && (p.ours(e.Sender) || e.Login != "") {
		return e.Sender
	}
	if a := p.MailboxOf(identity); a != "" {
		return a
	}
	// Behind a bare login nobody knows whose address it may be: the name has to agree.
	if p.ours(e.Sender) && strings.EqualFold(e.Sender.Local(), identity) {
		return e.Sender
	}
	return ""
}

// MailboxOf is where an identity reads mail, or the null address.
func (p People) MailboxOf(identity string) policy.Address {
	if id := p.Directory.Find(identity); id != nil {
		for _, a := range append([]string{id.Login}, id.Addresses...) {
			if address, err := policy.ParseAddress(a); err == nil && address.Domain() != "" {
				return address
			}
		}
	}
	if a, err := policy.ParseAddress(identity); err == nil && p.ours(a) {
		return a
	}
	return ""
}

// ours reports whether mail to an address stays within the organisation.
func (p People) ours(a policy.Address) bool {
	return a.Domain() != "" && (p.Config.IsInternal(a) || p.Directory.Find(a.Key()) != nil)
}
