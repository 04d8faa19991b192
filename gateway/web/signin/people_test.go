package signin

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAMailUsersSessionEndsWithWhatItStandsFor is about the configuration changing under it.
func TestAMailUsersSessionEndsWithWhatItStandsFor(t *testing.T) {
	w := newWorld(t, mailServer{})
	s, r, err := w.signIn(" Alice@corp.example ", "mailpass")
	if err != nil || s.User != "alice@corp.example" || s.Identity != "alice@corp.example" {
		t.Fatalf("%+v, %v", s, err)
	}
	if !w.desk.TakesMailUsers() || w.desk.Session(r) == nil {
		t.Fatal("not signed in")
	}
	for outcome, change := range map[string]func(){
		"another role":  func() { w.desk.checker = promoted{} },
		"no mail users": func() { c := DefaultConfig(); c.MailUsers = false; w.desk.Reload(c) },
	} {
		w.restart(mailServer{})
		if _, r, err = w.signIn("alice@corp.example", "mailpass"); err != nil {
			t.Fatal(err)
		}
		if change(); w.desk.Session(r) != nil {
			t.Errorf("%s: still signed in", outcome)
		}
	}
}

type promoted struct{ mailServer }

func (promoted) Who(login string) (identity, role string) { return login, "admin" }

func TestUnfitNamesReachNoServer(t *testing.T) {
	for outcome, c := range map[string]struct{ name, password string }{
		"no name":             {"", "mailpass"},
		"no password":         {"alice@corp.example", ""},
		"a name with a zero":  {"alice@corp.example\x00x", "mailpass"},
		"a name with a break": {"alice@corp.example\r\nx", "mailpass"},
		"a zero in it":        {"alice@corp.example", "mail\x00pass"},
	} {
		w := newWorld(t, mailServer{down: true}) // asked, it would say so
		if _, _, err := w.signIn(c.name, c.password); !errors.Is(err, ErrWrong) {
			t.Errorf("%s: %v", outcome, err)
		}
	}
}

func TestOwnPassword(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	_, r, err := w.signIn("admin", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	for _, c := range []struct {
		outcome, password, next string
		err                     error
	}{
		{"a wrong one so far", "guess", "battery staple", ErrWrong},
		{"a weak one", "correct horse", "short", ErrPassword},
		{"a good one", "correct horse", "battery staple", nil},
	} {
		if err := w.desk.ChangePassword("admin", c.password, c.next); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v", c.outcome, err)
		}
		if open := w.desk.Session(r) != nil; open != (c.err != nil) {
			t.Errorf("%s: signed in: %v", c.outcome, open)
		}
	}
	for range triesBurst {
		_ = w.desk.ChangePassword("admin", "guess", "battery staple")
	}
	if err := w.desk.ChangePassword("admin", "battery staple", "correct horse"); !errors.Is(err, ErrTooOften) {
		t.Errorf("after many tries: %v", err)
	}
}

// TestNamesOfDifferentKindsAreDifferentPeople: the provider may call anybody "admin".
func TestNamesOfDifferentKindsAreDifferentPeople(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	local, _, err := w.signIn("admin", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.desk.begin(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), Session{User: "admin", Kind: SSO, Role: "auditor"})
	if err != nil {
		t.Fatal(err)
	}
	if list := w.desk.Sessions(local); len(list) != 1 || list[0].ID != local.ID || len(w.desk.Sessions(nil)) != 2 {
		t.Errorf("%+v", list)
	}
	if got := w.desk.Find(other.ID); got == nil || got.SameUser(local) {
		t.Errorf("%+v", got)
	}
	if w.desk.Find("") != nil {
		t.Error("a session without a name")
	}
}

func TestASetUpLinkMakesOneAdministrator(t *testing.T) {
	w := newWorld(t, nil)
	if !w.desk.Empty() {
		t.Error("somebody is there")
	}
	first, err := w.desk.SetUp()
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.desk.SetUpAgain()
	if err != nil || w.desk.SetUpHolds(first) {
		t.Fatalf("the link from before holds, %v", err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for _, name := range []string{"a", "b", "c", "d"} {
		group.Go(func() {
			_, err := w.desk.FinishSetUp(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), token, name, "correct horse")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			}
		})
	}
	group.Wait()
	if made != 1 {
		t.Errorf("%d administrators", made)
	}
	again, err := w.desk.SetUpAgain()
	if err != nil || !w.desk.SetUpHolds(again) {
		t.Errorf("no further link: %v", err)
	}
}

func TestProvideIsForTheDemo(t *testing.T) {
	w := newWorld(t, nil)
	for range 2 { // a second start
		if err := w.desk.Provide("admin", "demo", "admin"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.signIn("admin", "demo"); err != nil {
		t.Error(err)
	}
}

func TestALoginWithoutDomainIsCompleted(t *testing.T) {
	w := newWorld(t, mailServer{})
	w.add("alice", "a local password", "auditor")
	if s, _, err := w.signIn("bob", "mailpass"); !errors.Is(err, ErrWrong) {
		t.Errorf("without a default domain: %+v, %v", s, err)
	}
	c := DefaultConfig()
	c.DefaultDomain = "corp.example"
	w.desk.Reload(c)
	for _, one := range []struct{ outcome, name, password, user, kind string }{
		{"a local user goes before the mailbox", "alice", "a local password", "alice", Local},
		{"with another domain", "alice@other.example", "mailpass", "", ""},
		{"with the domain", "Alice@Corp.example", "mailpass", "alice@corp.example", Mail},
		{"the password of the mailbox is not that of the local user", "alice", "mailpass", "", ""},
	} {
		s, _, err := w.signIn(one.name, one.password)
		switch {
		case one.user == "":
			if !errors.Is(err, ErrWrong) {
				t.Errorf("%s: %+v, %v", one.outcome, s, err)
			}
		case err != nil || s.User != one.user || s.Kind != one.kind:
			t.Errorf("%s: %+v, %v", one.outcome, s, err)
		}
	}
	if err := w.desk.RemoveUser("alice"); err != nil {
		t.Fatal(err)
	}
	s, _, err := w.signIn(" Alice ", "mailpass")
	if err != nil || s.User != "alice@corp.example" || s.Identity != "alice@corp.example" {
		t.Fatalf("without the domain: %+v, %v", s, err)
	}
	w.now = w.now.Add(time.Hour)
	for i := range 2 * triesBurst { // with and without the domain it is one name
		_, _, err = w.signIn([]string{"alice", "alice@corp.example"}[i%2], "guess")
	}
	if !errors.Is(err, ErrTooOften) {
		t.Errorf("many tries: %v", err)
	}
}

func TestEndingsAreToldOnce(t *testing.T) {
	w := newWorld(t, mailServer{})
	w.add("admin", "correct horse", "admin")
	w.add("olga", "correct horse", "operator")
	begun := map[string]string{}
	requests := map[string]*http.Request{}
	for _, name := range []string{"admin", "olga", "alice@corp.example"} {
		password := map[bool]string{true: "mailpass", false: "correct horse"}[name[0] == 'a' && name != "admin"]
		s, r, err := w.signIn(name, password)
		if err != nil {
			t.Fatal(err)
		}
		begun[s.ID], requests[name] = name, r
	}
	endings := func() (all []string) {
		for _, e := range w.desk.Sweep() {
			all = append(all, begun[e.ID]+" "+e.Why)
		}
		slices.Sort(all)
		return all
	}
	want := func(when string, all ...string) {
		t.Helper()
		if got := endings(); !slices.Equal(got, all) {
			t.Errorf("%s: %q", when, got)
		}
	}
	want("at first")
	w.now = w.now.Add(time.Second)
	if err := w.desk.RemoveUser("olga"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it ends once
		if w.desk.Session(requests["olga"]) != nil {
			t.Error("who was removed is in")
		}
	}
	want("after olga was removed", "olga changed")
	want("once more")
	w.now = w.now.Add(11 * time.Hour)
	if w.desk.Session(requests["admin"]) == nil {
		t.Error("a request within the time is refused")
	}
	w.now = w.now.Add(2 * time.Hour)
	want("without a request", "alice@corp.example idle")
	for range 20 {
		w.now = w.now.Add(10 * time.Hour)
		if w.desk.Session(requests["admin"]) == nil {
			break
		}
	}
	w.restart(mailServer{})
	want("what was told of before a restart is not told again", []string(nil)...)
	if _, _, err := w.signIn("admin", "correct horse"); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(13 * time.Hour)
	w.restart(mailServer{})
	if got := w.desk.Sweep(); len(got) != 1 || got[0].Why != EndedIdle || got[0].User != "admin" {
		t.Errorf("what ended while sendgate was down: %+v", got)
	}
}

func TestACookieOverTLSIsThisHostsAlone(t *testing.T) {
	w := newWorld(t, nil)
	w.add("admin", "correct horse", "admin")
	r := httptest.NewRequest(http.MethodPost, "https://gw.corp.example/sign-in", nil)
	out := httptest.NewRecorder()
	if _, err := w.desk.SignIn(out, r, "admin", "correct horse"); err != nil {
		t.Fatal(err)
	}
	c := out.Result().Cookies()[0]
	if c.Name != "__Host-sendgate_session" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
		t.Fatalf("the cookie is %+v", c)
	}
	r = httptest.NewRequest(http.MethodGet, "https://gw.corp.example/", nil)
	r.AddCookie(&http.Cookie{Name: "sendgate_session", Value: c.Value})
	if w.desk.Session(r) != nil {
		t.Error("a cookie that anybody could have planted is believed")
	}
	r.AddCookie(c)
	if w.desk.Session(r) == nil {
		t.Fatal("the cookie of the host is not known")
	}
	out = httptest.NewRecorder()
	w.desk.SignOut(out, r)
	if gone := out.Result().Cookies()[0]; gone.Name != c.Name || gone.MaxAge >= 0 || w.desk.Session(r) != nil {
		t.Errorf("after signing out: %+v", gone)
	}
}

// A changingStore does something once, when it is asked for a value, or before it keeps one.
type changingStore struct {
	*memory
	name string
	then func()
}

func (c *changingStore) Kept(name string) ([]byte, error) {
	v, err := c.memory.Kept(name)
	if then := c.then; name == c.name && then != nil {
		c.then = nil
		then()
	}
	return v, err
}

func (c *changingStore) Keep(name string, value []byte) error {
	if then := c.then; strings.HasPrefix(name, c.name) && then != nil {
		c.then = nil
		then()
	}
	return c.memory.Keep(name, value)
}

// Who signs in with what is changed at that moment has a session that is over.
func TestASessionIsNotOlderThanItsUser(t *testing.T) {
	next, role := "another horse", "auditor"
	for outcome, change := range map[string]Change{"the password": {Password: &next}, "the role": {Role: &role}} {
		t.Run(outcome, func(t *testing.T) {
			w := newWorld(t, nil)
			w.add("root", "correct horse", "admin")
			w.add("olga", "correct horse", "operator")
			store := &changingStore{memory: w.store, name: "user/olga"}
			desk, err := New(DefaultConfig(), store, nil, func() time.Time { return w.now }, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			store.then = func() {
				w.now = w.now.Add(time.Second)
				if err := desk.ChangeUser("olga", change); err != nil {
					t.Error(err)
				}
				w.now = w.now.Add(time.Second)
			}
			w.desk = desk
			_, r, err := w.signIn("olga", "correct horse")
			if err != nil || store.then != nil {
				t.Fatalf("%v, changed: %v", err, store.then == nil)
			}
			if s := desk.Session(r); s != nil {
				t.Errorf("it is open: %+v", s)
			}
		})
	}
}

// A session that is ended while its use is written down does not come back with a restart.
func TestAnEndedSessionStaysEnded(t *testing.T) {
	w := newWorld(t, nil)
	w.add("root", "correct horse", "admin")
	store := &changingStore{memory: w.store, name: sessionPrefix}
	desk, err := New(DefaultConfig(), store, nil, func() time.Time { return w.now }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	w.desk = desk
	s, r, err := w.signIn("root", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(2 * seenPause)
	store.then = func() {
		if err := desk.Revoke(s.ID); err != nil {
			t.Error(err)
		}
	}
	desk.Session(r)
	if store.then != nil {
		t.Fatal("its use was not written down")
	}
	w.restart(nil)
	if s := w.desk.Session(r); s != nil {
		t.Errorf("it is open after a restart: %+v", s)
	}
}

// Whoever has no more tries cannot get them back by names that push others out of what is remembered.
func TestNamesOfOneClientPushNobodyOut(t *testing.T) {
	w := newWorld(t, mailServer{})
	for i := range maxTries + 10 {
		_, _, err := w.signIn(fmt.Sprint("name", i), "guess")
		if want := ErrWrong; i >= triesBurst {
			if want = ErrTooOften; !errors.Is(err, want) {
				t.Fatalf("try %d: %v", i, err)
			}
		} else if !errors.Is(err, want) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if n := len(w.desk.tries); n > 2*triesBurst {
		t.Errorf("%d names and clients are remembered", n)
	}
	if key := nameKey(strings.Repeat("x", 1<<20)); len(key) > 64 {
		t.Errorf("a name takes %d octets", len(key))
	}
}
