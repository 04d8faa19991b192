package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"golang.org/x/sys/unix"
)

// A Salvaged is a message that has not left yet, as far as it can be read.
type Salvaged struct {
	Message Message
	// Lost is true when the row of the message is gone: its sender and ESMTP parameters are not known.
	Lost bool
	// Waiting are the recipients whom it has not reached.
	Waiting []Recipient
	// Missing counts recipients whose rows are gone.
	Missing int
	// MayBeDuplicate is true when it may have been sent: it was under way, or what says so may be among what is
	// damaged.
	MayBeDuplicate bool

	salvage *salvage
}

// A SalvageReport says what a salvage scrap.
type SalvageReport struct {
	Faults   []string // what is damaged or missing, in words
	Messages int      // that have not left
	Offered  int      // that were being handed through: they are their clients'
}

// Salvage calls fn for every message that has not left yet, in the order in which they came, from a store that may be
// damaged in any way, and writes nothing to it. It reads the engine's files one by one: what is damaged is left out,
// and named in the report. No process may have the store open. With an error of fn it ends.
func Salvage(cfg Config, fn func(*Salvaged) error) (report SalvageReport, err error) {
	unlock, err := lockShared(cfg.Dir)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	s, err := newSalvage(cfg)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.scan(s.look)
	cut := s.cutShort()
	for i := range cut {
		s.look(cut[i])
	}
	s.scan(s.collect)
	for i := range cut {
		s.collect(cut[i])
	}
	s.verifyBatches(cfg.Dir)
	ids := make([]policy.ID, 0, len(s.wanted))
	for id := range s.wanted {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, policy.ID.Compare)
	all := make([]*Salvaged, len(ids))
	for i, id := range ids {
		all[i] = s.message(id)
	}
	for _, m := range all {
		if m != nil && len(s.report.Faults) > 0 { // also one that was found after it
			m.MayBeDuplicate = true
		}
		switch {
		case m == nil:
		case m.Message.States[policy.StateOffered] > 0 && len(m.Waiting) == 0:
			s.report.Offered++
		case len(m.Waiting) > 0 || m.Missing > 0 && !m.Message.Due.IsZero():
			s.report.Messages++
			if err := fn(m); err != nil {
				return s.report, err
			}
		}
	}
	return s.report, nil
}

// lockShared keeps a sendgate from starting meanwhile, and finds one that runs. It writes nothing.
func lockShared(dir string) (unlock func() error, err error) {
	if _, err := os.Stat(filepath.Join(dir, engineDir)); err != nil {
		return nil, fmt.Errorf("there is no store in %s: %w", dir, err)
	}
	f, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: a sendgate runs on %s; stop it first, or let everything go with \"sendgate drain\"", ErrLocked, dir), f.Close())
	}
	return f.Close, nil
}

// A salvage reads the files of an engine.
type salvage struct {
	report   SalvageReport
	dir      string // of the engine
	registry *badger.KeyRegistry
	keys     [][]byte // of tables: nil for plain text first
	tables   []string
	logs     []*rawLog
	values   map[uint32]*rawLog // value logs
	noted    map[string]bool    // faults

	wanted  map[policy.ID]bool
	batches map[uint64]standing
	intents map[uint64]*cell
	gaps    map[uint64]uint64
	cells   map[string]*cell
}

// A standing is the newest version of a key of which nothing else is needed.
type standing struct {
	version uint64
	deleted bool
}

// A cell is the newest version of a key. The same version may be at several places of the value logs.
type cell struct {
	standing
	values [][]byte
	places []place
}

func (c *cell) take(f *scrap) {
	if f.version < c.version {
		return
	}
	if f.version > c.version {
		*c = cell{standing: standing{f.version, f.deleted()}}
	}
	if f.meta&bitPointer == 0 {
		c.values = append(c.values, slices.Clone(f.value))
	} else if p, ok := parsePlace(f.value); ok {
		c.places = append(c.places, p)
	}
}

func newSalvage(cfg Config) (*salvage, error) {
	s := &salvage{
		dir: filepath.Join(cfg.Dir, engineDir), keys: [][]byte{nil}, values: map[uint32]*rawLog{}, noted: map[string]bool{}, wanted: map[policy.ID]bool{},
		batches: map[uint64]standing{}, intents: map[uint64]*cell{}, gaps: map[uint64]uint64{}, cells: map[string]*cell{},
	}
	if err := s.openKeys(cfg); err != nil {
		return nil, err
	}
	s.findTables()
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			s.openLog(name)
		}
	}
	return s, nil
}

// openKeys reads the keys of an encrypted store.
func (s *salvage) openKeys(cfg Config) error {
	key, err := readEncryptionKey(cfg.EncryptionKeyFile)
	if err != nil {
		return err
	}
	s.registry, err = badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: s.dir, ReadOnly: true, EncryptionKey: key})
	switch {
	case err != nil && key == nil:
		return fmt.Errorf("read the keys of the store: %w; if it is encrypted, name its key with --encryption-key-file", err)
	case err != nil:
		return fmt.Errorf("read the keys of the store: %w", err)
	}
	for id := uint64(1); ; id++ {
		k, err := s.registry.DataKey(id)
		if err != nil {
			return nil
		}
		s.keys = append(s.keys, k.Data)
	}
}

// findTables names the tables that belong to the store. Without a manifest these are all that there are, which may
// be more: some may have been replaced.
func (s *salvage) findTables() {
	there, _ := filepath.Glob(filepath.Join(s.dir, "*.sst")) // the pattern is good
	listed, err := s.manifest()
	if err != nil {
		s.fault("%s: %v; tables that were replaced may be read, too", badger.ManifestFilename, err)
		s.tables = there
		return
	}
	for _, name := range listed {
		if name = filepath.Join(s.dir, name); slices.Contains(there, name) {
			s.tables = append(s.tables, name)
			continue
		}
		s.fault("%s: the file is missing", filepath.Base(name))
	}
}

func (s *salvage) manifest() (tables []string, err error) {
	f, err := os.Open(filepath.Join(s.dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the file is missing")
	}
	if err != nil {
		return nil, err
	}
	m, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(s.dir))
	size, seekErr := f.Seek(0, io.SeekEnd)
	if err = errors.Join(err, seekErr, f.Close()); err != nil {
		return nil, err
	}
	if end < size {
		return nil, errors.New("its end is damaged")
	}
	for id := range m.Tables {
		tables = append(tables, fmt.Sprintf("%06d.sst", id))
	}
	slices.Sort(tables)
	return tables, nil
}

func (s *salvage) openLog(name string) {
	l, err := openLog(name, func(id uint64) ([]byte, error) {
		k, err := s.registry.DataKey(id)
		if err != nil || k == nil {
			return nil, err
		}
		return k.Data, nil
	})
	if err != nil {
		s.fault("%s: %v", filepath.Base(name), err)
		return
	}
	s.logs = append(s.logs, l)
	if base, ok := strings.CutSuffix(filepath.Base(name), ".vlog"); ok {
		var id uint32
		if _, err := fmt.Sscanf(base, "%d", &id); err == nil {
			s.values[id] = l
		}
	}
}

func (s *salvage) close() error {
	var errs []error
	for _, l := range s.logs {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// fault notes what is damaged, once.
func (s *salvage) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !s.noted[text] {
		s.noted[text] = true
		s.report.Faults = append(s.report.Faults, text)
	}
}

// scan calls fn for every entry that can be read.
func (s *salvage) scan(fn func(scrap)) {
	for _, name := range s.tables {
		if err := readTable(name, s.keys, fn); err != nil {
			s.fault("%s: %v", filepath.Base(name), err)
		}
	}
	for _, l := range s.logs {
		name := l.file.Name()
		if filepath.Ext(name) != ".mem" {
			continue
		}
		if err := l.each(fn); err != nil {
			s.fault("%s: %v", filepath.Base(name), err)
		}
	}
}

// look finds the messages that had something to be done for them in any version of a row, the large changes that
// were not finished, and which batches there are.
func (s *salvage) look(f scrap) {
	switch {
	case len(f.key) == 1+idSize+4 && f.key[0] == keyRecipient && !f.deleted():
		var r Recipient
		v, err := s.resolve(&f)
		if err == nil {
			err = decoding.Unmarshal(v, &r)
		}
		if err != nil || unsent(&r) || r.State == policy.StateOffered { // what cannot be read may be about one that waits
			s.wanted[policy.ID(f.key[1:1+idSize])] = true
		}
	case len(f.key) == 1+idSize && f.key[0] == keyMessage && !f.deleted(): // its recipients may be lost
		var m Message
		if v, err := s.resolve(&f); err == nil && decoding.Unmarshal(v, &m) == nil && !m.Due.IsZero() {
			s.wanted[policy.ID(f.key[1:])] = true
		}
	case len(f.key) == 9 && f.key[0] == keyBatch:
		n := binary.BigEndian.Uint64(f.key[1:])
		if b := s.batches[n]; f.version >= b.version {
			s.batches[n] = standing{f.version, f.deleted()}
		}
	case len(f.key) == 9 && f.key[0] == keyIntent:
		n := binary.BigEndian.Uint64(f.key[1:])
		if s.intents[n] == nil {
			s.intents[n] = &cell{}
		}
		s.intents[n].take(&f)
	case len(f.key) == len(gapKey)+8 && strings.HasPrefix(string(f.key), string(gapKey)) && len(f.value) == 8:
		s.gaps[binary.BigEndian.Uint64(f.key[len(gapKey):])] = binary.BigEndian.Uint64(f.value)
	}
}

// unsent reports whether the message is still to go to a recipient.
func unsent(r *Recipient) bool {
	if !r.Counted() {
		return false
	}
	switch r.State {
	case policy.StateHeld, policy.StateApprovalPending:
		return true
	case policy.StateQueued, policy.StateDeferred:
		return !r.Due.IsZero()
	}
	return false
}

// collect keeps the newest rows and bodies of the messages that look has found.
func (s *salvage) collect(f scrap) {
	if len(f.key) < 1+idSize {
		return
	}
	switch f.key[0] {
	case keyMessage, keyRecipient, keyBody:
	default:
		return
	}
	if !s.wanted[policy.ID(f.key[1:1+idSize])] {
		return
	}
	s.cell(string(f.key)).take(&f)
}

func (s *salvage) cell(key string) *cell {
	c := s.cells[key]
	if c == nil {
		c = &cell{}
		s.cells[key] = c
	}
	return c
}

// resolve gives the value of an entry.
func (s *salvage) resolve(f *scrap) ([]byte, error) {
	if f.meta&bitPointer == 0 {
		return f.value, nil
	}
	p, ok := parsePlace(f.value)
	if !ok {
		return nil, errors.New("its place is damaged")
	}
	return s.valueAt(p, f.key)
}

// errNoLog is no fault where an older version was in that log: the engine deletes it with what it has.
var errNoLog = errors.New("the file is missing")

func (s *salvage) valueAt(p place, key []byte) ([]byte, error) {
	l := s.values[p.log]
	if l == nil {
		return nil, fmt.Errorf("%06d.vlog: %w", p.log, errNoLog)
	}
	v, err := l.value(p, key)
	if err != nil {
		return nil, fmt.Errorf("%06d.vlog: %w", p.log, err)
	}
	return v, nil
}

// get gives the newest value of a key; ErrNotFound when there is none.
func (s *salvage) get(key []byte) ([]byte, error) {
	c := s.cells[string(key)]
	if c == nil || c.deleted {
		return nil, ErrNotFound
	}
	return s.read(c, key)
}

func (s *salvage) read(c *cell, key []byte) (v []byte, err error) {
	if len(c.values) > 0 {
		return c.values[0], nil
	}
	err = ErrNotFound
	for _, p := range c.places {
		if v, err = s.valueAt(p, key); err == nil {
			return v, nil
		}
	}
	if errors.Is(err, errNoLog) {
		s.fault("%v", err)
	}
	return nil, err
}

// cutShort gives what large changes were to write that a crash has cut: with the intent they were durable.
func (s *salvage) cutShort() (all []scrap) {
	for n, c := range s.intents {
		if b, done := s.batches[n]; c.deleted || done && !b.deleted {
			continue
		}
		var in intent
		v, err := s.read(c, intentKey(n))
		if err == nil {
			err = decoding.Unmarshal(v, &in)
		}
		if err != nil {
			s.fault("batch %d, a large change: %v", n, err)
			continue
		}
		for i := range in.Mutations {
			m := &in.Mutations[i]
			f := scrap{key: m.Key, version: c.version, value: m.Value}
			if m.Delete {
				f.meta = bitDelete
			}
			all = append(all, f)
		}
	}
	return all
}

// verifyBatches notes which parts of the journal are missing.
func (s *salvage) verifyBatches(dir string) {
	var numbers []uint64
	for n, b := range s.batches {
		if !b.deleted {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	last := uint64(0)
	skip := func() {
		for to := s.gaps[last+1]; to > last; to = s.gaps[last+1] {
			last = to
		}
	}
	var missing []hole
	for _, n := range numbers {
		if last != 0 {
			skip()
		}
		if last != 0 && n > last+1 {
			missing = append(missing, hole{last + 1, n - 1})
		}
		last = n
	}
	skip()
	mark, err := readWatermark(dir)
	if err != nil {
		s.fault("%s: %v", watermarkFile, err)
	}
	if mark > last {
		missing = append(missing, hole{last + 1, mark})
	}
	if len(missing) > 0 {
		s.fault("journal: %s are missing: what they accepted is lost, and what they sent may be sent twice", describe(missing))
	}
}
