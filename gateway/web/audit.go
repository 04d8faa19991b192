package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// Acts of the audit log that are no operation of the API.
const (
	actRefused      = "refused"
	actSignIn       = "sign_in"
	actSignInFailed = "sign_in_failed"
	actSignOut      = "sign_out"
	actSessionEnded = "session_ended"
)

// audit adds an entry to the audit log about what was done. What was done stays done when it cannot be written.
func (s *Server) audit(ctx context.Context, act, object string, fields ...zap.Field) {
	if ctx.Value(togetherKey) != nil {
		return
	}
	s.writeAudit(store.AuditEntry{Act: act, Actor: actor(ctx), Object: object, Detail: auditDetail(fields)})
}

func (s *Server) writeAudit(e store.AuditEntry) {
	e.Time = s.now()
	e.Actor, e.Object = auditText(e.Actor), auditText(e.Object)
	if err := s.journal.Audit(e); err != nil {
		s.log.Error("the audit log could not be written", zap.String("act", e.Act), zap.Error(err))
	}
}

// together is for acts on many messages, which are one entry: each entry is written to the disk by itself.
func together(ctx context.Context) context.Context { return context.WithValue(ctx, togetherKey, true) }

// auditBatch is the entry about what was done to many messages.
func (s *Server) auditBatch(ctx context.Context, act, reason string, out *batchOutput) {
	var done []string
	for _, r := range out.Body.Results {
		if r.Done {
			done = append(done, r.ID)
		}
	}
	fields := []zap.Field{zap.Int("done", out.Body.Done), zap.Int("failed", out.Body.Failed)}
	if out.Body.Told > 0 {
		fields = append(fields, zap.Int("told", out.Body.Told))
	}
	s.audit(ctx, act, "", append(fields, zap.String("reason", reason), zap.String("messages", strings.Join(done, " ")))...)
}

// signedIn notes who has signed in, or tried to. Too many tries are in the log only: who makes them shall not fill
// the audit log.
func (s *Server) signedIn(r *http.Request, name string, session *signin.Session, err error) {
	e := store.AuditEntry{Act: actSignIn, Actor: "user:" + name}
	fields := []zap.Field{zap.String("client", r.RemoteAddr)}
	switch {
	case errors.Is(err, signin.ErrTooOften):
		return
	case err != nil:
		e.Act, fields = actSignInFailed, append(fields, zap.String("reason", reasonOf(err)))
	default:
		e.Actor, fields = "user:"+session.User, append(fields, zap.String("role", session.Role), zap.String("kind", session.Kind))
	}
	e.Detail = auditDetail(fields)
	s.writeAudit(e)
}

// reasonOf is the code of an error of a sign-in, without what a server has said.
func reasonOf(err error) string {
	for _, known := range []error{signin.ErrWrong, signin.ErrBusy, signin.ErrProvider, signin.ErrNoRole, signin.ErrExpired, signin.ErrSetUp} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "internal"
}

// refusalPause is how often the same refusal is in the audit log.
const (
	refusalPause = time.Minute
	maxRefusals  = 1000
)

// refusals remembers what was refused lately, so that a program that tries again and again does not fill the log.
type refusals struct {
	mu   sync.Mutex
	last map[string]time.Time // by actor and operation
}

func newRefusals() *refusals { return &refusals{last: map[string]time.Time{}} }

// isNew reports whether a refusal is to be noted.
func (r *refusals) isNew(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[key]; ok && now.Sub(last) < refusalPause {
		return false
	}
	if len(r.last) >= maxRefusals {
		clear(r.last)
	}
	r.last[key] = now
	return true
}

// forget forgets who was refused.
func (r *refusals) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.last)
}

// auditRefusal notes that somebody known asked for what their role does not allow.
func (s *Server) auditRefusal(ctx context.Context, operation string) {
	who := whoIs(ctx)
	if who.actor != "" && s.refusals.isNew(who.actor+" "+operation, s.now()) {
		s.writeAudit(store.AuditEntry{Act: actRefused, Actor: who.actor, Object: operation, Detail: auditDetail([]zap.Field{zap.String("role", who.role)})})
	}
}
