package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

var errNoApproval = problem(http.StatusConflict, "no_approval", "the message does not wait for approval")

// What becomes of a message that nobody approves.
const (
	expiryReturn  = "return"
	expiryRelease = "release"
)

// An ApprovalRequest is a message that waits for a person.
type ApprovalRequest struct {
	Message
	Rule     string       `json:"rule,omitempty" doc:"the rule that asks for it"`
	Reason   string       `json:"reason,omitempty"`
	Text     policy.Label `json:"text" doc:"why it waits, with the numbers"`
	Campaign string       `json:"campaign,omitempty" doc:"id of the campaign because of which it waits"`
	Since    time.Time    `json:"since"`
	Expires  time.Time    `json:"expires,omitzero"`
	OnExpiry string       `json:"on_expiry" enum:"return,release" doc:"what becomes of it then: back to its sender, or out"`
}

// An ApprovalList is one page of messages that wait for a person, newest first.
type ApprovalList struct {
	Approvals []ApprovalRequest `json:"approvals" nullable:"false"`
	Next      string            `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

type listApprovalsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
}

type listApprovalsOutput struct{ Body ApprovalList }

func (s *Server) listApprovals(ctx context.Context, in *listApprovalsInput) (*listApprovalsOutput, error) {
	if err := checkCursor(in.Cursor); err != nil {
		return nil, err
	}
	q, err := s.query("state:" + string(policy.StateApprovalPending))
	if err != nil {
		return nil, err
	}
	page, err := s.journal.Search(ctx, q, in.Limit, in.Cursor)
	if err != nil {
		return nil, s.fail("search", err)
	}
	out := &listApprovalsOutput{ApprovalList{Approvals: make([]ApprovalRequest, len(page.Messages)), Next: page.Next}}
	for i := range page.Messages {
		if out.Body.Approvals[i], err = s.approvalView(&page.Messages[i]); err != nil {
			return nil, s.fail("read timeline", err)
		}
	}
	return out, nil
}

// approvalView reads from the timeline why a message waits: the last request counts.
func (s *Server) approvalView(m *store.Message) (ApprovalRequest, error) {
	v := ApprovalRequest{Message: s.summary(m), OnExpiry: expiryReturn}
	records, err := s.journal.Timeline(m.ID)
	if err != nil {
		return v, err
	}
	var findings verdicts
	for _, r := range records {
		for i := range r.Events {
			e := &r.Events[i]
			findings.add(e)
			if e.Kind != policy.ApprovalRequested {
				continue
			}
			v.Rule, v.Reason, v.Since, v.Expires = e.Rule, e.Reason, e.Time.UTC(), e.Until.UTC()
			v.Text, v.OnExpiry = policy.Label{EN: e.Reason, ZH: e.Reason}, onExpiry(e)
			if f := findings.of(e); f != nil {
				v.Text, v.Campaign = f.Text(), campaignOf(f)
			}
		}
	}
	return v, nil
}

// onExpiry reads what was settled when approval was asked for.
func onExpiry(e *policy.Event) string {
	for i := range e.Findings {
		if f := &e.Findings[i]; f.Kind == "approval" && f.Action == policy.Pass {
			return expiryRelease
		}
	}
	return expiryReturn
}

func (s *Server) approveMessage(ctx context.Context, in *messageInput) (*messageOutput, error) {
	id, err := s.existing(in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.approve(ctx, id); err != nil {
		return nil, err
	}
	return s.answer(id)
}

func (s *Server) approve(ctx context.Context, id policy.ID) error {
	if err := s.holder.Approve(ctx, id, actor(ctx)); err != nil {
		return s.refused("approve", err)
	}
	s.acted(ctx, "approve", id)
	return nil
}

// An ApproveBatch names messages to let go.
type ApproveBatch struct {
	MessageIDs []string `json:"message_ids" nullable:"false" minItems:"1" maxItems:"300" doc:"sendgate's own ids"`
}

// A CancelBatch names messages to take back.
type CancelBatch struct {
	MessageIDs []string `json:"message_ids" nullable:"false" minItems:"1" maxItems:"300" doc:"sendgate's own ids"`
	Reason     string   `json:"reason,omitempty" maxLength:"1000" doc:"kept with the messages; the configuration may require it"`
}

// A BatchResult says of each message of a batch what came of it.
type BatchResult struct {
	Done    int         `json:"done" doc:"messages for which it worked"`
	Failed  int         `json:"failed"`
	Results []ActResult `json:"results" nullable:"false" doc:"in the order of the request"`
}

// An ActResult is what came of one message of a batch.
type ActResult struct {
	ID     string `json:"id"`
	Done   bool   `json:"done"`
	Code   string `json:"code,omitempty" doc:"why not, for programs, as in a problem" example:"no_approval"`
	Detail string `json:"detail,omitempty" doc:"why not, for people"`
}

type approveBatchInput struct{ Body ApproveBatch }

type cancelBatchInput struct{ Body CancelBatch }

type batchOutput struct{ Body BatchResult }

func (s *Server) approveBatch(ctx context.Context, in *approveBatchInput) (*batchOutput, error) {
	return s.batch(in.Body.MessageIDs, func(id policy.ID) error { return s.approve(ctx, id) }), nil
}

func (s *Server) cancelBatch(ctx context.Context, in *cancelBatchInput) (*batchOutput, error) {
	if in.Body.Reason == "" && s.settings.Load().reasonRequired {
		return nil, errReason
	}
	return s.batch(in.Body.MessageIDs, func(id policy.ID) error { return s.cancel(ctx, id, nil, in.Body.Reason) }), nil
}

// batch acts on each message that waits for approval. What fails for one does not stop the others.
func (s *Server) batch(ids []string, act func(policy.ID) error) *batchOutput {
	out := &batchOutput{BatchResult{Results: make([]ActResult, len(ids))}}
	for i, text := range ids {
		r := &out.Body.Results[i]
		r.ID = text
		var p *Problem
		switch err := s.onWaiting(text, act); {
		case err == nil:
			r.Done = true
			out.Body.Done++
			continue
		case !errors.As(err, &p):
			p = errInternal
		}
		r.Code, r.Detail = p.Code, p.Detail
		out.Body.Failed++
	}
	return out
}

func (s *Server) onWaiting(text string, act func(policy.ID) error) error {
	id, err := policy.ParseID(text)
	if err != nil {
		return errMessageID
	}
	m, err := s.journal.Message(id)
	if err != nil {
		return s.fail("read message", err)
	}
	if m.States[policy.StateApprovalPending] == 0 {
		return errNoApproval
	}
	return act(id)
}
