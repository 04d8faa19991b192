package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
)

// A session is one SMTP client: the gateway.
type session struct {
	offices    *offices
	world      *world
	sender     string
	recipients []policy.Address
}

// Reset forgets the transaction.
func (s *session) Reset() { s.sender, s.recipients = "", nil }

// Logout ends the session.
func (s *session) Logout() error { return nil }

// Mail begins a transaction. Every sender is fine.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.Reset()
	s.sender = from
	return nil
}

// Rcpt takes known people of the domain and everybody in the rest of the world.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	a, err := policy.ParseAddress(to)
	if err != nil {
		return reply(501, 5, 1, 3, fmt.Sprintf("Bad recipient address: %v", err))
	}
	if a.Domain() == Domain && s.offices.find(a.Key()) == nil {
		return reply(550, 5, 1, 1, fmt.Sprintf("<%s>: nobody of this name works at %s", a, Domain))
	}
	s.recipients = append(s.recipients, a)
	return nil
}

// Data delivers a message to everybody or to nobody.
func (s *session) Data(r io.Reader) error {
	message, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var people, abroad []policy.Address
	for _, a := range s.recipients {
		if a.Domain() == Domain {
			people = append(people, a)
		} else {
			abroad = append(abroad, a)
		}
	}
	if refusal := s.world.refuse(abroad); refusal != nil {
		return refusal
	}
	for _, a := range people {
		if err := s.offices.deliver(a, message); err != nil {
			return reply(451, 4, 2, 0, "The mailbox does not take the message")
		}
	}
	id := s.world.take(Message{Sender: s.sender, Recipients: abroad, Data: message})
	return reply(250, 2, 0, 0, "Ok: queued as "+id)
}

// AuthMechanisms are those that EHLO names.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth begins an authentication.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(login, password string) error {
		if !s.offices.admits(login, password) {
			return smtp.ErrAuthFailed
		}
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, login, password string) error { return check(login, password) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

// loginServer is the server's side of LOGIN (draft-murchison-sasl-login), which go-sasl lacks.
type loginServer struct {
	check func(login, password string) error
	asked []string // answers so far
}

// Next asks for the name, then for the password.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		l.asked = append(l.asked, string(response))
	}
	switch len(l.asked) {
	case 0:
		return []byte("Username:"), false, nil
	case 1:
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.asked[0], l.asked[1])
}

// reply makes the only kind of error that go-smtp hands on as it is. With 250 it is the text of
// the success.
func reply(code, class, subject, detail int, text string) error {
	return &smtp.SMTPError{
		Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail},
		Message: strings.Map(printable, text),
	}
}

func printable(r rune) rune {
	if r < 0x20 || r == 0x7f {
		return -1
	}
	return r
}
