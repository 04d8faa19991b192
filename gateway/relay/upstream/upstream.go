package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
)

const (
	capabilitiesFor = time.Minute // how long an answer to EHLO is remembered
	absenceFor      = time.Second // how long it is remembered that nobody answered
)

// Upstream is the mail server behind us: one or more servers that stand for the same thing.
type Upstream struct {
	config   Config
	hostname string
	log      *zap.Logger
	servers  []*server // by priority
	turn     atomic.Uint32
	tls      *tls.Config
	buffers  buffers
	pool     *pool
	known    knowledge
	flight   singleflight.Group
	asking   sync.RWMutex    // held for reading while a flight is on its way
	life     context.Context // ends with Close
	end      context.CancelFunc
	network  func(ctx context.Context, network, address string) (net.Conn, error)
}

// New makes an upstream from a valid configuration; hostname is our name in EHLO. Nothing is dialed.
func New(config Config, hostname string, log *zap.Logger) (*Upstream, error) {
	if hostname == "" || strings.ContainsFunc(hostname, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("hostname %q: %w", hostname, ErrUnsafe)
	}
	settings, err := newTLS(&config)
	if err != nil {
		return nil, err
	}
	u := &Upstream{
		config: config, hostname: hostname, log: log, tls: settings,
		pool:    newPool(config.Connections, config.IdleTimeout),
		network: new(net.Dialer).DialContext,
	}
	for _, s := range config.Servers {
		u.servers = append(u.servers, &server{Server: s})
	}
	slices.SortStableFunc(u.servers, func(a, b *server) int { return a.Priority - b.Priority })
	u.life, u.end = context.WithCancel(context.Background())
	return u, nil
}

// newTLS gives the settings that all connections share, with a cache for resumed sessions.
func newTLS(config *Config) (*tls.Config, error) {
	t := &tls.Config{
		ServerName:         config.ServerName,
		InsecureSkipVerify: config.TLS == TLSOpportunistic, // RFC 7435: listeners only
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	if config.Certificate != "" {
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(config.Certificate, config.Key)
			return &pair, err
		}
	}
	if config.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read certificate authorities: %s holds no certificate", config.CAFile)
	}
	return t, nil
}

// Name is the upstream's name in the configuration.
func (u *Upstream) Name() string { return u.config.Name }

// Config gives the configuration it was made from.
func (u *Upstream) Config() Config { return u.config }

// Close closes idle connections; those in use are closed when their delivery ends. Connections of
// Probe belong to their callers.
func (u *Upstream) Close() error {
	u.end()
	u.asking.Lock() // waits for a flight
	defer u.asking.Unlock()
	u.pool.close()
	return nil
}

// knowledge is what was last learned from a greeting.
type knowledge struct {
	mu    sync.Mutex
	caps  Capabilities
	err   error
	until time.Time
}

func (k *knowledge) set(caps Capabilities, err error) {
	until := time.Now().Add(capabilitiesFor)
	if err != nil {
		until = time.Now().Add(absenceFor)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.caps, k.err, k.until = caps, err, until
}

func (k *knowledge) get() (caps Capabilities, err error, fresh bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.caps, k.err, time.Now().Before(k.until)
}

// Capabilities gives what the server offers that answers first in the order of priority. The answer
// is remembered for a minute, and that nobody answered for a second; callers that come at the same
// time share one connection.
func (u *Upstream) Capabilities(ctx context.Context) (Capabilities, error) {
	if caps, err, fresh := u.known.get(); fresh {
		return caps, err
	}
	answer := u.flight.DoChan("", func() (any, error) { return u.ask() })
	select {
	case a := <-answer:
		caps, _ := a.Val.(Capabilities)
		return caps, a.Err
	case <-ctx.Done():
		return Capabilities{}, because(ctx, "ask for capabilities", ctx.Err())
	}
}

// ask connects under the upstream's own context: the caller that came first may leave before the others.
func (u *Upstream) ask() (Capabilities, error) {
	u.asking.RLock()
	defer u.asking.RUnlock()
	if u.life.Err() != nil {
		return Capabilities{}, ErrClosed
	}
	r := route{up: u, why: forCapabilities, client: &Client{}}
	c, err := r.connect(u.life)
	if err != nil {
		u.known.set(Capabilities{}, err)
		return Capabilities{}, err
	}
	c.hangUp()
	return c.caps, nil
}

// Probe opens a connection for one client, never pooled and not counted against Connections. The
// server is told the client's address by XCLIENT where the trusted path is xclient and it is granted.
// The caller closes it.
func (u *Upstream) Probe(ctx context.Context, client Client) (*Conn, error) {
	if u.life.Err() != nil {
		return nil, ErrClosed
	}
	r := route{up: u, why: forProbe, client: &client}
	return r.connect(ctx)
}

// Check asks every server whether it can be reached, whether TLS is as configured, and whether the
// trusted path is open: XCLIENT granted, or our login accepted. That a server permits our address
// cannot be asked.
func (u *Upstream) Check(ctx context.Context) error {
	var errs []error
	for _, s := range u.servers {
		if err := u.check(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Address, err))
		}
	}
	return errors.Join(errs...)
}

func (u *Upstream) check(ctx context.Context, s *server) error {
	c, err := u.dial(ctx, s, forDelivery, &Client{})
	if err != nil {
		return err
	}
	defer c.hangUp()
	if u.config.TrustedPath == TrustXClient && !impersonates(c.caps.XClient) {
		return errNoXClient
	}
	return nil
}
