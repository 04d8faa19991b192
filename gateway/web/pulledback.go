package web

import (
	"context"
	"net/http"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// What a suspended sender had held or queued is pulled back into one batch: the last request for approval of
// each of its messages names it.

var errNoBatch = problem(http.StatusNotFound, "not_found", "nothing of that batch waits for approval")

// actAtOnce is how many messages of a batch are acted on at a time: the journal batches what is written.
const actAtOnce = 32

// listBatch goes through what waits until some of it is of the batch, or without one of none.
func (s *Server) listBatch(ctx context.Context, in *listApprovalsInput) (*listApprovalsOutput, error) {
	out := &listApprovalsOutput{ApprovalList{Approvals: []ApprovalRequest{}, Next: in.Cursor}}
	for {
		list, next, err := s.approvals(ctx, in.Limit, out.Body.Next)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if list[i].Batch == in.Batch {
				out.Body.Approvals = append(out.Body.Approvals, list[i])
			}
		}
		if out.Body.Next = next; next == "" || len(out.Body.Approvals) > 0 {
			return out, nil
		}
	}
}

// pulledBack gives the ids of all that waits of a batch.
func (s *Server) pulledBack(ctx context.Context, batch string) (ids []string, err error) {
	in := &listApprovalsInput{Limit: store.MaxPage, Batch: batch}
	for {
		page, err := s.listBatch(ctx, in)
		if err != nil {
			return nil, err
		}
		for i := range page.Body.Approvals {
			ids = append(ids, page.Body.Approvals[i].ID)
		}
		if in.Cursor = page.Body.Next; in.Cursor == "" {
			break
		}
	}
	if len(ids) == 0 {
		return nil, errNoBatch
	}
	return ids, nil
}

type approvePulledBackInput struct {
	Batch string `path:"batch" maxLength:"64" doc:"id of the batch"`
}

type cancelPulledBackInput struct {
	Batch string `path:"batch" maxLength:"64" doc:"id of the batch"`
	Body  BatchCancel
}

func (s *Server) approvePulledBack(ctx context.Context, in *approvePulledBackInput) (*batchOutput, error) {
	ids, err := s.pulledBack(ctx, in.Batch)
	if err != nil {
		return nil, err
	}
	out := s.batch(ctx, ids, actAtOnce, func(id policy.ID) error { return s.approve(together(ctx), id) })
	s.auditBatch(ctx, "approve_batch", "", out)
	return out, nil
}

func (s *Server) cancelPulledBack(ctx context.Context, in *cancelPulledBackInput) (*batchOutput, error) {
	if err := s.mayStop(ctx, &in.Body); err != nil {
		return nil, err
	}
	ids, err := s.pulledBack(ctx, in.Batch)
	if err != nil {
		return nil, err
	}
	return s.stopAll(ctx, ids, actAtOnce, &in.Body), nil
}
