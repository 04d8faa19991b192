package imap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// maxAnswer bounds what a server may send in answer to one command.
const maxAnswer = 8 << 20

var errTooMuch = errors.New("the server sent more than 8 MiB in answer to one command")

// A bounded connection ends after maxAnswer octets, or when it is closed: the library itself would read
// as much as comes.
type bounded struct {
	net.Conn
	left atomic.Int64
}

func (b *bounded) Read(p []byte) (int, error) {
	left := b.left.Load()
	if left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), left)])
	b.left.Add(-int64(n))
	return n, err
}

// A dialer opens sessions.
type dialer struct {
	mailbox.IMAP
	timeout  time.Duration
	password string
	tls      *tls.Config
}

func newDialer(c mailbox.Config) (*dialer, error) {
	d := &dialer{IMAP: c.IMAP, timeout: c.Timeout}
	secret, err := os.ReadFile(c.IMAP.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	d.password, _, _ = strings.Cut(string(secret), "\n")
	if d.password = strings.TrimRight(d.password, "\r"); d.password == "" {
		return nil, fmt.Errorf("read the password: %s is empty", c.IMAP.PasswordFile)
	}
	return d, d.trust()
}

// trust reads whom TLS believes to be the server.
func (d *dialer) trust() error {
	d.tls = &tls.Config{ServerName: d.ServerName, MinVersion: tls.VersionTLS12}
	if d.ServerName == "" {
		d.tls.ServerName, _, _ = net.SplitHostPort(d.Address)
	}
	if d.CAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(d.CAFile)
	if err != nil {
		return fmt.Errorf("read the certificate authorities: %w", err)
	}
	d.tls.RootCAs = x509.NewCertPool()
	if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("read the certificate authorities: %s holds none", d.CAFile)
	}
	return nil
}

// open connects and logs in as the user.
func (d *dialer) open(ctx context.Context, user string) (*session, error) {
	raw, err := (&net.Dialer{Timeout: d.timeout}).DialContext(ctx, "tcp", d.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", mailbox.ErrUnreachable, err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	s, err := d.start(ctx, raw)
	if err == nil {
		err = d.login(s, user)
	}
	if err != nil {
		raw.Close()
		return nil, late(ctx, err)
	}
	s.user = user
	if err := s.ask(); err != nil {
		s.close()
		return nil, late(ctx, err)
	}
	return s, nil
}

// ask learns what the server can do now that the user is in. What it said before does not count (RFC 9051 6.2.3): the
// library forgets that only after it has let LOGIN return, so it is asked, not remembered.
func (s *session) ask() (err error) {
	if s.caps, err = s.client.Capability().Wait(); err != nil {
		return explain("ask what the server can do", err)
	}
	if !s.caps.Has(imap.CapUIDPlus) {
		return fmt.Errorf("%w: the server has no UIDPLUS (RFC 4315), without which a message cannot be removed alone", mailbox.ErrDenied)
	}
	return nil
}

// start begins TLS and waits for the greeting.
func (d *dialer) start(ctx context.Context, raw net.Conn) (*session, error) {
	s := &session{conn: &bounded{Conn: raw}}
	s.allow()
	switch d.TLS {
	case mailbox.TLSStartTLS:
		client, err := imapclient.NewStartTLS(s.conn, &imapclient.Options{TLSConfig: d.tls})
		if err != nil {
			return nil, explain("start TLS", err)
		}
		s.client = client
	case mailbox.TLSImplicit:
		secure := tls.Client(raw, d.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, explain("start TLS", err)
		}
		s.conn.Conn = secure
		fallthrough
	default:
		s.client = imapclient.New(s.conn, nil)
	}
	return s, explain("wait for the greeting", s.client.WaitGreeting())
}

// login acts as the user, in the way that is configured.
func (d *dialer) login(s *session, user string) error {
	if strings.ContainsAny(user, "\x00\r\n") || d.Auth == mailbox.AuthMaster && strings.Contains(user, d.Separator) {
		return fmt.Errorf("%w: %q cannot be a user's name", mailbox.ErrNoMailbox, user)
	}
	authzid, login := "", d.Login
	switch d.Auth {
	case mailbox.AuthMaster:
		login = user + d.Separator + d.Login
	case mailbox.AuthAuthzid:
		authzid = user
	case mailbox.AuthService:
		login = mailbox.Expand(d.Login, user)
	}
	if authzid == "" && !s.client.Caps().Has(imap.AuthCap(sasl.Plain)) {
		return explain(loggingIn, s.client.Login(login, d.password).Wait())
	}
	return explain(loggingIn, s.client.Authenticate(sasl.NewPlainClient(authzid, login, d.password)))
}
