package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sendgate/sendgate/gateway/web/pages"
	"github.com/sendgate/sendgate/gateway/web/signin"
	"go.uber.org/zap"
)

// Cookies of the dashboard beside the session; none holds a secret.
const (
	languageCookie = "sendgate_language"
	themeCookie    = "sendgate_theme"
	saidCookie     = "sendgate_said" // what came of the act before, shown once
	cookieYear     = 365 * 24 * 3600
)

// A visit is a request for a page.
type visit struct {
	ctx     context.Context // of the request, with its principal
	r       *http.Request
	w       http.ResponseWriter
	session *signin.Session // nil for nobody
	lang    string
	theme   string
}

// role is that of who looks.
func (v *visit) role() string {
	if v.session == nil {
		return ""
	}
	return v.session.Role
}

// form gives a field of the query or the form.
func (v *visit) form(name string) string { return strings.TrimSpace(v.r.FormValue(name)) }

// dashboard serves the pages. Each area has a file of its own.
func (s *Server) dashboard() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.open("error", func(*visit) (any, error) { return nil, errNoPage }))
	mux.Handle("GET "+pages.AssetPath, s.renderer.Assets())
	mux.Handle("GET /{$}", s.page("", func(v *visit) (any, error) { return nil, redirect(homeOf(v.role())) }))
	mux.Handle("GET /live", s.liveAll(mux))
	mux.Handle("POST /language", s.choose(languageCookie, "language", pages.Languages))
	mux.Handle("POST /theme", s.choose(themeCookie, "theme", []string{"light", "dark"}))
	for _, area := range []func(*http.ServeMux){s.overviewPages, s.signPages, s.accountPages, s.settingsPages, s.webhooksPages, s.messagesPages, s.sendersPages, s.limitsPages, s.campaignsPages, s.approvalsPages, s.alertsPages, s.auditPages, s.recallsPages, s.minePages, s.bypassPages} {
		area(mux)
	}
	return pages.Guard(mux)
}

func homeOf(role string) string {
	if role == "user" {
		return "/mine"
	}
	return "/overview"
}

// ownSite refuses what a page of a foreign site makes a browser send: it carries the session's cookie. Programs
// send no field that says where a request comes from, and pass.
func (s *Server) ownSite(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.log.Warn("request from a foreign site refused", zap.String("origin", r.Header.Get("Origin")), zap.String("path", r.URL.Path))
		writeProblem(w, r, problem(http.StatusForbidden, "foreign_site", "this request came from another site: open the dashboard and try again there"))
	}))
	return protection.Handler(next)
}

// sessionOf finds who is signed in; nil for nobody. A page that is left open does not keep its session from idling out.
func (s *Server) sessionOf(r *http.Request) *signin.Session {
	switch {
	case s.desk == nil:
		return nil
	case unattended(r):
		return s.desk.Present(r)
	}
	return s.desk.Session(r)
}

// unattended reports whether an open page makes a request by itself: its live pieces, and its chart.
func unattended(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	switch r.URL.Path {
	case "/overview/chart", apiPath + "/events":
		return true
	}
	return strings.HasSuffix(r.URL.Path, "/live")
}

// visitOf looks who makes a request.
func (s *Server) visitOf(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{ctx: r.Context(), r: r, w: w, session: s.sessionOf(r)}
	v.lang = pages.Language(cookieValue(r, languageCookie), r.Header.Get("Accept-Language"))
	if t := cookieValue(r, themeCookie); t == "light" || t == "dark" {
		v.theme = t
	}
	if v.session != nil {
		v.ctx = context.WithValue(v.ctx, principalKey, principalOf(v.session))
	}
	return v
}

func principalOf(s *signin.Session) principal {
	return principal{actor: "user:" + s.User, role: s.Role, identity: s.Identity, domains: s.Domains, session: s}
}

func cookieValue(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// errRedirect leads a page elsewhere.
type errRedirect struct{ to string }

func (e errRedirect) Error() string { return "see " + e.to }

func redirect(to string) error { return errRedirect{to} }

// errTold is what a person is told whose act could not be done, by the key of the text in both languages.
type errTold struct{ key string }

func (e errTold) Error() string { return e.key }

// page serves a page to whoever is signed in; others are asked to sign in and come back.
func (s *Server) page(name string, build func(*visit) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.visitOf(w, r)
		if v.session == nil {
			http.Redirect(w, r, "/sign-in?back="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		s.show(v, name, build)
	})
}

// open serves a page to everybody.
func (s *Server) open(name string, build func(*visit) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.show(s.visitOf(w, r), name, build) })
}

func (s *Server) show(v *visit, name string, build func(*visit) (any, error)) {
	data, err := build(v)
	var elsewhere errRedirect
	switch {
	case errors.As(err, &elsewhere):
		http.Redirect(v.w, v.r, elsewhere.to, http.StatusSeeOther)
	case err != nil:
		s.showError(v, err)
	default:
		s.renderer.Page(v.w, http.StatusOK, name, s.frame(v, data))
	}
}

func (s *Server) showError(v *visit, err error) {
	p := refusedPage(s.fail("page", err))
	s.renderer.Page(v.w, p.Status, "error", s.frame(v, p.Detail))
}

// part serves one template of a page, for a piece that htmx replaces.
func (s *Server) part(name, part string, build func(*visit) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.visitOf(w, r)
		if v.session == nil {
			w.Header().Set("HX-Redirect", "/sign-in")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		data, err := build(v)
		if err != nil {
			writeProblem(w, r, refusedPage(s.fail("part of a page", err)))
			return
		}
		s.renderer.Part(w, name, part, s.frame(v, data))
	})
}

// act serves a form: it does something and leads to a page, which says once what came of it. said is a key of
// the texts, or empty. After an error that page is the one that the form stands on.
func (s *Server) act(do func(*visit) (to, said string, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.visitOf(w, r)
		if v.session == nil {
			http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
			return
		}
		to, said, err := do(v)
		kind, text := "good", ""
		var elsewhere errRedirect
		var told errTold
		switch {
		case errors.As(err, &elsewhere):
			to = elsewhere.to
		case errors.As(err, &told):
			kind, said = "bad", told.key
			if to == "" {
				to = s.cameFrom(r)
			}
		case err != nil:
			kind, said, text = "bad", "", refusedPage(s.fail("act", err)).Detail
			if to == "" {
				to = s.cameFrom(r)
			}
		}
		if said != "" || text != "" {
			http.SetCookie(w, &http.Cookie{
				Name: saidCookie, Value: url.QueryEscape(kind + "\n" + said + "\n" + text), Path: "/", MaxAge: 60, HttpOnly: true,
				Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
			})
		}
		http.Redirect(w, r, localPath(to), http.StatusSeeOther)
	})
}

// cameFrom is the page on which a form stands.
func (s *Server) cameFrom(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host {
		return "/"
	}
	return u.RequestURI()
}

// localPath keeps a redirect on this host: what is no path here becomes the start.
func localPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(to, "/") ||
		strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`) || strings.ContainsAny(to, "\\\r\n\t") {
		return "/"
	}
	return to
}

// frame is what a page knows of who looks, and what is to be said once.
func (s *Server) frame(v *visit, data any) pages.Frame {
	f := pages.Frame{Language: v.lang, Theme: v.theme, Path: v.r.URL.Path, Version: s.version, Data: data}
	if v.session != nil {
		f.User, f.Role = v.session.User, v.session.Role
		f.Bypass, f.Draining = s.banner(v), s.drain().State != DrainOff
	}
	if said := cookieValue(v.r, saidCookie); said != "" {
		http.SetCookie(v.w, &http.Cookie{Name: saidCookie, Path: "/", MaxAge: -1})
		if text, err := url.QueryUnescape(said); err == nil {
			f.Flash = flashOf(text)
		}
	}
	return f
}

func flashOf(text string) *pages.Flash {
	parts := strings.SplitN(text, "\n", 3)
	if len(parts) != 3 {
		return nil
	}
	switch parts[0] {
	case "good", "bad", "note":
		return &pages.Flash{Kind: parts[0], Key: parts[1], Text: parts[2]}
	}
	return nil
}

// choose keeps a choice of the viewer in a cookie and leads back.
func (s *Server) choose(cookie, field string, from []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, one := range from {
			if one == r.FormValue(field) {
				http.SetCookie(w, &http.Cookie{
					Name: cookie, Value: one, Path: "/", MaxAge: cookieYear, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
				})
			}
		}
		http.Redirect(w, r, localPath(s.cameFrom(r)), http.StatusSeeOther)
	})
}
