package signin

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sendgate/sendgate/policy"
)

// Errors that people see; their words are in the dashboard's texts under "sign." and the code.
var (
	ErrName     = errors.New("bad_name")      // not a user name: letters, digits, . _ - @, at most 64
	ErrPassword = errors.New("weak_password") // too short, too long, or the name itself
	ErrRole     = errors.New("bad_role")      // not one of policy.Roles but user
	ErrTaken    = errors.New("name_taken")    // there is a user of this name
	ErrNoUser   = errors.New("no_user")
	ErrLast     = errors.New("last_admin") // the last administrator stays one
)

// A User is a local account.
type User struct {
	Name     string    `json:"name"`
	Role     string    `json:"role"`
	Domains  []string  `json:"domains,omitempty"` // bounds an administrator to senders of these
	Hash     string    `json:"hash"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"` // password or role: sessions from before end
	Disabled bool      `json:"disabled,omitempty"`
}

const userPrefix = "user/"

// Users lists the local users by name.
func (d *Desk) Users() (list []User, err error) {
	names, err := d.store.KeptNames(userPrefix)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		u, err := d.user(strings.TrimPrefix(n, userPrefix))
		if err != nil {
			return nil, err
		}
		list = append(list, *u)
	}
	return list, nil
}

// user reads one; ErrNoUser when there is none.
func (d *Desk) user(name string) (*User, error) {
	data, err := d.store.Kept(userPrefix + fold(name))
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, ErrNoUser
	}
	u := new(User)
	if err := json.Unmarshal(data, u); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return u, nil
}

// AddUser makes a local user.
func (d *Desk) AddUser(name, password, role string, domains []string) error {
	if err := errors.Join(checkName(name), checkPassword(name, password), checkLocalRole(role)); err != nil {
		return err
	}
	d.users.Lock()
	defer d.users.Unlock()
	if _, err := d.user(name); !errors.Is(err, ErrNoUser) {
		return errors.Join(ErrTaken, err)
	}
	now := d.now().UTC()
	return d.keepUser(&User{Name: name, Role: role, Domains: domains, Hash: hash(password), Created: now, Changed: now})
}

// Provide makes a user whose password is not judged, unless there is one of this name: the demo's.
func (d *Desk) Provide(name, password, role string) error {
	d.users.Lock()
	defer d.users.Unlock()
	if _, err := d.user(name); !errors.Is(err, ErrNoUser) {
		return err
	}
	now := d.now().UTC()
	return d.keepUser(&User{Name: name, Role: role, Hash: hash(password), Created: now, Changed: now})
}

// ChangePassword changes a local user's own password, for who knows the one so far. Sessions from before end.
func (d *Desk) ChangePassword(name, password, next string) error {
	if !d.mayTry(nameKey(d.login(name))) {
		return ErrTooOften
	}
	u, err := d.user(name)
	if err != nil {
		return err
	}
	if !verify(password, u.Hash) || u.Disabled {
		return ErrWrong
	}
	return d.ChangeUser(name, Change{Password: &next})
}

// A Change is what ChangeUser alters; nil leaves as it is.
type Change struct {
	Password *string
	Role     *string
	Domains  *[]string
	Disabled *bool
}

// ChangeUser alters a user and ends the sessions from before.
func (d *Desk) ChangeUser(name string, c Change) error {
	d.users.Lock()
	defer d.users.Unlock()
	u, err := d.user(name)
	if err != nil {
		return err
	}
	wasAdmin := u.admin()
	if c.Password != nil {
		if err := checkPassword(u.Name, *c.Password); err != nil {
			return err
		}
		u.Hash = hash(*c.Password)
	}
	if c.Role != nil {
		if err := checkLocalRole(*c.Role); err != nil {
			return err
		}
		u.Role = *c.Role
	}
	if c.Domains != nil {
		u.Domains = *c.Domains
	}
	if c.Disabled != nil {
		u.Disabled = *c.Disabled
	}
	if wasAdmin && !u.admin() {
		if err := d.otherAdmin(u.Name); err != nil {
			return err
		}
	}
	u.Changed = d.now().UTC()
	return d.keepUser(u)
}

// RemoveUser removes a user; sessions end.
func (d *Desk) RemoveUser(name string) error {
	d.users.Lock()
	defer d.users.Unlock()
	u, err := d.user(name)
	if err != nil {
		return err
	}
	if u.admin() {
		if err := d.otherAdmin(u.Name); err != nil {
			return err
		}
	}
	return d.store.Drop(userPrefix + fold(name))
}

// admin reports whether the user may do everything everywhere.
func (u *User) admin() bool { return u.Role == "admin" && !u.Disabled && len(u.Domains) == 0 }

// otherAdmin is ErrLast when there is no administrator but the one named.
func (d *Desk) otherAdmin(name string) error {
	all, err := d.Users()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(u User) bool { return u.admin() && fold(u.Name) != fold(name) }) {
		return nil
	}
	return ErrLast
}

func (d *Desk) keepUser(u *User) error {
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return d.store.Keep(userPrefix+fold(u.Name), data)
}

// fold makes names that differ in case one.
func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func checkName(name string) error {
	bad := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-@", r)
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, bad) {
		return ErrName
	}
	return nil
}

func checkPassword(name, password string) error {
	if n := utf8.RuneCountInString(password); n < MinPassword || len(password) > maxPassword || fold(password) == fold(name) {
		return ErrPassword
	}
	return nil
}

// checkLocalRole leaves out the role of those with mail: a local user has none.
func checkLocalRole(role string) error {
	if role == "user" {
		return ErrRole
	}
	return checkRole(role)
}

func checkRole(role string) error {
	if !slices.Contains(policy.Roles, role) {
		return ErrRole
	}
	return nil
}
