package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// TestModel runs random changes, restarts, crashes and power losses against a simple model.
//
// Changes come in bursts that the committer writes as one batch, or more if they are big. After a burst the store may be
//
//   - closed and opened again;
//   - crashed: its directory is copied as it lies in the page cache while the store is open, which is
//     what a killed process leaves, and the copy is opened;
//   - cut off from power during the burst: the directory is copied before the burst (C1) and after
//     it (C2). The engine writes a batch in two steps, each ended by a sync: values go to the value log
//     (.vlog), then keys and pointers to the log of the memory table (.mem). A power loss in the
//     first step leaves any of the 4 KiB pages in which the value logs of C1 and C2 differ as they are
//     in C2, the others as in C1, because pages that are not yet synced reach the disk in any
//     order, and everything else as in C1. One in the second step leaves the value log of C2, any
//     of the differing pages of the .mem log, and everything else as in C1. Several such
//     directories are made of each burst, and each is crashed once more right after it was opened.
//
// After each, what was acknowledged before the burst has to be there exactly, and the burst wholly
// or not at all, as far as rows, bodies, timelines, every index, batch numbers and the replay of
// subscriptions tell.
//
// SENDGATE_SEED repeats a run, SENDGATE_LONG=1 makes it long.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("SENDGATE_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SENDGATE_SEED=%d", seed)
	rounds := 15
	if os.Getenv("SENDGATE_LONG") != "" {
		rounds = 1000
	}
	r := newModelRun(t, seed)
	for range rounds {
		r.round()
		if t.Failed() {
			t.FailNow()
		}
	}
	r.s.Close()
}

// A modelRun drives a store and its model side by side.
type modelRun struct {
	t     *testing.T
	rnd   *rand.Rand
	clock atomic.Pointer[time.Time]
	dir   string
	s     *Store
	m     *model
}

func newModelRun(t *testing.T, seed uint64) *modelRun {
	r := &modelRun{t: t, rnd: rand.New(rand.NewPCG(seed, seed)), dir: t.TempDir(), m: newModel()}
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	r.clock.Store(&start)
	r.s = r.open(r.dir)
	return r
}

func (r *modelRun) now() time.Time { return *r.clock.Load() }

func (r *modelRun) open(dir string) *Store {
	r.t.Helper()
	cfg := DefaultConfig()
	cfg.Dir, cfg.Node, cfg.Now, cfg.MinFree = dir, "node1", r.now, 1
	cfg.Log = zaptest.NewLogger(r.t, zaptest.Level(zap.ErrorLevel))
	s, err := Open(cfg)
	if err != nil {
		r.t.Fatalf("open: %v", err)
	}
	return s
}

// round is one burst and what happens after it.
func (r *modelRun) round() {
	next := r.now().Add(time.Duration(1+r.rnd.IntN(3600)) * time.Second)
	r.clock.Store(&next)
	before := r.m.clone()
	changes := r.changes()
	power := r.rnd.IntN(3) == 0
	var c1 string
	if power {
		c1 = copyDir(r.t, r.dir)
	}
	r.burst(changes)
	switch {
	case power:
		r.powerLoss(c1, before)
	case r.rnd.IntN(4) == 0:
		r.s.Close()
		r.s = r.open(r.dir)
	case r.rnd.IntN(4) == 0:
		r.crash(copyDir(r.t, r.dir))
	case r.rnd.IntN(4) == 0:
		r.retain()
	case r.rnd.IntN(4) == 0:
		if err := r.s.collect(context.Background(), 1); err != nil {
			r.t.Fatalf("collect: %v", err)
		}
	}
	r.m.check(r.t, r.s)
}

// crash goes on in a copy of the directory.
func (r *modelRun) crash(dir string) {
	r.s.Close()
	os.RemoveAll(r.dir) // a long run makes many
	r.dir, r.s = dir, r.open(dir)
}

// powerLoss goes on in one of several directories that a power loss in the last burst could leave.
func (r *modelRun) powerLoss(c1 string, before *model) {
	c2 := copyDir(r.t, r.dir)
	defer os.RemoveAll(c1)
	defer os.RemoveAll(c2)
	if !sameFiles(r.t, c1, c2) || r.m.batch != before.batch+1 {
		return // a memory table was flushed in the burst, or it took several batches
	}
	if slices.ContainsFunc(r.m.journal[len(before.journal):], func(x Record) bool { return r.m.isLarge(x.Message) }) {
		return // it took several transactions: see TestLargeChangeIsFinishedAfterACrash
	}
	after := r.m
	for i := range 4 {
		dir := copyDir(r.t, c1)
		step := []string{".vlog", ".mem"}[i%2]
		if step == ".mem" {
			for _, path := range engineLogs(r.t, c2, ".vlog") {
				if err := copySparse(path, filepath.Join(dir, engineDir, filepath.Base(path))); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		for _, path := range engineLogs(r.t, c2, step) {
			mixPages(r.t, r.rnd, dir, c2, filepath.Base(path))
		}
		r.crash(dir)
		if last := r.s.lastBatch.Load(); last == before.batch {
			r.m = before.clone()
		} else {
			r.m = after.clone()
		}
		r.m.check(r.t, r.s)
		r.crash(copyDir(r.t, r.dir))
		r.m.check(r.t, r.s)
	}
}

// retain prunes with a clock that is up to a hundred days ahead.
func (r *modelRun) retain() {
	ahead := r.now().Add(time.Duration(r.rnd.IntN(100*24)) * time.Hour)
	if err := r.s.prune(context.Background(), ahead); err != nil {
		r.t.Fatalf("prune: %v", err)
	}
	r.m.prune(ahead, r.s.cfg.EventsFor, r.s.cfg.BodiesFor)
}

// burst has the committer write the changes together and compares its answers with the model's.
func (r *modelRun) burst(changes []Change) {
	r.s.rows.Lock() // the committer stops before its next batch
	plug, err := r.s.prepare(Change{Message: r.s.NewID(), Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.s.queue <- plug
	for r.s.inFlight.Load() == 0 { // until it has gathered the plug and waits
		runtime.Gosched()
	}
	var waiting []*pendingChange
	for _, c := range changes {
		p, err := r.s.prepare(c)
		if err != nil {
			r.t.Fatal(err)
		}
		waiting = append(waiting, p)
		r.s.queue <- p
	}
	live := r.s.Subscribe(r.m.batch)
	if r.m.batch == 0 {
		live = &Subscription{store: r.s, next: 1}
	}
	r.s.rows.Unlock()
	<-plug.done
	r.m.begin(r.now())
	for i, p := range waiting {
		<-p.done
		known := len(r.m.journal)
		revision, err := r.m.commit(changes[i])
		if p.revision != revision && err == nil || !errors.Is(p.err, err) {
			r.t.Fatalf("%+v: revision %d, %v; the model says %d, %v", changes[i], p.revision, p.err, revision, err)
		}
		if len(r.m.journal) > known {
			r.m.place(r.t, next(r.t, live))
		}
	}
	if last := r.s.lastBatch.Load(); last != r.m.batch {
		r.t.Fatalf("the last batch is %d, the model says %d", last, r.m.batch)
	}
}

// next reads a record that has to be there.
func next(t *testing.T, sub *Subscription) Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := sub.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	modelSenders    = []string{"", "alice@corp.example", "Bob@Corp.Example", `"odd one"@corp.example`, "王@例子.example"}
	modelRecipients = []string{"carol@example.org", "dave@example.net", "erin@sub.example.org", "postmaster", "李@例子.example"}
	modelWords      = []string{"invoice", "Quarterly", "会议通知", "日本語テスト", "re", "2026", "straße"}
	// How far a message may be received from when its id was made.
	modelSkews    = []time.Duration{0, 0, 0, time.Second, -time.Minute, 119 * time.Minute, -119 * time.Minute}
	modelQueueIDs = []string{"4bXyzQ0", "ABCDEF1", strings.Repeat("Q", 200)}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
