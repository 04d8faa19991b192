package mailbox

import (
	"errors"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// A Router knows which backend has the mailbox of an address. It does not change after it was made.
type Router struct {
	routes []route
}

type route struct {
	Config
	backend Backend
}

// NewRouter takes the configured entries and their backends, in the same order. It owns the backends.
func NewRouter(configs []Config, backends []Backend) *Router {
	r := &Router{}
	for i, b := range backends {
		r.routes = append(r.routes, route{configs[i], b})
	}
	return r
}

// For gives the backend that has the mailbox of an address, its name, and whose mailbox it is there.
func (r *Router) For(a policy.Address) (b Backend, user, name string, ok bool) {
	for _, t := range r.routes {
		if slices.ContainsFunc(t.Domains, func(p string) bool { return policy.MatchAddress(p, a) }) {
			return t.backend, t.user(a), t.Name, true
		}
	}
	return nil, "", "", false
}

// Named gives the backend of a [policy.MailCopy].
func (r *Router) Named(name string) (Backend, bool) {
	for _, t := range r.routes {
		if t.Name == name {
			return t.backend, true
		}
	}
	return nil, false
}

// Close closes all backends.
func (r *Router) Close() error {
	var all []error
	for _, t := range r.routes {
		all = append(all, t.backend.Close())
	}
	return errors.Join(all...)
}

// user gives the user name of an address: in lower case, the domain as A-label, without extension.
func (c *Config) user(a policy.Address) string {
	key := policy.Address(a.Key())
	local := key.Local()
	if i := strings.IndexAny(local, c.RecipientDelimiter); i > 0 && local[0] != '"' {
		local = local[:i]
	}
	return Expand(c.User, local+"@"+key.Domain())
}

// Expand fills a template in: %u is the user, %n what stands before its last @, %d what stands after it.
func Expand(template, user string) string {
	local, domain := user, ""
	if at := strings.LastIndexByte(user, '@'); at >= 0 {
		local, domain = user[:at], user[at+1:]
	}
	return strings.NewReplacer("%u", user, "%n", local, "%d", domain).Replace(template)
}
