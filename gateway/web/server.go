package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"github.com/sendgate/sendgate/gateway/web/pages"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

// Times of the HTTP server. Live events lift the write timeout for themselves.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	drainTimeout  = 10 * time.Second
	maxHeader     = 64 << 10
	// maxConnections bounds those over TCP; further ones wait. The socket is for this machine's own.
	maxConnections = 1024
)

// A Server is the HTTP side of a gateway.
type Server struct {
	config       Config
	journal      Journal
	holder       Holder
	recalls      Recalls
	limits       Limits
	alerts       Alerts
	campaigns    Campaigns
	metrics      prometheus.Gatherer
	parts        func() []Part
	margin       func() time.Duration
	recallWindow func(role string) (window time.Duration, ok bool)
	readToo      func(role string) bool
	tracking     func() []Source // nil when nothing is tracked, as importer
	importer     func(ctx context.Context, name string, r io.Reader) (ImportReport, error)
	version      string
	now          func() time.Time
	log          *zap.Logger
	settings     atomic.Pointer[settings]
	desk         *signin.Desk    // nil serves no dashboard
	renderer     *pages.Renderer // with it
	url          string          // of the dashboard, for links

	bypasses      Bypasses
	drains        Drains
	webhooks      Webhooks
	backups       sync.Mutex // one at a time
	configuration func() (string, error)
	signIns       func(ctx context.Context, identity string) ([]policy.Event, error)
	flow          flow
	feed          *feed
	looks         *looks           // live pages that are open
	waits         *approvalReasons // why what waits for a person does
	calls         map[string]any   // operations of the API, for the pages
	legalHold     func(policy.Address) bool
	eraser        Eraser
	mailboxOf     func(identity string) policy.Address // nil when that is not known
	refusals      *refusals
	uses          *tokenUses

	heartbeat time.Duration
	handler   http.Handler
	listeners []net.Listener
	closing   context.Context // ends when Serve begins to drain
	close     context.CancelFunc
}

// New makes a server from a valid configuration. It does not listen yet.
func New(config Config, needs Needs) *Server {
	s := &Server{
		config: config, journal: needs.Journal, holder: needs.Holder, recalls: needs.Recalls, recallWindow: needs.RecallWindow, readToo: needs.RecallReadToo, limits: needs.Limits, alerts: needs.Alerts, campaigns: needs.Campaigns,
		metrics: needs.Metrics, parts: needs.Parts, margin: needs.Margin, tracking: needs.Tracking, importer: needs.Import, version: needs.Version, now: needs.Now,
		log: needs.Log, heartbeat: heartbeatEvery, desk: needs.Desk, url: needs.URL, configuration: needs.Configuration, signIns: needs.SignIns, calls: map[string]any{}, mailboxOf: needs.MailboxOf, legalHold: needs.LegalHold, eraser: needs.Eraser, refusals: newRefusals(), bypasses: needs.Bypasses, drains: needs.Drains, webhooks: needs.Webhooks,
	}
	if s.desk != nil {
		s.renderer = must(pages.New(needs.Log))
	}
	s.closing, s.close = context.WithCancel(context.Background())
	s.uses = newTokenUses(s.journal, s.log)
	s.feed, s.looks, s.waits = newFeed(s), newLooks(), newApprovalReasons()
	s.settings.Store(newSettings(&config))
	s.handler = s.routes()
	return s
}

// must is for what only a fault of the program makes fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Reload takes over what may change while running: tokens, status networks, and whether it needs
// a reason to take mail back. Addresses and certificates' paths need a restart.
func (s *Server) Reload(config Config) { s.settings.Store(newSettings(&config)) }

// Handler serves all routes. Requests come in over the listeners or, in tests, directly.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen opens the listeners. On an error none stays open.
func (s *Server) Listen() (err error) {
	defer func() {
		if err != nil {
			s.closeListeners()
		}
	}()
	if s.config.Listen != "" {
		if s.config.exposed() {
			s.log.Warn("the API is reachable from other machines without TLS: tokens can be read on the way",
				zap.String("listen", s.config.Listen))
		}
		l, err := net.Listen("tcp", s.config.Listen)
		if err != nil {
			return fmt.Errorf("listen for the API: %w", err)
		}
		s.listeners = append(s.listeners, netutil.LimitListener(l, maxConnections))
	}
	if s.config.Socket != "" {
		l, err := listenSocket(s.config.Socket)
		if err != nil {
			return fmt.Errorf("listen for the API: %w", err)
		}
		s.listeners = append(s.listeners, l)
	}
	return nil
}

// Addr is the address of the TCP listener, nil when there is none.
func (s *Server) Addr() net.Addr {
	for _, l := range s.listeners {
		if l.Addr().Network() == "tcp" {
			return l.Addr()
		}
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close() // nothing was accepted on it
	}
	s.listeners = nil
}

// listenSocket opens the unix socket. A file that a dead process left is replaced, one that
// somebody answers on is not.
func listenSocket(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is in the way: it is not a socket", path)
	default:
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("%s is in use by another process", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Until here the umask decided about the mode; the peer's uid is checked in any case.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// Serve answers requests until the context ends. It then lets requests finish for up to 10 s. Listen
// comes first.
func (s *Server) Serve(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          zap.NewStdLog(s.log),
		ConnContext:       s.connContext,
		// Without NextProtos, the plain listener served first would switch HTTP/2 off for the server, and
		// TLS would still announce it.
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: s.certificate, NextProtos: []string{"h2", "http/1.1"},
		},
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.followFlow(ctx) })
	g.Go(func() error { return s.followSessions(ctx) })
	for _, l := range s.listeners {
		g.Go(func() error { return s.serveOn(srv, l) })
	}
	g.Go(func() error {
		<-ctx.Done()
		s.close()
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if err := srv.Shutdown(patience); err != nil {
			s.log.Warn("requests did not finish in time", zap.Error(err))
			return srv.Close()
		}
		return nil
	})
	defer s.feed.loops.Wait()
	return g.Wait()
}

func (s *Server) serveOn(srv *http.Server, l net.Listener) error {
	s.log.Info("the API listens", zap.Stringer("address", l.Addr()))
	serve := srv.Serve
	if l.Addr().Network() == "tcp" && s.config.Certificate != "" {
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API on %s: %w", l.Addr(), err)
	}
	return nil
}

// certificate reads the files at each handshake: these are few, and a renewed certificate needs no
// reload.
func (s *Server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(s.config.Certificate, s.config.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the API: %w", err)
	}
	return &c, nil
}

// connContext notes who is at the other end of the unix socket; -1 is nobody who is let in.
func (s *Server) connContext(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, err := peerUID(u)
	if err != nil {
		s.log.Error("the peer of the socket is not known", zap.Error(err))
		uid = -1
	}
	return context.WithValue(ctx, peerKey, uid)
}

// acted writes the audit line of an act that was done.
func (s *Server) acted(ctx context.Context, verb string, id policy.ID, fields ...zap.Field) {
	fields = append([]zap.Field{zap.String("verb", verb), zap.Stringer("id", id), zap.String("actor", actor(ctx))}, fields...)
	s.log.Info("act", fields...)
	s.audit(ctx, verb, id.String(), fields[3:]...)
}
