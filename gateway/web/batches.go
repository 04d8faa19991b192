package web

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// maxBatchLook bounds how many messages that wait are looked at for batches.
const maxBatchLook = 10_000

// A Batch is mail of one sender that was pulled back together when the sender was suspended, or all mail that was
// waiting in a backup which was restored.
type Batch struct {
	ID       string       `json:"id"`
	Identity string       `json:"identity" doc:"whose mail it is; empty of mail that was restored from a backup"`
	Messages int          `json:"messages" doc:"that still wait"`
	Text     policy.Label `json:"text" doc:"why it waits"`
	Since    time.Time    `json:"since"`
	Expires  time.Time    `json:"expires,omitzero" doc:"of the first message to expire"`
	OnExpiry string       `json:"on_expiry" enum:"return,release" doc:"what becomes of it then: back to its sender, or out"`
}

// A BatchList lists batches, the latest first.
type BatchList struct {
	Batches []Batch `json:"batches" nullable:"false"`
	More    bool    `json:"more" doc:"more than 10000 messages wait for approval: only the newest of them were looked at"`
}

type listBatchesOutput struct{ Body BatchList }

// listBatches goes through what waits.
func (s *Server) listBatches(ctx context.Context, _ *struct{}) (*listBatchesOutput, error) {
	out := &listBatchesOutput{BatchList{Batches: []Batch{}}}
	places := map[string]int{}
	cursor, looked := "", 0
	for {
		list, next, err := s.approvals(ctx, store.MaxPage, cursor)
		if err != nil {
			return nil, err
		}
		for i := range list {
			out.Body.add(places, &list[i])
		}
		looked += len(list)
		if cursor = next; cursor == "" || looked >= maxBatchLook {
			out.Body.More = cursor != ""
			return out, nil
		}
	}
}

// add counts a message for its batch.
func (l *BatchList) add(places map[string]int, a *ApprovalRequest) {
	if a.Batch == "" {
		return
	}
	whose := a.Identity
	if a.Rule == store.RestoredRule {
		whose = ""
	}
	i, ok := places[a.Batch]
	if !ok {
		i = len(l.Batches)
		places[a.Batch] = i
		l.Batches = append(l.Batches, Batch{
			ID: a.Batch, Identity: whose, Text: a.Text, Since: a.Since, Expires: a.Expires, OnExpiry: a.OnExpiry,
		})
	}
	b := &l.Batches[i]
	b.Messages++
	if !a.Expires.IsZero() && (b.Expires.IsZero() || a.Expires.Before(b.Expires)) {
		b.Expires = a.Expires
	}
}
