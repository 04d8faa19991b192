package postlog

import (
	"strings"
	"time"
)

// delivery reads what log_adhoc.c writes for each recipient of each attempt:
//
//	to=<a>, orig_to=<b>, relay=R, conn_use=2, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (text)
func (e *Entry) delivery(s string) bool {
	s, ok := strings.CutPrefix(s, "to=")
	if !ok {
		return false
	}
	e.To, s = cutAddress(s)
	for s != "" {
		var field string
		if state, ok := strings.CutPrefix(s, "status="); ok {
			e.result(state)
			e.Kind = Status
			return e.Status != ""
		}
		if address, ok := strings.CutPrefix(s, "orig_to="); ok {
			e.OrigTo, s = cutAddress(address)
			continue
		}
		field, s, _ = strings.Cut(s, ", ")
		e.field(field)
	}
	return false
}

// field reads one of the fields between the addresses and the status. Others than these are passed over.
func (e *Entry) field(field string) {
	key, value, _ := strings.Cut(field, "=")
	switch key {
	case "relay":
		e.Relay = relay(value)
	case "delay":
		e.Delay, _ = cutSeconds(value)
	case "delays":
		for i := range e.Delays {
			e.Delays[i], value = cutSeconds(value)
			value = strings.TrimPrefix(value, "/")
		}
	case "dsn":
		e.DSN = value
	}
}

// cutAddress reads "<address>, " and gives what follows. In the external format the local part may be
// quoted with anything inside; in the internal one only the next field tells where the address ends.
func cutAddress(s string) (address, rest string) {
	inner, bracketed := strings.CutPrefix(s, "<")
	if !bracketed { // a log that went through something that strips the brackets
		address, rest, _ = strings.Cut(s, ", ")
		return address, rest
	}
	if i := quotedEnd(inner); i > 0 {
		if j := strings.Index(inner[i:], ">, "); j >= 0 && strings.IndexByte(inner[i:i+j], ' ') < 0 {
			return inner[:i+j], inner[i+j+3:]
		}
	}
	for from := 0; ; {
		i := strings.Index(inner[from:], ">, ")
		if i < 0 {
			return strings.TrimSuffix(inner, ">"), ""
		}
		if i += from; isField(inner[i+3:]) {
			return inner[:i], inner[i+3:]
		}
		from = i + 3
	}
}

// quotedEnd gives the index behind a quoted local part and its @; 0 when there is none (RFC 5321 4.1.2).
func quotedEnd(s string) int {
	if !strings.HasPrefix(s, `"`) {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			if strings.HasPrefix(s[i+1:], "@") {
				return i + 2
			}
			return 0
		}
	}
	return 0
}

// isField says whether a field begins the text: "relay=", "orig_to=", or one of the future.
func isField(s string) bool {
	i := 0
	for i < len(s) && i < 32 && ('a' <= s[i] && s[i] <= 'z' || s[i] == '_') {
		i++
	}
	return i > 0 && i < len(s) && s[i] == '='
}

// result reads "sent (text)". The text may contain everything, also parentheses.
func (e *Entry) result(s string) {
	i := strings.IndexAny(s, " (")
	if i < 0 {
		e.Status = strings.ToLower(s)
		return
	}
	e.Status = strings.ToLower(s[:i])
	s, ok := strings.CutPrefix(strings.TrimLeft(s[i:], " "), "(")
	if !ok {
		return
	}
	text, whole := closed(s)
	e.Text = text
	e.Code, _ = reply(strings.TrimPrefix(text[saidEnd(text):], " "))
	if e.Status != Sent {
		e.MayBeDuplicate = strings.HasSuffix(text, mayBeDuplicate)
		return
	}
	if e.Relay.Addr == "" && e.Relay.Socket == "" {
		e.onHost(whole)
	}
	if e.ForwardedAs == "" {
		e.QueuedAs = queuedAs(text, whole)
	}
}

// closed gives what stands before the last parenthesis. Digits behind that come from exporters. Without
// one the line was cut.
func closed(s string) (text string, whole bool) {
	if i := strings.LastIndexByte(s, ')'); i >= 0 && strings.Trim(s[i+1:], " 0123456789") == "" {
		return s[:i], true
	}
	return s, false
}

// saidEnd gives the index behind "host H[ip] said:" and "... refused to talk to me:"; else 0.
func saidEnd(text string) int {
	if !strings.HasPrefix(text, "host ") {
		return 0
	}
	for _, mark := range []string{" said:", " refused to talk to me:"} {
		if i := strings.Index(text, mark); i >= 0 {
			return i + len(mark)
		}
	}
	return 0
}

// onHost reads what local, virtual and pipe say of a delivery.
func (e *Entry) onHost(whole bool) {
	if id, ok := strings.CutPrefix(e.Text, "forwarded as "); ok {
		e.Action = "forwarded"
		e.ForwardedAs = foreignID(id, whole)
		return
	}
	what, ok := strings.CutPrefix(e.Text, "delivered to ")
	switch {
	case e.Text == "discarded":
		e.Action = "discarded"
	case ok && (what == "mailbox" || what == "maildir" || strings.HasPrefix(what, "command: ") || strings.HasPrefix(what, "file: ")):
		e.Action = what
	default:
		if name, ok := strings.CutPrefix(e.Text, "delivered via "); ok {
			if name, _, ok = strings.Cut(name, " service"); ok {
				e.Action = "service: " + name
			}
		}
	}
}

// cutSeconds reads "0.07" and "89758".
func cutSeconds(s string) (time.Duration, string) {
	seconds, rest, ok := cutNumber(s)
	if !ok || seconds > int(100*365*24*time.Hour/time.Second) {
		return 0, rest
	}
	nano, rest := cutFraction(rest)
	return time.Duration(seconds)*time.Second + time.Duration(nano), rest
}

// mayBeDuplicate ends Postfix's statements about a connection that broke after the end of the data.
const mayBeDuplicate = " sending end of data -- message may be sent more than once"

// conversation reads what smtp and lmtp say before the status:
//
//	host mx[192.0.2.1] said: 450 4.2.0 text (in reply to RCPT TO command)
//	lost connection with mx[192.0.2.1] while sending end of data -- message may be sent more than once
func (e *Entry) conversation(s string) bool {
	if i := saidEnd(s); i > 0 {
		e.Kind = Said
		who, _, _ := strings.Cut(s[len("host "):i], " ")
		e.Relay = relay(who)
		e.Text = strings.TrimLeft(s[i:], " ")
		e.Code, e.DSN = reply(e.Text)
		return true
	}
	if !strings.HasSuffix(s, mayBeDuplicate) {
		return false
	}
	_, who, ok := strings.Cut(s, " with ")
	if !ok {
		return false
	}
	who, _, _ = strings.Cut(who, " ")
	e.Kind, e.MayBeDuplicate, e.Relay, e.Text = Ambiguous, true, relay(who), s
	return true
}
