package web

import (
	"context"
	"errors"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// eraseFor bounds how long one request erases; the next goes on where it ended.
const eraseFor = 40 * time.Second

// ErasedMessages counts the messages of a person by what was done with them.
type ErasedMessages struct {
	Erased    int  `json:"erased" doc:"out of which the person was taken: of what they sent the subject, all addresses of theirs and the text; of what they received their address, the text, and the subject when nobody else received it"`
	OnTheWay  int  `json:"on_the_way" doc:"left as they are, because they are still in our hands or under way: erase again when they have arrived"`
	LegalHold int  `json:"legal_hold" doc:"left as they are, because the sender or a recipient is under legal hold"`
	Recalled  int  `json:"recalled" doc:"left as they are, because a recall of them is going on or can be put back for 31 days"`
	TooLarge  int  `json:"too_large" doc:"left as they are, because they have too many recipients to be rewritten: retention deletes them"`
	More      bool `json:"more" doc:"there are more messages than one request could do: send it again"`
}

// errHeldByLaw and errRecalling are why a message is left as it is; errCounted is that of a dry run.
var (
	errHeldByLaw = errors.New("a party of it is under legal hold")
	errRecalling = errors.New("it is being recalled")
	errCounted   = errors.New("it would be erased")
)

// heldByLaw reports whether nothing of an address may be destroyed.
func (s *Server) heldByLaw(a policy.Address) bool { return s.legalHold != nil && s.legalHold(a) }

// eraseMessages takes a person out of messages, or counts them.
func (s *Server) eraseMessages(ctx context.Context, e *eraser, req *EraseRequest) (v ErasedMessages, err error) {
	var ids []policy.ID // all of them first: erased ones are not found any more
	err = s.eachMessageOf(ctx, e.person, func(m *store.Message, _ bool) error { ids = append(ids, m.ID); return nil })
	if err != nil {
		return v, err
	}
	began := time.Now()
	for _, id := range ids {
		if time.Since(began) > eraseFor || ctx.Err() != nil {
			v.More = true
			break
		}
		if err := v.add(s.eraseMessage(ctx, e, id, req)); err != nil {
			return v, err
		}
	}
	return v, nil
}

// add counts a message by what an attempt to erase it came to, and gives back what is no such outcome.
func (m *ErasedMessages) add(err error) error {
	switch {
	case err == nil, errors.Is(err, errCounted):
		m.Erased++
	case errors.Is(err, store.ErrUnfinished):
		m.OnTheWay++
	case errors.Is(err, errHeldByLaw):
		m.LegalHold++
	case errors.Is(err, errRestorable), errors.Is(err, errRecalling):
		m.Recalled++
	case errors.Is(err, store.ErrTooLarge):
		m.TooLarge++
	case !errors.Is(err, store.ErrNotFound): // pruned meanwhile
		return err
	}
	return nil
}

// eraseMessage rewrites one message and notes that in its timeline.
func (s *Server) eraseMessage(ctx context.Context, e *eraser, id policy.ID, req *EraseRequest) error {
	subject := ""
	e.looked[id] = true
	err := s.journal.Redact(id, func(m *store.Stored) error {
		if err := s.mayErase(m); err != nil {
			return err
		}
		was := m.Message.Envelope.Subject
		if err := e.erase(m); err != nil {
			return err
		}
		if m.Message.Envelope.Subject == "" {
			subject = was
		}
		if req.DryRun {
			return errCounted
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.subjects = append(e.subjects, subject)
	return s.noteErasure(ctx, e, id, req.Reason)
}

// noteErasure says in a timeline that it was rewritten.
func (s *Server) noteErasure(ctx context.Context, e *eraser, id policy.ID, reason string) error {
	_, err := s.journal.Commit(ctx, store.Change{Message: id, Events: []policy.Event{
		{Kind: policy.Erased, Time: s.now(), Actor: e.text(actor(ctx)), Reason: reason},
	}})
	return err
}

// mayErase keeps what the law holds, and what a recall works on.
func (s *Server) mayErase(m *store.Stored) error {
	if s.heldByLaw(m.Message.Envelope.Sender) {
		return errHeldByLaw
	}
	for i := range m.Rows {
		r := &m.Rows[i]
		switch {
		case s.heldByLaw(r.Address) || r.Original != "" && s.heldByLaw(policy.Address(r.Original)):
			return errHeldByLaw
		case r.Recall.Code != "" && r.Recall.Code.Status() == policy.RecallProcessing:
			return errRecalling
		}
	}
	return nil
}
