package recall

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// ages are the classes of the time from sending to recalling; what is older is the last one.
var ages = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// holds are the lengths of a hold that are compared.
var holds = []time.Duration{
	30 * time.Second, time.Minute, 90 * time.Second, 2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
}

// Stats says how the recalls went that were asked for from one time to before another and have ended. Those that
// nobody approved did nothing, and do not count.
func (e *Engine) Stats(ctx context.Context, from, to time.Time) (*policy.RecallStats, error) {
	s := newStats()
	for id, err := range e.recorded(ctx, idAt(to)) {
		if err != nil {
			return nil, err
		}
		if id.Compare(idAt(from)) < 0 {
			break
		}
		j, err := e.load(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !j.ended.IsZero() && j.summary.Overall != policy.RecallRejected {
			s.add(j)
		}
	}
	return s.finish(), nil
}

type statistics struct {
	policy.RecallStats
	reasons map[string]*policy.RecallShare
	caught  []int // recalls, as holds
}

func newStats() *statistics {
	s := &statistics{reasons: map[string]*policy.RecallShare{}, caught: make([]int, len(holds))}
	s.ByCode = map[policy.RecallCode]int{}
	for _, a := range ages {
		s.ByAge = append(s.ByAge, policy.RecallShare{UpTo: a})
	}
	s.ByAge = append(s.ByAge, policy.RecallShare{})
	for _, h := range holds {
		s.Hold = append(s.Hold, policy.RecallHold{Hold: h})
	}
	return s
}

// add counts a recall. Its age is that of its youngest message; its recipients count with their own.
func (s *statistics) add(j *job) {
	reason := strings.Join(strings.Fields(j.Request.Reason), " ")
	r := s.reasons[strings.ToLower(reason)]
	if r == nil {
		r = &policy.RecallShare{Reason: reason}
		s.reasons[strings.ToLower(reason)] = r
	}
	s.Recalls++
	r.Recalls++
	youngest := time.Duration(-1)
	for i := range j.summary.Messages {
		m := &j.summary.Messages[i]
		if youngest < 0 || m.Age < youngest {
			youngest = m.Age
		}
		s.message(m, r)
	}
	s.ByAge[class(youngest)].Recalls++
	for i, h := range holds {
		if youngest >= 0 && youngest <= h {
			s.caught[i]++
		}
	}
}

func (s *statistics) message(m *share, r *policy.RecallShare) {
	by := &s.ByAge[class(m.Age)]
	for code, n := range m.Codes {
		s.ByCode[code] += n
		for range n {
			s.Recipients.Add(code)
			r.Recipients.Add(code)
			by.Recipients.Add(code)
		}
		for i, h := range holds {
			if m.Age <= h && code.Status() == policy.RecallFail {
				s.Hold[i].More += n
			}
		}
	}
}

// class gives the index of an age in ByAge.
func class(age time.Duration) int {
	i, _ := slices.BinarySearch(ages, age)
	return i
}

func (s *statistics) finish() *policy.RecallStats {
	for _, r := range s.reasons {
		s.ByReason = append(s.ByReason, *r)
	}
	slices.SortFunc(s.ByReason, func(a, b policy.RecallShare) int {
		return cmp.Or(cmp.Compare(b.Recalls, a.Recalls), cmp.Compare(a.Reason, b.Reason))
	})
	for i := range s.Hold {
		if s.Recalls > 0 {
			s.Hold[i].Caught = float64(s.caught[i]) / float64(s.Recalls)
		}
	}
	return &s.RecallStats
}
