package relay

import (
	"net/netip"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// received is the line that we put on top of a message (RFC 5321 4.4), with its CRLF. A single
// recipient is named, several are not: each would learn of the others.
func received(e *policy.Envelope, hostname string, id policy.ID) string {
	var b strings.Builder
	b.WriteString("Received: from ")
	b.WriteString(cleanHelo(e.Helo))
	b.WriteString(" (")
	b.WriteString(addressLiteral(e.Client))
	b.WriteString(")\r\n\tby ")
	b.WriteString(hostname)
	b.WriteString(" (sendgate) with ")
	b.WriteString(e.Protocol)
	b.WriteString(" id ")
	b.WriteString(id.String())
	if len(e.Recipients) == 1 && (e.UTF8 || e.Recipients[0].Address.IsASCII()) {
		b.WriteString("\r\n\tfor <")
		b.WriteString(string(e.Recipients[0].Address))
		b.WriteString(">")
	}
	b.WriteString("; ")
	b.WriteString(e.Received.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	b.WriteString("\r\n")
	return b.String()
}

// addressLiteral writes an address as RFC 5321 4.1.3 has it.
func addressLiteral(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is4():
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.String() + "]"
}

// maxHelo is a domain name's length (RFC 1035 2.3.4).
const maxHelo = 255

// cleanHelo leaves of what a client calls itself only what can stand in a Received line.
func cleanHelo(helo string) string {
	if helo == "" {
		return "unknown"
	}
	if len(helo) > maxHelo {
		helo = helo[:maxHelo]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(".-_:[]", r):
			return r
		}
		return '?'
	}, helo)
}

// protocolName is the name of the transmission type (RFC 3848, RFC 6531 4.3).
func protocolName(extended, secure, authenticated, utf8 bool) string {
	if !extended {
		return "SMTP"
	}
	name := "ESMTP"
	if utf8 {
		name = "UTF8SMTP"
	}
	if secure {
		name += "S"
	}
	if authenticated {
		name += "A"
	}
	return name
}

// recallTime is how a time of today is shown, and one of another day, in the gateway's zone.
func recallTime(until, now time.Time) string {
	until = until.Local()
	y1, m1, d1 := until.Date()
	y2, m2, d2 := now.Local().Date()
	if y1 == y2 && m1 == m2 && d1 == d2 {
		return until.Format("15:04:05")
	}
	return until.Format("2006-01-02 15:04:05")
}
