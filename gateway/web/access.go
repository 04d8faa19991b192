package web

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"
)

// A reach is a set of roles.
type reach uint8

// The roles: who looks, who acts, who decides about others, and who has own mail only.
const (
	auditors reach = 1 << iota
	operators
	admins
	owners // role user: what is about their own mail
	// domained lets in those who are bounded to some domains, too, as far as their role allows it. What does not
	// say so is for people without bounds.
	domained
	oneself // role user without mail of one's own, too

	lookers = auditors | operators | admins
	actors  = operators | admins

	everybody = lookers | owners | domained | oneself // about oneself
)

var reachOf = map[string]reach{"auditor": auditors, "operator": operators, "admin": admins, "user": owners}

// access says who may use an operation; whatever is not listed nobody may. Whether a message, a recall, a
// sender or a campaign is within reach is a question of its own: see reach.go.
var access = map[string]reach{
	"list-messages": lookers | domained | owners, "get-message": lookers | domained | owners, "explain-message": lookers | domained | owners,
	"overview": lookers | domained, "stats": lookers | domained, "tracking": lookers | domained, "events": lookers | domained, "import-log": admins,
	"view-source":     admins,
	"release-message": actors | domained | owners, "hold-message": actors | domained | owners,
	"cancel-message": actors | domained | owners, "resend-message": actors | domained | owners,

	"list-recalls": lookers | domained | owners, "get-recall": lookers | domained | owners, "recall-events": lookers | domained | owners,
	"recall": actors | domained | owners, "cancel-recall": actors | domained | owners, "approve-recall": admins | domained,
	"restore-recall": actors | domained, "recall-stats": lookers,

	"list-approvals": lookers | domained, "list-batches": lookers | domained, "approve-message": actors | domained, "approve-batch": actors | domained,
	"cancel-batch": actors | domained, "approve-pulled-back": actors | domained, "cancel-pulled-back": actors | domained,

	"list-limits": lookers | domained, "list-senders": lookers | domained, "get-sender": lookers | domained,
	"sender-sign-ins": lookers | domained, "my-sign-ins": owners, "my-limits": owners,
	"rules": lookers | domained, "test-rules": lookers,
	"boost-sender": actors | domained, "override-sender": actors | domained, "revoke-sender": actors | domained,
	"reset-sender": actors | domained, "suspend-sender": actors | domained, "unsuspend-sender": actors | domained,

	"list-alerts": lookers | domained, "acknowledge-alert": actors | domained,
	"list-campaigns": lookers | domained, "get-campaign": lookers | domained, "approve-campaign": actors | domained,
	"cancel-campaign": actors | domained, "slow-campaign": actors | domained, "allow-campaign": actors | domained,
	"withdraw-campaign": actors | domained,

	"me": everybody, "change-my-password": everybody, "list-sessions": everybody, "revoke-session": everybody,
	"list-users": admins, "add-user": admins, "change-user": admins, "remove-user": admins,
	"list-tokens": admins, "get-config": admins, "make-set-up-link": admins,

	"get-bypass": everybody, "start-bypass": admins, "end-bypass": admins,
	"get-drain": lookers, "start-drain": admins, "stop-drain": admins,

	"get-store": lookers, "make-backup": admins,
	"list-webhooks": lookers, "test-webhook": admins, "resume-webhook": admins,

	"list-audit": lookers, "verify-audit": lookers,
	"find-person": admins, "export-person": admins, "erase-person": admins,
}

// allowed reports whether somebody is in a set of roles. A user has mail: a token, or a local account of that role, has none.
func (p *principal) allowed(r reach) bool {
	switch {
	case r&reachOf[p.role] == 0:
		return false
	case p.role == "user":
		return p.identity != "" || r&oneself != 0
	}
	return len(p.domains) == 0 || r&domained != 0
}

// roles names the roles of a set, for the description of the API.
func (r reach) roles() (names []string) {
	for _, role := range []string{"admin", "operator", "auditor", "user"} {
		if r&reachOf[role] != 0 {
			names = append(names, role)
		}
	}
	return names
}

// publish adds an operation of the API: over HTTP, where authorise asks allow, and for the pages by call. What the
// path names has to be within reach, which is checked here so that no handler can forget it.
func publish[I, O any](s *Server, api huma.API, op huma.Operation, fn func(context.Context, *I) (*O, error)) {
	op.Extensions = map[string]any{"x-roles": access[op.OperationID].roles()}
	check := s.checkNamed(op.OperationID, strings.TrimPrefix(op.Path, apiPath), reflect.TypeFor[I]())
	within := func(ctx context.Context, in *I) (*O, error) {
		if err := check(ctx, reflect.ValueOf(in).Elem()); err != nil {
			return nil, err
		}
		return fn(ctx, in)
	}
	s.calls[op.OperationID] = func(ctx context.Context, in *I) (*O, error) {
		if err := s.allow(ctx, op.OperationID); err != nil {
			return nil, err
		}
		return within(ctx, in)
	}
	huma.Register(api, op, within)
}

// authorise refuses requests over HTTP before anything of them is looked at.
func (s *Server) authorise(ctx huma.Context, next func(huma.Context)) {
	err := s.allow(ctx.Context(), ctx.Operation().OperationID)
	if err == nil {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	writeProblem(w, r, refusedPage(err))
}

// call runs an operation of the API for a page, as whoever looks at it.
func call[I, O any](s *Server, v *visit, operation string, in *I) (*O, error) {
	fn, ok := s.calls[operation].(func(context.Context, *I) (*O, error))
	if !ok {
		panic("web: there is no operation " + operation + " of this shape") // a fault of the program; a test calls them all
	}
	return fn(v.ctx, in)
}

// allow says whether the maker of a request may use an operation.
func (s *Server) allow(ctx context.Context, operation string) error {
	who := whoIs(ctx)
	if who.allowed(access[operation]) {
		return nil
	}
	s.log.Warn("request refused", zap.String("actor", who.actor), zap.String("role", who.role), zap.String("operation", operation))
	s.auditRefusal(ctx, operation)
	switch {
	case who.role == "user" && who.identity == "":
		return errNobody
	case who.role == "user":
		return errRoleUser
	case access[operation]&reachOf[who.role] != 0:
		return errDomains
	case who.role == "auditor":
		return errRoleAuditor
	case who.role == "operator":
		return errRoleAdmin
	}
	return errRoleUser
}

// refusedPage is what a page shows for an error of the API.
func refusedPage(err error) *Problem {
	if p, ok := err.(*Problem); ok {
		return p
	}
	return problem(http.StatusInternalServerError, "internal", err.Error())
}
