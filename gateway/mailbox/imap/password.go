package imap

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// ErrPassword says that a server does not let somebody in with this login and password.
var ErrPassword = errors.New("the login or the password is not right")

var errNoLogin = errors.New("the server offers neither AUTHENTICATE PLAIN nor LOGIN (LOGINDISABLED)")

// wrong are the codes of a refusal that is about login or password (RFC 5530 3); most servers give none, or the
// first. After any other the password was not looked at.
var wrong = map[imap.ResponseCode]bool{
	imap.ResponseCodeAuthenticationFailed: true, imap.ResponseCodeAuthorizationFailed: true, imap.ResponseCodeExpired: true, "": true,
}

// CheckPassword asks a server whether somebody has this login and password: it signs in and hangs up. Of c it uses
// the address and what is about TLS. It gives ErrPassword for a wrong one, and any other error when it could
// not be found out; ctx bounds how long that takes.
func CheckPassword(ctx context.Context, c mailbox.IMAP, login, password string) error {
	d := &dialer{IMAP: c}
	if err := d.trust(); err != nil {
		return err
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return late(ctx, fmt.Errorf("%w: %w", mailbox.ErrUnreachable, err))
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	s, err := d.start(ctx, raw)
	if err != nil {
		return late(ctx, err)
	}
	s.allow()
	return late(ctx, s.prove(login, password))
}

// prove signs in. LOGIN is for servers without SASL (RFC 9051 6.2.3), and never used where that is forbidden.
func (s *session) prove(login, password string) (err error) {
	switch offered := s.client.Caps(); {
	case offered.Has(imap.AuthCap(sasl.Plain)):
		err = s.client.Authenticate(sasl.NewPlainClient("", login, password))
	case offered.Has(imap.CapLoginDisabled):
		return errNoLogin
	default:
		err = s.client.Login(login, password).Wait()
	}
	var refused *imap.Error
	if errors.As(err, &refused) && refused.Type == imap.StatusResponseTypeNo && wrong[refused.Code] {
		return fmt.Errorf("%w: %s", ErrPassword, quote(refused))
	}
	return explain(loggingIn, err)
}
