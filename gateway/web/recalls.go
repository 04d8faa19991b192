package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// maxRecallMessages bounds what one request names and finds; the rules of recalls may allow less.
const maxRecallMessages = 20000

var (
	errNothingNamed = problem(http.StatusUnprocessableEntity, "invalid_request", "name messages in message_ids or message_id_header, or find them with query")
	errNothingFound = problem(http.StatusNotFound, "not_found", "the query finds no message")
	errNoSuchHeader = problem(http.StatusNotFound, "not_found", "no message has this Message-ID")
	errTooMany      = problem(http.StatusUnprocessableEntity, "too_many_messages", "a recall covers at most 20000 messages: name fewer, or narrow the query")
	errAmbiguousID  = problem(http.StatusConflict, "ambiguous_match", "messages of several senders have this Message-ID: name them by sendgate's own ids")
	errHeaderID     = problem(http.StatusUnprocessableEntity, "invalid_request", "message_id_header is what stands in the field Message-ID, such as <x@corp.example>")
)

// Recalls takes messages back, wherever they are within reach. A recall is durable when Start returns. What
// the rules of recalls do not allow is a *[policy.RecallRefusal]; a recall that there is not is
// [store.ErrNotFound].
type Recalls interface {
	// Plan says what a recall would come to now, and touches nothing.
	Plan(ctx context.Context, r policy.RecallRequest) (*policy.RecallReport, error)
	// Start begins a recall, and waits a moment for its first results.
	Start(ctx context.Context, r policy.RecallRequest) (*policy.RecallReport, error)
	Report(ctx context.Context, id policy.ID) (*policy.RecallReport, error)
	// List gives n recalls older than one of them (zero: the newest), newest first, without their lines.
	List(ctx context.Context, before policy.ID, n int) ([]*policy.RecallReport, error)
	// Cancel ends a recall; what it has taken stays taken.
	Cancel(ctx context.Context, id policy.ID, actor string) (*policy.RecallReport, error)
	// Approve is said by a second person.
	Approve(ctx context.Context, id policy.ID, who policy.RecallRequester) (*policy.RecallReport, error)
	// Restore puts back what was taken out of mailboxes, of all recipients when none is named.
	Restore(ctx context.Context, id policy.ID, recipients []string, actor string) (*policy.RecallReport, error)
	// Watch tells when a recall has changed. Stop it.
	Watch(id policy.ID) (changed <-chan struct{}, stop func())
	Stats(ctx context.Context, from, to time.Time) (*policy.RecallStats, error)
}

// A RecallRequest names what shall be taken back.
type RecallRequest struct {
	MessageIDs      []string `json:"message_ids,omitempty" nullable:"false" maxItems:"20000" doc:"sendgate's own ids"`
	Query           string   `json:"query,omitempty" maxLength:"1000" doc:"finds further messages, as q of the list does; campaign: finds those of a mailing. All in all a recall covers at most 20000 messages: a query that finds more is refused, and takes back nothing"`
	MessageIDHeader string   `json:"message_id_header,omitempty" maxLength:"1000" doc:"finds the messages with this Message-ID; those of several senders are refused" example:"<x@corp.example>"`
	Recipients      []string `json:"recipients,omitempty" nullable:"false" maxItems:"20000" doc:"addresses; none means all recipients"`
	Reason          string   `json:"reason,omitempty" maxLength:"1000" doc:"kept with the messages; the configuration may require it"`
	UnreadOnly      *bool    `json:"unread_only,omitempty" doc:"leave alone what was read; true when absent, and false only for roles that the configuration names"`
	GroupMode       string   `json:"group_mode,omitempty" enum:"all_or_nothing,best_effort" doc:"whether the members of a group are taken back together or each alone; absent: as configured"`
	Notify          string   `json:"notify,omitempty" enum:"none,read,all" doc:"which recipients are told: none, those who had read it, or all; absent: as configured"`
	Correction      string   `json:"correction,omitempty" maxLength:"64" doc:"id of the message that replaces it: who had read one, or has it out of reach, is told of it"`
	DryRun          bool     `json:"dry_run,omitempty" doc:"only say what it would come to"`
}

type recallInput struct{ Body RecallRequest }

type recallOutput struct{ Body *Recall }

// postRecall begins a recall, or with dry_run only plans it.
func (s *Server) postRecall(ctx context.Context, in *recallInput) (*recallOutput, error) {
	req, err := s.recallRequest(ctx, &in.Body)
	if err != nil {
		return nil, err
	}
	if in.Body.DryRun {
		report, err := s.recalls.Plan(ctx, req)
		return s.begun(ctx, &req, report, err)
	}
	report, err := s.recalls.Start(ctx, req)
	if err != nil {
		return s.begun(ctx, &req, nil, err)
	}
	s.acted(ctx, "recall", report.ID, zap.Int("messages", len(req.Messages)), zap.String("reason", req.Reason))
	return s.begun(ctx, &req, report, nil)
}

// begun answers a request. What the rules do not allow is an answer and no problem, as clients ask for it
// like that (the mail API of Feishu does the same); only what concerns the asker or the address is one.
func (s *Server) begun(ctx context.Context, req *policy.RecallRequest, report *policy.RecallReport, err error) (*recallOutput, error) {
	var refusal *policy.RecallRefusal
	switch {
	case err == nil:
		return s.recallAnswer(ctx, report), nil
	case !errors.As(err, &refusal), !eligibility(refusal.Code):
		return nil, s.recallProblem("recall", err)
	}
	s.log.Info("recall refused", zap.String("actor", req.Requester.Actor), zap.String("code", refusal.Code), zap.Int("messages", len(req.Messages)))
	v := &Recall{Requested: s.now().UTC()}
	if refusal.Existing != (policy.ID{}) {
		if existing, err := s.recalls.Report(ctx, refusal.Existing); err == nil && s.seesRecall(ctx, existing) {
			v = s.recallSeen(ctx, existing)
		}
	} else {
		v = s.recallSeen(ctx, &policy.RecallReport{Request: *req, Requested: s.now(), Overall: policy.RecallRejected})
	}
	v.Status, v.Restriction = recallUnavailable, restriction(refusal)
	return &recallOutput{v}, nil
}

// eligibility reports whether a refusal is about what the rules allow, and so an answer.
func eligibility(code string) bool {
	switch code {
	case policy.RefusedDisabled, policy.RefusedChannel, policy.RefusedWindow, policy.RefusedRecalled, policy.RefusedInProgress,
		policy.RefusedReason, policy.RefusedRate:
		return true
	}
	return false
}

// recallRequest finds the messages that a request names.
func (s *Server) recallRequest(ctx context.Context, b *RecallRequest) (policy.RecallRequest, error) {
	req := policy.RecallRequest{
		Query: b.Query, Recipients: b.Recipients, Reason: strings.TrimSpace(b.Reason), UnreadOnly: b.UnreadOnly == nil || *b.UnreadOnly,
		GroupMode: policy.RecallGroupMode(b.GroupMode), Notify: policy.RecallNotice(b.Notify), Requester: requester(ctx),
	}
	var err error
	if b.Correction != "" {
		if req.Correction, err = s.existing(ctx, b.Correction); err != nil {
			return req, err
		}
	}
	if req.Messages, err = s.named(ctx, b); err != nil {
		return req, err
	}
	return req, nil
}

// requester is who asks over the API.
func requester(ctx context.Context) policy.RecallRequester {
	who, _ := ctx.Value(principalKey).(principal)
	return policy.RecallRequester{Actor: who.actor, Role: who.role, Identity: who.identity, Domains: who.domains}
}

// named gives the ids of the messages that a request names and finds, each once.
func (s *Server) named(ctx context.Context, req *RecallRequest) (ids []policy.ID, err error) {
	if len(req.MessageIDs) == 0 && req.Query == "" && req.MessageIDHeader == "" {
		return nil, errNothingNamed
	}
	seen := map[policy.ID]bool{}
	add := func(id policy.ID) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, text := range req.MessageIDs {
		id, err := s.existing(ctx, text)
		if err != nil {
			return nil, err
		}
		add(id)
	}
	withHeader, err := s.withMessageID(ctx, req.MessageIDHeader)
	if err != nil {
		return nil, err
	}
	found, err := s.found(ctx, req.Query)
	if err != nil {
		return nil, err
	}
	for _, m := range append(withHeader, found...) {
		add(m.ID)
	}
	switch {
	case len(ids) == 0:
		return nil, errNothingFound
	case len(ids) > maxRecallMessages:
		return nil, errTooMany
	}
	return ids, nil
}

// withMessageID finds what has a Message-ID. A client chooses it, so two senders may have chosen the same;
// one sender's mail comes in several pieces when the client or an MTA splits it by recipient.
func (s *Server) withMessageID(ctx context.Context, field string) ([]store.Message, error) {
	if field == "" {
		return nil, nil
	}
	field = strings.TrimSpace(field)
	if !strings.Contains(field, "@") || strings.ContainsAny(field, "\" \t\r\n") {
		return nil, errHeaderID
	}
	found, err := s.found(ctx, "id:"+field)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errNoSuchHeader
	}
	for i := range found {
		if found[i].Envelope.Sender.Key() != found[0].Envelope.Sender.Key() {
			return nil, errAmbiguousID
		}
	}
	return found, nil
}

// found runs a query, at most a page further than a recall may cover.
func (s *Server) found(ctx context.Context, query string) (all []store.Message, err error) {
	if query == "" {
		return nil, nil
	}
	q, err := s.query(query)
	if err != nil {
		return nil, err
	}
	for cursor := ""; len(all) <= maxRecallMessages; {
		page, err := s.search(ctx, q, store.MaxPage, cursor)
		if err != nil {
			return nil, s.fail("search", err)
		}
		all = append(all, page.Messages...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return all, nil
}

// recallProblem turns an error of the recalls into a problem.
func (s *Server) recallProblem(what string, err error) error {
	var r *policy.RecallRefusal
	switch {
	case errors.As(err, &r):
		p := problem(refusalStatus(r.Code), r.Code, r.Text.EN)
		p.chinese = r.Text.ZH
		return p
	case errors.Is(err, store.ErrNotFound):
		return errRecallNotFound
	}
	return s.fail(what, err)
}

func refusalStatus(code string) int {
	switch code {
	case policy.RefusedNotFound:
		return http.StatusNotFound
	case policy.RefusedNotSender, policy.RefusedOwn:
		return http.StatusForbidden
	case policy.RefusedTooMany, policy.RefusedReason:
		return http.StatusUnprocessableEntity
	case policy.RefusedRate:
		return http.StatusTooManyRequests
	}
	return http.StatusConflict
}
