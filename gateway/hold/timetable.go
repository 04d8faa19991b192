package hold

import (
	"container/heap"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// An entry says when to look at a message.
type entry struct {
	id policy.ID
	// at is the moment on the scheduler's monotonic clock. The wall clock may be set in the meantime;
	// this one only runs.
	at time.Duration
	// due is the time in the journal from which at was made.
	due time.Time
	// loaded marks what was found at the start: it may have been under way when the process died.
	loaded bool
	index  int
}

// A timetable is a heap of entries by time with one entry for each message.
type timetable struct {
	byTime []*entry
	byID   map[policy.ID]*entry
}

func newTimetable() *timetable { return &timetable{byID: map[policy.ID]*entry{}} }

// set adds the entry of a message or moves it.
func (t *timetable) set(e entry) {
	if old := t.byID[e.id]; old != nil {
		e.index = old.index
		*old = e
		heap.Fix(t, old.index)
		return
	}
	t.byID[e.id] = &e
	heap.Push(t, &e)
}

// remove forgets a message.
func (t *timetable) remove(id policy.ID) {
	if e := t.byID[id]; e != nil {
		heap.Remove(t, e.index)
		delete(t.byID, id)
	}
}

// next gives the moment of the first entry.
func (t *timetable) next() (at time.Duration, ok bool) {
	if len(t.byTime) == 0 {
		return 0, false
	}
	return t.byTime[0].at, true
}

// pop takes out the first entry when its time has come.
func (t *timetable) pop(now time.Duration) (entry, bool) {
	if at, ok := t.next(); !ok || at > now {
		return entry{}, false
	}
	e := heap.Pop(t).(*entry)
	delete(t.byID, e.id)
	return *e, true
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (t *timetable) Len() int           { return len(t.byTime) }
func (t *timetable) Less(i, j int) bool { return t.byTime[i].at < t.byTime[j].at }

// Swap is for container/heap.
func (t *timetable) Swap(i, j int) {
	t.byTime[i], t.byTime[j] = t.byTime[j], t.byTime[i]
	t.byTime[i].index, t.byTime[j].index = i, j
}

// Push is for container/heap.
func (t *timetable) Push(x any) {
	e := x.(*entry)
	e.index = len(t.byTime)
	t.byTime = append(t.byTime, e)
}

// Pop is for container/heap.
func (t *timetable) Pop() any {
	last := len(t.byTime) - 1
	e := t.byTime[last]
	t.byTime[last] = nil
	t.byTime = t.byTime[:last]
	return e
}
