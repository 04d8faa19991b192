package milter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gomilter "github.com/emersion/go-milter"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/shell"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A Journal is the part of the store that the front needs.
type Journal interface {
	NewID() policy.ID
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
	Recipients(id policy.ID) (policy.Rows, error)
}

// Settings are what a reload may change. What the sockets depend on (Config.Listen, Connections,
// IdleTimeout) and Config.IDHeader are read once, by New.
type Settings struct {
	Config    Config
	Engine    policy.Engine
	Directory *policy.Directory
	Needs     Needs
	Reports   Reports // nil when nobody reads them; with it Needs.Body is wanted
	// SignedIn is told who sends with a login, and from where, for each message. It must not block. Nil when
	// nobody wants to know.
	SignedIn func(policy.SignIn)
	Hearer   Hearer // nil when nobody listens to inbound mail
}

// Needs says what must be seen or answered before the end of a message. Each costs time. It is
// agreed upon when a connection begins.
type Needs struct {
	// Envelope: the engine may refuse at MAIL and RCPT, so Postfix waits for an answer to each. Without
	// it the engine is asked at the end of the message only.
	Envelope bool
	// Body: without it the size of a message is unknown, and a client's retry harder to recognise.
	Body bool
	// Content hands what a message says to the engine; the body is asked for as with Body. It costs the
	// work of package content for each outbound message.
	Content bool
	// Head says of which messages the engine sees the beginning as it came (policy.Submission.Head), with
	// Content only. Nil is of none.
	Head func(to []policy.Recipient, subject string) bool
	// Fields: rules may add fields to the header; they are left out where that was not agreed upon.
	Fields bool
}

const (
	drainTime = 30 * time.Second // for sessions to finish at the end
	// decideTime bounds a decision; it stays below milter_command_timeout, 30 s.
	decideTime = 25 * time.Second
)

// A Milter decides on the mail of a Postfix.
type Milter struct {
	hostname string
	journal  Journal
	clock    func() time.Time
	log      *zap.Logger
	settings atomic.Pointer[Settings]
	shell    *shell.Shell
	sockets  []net.Listener
	keyed    *keyed // nil without an id header
	notes    *notes
	metrics  *metrics
	extract  func() extractor // for one message
}

// New makes a milter from valid settings. hostname stands in a Message-ID that is added. The error
// is about the key of the id header.
func New(hostname string, journal Journal, settings Settings, clock func() time.Time, log *zap.Logger) (*Milter, error) {
	keyed, err := settings.Config.IDHeader.load()
	if err != nil {
		return nil, fmt.Errorf("id header: %w", err)
	}
	m := &Milter{
		hostname: hostname,
		journal:  journal,
		clock:    clock,
		log:      log,
		keyed:    keyed,
		shell: shell.New(shell.Limits{
			Connections: settings.Config.Connections, Idle: settings.Config.IdleTimeout, QuickAck: true,
		}, log),
		extract: func() extractor { return content.NewExtractor(content.DefaultLimits(), clock) },
	}
	m.metrics = newMetrics(m.shell.Open)
	m.notes = newNotes(journal, m.noteLost)
	m.Reload(settings)
	return m, nil
}

// Reload changes the settings for messages that begin from now on.
func (m *Milter) Reload(settings Settings) { m.settings.Store(&settings) }

// Collectors are the milter's metrics.
func (m *Milter) Collectors() []prometheus.Collector { return m.metrics.all() }

// Listen opens all listeners, or none.
func (m *Milter) Listen() error {
	for _, l := range m.settings.Load().Config.Listen {
		socket, err := l.open()
		if err != nil {
			err = fmt.Errorf("listen for Postfix on %s: %w", l.Address, err)
			for _, s := range m.sockets {
				err = errors.Join(err, s.Close())
			}
			m.sockets = nil
			return err
		}
		m.sockets = append(m.sockets, socket)
	}
	return nil
}

// Serve answers Postfix until ctx ends or a listener fails, then lets messages finish for half a
// minute, and waits for the notes about them.
func (m *Milter) Serve(ctx context.Context) error {
	failed := make(chan error, len(m.sockets))
	var serving sync.WaitGroup
	for _, s := range m.sockets {
		serving.Go(func() {
			if err := m.shell.Serve(shell.Port{Listener: s}, m.converse); err != nil {
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
	if cut := m.shell.Drain(deadline); errors.Is(cut, context.DeadlineExceeded) {
		m.log.Warn("sessions were cut off", zap.Duration("after", drainTime))
	} else {
		err = errors.Join(err, cut)
	}
	serving.Wait()
	m.notes.wait()
	return err
}

// converse serves one connection by a server of its own. The server's NewMilter gives the one
// session whenever the library wants a new one (quirk test TestQuirkRefusalReplacesTheMilter).
func (m *Milter) converse(c *shell.Conn) {
	m.metrics.sessions.Inc()
	o, err := readOffer(c)
	if err != nil {
		m.log.Debug("not a milter client", zap.Stringer("peer", c.RemoteAddr()), zap.Error(err))
		return
	}
	s := &session{milter: m, wire: newWire(c)}
	s.terms = agree(o, m.settings.Load().Needs, m.addsFields())
	server := gomilter.Server{
		NewMilter: func() gomilter.Milter { return s },
		Actions:   s.terms.actions,
		Protocol:  s.terms.protocol,
	}
	// It returns when the connection is closed, which is no error.
	_ = server.Serve(&oneShot{conn: s.wire})
}

// addsFields reports whether fields may have to be added.
func (m *Milter) addsFields() bool {
	s := m.settings.Load()
	return m.keyed != nil || s.Config.AddMessageID || s.Needs.Fields
}
