package alert

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// name is that of the kept value.
const name = "alerts"

// endOfBatch is the position behind every record of a batch.
const endOfBatch = 1 << 16

// How often a Desk looks at the time and keeps what has changed, and how it tries again.
const (
	tick      = time.Second
	keepEvery = 30 * time.Second
	again     = 30 * time.Second
	giveUp    = time.Hour
)

// A Journal is what a Desk needs of the store. [store.Store] is one.
type Journal interface {
	NewID() policy.ID
	Message(id policy.ID) (store.Message, error)
	// Keep stores a value of at most 64 KiB, durable when the error is nil; Kept gives it, or nil.
	Keep(name string, value []byte) error
	Kept(name string) ([]byte, error)
}

// A Feed gives the records of the journal, from the batch of [Desk.Begin] on. [store.Subscription] is one.
type Feed interface {
	Next(ctx context.Context) (store.Record, error)
}

// A Post carries notices.
type Post interface {
	// Mail writes a notice to mailboxes, as the message with this id, durably when the error is nil. When
	// there is a message of this id it does nothing.
	Mail(ctx context.Context, id policy.ID, to []policy.Address, n Notice) error
	// Hook queues a notice for the webhooks. It does not wait.
	Hook(n Notice)
}

// A Desk keeps incidents and tells people. See the package comment.
type Desk struct {
	journal Journal
	post    Post
	now     func() time.Time
	log     *zap.Logger
	wake    chan struct{} // holds a token when there is something to deliver
	notices *prometheus.CounterVec

	keeping sync.Mutex // held while the kept value is written

	mu       sync.Mutex // of everything below
	people   People
	book     *book
	batch    uint64 // the record that was taken up last
	position int
	dirty    bool
}

// New makes a Desk and takes up what was kept. A value that cannot be read is logged and given up.
func New(s Settings, people People, journal Journal, post Post, now func() time.Time, log *zap.Logger) (*Desk, error) {
	d := &Desk{
		journal: journal, post: post, now: now, log: log, wake: make(chan struct{}, 1), people: people, book: newBook(s, journal.NewID),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sendgate_notices_total", Help: "Notices by receiver (admins, hooks, sender) and what became of them (sent, failed).",
		}, []string{"receiver", "outcome"}),
	}
	for _, receiver := range []string{Admins, Hooks, "sender"} { // the first failure is an increase, too
		d.notices.WithLabelValues(receiver, "failed")
	}
	value, err := journal.Kept(name)
	if err != nil {
		return nil, fmt.Errorf("read alerts: %w", err)
	}
	k, err := unpack(value)
	if err != nil {
		log.Error("kept alerts cannot be read, beginning anew", zap.Error(err))
		return d, nil
	}
	d.book.restore(k)
	d.batch, d.position = k.Batch, k.Position
	return d, nil
}

// Reload takes over other settings. Incidents and what was told stay.
func (d *Desk) Reload(s Settings, people People) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book.settings, d.people = s, people
}

// Begin is the batch with which the feed of Run begins, where the journal ends at a batch. Without a mark, and with one
// beyond that end (of another journal, or of this one before it was repaired), what comes after the batch anew is taken
// up. That mark is kept at once: what comes before a crash is told after it.
func (d *Desk) Begin(last, anew uint64) uint64 {
	d.mu.Lock()
	fresh := d.batch == 0 && d.position == 0 || d.batch > last
	if fresh {
		d.batch, d.position, d.dirty = anew, endOfBatch, true
	}
	from := max(d.batch, 1) // the last one may not be complete
	d.mu.Unlock()
	if fresh {
		d.keepOrLog()
	}
	return from
}

// Raise takes up an occurrence that no event of the journal tells.
func (d *Desk) Raise(o Occurrence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.raise(o)
}

func (d *Desk) raise(o Occurrence) {
	d.book.raise(d.now(), o)
	d.dirty = true
	if len(d.book.outbox) > 0 {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// List gives incidents, the newest first: the open ones, or with those that were closed last.
func (d *Desk) List(open bool) []Incident {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.list(open)
}

// Acknowledge notes that a person has seen an incident: there are no more updates of it. It is kept
// when the error is nil. [store.ErrNotFound] when there is none, or no longer.
func (d *Desk) Acknowledge(id, who string) error {
	d.mu.Lock()
	ok := d.book.acknowledge(d.now(), id, who)
	d.dirty = true
	d.mu.Unlock()
	if !ok {
		return fmt.Errorf("alert %s: %w", id, store.ErrNotFound)
	}
	return d.keep()
}

// Test sends a notice to the administrators and to the webhooks, whatever was sent before. It is an
// error when there are none.
func (d *Desk) Test(ctx context.Context) error {
	d.mu.Lock()
	s := d.book.settings
	d.mu.Unlock()
	if len(s.Admins) == 0 && !s.Hooks {
		return errors.New("nobody is to be told: name notices.admins or notices.webhooks")
	}
	n := TestNotice(d.now())
	if s.Hooks {
		d.post.Hook(n)
	}
	if len(s.Admins) == 0 {
		return nil
	}
	return d.post.Mail(ctx, d.journal.NewID(), s.Admins, n)
}

// Collectors are the metrics of the desk.
func (d *Desk) Collectors() []prometheus.Collector {
	return []prometheus.Collector{d.notices, prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "sendgate_alerts_open", Help: "Open incidents."},
		func() float64 { d.mu.Lock(); defer d.mu.Unlock(); return float64(len(d.book.open)) },
	)}
}

// keep writes down what has changed.
func (d *Desk) keep() error {
	d.keeping.Lock()
	defer d.keeping.Unlock()
	d.mu.Lock()
	if !d.dirty {
		d.mu.Unlock()
		return nil
	}
	k := d.book.keep()
	k.Batch, k.Position = d.batch, d.position
	d.dirty = false
	d.mu.Unlock()
	value, err := k.pack()
	if err == nil {
		err = d.journal.Keep(name, value)
	}
	if err != nil {
		d.mu.Lock()
		d.dirty = true
		d.mu.Unlock()
		return fmt.Errorf("keep alerts: %w", err)
	}
	return nil
}
