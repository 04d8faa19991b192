package limit

import (
	"slices"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// An Entry is a held message that waits for room.
type Entry struct {
	ID      policy.ID
	Sender  string    // the identity; each gets its turn
	Since   time.Time // when it came
	Demands []Demand
}

// Waiting holds the messages that exceed a limit, in one queue for each limit of each key.
//
// Senders of a queue take turns. Within a sender small messages go first, until his oldest one has
// waited as long as the window; then the oldest goes first. A message that does not fit when it is its
// turn lets others pass for a quarter of the window. After that it claims its limits: nobody passes it,
// and new mail under these limits has to queue as well ([Waiting.Blocks]), so that room for it is there
// a window and a sixtieth later at the latest. One message at a time claims a limit.
//
// The demands of an entry are those of the moment when it was added; the functions that the caller
// hands in may put the limits of today in their place.
type Waiting struct {
	mu      sync.Mutex
	order   []*queue // the one that is served first comes first
	queues  map[place]*queue
	entries map[policy.ID]*waiter
	claims  map[place]*waiter
	claimed []*waiter // in the order of their claims
	serial  uint64
}

// NewWaiting gives an empty set of queues.
func NewWaiting() *Waiting {
	return &Waiting{queues: map[place]*queue{}, entries: map[policy.ID]*waiter{}, claims: map[place]*waiter{}}
}

// Add puts a message into the queue of the limit that keeps it back longest ([Result.Blocking]).
// A message that is there already stays where it is.
func (w *Waiting) Add(e Entry, blocking Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.entries[e.ID] != nil {
		return
	}
	w.serial++
	x := &waiter{Entry: e, serial: w.serial}
	w.entries[e.ID] = x
	w.enqueue(x, blocking)
}

// Remove takes a message out, when it was canceled or let go by hand. It is false when it is not there.
func (w *Waiting) Remove(id policy.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.entries[id]
	if x == nil {
		return false
	}
	w.finish(x)
	return true
}

// Len is how many messages wait.
func (w *Waiting) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries)
}

// Blocks reports whether a message that has waited long claims one of these limits. Mail with these
// demands has to queue even if it fits; the line says where.
func (w *Waiting) Blocks(demands []Demand) (Line, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range demands {
		if w.claims[place{d.Rule, d.Key}] != nil && d.queues() {
			return Line{Rule: d.Rule, Key: d.Key, Window: d.Window, Hard: true, Asked: d.Amount}, true
		}
	}
	return Line{}, false
}

// blocked reports whether another message claims a limit that x needs.
func (w *Waiting) blocked(x *waiter) bool {
	if len(w.claims) == 0 {
		return false
	}
	return slices.ContainsFunc(x.Demands, func(d Demand) bool {
		other := w.claims[place{d.Rule, d.Key}]
		return other != nil && other != x && d.queues()
	})
}

// claim keeps everybody else from the limits of x, unless another does so already.
func (w *Waiting) claim(x *waiter) {
	if x.claims || w.blocked(x) {
		return
	}
	x.claims = true
	w.claimed = append(w.claimed, x)
	for _, d := range x.Demands {
		if d.queues() {
			w.claims[place{d.Rule, d.Key}] = x
		}
	}
}

// unclaim ends a claim.
func (w *Waiting) unclaim(x *waiter) {
	if !x.claims {
		return
	}
	x.claims = false
	w.claimed = slices.DeleteFunc(w.claimed, func(other *waiter) bool { return other == x })
	for _, d := range x.Demands {
		if p := (place{d.Rule, d.Key}); w.claims[p] == x {
			delete(w.claims, p)
		}
	}
}

// Next lets go the messages that fit now, at most n, and gives them in their order. take is to take
// what a message asks for, such as by [Counters.Take]; it must not call Waiting.
func (w *Waiting) Next(now time.Time, n int, take func(Entry) Result) []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	pass := &pass{w: w, now: now, n: n, take: take}
	for _, x := range slices.Clone(w.claimed) {
		pass.try(x)
	}
	queues := slices.Clone(w.order)
	for _, q := range queues {
		for _, x := range slices.Clone(q.stuck) {
			pass.try(x)
		}
		pass.serve(q)
	}
	if len(w.order) > 1 { // another one begins the next time
		w.order = append(w.order[1:], w.order[0])
	}
	return pass.out
}

// A pass is one call of Next.
type pass struct {
	w    *Waiting
	now  time.Time
	n    int
	take func(Entry) Result
	out  []Entry
}

// serve gives every sender of a queue his turns until nothing more fits.
func (p *pass) serve(q *queue) {
	for misses := 0; misses < len(q.lanes) && len(p.out) < p.n; {
		q.turn %= len(q.lanes)
		l := q.lanes[q.turn]
		if p.try(l.head(p.now, q.window)) {
			misses = 0
			if len(l.bySize) == 0 {
				continue // the next lane has its place
			}
		} else {
			misses++
		}
		q.turn++
	}
}

// try takes for one message, or says what it waits for. It reports whether the message left its lane.
func (p *pass) try(x *waiter) bool {
	if len(p.out) >= p.n || p.w.blocked(x) {
		return false
	}
	r := p.take(x.Entry)
	if r.Fits {
		p.w.finish(x)
		p.out = append(p.out, x.Entry)
		return true
	}
	l := r.Blocking()
	if l == nil {
		return false
	}
	if at := (place{l.Rule, l.Key}); at != x.queue.place || l.Never != x.stuck {
		p.w.leave(x)
		p.w.enqueue(x, *l)
		return true
	}
	if x.missed.IsZero() {
		x.missed = p.now
	}
	if !l.Never && p.now.Sub(x.missed) >= x.queue.window/4 {
		p.w.claim(x)
	}
	return false
}
