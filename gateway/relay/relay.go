package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/gateway/shell"
	"github.com/sendgate/sendgate/policy"
	contents "github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A Journal is the part of the store that the front needs.
type Journal interface {
	NewID() policy.ID
	NewBody(id policy.ID) *store.BodyWriter
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
}

// A Router says which upstream a recipient's mail goes to. The empty address asks for the one whose
// offers are ours and which AUTH is passed through to.
type Router interface {
	Route(recipient policy.Address) *upstream.Upstream
}

// Settings are what a reload may change. What the sockets depend on (Config.Listen, Connections,
// ConnectionsPerClient, IdleTimeout) is read once, by New.
type Settings struct {
	Config    Config
	Engine    policy.Engine
	Directory *policy.Directory
	Router    Router
	// Content hands what a message says to the engine (policy.StageContent), once the whole has come.
	// It costs the work of package content for each message.
	Content bool
	// Head says of which messages the engine sees the beginning as it came (policy.Submission.Head), with
	// Content only. Nil is of none.
	Head func(to []policy.Recipient, subject string) bool
	// SignedIn is told of each authentication that succeeds or is refused. It must not block. Nil when nobody
	// wants to know.
	SignedIn func(policy.SignIn)
	// Suspended gives what somebody is told who must not send to other organisations; ok is false when he
	// may. It is asked where Config.SuspendedAuth is refuse. Nil suspends nobody.
	Suspended func(identity string) (text policy.Label, ok bool)
	// Reports takes what may be a delivery status notification (RFC 3464): the beginning of a message
	// from the null sender, once it was accepted. It must not block. Nil when nobody reads them.
	Reports func(message []byte)
}

const (
	drainTime = 30 * time.Second // for sessions to finish at the end
	minRate   = 100              // octets per second that a client must send in the long run

	refusalTooMany = "421 4.7.0 Too many connections, try again later\r\n"
)

// A Relay accepts mail by SMTP.
type Relay struct {
	hostname string
	journal  Journal
	clock    func() time.Time
	log      *zap.Logger
	settings atomic.Pointer[Settings]
	shell    *shell.Shell
	ports    []port
	answers  *answers
	absences *absences
	metrics  *metrics
	pause    func(ctx context.Context, d time.Duration) // after a failed authentication
	extract  func() extractor                           // for one message
}

// A port is an open listener.
type port struct {
	socket net.Listener
	config Listener
	tls    *tls.Config // nil without TLS
}

// New makes a relay from valid settings. hostname is its name in the greeting, in EHLO and in
// Received.
func New(hostname string, journal Journal, settings Settings, clock func() time.Time, log *zap.Logger) *Relay {
	c := settings.Config
	r := &Relay{
		hostname: hostname,
		journal:  journal,
		clock:    clock,
		log:      log,
		shell: shell.New(shell.Limits{
			Connections: c.Connections,
			PerClient:   c.ConnectionsPerClient,
			Idle:        c.IdleTimeout,
			MinRate:     minRate,
		}, log),
		answers:  newAnswers(maxAnswers),
		absences: newAbsences(),
		pause:    pause,
		extract: func() extractor {
			return contents.NewExtractor(contents.DefaultLimits(), clock)
		},
	}
	r.metrics = newMetrics(r.shell.Open)
	r.Reload(settings)
	return r
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Reload changes the settings for sessions that begin from now on.
func (r *Relay) Reload(settings Settings) { r.settings.Store(&settings) }

// Collectors are the relay's metrics.
func (r *Relay) Collectors() []prometheus.Collector { return r.metrics.all() }

// Listen opens all listeners, or none.
func (r *Relay) Listen() error {
	for _, l := range r.settings.Load().Config.Listen {
		p, err := r.open(l)
		if err != nil {
			for _, p := range r.ports {
				err = errors.Join(err, p.socket.Close())
			}
			r.ports = nil
			return err
		}
		r.ports = append(r.ports, p)
	}
	return nil
}

func (r *Relay) open(l Listener) (port, error) {
	p := port{config: l}
	if l.TLS == TLSStartTLS || l.TLS == TLSImplicit {
		c, err := loadCertificate(l.Certificate, l.Key, r.clock, r.log)
		if err != nil {
			return port{}, fmt.Errorf("listen on %s: %w", l.Address, err)
		}
		p.tls = c.config()
	}
	var err error
	if p.socket, err = net.Listen("tcp", l.Address); err != nil {
		return port{}, fmt.Errorf("listen for mail: %w", err)
	}
	return p, nil
}

// Addrs gives the addresses listened on, in the order of the configuration.
func (r *Relay) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(r.ports))
	for i, p := range r.ports {
		addrs[i] = p.socket.Addr()
	}
	return addrs
}

// Serve accepts mail until ctx ends or a listener fails, then lets transactions finish for half a
// minute.
func (r *Relay) Serve(ctx context.Context) error {
	failed := make(chan error, len(r.ports))
	var serving sync.WaitGroup
	for _, p := range r.ports {
		serving.Go(func() {
			if err := r.shell.Serve(p.outer(), func(c *shell.Conn) { r.converse(c, p) }); err != nil {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if cut := r.shell.Drain(deadline); errors.Is(cut, context.DeadlineExceeded) {
		r.log.Warn("sessions were cut off", zap.Duration("after", drainTime))
	} else {
		err = errors.Join(err, cut)
	}
	serving.Wait()
	return err
}

// outer is the port as the shell sees it. Before TLS has begun nobody understands a refusal.
func (p *port) outer() shell.Port {
	refusal := refusalTooMany
	if p.config.TLS == TLSImplicit {
		refusal = ""
	}
	return shell.Port{Listener: p.socket, ProxyFrom: p.config.ProxyFrom, Refusal: refusal}
}
