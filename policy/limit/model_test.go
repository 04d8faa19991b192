package limit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// The oracle knows the definition only: an amount counts from when it is taken until the end of the
// 60th sub-window after its own. It keeps every single amount, indexed by rule and key and in the order
// of time.
type oracle struct {
	logs     map[place][]*part
	messages map[policy.ID]*record
	retries  map[Fingerprint]*record
}

type part struct {
	at, until, n int64
}

type record struct {
	at, lease int64 // lease 0: committed
	ids       map[policy.ID]bool
	parts     map[place]*part
	touched   bool
}

func newOracle() *oracle {
	return &oracle{map[place][]*part{}, map[policy.ID]*record{}, map[Fingerprint]*record{}}
}

// live gives what counts, and drops what is over: time only goes on.
func (o *oracle) live(p place, now int64) []*part {
	log := o.logs[p]
	log = slices.DeleteFunc(log, func(e *part) bool { return e.until <= now || e.n == 0 })
	o.logs[p] = log
	return log
}

func (o *oracle) used(p place, now int64) int64 {
	sum := int64(0)
	for _, e := range o.live(p, now) {
		sum += e.n
	}
	return sum
}

// next tries the end of each amount.
func (o *oracle) next(p place, now, limit, n int64) int64 {
	if o.used(p, now)+n <= limit {
		return now
	}
	left := o.used(p, now)
	log := o.live(p, now)
	for i, e := range log {
		left -= e.n
		if i+1 < len(log) && log[i+1].until == e.until {
			continue
		}
		if left+n <= limit {
			return e.until
		}
	}
	panic("never")
}

func (o *oracle) expire(now int64) {
	for _, m := range o.messages {
		if m.lease > 0 && m.lease <= now {
			o.giveBack(m)
		}
	}
}

func (o *oracle) giveBack(m *record) {
	for _, e := range m.parts {
		e.n = 0
	}
	for id := range m.ids {
		delete(o.messages, id)
	}
	m.ids = nil
}

// crash drops what does not stand in the journal.
func (o *oracle) crash(durable map[policy.ID]bool) {
	o.expire(1 << 62)
	for id, m := range o.messages {
		if !durable[id] {
			delete(m.ids, id)
			delete(o.messages, id)
			if len(m.ids) == 0 {
				o.giveBack(m)
			}
		}
	}
}

func (o *oracle) take(now int64, id policy.ID, f Fingerprint, lease int64, demands []Demand) (fits bool, lines []Line, of bool) {
	o.expire(now)
	m := o.messages[id]
	if m == nil && f != (Fingerprint{}) {
		if r := o.retries[f]; r != nil && len(r.ids) > 0 && !r.touched && now < r.at+24*3600*1000 {
			m = r
		}
	}
	if m != nil {
		m.ids[id] = true
		o.messages[id] = m
		if m.lease > 0 {
			m.lease = lease
		}
		return true, nil, true
	}
	fits = true
	for _, d := range demands {
		p := place{d.Rule, d.Key}
		l := Line{Used: o.used(p, now), Never: d.Amount > d.Limit}
		l.Fits = d.Amount == 0 || l.Used+d.Amount <= d.Limit
		if !l.Never {
			l.Next = fromMS(now)
			if !l.Fits {
				l.Next = fromMS(o.next(p, now, d.Limit, d.Amount))
			}
		}
		lines = append(lines, l)
		fits = fits && (l.Fits || !d.Hard || d.Shadow)
	}
	if fits {
		o.count(now, id, f, lease, demands)
	}
	return fits, lines, false
}

func (o *oracle) count(now int64, id policy.ID, f Fingerprint, lease int64, demands []Demand) {
	m := &record{at: now, lease: lease, ids: map[policy.ID]bool{id: true}, parts: map[place]*part{}}
	for _, d := range demands {
		p, width := place{d.Rule, d.Key}, d.Window.Milliseconds()/60
		e := &part{now, (now/width + 61) * width, d.Amount}
		o.logs[p] = append(o.logs[p], e)
		m.parts[p] = e
	}
	o.messages[id] = m
	if f != (Fingerprint{}) {
		o.retries[f] = m
	}
}

// A machine drives counters and an oracle with the same random operations and compares every answer.
// What is durable goes into its journal.
type machine struct {
	rnd     *rand.Rand
	c       *Counters
	o       *oracle
	keys    []string
	now     time.Time
	clock   *clock             // of several machines
	durable map[policy.ID]bool // what stands in the journal
	recent  []policy.ID
	serial  int
	journal func(func(c *Counters, now time.Time))
}

var modelRules = []struct {
	name   string
	window time.Duration
	limit  int64
}{{"minute", time.Minute, 8}, {"hour", time.Hour, 40}, {"day", 24 * time.Hour, 120}}

func (m *machine) step(t *testing.T) {
	m.tick()
	if m.clock != nil {
		m.clock.RLock()
		defer m.clock.RUnlock()
		m.now = m.clock.now
	}
	ms := m.now.UnixMilli()
	var id policy.ID
	if len(m.recent) > 0 {
		id = m.recent[m.rnd.IntN(len(m.recent))]
	}
	switch m.rnd.IntN(10) {
	case 0, 1, 2, 3, 4, 5:
		m.take(t, ms)
	case 6:
		m.o.expire(ms)
		m.c.expire(ms)
		known := m.o.messages[id]
		if got := m.c.Release(m.now, id); got != (known != nil) && stillCounts(known, ms) {
			t.Fatalf("release of %v: %v", id, got)
		}
		if known != nil {
			delete(known.ids, id)
			delete(m.o.messages, id)
			if len(known.ids) == 0 {
				m.o.giveBack(known)
			}
		}
		m.journal(func(c *Counters, now time.Time) { c.Release(now, id) })
	case 7:
		m.refund(t, id, ms)
	default:
		if known := m.o.messages[id]; known != nil {
			p := m.keys[m.rnd.IntN(len(m.keys))]
			r := modelRules[m.rnd.IntN(len(modelRules))]
			d := Demand{Rule: r.name, Key: p, Window: r.window, Limit: r.limit}
			if got, want := m.c.Test(m.now, []Demand{d}).Lines[0].Used, m.usedAt(place{r.name, p}, ms); got != want {
				t.Fatalf("used %d, want %d", got, want)
			}
		}
	}
}

// tick moves the clock, which other machines may share.
func (m *machine) tick() {
	if m.clock == nil {
		m.now = m.now.Add(time.Duration(m.rnd.ExpFloat64() * float64(4*time.Second)))
		if m.rnd.IntN(2000) == 0 {
			m.now = m.now.Add(time.Duration(m.rnd.IntN(1000)) * time.Minute)
		}
		return
	}
	if m.rnd.IntN(50) == 0 {
		m.clock.Lock()
		m.clock.now = m.clock.now.Add(time.Duration(m.rnd.ExpFloat64() * float64(4*time.Second)))
		m.clock.Unlock()
	}
}

// A clock stands still while somebody holds it for reading.
type clock struct {
	sync.RWMutex
	now time.Time
}

func (m *machine) usedAt(p place, ms int64) int64 {
	m.o.expire(ms)
	return m.o.used(p, ms)
}

// stillCounts reports whether forgetting the message would be a fault.
func stillCounts(m *record, now int64) bool {
	if m == nil {
		return true // it must not be known
	}
	for _, e := range m.parts {
		if e.n > 0 && e.until > now {
			return true
		}
	}
	return false
}

func (m *machine) take(t *testing.T, ms int64) {
	m.serial++
	id, f := id(m.rnd.Int()), Fingerprint{}
	if n := m.rnd.IntN(3); n > 0 {
		f = fingerprint(m.serial - m.rnd.IntN(20) + 100)
		if n == 2 {
			f = fingerprint(m.serial + 100)
		}
		copy(f[8:], m.keys[0])
	}
	var demands []Demand
	key := m.keys[m.rnd.IntN(len(m.keys))]
	for _, r := range modelRules {
		if m.rnd.IntN(4) > 0 {
			demands = append(demands, Demand{
				Rule: r.name, Key: key, Window: r.window, Limit: r.limit + int64(m.rnd.IntN(3)),
				Amount: 1 + int64(m.rnd.ExpFloat64()*2), Hard: m.rnd.IntN(10) > 0, Shadow: m.rnd.IntN(20) == 0,
			})
		}
	}
	r := m.c.Take(m.now, id, f, demands)
	fits, lines, of := m.o.take(ms, id, f, ms+600_000, demands)
	if r.Fits != fits || (r.RetryOf != policy.ID{}) != of {
		t.Fatalf("fits %v, retry %v; want %v, %v: %+v", r.Fits, r.RetryOf, fits, of, r.Lines)
	}
	for i, want := range lines {
		got := r.Lines[i]
		if got.Used != want.Used || got.Fits != want.Fits || got.Never != want.Never || !got.Next.Equal(want.Next) {
			t.Fatalf("%+v\n got %+v\nwant %+v", demands[i], got, want)
		}
	}
	if !fits {
		return
	}
	m.recent = append(m.recent, id)
	m.recent = m.recent[max(0, len(m.recent)-300):]
	if m.rnd.IntN(10) > 0 || f != (Fingerprint{}) {
		if !m.c.Commit(id) {
			t.Fatal("cannot commit")
		}
		m.o.messages[id].lease = 0
		m.durable[id] = true
		m.journal(func(c *Counters, now time.Time) { c.Replay(now, id, r.Taken) })
	}
}

func (m *machine) refund(t *testing.T, id policy.ID, ms int64) {
	m.o.expire(ms)
	m.c.expire(ms)
	m.serial++
	key, known := fmt.Sprint(m.serial), m.o.messages[id]
	var amounts []Amount
	if known != nil {
		for _, r := range modelRules {
			for _, k := range m.keys {
				if known.parts[place{r.name, k}] != nil {
					amounts = append(amounts, Amount{Rule: r.name, Key: k, Units: int64(m.rnd.IntN(3))})
				}
			}
		}
	}
	possible := known != nil && len(known.ids) == 1
	if got := m.c.Refund(m.now, id, key, amounts); got != possible && stillCounts(known, ms) {
		t.Fatalf("refund %v", got)
	}
	if possible {
		known.touched = true
		for _, a := range amounts {
			e := known.parts[place{a.Rule, a.Key}]
			e.n -= min(e.n, a.Units)
		}
		m.journal(func(c *Counters, now time.Time) { c.Refund(now, id, key, amounts) })
	}
}

// newSeed gives the seed of a run. SENDGATE_SEED repeats one.
func newSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("SENDGATE_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("again with: SENDGATE_SEED=%d", seed)
	return seed
}

// count gives the length of a run: SENDGATE_LONG=1 makes it long.
func count(short, long int) int {
	if os.Getenv("SENDGATE_LONG") != "" {
		return long
	}
	return short
}

func newMachine(seed uint64, c *Counters, keys ...string) *machine {
	return &machine{
		rnd: rand.New(rand.NewPCG(seed, 1)), c: c, o: newOracle(), keys: keys, now: noon,
		journal: func(func(*Counters, time.Time)) {}, durable: map[policy.ID]bool{},
	}
}

func TestModel(t *testing.T) {
	steps := count(50_000, 5_000_000)
	seed := newSeed(t)
	m := newMachine(seed, New(DefaultConfig()), "anna", "ben", "corp.example", "192.0.2.0/24")
	fits := 0
	for range steps {
		before := len(m.o.messages)
		m.step(t)
		if len(m.o.messages) > before {
			fits++
		}
		if m.rnd.IntN(5000) == 0 {
			m.forget()
		}
	}
	if fits < steps/20 {
		t.Errorf("only %d messages fitted", fits)
	}
}

// forget drops messages from the oracle of which nothing counts any more.
func (m *machine) forget() {
	for id, k := range m.o.messages {
		if k.lease == 0 && !stillCounts(k, m.now.UnixMilli()) && !slices.Contains(m.recent, id) {
			delete(m.o.messages, id)
		}
	}
}

// TestModelConcurrent lets 50 machines work on the same counters, each on its own keys and all on one
// shared key, while snapshots are taken. Each checks its own answers exactly. Then the counters are
// thrown away, and every snapshot with the journal from its mark on has to give the same usage.
func TestModelConcurrent(t *testing.T) {
	const machines = 50
	steps := count(500, 20_000)
	seed := newSeed(t)
	c := New(DefaultConfig())
	var mu sync.Mutex
	var journal []func(*Counters, time.Time)
	var wait, snapshots sync.WaitGroup
	clock := &clock{now: noon}
	list := make([]*machine, machines)
	for i := range list {
		m := newMachine(seed+uint64(i), c, fmt.Sprint("anna", i), fmt.Sprint("ben", i))
		m.clock = clock
		m.journal = func(f func(*Counters, time.Time)) {
			mu.Lock()
			defer mu.Unlock()
			journal = append(journal, f)
		}
		list[i] = m
		wait.Go(func() {
			for n := range steps {
				m.step(t)
				if t.Failed() {
					return
				}
				all := Demand{Rule: "all", Key: "gateway", Window: 24 * time.Hour, Limit: 1 << 40, Amount: 1, Hard: true}
				shared := id(int(seed)%1000 + 1_000_000*(i+1) + n)
				r := c.Take(noon, shared, Fingerprint{}, []Demand{all})
				if !r.Fits || !c.Commit(shared) {
					t.Errorf("the shared key: %+v", r.Lines)
				}
				m.journal(func(c *Counters, now time.Time) { c.Replay(now, shared, r.Taken) })
			}
		})
	}
	type cut struct {
		mark     int
		snapshot bytes.Buffer
	}
	cuts := make([]cut, 5)
	done := make(chan struct{})
	snapshots.Go(func() {
		for i := range cuts {
			mu.Lock()
			cuts[i].mark = len(journal) * i / len(cuts) // some events are in the snapshot already
			mu.Unlock()
			if err := c.Snapshot(&cuts[i].snapshot, uint64(cuts[i].mark)); err != nil {
				t.Error(err)
			}
		}
		close(done)
	})
	wait.Wait()
	<-done
	snapshots.Wait()
	if t.Failed() {
		return
	}
	for i := range cuts {
		restored, mark, err := Restore(&cuts[i].snapshot, DefaultConfig())
		if err != nil || mark != uint64(cuts[i].mark) {
			t.Fatalf("mark %d: %v", mark, err)
		}
		for _, f := range journal[mark:] {
			f(restored, clock.now)
		}
		restored.ReleaseReserved(clock.now)
		for _, m := range list {
			m.now = clock.now
			m.same(t, restored)
		}
		all := Demand{Rule: "all", Key: "gateway", Window: 24 * time.Hour, Limit: 1 << 40}
		if got := used(t, restored, noon, all); got != int64(machines*steps) {
			t.Errorf("cut %d: shared key has %d, want %d", i, got, machines*steps)
		}
	}
	c.ReleaseReserved(clock.now)
	if got := used(t, c, clock.now.Add(26*time.Hour), hourly("anna0", 1)); got != 0 {
		t.Errorf("everything is over, but %d", got)
	}
}

// same compares the usage of the machine's keys now and later with that of other counters, as far as
// it was committed.
func (m *machine) same(t *testing.T, c *Counters) {
	t.Helper()
	m.o.crash(m.durable)
	for _, key := range m.keys {
		for _, r := range modelRules {
			for _, later := range []time.Duration{0, time.Second, time.Minute, 30 * time.Minute, 20 * time.Hour} {
				now := m.now.Add(later)
				want := int64(0)
				for _, e := range m.o.logs[place{r.name, key}] {
					if e.until > now.UnixMilli() {
						want += e.n
					}
				}
				d := Demand{Rule: r.name, Key: key, Window: r.window, Limit: r.limit}
				if got := c.Test(now, []Demand{d}).Lines[0].Used; got != want {
					t.Errorf("%s of %s: %d, want %d after %v", r.name, key, got, want, later)
				}
			}
		}
	}
}

// TestRestart stops at random moments, as by kill -9: the last snapshot and the journal from a position
// at or before its mark give the usage that was there, without what was only reserved.
func TestRestart(t *testing.T) {
	seed := newSeed(t)
	m := newMachine(seed, New(DefaultConfig()), "anna", "ben")
	var journal []func(*Counters, time.Time)
	m.journal = func(f func(*Counters, time.Time)) { journal = append(journal, f) }
	var snapshot bytes.Buffer
	restarts, mark := 0, 0
	if err := m.c.Snapshot(&snapshot, 0); err != nil {
		t.Fatal(err)
	}
	steps := count(15_000, 1_000_000)
	for range steps {
		m.step(t)
		switch m.rnd.IntN(600) {
		case 0, 1:
			snapshot.Reset()
			mark = max(0, len(journal)-m.rnd.IntN(50))
			if err := m.c.Snapshot(&snapshot, uint64(mark)); err != nil {
				t.Fatal(err)
			}
		case 2:
			restored, at, err := Restore(bytes.NewReader(snapshot.Bytes()), DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range journal[at:] {
				f(restored, m.now)
			}
			restored.ReleaseReserved(m.now)
			m.same(t, restored)
			m.c = restored
			m.recent = slices.DeleteFunc(m.recent, func(id policy.ID) bool { return !m.durable[id] })
			if restarts++; t.Failed() {
				t.Fatalf("after restart %d, mark %d of %d", restarts, at, len(journal))
			}
		}
	}
	if restarts < steps/3000 {
		t.Errorf("only %d restarts", restarts)
	}
}
