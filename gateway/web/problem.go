package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/sendgate/sendgate/gateway/web/pages"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A Problem is the body of every answer that is not a success: problem details as in RFC 9457 with
// a code for programs.
type Problem struct {
	huma.ErrorModel
	Code string `json:"code" doc:"What went wrong, for programs; the detail is for people." example:"not_found"`
	// Original is there when the detail was translated: a translation may say less.
	Original string `json:"detail_en,omitempty" doc:"the detail in English, when Accept-Language asked for another language"`

	chinese string // detail, where the cause came with words of its own
}

func problem(status int, code, detail string) *Problem {
	return &Problem{
		ErrorModel: huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail},
		Code:       code,
	}
}

// Problems that a client can cause, apart from what huma says about malformed requests.
var (
	errUnauthorized   = problem(http.StatusUnauthorized, "unauthorized", "this needs a valid token: send it as Authorization: Bearer TOKEN")
	errPeer           = problem(http.StatusForbidden, "permission_denied", "this socket is for root and the user that sendgate runs as")
	errRoleUser       = problem(http.StatusForbidden, "permission_denied", "the role user is for one's own mail: this needs another role")
	errNobody         = problem(http.StatusForbidden, "permission_denied", "the role user is for people with mail of their own: this account or token has none")
	errDomains        = problem(http.StatusForbidden, "permission_denied", "this is for people who are not bounded to some domains")
	errRoleAuditor    = problem(http.StatusForbidden, "permission_denied", "an auditor may look, but not change anything")
	errRoleAdmin      = problem(http.StatusForbidden, "permission_denied", "this needs a token with the role admin")
	errStatusNetwork  = problem(http.StatusForbidden, "permission_denied", "this needs a token, or an address in status_networks")
	errNoRoute        = problem(http.StatusNotFound, "not_found", "there is nothing at this path: /api/v1/openapi.json lists what there is")
	errNoPage         = problem(http.StatusNotFound, "not_found", "there is no such page")
	errMethod         = problem(http.StatusMethodNotAllowed, "method_not_allowed", "this path does not know that method: see the Allow header")
	errMessageID      = problem(http.StatusNotFound, "not_found", "that is not the id of a message: an id has 26 letters and digits")
	errNotFound       = problem(http.StatusNotFound, "not_found", "there is no such message, or it is older than events are kept")
	errRecallNotFound = problem(http.StatusNotFound, "not_found", "there is no such recall")
	errConflict       = problem(http.StatusConflict, "conflict", "the message has changed meanwhile: look at it again")
	errQueue          = problem(http.StatusServiceUnavailable, "queue_unreachable", "the mail server's queue could not be asked or changed just now: whether the message is taken back is open, and this is not tried again by itself. Look at it again, or start a recall, which goes on until it is decided")
	errFull           = problem(http.StatusServiceUnavailable, "store_full", "the disk is nearly full: nothing can be written until space is free")
	errClosed         = problem(http.StatusServiceUnavailable, "shutting_down", "sendgate is shutting down")
	errInternal       = problem(http.StatusInternalServerError, "internal", "something went wrong here: the log of sendgate says what")
)

// fail is the one exit for errors of handlers: it turns them into problems and keeps internal texts
// in the log.
func (s *Server) fail(what string, err error) error {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound):
		return errNotFound
	case errors.Is(err, store.ErrConflict):
		return errConflict
	case errors.Is(err, store.ErrTooBroad):
		return problem(http.StatusUnprocessableEntity, "query_too_broad", store.ErrTooBroad.Error())
	case errors.Is(err, store.ErrFull):
		return errFull
	case errors.Is(err, store.ErrClosed), errors.Is(err, context.Canceled):
		return errClosed
	}
	s.log.Error("request", zap.String("what", what), zap.Error(err))
	return errInternal
}

// explain gives what huma itself refuses the shape of our problems.
func explain(hc huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*Problem)
	if m, own := v.(*huma.ErrorModel); own {
		if p, ok = (&Problem{ErrorModel: *m, Code: "invalid_request"}), true; m.Status >= http.StatusInternalServerError {
			p = errInternal
		}
	}
	if !ok {
		return v, nil
	}
	p, lang := p.in(hc.Header("Accept-Language"))
	hc.SetHeader("Content-Language", lang)
	hc.AppendHeader("Vary", "Accept-Language")
	return p, nil
}

// in gives the problem in the language that a client asks for. Those who ask for none read English.
func (p *Problem) in(accept string) (*Problem, string) {
	lang := pages.Language("", accept)
	if lang == "en" {
		return p, lang
	}
	said := *p
	said.Title = chineseTitle(p.Status)
	if text := chineseDetail(p); text != "" {
		said.Detail, said.Original = text, p.Detail
	}
	return &said, lang
}

// writeProblem answers outside of huma's handlers.
func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	p, lang := p.in(r.Header.Get("Accept-Language"))
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Language", lang)
	w.Header().Add("Vary", "Accept-Language")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}
