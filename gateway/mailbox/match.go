package mailbox

import (
	"net/mail"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A Match says which message is meant.
type Match struct {
	ID       policy.ID
	Gateway  string // our hostname in the Received line with the id; empty when we write none
	IDHeader string // the field with our id, such as X-Sendgate-ID; empty when we write none

	MessageID string    // with its brackets; empty when there was none
	From      string    // the From field as written
	Subject   string    // decoded
	Received  time.Time // when we accepted it
	Size      int64     // octets as it was sent on; trace fields are added on the way
}

// What may differ between what we passed on and what lies in a mailbox.
const (
	clockSkew = 10 * time.Minute // between us and the mail server
	dateSkew  = 24 * time.Hour   // between the Date field, of a sender's clock, and our acceptance
	maxTrace  = 32 << 10         // octets that later hops add
	maxShrink = 1 << 10          // octets that they take away: fields removed, white space at line ends
	// sinceSkew is the search's own tolerance: IMAP's SINCE compares days, in the server's time zone
	// (RFC 9051 6.4.4).
	sinceSkew = 48 * time.Hour
)

// Fields lists the header fields that Verify needs.
func (m *Match) Fields() []string {
	fields := []string{"Received", "Message-ID", "From", "Date", "Subject", "To"}
	if m.IDHeader != "" {
		fields = append(fields, m.IDHeader)
	}
	return fields
}

// Since is before every copy's time of arrival: searches may leave out what is older.
func (m *Match) Since() time.Time { return m.Received.Add(-sinceSkew) }

// Sizes bounds the size of a copy; with an unknown size there is no bound and max is 0.
func (m *Match) Sizes() (least, most int64) {
	if m.Size <= 0 {
		return 0, 0
	}
	return max(0, m.Size-maxShrink), m.Size + maxTrace
}

// Term is the longest piece of the Message-ID by which every server finds it with a search for
// substrings: without white space, where the field may be folded, without quotes and backslashes, which
// servers normalise, and without octets beyond ASCII, which need a charset. Empty when there is none.
func (m *Match) Term() string {
	longest := ""
	for _, piece := range strings.FieldsFunc(m.MessageID, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"\()`, r)
	}) {
		if len(piece) > len(longest) {
			longest = piece
		}
	}
	return longest
}

// Verify reads the header of a copy whose Internal and Size are known, and says whether it is the
// message that is meant. It fills in By and Digest. The header may hold more fields than those of Fields.
func (m *Match) Verify(header []byte, c *Copy) bool {
	h := readHeader(header)
	c.Digest = h.digest()
	switch ours, other := m.ids(h); {
	case ours:
		c.By = ByID
	case other || c.Internal.Before(m.Received.Add(-clockSkew)) || !sameAuthor(m.From, h.first("from")):
		return false
	case m.MessageID != "":
		if normalID(h.first("message-id")) != normalID(m.MessageID) {
			return false
		}
		c.By = ByMessageID
	case m.fits(h, c.Size):
		c.By = ByHeader
	default:
		return false
	}
	return true
}

// ids reports whether a header carries our id, or only ids that we gave to other messages: the same
// program may have sent two messages with one Message-ID.
func (m *Match) ids(h header) (ours, other bool) {
	found := func(s string) {
		if id, err := policy.ParseID(s); err == nil {
			ours, other = ours || id == m.ID, other || id != m.ID
		}
	}
	if m.IDHeader != "" {
		for _, v := range h[strings.ToLower(m.IDHeader)] {
			id, _, _ := strings.Cut(v, ".") // a MAC follows
			found(strings.TrimSpace(id))
		}
	}
	if m.Gateway != "" {
		for _, v := range h["received"] {
			if id, ok := receivedID(v, m.Gateway); ok {
				found(id)
			}
		}
	}
	return ours, other
}

// receivedID reads "by <gateway> ... id <id>" from a Received line (RFC 5321 4.4).
func receivedID(line, gateway string) (string, bool) {
	words, by := strings.Fields(line), false
	for i, w := range words[:max(0, len(words)-1)] {
		next := strings.TrimRight(words[i+1], ";")
		switch {
		case strings.EqualFold(w, "by"):
			by = strings.EqualFold(next, gateway)
		case by && strings.EqualFold(w, "id"):
			return next, true
		}
	}
	return "", false
}

// fits compares what there is of a message without Message-ID.
func (m *Match) fits(h header, size int64) bool {
	date, err := mail.ParseDate(h.first("date"))
	least, most := m.Sizes()
	return err == nil && date.Sub(m.Received).Abs() <= dateSkew && most > 0 && size >= least && size <= most &&
		decoded(h.first("subject")) == decoded(m.Subject)
}

// normalID takes folding and white space out of a Message-ID (RFC 5322 3.6.4). Spaces in quotes are part
// of it; case matters.
func normalID(id string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, c := range []byte(id) {
		switch {
		case c == '\r' || c == '\n' || !quoted && (c == ' ' || c == '\t'):
			continue
		case c == '"' && !escaped:
			quoted = !quoted
		}
		escaped = c == '\\' && !escaped
		b.WriteByte(c)
	}
	return b.String()
}

// sameAuthor compares the addresses of two From fields: names are re-encoded on the way.
func sameAuthor(a, b string) bool { return Author(a) == Author(b) }

// Author is the address in a From field, in lower case.
func Author(from string) string {
	if open := strings.LastIndexByte(from, '<'); open >= 0 {
		address, _, _ := strings.Cut(from[open+1:], ">")
		return strings.ToLower(strings.TrimSpace(address))
	}
	return strings.ToLower(strings.TrimSpace(from))
}
