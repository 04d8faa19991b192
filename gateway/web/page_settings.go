package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/gateway/web/pages"
)

// A settingsTab is a part of the settings, for those who may use the operation it shows.
type settingsTab struct {
	Name      string
	operation string // empty: everybody who looks after mail
}

var settingsTabs = []settingsTab{
	{"users", "list-users"}, {"sessions", "list-users"}, {"tokens", "list-tokens"}, {"webhooks", "list-webhooks"}, {"configuration", "get-config"}, {"about", ""},
}

// settingsData is what the settings show: Tab, and what belongs to it.
type settingsData struct {
	offer
	Tab      string
	Tabs     []settingsTab
	Users    []User
	Roles    []string // of users
	Sessions []sessionRow
	Tokens   []KnownToken
	Webhooks []shownWebhook
	Config   string
	Vendored []pages.Vendored
	Version  string
	Storage  *Storage // nil for those who may not see it
	Bypass   []string // for how long the rules can be bypassed; none for those who may not, and while they are
}

// userData is what the page of one user shows.
type userData struct {
	User  User
	Roles []string
	Self  bool
}

// userRoles are those of users of sendgate's own: who has mail signs in with the mailbox.
var userRoles = []string{"admin", "operator", "auditor"}

func (s *Server) settingsPages(mux *http.ServeMux) {
	mux.Handle("GET /settings", s.page("settings", func(v *visit) (any, error) {
		return nil, redirect("/settings/" + s.tabsOf(v)[0].Name)
	}))
	mux.Handle("GET /settings/{tab}", s.page("settings", s.settingsPage))
	mux.Handle("GET /settings/users/{name}", s.page("user", s.userPage))
	mux.Handle("POST /settings/users", s.act(s.settingsAddUser))
	mux.Handle("POST /settings/users/{name}", s.act(s.settingsChangeUser))
	mux.Handle("POST /settings/users/{name}/remove", s.act(s.settingsRemoveUser))
	mux.Handle("POST /settings/sessions/{id}/revoke", s.act(s.settingsRevoke))
}

// tabsOf gives the parts that somebody may see.
func (s *Server) tabsOf(v *visit) (tabs []settingsTab) {
	who := whoIs(v.ctx)
	for _, t := range settingsTabs {
		if t.operation == "" || who.allowed(access[t.operation]) {
			tabs = append(tabs, t)
		}
	}
	return tabs
}

func (s *Server) settingsPage(v *visit) (any, error) {
	d := &settingsData{offer: offerTo(v), Tab: v.r.PathValue("tab"), Tabs: s.tabsOf(v), Roles: userRoles, Version: s.version}
	if !slices.ContainsFunc(d.Tabs, func(t settingsTab) bool { return t.Name == d.Tab }) {
		return nil, errNoPage
	}
	return d, s.fillSettings(v, d)
}

// fillSettings asks for what the tab shows.
func (s *Server) fillSettings(v *visit, d *settingsData) error {
	switch d.Tab {
	case "users":
		out, err := call[struct{}, usersOutput](s, v, "list-users", &struct{}{})
		if err != nil {
			return err
		}
		d.Users = out.Body.Users
	case "sessions":
		out, err := call[sessionsInput, sessionsOutput](s, v, "list-sessions", &sessionsInput{})
		if err != nil {
			return err
		}
		d.Sessions = sessionRows(out.Body.Sessions)
	case "tokens":
		out, err := call[struct{}, tokensOutput](s, v, "list-tokens", &struct{}{})
		if err != nil {
			return err
		}
		d.Tokens = out.Body.Tokens
	case "webhooks":
		return s.fillWebhooks(v, d)
	case "configuration":
		out, err := call[struct{}, configOutput](s, v, "get-config", &struct{}{})
		if err != nil {
			return err
		}
		d.Config = out.Body.YAML
	case "about":
		d.Vendored = s.renderer.Vendored()
		if s.bypasses != nil && !s.bypass().On && whoIs(v.ctx).allowed(access["start-bypass"]) {
			d.Bypass = bypassSpans
		}
		if !whoIs(v.ctx).allowed(access["get-store"]) {
			return nil
		}
		out, err := call[struct{}, storageOutput](s, v, "get-store", &struct{}{})
		if err != nil {
			return err
		}
		d.Storage = &out.Body
	}
	return nil
}

func (s *Server) userPage(v *visit) (any, error) {
	out, err := call[struct{}, usersOutput](s, v, "list-users", &struct{}{})
	if err != nil {
		return nil, err
	}
	for _, u := range out.Body.Users {
		if u.Name == v.r.PathValue("name") {
			return userData{User: u, Roles: userRoles, Self: v.session.Kind == "local" && u.Name == v.session.User}, nil
		}
	}
	return nil, errNoPage
}

func (s *Server) settingsAddUser(v *visit) (to, said string, err error) {
	in := &addUserInput{NewUser{
		Name: v.form("name"), Role: v.form("role"), Domains: domainsOf(v.form("domains")), Password: v.r.PostFormValue("password"),
	}}
	if _, err := call[addUserInput, userOutput](s, v, "add-user", in); err != nil {
		return "/settings/users", "", told(err)
	}
	return "/settings/users", "settings.user_added", nil
}

func (s *Server) settingsChangeUser(v *visit) (to, said string, err error) {
	name := v.r.PathValue("name")
	role, domains, disabled := v.form("role"), domainsOf(v.form("domains")), v.form("disabled") != ""
	c := UserChange{Role: &role, Domains: &domains, Disabled: &disabled}
	if p := v.r.PostFormValue("password"); p != "" {
		c.Password = &p
	}
	if _, err := call[changeUserInput, userOutput](s, v, "change-user", &changeUserInput{Name: name, Body: c}); err != nil {
		return "/settings/users/" + url.PathEscape(name), "", told(err)
	}
	return "/settings/users", "settings.user_changed", nil
}

func (s *Server) settingsRemoveUser(v *visit) (to, said string, err error) {
	name := v.r.PathValue("name")
	if _, err := call[userInput, struct{}](s, v, "remove-user", &userInput{Name: name}); err != nil {
		return "/settings/users/" + url.PathEscape(name), "", told(err)
	}
	return "/settings/users", "settings.user_removed", nil
}

func (s *Server) settingsRevoke(v *visit) (to, said string, err error) {
	if _, err := call[sessionInput, struct{}](s, v, "revoke-session", &sessionInput{ID: v.r.PathValue("id")}); err != nil {
		return "/settings/sessions", "", told(err)
	}
	return "/settings/sessions", "settings.session_revoked", nil
}

// domainsOf reads domains as people write them into a field.
func domainsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == ';' || r == '，' || r == '、' })
}
