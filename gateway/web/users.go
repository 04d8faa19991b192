package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// Problems about users, sessions and sign-in. Their codes are those of package signin, by which pages find the
// words in both languages.
var (
	errNoDesk     = problem(http.StatusNotFound, "no_dashboard", "this gateway has no dashboard that people could sign in to")
	errUserDomain = problem(http.StatusUnprocessableEntity, "bad_domain", "domains are written as corp.example")
	errSetUpDone  = problem(http.StatusConflict, "setup_done", `there is an administrator already: ask with "another" for a link that makes one more`)

	deskProblems = []struct {
		err     error
		problem *Problem
	}{
		{signin.ErrName, deskProblem(http.StatusUnprocessableEntity, signin.ErrName, "a user name has at most 64 letters, digits and . _ - @")},
		{signin.ErrPassword, deskProblem(http.StatusUnprocessableEntity, signin.ErrPassword, "a password has at least 10 characters and is not the user name")},
		{signin.ErrRole, deskProblem(http.StatusUnprocessableEntity, signin.ErrRole, "a user has one of the roles admin, operator, auditor")},
		{signin.ErrTaken, deskProblem(http.StatusConflict, signin.ErrTaken, "there is a user of this name already")},
		{signin.ErrNoUser, deskProblem(http.StatusNotFound, signin.ErrNoUser, "there is no such user")},
		{signin.ErrLast, deskProblem(http.StatusConflict, signin.ErrLast, "the last administrator of all domains stays one")},
		{signin.ErrWrong, deskProblem(http.StatusForbidden, signin.ErrWrong, "the password is not right")},
		{signin.ErrTooOften, deskProblem(http.StatusTooManyRequests, signin.ErrTooOften, "too many tries: wait a minute")},
	}
)

func deskProblem(status int, err error, detail string) *Problem {
	return problem(status, err.Error(), detail)
}

// deskFault is fail for errors of the desk.
func (s *Server) deskFault(what string, err error) error {
	for _, p := range deskProblems {
		if errors.Is(err, p.err) {
			return p.problem
		}
	}
	return s.fail(what, err)
}

// A User is somebody who signs in with a name and a password of sendgate's own.
type User struct {
	Name     string    `json:"name"`
	Role     string    `json:"role" enum:"admin,operator,auditor"`
	Domains  []string  `json:"domains,omitempty" nullable:"false" doc:"senders of these domains only; none: all"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed" doc:"sessions from before have ended"`
	Disabled bool      `json:"disabled"`
}

func userOf(u *signin.User) User {
	return User{Name: u.Name, Role: u.Role, Domains: u.Domains, Created: u.Created, Changed: u.Changed, Disabled: u.Disabled}
}

// A NewUser is a user to be made.
type NewUser struct {
	Name     string   `json:"name" maxLength:"64"`
	Role     string   `json:"role"`
	Domains  []string `json:"domains,omitempty" nullable:"false" maxItems:"1000"`
	Password string   `json:"password" maxLength:"1024" doc:"at least 10 characters"`
}

// A UserChange is what changes about a user; what is absent stays. Sessions of the user end.
type UserChange struct {
	Role     *string   `json:"role,omitempty"`
	Domains  *[]string `json:"domains,omitempty" maxItems:"1000"`
	Password *string   `json:"password,omitempty" maxLength:"1024" doc:"at least 10 characters"`
	Disabled *bool     `json:"disabled,omitempty"`
}

type (
	usersOutput struct {
		Body struct {
			Users []User `json:"users" nullable:"false"`
		}
	}
	userOutput   struct{ Body User }
	addUserInput struct{ Body NewUser }
	userInput    struct {
		Name string `path:"name" maxLength:"64"`
	}
	changeUserInput struct {
		Name string `path:"name" maxLength:"64"`
		Body UserChange
	}
)

// withDesk refuses what a gateway without a dashboard cannot do.
func (s *Server) withDesk() error {
	if s.desk == nil {
		return errNoDesk
	}
	return nil
}

func (s *Server) listUsers(ctx context.Context, _ *struct{}) (*usersOutput, error) {
	if err := s.withDesk(); err != nil {
		return nil, err
	}
	all, err := s.desk.Users()
	if err != nil {
		return nil, s.deskFault("list users", err)
	}
	out := &usersOutput{}
	out.Body.Users = make([]User, len(all))
	for i := range all {
		out.Body.Users[i] = userOf(&all[i])
	}
	return out, nil
}

// user is the answer about one user.
func (s *Server) user(name string) (*userOutput, error) {
	all, err := s.desk.Users()
	if err != nil {
		return nil, s.deskFault("read a user", err)
	}
	for i := range all {
		if strings.EqualFold(all[i].Name, name) {
			return &userOutput{userOf(&all[i])}, nil
		}
	}
	return nil, s.deskFault("read a user", signin.ErrNoUser)
}

func (s *Server) addUser(ctx context.Context, in *addUserInput) (*userOutput, error) {
	if err := s.withDesk(); err != nil {
		return nil, err
	}
	domains, err := domainNames(in.Body.Domains)
	if err != nil {
		return nil, err
	}
	if err := s.desk.AddUser(in.Body.Name, in.Body.Password, in.Body.Role, domains); err != nil {
		return nil, s.deskFault("add a user", err)
	}
	s.actedOn(ctx, "add_user", in.Body.Name, zap.String("role", in.Body.Role), zap.Strings("domains", domains))
	return s.user(in.Body.Name)
}

func (s *Server) changeUser(ctx context.Context, in *changeUserInput) (*userOutput, error) {
	if err := s.withDesk(); err != nil {
		return nil, err
	}
	b := in.Body
	c := signin.Change{Password: b.Password, Role: b.Role, Disabled: b.Disabled}
	if b.Domains != nil {
		domains, err := domainNames(*b.Domains)
		if err != nil {
			return nil, err
		}
		c.Domains = &domains
	}
	if err := s.desk.ChangeUser(in.Name, c); err != nil {
		return nil, s.deskFault("change a user", err)
	}
	s.actedOn(ctx, "change_user", in.Name, zap.Stringp("role", b.Role), zap.Boolp("disabled", b.Disabled), zap.Boolp("new_password", given(b.Password)))
	return s.user(in.Name)
}

// given tells of a value that is not to be repeated.
func given(secret *string) *bool {
	yes := true
	if secret == nil {
		return nil
	}
	return &yes
}

func (s *Server) removeUser(ctx context.Context, in *userInput) (*struct{}, error) {
	if err := s.withDesk(); err != nil {
		return nil, err
	}
	if err := s.desk.RemoveUser(in.Name); err != nil {
		return nil, s.deskFault("remove a user", err)
	}
	s.actedOn(ctx, "remove_user", in.Name)
	return nil, nil
}

// domainNames gives domains in the form in which those of senders are compared.
func domainNames(list []string) (names []string, err error) {
	for _, d := range list {
		d = strings.TrimPrefix(strings.TrimSpace(d), "@")
		a, err := policy.ParseAddress("x@" + d)
		if err != nil || a.Domain() == "" || strings.ContainsAny(d, "@ ") {
			return nil, errUserDomain
		}
		if name := strings.ToLower(a.Domain()); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
