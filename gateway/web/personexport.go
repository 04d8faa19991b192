package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// exportPause is how long a client may take for one line.
const exportPause = 30 * time.Second

// A PersonLine is a line of what there is about a person.
type PersonLine struct {
	Kind    string         `json:"kind" enum:"sent,received,audit,end"`
	Message *MessageDetail `json:"message,omitempty" doc:"of sent: everything; of received: without other recipients and what is about them"`
	Entry   *AuditEntry    `json:"entry,omitempty" doc:"of audit"`
	Summary *PersonSummary `json:"summary,omitempty" doc:"of end: without such a line the export was cut off"`
}

// exportPerson streams, because there may be years of mail.
func (s *Server) exportPerson(ctx context.Context, in *personInput) (*huma.StreamResponse, error) {
	if !isPerson(in.Person) {
		return nil, errPerson
	}
	s.log.Info("act", zap.String("verb", "export_person"), zap.String("person", in.Person), zap.String("actor", actor(ctx)))
	s.audit(ctx, "export_person", in.Person)
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", jsonLines)
		w.Header().Set("Content-Disposition", `attachment; filename="person.jsonl"`)
		control := http.NewResponseController(w)
		put := func(line *PersonLine) error {
			_ = control.SetWriteDeadline(time.Now().Add(exportPause)) // not over a test's recorder
			return encodeLine(w, line)
		}
		if err := s.writePerson(ctx, in.Person, put); err != nil {
			s.log.Warn("the export of a person was cut off", zap.Error(err))
		}
	}}, nil
}

func encodeLine(w io.Writer, line *PersonLine) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(line)
}

// writePerson puts every line. What is gone meanwhile by retention is left out.
func (s *Server) writePerson(ctx context.Context, person string, put func(*PersonLine) error) error {
	sum := &PersonSummary{Person: person}
	err := s.eachMessageOf(ctx, person, func(m *store.Message, sent bool) error {
		d, err := s.detail(m.ID, role(ctx))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.Received.After(sum.Newest) {
			sum.Newest = d.Received
		}
		if sent {
			sum.Sent++
			return put(&PersonLine{Kind: "sent", Message: d})
		}
		sum.Received++
		return put(&PersonLine{Kind: "received", Message: onlyFor(d, person)})
	})
	if err != nil {
		return err
	}
	err = s.eachAudit(ctx, func(e *store.AuditEntry) bool { return auditNames(e, person) }, func(e *store.AuditEntry) error {
		sum.Audit++
		v := auditView(e)
		return put(&PersonLine{Kind: "audit", Entry: &v})
	})
	if err != nil {
		return err
	}
	return put(&PersonLine{Kind: "end", Summary: sum})
}

// onlyFor leaves of a message what is about one recipient: the others are other people.
func onlyFor(d *MessageDetail, person string) *MessageDetail {
	key, v := policy.Address(person).Key(), *d
	v.Recipients, v.Timeline = []Recipient{}, []TimelineEntry{}
	for _, r := range d.Recipients {
		if policy.Address(r.Address).Key() == key {
			r.Group = ""
			v.Recipients = append(v.Recipients, r)
		}
	}
	for _, e := range d.Timeline {
		if e.Member == "" && about(e.Recipients, key) || policy.Address(e.Member).Key() == key && e.Member != "" {
			e.Recipients = []string{person}
			v.Timeline = append(v.Timeline, e)
		}
	}
	return &v
}

func about(recipients []string, key string) bool {
	for _, r := range recipients {
		if policy.Address(r).Key() == key {
			return true
		}
	}
	return false
}
