package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Session is somebody who is signed in.
type Session struct {
	ID       string    `json:"-"`    // by which it is listed and revoked; not the token
	User     string    `json:"user"` // as shown, and in events as "user:NAME"
	Kind     string    `json:"kind"` // Local, Mail or SSO
	Role     string    `json:"role"`
	Identity string    `json:"identity,omitempty"` // of a mail user: whose mail it is
	Domains  []string  `json:"domains,omitempty"`
	Created  time.Time `json:"created"`
	Seen     time.Time `json:"seen"`
	Address  string    `json:"address"` // of the client that signed in
	Agent    string    `json:"agent"`   // its program
}

// Values of Session.Kind.
const (
	Local = "local" // a user of sendgate's own
	Mail  = "mail"  // who has a mailbox
	SSO   = "oidc"
)

const (
	sessionPrefix = "session/"
	cookieName    = "sendgate_session"
	// ownHost begins the names of cookies over TLS: browsers keep others than this very host from setting such.
	ownHost   = "__Host-"
	tokenSize = 32
	maxAgent  = 200
	// seenPause is how much older a session's last use may be in the store.
	seenPause = time.Minute
)

// begin makes a session and sets its cookie.
func (d *Desk) begin(w http.ResponseWriter, r *http.Request, s Session) (*Session, error) {
	raw := make([]byte, tokenSize)
	rand.Read(raw) // never fails (crypto/rand)
	token := base64.RawURLEncoding.EncodeToString(raw)
	now := d.now().UTC()
	if s.Created.IsZero() {
		s.Created = now
	}
	s.ID, s.Seen = sessionID(token), now
	s.Address, s.Agent = clientOf(r), r.UserAgent()
	if len(s.Agent) > maxAgent {
		s.Agent = s.Agent[:maxAgent]
	}
	if err := d.keepSession(&s); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.sessions[s.ID] = &s
	d.mu.Unlock()
	http.SetCookie(w, cookie(r, cookieName, token, int(d.config().Longest/time.Second)))
	return &s, nil
}

// nameFor is the name of a cookie of a request. One that came over TLS never believes the other cookie, which
// anybody on the way of a request in clear text can plant.
func nameFor(r *http.Request, name string) string {
	if r.TLS != nil {
		return ownHost + name
	}
	return name
}

func cookie(r *http.Request, name, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: nameFor(r, name), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
	}
}

// sessionID is the name under which the store has a session.
func sessionID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:16])
}

func (d *Desk) keepSession(s *Session) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return d.store.Keep(sessionPrefix+s.ID, data)
}

// Session finds who makes a request; nil for nobody. The request is a use of the session: see Config.Idle.
func (d *Desk) Session(r *http.Request) *Session {
	s := d.Present(r)
	if s == nil {
		return nil
	}
	if now := d.now().UTC(); now.Sub(s.Seen) >= seenPause {
		s.Seen = now
		kept := *s
		d.mu.Lock()
		if d.sessions[s.ID] != nil {
			d.sessions[s.ID] = &kept
		}
		d.mu.Unlock()
		d.keepSeen(s)
	}
	return s
}

// Present is Session for what a page that is open asks for by itself: nobody need be there, and it is no use.
func (d *Desk) Present(r *http.Request) *Session {
	c, err := r.Cookie(nameFor(r, cookieName))
	if err != nil || len(c.Value) > 2*tokenSize {
		return nil
	}
	id := sessionID(c.Value)
	d.mu.Lock()
	known := d.sessions[id]
	d.mu.Unlock()
	if known == nil {
		return nil
	}
	now := d.now().UTC()
	d.mu.Lock()
	s := *known
	d.mu.Unlock()
	if why := d.whyOver(&s, now); why != "" {
		d.expire(&s, why)
		return nil
	}
	return &s
}

// keepSeen writes down that a session was used: what is lost otherwise is that this was within the last minute. One that
// was ended meanwhile must not come back from the store after a restart.
func (d *Desk) keepSeen(s *Session) {
	_ = d.keepSession(s)
	d.mu.Lock()
	ended := d.sessions[s.ID] == nil
	d.mu.Unlock()
	if ended {
		_ = d.store.Drop(sessionPrefix + s.ID) // as Revoke does
	}
}

// stillHolds reports whether a user still is and may what holds for the session.
func (d *Desk) stillHolds(s *Session) bool {
	switch s.Kind {
	case Mail:
		if d.checker == nil || !d.config().MailUsers {
			return false
		}
		identity, role := d.checker.Who(s.User)
		return identity == s.Identity && role == s.Role
	case SSO:
		return d.Offered()
	}
	u, err := d.user(s.User)
	if err != nil {
		return !errors.Is(err, ErrNoUser) // a store that cannot be read ends nobody's session
	}
	return !u.Disabled && !u.Changed.After(s.Created) && u.Role == s.Role && slices.Equal(u.Domains, s.Domains)
}

// Sessions lists those that are open, the latest used first: everybody's for nil, else those of the same user.
func (d *Desk) Sessions(of *Session) (list []Session) {
	now := d.now().UTC()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sessions {
		if (of == nil || s.SameUser(of)) && d.pastEnd(s, now) == "" {
			list = append(list, *s)
		}
	}
	slices.SortFunc(list, func(a, b Session) int {
		if c := b.Seen.Compare(a.Seen); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// SameUser reports whether two sessions are those of one user: names of different kinds mean different people.
func (s *Session) SameUser(of *Session) bool { return s.Kind == of.Kind && s.User == of.User }

// Find gives an open session by its ID, nil when there is none.
func (d *Desk) Find(id string) *Session {
	now := d.now().UTC()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sessions[id]; s != nil && d.pastEnd(s, now) == "" {
		found := *s
		return &found
	}
	return nil
}

// Revoke ends a session.
func (d *Desk) Revoke(id string) error {
	d.mu.Lock()
	delete(d.sessions, id)
	d.mu.Unlock()
	return d.store.Drop(sessionPrefix + id)
}

// SignOut ends the session of a request and removes its cookie.
func (d *Desk) SignOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(nameFor(r, cookieName)); err == nil {
		_ = d.Revoke(sessionID(c.Value)) // gone from memory in any case
	}
	http.SetCookie(w, cookie(r, cookieName, "", -1))
}

// load reads the sessions that an earlier process kept, and ends those that are over.
func (d *Desk) load() error {
	names, err := d.store.KeptNames(sessionPrefix)
	if err != nil {
		return err
	}
	now := d.now().UTC()
	for _, name := range names {
		data, err := d.store.Kept(name)
		if err != nil {
			return err
		}
		s := &Session{ID: strings.TrimPrefix(name, sessionPrefix)}
		if json.Unmarshal(data, s) != nil {
			if err := d.store.Drop(name); err != nil {
				return err
			}
			continue
		}
		d.sessions[s.ID] = s
		if why := d.pastEnd(s, now); why != "" {
			d.expire(s, why)
		}
	}
	return nil
}
