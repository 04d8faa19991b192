package web

import (
	"net/http"
	"strings"

	"github.com/sendgate/sendgate/gateway/web/signin"
)

// accountData is what a person sees about the own account.
type accountData struct {
	Me       Me
	Local    bool // has a password here
	Sessions []sessionRow
	Limits   *MyLimits // of who has mail
	SignIns  []SignIn
}

// A sessionRow is a session with a short name for its program.
type sessionRow struct {
	Session
	Program string
}

func sessionRows(list []Session) (rows []sessionRow) {
	for _, one := range list {
		rows = append(rows, sessionRow{one, programOf(one.Agent)})
	}
	return rows
}

// programOf makes "Firefox · Windows" of what a browser calls itself. The order counts: Edge says that it is
// Chrome, too, and all say that they are Safari. What is no browser keeps its name.
func programOf(agent string) string {
	first := func(names ...string) string {
		for i := 0; i < len(names); i += 2 {
			if strings.Contains(agent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	browser := first("Edg", "Edge", "OPR/", "Opera", "MicroMessenger", "WeChat", "Firefox/", "Firefox", "Chrome/", "Chrome", "Safari/", "Safari")
	system := first("Windows", "Windows", "Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Mac OS X", "macOS", "Linux", "Linux")
	if browser == "" || system == "" {
		return agent
	}
	return browser + " · " + system
}

func (s *Server) accountPages(mux *http.ServeMux) {
	mux.Handle("GET /account", s.page("account", s.accountPage))
	mux.Handle("POST /account/password", s.act(s.accountPassword))
	mux.Handle("POST /account/sessions/{id}/revoke", s.act(func(v *visit) (to, said string, err error) {
		if _, err := call[sessionInput, struct{}](s, v, "revoke-session", &sessionInput{ID: v.r.PathValue("id")}); err != nil {
			return "/account", "", told(err)
		}
		return "/account", "account.revoked", nil
	}))
}

func (s *Server) accountPage(v *visit) (any, error) {
	me, err := call[struct{}, meOutput](s, v, "me", &struct{}{})
	if err != nil {
		return nil, err
	}
	open, err := call[sessionsInput, sessionsOutput](s, v, "list-sessions", &sessionsInput{Mine: true})
	if err != nil {
		return nil, err
	}
	d := accountData{Me: me.Body, Local: me.Body.Kind == signin.Local, Sessions: sessionRows(open.Body.Sessions)}
	if v.role() != "user" || v.session.Identity == "" {
		return d, nil
	}
	return s.accountOfSender(v, d)
}

// accountOfSender adds what concerns the own mail.
func (s *Server) accountOfSender(v *visit, d accountData) (any, error) {
	limits, err := call[struct{}, myLimitsOutput](s, v, "my-limits", &struct{}{})
	if err != nil {
		return nil, err
	}
	places, err := call[struct{}, signInsOutput](s, v, "my-sign-ins", &struct{}{})
	if err != nil {
		return nil, err
	}
	d.Limits, d.SignIns = &limits.Body, places.Body.SignIns
	return d, nil
}

// accountPassword changes the own password. It ended the session, too: who knows the new password has another.
func (s *Server) accountPassword(v *visit) (to, said string, err error) {
	next := v.r.PostFormValue("new")
	if next != v.r.PostFormValue("again") {
		return "/account", "", errTold{"sign.differ"}
	}
	in := &passwordInput{PasswordChange{Password: v.r.PostFormValue("password"), New: next}}
	if _, err := call[passwordInput, struct{}](s, v, "change-my-password", in); err != nil {
		return "/account", "", told(err)
	}
	if _, err := s.desk.SignIn(v.w, v.r, v.session.User, next); err != nil {
		return "/sign-in", "account.password_changed", nil
	}
	return "/account", "account.password_changed", nil
}
