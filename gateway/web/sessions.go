package web

import (
	"context"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

var (
	errNoSession = problem(http.StatusNotFound, "no_session", "there is no such session, or it has ended")
	errNotLocal  = problem(http.StatusConflict, "not_local", "this account has no password here: change it where it belongs")
)

// A Session is somebody who is signed in to the dashboard.
type Session struct {
	ID   string `json:"id"`
	User string `json:"user"`
	Kind string `json:"kind" enum:"local,mail,oidc" doc:"how they signed in: a user of sendgate's own, a mailbox, single sign-on"`
	Role string `json:"role"`
	// Identity leads to the page of the sender.
	Identity string    `json:"identity,omitempty" doc:"of who signed in with a mailbox: whose mail it is"`
	Created  time.Time `json:"created"`
	Seen     time.Time `json:"seen" doc:"last request"`
	Address  string    `json:"address" doc:"of the client that signed in"`
	Agent    string    `json:"agent" doc:"the client's own word for its program"`
	Current  bool      `json:"current" doc:"it is the one that asks"`
}

// Me is who asks.
type Me struct {
	Actor    string   `json:"actor" doc:"as it stands in events"`
	User     string   `json:"user,omitempty" doc:"who is signed in; absent for tokens and the socket"`
	Kind     string   `json:"kind" enum:"local,mail,oidc,token"`
	Role     string   `json:"role"`
	Identity string   `json:"identity,omitempty" doc:"whose mail is one's own"`
	Domains  []string `json:"domains,omitempty" nullable:"false" doc:"senders of these domains only; none: all"`
}

// A PasswordChange is said by who knows the password so far.
type PasswordChange struct {
	Password string `json:"password" maxLength:"1024"`
	New      string `json:"new_password" maxLength:"1024" doc:"at least 10 characters"`
}

type (
	sessionsInput struct {
		Mine bool `query:"mine" doc:"one's own only; others see these in any case"`
	}
	sessionsOutput struct {
		Body struct {
			Sessions []Session `json:"sessions" nullable:"false"`
		}
	}
	sessionInput struct {
		ID string `path:"id" maxLength:"64"`
	}
	meOutput      struct{ Body Me }
	passwordInput struct{ Body PasswordChange }
)

// seesAll reports whether somebody looks after the sessions of everybody.
func seesAll(who *principal) bool { return who.role == "admin" && len(who.domains) == 0 }

// listSessions gives everybody's to administrators, and to others their own.
func (s *Server) listSessions(ctx context.Context, in *sessionsInput) (*sessionsOutput, error) {
	if s.desk == nil {
		return nil, errNoDesk
	}
	who, _ := ctx.Value(principalKey).(principal)
	out := &sessionsOutput{}
	out.Body.Sessions = []Session{}
	own := in.Mine || !seesAll(&who)
	if own && who.session == nil {
		return out, nil
	}
	var of *signin.Session
	if own {
		of = who.session
	}
	for _, one := range s.desk.Sessions(of) {
		out.Body.Sessions = append(out.Body.Sessions, Session{
			ID: one.ID, User: one.User, Kind: one.Kind, Role: one.Role, Identity: one.Identity, Created: one.Created, Seen: one.Seen,
			Address: one.Address, Agent: one.Agent, Current: who.session != nil && one.ID == who.session.ID,
		})
	}
	return out, nil
}

// revokeSession ends one's own session, or any for an administrator.
func (s *Server) revokeSession(ctx context.Context, in *sessionInput) (*struct{}, error) {
	if s.desk == nil {
		return nil, errNoDesk
	}
	who, _ := ctx.Value(principalKey).(principal)
	found := s.desk.Find(in.ID)
	if found == nil || !seesAll(&who) && (who.session == nil || !found.SameUser(who.session)) {
		return nil, errNoSession
	}
	if err := s.desk.Revoke(in.ID); err != nil {
		return nil, s.deskFault("revoke a session", err)
	}
	s.actedOn(ctx, "revoke_session", found.User, zap.String("client", found.Address))
	return nil, nil
}

// sweepPause is how often sessions are looked through for such as are over.
const sweepPause = time.Minute

// actorItself stands for sendgate in the audit log.
const actorItself = "sendgate"

// followSessions ends sessions that are over, until the context ends.
func (s *Server) followSessions(ctx context.Context) error {
	if s.desk == nil {
		return nil
	}
	tick := time.NewTicker(sweepPause)
	defer tick.Stop()
	for {
		s.sweepSessions()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// sweepSessions notes which sessions came to an end by themselves.
func (s *Server) sweepSessions() {
	for _, e := range s.desk.Sweep() {
		s.log.Info("a session has ended", zap.String("user", e.User), zap.String("reason", e.Why))
		s.writeAudit(store.AuditEntry{Act: actSessionEnded, Actor: actorItself, Object: e.User, Detail: auditDetail([]zap.Field{
			zap.String("reason", e.Why), zap.Time("since", e.Created), zap.Time("last_request", e.Seen), zap.String("client", e.Address),
		})})
	}
}

func (s *Server) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	who, _ := ctx.Value(principalKey).(principal)
	me := Me{Actor: who.actor, Kind: "token", Role: who.role, Identity: who.identity, Domains: who.domains}
	if who.session != nil {
		me.User, me.Kind = who.session.User, who.session.Kind
	}
	return &meOutput{me}, nil
}

func (s *Server) changeMyPassword(ctx context.Context, in *passwordInput) (*struct{}, error) {
	who, _ := ctx.Value(principalKey).(principal)
	if who.session == nil || who.session.Kind != signin.Local {
		return nil, errNotLocal
	}
	if err := s.desk.ChangePassword(who.session.User, in.Body.Password, in.Body.New); err != nil {
		return nil, s.deskFault("change a password", err)
	}
	s.actedOn(ctx, "change_password", who.session.User)
	return nil, nil
}
