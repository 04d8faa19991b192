package limit

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// An Estimate is when a waiting message will probably go.
type Estimate struct {
	ID     policy.ID
	Sender string
	Rule   string // the limit for which it waits
	Key    string
	Since  time.Time
	Ahead  int64     // units that go before it
	At     time.Time // exact for the first of a queue, if nobody else takes anything; zero with Never
	Never  bool      // it is larger than the limit
}

// Plan estimates for every waiting message when it will go. when is to say when a demand fits after an
// amount that goes before it ([Counters.When]); it must not call Waiting.
func (w *Waiting) Plan(when func(d Demand, ahead int64) (time.Time, bool), now time.Time) []Estimate {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]Estimate, 0, len(w.entries))
	for _, q := range w.order {
		list = q.plan(list, when, now)
	}
	return list
}

// Estimate is Plan for one message; it is false when the message does not wait.
func (w *Waiting) Estimate(id policy.ID, when func(d Demand, ahead int64) (time.Time, bool), now time.Time) (Estimate, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.entries[id]
	if x == nil {
		return Estimate{}, false
	}
	ahead := int64(0)
	for _, other := range x.queue.line(now) {
		if other == x {
			break
		}
		ahead += other.amount
	}
	return x.estimate(when, ahead), true
}

func (q *queue) plan(list []Estimate, when func(Demand, int64) (time.Time, bool), now time.Time) []Estimate {
	ahead := int64(0)
	for _, x := range q.line(now) {
		list = append(list, x.estimate(when, ahead))
		ahead += x.amount
	}
	for _, x := range q.stuck {
		list = append(list, x.estimate(when, 0))
	}
	return list
}

func (x *waiter) estimate(when func(Demand, int64) (time.Time, bool), ahead int64) Estimate {
	if x.stuck {
		ahead = 0
	}
	at, ok := when(x.demand(), ahead)
	return Estimate{
		ID: x.ID, Sender: x.Sender, Rule: x.queue.rule, Key: x.queue.key, Since: x.Since,
		Ahead: ahead, At: at, Never: !ok,
	}
}

// line is the order in which the queue would go now: who claims it, then the senders in turn.
func (q *queue) line(now time.Time) []*waiter {
	var line []*waiter
	lanes := make([][]*waiter, len(q.lanes))
	for i := range q.lanes {
		l := q.lanes[(q.turn+i)%len(q.lanes)]
		head := l.head(now, q.window)
		lanes[i] = append(lanes[i], head)
		for _, x := range l.bySize {
			if x.claims {
				line = append(line, x)
			}
			if x != head {
				lanes[i] = append(lanes[i], x)
			}
		}
	}
	for i := 0; len(lanes) > 0; i++ {
		left := lanes[:0] // an empty lane is not looked at again and again
		for _, l := range lanes {
			if !l[i].claims {
				line = append(line, l[i])
			}
			if i+1 < len(l) {
				left = append(left, l)
			}
		}
		lanes = left
	}
	return line
}
