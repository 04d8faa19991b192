package web

import (
	"context"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// Bounds of one recall.
const (
	maxRecallMessages   = 300
	maxRecallRecipients = 20000
)

var (
	errNothingNamed   = problem(http.StatusUnprocessableEntity, "invalid_request", "name messages in message_ids, or find them with query")
	errNothingFound   = problem(http.StatusNotFound, "not_found", "the query finds no message")
	errTooMany        = problem(http.StatusUnprocessableEntity, "too_many_messages", "a recall covers at most 300 messages: name fewer, or narrow the query")
	errTooManyPersons = problem(http.StatusUnprocessableEntity, "too_many_recipients", "a recall covers at most 20000 recipients: name fewer messages, or choose recipients")
)

// A RecallRequest names what shall be taken back.
type RecallRequest struct {
	MessageIDs []string `json:"message_ids,omitempty" nullable:"false" maxItems:"300" doc:"sendgate's own ids"`
	Query      string   `json:"query,omitempty" maxLength:"1000" doc:"finds further messages, as q of the list does"`
	Recipients []string `json:"recipients,omitempty" nullable:"false" maxItems:"20000" doc:"addresses; none means all recipients"`
	Reason     string   `json:"reason,omitempty" maxLength:"1000" doc:"kept with the messages; the configuration may require it"`
	UnreadOnly *bool    `json:"unread_only,omitempty" doc:"leave alone what was read; true when absent"`
	GroupMode  string   `json:"group_mode,omitempty" enum:"all_or_nothing,individual" default:"all_or_nothing" doc:"whether the members of a group are taken back together or each alone"`
	DryRun     bool     `json:"dry_run,omitempty" doc:"only say what it would come to"`
}

// A Recall is what a recall has come to so far.
type Recall struct {
	ID              string            `json:"id,omitempty" doc:"absent for a dry run"`
	Status          string            `json:"status" enum:"done,in_progress"`
	Overall         string            `json:"overall" enum:"all_success,partial,all_failed,rejected,in_progress,cancelled"`
	Requested       time.Time         `json:"requested"`
	Actor           string            `json:"actor"`
	Reason          string            `json:"reason,omitempty"`
	SuccessCount    int               `json:"success_count"`
	FailureCount    int               `json:"failure_count"`
	ProcessingCount int               `json:"processing_count"`
	Recipients      []RecallRecipient `json:"recipients,omitempty" nullable:"false" doc:"absent in lists"`
	DryRun          bool              `json:"dry_run"`
}

// A RecallList is one page of recalls, newest first, without their recipients.
type RecallList struct {
	Recalls []Recall `json:"recalls" nullable:"false"`
	Next    string   `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

type recallInput struct{ Body RecallRequest }

type recallOutput struct{ Body *Recall }

// postRecall checks in the order: found, reason, size; then records, acts, and reports.
func (s *Server) postRecall(ctx context.Context, in *recallInput) (*recallOutput, error) {
	req := &in.Body
	job, err := s.plan(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.DryRun {
		return &recallOutput{s.recallView(job, true)}, nil
	}
	if req.Reason == "" && s.settings.Load().reasonRequired {
		return nil, errReason
	}
	if err := s.recordRequest(ctx, job); err != nil {
		return nil, s.fail("record recall", err)
	}
	// The recall is recorded: it is carried out even when the client goes away.
	s.carryOut(context.WithoutCancel(ctx), job)
	view := s.recallView(job, true)
	s.acted(ctx, "recall", job.id, zap.Int("messages", len(job.Messages)), zap.String("overall", view.Overall))
	return &recallOutput{view}, nil
}

// plan finds the messages and recipients and judges them as they are now.
func (s *Server) plan(ctx context.Context, req *RecallRequest) (*recallJob, error) {
	ids, err := s.named(ctx, req)
	if err != nil {
		return nil, err
	}
	job := &recallJob{
		id: s.journal.NewID(), requested: s.now().UTC(), actor: actor(ctx), reason: req.Reason, dryRun: req.DryRun,
		recallRecord: recallRecord{Query: req.Query, GroupMode: req.GroupMode, UnreadOnly: req.UnreadOnly == nil || *req.UnreadOnly},
	}
	wanted := newSelection(req.Recipients)
	total := 0
	for _, id := range ids {
		rows, err := s.journal.Recipients(id)
		if err != nil {
			return nil, s.fail("read recipients", err)
		}
		m := recallMessage{ID: id, Codes: map[string][]int{}}
		for _, i := range rows.Resolve(wanted.of(rows)) {
			m.set(i, judge(&rows[i]))
			total++
		}
		if len(m.Codes) > 0 {
			job.Messages = append(job.Messages, m)
		}
	}
	job.Missing = wanted.missing()
	if total > maxRecallRecipients {
		return nil, errTooManyPersons
	}
	return job, nil
}

// named gives the ids of the messages that a request names and finds.
func (s *Server) named(ctx context.Context, req *RecallRequest) (ids []policy.ID, err error) {
	if len(req.MessageIDs) == 0 && req.Query == "" {
		return nil, errNothingNamed
	}
	seen := map[policy.ID]bool{}
	for _, text := range req.MessageIDs {
		id, err := s.existing(text)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	found, err := s.found(ctx, req.Query)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if id := found[i].ID; !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) == 0:
		return nil, errNothingFound
	case len(ids) > maxRecallMessages:
		return nil, errTooMany
	}
	return ids, nil
}

// found runs the query of a request, one message further than a recall may cover.
func (s *Server) found(ctx context.Context, query string) ([]store.Message, error) {
	if query == "" {
		return nil, nil
	}
	q, err := s.query(query)
	if err != nil {
		return nil, err
	}
	page, err := s.journal.Search(ctx, q, maxRecallMessages+1, "")
	if err != nil {
		return nil, s.fail("search", err)
	}
	return page.Messages, nil
}

type listRecallsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
}

type listRecallsOutput struct{ Body RecallList }

func (s *Server) listRecalls(_ context.Context, in *listRecallsInput) (*listRecallsOutput, error) {
	if err := checkCursor(in.Cursor); err != nil {
		return nil, err
	}
	out := &listRecallsOutput{Body: RecallList{Recalls: []Recall{}}}
	for job, err := range s.recallsBefore(in.Cursor) {
		if err != nil {
			return nil, s.fail("read recalls", err)
		}
		if n := len(out.Body.Recalls); n == in.Limit {
			out.Body.Next = out.Body.Recalls[n-1].ID
			break
		}
		out.Body.Recalls = append(out.Body.Recalls, *s.recallView(job, false))
	}
	return out, nil
}

type recallIDInput struct {
	ID string `path:"id" doc:"id of the recall"`
}

func (s *Server) getRecall(_ context.Context, in *recallIDInput) (*recallOutput, error) {
	id, err := policy.ParseID(in.ID)
	if err != nil {
		return nil, errRecallNotFound
	}
	jobs, err := s.recallsOf(recallDay(id.Timestamp()))
	if err != nil {
		return nil, s.fail("read recalls", err)
	}
	for _, job := range jobs {
		if job.id == id {
			return &recallOutput{s.recallView(job, true)}, nil
		}
	}
	return nil, errRecallNotFound
}

// recallView counts, and names the recipients when asked to.
func (s *Server) recallView(job *recallJob, named bool) *Recall {
	v := &Recall{
		Requested: job.requested, Actor: job.actor, Reason: job.reason, DryRun: job.dryRun,
		FailureCount: len(job.Missing),
	}
	if !job.dryRun {
		v.ID = job.id.String()
	}
	for i := range job.Messages {
		for code, indexes := range job.Messages[i].Codes {
			switch known(code).status {
			case statusSuccess:
				v.SuccessCount += len(indexes)
			case statusFail:
				v.FailureCount += len(indexes)
			default:
				v.ProcessingCount += len(indexes)
			}
		}
	}
	v.Status, v.Overall = overall(v.SuccessCount, v.FailureCount, v.ProcessingCount)
	if named {
		v.Recipients = s.recallRecipients(job)
	}
	return v
}

func overall(success, failed, processing int) (status, result string) {
	switch {
	case processing > 0:
		return "in_progress", "in_progress"
	case failed == 0:
		return "done", "all_success"
	case success == 0:
		return "done", "all_failed"
	}
	return "done", "partial"
}

// recallRecipients lists what a recall came to in the order of its messages and their envelopes.
func (s *Server) recallRecipients(job *recallJob) []RecallRecipient {
	list := []RecallRecipient{}
	for i := range job.Messages {
		m := &job.Messages[i]
		rows, err := s.journal.Recipients(m.ID)
		if err != nil {
			s.log.Warn("a message of a recall cannot be read", zap.Stringer("id", m.ID), zap.Error(err))
		}
		codes := m.byIndex()
		for j := range rows {
			if code, ok := codes[j]; ok {
				list = append(list, recallRecipient(m.ID.String(), &rows[j], code))
			}
		}
	}
	for _, a := range job.Missing {
		t := known(codeInvalidAddress)
		list = append(list, RecallRecipient{Address: a, Status: t.status, Code: codeInvalidAddress, Text: t.text})
	}
	return list
}
