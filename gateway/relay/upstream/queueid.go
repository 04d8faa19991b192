package upstream

import "strings"

// maxQueueID is more than any known server uses; Exchange's numbers have up to 20 digits.
const maxQueueID = 64

// QueueID is the server's own id of the message, empty when the reply names none in a form we know:
//
//	Ok: queued as 4XyZ12Abc            Postfix, amavis, and what imitates them
//	4096 bytes queued as 17            smtp-sink and others
//	OK id=1tAbCd-0005Gy-Ab             Exim
//	4AbC123 Message accepted for delivery    Sendmail, OpenSMTPD
//	<...> [InternalId=123, ...] Queued mail for delivery    Exchange
//	<user@example> kAbC12:R2 Saved     Dovecot LMTP: its session id
func (r Reply) QueueID() string {
	if !r.Positive() {
		return ""
	}
	words := strings.Fields(r.Text)
	for i, w := range words {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch {
		case strings.EqualFold(w, "queued") && strings.EqualFold(next, "as") && i+2 < len(words):
			return queueID(words[i+2])
		case len(w) > 3 && strings.EqualFold(w[:3], "id="):
			return queueID(w[3:])
		case strings.HasPrefix(w, "[InternalId="):
			return queueID(strings.TrimPrefix(w, "[InternalId="))
		case i > 0 && w == "Message" && next == "accepted":
			return queueID(words[i-1])
		case i == 2 && w == "Saved" && strings.HasPrefix(words[0], "<"):
			return queueID(words[1])
		}
	}
	return ""
}

// queueID gives the word without closing punctuation when it can be an id at all.
func queueID(w string) string {
	w = strings.TrimRight(w, ".,;:)]>")
	w = strings.TrimLeft(w, "(<[")
	if len(w) > maxQueueID {
		return ""
	}
	for i := range len(w) {
		switch b := w[i]; {
		case isDigit(b), 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z':
		case i > 0 && strings.IndexByte("-_.+/=:", b) >= 0:
		default:
			return ""
		}
	}
	return w
}
