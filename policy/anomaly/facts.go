package anomaly

import (
	"net/netip"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Facts are what is known of a message. The caller knows correspondents and contents.
type Facts struct {
	ID       policy.ID
	Identity string   // canonical
	Groups   []string // of the identity
	// External are the external recipients, Internal is how many others there are.
	External []Recipient
	Internal int
	Client   netip.Addr
	Agent    string // the mail program, or HELO where it is not known
	// ForeignFrom: the From address belongs to somebody else than the login.
	ForeignFrom bool
	// Bare: the subject is empty, or the text is hardly more than a link.
	Bare bool
	// SameText is how many strangers got this text from the account in a day, with this message, and
	// SharedText that several accounts send it.
	SameText   int
	SharedText bool
	// Allowed: a person allowed this text, to whomever it goes. It counts for nothing.
	Allowed bool
	// Held, when learning: a person is to look at the message first.
	Held bool
}

// A Recipient is an external one.
type Recipient struct {
	Address  policy.Address
	Stranger bool // the account has neither written to nor heard from it
	Heard    bool // it has written to the account
}

// A Verdict says what to do with a message and why.
type Verdict struct {
	Stage   Stage
	Score   int
	Reasons []Reason
	// Suspend, at that stage, is how long the account is to be barred; see [Watch.Suspended]. It is nil
	// when the account is suspended already.
	Suspend *Term
}

// A Term is the length of a suspension.
type Term struct {
	Until time.Time // zero: until a person ends it
	Nth   int       // the first is 1
}

// Strangers counts the recipients that are new to the account.
func (f *Facts) Strangers() (n int) {
	for i := range f.External {
		if f.External[i].Stranger {
			n++
		}
	}
	return n
}

// heard counts the recipients that have written to the account.
func (f *Facts) heard() (n int) {
	for i := range f.External {
		if f.External[i].Heard {
			n++
		}
	}
	return n
}
