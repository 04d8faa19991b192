package ask

import (
	"strings"
	"unicode"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
)

// Kind says in which way a person asked.
type Kind string

// The kinds.
const (
	Recall  Kind = "recall"  // by a mail to the service address
	Outlook Kind = "outlook" // by Outlook's Recall This Message
	Unclear Kind = "unclear" // a mail to the service address that does not say what to do
)

// An Instruction is what a mail asks for.
type Instruction struct {
	Kind Kind
	// MessageIDs name the messages, with their angle brackets; Last means the sender's last one instead.
	MessageIDs []string
	Last       bool
	// Subject is that of the message that Outlook wants back, and Thread the Thread-Index of the request, nil
	// when it has none. Certain says that it is a request without doubt; else it is one only if Subject and
	// Thread are those of a message that the same person has sent.
	Subject string
	Thread  []byte
	Certain bool
	// Language is that of the person who asks: zh-CN or en.
	Language string
}

// A Mail is what is read.
type Mail struct {
	Envelope *policy.Envelope
	Trusted  bool // as in [Believed]
	// Header gives the decoded values of a field.
	Header  func(name string) []string
	Content *content.Content // nil where it is not known
	// Head is the beginning of the raw message with its header; nil where it is not known. Without it
	// attached messages and winmail.dat are not looked into.
	Head []byte
}

// Believed reports whether a mail is from whom it says: its client signed in, or is trusted to name nobody but the
// person who has signed in there as the sender.
func Believed(e *policy.Envelope, trusted bool) bool {
	if e.Direction == policy.Inbound || e.Front == policy.Internal || e.Sender == "" {
		return false
	}
	return e.Login != "" || trusted && strings.Contains(e.Identity, "@")
}

// ToService reports whether the service address is among the recipients, and whether it is the only one.
func ToService(e *policy.Envelope, service policy.Address) (among, alone bool) {
	if service == "" {
		return false, false
	}
	alone = true
	for i := range e.Recipients {
		if e.Recipients[i].Address.Key() == service.Key() {
			among = true
		} else {
			alone = false
		}
	}
	return among, among && alone
}

// Read gives what a mail asks for, nil for nothing.
func Read(m *Mail, service policy.Address) *Instruction {
	if !Believed(m.Envelope, m.Trusted) || m.Header == nil || m.automatic() {
		return nil
	}
	if len(m.Head) > maxHead {
		short := *m
		short.Head = m.Head[:maxHead]
		m = &short
	}
	among, alone := ToService(m.Envelope, service)
	switch {
	case alone:
		return m.toService()
	case among:
		return nil
	}
	return m.fromOutlook()
}

// automatic reports whether a program wrote the mail by itself, or a mailing list sends it on.
func (m *Mail) automatic() bool {
	auto := strings.ToLower(strings.TrimSpace(m.field("Auto-Submitted")))
	if auto != "" && !strings.HasPrefix(auto, "no") || m.field("List-Id") != "" {
		return true
	}
	switch strings.ToLower(strings.TrimSpace(m.field("Precedence"))) {
	case "bulk", "list", "junk":
		return true
	}
	return false
}

// field gives the first value of a field.
func (m *Mail) field(name string) string {
	for _, v := range m.Header(name) {
		return v
	}
	return ""
}

// subject is the decoded subject on one line.
func (m *Mail) subject() string { return oneLine(m.field("Subject")) }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// language guesses what the sender reads.
func (m *Mail) language(hints ...string) string {
	for _, h := range hints {
		if strings.ContainsFunc(h, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			return "zh-CN"
		}
	}
	if strings.HasPrefix(strings.ToLower(m.field("Content-Language")), "zh") {
		return "zh-CN"
	}
	return "en"
}
