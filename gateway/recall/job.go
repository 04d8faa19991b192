package recall

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A target is the recipients of one message for whom a recall was asked.
type target struct {
	Message policy.ID `json:"message"`
	// Rows is how many rows the message had when it was asked for: later attempts are not meant.
	Rows     int       `json:"rows"`
	Chosen   []int     `json:"chosen,omitempty"` // rows; nil is all
	Received time.Time `json:"received"`
}

// A line is what a recall came to for one row so far.
type line struct {
	code     policy.RecallCode
	evidence string
	time     time.Time
	copies   []policy.MailCopy // that were taken out and lie somewhere else now
	actor    string            // who has put the copies back, with RecallRestored
	told     policy.RecallStatus
}

// done reports whether the line is at an end.
func (l *line) done() bool { return l.code != "" && l.code.Status() != policy.RecallProcessing }

// A try says when something is tried next. It is not kept: a restart tries everything anew.
type try struct {
	count int
	next  time.Time
	// from is when it began again, after later evidence; zero is the beginning of the job.
	from time.Time
}

// A part is one message of a job. Its maps belong to the job's lock.
type part struct {
	target
	lines map[int]line // durable: what is told
	known map[int]line // the same with what is not written yet: what is acted on
	tries map[int]try
	// Rows about which something was heard since they were looked at: by index, by address, or all.
	dirty   map[int]bool
	members map[string]bool
	all     bool
	// next is when something is due; zero when nothing is. open counts the rows that are not at an end.
	next time.Time
	open int
	// foreign are the staged copies in each mailbox that are none of this recall's.
	foreign map[string]map[string]bool
	// targets are the rows that counted at the last look.
	targets int
}

func newPart(t target) *part {
	return &part{
		target: t, lines: map[int]line{}, known: map[int]line{}, tries: map[int]try{},
		dirty: map[int]bool{}, members: map[string]bool{}, all: true,
		foreign: map[string]map[string]bool{},
	}
}

// indexes gives the rows that the recall is about, as the message is now: members stand for their group, and
// attempts that were made later are nobody's mistake any more.
func (w *work) indexes() []int {
	all := w.rows.Resolve(w.Chosen)
	return slices.DeleteFunc(all, func(i int) bool { return i >= w.Rows && w.rows[i].Attempt > 1 })
}

// A job is a recall from its request on.
type job struct {
	id        policy.ID
	requested time.Time
	resumed   bool // by another process than the one that was asked
	record
	wake  chan struct{} // holds one
	first chan struct{} // closed after the first look at everything
	begin sync.Once     // closes it

	writing sync.Mutex // commits are one after the other
	mu      sync.Mutex // guards what follows, and the parts
	parts   []*part
	of      map[policy.ID]*part // by message
	entries []entry             // not durable yet

	begun      time.Time // when it may act: asked for, or approved
	approvedBy string
	stopped    string // who cancelled it
	ended      time.Time
	ends       int // how often it ended: more than once after later evidence
	corrected  bool
	summary    summary // of the last end
	changed    bool    // something was written since
	due        bool    // a report is due
	purged     bool    // what it took is gone from staging
	telling    try
	woken      time.Time // when it was taken up again after it had been forgotten
	watchers   map[chan struct{}]bool
}

func newJob(id policy.ID, requested time.Time, r record) *job {
	j := &job{
		id: id, requested: requested, record: r, watchers: map[chan struct{}]bool{}, of: map[policy.ID]*part{},
		wake: make(chan struct{}, 1), first: make(chan struct{}),
	}
	if r.ApproveUntil.IsZero() {
		j.begun = requested
	}
	for _, t := range r.Targets {
		p := newPart(t)
		j.parts = append(j.parts, p)
		j.of[t.Message] = p
	}
	return j
}

// unread reports whether what was read is left alone.
func (j *job) unread() bool { return j.Request.UnreadOnly }

// actor is who asked.
func (j *job) actor() string { return j.Request.Requester.Actor }

// rouse makes whoever follows the job look at it.
func (j *job) rouse() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// tell wakes those who watch. The caller has the lock.
func (j *job) tell() {
	for c := range j.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// isOpen reports whether something is still to be done.
func (j *job) isOpen() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended.IsZero()
}

// acting reports whether it may act: it was approved, where it has to be, and nobody is cancelling it. What a
// cancelled recall had come to by then is still looked after.
func (j *job) acting() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.begun.IsZero() && (j.stopped == "" || !j.ended.IsZero())
}

// overlaps reports whether the job already does what a request asks for: it is the same one of the same
// person, or a row of it is pending here.
func (j *job) overlaps(req *policy.RecallRequest, works []*work) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if person(&j.Request.Requester) == person(&req.Requester) && sameIDs(j.Request.Messages, req.Messages) &&
		slices.Equal(j.Request.Recipients, req.Recipients) {
		return true
	}
	if j.begun.IsZero() {
		return false
	}
	return slices.ContainsFunc(works, func(w *work) bool {
		p := j.of[w.Message]
		return p != nil && p.pending(w)
	})
}

// pending reports whether one of the rows is among those that are not at an end here.
func (p *part) pending(w *work) bool {
	mine := map[int]bool{}
	for _, i := range (&work{part: p, rows: w.rows}).indexes() {
		l := p.known[i]
		mine[i] = !l.done()
	}
	return slices.ContainsFunc(w.indexes(), func(i int) bool { return mine[i] })
}

func sameIDs(a, b []policy.ID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, policy.ID.Compare)
	slices.SortFunc(b, policy.ID.Compare)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// latest gives what is known of a row.
func (j *job) latest(p *part, i int) line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return p.known[i]
}

// soonest is when the job has to be looked at next; zero when there is nothing to wait for.
func (j *job) soonest() (next time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range j.parts {
		next = earlier(next, p.next)
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// counts gives the recipients by what they came to, with the addresses that no message had. The caller has
// the lock.
func (j *job) counts() (c policy.RecallCounts) {
	for _, p := range j.parts {
		for _, n := range p.codes() {
			for range n.n {
				c.Add(n.code)
			}
		}
	}
	c.Fail += len(j.Missing)
	return c
}

type codeCount struct {
	code policy.RecallCode
	n    int
}

// codes counts the lines of a message by code, what has none yet as planned.
func (p *part) codes() (all []codeCount) {
	counts := map[policy.RecallCode]int{}
	for _, l := range p.lines {
		counts[l.code]++
	}
	if more := p.targets - len(p.lines); more > 0 {
		counts[policy.RecallPlanned] += more
	}
	for c, n := range maps.All(counts) {
		all = append(all, codeCount{c, n})
	}
	slices.SortFunc(all, func(a, b codeCount) int { return cmp.Compare(a.code, b.code) })
	return all
}
