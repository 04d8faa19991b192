package web

import (
	"context"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

type recallIDInput struct {
	ID string `path:"id" doc:"id of the recall"`
}

// A RestoreRequest says whose copies are put back.
type RestoreRequest struct {
	Recipients []string `json:"recipients,omitempty" nullable:"false" maxItems:"20000" doc:"addresses; none means all from whose mailboxes something was taken"`
}

type restoreInput struct {
	ID   string `path:"id" doc:"id of the recall"`
	Body *RestoreRequest
}

func (s *Server) getRecall(ctx context.Context, in *recallIDInput) (*recallOutput, error) {
	id, err := recallID(in.ID)
	if err != nil {
		return nil, err
	}
	r, err := s.recalls.Report(ctx, id)
	if err != nil {
		return nil, s.recallProblem("read recall", err)
	}
	return s.recallAnswer(ctx, r), nil
}

func (s *Server) cancelRecall(ctx context.Context, in *recallIDInput) (*recallOutput, error) {
	return s.actOnRecall(ctx, in.ID, "recall_cancel", func(id policy.ID) (*policy.RecallReport, error) {
		return s.recalls.Cancel(ctx, id, actor(ctx))
	})
}

// approveRecall lets a large recall begin; the rules say that it takes another person than who asked.
func (s *Server) approveRecall(ctx context.Context, in *recallIDInput) (*recallOutput, error) {
	return s.actOnRecall(ctx, in.ID, "recall_approve", func(id policy.ID) (*policy.RecallReport, error) {
		return s.recalls.Approve(ctx, id, requester(ctx))
	})
}

func (s *Server) restoreRecall(ctx context.Context, in *restoreInput) (*recallOutput, error) {
	var recipients []string
	if in.Body != nil {
		recipients = in.Body.Recipients
	}
	return s.actOnRecall(ctx, in.ID, "recall_restore", func(id policy.ID) (*policy.RecallReport, error) {
		return s.recalls.Restore(ctx, id, recipients, actor(ctx))
	})
}

func (s *Server) actOnRecall(ctx context.Context, text, verb string, act func(policy.ID) (*policy.RecallReport, error)) (*recallOutput, error) {
	id, err := recallID(text)
	if err != nil {
		return nil, err
	}
	r, err := act(id)
	if err != nil {
		return nil, s.recallProblem(verb, err)
	}
	s.acted(ctx, verb, id, zap.String("overall", r.Overall))
	return s.recallAnswer(ctx, r), nil
}

func recallID(text string) (policy.ID, error) {
	id, err := policy.ParseID(text)
	if err != nil {
		return id, errRecallNotFound
	}
	return id, nil
}

// A RecallList is one page of recalls, newest first, without their recipients.
type RecallList struct {
	Recalls []Recall `json:"recalls" nullable:"false"`
	Next    string   `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

type listRecallsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
}

type listRecallsOutput struct{ Body RecallList }

func (s *Server) listRecalls(ctx context.Context, in *listRecallsInput) (*listRecallsOutput, error) {
	if err := checkCursor(in.Cursor); err != nil {
		return nil, err
	}
	var before policy.ID
	if in.Cursor != "" {
		before, _ = policy.ParseID(in.Cursor) // was checked
	}
	reports, err := s.recallsSeen(ctx, before, in.Limit+1)
	if err != nil {
		return nil, s.recallProblem("read recalls", err)
	}
	out := &listRecallsOutput{RecallList{Recalls: []Recall{}}}
	for i, r := range reports {
		if i == in.Limit {
			out.Body.Next = reports[i-1].ID.String()
			break
		}
		out.Body.Recalls = append(out.Body.Recalls, *recallSummary(r))
	}
	return out, nil
}
