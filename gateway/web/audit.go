package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Acts of the audit log that are no operation of the API.
const (
	actRefused      = "refused"
	actSignIn       = "sign_in"
	actSignInFailed = "sign_in_failed"
	actSignOut      = "sign_out"
	actSessionEnded = "session_ended"
)

// maxDetail bounds the detail of an entry, in octets. It is less than what the store cuts off, so that a name is
// in an entry as a whole, where it can be erased, or not at all.
const maxDetail = 1900

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

// auditDetail writes the fields of a log line for people.
func auditDetail(fields []zap.Field) string {
	var parts []string
	for _, f := range fields {
		values := zapcore.NewMapObjectEncoder()
		f.AddTo(values)
		switch v := values.Fields[f.Key].(type) {
		case nil:
		case time.Time:
			if !v.IsZero() {
				parts = append(parts, f.Key+": "+v.UTC().Format(time.RFC3339))
			}
		default:
			if text := fmt.Sprint(v); text != "" {
				parts = append(parts, f.Key+": "+text)
			}
		}
	}
	return auditText(strings.Join(parts, "; "))
}

// auditText makes one line of a text, and cuts it between two words.
func auditText(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) <= maxDetail {
		return text
	}
	cut := text[:maxDetail]
	return strings.ToValidUTF8(cut[:max(0, strings.LastIndexByte(cut, ' '))], "") + " …"
}

// signedIn notes who has signed in, or tried to. Too many tries are in the log only: who makes them shall not fill
// the audit log.
func (s *Server) signedIn(r *http.Request, name string, session *signin.Session, err error) {
	e := store.AuditEntry{Act: actSignIn, Actor: "user:" + name, Detail: "client: " + r.RemoteAddr}
	switch {
	case errors.Is(err, signin.ErrTooOften):
		return
	case err != nil:
		e.Act, e.Detail = actSignInFailed, e.Detail+"; "+reasonOf(err)
	default:
		e.Actor = "user:" + session.User
		e.Detail += "; role: " + session.Role + "; kind: " + session.Kind
	}
	s.writeAudit(e)
}

// reasonOf is the code of an error of a sign-in, without what a server has said.
func reasonOf(err error) string {
	for _, known := range []error{signin.ErrWrong, signin.ErrBusy, signin.ErrProvider, signin.ErrNoRole, signin.ErrExpired, signin.ErrSetUp} {
		if errors.Is(err, known) {
			return "reason: " + known.Error()
		}
	}
	return "reason: internal"
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
		s.writeAudit(store.AuditEntry{Act: actRefused, Actor: who.actor, Object: operation, Detail: "role: " + who.role})
	}
}
