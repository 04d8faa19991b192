package demo

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-smtp"
	"go.uber.org/zap"
)

// Domain is the internal domain, and Password the password of everybody in it.
const (
	Domain   = "corp.example"
	Password = "demo"
)

const (
	maxMessage    = 10 << 20
	maxRecipients = 1000
	maxLine       = 64 << 10 // body lines too (go-smtp), hence far above 998
)

// Config names the addresses to listen on, with port 0 for a free one.
type Config struct {
	SMTP string
	IMAP string
}

// An Upstream is the demo's mail server.
type Upstream struct {
	smtpListener net.Listener
	imapListener net.Listener
	offices      *offices
	world        *world
	log          *zap.Logger
}

// New opens the listeners, so that the addresses are known; Run serves them.
func New(cfg Config, log *zap.Logger) (*Upstream, error) {
	smtpListener, err := listen(cfg.SMTP)
	if err != nil {
		return nil, fmt.Errorf("demo SMTP: %w", err)
	}
	imapListener, err := listen(cfg.IMAP)
	if err != nil {
		return nil, fmt.Errorf("demo IMAP: %w", errors.Join(err, smtpListener.Close()))
	}
	return &Upstream{smtpListener, imapListener, newOffices(), newWorld(), log}, nil
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%s is not a loopback address: the demo takes mail from everybody", address), l.Close())
	}
	return l, nil
}

// SMTPAddr is the address that takes mail, as host:port.
func (u *Upstream) SMTPAddr() string { return u.smtpListener.Addr().String() }

// IMAPAddr is the address of the mailboxes, as host:port.
func (u *Upstream) IMAPAddr() string { return u.imapListener.Addr().String() }

// Sunk gives the number of messages that left for the rest of the world and the last of them,
// oldest first.
func (u *Upstream) Sunk() (messages int, last []Message) { return u.world.sunk() }

// Run serves until ctx ends; that is no error. It can be called once.
func (u *Upstream) Run(ctx context.Context) error {
	mail, boxes := u.smtpServer(), u.imapServer()
	ended := make(chan error, 2)
	go func() { ended <- mail.Serve(u.smtpListener) }()
	go func() { ended <- boxes.Serve(u.imapListener) }()
	var first error
	waiting := 2
	select {
	case <-ctx.Done():
	case first = <-ended:
		waiting--
	}
	// The listeners too: Close knows those only whose Serve has begun.
	_, _ = u.smtpListener.Close(), u.imapListener.Close()
	_, _ = mail.Close(), boxes.Close()
	for range waiting {
		<-ended
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("demo upstream: %w", first)
}

func (u *Upstream) smtpServer() *smtp.Server {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{offices: u.offices, world: u.world}, nil
	}))
	s.Domain = "mail." + Domain
	s.MaxMessageBytes = maxMessage + 1 // a message of exactly the limit is refused otherwise
	s.MaxRecipients = maxRecipients
	s.MaxLineLength = maxLine
	s.AllowInsecureAuth = true // loopback
	s.EnableSMTPUTF8 = true
	s.EnableDSN = true
	s.ErrorLog = zap.NewStdLog(u.log.Named("smtp"))
	return s
}

func (u *Upstream) imapServer() *imapserver.Server {
	return imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &reader{offices: u.offices}, nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}},
		Logger:       zap.NewStdLog(u.log.Named("imap")),
		InsecureAuth: true, // loopback
	})
}
