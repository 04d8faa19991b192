package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// errNoSource is for what was never here (milter), and for what was pruned.
var errNoSource = problem(http.StatusNotFound, "no_source",
	"sendgate has no copy of this message: in milter mode the mail server has it, and a copy here is deleted some time after the last delivery")

// maxSource bounds what is shown of a header, and of a body as it is.
const maxSource = 256 << 10

// actViewSource is the act in the audit log.
const actViewSource = "view_source"

// What can be looked at of a message.
const (
	sourceHeader = "header"
	sourceBody   = "body"
)

// A MessageSource is the header of a message, or its body.
type MessageSource struct {
	ID          string             `json:"id" doc:"sendgate's own id of the message"`
	Part        string             `json:"part" enum:"header,body"`
	Raw         string             `json:"raw" doc:"as it was sent, as far as it is UTF-8"`
	Text        string             `json:"text,omitempty" doc:"of a body: what a reader would see of it, decoded"`
	Attachments []SourceAttachment `json:"attachments,omitempty" nullable:"false"`
	Truncated   bool               `json:"truncated" doc:"some of it is left out"`
}

// A SourceAttachment names a file in a body, as the sender did.
type SourceAttachment struct {
	Name string `json:"name"`
	Type string `json:"type" doc:"media type"`
	Size int64  `json:"size" doc:"octets after decoding"`
}

type sourceInput struct {
	ID   string `path:"id" doc:"sendgate's own id of the message"`
	Part string `query:"part" enum:"header,body" default:"header"`
}

type sourceOutput struct{ Body *MessageSource }

// viewSource shows what people wrote to each other: whoever looks is in the audit first.
func (s *Server) viewSource(ctx context.Context, in *sourceInput) (*sourceOutput, error) {
	id, err := policy.ParseID(in.ID)
	if err != nil {
		return nil, errMessageID
	}
	m, err := s.journal.Message(id)
	switch {
	case err != nil:
		return nil, s.fail("read message", err)
	case !owns(ctx, &m.Envelope):
		return nil, errNotFound
	}
	body, err := s.journal.Body(id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNoSource
	}
	if err != nil {
		return nil, s.fail("open body", err)
	}
	defer body.Close()
	if err := s.noteLook(ctx, id, in.Part); err != nil {
		return nil, s.fail("audit", err)
	}
	v := &MessageSource{ID: id.String(), Part: in.Part}
	if err := s.readSource(v, body); err != nil {
		return nil, s.fail("read body", err)
	}
	return &sourceOutput{v}, nil
}

// noteLook writes who looks into the audit log; who cannot be noted does not look.
func (s *Server) noteLook(ctx context.Context, id policy.ID, part string) error {
	s.log.Info("act", zap.String("verb", actViewSource), zap.Stringer("id", id), zap.String("actor", actor(ctx)), zap.String("part", part))
	return s.journal.Audit(store.AuditEntry{
		Time: s.now(), Act: actViewSource, Actor: auditText(actor(ctx)), Object: id.String(), Detail: auditDetail([]zap.Field{zap.String("part", part)}),
	})
}

// readSource cuts the message at the empty line that ends its header (RFC 5322 2.1).
func (s *Server) readSource(v *MessageSource, body io.Reader) error {
	limits := content.DefaultLimits()
	octets, err := io.ReadAll(io.LimitReader(body, limits.Bytes+1))
	if err != nil {
		return err
	}
	header, rest := cutHeader(octets)
	if v.Part == sourceHeader {
		v.Raw, v.Truncated = shownText(header)
		return nil
	}
	v.Raw, v.Truncated = shownText(rest)
	c, err := content.Read(bytes.NewReader(octets), limits, s.now)
	if err != nil {
		return err
	}
	v.Text, _ = shownText([]byte(c.Text))
	v.Truncated = v.Truncated || c.Truncated || int64(len(octets)) > limits.Bytes
	for _, a := range c.Attachments {
		v.Attachments = append(v.Attachments, SourceAttachment{a.Name, a.Type, a.Size})
	}
	return nil
}

// cutHeader gives the header and what follows it; lines may end with LF alone.
func cutHeader(octets []byte) (header, body []byte) {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		if h, b, ok := bytes.Cut(octets, []byte(end)); ok {
			return h, b
		}
	}
	return octets, nil
}

// shownText makes text of octets: line ends are LF, and what is neither text nor layout becomes U+FFFD.
func shownText(octets []byte) (text string, cut bool) {
	if len(octets) > maxSource {
		octets, cut = octets[:maxSource], true
	}
	text = strings.ToValidUTF8(string(octets), "\uFFFD")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, text), cut
}
