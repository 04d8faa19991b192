package limit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A desk is counters with a waiting room, as the hold queue will use them.
type desk struct {
	c   *Counters
	w   *Waiting
	now time.Time
}

func newDesk() *desk { return &desk{New(DefaultConfig()), NewWaiting(), noon} }

// send takes or queues, and reports whether the message went at once.
func (d *desk) send(n int, sender string, demands ...Demand) bool {
	e := Entry{ID: id(n), Sender: sender, Since: d.now, Demands: demands}
	if l, ok := d.w.Blocks(demands); ok {
		d.w.Add(e, l)
		return false
	}
	r := d.take(e)
	if !r.Fits {
		d.w.Add(e, *r.Blocking())
	}
	return r.Fits
}

func (d *desk) take(e Entry) Result {
	r := d.c.Take(d.now, e.ID, Fingerprint{}, e.Demands)
	if r.Fits {
		d.c.Commit(e.ID)
	}
	return r
}

// next lets go at a time, and names the messages.
func (d *desk) next(at time.Duration) string {
	d.now = noon.Add(at)
	var s []string
	for _, e := range d.w.Next(d.now, 1000, d.take) {
		s = append(s, name(e.ID))
	}
	return strings.Join(s, " ")
}

func name(id policy.ID) string { return fmt.Sprint(int(id[14])<<8 | int(id[15])) }

// shared asks n of a limit of 10 an hour that all share.
func shared(n int64) Demand { return hourly("gateway", n) }

func TestWaitingOrder(t *testing.T) {
	type message struct {
		sender string
		n      int64
	}
	tests := []struct {
		name     string
		messages []message
		at       []time.Duration // passes; room for 10 each hour
		want     []string
	}{
		{"one sender: small first", []message{{"a", 5}, {"a", 2}, {"a", 3}},
			[]time.Duration{0, 61 * time.Minute}, []string{"", "2 3 1"}},
		{"same size: in the order of arrival", []message{{"a", 2}, {"a", 2}, {"a", 2}},
			[]time.Duration{61 * time.Minute}, []string{"1 2 3"}},
		{"senders take turns", []message{{"a", 1}, {"a", 1}, {"a", 1}, {"b", 1}, {"b", 1}, {"c", 2}},
			[]time.Duration{59 * time.Minute, 61 * time.Minute}, []string{"", "1 4 6 2 5 3"}},
		{"a sender with much does not shut out one with little", []message{{"a", 5}, {"a", 5}, {"a", 5}, {"a", 5}, {"b", 5}},
			[]time.Duration{61 * time.Minute, 122 * time.Minute, 183 * time.Minute}, []string{"1 5", "2 3", "4"}},
		{"what does not fit lets others pass", []message{{"a", 8}, {"b", 4}, {"c", 3}},
			[]time.Duration{61 * time.Minute, 122 * time.Minute}, []string{"1", "2 3"}},
		{"the turn goes on where it ended", []message{{"a", 4}, {"a", 4}, {"b", 4}, {"b", 4}},
			[]time.Duration{61 * time.Minute, 122 * time.Minute}, []string{"1 3", "2 4"}},
		{"larger than the limit waits aside", []message{{"a", 11}, {"a", 2}, {"b", 12}, {"b", 3}},
			[]time.Duration{61 * time.Minute, 122 * time.Minute}, []string{"2 4", ""}},
		{"an old one goes before small ones of its sender", []message{{"a", 8}, {"a", 1}, {"a", 2}, {"a", 3}},
			[]time.Duration{59 * time.Minute, 61 * time.Minute, 122 * time.Minute}, []string{"", "1 2", "3 4"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk()
			ok(t, d.send(999, "z", shared(10)))
			for i, m := range tt.messages {
				if tt.name[:2] != "an" {
					d.now = noon.Add(10 * time.Minute) // not old at 61 minutes
				}
				ok(t, !d.send(i+1, m.sender, shared(m.n)))
			}
			for i, at := range tt.at {
				if got := d.next(at); got != tt.want[i] {
					t.Errorf("after %v: %q, want %q", at, got, tt.want[i])
				}
			}
		})
	}
}

func TestWaitingStuck(t *testing.T) {
	d := newDesk()
	ok(t, !d.send(1, "a", shared(12)))
	ok(t, !d.send(2, "b", shared(11)))
	g := boost(1)
	g.Key = "gateway"
	if got := d.next(time.Minute); got != "" {
		t.Errorf("went: %s", got)
	}
	if err := d.c.Grant(g); err != nil {
		t.Fatal(err)
	}
	if got := d.next(2 * time.Minute); got != "2" {
		t.Errorf("after the boost went: %q", got)
	}
	g.Amount, g.Boost, g.Given = 12, false, noon.Add(time.Second)
	if err := d.c.Grant(g); err != nil {
		t.Fatal(err)
	}
	if got := d.next(3 * time.Minute); got != "" || d.w.Len() != 1 {
		t.Errorf("went: %q", got)
	}
	if e, found := d.w.Estimate(id(1), d.when, d.now); !found || e.Never || e.At != noon.Add(63*time.Minute) {
		t.Errorf("after raising the limit: %+v", e)
	}
	if got := d.next(63 * time.Minute); got != "1" {
		t.Errorf("when there is room: %q", got)
	}
}

func (d *desk) when(demand Demand, ahead int64) (time.Time, bool) {
	return d.c.When(d.now, demand, ahead)
}

// A large message is passed by small ones for a quarter of the window and goes a window later.
func TestWaitingDoesNotStarve(t *testing.T) {
	d := newDesk()
	ok(t, d.send(1, "small", shared(10)))
	ok(t, !d.send(2, "large", shared(10)))
	went, n := time.Duration(0), 3
	for at := time.Duration(0); at < 4*time.Hour && went == 0; at += time.Minute {
		for _, e := range strings.Fields(d.next(at)) {
			if e == "2" {
				went = at
			}
		}
		d.send(n, "small", shared(1))
		n++
	}
	if went == 0 || went > 137*time.Minute { // 61 until the small ones can pass, 15, 61
		t.Errorf("the large message went after %v", went)
	}
	for p, x := range d.w.claims {
		if x.ID == id(2) {
			t.Errorf("it still claims %v", p)
		}
	}
}

// Random mail in a queue that is too full: every message that can fit goes within the bound.
func TestWaitingBound(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	d := newDesk()
	since := map[string]time.Duration{}
	worst, went, n := time.Duration(0), 0, 0
	for at := time.Duration(0); at < 200*time.Hour; at += time.Minute {
		for _, e := range strings.Fields(d.next(at)) {
			worst = max(worst, at-since[e])
			delete(since, e)
			went++
		}
		if rnd.IntN(10) == 0 && at < 190*time.Hour { // 6 messages with 9.6 units an hour
			n++
			size := int64(1)
			if rnd.IntN(10) == 0 {
				size = 7
			}
			sender := fmt.Sprint(rnd.IntN(4))
			if !d.send(n, sender, shared(size), hourly(sender, size)) {
				since[name(id(n))] = at
			}
		}
	}
	if d.w.Len() != len(since) || went < 300 {
		t.Errorf("%d wait, %d are missing, %d went", d.w.Len(), len(since), went)
	}
	if worst > 24*time.Hour {
		t.Errorf("somebody waited %v", worst)
	}
	t.Logf("%d of %d waited, the longest %v", went, n, worst)
}

func TestWaitingMovesBetweenQueues(t *testing.T) {
	d := newDesk()
	ok(t, d.send(1, "anna", hourly("anna", 10)))
	d.now = noon.Add(30 * time.Minute)
	ok(t, d.send(2, "ben", shared(10)))
	ok(t, !d.send(3, "anna", hourly("anna", 5), shared(1)))
	ok(t, !d.send(4, "ben", hourly("ben", 5), shared(1)))
	if p := d.w.Plan(d.when, d.now); len(p) != 2 || p[0].Key != "gateway" || p[1].Key != "gateway" || p[1].Ahead != 1 {
		t.Errorf("plan: %+v", p)
	}
	if e, want := d.w.Plan(d.when, d.now)[0], noon.Add(91*time.Minute); e.At != want {
		t.Errorf("the first goes at %v, want %v", e.At, want)
	}
	ok(t, d.c.Release(d.now, id(2)))
	if got := d.next(31 * time.Minute); got != "4" {
		t.Errorf("went: %q", got)
	}
	if e, _ := d.w.Estimate(id(3), d.when, d.now); e.Key != "anna" || e.Rule != "hourly" || e.At != noon.Add(61*time.Minute) {
		t.Errorf("waits for %+v", e)
	}
	ok(t, d.w.Remove(id(3)))
	ok(t, !d.w.Remove(id(3)))
	if len(d.w.queues)+len(d.w.order)+len(d.w.entries) > 0 {
		t.Error("something is left")
	}
}

func TestWaitingTakesNoMoreThanAsked(t *testing.T) {
	d := newDesk()
	ok(t, d.send(99, "z", shared(10)))
	for i := range 6 {
		ok(t, !d.send(i+1, fmt.Sprint(i), shared(1)))
	}
	d.send(1, "0", shared(1)) // is there already
	ok(t, d.w.Len() == 6)
	d.now = noon.Add(61 * time.Minute)
	if got := d.w.Next(d.now, 4, d.take); len(got) != 4 || d.w.Len() != 2 {
		t.Errorf("%d went, %d wait", len(got), d.w.Len())
	}
	if got := used(t, d.c, d.now, shared(1)); got != 4 {
		t.Errorf("%d were taken", got)
	}
}

// The estimate of the first is exact, and of the others as good as nobody interferes.
func TestEstimates(t *testing.T) {
	d := newDesk()
	for i := range 10 {
		d.now = noon.Add(time.Duration(i) * time.Minute)
		ok(t, d.send(100+i, "z", shared(1)))
	}
	for i := range 8 {
		ok(t, !d.send(i+1, fmt.Sprint(i%3), shared(2)))
	}
	plan := d.w.Plan(d.when, d.now)
	if len(plan) != 8 || plan[0].At != noon.Add(62*time.Minute) || plan[0].Ahead != 0 {
		t.Fatalf("plan: %+v", plan)
	}
	for i, e := range plan {
		if one, _ := d.w.Estimate(e.ID, d.when, d.now); one != e {
			t.Errorf("alone %+v, in the plan %+v", one, e)
		}
		if i > 0 && e.At.Before(plan[i-1].At) {
			t.Errorf("%v comes before %v", e, plan[i-1])
		}
	}
	var order []string
	for at := 9 * time.Minute; at < 5*time.Hour; at += time.Minute {
		for _, n := range strings.Fields(d.next(at)) {
			i := slices.IndexFunc(plan, func(e Estimate) bool { return name(e.ID) == n })
			if diff := noon.Add(at).Sub(plan[i].At).Abs(); diff > 5*time.Minute {
				t.Errorf("%s went %v from its estimate", n, diff)
			}
			order = append(order, n)
		}
	}
	if len(order) != 8 {
		t.Errorf("went: %v", order)
	}
	if _, found := d.w.Estimate(id(1), d.when, d.now); found {
		t.Error("an estimate for one that went")
	}
}

func TestWaitingConcurrently(t *testing.T) {
	c, w := New(DefaultConfig()), NewWaiting()
	take := func(e Entry) Result { return c.Take(noon, e.ID, Fingerprint{}, e.Demands) }
	var wait sync.WaitGroup
	var went atomic.Int64
	for i := range 10 {
		wait.Go(func() {
			for n := range 200 {
				e := Entry{ID: id(i*1000 + n), Sender: fmt.Sprint(i), Since: noon, Demands: []Demand{shared(1)}}
				w.Add(e, Line{Rule: "hourly", Key: "gateway", Window: time.Hour})
				went.Add(int64(len(w.Next(noon, 3, take))))
				w.Blocks(e.Demands)
				w.Plan(func(d Demand, ahead int64) (time.Time, bool) { return noon, true }, noon)
			}
		})
	}
	wait.Wait()
	if went.Load() != 10 || w.Len() != 1990 {
		t.Errorf("%d went, %d wait", went.Load(), w.Len())
	}
}
