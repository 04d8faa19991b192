package limit

import (
	"cmp"
	"slices"
	"time"
)

// A place is a limit of one key, for which messages queue.
type place struct{ rule, key string }

// queues reports whether a demand can keep its message waiting.
func (d *Demand) queues() bool { return d.Hard && !d.Shadow && d.Amount > 0 && d.Window > 0 }

// A waiter is an entry in its queue.
type waiter struct {
	Entry
	serial uint64 // order of arrival
	amount int64  // that it asks of the limit
	queue  *queue
	missed time.Time // when it was its turn first and it did not fit
	claims bool
	stuck  bool
}

// A queue is what waits for one limit of one key.
type queue struct {
	place
	window time.Duration
	lanes  []*lane // one for each sender
	turn   int     // whose it is
	stuck  []*waiter
}

// A lane is what waits of one sender.
type lane struct {
	sender string
	bySize []*waiter
	byAge  []*waiter
}

func bySize(a, b *waiter) int {
	return cmp.Or(cmp.Compare(a.amount, b.amount), cmp.Compare(a.serial, b.serial))
}

func byAge(a, b *waiter) int { return cmp.Compare(a.serial, b.serial) }

// head is who goes first: the smallest, but the oldest once it has waited for a whole window.
func (l *lane) head(now time.Time, window time.Duration) *waiter {
	if oldest := l.byAge[0]; now.Sub(oldest.Since) >= window {
		return oldest
	}
	return l.bySize[0]
}

func insert(list []*waiter, x *waiter, order func(a, b *waiter) int) []*waiter {
	i, _ := slices.BinarySearchFunc(list, x, order)
	return slices.Insert(list, i, x)
}

func remove(list []*waiter, x *waiter, order func(a, b *waiter) int) []*waiter {
	i, _ := slices.BinarySearchFunc(list, x, order)
	return slices.Delete(list, i, i+1)
}

// enqueue puts a message into the queue of a limit.
func (w *Waiting) enqueue(x *waiter, l Line) {
	at := place{l.Rule, l.Key}
	q := w.queues[at]
	if q == nil {
		q = &queue{place: at}
		w.queues[at] = q
		w.order = append(w.order, q)
	}
	if l.Window > 0 {
		q.window = l.Window
	}
	x.queue, x.stuck = q, l.Never
	x.amount = x.demand().Amount
	if x.stuck {
		w.unclaim(x)
		q.stuck = insert(q.stuck, x, byAge)
		return
	}
	i := slices.IndexFunc(q.lanes, func(l *lane) bool { return l.sender == x.Sender })
	if i < 0 {
		i = len(q.lanes)
		q.lanes = append(q.lanes, &lane{sender: x.Sender})
	}
	q.lanes[i].bySize = insert(q.lanes[i].bySize, x, bySize)
	q.lanes[i].byAge = insert(q.lanes[i].byAge, x, byAge)
}

// demand is what the message asks of the limit for which it waits.
func (x *waiter) demand() Demand {
	for _, d := range x.Demands {
		if d.Rule == x.queue.rule && d.Key == x.queue.key {
			return d
		}
	}
	return Demand{Rule: x.queue.rule, Key: x.queue.key}
}

// leave takes a message out of its queue.
func (w *Waiting) leave(x *waiter) {
	q := x.queue
	if x.stuck {
		q.stuck = remove(q.stuck, x, byAge)
	} else {
		i := slices.IndexFunc(q.lanes, func(l *lane) bool { return l.sender == x.Sender })
		l := q.lanes[i]
		l.bySize, l.byAge = remove(l.bySize, x, bySize), remove(l.byAge, x, byAge)
		if len(l.bySize) == 0 {
			q.lanes = slices.Delete(q.lanes, i, i+1)
			if i < q.turn {
				q.turn--
			}
		}
	}
	if len(q.lanes)+len(q.stuck) == 0 {
		delete(w.queues, q.place)
		w.order = slices.DeleteFunc(w.order, func(other *queue) bool { return other == q })
	}
}

// finish ends the wait of a message.
func (w *Waiting) finish(x *waiter) {
	w.unclaim(x)
	w.leave(x)
	delete(w.entries, x.ID)
}
