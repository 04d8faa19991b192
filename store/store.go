package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// Sizes of the engine. Values above the threshold (bodies) go to the value log and are written once;
// rows and indexes stay in the tables. The memory table bounds a transaction: 15 % of it.
const (
	valueThreshold = 4 << 10
	memTableSize   = 8 << 20
	valueLogSize   = 128 << 20
)

// engineDir is where in the data directory the engine has its files.
const engineDir = "journal"

// A Store is an open journal.
type Store struct {
	cfg  Config
	db   *badger.DB
	key  []byte // of the encryption at rest, nil for none
	lock *os.File
	hub  *hub

	queue     chan *pendingChange
	stop      chan struct{} // closed by Close: the loops end
	committed chan struct{} // closed when the committer has ended
	loops     sync.WaitGroup
	closing   sync.Once
	closeErr  error
	door      door             // every use of the engine from outside of the loops
	batchBuf  []*pendingChange // of the committer
	rows      sync.Mutex       // who reads and rewrites rows: the committer, or retention

	lastBatch atomic.Uint64
	full      atomic.Bool
	reserved  atomic.Int64 // octets of free space below which nothing is accepted
	inFlight  atomic.Int64 // octets that were promised room and are being written
	garbage   atomic.Int64 // octets of bodies that were deleted and are still on disk, about
	bounded   bounded
	failure   atomic.Pointer[error]
	stats     struct{ batches, commits atomic.Uint64 }

	audit     sync.Mutex // entries are linked one after the other
	backingUp sync.Mutex // one backup at a time

	countsMu sync.Mutex
	counts   map[int64]counts // by hour
	waiting  waiting

	idMu sync.Mutex
	ids  *ulid.MonotonicEntropy
}

// Open opens the journal in cfg.Dir, making it when there is none. Errors to branch on: [ErrLocked],
// [ErrNewerSchema], [ErrDamaged].
func Open(cfg Config) (*Store, error) { return OpenContext(context.Background(), cfg) }

// OpenContext is Open that gives up when ctx ends while it brings the journal to a newer schema, with an error that is
// the context's. The next start goes on from there.
func OpenContext(ctx context.Context, cfg Config) (*Store, error) {
	if err := restored(cfg.Dir); err != nil {
		return nil, err
	}
	return start(ctx, cfg)
}

// start is Open of a directory that may have just been restored.
func start(ctx context.Context, cfg Config) (*Store, error) {
	s, err := open(cfg)
	if errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("%w; \"sendgate store repair --data %s\" may help", err, cfg.Dir)
	}
	if err != nil {
		return nil, err
	}
	if err := s.verify(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	if err := errors.Join(s.loadGarbage(), s.loadCounts(), s.loadWaiting(), s.sweep()); err != nil {
		return nil, errors.Join(err, s.release())
	}
	go s.commitLoop()
	s.loops.Go(s.watermarkLoop)
	s.loops.Go(func() { s.every(time.Second, func(context.Context) { s.measure() }) })
	s.loops.Go(s.retentionLoop)
	s.loops.Go(s.garbageLoop)
	return s, nil
}

// open locks the directory and opens the engine, without looking at what is in it.
func open(cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	key, err := readEncryptionKey(cfg.EncryptionKeyFile)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, key: key, lock: lock,
		queue: make(chan *pendingChange, 4*maxBatchChanges),
		stop:  make(chan struct{}), committed: make(chan struct{}),
		ids: ulid.Monotonic(ulid.DefaultEntropy(), 0),
	}
	s.reserved.Store(cfg.MinFree << 20)
	s.waiting.reset()
	if err := s.room(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db, err := badger.Open(s.engineOptions(key))
	if err != nil {
		return nil, errors.Join(explainOpen(cfg, err), lock.Close())
	}
	s.db = db
	s.measure()
	return s, nil
}

func (s *Store) engineOptions(key []byte) badger.Options {
	o := badger.DefaultOptions(filepath.Join(s.cfg.Dir, engineDir)).
		WithLogger(engineLog{s.cfg.Log.Sugar(), s.fail}).
		WithSyncWrites(true).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLogSize).
		WithNumCompactors(2).
		WithVerifyValueChecksum(true).
		WithChecksumVerificationMode(options.OnBlockRead)
	if key != nil {
		o = o.WithEncryptionKey(key).WithBlockCacheSize(32 << 20).WithIndexCacheSize(32 << 20)
	}
	return o
}

// Close ends the loops, waits for who is reading, and closes the engine. Commits that wait get
// ErrClosed.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		<-s.committed
		s.loops.Wait()
		s.door.shut()
		s.closeErr = errors.Join(s.writeWatermark(), s.release())
	})
	return s.closeErr
}

func (s *Store) release() error {
	return errors.Join(s.db.Close(), s.lock.Close())
}

// A door counts who uses the engine, so that Close can wait for them: the engine unmaps its files,
// and who reads in them would die.
type door struct {
	mu     sync.RWMutex
	closed bool
	inside sync.WaitGroup
}

// enter lets the caller in, to leave later, or gives ErrClosed.
func (d *door) enter() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return ErrClosed
	}
	d.inside.Add(1)
	return nil
}

func (d *door) leave() { d.inside.Done() }

func (d *door) shut() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.inside.Wait()
}

// NewID makes an id; ids made later sort later, also within a millisecond, as long as the clock
// does not step back.
func (s *Store) NewID() policy.ID {
	s.idMu.Lock()
	defer s.idMu.Unlock()
	for {
		id, err := ulid.New(ulid.Timestamp(s.cfg.Now()), s.ids)
		if err == nil {
			return id
		}
		// The random part ran over within one millisecond (once in 2^80): the next one will do.
	}
}

// Stats are figures of this process since it opened the store.
type Stats struct {
	Batches uint64 // transactions, each synced once
	Commits uint64 // changes in them
	FreeMiB int64  // free space of the file system
	Reserve int64  // octets: with less free space nothing is accepted
	Waiting int    // changes that wait for the committer
}

// Stats gives the figures of now.
func (s *Store) Stats() Stats {
	free, _ := freeBytes(s.cfg.Dir)
	return Stats{
		Batches: s.stats.batches.Load(), Commits: s.stats.commits.Load(),
		FreeMiB: free >> 20, Reserve: s.reserved.Load(), Waiting: len(s.queue),
	}
}

// LastBatch is the number of the newest batch.
func (s *Store) LastBatch() uint64 { return s.lastBatch.Load() }

// Ready is nil while commits are accepted.
func (s *Store) Ready() error {
	select {
	case <-s.stop:
		return ErrClosed
	default:
		return errors.Join(s.failed(), s.room())
	}
}

// fail notes that the engine could not write. What it had in hand may be on disk in part, and what
// it would write after that could be lost with it at the next start: nothing is accepted any more.
func (s *Store) fail(err error) {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	if s.failure.CompareAndSwap(nil, &err) {
		s.cfg.Log.Error("nothing is accepted until a restart", zap.Error(err))
	}
}

func (s *Store) failed() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// every calls fn each interval until the store closes.
func (s *Store) every(interval time.Duration, fn func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	s.loops.Go(func() { <-s.stop; cancel() })
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			fn(ctx)
		}
	}
}
