package upstream

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sendgate/sendgate/policy"
)

// ErrUnsafe is returned for an address or a parameter that cannot be written without becoming
// something else: it holds CR, LF, NUL or another control character, or would end its path. Nothing
// was sent, and the connection is as before.
var ErrUnsafe = errors.New("not safe to send")

// Replies that we give in the server's place when it lacks what the message needs.
var (
	replyNoUTF8 = Reply{553, "5.6.7", "The next mail server does not accept internationalised addresses (SMTPUTF8)"}
	replyNoTLS  = Reply{550, "5.7.30", "The next mail server does not offer REQUIRETLS over a verified connection"}
)

// MailOptions are the parameters of MAIL.
type MailOptions struct {
	Size       int64  // octets; 0 when not known
	Body       string // "8BITMIME", "7BIT" or empty
	UTF8       bool   // SMTPUTF8 (RFC 6531)
	RequireTLS bool   // REQUIRETLS (RFC 8689)
	Ret        string // FULL, HDRS or empty (RFC 3461 4.3)
	EnvID      string // ENVID, decoded (RFC 3461 4.4)
	// ID is our own id of the message. It is the ENVID of a message that came without one, so that its
	// notifications name it.
	ID string
}

// wantsDSN reports whether there is something that a server without DSN does not understand.
func (o *MailOptions) wantsDSN() bool { return o.Ret != "" || o.EnvID != "" }

func wantsDSN(r *policy.Recipient) bool { return r.Original != "" || len(r.Notify) > 0 }

// refusal is the answer when the server lacks an extension without which the message must not be
// sent.
func (c *Capabilities) refusal(from policy.Address, o *MailOptions) (Reply, bool) {
	switch {
	case !c.SMTPUTF8 && (o.UTF8 || !from.IsASCII()):
		return replyNoUTF8, true
	case o.RequireTLS && !c.RequireTLS:
		return replyNoTLS, true
	}
	return Reply{}, false
}

// appendMail writes MAIL with the parameters that the server knows. What it does not know and may be
// left out is left out: SIZE, BODY (see the package's limits) and the parameters of DSN. With utf8 there
// are recipients that need SMTPUTF8.
func (c *Capabilities) appendMail(b []byte, from policy.Address, o *MailOptions, utf8 bool) ([]byte, error) {
	if err := checkPath(from); err != nil {
		return b, err
	}
	b = append(b, "MAIL FROM:<"...)
	b = append(b, from...)
	b = append(b, '>')
	if c.sizes && o.Size > 0 {
		b = append(b, " SIZE="...)
		b = strconv.AppendInt(b, o.Size, 10)
	}
	if c.EightBitMIME && o.Body != "" {
		if o.Body != "8BITMIME" && o.Body != "7BIT" {
			return b, fmt.Errorf("BODY=%q: %w", o.Body, ErrUnsafe)
		}
		b = append(append(b, " BODY="...), o.Body...)
	}
	if c.SMTPUTF8 && (utf8 || o.UTF8 || !from.IsASCII()) {
		b = append(b, " SMTPUTF8"...)
	}
	if o.RequireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	if !c.DSN {
		return append(b, '\r', '\n'), nil
	}
	if o.Ret != "" {
		if o.Ret != "FULL" && o.Ret != "HDRS" {
			return b, fmt.Errorf("RET=%q: %w", o.Ret, ErrUnsafe)
		}
		b = append(append(b, " RET="...), o.Ret...)
	}
	if hasControl(o.EnvID) {
		return b, fmt.Errorf("ENVID=%q: %w", o.EnvID, ErrUnsafe)
	}
	switch {
	case o.EnvID != "":
		b = appendXtext(append(b, " ENVID="...), o.EnvID)
	case o.ID != "" && from != "":
		b = appendXtext(append(b, " ENVID="...), o.ID)
	}
	return append(b, '\r', '\n'), nil
}

// appendRcpt writes RCPT with the parameters that the server knows.
func (c *Capabilities) appendRcpt(b []byte, r *policy.Recipient) ([]byte, error) {
	if r.Address == "" {
		return b, fmt.Errorf("RCPT TO:<>: %w", ErrUnsafe)
	}
	if err := checkPath(r.Address); err != nil {
		return b, err
	}
	b = append(b, "RCPT TO:<"...)
	b = append(b, r.Address...)
	b = append(b, '>')
	if !c.DSN {
		return append(b, '\r', '\n'), nil
	}
	for i, n := range r.Notify {
		if !slices.Contains([]string{"NEVER", "SUCCESS", "FAILURE", "DELAY"}, n) {
			return b, fmt.Errorf("NOTIFY=%q: %w", n, ErrUnsafe)
		}
		if i == 0 {
			b = append(b, " NOTIFY="...)
		} else {
			b = append(b, ',')
		}
		b = append(b, n...)
	}
	if r.Original != "" {
		if hasControl(r.Original) {
			return b, fmt.Errorf("ORCPT=%q: %w", r.Original, ErrUnsafe)
		}
		b = append(b, " ORCPT="...)
		if strings.EqualFold(r.OriginalType, "utf-8") {
			b = appendUTF8Xtext(append(b, "utf-8;"...), r.Original)
		} else {
			b = appendXtext(append(b, "rfc822;"...), r.Original)
		}
	}
	return append(b, '\r', '\n'), nil
}

// checkPath refuses what is not an address between angle brackets. policy.NewAddress makes no such
// addresses; this is the last door.
func checkPath(a policy.Address) error {
	quoted, escaped := false, false
	for i := range len(a) {
		b := a[i]
		switch {
		case b < 0x20 || b == 0x7f:
			return fmt.Errorf("address %q: %w", string(a), ErrUnsafe)
		case escaped:
			escaped = false
		case quoted && b == '\\':
			escaped = true
		case b == '"':
			quoted = !quoted
		case !quoted && (b == ' ' || b == '<' || b == '>' || b == '\\'):
			return fmt.Errorf("address %q: %w", string(a), ErrUnsafe)
		}
	}
	if quoted || len(a) > 998 {
		return fmt.Errorf("address %q: %w", string(a), ErrUnsafe)
	}
	return nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) || !utf8.ValidString(s)
}

const hexDigits = "0123456789ABCDEF"

// appendXtext encodes as in RFC 3461 4: printable ASCII but "+" and "=" as it is, every other octet
// as "+" and two hexadecimal digits.
func appendXtext(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c > 0x20 && c < 0x7f && c != '+' && c != '=' {
			b = append(b, c)
		} else {
			b = append(b, '+', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// appendUTF8Xtext encodes an address of type utf-8 in seven bits (RFC 6533 3, utf-8-addr-xtext), which is right
// with SMTPUTF8 and without.
func appendUTF8Xtext(b []byte, s string) []byte {
	for _, r := range s {
		if r > 0x20 && r < 0x7f && r != '+' && r != '=' && r != '\\' {
			b = append(b, byte(r))
			continue
		}
		b = append(b, `\x{`...)
		if r < 0x10 {
			b = append(b, '0')
		}
		b = append(b, strings.ToUpper(strconv.FormatInt(int64(r), 16))...)
		b = append(b, '}')
	}
	return b
}
