package signin

import (
	"errors"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
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
