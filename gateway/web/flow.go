package web

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

const (
	// flowMinutes is how many minutes a flow remembers.
	flowMinutes = 60
	// flowSenders bounds the senders of one minute; further ones count together as nobody.
	flowSenders = 2000
)

// What a flow counts, in the order in which it is shown.
const (
	flowAccepted = iota
	flowHeld
	flowReleased
	flowBlocked
	flowRecalled
	flowKinds
)

// A flow counts what happens to messages, by the minute, from when it began to follow the journal.
type flow struct {
	mu      sync.Mutex
	since   time.Time
	minutes [flowMinutes]flowMinute // by minute modulo flowMinutes
}

type flowMinute struct {
	at      int64 // minutes since 1970
	counts  [flowKinds]int
	senders map[string]int // messages by identity
}

// follow counts until the context ends.
func (f *flow) follow(ctx context.Context, sub *store.Subscription, now func() time.Time) error {
	f.mu.Lock()
	f.since = now().UTC()
	f.mu.Unlock()
	for {
		r, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		f.count(&r, now())
	}
}

// followFlow counts for the overview; when the journal ends it has ended for all.
func (s *Server) followFlow(ctx context.Context) error {
	err := s.flow.follow(ctx, s.journal.Subscribe(0), s.now)
	if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
		return nil
	}
	return err
}

// count takes up a record.
func (f *flow) count(r *store.Record, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.minute(now)
	for i := range r.Events {
		if kind, ok := flowKind(&r.Events[i]); ok {
			m.counts[kind]++
		}
		if r.Events[i].Kind == policy.Accepted && r.Envelope != nil && r.Envelope.Front != policy.Internal {
			m.send(r.Envelope.Identity)
		}
	}
}

// flowKind says as what an event counts.
func flowKind(e *policy.Event) (kind int, ok bool) {
	switch e.Kind {
	case policy.Accepted, policy.Offered:
		return flowAccepted, true
	case policy.Held:
		return flowHeld, true
	case policy.Released, policy.Approved:
		return flowReleased, true
	case policy.Refused, policy.Blocked:
		return flowBlocked, true
	case policy.Canceled:
		return flowRecalled, true
	case policy.RecallOutcome:
		return flowRecalled, policy.RecallCode(e.Reason) == policy.RemovedFromMailbox
	}
	return 0, false
}

// minute gives the current one, emptied when it was one of an hour ago.
func (f *flow) minute(now time.Time) *flowMinute {
	at := now.Unix() / 60
	m := &f.minutes[at%flowMinutes]
	if m.at != at {
		*m = flowMinute{at: at, senders: map[string]int{}}
	}
	return m
}

func (m *flowMinute) send(identity string) {
	if _, known := m.senders[identity]; !known && len(m.senders) >= flowSenders {
		return
	}
	m.senders[identity]++
}

// erase takes a person out of the senders. text gives a name without the person.
func (f *flow) erase(text func(string) string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.minutes {
		senders := f.minutes[i].senders
		for name, n := range senders {
			if other := text(name); other != name {
				delete(senders, name)
				senders[other] += n
			}
		}
	}
}

// A Flow is what happened in each of the last minutes.
type Flow struct {
	Since    time.Time `json:"since" doc:"from when on it was counted: a restart begins anew"`
	Times    []int64   `json:"times" nullable:"false" doc:"seconds since 1970 at which each minute began, the oldest first"`
	Accepted []int     `json:"accepted" nullable:"false" doc:"messages"`
	Held     []int     `json:"held" nullable:"false"`
	Released []int     `json:"released" nullable:"false"`
	Blocked  []int     `json:"blocked" nullable:"false" doc:"refused, or stopped by a rule"`
	Recalled []int     `json:"recalled" nullable:"false"`
	// TopSenders are those of the whole time.
	TopSenders []SenderCount `json:"top_senders" nullable:"false" doc:"identities with the most messages of the time, the greatest first"`
}

// A SenderCount is an identity with how many messages it sent.
type SenderCount struct {
	Identity string `json:"identity"`
	Messages int    `json:"messages"`
}

// view gives all minutes up to now.
func (f *flow) view(now time.Time, senders int) Flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := Flow{Since: f.since}
	columns := []*[]int{&v.Accepted, &v.Held, &v.Released, &v.Blocked, &v.Recalled}
	all := map[string]int{}
	last := now.Unix() / 60
	for at := last - flowMinutes + 1; at <= last; at++ {
		v.Times = append(v.Times, at*60)
		m := &f.minutes[at%flowMinutes]
		for i, c := range columns {
			n := 0
			if m.at == at {
				n = m.counts[i]
			}
			*c = append(*c, n)
		}
		if m.at == at {
			for who, n := range m.senders {
				all[who] += n
			}
		}
	}
	v.TopSenders = topSenders(all, senders)
	return v
}

func topSenders(all map[string]int, most int) []SenderCount {
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b))
	})
	list := []SenderCount{}
	for _, n := range names[:min(most, len(names))] {
		list = append(list, SenderCount{n, all[n]})
	}
	return list
}
