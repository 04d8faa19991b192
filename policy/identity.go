package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// A SignIn is an authentication that a front has seen, or that was refused.
type SignIn struct {
	Identity  string // whom it is about: the login is only claimed where it was refused
	Client    netip.Addr
	Mechanism string // of SASL, as PLAIN; empty when it is not known
	Program   string // what the client calls itself (EHLO)
	Reply     string // with which it was refused, empty for a success
}

// An Identity is a person or a program that sends: one login, all of its addresses, and what it may do.
type Identity struct {
	// Login is the SASL login, as the mail server knows it. Addresses are the sender addresses that belong to it; Groups are named in rules.
	Login     string   `yaml:"login"`
	Addresses []string `yaml:"addresses"`
	Groups    []string `yaml:"groups"`
	Roles     []string `yaml:"roles"` // admin, operator, auditor, user
	// Apart counts each client address for itself: of applications that share a login or an address.
	Apart bool `yaml:"apart"`
}

// Roles that an identity or a token may have.
var Roles = []string{"admin", "operator", "auditor", "user"}

// A Directory finds identities by login and by address. It is immutable.
type Directory struct {
	byName map[string]*Identity // folded login or address
}

// NewDirectory indexes identities; its error is [Faults] with paths relative to the list.
func NewDirectory(identities []Identity) (*Directory, error) {
	d := &Directory{byName: map[string]*Identity{}}
	var faults Faults
	for i := range identities {
		id := &identities[i]
		at := "[" + itoa(i) + "]"
		if strings.TrimSpace(id.Login) == "" {
			faults.Add(at+".login", nil, "an identity needs a login")
			continue
		}
		d.add(&faults, at+".login", id.Login, id)
		for j, a := range id.Addresses {
			path := at + ".addresses[" + itoa(j) + "]"
			addr, err := ParseAddress(a)
			if err != nil {
				faults.Add(path, a, "%v", err)
				continue
			}
			d.add(&faults, path, addr.Key(), id)
		}
		for j, r := range id.Roles {
			if !slices.Contains(Roles, r) {
				faults.Add(at+".roles["+itoa(j)+"]", r, "not a role: use %s", strings.Join(Roles, ", "))
			}
		}
	}
	return d, faults.Err()
}

func (d *Directory) add(faults *Faults, path, name string, id *Identity) {
	key := fold(name)
	if other := d.byName[key]; other != nil && other != id {
		faults.Add(path, name, "already belongs to the identity %q", other.Login)
		return
	}
	d.byName[key] = id
}

// fold is the form under which logins and addresses are compared: as [Address.Key], for a login
// that is one. It is empty only for the empty name.
func fold(name string) string {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return strings.ToLower(name)
	}
	local, domain := strings.ToLower(name[:at]), foldDomain(name[at+1:])
	if local == name[:at] && domain == name[at+1:] {
		return name // as nearly always
	}
	return local + "@" + domain
}

// untagged takes the detail from an address: "ann+news@corp.example" is ann's (RFC 5233).
func untagged(name string) string {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return name
	}
	if plus := strings.IndexByte(name[:at], '+'); plus > 0 {
		return name[:plus] + name[at:]
	}
	return name
}

// Find gives the identity of a login or an address, or nil.
func (d *Directory) Find(name string) *Identity {
	return d.byName[fold(name)]
}

// Canonical names whom mail is counted for: the login of the identity that the SASL login or the
// envelope sender belongs to, else the login itself, else the sender, else the client address.
// Addresses with a detail ("ann+news@") count for the one without. It is never empty.
func (d *Directory) Canonical(login string, sender Address, client string) string {
	for _, name := range []string{login, sender.Key()} {
		if name == "" {
			continue
		}
		id := d.Find(name)
		if id == nil {
			name = untagged(name)
			id = d.Find(name)
		}
		switch {
		case id == nil:
			return fold(name)
		case id.Apart && client != "":
			return strings.ToLower(id.Login) + "#" + client
		}
		return strings.ToLower(id.Login)
	}
	if client == "" {
		return "unknown"
	}
	return client
}

// Groups gives the groups of an identity by its canonical name.
func (d *Directory) Groups(identity string) []string {
	identity, _, _ = strings.Cut(identity, "#")
	if id := d.Find(identity); id != nil {
		return id.Groups
	}
	return nil
}

// Owns reports whether an address belongs to the identity: it is listed, or it is the login itself.
func (d *Directory) Owns(identity string, a Address) bool {
	if a == "" || identity == "" {
		return false
	}
	if fold(identity) == a.Key() {
		return true
	}
	id := d.Find(a.Key())
	return id != nil && id == d.Find(identity)
}
