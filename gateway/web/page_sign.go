package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"go.uber.org/zap"
)

// backCookie keeps where somebody wanted to go while the provider of single sign-on asks who they are.
const backCookie = "sendgate_back"

// signForm is what the page for signing in shows. Error is a key of the texts.
type signForm struct {
	Name, Back, Error string
	SSO, Mail         bool
	Nobody            bool // can sign in yet
}

// setUpForm is what the page of the set-up link shows.
type setUpForm struct {
	Token, Name, Error string
	Holds              bool
}

func (s *Server) signPages(mux *http.ServeMux) {
	mux.Handle("GET /sign-in", s.open("sign", s.signInPage))
	mux.Handle("POST /sign-in", http.HandlerFunc(s.signIn))
	mux.Handle("POST /sign-out", s.act(func(v *visit) (to, said string, err error) {
		s.desk.SignOut(v.w, v.r)
		s.actedOn(v.ctx, actSignOut, v.session.User, zap.String("client", v.r.RemoteAddr))
		return "/sign-in", "sign.out", nil
	}))
	mux.Handle("GET /set-up", s.open("setup", func(v *visit) (any, error) {
		token := v.r.URL.Query().Get("token")
		return setUpForm{Token: token, Name: "admin", Holds: s.desk.SetUpHolds(token)}, nil
	}))
	mux.Handle("POST /set-up", http.HandlerFunc(s.setUp))
	mux.Handle("GET /oidc/leave", http.HandlerFunc(s.leaveForProvider))
	mux.Handle("GET /oidc/back", http.HandlerFunc(s.backFromProvider))
}

// signInPage leads on who is signed in already.
func (s *Server) signInPage(v *visit) (any, error) {
	back := v.r.URL.Query().Get("back")
	if v.session != nil {
		return nil, redirect(localPath(back))
	}
	return s.signForm("", back, ""), nil
}

func (s *Server) signForm(name, back, fault string) signForm {
	return signForm{
		Name: name, Back: localPath(back), Error: fault, SSO: s.desk.Offered(), Mail: s.desk.TakesMailUsers(), Nobody: s.desk.Empty(),
	}
}

// signIn takes a name and a password. The form's fields come from its body only: what stands in a URL ends up
// in logs.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	name, back := r.PostFormValue("name"), r.PostFormValue("back")
	session, err := s.desk.SignIn(w, r, name, r.PostFormValue("password"))
	s.signedIn(r, name, session, err)
	if err != nil {
		status, key := s.signFault(err)
		s.showStatus(s.visitOf(w, r), status, "sign", s.signForm(name, back, key))
		return
	}
	http.Redirect(w, r, localPath(back), http.StatusSeeOther)
}

// setUp makes the first administrator.
func (s *Server) setUp(w http.ResponseWriter, r *http.Request) {
	f := setUpForm{Token: r.PostFormValue("token"), Name: r.PostFormValue("name")}
	password, status := r.PostFormValue("password"), http.StatusUnprocessableEntity
	if password != r.PostFormValue("again") {
		f.Error = "sign.differ"
	} else {
		session, err := s.desk.FinishSetUp(w, r, f.Token, f.Name, password)
		s.signedIn(r, f.Name, session, err)
		if err != nil {
			status, f.Error = s.signFault(err)
		}
	}
	if f.Error == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	f.Holds = s.desk.SetUpHolds(f.Token)
	s.showStatus(s.visitOf(w, r), status, "setup", f)
}

func (s *Server) leaveForProvider(w http.ResponseWriter, r *http.Request) {
	if !s.desk.Offered() {
		s.showError(s.visitOf(w, r), errNoPage)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: backCookie, Value: url.QueryEscape(localPath(r.URL.Query().Get("back"))), Path: "/oidc/", MaxAge: 600, HttpOnly: true,
		Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
	})
	if err := s.desk.Leave(w, r); err != nil {
		s.providerFault(w, r, err)
	}
}

func (s *Server) backFromProvider(w http.ResponseWriter, r *http.Request) {
	back, _ := url.QueryUnescape(cookieValue(r, backCookie)) // localPath takes whatever it is
	http.SetCookie(w, &http.Cookie{Name: backCookie, Path: "/oidc/", MaxAge: -1})
	session, err := s.desk.Back(w, r)
	s.signedIn(r, "", session, err)
	if err != nil {
		s.providerFault(w, r, err)
		return
	}
	http.Redirect(w, r, localPath(back), http.StatusSeeOther)
}

func (s *Server) providerFault(w http.ResponseWriter, r *http.Request, err error) {
	s.log.Warn("single sign-on failed", zap.String("client", r.RemoteAddr), zap.Error(err))
	status, key := s.signFault(err)
	s.showStatus(s.visitOf(w, r), status, "sign", s.signForm("", "", key))
}

// showStatus is show for an answer that is no success.
func (s *Server) showStatus(v *visit, status int, name string, data any) {
	s.renderer.Page(v.w, status, name, s.frame(v, data))
}

// signFault says with which status and in which words a sign-in is refused.
func (s *Server) signFault(err error) (status int, key string) {
	for _, p := range deskProblems {
		if errors.Is(err, p.err) {
			return p.problem.Status, "sign." + p.problem.Code
		}
	}
	for _, one := range []struct {
		err    error
		status int
	}{
		{signin.ErrSetUp, http.StatusGone}, {signin.ErrExpired, http.StatusBadRequest}, {signin.ErrNoRole, http.StatusForbidden},
		{signin.ErrProvider, http.StatusBadGateway}, {signin.ErrBusy, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, one.err) {
			return one.status, "sign." + one.err.Error()
		}
	}
	s.log.Error("sign-in", zap.Error(err))
	return http.StatusInternalServerError, "sign.broken"
}

// told gives problems about users and sessions in the words of both languages.
func told(err error) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	for _, one := range deskProblems {
		if one.problem.Code == p.Code {
			return errTold{"sign." + p.Code}
		}
	}
	switch p {
	case errNoSession, errNotLocal, errUserDomain:
		return errTold{"sign." + p.Code}
	}
	return err
}
