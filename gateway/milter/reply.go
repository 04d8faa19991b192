package milter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	gomilter "github.com/emersion/go-milter"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A reply is the answer to an event. The zero reply lets the dialogue go on, replyDiscard ends the message as
// if it were delivered, and every other one refuses.
// It is always a value, never nil and never one of the library's constants, after which the library
// would forget the session.
type reply struct {
	code   int
	status string // enhanced status code (RFC 3463)
	text   string
}

// Our own answers. Everything else is a verdict's.
var (
	replyLocal    = reply{451, "4.3.0", "Local error in processing, try again later"}
	replyFull     = reply{452, "4.3.1", "Insufficient system storage, try again later"}
	replyNoMore   = reply{452, "4.5.3", "Too many recipients for one message"} // at RCPT: the rest may follow
	replyTooMany  = reply{554, "5.5.3", "Too many recipients for one message"} // at the end: all or nothing
	replyPolicy   = reply{550, "5.7.1", "Message refused by policy"}
	replyDiscard  = reply{text: "discarded"}
	replyPostpone = reply{451, "4.7.1", "Message postponed by policy, try again later"}
)

// refuses reports whether the reply is one.
func (r reply) refuses() bool { return r.code != 0 }

// String shows the reply as a client would see it.
func (r reply) String() string { return fmt.Sprintf("%d %s %s", r.code, r.status, r.text) }

// Response is the one exit of every answer. Postfix takes a reply for malformed when the classes of
// its codes differ, and reads %% as a percent sign, as Sendmail does, which formats the text
// (quirk test TestQuirkReplyTextIsNotEscaped).
func (r reply) Response() *gomilter.Message {
	switch {
	case r == replyDiscard:
		return &gomilter.Message{Code: byte(gomilter.ActDiscard)}
	case !r.refuses():
		return &gomilter.Message{Code: byte(gomilter.ActContinue)}
	}
	text := r.String()
	return &gomilter.Message{
		Code: byte(gomilter.ActReplyCode),
		Data: append([]byte(strings.ReplaceAll(text, "%", "%%")), 0),
	}
}

// Continue keeps the session with the library in any case.
func (r reply) Continue() bool { return true }

// replyTo gives the answer of a verdict that refuses; what is wrong with its codes is replaced.
func replyTo(v policy.Verdict) reply {
	r := replyPolicy
	if v.Action == policy.Defer {
		r = replyPostpone
	}
	if v.Code/100 == r.code/100 {
		r.code = v.Code
	}
	if validStatus(v.Status) && v.Status[0] == r.status[0] {
		r.status = v.Status
	}
	if text := cleanText(v.Text.EN); text != "" {
		r.text = text
	}
	return r
}

// replyError gives the answer for what went wrong on our side.
func replyError(err error) reply {
	switch {
	case errors.Is(err, store.ErrFull):
		return replyFull
	case errors.Is(err, store.ErrTooLarge):
		return replyTooMany
	}
	return replyLocal
}

// validStatus checks the form of RFC 3463 2.
func validStatus(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts[1:] {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n > 999 || strconv.FormatUint(n, 10) != p {
			return false
		}
	}
	return true
}

// maxReplyText leaves room in a reply line (RFC 5321 4.5.3.1.5).
const maxReplyText = 400

// cleanText leaves printable ASCII (RFC 5321 4.2), in one line.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == 0:
			return -1
		case r < ' ' || r == 0x7f:
			return ' '
		case r > 0x7f:
			return '?'
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	return s[:min(len(s), maxReplyText)]
}
