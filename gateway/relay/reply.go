package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Our own answers. Everything else is the upstream's or a verdict's.
var (
	errRelayDenied       = refusal(550, "5.7.1", "Relay access denied: authenticate first")
	errStranger          = refusal(550, "5.7.1", "Relay access denied: this is not mail of the organisation that this server works for")
	errNotOwner          = refusal(553, "5.7.1", "The sender address does not belong to you")
	errNested            = refusal(503, "5.5.1", "Sender already specified")
	errAuthInMail        = refusal(503, "5.5.1", "AUTH is not permitted during a mail transaction")
	errBadSender         = refusal(553, "5.1.7", "The sender address is not valid")
	errBadRecipient      = refusal(553, "5.1.3", "The recipient address is not valid")
	errNeedsUTF8         = refusal(553, "5.6.7", "The address is not ASCII: SMTPUTF8 is required")
	errBareNewline       = refusal(550, "5.6.11", "The message contains a bare CR or LF")
	errTooLarge          = refusal(552, "5.3.4", "The message is larger than is accepted here")
	errHeaderTooLarge    = refusal(552, "5.3.4", "The header of the message is too large")
	errLoop              = refusal(554, "5.4.6", "Routing loop detected: too many Received lines")
	errUpstreamAway      = refusal(451, "4.4.1", "The next mail server cannot be reached, try again later")
	errLostAtEnd         = refusal(451, "4.4.2", "The next mail server did not confirm the message, try again later")
	errTooManyRecipients = refusal(452, "4.5.3", "Too many recipients for one message")
	errStoreFull         = refusal(452, "4.3.1", "Insufficient system storage, try again later")
	errAuthAway          = refusal(454, "4.7.0", "Temporary authentication failure, try again later")
	errAuthUnnamed       = refusal(535, "5.7.8", "The authentication exchange names no user")
	errAuthTooMany       = refusal(421, "4.7.0", "Too many failed authentications")
	errInternal          = refusal(451, "4.3.0", "Local error in processing, try again later")
)

// Last words before we hang up.
const (
	answerTimeout = "421 4.4.2 Timeout while receiving the message\r\n"
	answerLeaving = "421 4.3.2 The service is going down, try again later\r\n"
)

// refusal makes an answer for go-smtp.
func refusal(code int, status, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: statusOf(status), Message: text}
}

// statusOf reads an enhanced status code; what is none is left out of the answer.
func statusOf(s string) smtp.EnhancedCode {
	var e smtp.EnhancedCode
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return smtp.NoEnhancedCode
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return smtp.NoEnhancedCode
		}
		e[i] = n
	}
	return e
}

// passOn makes the upstream's answer ours, word for word. A 421 speaks of the upstream's
// connection, not of ours.
func passOn(r upstream.Reply) *smtp.SMTPError {
	if r.Code == 421 {
		return refusal(451, "4.4.2", r.Text)
	}
	return refusal(r.Code, r.Status, r.Text)
}

// A denial is the answer of a rule, with what the operator may know of it.
type denial struct {
	answer       *smtp.SMTPError
	rule, reason string
}

func (d *denial) Error() string { return d.rule + ": " + d.reason }
func (d *denial) Unwrap() error { return d.answer }

// denied gives the answer of a verdict that refuses.
func denied(v policy.Verdict) *denial {
	code := v.Code
	if code == 0 {
		code = 550
		if v.Action == policy.Defer {
			code = 451
		}
	}
	return &denial{refusal(code, v.Status, v.Text.EN), v.Rule, v.Reason}
}

// smtpError is the one exit: every answer that a session gives to go-smtp goes through it. The
// library understands a bare *smtp.SMTPError only, takes anything else for permanent and shows its
// text (quirk test TestQuirkWrappedError).
func smtpError(err error) error {
	if err == nil {
		return nil
	}
	var answer *smtp.SMTPError
	switch {
	case errors.As(err, &answer):
	case errors.Is(err, store.ErrFull):
		answer = errStoreFull
	case errors.Is(err, store.ErrTooLarge):
		answer = errTooManyRecipients
	default:
		answer = errInternal
	}
	clean := *answer
	clean.Message = cleanText(clean.Message)
	return &clean
}

// isAnswer reports whether an error is an answer of its own.
func isAnswer(err error) bool {
	var answer *smtp.SMTPError
	return errors.As(err, &answer)
}

// replyOf shows one of our answers as the journal does the upstream's.
func replyOf(a *smtp.SMTPError) upstream.Reply {
	r := upstream.Reply{Code: a.Code, Text: a.Message}
	if a.EnhancedCode != smtp.NoEnhancedCode {
		r.Status = fmt.Sprintf("%d.%d.%d", a.EnhancedCode[0], a.EnhancedCode[1], a.EnhancedCode[2])
	}
	return r
}

// cleanText leaves nothing in a text that could end its line. A LF separates the lines of a
// multiline reply; go-smtp puts the code before each.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, s)
	return strings.Trim(s, "\n")
}

// wholeAnswer formats a reply as it goes over the wire, for [wire.sayInstead].
func wholeAnswer(r upstream.Reply) string {
	var b strings.Builder
	status := r.Status
	if status != "" {
		status += " "
	}
	lines := strings.Split(cleanText(r.Text), "\n")
	for i, line := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		fmt.Fprintf(&b, "%d%s%s%s\r\n", r.Code, separator, status, line)
	}
	return b.String()
}
