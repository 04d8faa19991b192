package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// manualClock is a clock that stands still until it is set.
type manualClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *manualClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *manualClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func openAt(t testing.TB, dir string, clock *manualClock) *Store {
	t.Helper()
	cfg := testConfig(t, dir)
	cfg.Now = clock.now
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const day = 24 * time.Hour

var epoch = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func TestBodiesArePrunedAfterTheEnd(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	held, handed, partly, resent := keep(t, s, 100), keep(t, s, 600_000), keep(t, s, 100), keep(t, s, 100)
	clock.add(time.Hour)
	observe(t, s, handed, policy.HandedOver)
	observe(t, s, resent, policy.Bounced)
	if _, err := s.Commit(t.Context(), Change{Message: partly, Events: []policy.Event{{Kind: policy.Bounced, Recipients: []int{0}}}}); err != nil {
		t.Fatal(err)
	}
	clock.add(day)
	if _, err := s.Commit(t.Context(), Change{Message: resent, Revision: 1, Events: []policy.Event{{Kind: policy.Resent, Until: clock.now()}}}); err != nil {
		t.Fatal(err)
	}
	clock.add(day)
	observe(t, s, resent, policy.RelayedRemote)
	has := func(at time.Time, want ...policy.ID) {
		t.Helper()
		if err := s.prune(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		for _, id := range []policy.ID{held, handed, partly, resent} {
			if got := s.readable(id); got != slices.Contains(want, id) {
				t.Errorf("at %v: the body of %s is there: %v", at, id, got)
			}
			if m, err := s.Message(id); err != nil || (m.BodySize > 0) != slices.Contains(want, id) {
				t.Errorf("at %v: %+v, %v", at, m, err)
			}
		}
	}
	has(epoch.Add(time.Hour+3*day), held, handed, partly, resent)
	has(epoch.Add(time.Hour+3*day+time.Second), held, partly, resent)
	has(epoch.Add(time.Hour+5*day), held, partly, resent)
	has(epoch.Add(time.Hour+5*day+time.Second), held, partly)
	if got := s.garbage.Load(); got != 600_100 {
		t.Errorf("%d octets of garbage", got)
	}
	if keys, err := s.keys([]byte{keyFinal}); err != nil || len(keys) != 0 {
		t.Errorf("%d entries are left of the index of ends, %v", len(keys), err)
	}
}

func TestMessagesArePruned(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	due, done, record := keep(t, s, 100), keep(t, s, 600_000), s.NewID()
	for range 3 { // queue ids of several attempts, keys, records: all of it has to go
		if _, err := s.Commit(t.Context(), Change{Message: done, Events: []policy.Event{
			{Kind: policy.Deferred, QueueID: fmt.Sprint("Q", clock.now().Unix()), Key: clock.now().String(), Time: clock.now()},
		}}); err != nil {
			t.Fatal(err)
		}
		clock.add(time.Hour)
	}
	observe(t, s, done, policy.RelayedRemote)
	if _, err := s.Commit(t.Context(), Change{Message: record, Events: []policy.Event{{Kind: policy.RecallRequested, Key: "k", QueueID: "QX"}}}); err != nil {
		t.Fatal(err)
	}
	clock.add(89 * day)
	young := keep(t, s, 100)
	last := s.lastBatch.Load()
	if err := s.prune(t.Context(), epoch.Add(90*day)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Message(done); err != nil {
		t.Errorf("after 90 days less some hours: %v", err)
	}
	if err := s.prune(t.Context(), epoch.Add(91*day)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []policy.ID{done, record} {
		if _, err := s.Timeline(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("after 91 days: %v", err)
		}
	}
	for _, id := range []policy.ID{due, young} {
		if m, err := s.Message(id); err != nil || m.State() != policy.StateHeld || !s.readable(id) {
			t.Errorf("due or young: %+v, %v", m, err)
		}
	}
	assertNoKeysOf(t, s, done, record)
	if numbers := batchNumbers(t, s); !slices.Equal(numbers, []uint64{last}) {
		t.Errorf("the batches that are left: %v, want the last one, %d", numbers, last)
	}
	dir := mustClose(t, s)
	s = openAt(t, dir, clock) // the numbers are still dense
	defer s.Close()
	id := keep(t, s, 0)
	if tl, err := s.Timeline(id); err != nil || tl[0].Batch != last+1 {
		t.Errorf("%+v, %v", tl, err)
	}
}

// assertNoKeysOf looks for an id in every key.
func assertNoKeysOf(t *testing.T, s *Store, ids ...policy.ID) {
	t.Helper()
	keys, err := s.keys(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		for _, id := range ids {
			for i := 0; i+idSize <= len(k); i++ {
				if policy.ID(k[i:i+idSize]) == id {
					t.Errorf("a key was left behind: %q", k)
				}
			}
		}
	}
}

func batchNumbers(t *testing.T, s *Store) (numbers []uint64) {
	t.Helper()
	for n := range s.lastBatch.Load() + 1 {
		if _, ok := s.batchTime(n); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func TestBatchesArePrunedFromTheOldest(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	const last = 2*pruneChunk + 10
	for n := range uint64(last) {
		value := binary.BigEndian.AppendUint64(nil, uint64(clock.now().UnixMicro()))
		if err := wb.Set(batchKey(n+1), value); err != nil {
			t.Fatal(err)
		}
		clock.add(time.Minute)
	}
	if err := wb.Flush(); err != nil {
		t.Fatal(err)
	}
	s.start(last)
	if err := s.prune(t.Context(), clock.now().Add(90*day-9*time.Minute-time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := batchNumbers(t, s); len(got) != 9 || got[0] != last-8 || got[8] != last {
		t.Errorf("batches %v; the last is %d", got, last)
	}
	if holes, _, err := s.holes(); err != nil || len(holes) > 0 {
		t.Errorf("holes %v, %v", holes, err)
	}
	sub := s.Subscribe(1) // what was pruned is skipped, and what is left is of no message
	id := keep(t, s, 0)
	if r, err := sub.Next(t.Context()); err != nil || r.Batch != last+1 || r.Message != id {
		t.Errorf("the first record that is left: %+v, %v", r, err)
	}
	if err := s.prune(t.Context(), clock.now().Add(1000*day)); err != nil {
		t.Fatal(err)
	}
	if got := batchNumbers(t, s); !slices.Equal(got, []uint64{last + 1}) {
		t.Errorf("the newest one has to stay: %v", got)
	}
}

func TestPruneEndsWithItsContext(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	observe(t, s, keep(t, s, 100), policy.Bounced)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.prune(ctx, epoch.Add(1000*day)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestPruneClock(t *testing.T) {
	type at struct {
		wall   time.Duration // the wall clock, from epoch
		passed time.Duration // since the start
		want   time.Duration // what it says, from epoch; -1 when it says nothing
	}
	for name, c := range map[string]struct {
		known time.Duration // when the store was last open, before the start
		ats   []at
	}{
		"a normal day": {time.Hour, []at{{0, 0, 0}, {time.Hour, time.Hour, time.Hour}}},
		"the clock jumps ahead: what has passed counts": {time.Hour, []at{{10 * 365 * day, time.Minute, time.Minute}, {10*365*day + time.Hour, time.Hour, time.Hour}}},
		"the clock is set back: it counts":              {time.Hour, []at{{-day, time.Minute, -day}}},
		"a start after a long silence waits an hour":    {49 * time.Hour, []at{{0, 0, -1}, {59 * time.Minute, 59 * time.Minute, -1}, {time.Hour, time.Hour, time.Hour}, {3 * time.Hour, 3 * time.Hour, 3 * time.Hour}}},
		"a start after two days does not wait":          {48 * time.Hour, []at{{0, 0, 0}}},
		"the clock is mended within the hour":           {100 * day, []at{{0, 0, -1}, {-99 * day, time.Minute, -99 * day}, {-99*day + time.Minute, 2 * time.Minute, -99*day + time.Minute}}},
		"a new store has no past":                       {-1, []at{{0, 0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var wall, passed time.Duration
			clock := pruneClock{
				wall: func() time.Time { return epoch.Add(wall) }, passed: func() time.Duration { return passed },
				base: epoch, known: epoch.Add(-c.known),
			}
			if c.known < 0 {
				clock.known = time.Time{}
			}
			clock.suspect = clock.jumped(epoch)
			for _, at := range c.ats {
				wall, passed = at.wall, at.passed
				got, ok := clock.now()
				if !ok && at.want != -1 || ok && !got.Equal(epoch.Add(at.want)) {
					t.Errorf("wall %v, passed %v: %v, %v; want %v", at.wall, at.passed, got, ok, at.want)
				}
			}
		})
	}
}

// A restart with a clock that has jumped prunes nothing, also when the jump was in the run before.
func TestClockJumpOverRestartsPrunesNothing(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	if c := s.newPruneClock(); c.suspect {
		t.Error("a new store is suspect")
	}
	id := keep(t, s, 100)
	observe(t, s, id, policy.Bounced)
	running := s.newPruneClock()
	clock.add(1000 * day)
	now, ok := running.now()
	if !ok || now.After(epoch.Add(time.Hour)) {
		t.Errorf("in the run: %v, %v", now, ok)
	}
	if err := s.retain(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	keep(t, s, 0) // a batch with the wrong time
	dir := mustClose(t, s)
	s = openAt(t, dir, clock)
	defer s.Close()
	if c := s.newPruneClock(); !c.suspect {
		t.Error("the clock has jumped a thousand days, and it is believed")
	} else if _, ok := c.now(); ok {
		t.Error("it prunes at once")
	}
	if !s.readable(id) {
		t.Error("the body is gone")
	}
}

func TestNotesSurviveARestart(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	s.garbage.Store(12345)
	if err := s.retain(t.Context(), epoch); err != nil {
		t.Fatal(err)
	}
	dir := mustClose(t, s)
	s = openAt(t, dir, clock)
	defer s.Close()
	if got := s.garbage.Load(); got != 12345 {
		t.Errorf("garbage after a restart: %d", got)
	}
	if got := s.notedTime(); !got.Equal(epoch) {
		t.Errorf("noted time: %v", got)
	}
}

// The space of pruned bodies comes back although nothing else is compacted.
func TestValueLogShrinks(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	var done, kept []policy.ID
	for i := range 300 { // 300 MiB, two full files
		id := keep(t, s, 1<<20)
		if i%20 == 0 {
			kept = append(kept, id)
			continue
		}
		observe(t, s, id, policy.RelayedRemote)
		done = append(done, id)
	}
	before := diskUse(t, s.cfg.Dir)
	if err := s.prune(t.Context(), epoch.Add(4*day)); err != nil {
		t.Fatal(err)
	}
	const least = 64 << 20
	if err := s.collect(t.Context(), least); err != nil {
		t.Fatal(err)
	}
	after := diskUse(t, s.cfg.Dir)
	t.Logf("%d MiB with all bodies, %d MiB with one in 20", before>>20, after>>20)
	if after > before/2 { // the newest file of 128 MiB stays
		t.Errorf("%d MiB before, %d MiB after", before>>20, after>>20)
	}
	if left := s.garbage.Load(); left > least {
		t.Errorf("%d MiB of garbage are still counted", left>>20)
	}
	for _, id := range kept {
		if !s.readable(id) {
			t.Errorf("the body of %s was collected", id)
		}
	}
	for _, id := range done {
		if m, err := s.Message(id); err != nil || m.BodySize != 0 {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

func diskUse(t *testing.T, dir string) (octets int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			octets += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return octets
}

func TestOrphansAreSwept(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	kept, ghost := keep(t, s, 600_000), s.NewID()
	writing := s.NewBody(s.NewID())
	if _, err := writing.Write(make([]byte, 600_000)); err != nil {
		t.Fatal(err)
	}
	set := func(key, value []byte) {
		t.Helper()
		if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(key, value) }); err != nil {
			t.Fatal(err)
		}
	}
	set(bodyKey(ghost, 0), make([]byte, 10_000)) // came back from the value log
	set(bodyKey(ghost, 1), make([]byte, 10_000))
	if err := s.sweepOrphans(t.Context()); err != nil {
		t.Fatal(err)
	}
	assertNoKeysOf(t, s, ghost)
	if !s.readable(kept) {
		t.Error("the body of a message was swept")
	}
	id := writing.id
	e := policy.Envelope{Received: time.Now(), Identity: "x"}
	if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: &e, Body: writing, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil || !s.readable(id) {
		t.Errorf("a body that was being written was swept: %v", err)
	}
	// Other rows that came back are found by age.
	set(recipientKey(ghost, 0), make([]byte, 5000))
	set(idKey(keyMessage, ghost), []byte("broken"))
	if err := s.prune(t.Context(), time.Now().Add(91*day)); err != nil {
		t.Fatal(err)
	}
	assertNoKeysOf(t, s, ghost)
}

func TestStaleIntentIsNotApplied(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	id := keep(t, s, 0)
	observe(t, s, id, policy.Bounced)
	old := intent{Mutations: []intendedMutation{{Key: idKey(keyMessage, id), Value: []byte("old")}}}
	if err := s.keepIntent(intentKey(1), old); err != nil { // batch 1 is there: this came back
		t.Fatal(err)
	}
	dir := mustClose(t, s)
	s = mustOpen(t, dir)
	if m, err := s.Message(id); err != nil || m.State() != policy.StateBounced {
		t.Errorf("%+v, %v", m, err)
	}
	if keys, _ := s.keys([]byte{keyIntent}); len(keys) > 0 {
		t.Error("it was left behind")
	}
	// One that cannot be read is damage.
	err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(intentKey(7), []byte("broken")) })
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	refused(t, dir)
	if report := mustRepair(t, dir); len(report.Lost) != 1 {
		t.Errorf("report %+v", report)
	}
	mustOpen(t, dir).Close()
}
