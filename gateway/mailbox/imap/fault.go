package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// meanings of response codes (RFC 5530 3, RFC 9051 7.1). AUTHORIZATIONFAILED is what Dovecot says when the
// master user is let in, but there is no such user; Cyrus lets us in and shows no INBOX.
var meanings = map[imap.ResponseCode]error{
	imap.ResponseCodeAuthorizationFailed:  mailbox.ErrNoMailbox,
	imap.ResponseCodeAuthenticationFailed: mailbox.ErrDenied,
	imap.ResponseCodeExpired:              mailbox.ErrDenied,
	imap.ResponseCodePrivacyRequired:      mailbox.ErrDenied,
	imap.ResponseCodeNoPerm:               mailbox.ErrDenied,
	imap.ResponseCodeUnavailable:          mailbox.ErrUnreachable,
	imap.ResponseCodeInUse:                mailbox.ErrUnreachable,
	imap.ResponseCodeLimit:                mailbox.ErrUnreachable,
	imap.ResponseCodeOverQuota:            mailbox.ErrUnreachable,
	imap.ResponseCodeServerBug:            mailbox.ErrUnreachable,
	imap.ResponseCodeCorruption:           mailbox.ErrUnreachable,
	imap.ResponseCodeContactAdmin:         mailbox.ErrUnreachable,
}

// An explained error carries the server's words and what they mean.
type explained struct {
	text    string
	meaning error // one of package mailbox's, or nil
	cause   error
}

func (e *explained) Error() string { return e.text }

func (e *explained) Unwrap() []error {
	if e.meaning == nil {
		return []error{e.cause}
	}
	return []error{e.meaning, e.cause}
}

// explain tells what the server's refusal, or its silence, means; doing says what was asked of it. What is
// explained already stays so.
func explain(doing string, err error) error {
	var done *explained
	if err == nil || errors.As(err, &done) {
		return err
	}
	e := &explained{text: doing + ": " + err.Error(), meaning: mailbox.ErrUnreachable, cause: err}
	var refused *imap.Error
	if errors.As(err, &refused) {
		e.text, e.meaning = doing+": "+quote(refused), meanings[refused.Code]
		if e.meaning == nil && refused.Type == imap.StatusResponseTypeBye {
			e.meaning = mailbox.ErrUnreachable
		}
		if e.meaning == nil && doing == loggingIn && refused.Type == imap.StatusResponseTypeNo {
			e.meaning = mailbox.ErrDenied
		}
	}
	if e.meaning != nil {
		e.text = e.meaning.Error() + ": " + e.text
	}
	return e
}

const loggingIn = "log in"

// maxWords bounds what is kept of a server's text.
const maxWords = 500

func quote(e *imap.Error) string {
	words := string(e.Type)
	if e.Code != "" {
		words += " [" + string(e.Code) + "]"
	}
	words = strings.TrimSpace(words + " " + e.Text)
	return strings.ToValidUTF8(words[:min(len(words), maxWords)], "?")
}

// noFolder reports whether a command failed because there is no such folder. Cyrus says so without a
// code.
func noFolder(err error) bool {
	var refused *imap.Error
	if !errors.As(err, &refused) || refused.Type != imap.StatusResponseTypeNo {
		return false
	}
	return refused.Code == "" || refused.Code == imap.ResponseCodeNonExistent || refused.Code == imap.ResponseCodeTryCreate
}

// gone reports whether a command failed because the message was removed by somebody else (RFC 5530 3).
func gone(err error) bool {
	var refused *imap.Error
	return errors.As(err, &refused) && refused.Code == "EXPUNGEISSUED"
}

// late puts the end of the time in front of what it led to.
func late(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", mailbox.ErrUnreachable, context.Cause(ctx))
}
