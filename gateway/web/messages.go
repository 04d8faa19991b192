package web

import (
	"context"
	"net/http"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

type listMessagesInput struct {
	Q      string `query:"q" maxLength:"1000" doc:"from: to: subject: id: queue: state: before: after: or words of the subject" example:"from:alice@corp.example state:held"`
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
	page, err := s.journal.Search(ctx, q, in.Limit, in.Cursor)
	if err != nil {
		return nil, s.fail("search", err)
	}
	out := &listMessagesOutput{Body: MessageList{Messages: make([]Message, len(page.Messages)), Next: page.Next}}
	for i := range page.Messages {
		out.Body.Messages[i] = s.summary(&page.Messages[i])
	}
	return out, nil
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

func (s *Server) getMessage(_ context.Context, in *messageInput) (*messageOutput, error) {
	id, err := policy.ParseID(in.ID)
	if err != nil {
		return nil, errMessageID
	}
	return s.answer(id)
}

// answer gives the message as it is now.
func (s *Server) answer(id policy.ID) (*messageOutput, error) {
	d, err := s.detail(id)
	if err != nil {
		return nil, s.fail("read message", err)
	}
	return &messageOutput{Body: d}, nil
}
