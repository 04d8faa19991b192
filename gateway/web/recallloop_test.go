package web

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// recordingJournal takes commits and can do nothing else.
type recordingJournal struct {
	Journal
	kinds []policy.Kind
}

func (j *recordingJournal) Commit(_ context.Context, c store.Change) (uint64, error) {
	j.kinds = append(j.kinds, c.Events[0].Kind)
	return 0, nil
}

// landingHolder has a message in flight until a moment.
type landingHolder struct {
	Holder
	lands time.Time
	asked int
}

func (h *landingHolder) Cancel(_ context.Context, _ policy.ID, recipients []int, _, _ string) ([]Outcome, error) {
	h.asked++
	if time.Now().Before(h.lands) {
		return []Outcome{{recipients[0], codeInFlight}}, nil
	}
	return []Outcome{{recipients[0], codeExternal}}, nil
}

func TestOpenRecallsAreFollowedToTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := &recordingJournal{}
		holder := &landingHolder{lands: time.Now().Add(12 * time.Second)}
		s := New(DefaultConfig(), Needs{Journal: journal, Holder: holder, Now: time.Now, Log: zap.NewNop()})
		s.recalls.add(&recallJob{recallRecord: recallRecord{
			Messages: []recallMessage{{Codes: map[string][]int{codeInFlight: {0}}}},
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.followRecalls(ctx)
		if holder.asked != 3 { // after 5, 10 and 15 seconds
			t.Errorf("asked %d times, want 3", holder.asked)
		}
		if !slices.Equal(journal.kinds, []policy.Kind{policy.RecallOutcome}) {
			t.Errorf("recorded %v, want one outcome", journal.kinds)
		}
	})
}
