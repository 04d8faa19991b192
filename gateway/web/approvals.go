package web

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"golang.org/x/sync/errgroup"
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
	Batch    string       `json:"batch,omitempty" doc:"id of the batch that it was pulled back with, when its sender was suspended"`
}

// An ApprovalList is one page of messages that wait for a person, newest first.
type ApprovalList struct {
	Approvals []ApprovalRequest `json:"approvals" nullable:"false"`
	Next      string            `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

type listApprovalsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Batch  string `query:"batch" maxLength:"64" doc:"only what was pulled back together; pages may then be shorter than limit"`
	Single bool   `query:"single" doc:"only what is of no batch; pages may then be shorter than limit"`
}

type listApprovalsOutput struct{ Body ApprovalList }

func (s *Server) listApprovals(ctx context.Context, in *listApprovalsInput) (*listApprovalsOutput, error) {
	if err := checkCursor(in.Cursor); err != nil {
		return nil, err
	}
	if in.Batch != "" || in.Single {
		return s.listBatch(ctx, in)
	}
	list, next, err := s.approvals(ctx, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return &listApprovalsOutput{ApprovalList{Approvals: list, Next: next}}, nil
}

// approvals gives a page of what waits for approval.
func (s *Server) approvals(ctx context.Context, limit int, cursor string) (list []ApprovalRequest, next string, err error) {
	q, err := s.query("state:" + string(policy.StateApprovalPending))
	if err != nil {
		return nil, "", err
	}
	page, err := s.search(ctx, q, limit, cursor)
	if err != nil {
		return nil, "", s.fail("search", err)
	}
	list = make([]ApprovalRequest, len(page.Messages))
	for i := range page.Messages {
		if list[i], err = s.approvalView(&page.Messages[i]); err != nil {
			return nil, "", s.fail("read timeline", err)
		}
	}
	return list, page.Next, nil
}

// approvalView says why a message waits.
func (s *Server) approvalView(m *store.Message) (ApprovalRequest, error) {
	if v, known := s.waits.get(m); known {
		v.Message = s.summary(m)
		return v, nil
	}
	v, err := s.readApproval(m)
	if err == nil {
		s.waits.put(m, v)
	}
	v.Message = s.summary(m)
	return v, err
}

// readApproval reads from the timeline why a message waits: the last request counts.
func (s *Server) readApproval(m *store.Message) (ApprovalRequest, error) {
	v := ApprovalRequest{OnExpiry: expiryReturn}
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
			v.Text, v.OnExpiry, v.Batch = policy.Label{EN: e.Reason, ZH: e.Reason}, onExpiry(e), e.Subject
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
	id, err := s.existing(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.approve(ctx, id); err != nil {
		return nil, err
	}
	return s.answer(ctx, id)
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
	BatchCancel
}

// A BatchCancel says why messages are taken back, and whether their senders are told.
type BatchCancel struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"kept with the messages, with bounce the senders read it; the configuration may require it"`
	Bounce bool   `json:"bounce,omitempty" doc:"tell each sender by a delivery status notification (RFC 3464) that an administrator stopped the message, and why; needs a reason. The null sender, a forged one and one who was told of 100 messages in the last hour are told nothing"`
}

// A BatchResult says of each message of a batch what came of it.
type BatchResult struct {
	Done    int         `json:"done" doc:"messages for which it worked"`
	Failed  int         `json:"failed"`
	Told    int         `json:"told,omitempty" doc:"of a cancel with bounce: messages whose sender is told, or is told when the mail server has deleted the message"`
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
	out := s.batch(ctx, in.Body.MessageIDs, 1, func(id policy.ID) error { return s.approve(together(ctx), id) })
	s.auditBatch(ctx, "approve_batch", "", out)
	return out, nil
}

func (s *Server) cancelBatch(ctx context.Context, in *cancelBatchInput) (*batchOutput, error) {
	if err := s.mayStop(ctx, &in.Body.BatchCancel); err != nil {
		return nil, err
	}
	return s.stopAll(ctx, in.Body.MessageIDs, 1, &in.Body.BatchCancel), nil
}

// mayStop refuses what takes a reason without one, and a bounce to oneself.
func (s *Server) mayStop(ctx context.Context, c *BatchCancel) error {
	one := CancelRequest{Reason: c.Reason, Bounce: c.Bounce}
	if err := one.mayBounce(role(ctx)); err != nil {
		return err
	}
	if c.Reason == "" && s.settings.Load().reasonRequired {
		return errReason
	}
	return nil
}

// stopAll takes messages back that wait for approval, so many at a time.
func (s *Server) stopAll(ctx context.Context, ids []string, atOnce int, c *BatchCancel) *batchOutput {
	var told atomic.Int64
	out := s.batch(ctx, ids, atOnce, func(id policy.ID) error {
		b, err := s.cancel(together(ctx), id, nil, &CancelRequest{Reason: c.Reason, Bounce: c.Bounce})
		if b == BounceSent || b == BouncePending {
			told.Add(1)
		}
		return err
	})
	out.Body.Told = int(told.Load())
	s.auditBatch(ctx, "cancel_batch", c.Reason, out)
	return out
}

// batch acts on each message that waits for approval, on so many at a time. What fails for one does not stop the
// others.
func (s *Server) batch(ctx context.Context, ids []string, atOnce int, act func(policy.ID) error) *batchOutput {
	out := &batchOutput{BatchResult{Results: make([]ActResult, len(ids))}}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, text := range ids {
		group.Go(func() error {
			out.Body.Results[i] = s.actOn(ctx, text, act)
			return nil
		})
	}
	_ = group.Wait() // none fails
	for i := range out.Body.Results {
		if out.Body.Results[i].Done {
			out.Body.Done++
		} else {
			out.Body.Failed++
		}
	}
	return out
}

func (s *Server) actOn(ctx context.Context, text string, act func(policy.ID) error) ActResult {
	var p *Problem
	switch err := s.onWaiting(ctx, text, act); {
	case err == nil:
		return ActResult{ID: text, Done: true}
	case !errors.As(err, &p):
		p = errInternal
	}
	return ActResult{ID: text, Code: p.Code, Detail: p.Detail}
}

func (s *Server) onWaiting(ctx context.Context, text string, act func(policy.ID) error) error {
	id, err := policy.ParseID(text)
	if err != nil {
		return errMessageID
	}
	m, err := s.message(ctx, id)
	if err != nil {
		return err
	}
	if m.States[policy.StateApprovalPending] == 0 {
		return errNoApproval
	}
	return act(id)
}
