package policy

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy/content"
)

// Front is the way by which a message came in.
type Front string

// The fronts of a gateway. Internal marks what sendgate itself writes (DSNs, notices).
const (
	Relay    Front = "relay"
	Milter   Front = "milter"
	Internal Front = "internal"
)

// Direction tells outgoing mail from what merely passes. Inbound mail is only observed.
type Direction string

// The directions.
const (
	Outbound Direction = "outbound"
	Inbound  Direction = "inbound"
)

// An Envelope holds the facts of a message at the moment of its acceptance. They never change.
type Envelope struct {
	Received  time.Time `cbor:"1,keyasint"`
	Front     Front     `cbor:"2,keyasint"`
	Direction Direction `cbor:"3,keyasint,omitempty"`

	Sender Address `cbor:"4,keyasint,omitempty"` // MAIL FROM; empty is the null sender
	// Identity is whom the mail is counted for: the canonical SASL login, else the envelope sender
	// from a trusted network, else the client address. Never empty.
	Identity string     `cbor:"5,keyasint"`
	Login    string     `cbor:"6,keyasint,omitempty"` // SASL login as the client gave it
	Client   netip.Addr `cbor:"7,keyasint,omitzero"`
	Helo     string     `cbor:"8,keyasint,omitempty"`
	Protocol string     `cbor:"9,keyasint,omitempty"` // SMTP, ESMTP, ESMTPS, ESMTPSA, ... (RFC 3848)

	Recipients []Recipient `cbor:"-"` // stored one row each

	// ESMTP parameters of MAIL.
	Size       int64  `cbor:"10,keyasint"`           // octets of the message as it will be sent
	Body       string `cbor:"11,keyasint,omitempty"` // "8BITMIME" or "7BIT"
	UTF8       bool   `cbor:"12,keyasint,omitempty"` // SMTPUTF8 (RFC 6531)
	RequireTLS bool   `cbor:"13,keyasint,omitempty"` // REQUIRETLS (RFC 8689)
	Ret        string `cbor:"14,keyasint,omitempty"` // RET=FULL or HDRS (RFC 3461 4.3)
	EnvID      string `cbor:"15,keyasint,omitempty"` // ENVID, decoded from xtext (RFC 3461 4.4)

	// From the header, decoded to UTF-8.
	From      string `cbor:"16,keyasint,omitempty"` // the From field as written
	Subject   string `cbor:"17,keyasint,omitempty"`
	MessageID string `cbor:"18,keyasint,omitempty"` // with its angle brackets

	QueueID string `cbor:"19,keyasint,omitempty"` // milter: Postfix's id
	// Route names the upstream that a rule chose for all recipients; empty is the usual one of each.
	Route string `cbor:"20,keyasint,omitempty"`
	// References are the Message-IDs of what the message answers or forwards, see [References].
	References []string `cbor:"21,keyasint,omitempty"`
}

// Bounds of References.
const (
	maxReferences = 4
	maxReference  = 256 // octets; a longer one is left out
)

// References reads from In-Reply-To and References (RFC 5322 3.6.4) which messages one answers or forwards:
// at most four Message-IDs with their angle brackets, the nearest first, each one once.
func References(inReplyTo, references string) (ids []string) {
	add := func(all []string) {
		for _, id := range all {
			if len(ids) < maxReferences && len(id) <= maxReference && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	add(messageIDs(tail(inReplyTo)))
	chain := messageIDs(tail(references))
	slices.Reverse(chain) // the nearest stands last
	add(chain)
	return ids
}

// tail bounds what is read of a field.
func tail(field string) string { return field[max(0, len(field)-16*maxReference):] }

// messageIDs finds what stands in angle brackets and has no space in it.
func messageIDs(field string) (ids []string) {
	for {
		_, rest, ok := strings.Cut(field, "<")
		if !ok {
			return ids
		}
		id, after, ok := strings.Cut(rest, ">")
		if !ok {
			return ids
		}
		if field = after; id != "" && !strings.ContainsAny(id, " \t<") {
			ids = append(ids, "<"+id+">")
		}
	}
}

// A Recipient is one RCPT TO with its parameters.
type Recipient struct {
	Address Address `cbor:"1,keyasint"`
	// Original is ORCPT without its "rfc822;" and decoded from xtext, or empty (RFC 3461 4.2).
	Original string `cbor:"2,keyasint,omitempty"`
	// OriginalType is the address type of ORCPT, "rfc822" or "utf-8" (RFC 6533 3).
	OriginalType string `cbor:"3,keyasint,omitempty"`
	// Notify holds NEVER, or some of SUCCESS, FAILURE, DELAY (RFC 3461 4.1); nil when not given.
	Notify []string `cbor:"4,keyasint,omitempty"`
}

// Stage says how far the dialogue is.
type Stage int

// The stages. At StageRcpt the envelope has just the recipient that is asked about.
const (
	StageEnd Stage = iota // the header was read; all recipients are known
	StageMail
	StageRcpt
	// StageContent follows StageEnd where the body came only after the decision at the header: what the
	// rules about content say in addition. Where the content is known at StageEnd it is asked for there.
	StageContent
)

// A Submission is what the engine decides on: the envelope as far as it is known, and the facts of
// the session that are not kept.
type Submission struct {
	Time     time.Time // the moment of the decision
	Stage    Stage
	Envelope *Envelope
	// ID is the id under which the message will be accepted, at StageEnd.
	ID ID
	// Already is how many recipients were accepted before the one asked about, at StageRcpt.
	Already int
	// Digest is a hash of the body at StageEnd, where it is known: it recognises a client's retry.
	Digest [16]byte
	// Trusted is true for clients from a configured network and for authenticated ones.
	Trusted bool
	// Content is what was read of the message, nil where it is not known.
	Content *content.Content
	// Head is the beginning of the message as it came, up to 256 KiB, where who decides has asked for it.
	Head []byte
	// Header gives the decoded values of a field, nil before the header was read.
	Header func(name string) []string
}
