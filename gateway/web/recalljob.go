package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// recallDays bounds how far back recalls are listed; older ones are still found by their id.
const recallDays = 400

// recallPause is how long a recall waits before it looks again at what was in flight.
const recallPause = 5 * time.Second

// recallEntropy is what the ids that stand for days have in place of randomness.
const recallEntropy = "\x00sg-recall"

// A recallJob is a recall from its request on.
type recallJob struct {
	id        policy.ID
	requested time.Time
	actor     string
	reason    string
	dryRun    bool
	recallRecord
}

// A recallRecord is what the journal keeps in the evidence of a recall's events; the latest counts.
type recallRecord struct {
	ID         string          `json:"id"`
	Query      string          `json:"query,omitempty"`
	GroupMode  string          `json:"group_mode,omitempty"`
	UnreadOnly bool            `json:"unread_only"`
	Messages   []recallMessage `json:"messages"`
	Missing    []string        `json:"missing,omitempty"` // addresses that no message had
}

// A recallMessage groups the recipients of a message by what the recall came to, which stays small
// for large envelopes.
type recallMessage struct {
	ID    policy.ID        `json:"id"`
	Codes map[string][]int `json:"codes"`
}

// set moves a recipient to a code.
func (m *recallMessage) set(index int, code string) {
	for c, indexes := range m.Codes {
		if at := slices.Index(indexes, index); at >= 0 {
			if m.Codes[c] = slices.Delete(indexes, at, at+1); len(m.Codes[c]) == 0 {
				delete(m.Codes, c)
			}
		}
	}
	m.Codes[code] = append(m.Codes[code], index)
}

// drop forgets many recipients at once.
func (m *recallMessage) drop(recipients []int) {
	gone := make(map[int]bool, len(recipients))
	for _, i := range recipients {
		gone[i] = true
	}
	for c, indexes := range m.Codes {
		left := slices.DeleteFunc(indexes, func(i int) bool { return gone[i] })
		if m.Codes[c] = left; len(left) == 0 {
			delete(m.Codes, c)
		}
	}
}

func (m *recallMessage) byIndex() map[int]string {
	codes := map[int]string{}
	for code, indexes := range m.Codes {
		for _, i := range indexes {
			codes[i] = code
		}
	}
	return codes
}

// pending gives the recipients for which a recall has not come to an end.
func (m *recallMessage) pending() (indexes []int) {
	for code, list := range m.Codes {
		if known(code).status == statusProcessing {
			indexes = append(indexes, list...)
		}
	}
	slices.Sort(indexes)
	return indexes
}

func (j *recallJob) open() bool {
	return slices.ContainsFunc(j.Messages, func(m recallMessage) bool { return len(m.pending()) > 0 })
}

// recordRequest makes the recall durable before anything is done for it. All of its recipients are
// pending in that record, so that a start after a crash carries out the rest.
func (s *Server) recordRequest(ctx context.Context, job *recallJob) error {
	for i := range job.Messages {
		m := &job.Messages[i]
		all := make([]int, 0, 1)
		for _, indexes := range m.Codes {
			all = append(all, indexes...)
		}
		slices.Sort(all)
		m.Codes = map[string][]int{codeRetrying: all}
	}
	return s.record(ctx, job, policy.RecallRequested)
}

func (s *Server) record(ctx context.Context, job *recallJob, kind policy.Kind) error {
	job.ID = job.id.String()
	evidence, err := json.Marshal(&job.recallRecord)
	if err != nil {
		return fmt.Errorf("encode recall: %w", err)
	}
	at := job.requested
	if kind == policy.RecallOutcome {
		at = s.now()
	}
	_, err = s.journal.Commit(ctx, store.Change{Message: recallDay(job.id.Timestamp()), Events: []policy.Event{{
		Kind: kind, Time: at, Actor: job.actor, Reason: job.reason, Evidence: string(evidence),
	}}})
	return err
}

// carryOut acts for every pending recipient and records what it came to. What stays open is looked
// at again by followRecalls.
func (s *Server) carryOut(ctx context.Context, job *recallJob) {
	before, _ := json.Marshal(job.Messages)
	for i := range job.Messages {
		s.takeBack(ctx, job, &job.Messages[i])
	}
	if after, _ := json.Marshal(job.Messages); string(after) != string(before) {
		if err := s.record(ctx, job, policy.RecallOutcome); err != nil {
			s.log.Error("the outcome of a recall could not be recorded", zap.Stringer("recall", job.id), zap.Error(err))
		}
	}
	if job.open() {
		s.recalls.add(job)
	}
}

func (s *Server) takeBack(ctx context.Context, job *recallJob, m *recallMessage) {
	pending := m.pending()
	if len(pending) == 0 {
		return
	}
	outcomes, err := s.holder.Cancel(ctx, m.ID, pending, job.reason, job.actor)
	if err != nil {
		code := codeRetrying
		if errors.Is(err, store.ErrNotFound) {
			code = codeNotFound
		}
		s.log.Warn("a recall could not act", zap.Stringer("recall", job.id), zap.Stringer("id", m.ID), zap.Error(err))
		for _, i := range pending {
			m.set(i, code)
		}
		return
	}
	m.drop(pending) // one that turned out to be a group: its members stand for it
	for _, o := range outcomes {
		m.set(o.Recipient, o.Code)
	}
}

// recallDay is the id under which the journal keeps the recalls of a UTC day.
func recallDay(t time.Time) (id policy.ID) {
	_ = id.SetTime(uint64(t.UTC().Truncate(24 * time.Hour).UnixMilli())) // fails after the year 10889
	_ = id.SetEntropy([]byte(recallEntropy))                             // has the right length
	return id
}

// recallsOf reads the recalls of a day, newest first.
func (s *Server) recallsOf(day policy.ID) ([]*recallJob, error) {
	records, err := s.journal.Timeline(day)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	byID := map[policy.ID]*recallJob{}
	var jobs []*recallJob
	for _, r := range records {
		for i := range r.Events {
			e := &r.Events[i]
			var rec recallRecord
			if err := json.Unmarshal([]byte(e.Evidence), &rec); err != nil {
				return nil, fmt.Errorf("recall of %s: %w", day.Timestamp().UTC().Format(time.DateOnly), err)
			}
			id, err := policy.ParseID(rec.ID)
			if err != nil {
				return nil, fmt.Errorf("recall %q: %w", rec.ID, err)
			}
			if job := byID[id]; job != nil {
				job.recallRecord = rec
				continue
			}
			byID[id] = &recallJob{id: id, requested: e.Time.UTC(), actor: e.Actor, reason: e.Reason, recallRecord: rec}
			jobs = append(jobs, byID[id])
		}
	}
	slices.SortFunc(jobs, func(a, b *recallJob) int { return b.id.Compare(a.id) })
	return jobs, nil
}

// recallsBefore walks the recalls older than the one that a cursor names, newest first.
func (s *Server) recallsBefore(cursor string) iter.Seq2[*recallJob, error] {
	return func(yield func(*recallJob, error) bool) {
		start, last := s.now(), policy.ID{}
		if cursor != "" {
			last, _ = policy.ParseID(cursor) // was checked
			start = last.Timestamp()
		}
		for day := range recallDays {
			jobs, err := s.recallsOf(recallDay(start.AddDate(0, 0, -day)))
			if err != nil {
				yield(nil, err)
				return
			}
			for _, job := range jobs {
				if (last == policy.ID{} || job.id.Compare(last) < 0) && !yield(job, nil) {
					return
				}
			}
		}
	}
}
