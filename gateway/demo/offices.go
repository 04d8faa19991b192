package demo

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/sendgate/sendgate/policy"
)

// A Person works at corp.example and has a mailbox there.
type Person struct {
	Login string // before the @
	Name  string
	Alias string // another local part of the same mailbox, or empty
}

// Address is the person's mail address.
func (p Person) Address() string { return p.Login + "@" + Domain }

// People are those who have a mailbox.
func People() []Person {
	return []Person{
		{Login: "alice", Name: "Alice Anders"},
		{Login: "bob", Name: "Bob Berg"},
		{Login: "carol", Name: "Carol Clark"},
		{Login: "wang.fang", Name: "王芳", Alias: "王芳"},
		{Login: "li.lei", Name: "李雷", Alias: "李雷"},
		{Login: "postmaster", Name: "Postmaster"},
	}
}

// offices holds the mailboxes by their local parts.
type offices struct {
	mailboxes map[string]*imapmemserver.User
}

func newOffices() *offices {
	o := &offices{mailboxes: map[string]*imapmemserver.User{}}
	for _, p := range People() {
		user := imapmemserver.NewUser(p.Login, Password)
		for _, folder := range []string{"INBOX", "Sent", "Drafts", "Trash", "Junk"} {
			if err := user.Create(folder, nil); err != nil {
				panic(fmt.Sprintf("demo: new mailbox %s of %s: %v", folder, p.Login, err))
			}
		}
		o.mailboxes[p.Login] = user
		if p.Alias != "" {
			o.mailboxes[p.Alias] = user
		}
	}
	return o
}

// find gives the mailbox of a name or an address of the domain, or nil.
func (o *offices) find(name string) *imapmemserver.User {
	return o.mailboxes[strings.TrimSuffix(strings.ToLower(name), "@"+Domain)]
}

// admits reports whether the login exists and the password is right.
func (o *offices) admits(login, password string) bool {
	return o.find(login) != nil && password == Password
}

// deliver puts a message into an inbox.
func (o *offices) deliver(to policy.Address, message []byte) error {
	_, err := o.find(to.Key()).Append("INBOX", literal{bytes.NewReader(message)}, &imap.AppendOptions{})
	return err
}

type literal struct{ *bytes.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

// A reader is an IMAP session. It differs from imapmemserver's in that the whole address and the
// alias may be the login.
type reader struct {
	*imapmemserver.UserSession // nil before the login
	offices                    *offices
}

// Login opens the mailbox.
func (r *reader) Login(login, password string) error {
	if !r.offices.admits(login, password) {
		return imapserver.ErrAuthFailed
	}
	r.UserSession = imapmemserver.NewUserSession(r.offices.find(login))
	return nil
}
