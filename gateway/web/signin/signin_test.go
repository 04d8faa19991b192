package signin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// A memory is a Store.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	full   bool
}

func (m *memory) Keep(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return errors.New("the disk is nearly full")
	}
	m.values[name] = value
	return nil
}

func (m *memory) Kept(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[name], nil
}

func (m *memory) KeptNames(prefix string) (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(m.values)) {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, nil
}

func (m *memory) Drop(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, name)
	return nil
}

// A mailServer knows alice, whose password is "mailpass", and may be out of reach.
type mailServer struct{ down bool }

func (m mailServer) Check(_ context.Context, login, password string) error {
	switch {
	case m.down:
		return errors.New("connection refused")
	case strings.EqualFold(login, "alice@corp.example") && password == "mailpass":
		return nil
	}
	return ErrWrong
}

func (mailServer) Who(login string) (identity, role string) {
	if login = fold(login); login == "boss@corp.example" {
		return "boss", "auditor"
	}
	return fold(login), "user"
}

type world struct {
	t     *testing.T
	store *memory
	now   time.Time
	desk  *Desk
}

func newWorld(t *testing.T, checker Checker) *world {
	w := &world{t: t, store: &memory{values: map[string][]byte{}}, now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)}
	w.restart(checker)
	return w
}

func (w *world) restart(checker Checker) {
	w.t.Helper()
	var err error
	w.desk, err = New(DefaultConfig(), w.store, checker, func() time.Time { return w.now }, zap.NewNop())
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) add(name, password, role string) {
	w.t.Helper()
	if err := w.desk.AddUser(name, password, role, nil); err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(time.Second)
}

// signIn gives the session and a request that carries its cookie.
func (w *world) signIn(name, password string) (*Session, *http.Request, error) {
	r := httptest.NewRequest(http.MethodPost, "/sign-in", nil)
	out := httptest.NewRecorder()
	s, err := w.desk.SignIn(out, r, name, password)
	next := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range out.Result().Cookies() {
		next.AddCookie(c)
	}
	return s, next, err
}

func TestSignIn(t *testing.T) {
	w := newWorld(t, mailServer{})
	w.add("Admin", "correct horse", "admin")
	for _, c := range []struct {
		outcome, name, password string
		kind, role              string
		err                     error
	}{
		{"a local user, in any case", "admin", "correct horse", "local", "admin", nil},
		{"a wrong password", "admin", "wrong horse", "", "", ErrWrong},
		{"a wrong name", "nobody", "correct horse", "", "", ErrWrong},
		{"a mail user", "alice@corp.example", "mailpass", "mail", "user", nil},
		{"a mail user's wrong password", "alice@corp.example", "guess", "", "", ErrWrong},
		{"an endless password", "admin", strings.Repeat("x", 2000), "", "", ErrWrong},
	} {
		s, r, err := w.signIn(c.name, c.password)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v", c.outcome, err)
			continue
		}
		if err == nil && (s.Kind != c.kind || s.Role != c.role || w.desk.Session(r) == nil) {
			t.Errorf("%s: %+v", c.outcome, s)
		}
		w.now = w.now.Add(time.Minute)
	}
	down := newWorld(t, mailServer{down: true})
	if _, _, err := down.signIn("alice@corp.example", "mailpass"); !errors.Is(err, ErrBusy) {
		t.Errorf("without the mail server: %v", err)
	}
}

func TestTriesAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	for range triesBurst {
		if _, _, err := w.signIn("admin", "guess"); !errors.Is(err, ErrWrong) {
			t.Fatal(err)
		}
	}
	if _, _, err := w.signIn("admin", "correct horse"); !errors.Is(err, ErrTooOften) {
		t.Errorf("after %d tries: %v", triesBurst, err)
	}
	w.now = w.now.Add(triesPause)
	if _, _, err := w.signIn("admin", "correct horse"); err != nil {
		t.Errorf("after a pause: %v", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	word := "another horse"
	role := "auditor"
	yes := true
	for _, c := range []struct {
		outcome string
		happens func(*world, *Session)
		stays   bool
	}{
		{"used within its time", func(w *world, _ *Session) { w.now = w.now.Add(DefaultConfig().Idle - time.Minute) }, true},
		{"not used", func(w *world, _ *Session) { w.now = w.now.Add(DefaultConfig().Idle + time.Minute) }, false},
		{"revoked", func(w *world, s *Session) { _ = w.desk.Revoke(s.ID) }, false},
		{"another password", func(w *world, _ *Session) { _ = w.desk.ChangeUser("bob", Change{Password: &word}) }, false},
		{"another role", func(w *world, _ *Session) { _ = w.desk.ChangeUser("bob", Change{Role: &role}) }, false},
		{"disabled", func(w *world, _ *Session) { _ = w.desk.ChangeUser("bob", Change{Disabled: &yes}) }, false},
		{"removed", func(w *world, _ *Session) { _ = w.desk.RemoveUser("bob") }, false},
		{"a restart", func(w *world, _ *Session) { w.restart(nil) }, true},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			w := newWorld(t, nil)
			w.add("admin", "correct horse", "admin")
			w.add("bob", "battery staple", "operator")
			s, r, err := w.signIn("bob", "battery staple")
			if err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(time.Second)
			c.happens(w, s)
			if got := w.desk.Session(r) != nil; got != c.stays {
				t.Errorf("signed in: %v", got)
			}
		})
	}
}

func TestALongSessionEndsInAnyCase(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	_, r, err := w.signIn("admin", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for w.desk.Session(r) != nil {
		w.now = w.now.Add(time.Hour)
	}
	if open := w.now.Sub(time.Date(2026, 5, 4, 9, 0, 1, 0, time.UTC)); open < 7*24*time.Hour || open > 7*24*time.Hour+time.Hour {
		t.Errorf("ended after %s", open)
	}
}

// TestSigningInMakesANewSession is about session fixation: a cookie from before is worth nothing.
func TestSigningInMakesANewSession(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	r := httptest.NewRequest(http.MethodPost, "/sign-in", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: strings.Repeat("A", 43)})
	out := httptest.NewRecorder()
	if _, err := w.desk.SignIn(out, r, "admin", "correct horse"); err != nil {
		t.Fatal(err)
	}
	if w.desk.Session(r) != nil {
		t.Error("the cookie from before is signed in")
	}
	c := out.Result().Cookies()[0]
	if c.Value == strings.Repeat("A", 43) || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
		t.Errorf("cookie %+v", c)
	}
	for name, v := range w.store.values {
		if strings.Contains(name+string(v), c.Value) {
			t.Errorf("%s has the token", name)
		}
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	_, r, err := w.signIn("admin", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	out := httptest.NewRecorder()
	w.desk.SignOut(out, r)
	if w.desk.Session(r) != nil || len(w.desk.Sessions(nil)) != 0 || out.Result().Cookies()[0].MaxAge >= 0 {
		t.Error("still signed in")
	}
}

func TestUsers(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	user, name := "auditor", "x"
	for _, c := range []struct {
		outcome string
		do      func(d *Desk) error
		want    error
	}{
		{"a name with a space", func(d *Desk) error { return d.AddUser("a b", "correct horse", "admin", nil) }, ErrName},
		{"a short password", func(d *Desk) error { return d.AddUser("bob", "short", "admin", nil) }, ErrPassword},
		{"the name as password", func(d *Desk) error { return d.AddUser("bobbobbobbob", "BOBbobbobbob", "admin", nil) }, ErrPassword},
		{"the role of mail users", func(d *Desk) error { return d.AddUser("bob", "correct horse", "user", nil) }, ErrRole},
		{"no such role", func(d *Desk) error { return d.AddUser("bob", "correct horse", "king", nil) }, ErrRole},
		{"a name that is taken", func(d *Desk) error { return d.AddUser("ADMIN", "correct horse", "admin", nil) }, ErrTaken},
		{"the last administrator removed", func(d *Desk) error { return d.RemoveUser("admin") }, ErrLast},
		{"the last administrator another role", func(d *Desk) error { return d.ChangeUser("admin", Change{Role: &user}) }, ErrLast},
		{"a user that is not there", func(d *Desk) error { return d.ChangeUser(name, Change{}) }, ErrNoUser},
		{"a good one", func(d *Desk) error { return d.AddUser("王芳", "correct horse", "auditor", []string{"corp.example"}) }, nil},
	} {
		if err := c.do(w.desk); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.outcome, err, c.want)
		}
	}
	if all, err := w.desk.Users(); err != nil || len(all) != 2 || strings.Contains(all[0].Hash, "horse") {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestSetUp(t *testing.T) {
	w := newWorld(t, nil)
	token, err := w.desk.SetUp()
	if err != nil || token == "" || !w.desk.SetUpHolds(token) || w.desk.SetUpHolds(token+"x") || w.desk.SetUpHolds("") {
		t.Fatalf("%q, %v", token, err)
	}
	r := httptest.NewRequest(http.MethodPost, "/set-up", nil)
	if _, err := w.desk.FinishSetUp(httptest.NewRecorder(), r, "wrong", "admin", "correct horse"); !errors.Is(err, ErrSetUp) {
		t.Errorf("a wrong link: %v", err)
	}
	if s, err := w.desk.FinishSetUp(httptest.NewRecorder(), r, token, "admin", "correct horse"); err != nil || s.Role != "admin" {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := w.desk.FinishSetUp(httptest.NewRecorder(), r, token, "eve", "correct horse"); !errors.Is(err, ErrSetUp) {
		t.Errorf("the link holds twice: %v", err)
	}
	if again, err := w.desk.SetUp(); again != "" || err != nil {
		t.Errorf("a link although there is an administrator: %q, %v", again, err)
	}
	late := newWorld(t, nil)
	token, _ = late.desk.SetUp()
	if late.now = late.now.Add(SetUpFor + time.Second); late.desk.SetUpHolds(token) {
		t.Error("the link holds for ever")
	}
}

func TestPasswordsAreVerified(t *testing.T) {
	phc := hash("correct horse")
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") || !verify("correct horse", phc) || verify("wrong", phc) || hash("correct horse") == phc {
		t.Error(phc)
	}
	for _, bad := range []string{"", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA", "$argon2id$v=19$m=4294967295,t=2,p=1$AAAA$AAAA", "$2b$10$abcdefghijklmnopqrstuv"} {
		if verify("correct horse", bad) {
			t.Errorf("%q is a hash", bad)
		}
	}
}

func TestRolesOfGroups(t *testing.T) {
	o := OIDC{Groups: "groups", Login: "email", Roles: map[string]string{"mail-admins": "admin", "staff": "user"}}
	for _, c := range []struct {
		outcome string
		claims  map[string]any
		role    string
		err     error
	}{
		{"the strongest role", map[string]any{"groups": []any{"staff", "mail-admins"}, "sub": "1", "email": "A@corp.example"}, "admin", nil},
		{"a user with a login", map[string]any{"groups": []any{"staff"}, "sub": "1", "email": "A@corp.example"}, "user", nil},
		{"a user without one", map[string]any{"groups": []any{"staff"}, "sub": "1"}, "", ErrNoRole},
		{"no group", map[string]any{"groups": []any{"guests"}, "sub": "1", "email": "a@corp.example"}, "", ErrNoRole},
		{"groups that are no list", map[string]any{"groups": "staff", "sub": "1"}, "", ErrNoRole},
		{"nobody", map[string]any{"groups": []any{"mail-admins"}}, "", ErrProvider},
	} {
		s, err := o.session(c.claims)
		if !errors.Is(err, c.err) || err == nil && (s.Role != c.role || s.Identity != "a@corp.example") {
			t.Errorf("%s: %+v, %v", c.outcome, s, err)
		}
	}
}

func TestConfigFaults(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	c = Config{
		URL: "gw.corp.example", DefaultDomain: "@corp.example", MailSignIn: MailSignIn{By: "ldap"},
		Idle: time.Second, Longest: 1000 * 24 * time.Hour, OIDC: OIDC{Issuer: "http://evil.example", Roles: map[string]string{"g": "king"}},
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("no fault")
	}
	c.URL, c.MailSignIn = "", MailSignIn{By: ByIMAP, IMAP: IMAP{Address: "imap.corp.example", TLS: "ssl"}}
	err = errors.Join(err, c.Validate())
	c.MailSignIn.IMAP = IMAP{Address: "imap.corp.example:143", TLS: "none"}
	err = errors.Join(err, c.Validate())
	for _, want := range []string{
		"session_idle", "at most 2160h (90 days)", "oidc.issuer", "write it as https://host/path",
		"the provider knows sendgate under a client id", "oidc.roles.g: king: not a role: use admin, operator, auditor or user",
		"url: gw.corp.example: write it as https://host, the address that people open; http:// is for 127.0.0.1 and localhost",
		"url: single sign-on needs the address of the dashboard, to which the provider sends people back",
		"default_domain: @corp.example: write a domain, such as corp.example",
		"mail_sign_in.by: ldap: use smtp (the upstream is asked) or imap",
		"mail_sign_in.imap.address: imap.corp.example: write it as host:port, such as imap.corp.example:143",
		"mail_sign_in.imap.tls: ssl: use starttls, implicit or none",
		"mail_sign_in.imap.tls: none: passwords are not sent in clear text to another machine: use starttls or implicit",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestWhatIsAConfigurationInOrder(t *testing.T) {
	for outcome, change := range map[string]func(*Config){
		"behind a proxy":   func(c *Config) { c.URL = "https://mail-gw.corp.example" },
		"on this machine":  func(c *Config) { c.URL = "http://127.0.0.1:8025" },
		"a default domain": func(c *Config) { c.DefaultDomain = "Corp.example" },
		"IMAP with STARTTLS": func(c *Config) {
			c.MailSignIn = MailSignIn{ByIMAP, IMAP{Address: "imap.corp.example:143", TLS: "starttls"}}
		},
		"IMAP with TLS": func(c *Config) {
			c.MailSignIn = MailSignIn{ByIMAP, IMAP{Address: "[2001:db8::1]:993", TLS: "implicit"}}
		},
		"IMAP on this machine":  func(c *Config) { c.MailSignIn = MailSignIn{ByIMAP, IMAP{Address: "127.0.0.1:143", TLS: "none"}} },
		"IMAP that is not used": func(c *Config) { c.MailSignIn = MailSignIn{By: BySMTP, IMAP: IMAP{TLS: "ssl"}} },
	} {
		c := DefaultConfig()
		if change(&c); c.Validate() != nil {
			t.Errorf("%s: %v", outcome, c.Validate())
		}
	}
}

func TestNetworksOfClients(t *testing.T) {
	for client, want := range map[string]string{"192.0.2.7": "192.0.2.7", "2001:db8::1:2": "2001:db8::/64", "::ffff:192.0.2.7": "192.0.2.7", "local": "local"} {
		if got := network(client); got != want {
			t.Errorf("%s: %s", client, got)
		}
	}
}

func TestAFullDiskLetsNobodyNewIn(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	_, r, err := w.signIn("admin", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	w.store.full = true
	w.now = w.now.Add(time.Hour)
	if _, _, err := w.signIn("admin", "correct horse"); err == nil {
		t.Error("signed in without a trace")
	}
	if w.desk.Session(r) == nil {
		t.Error("who was in is out")
	}
}
