package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

type listMessagesInput struct {
	Q      string `query:"q" maxLength:"1000" doc:"from: to: subject: identity: campaign: id: queue: state: before: after: or words of the subject" example:"from:alice@corp.example state:held"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
}

type listMessagesOutput struct{ Body MessageList }

func (s *Server) listMessages(ctx context.Context, in *listMessagesInput) (*listMessagesOutput, error) {
	q, err := s.query(in.Q)
	if err != nil {
		return nil, err
	}
	if err := checkCursor(in.Cursor); err != nil {
		return nil, err
	}
	page, err := s.search(ctx, q, in.Limit, in.Cursor)
	if err != nil {
		return nil, s.fail("search", err)
	}
	out := &listMessagesOutput{Body: MessageList{Messages: make([]Message, len(page.Messages)), Next: page.Next}}
	for i := range page.Messages {
		out.Body.Messages[i] = s.summary(&page.Messages[i])
		if out.Body.Messages[i].To, err = s.firstRecipients(&page.Messages[i]); err != nil {
			return nil, s.fail("read recipients", err)
		}
	}
	return out, nil
}

// Whom a list names of the recipients of a message. Of one with many rows it names none: all would have to be read.
const (
	listedRecipients = 3
	fewRows          = 50
)

// firstRecipients gives the first of those to whom a message was sent, as in its envelope.
func (s *Server) firstRecipients(m *store.Message) (to []string, err error) {
	if m.Recipients > fewRows {
		return nil, nil
	}
	rows, err := s.journal.Recipients(m.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil // pruned meanwhile
	}
	for i := 0; i < len(rows) && len(to) < listedRecipients; i++ {
		if rows[i].Group == 0 && rows[i].Attempt <= 1 {
			to = append(to, string(rows[i].Address))
		}
	}
	return to, err
}

// query parses what a person typed; the error says what would have been right.
func (s *Server) query(text string) (store.Query, error) {
	q, err := store.ParseQuery(text, s.now())
	if err != nil {
		return q, problem(http.StatusUnprocessableEntity, "invalid_query", err.Error())
	}
	return q, nil
}

// checkCursor refuses cursors that no page gave out.
func checkCursor(cursor string) error {
	if cursor == "" {
		return nil
	}
	if _, err := policy.ParseID(cursor); err != nil {
		return problem(http.StatusUnprocessableEntity, "invalid_cursor", "the cursor is not one of ours: use next of the page before")
	}
	return nil
}

// messageInput names one message by the path.
type messageInput struct {
	ID string `path:"id" doc:"sendgate's own id of the message"`
}

// messageOutput answers with a message.
type messageOutput struct{ Body *MessageDetail }

func (s *Server) getMessage(ctx context.Context, in *messageInput) (*messageOutput, error) {
	id, err := policy.ParseID(in.ID)
	if err != nil {
		return nil, errMessageID
	}
	return s.answer(ctx, id)
}

// answer gives the message as it is now.
func (s *Server) answer(ctx context.Context, id policy.ID) (*messageOutput, error) {
	d, err := s.detail(id, role(ctx))
	if err != nil {
		return nil, s.fail("read message", err)
	}
	return &messageOutput{Body: d}, nil
}
