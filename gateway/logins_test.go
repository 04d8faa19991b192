package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// failingOnce is a journal that does not take the first change.
type failingOnce struct {
	*store.Store
	once sync.Once
}

func (f *failingOnce) Commit(ctx context.Context, c store.Change) (revision uint64, err error) {
	f.once.Do(func() { err = errors.New("the disk is full") })
	if err != nil {
		return 0, err
	}
	return f.Store.Commit(ctx, c)
}

// written gives the logins that the journal has.
func written(t *testing.T, journal *store.Store) (all []string) {
	t.Helper()
	ids, err := journal.Records(t.Context(), policy.Login, 100, policy.ID{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		records, err := journal.Timeline(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			for _, e := range r.Events {
				all = append(all, e.Time.Format("15:04 ")+e.Subject+" "+e.Evidence)
			}
		}
	}
	slices.Sort(all)
	return all
}

func signedIn(identity, client string) policy.SignIn {
	return policy.SignIn{Identity: identity, Client: netip.MustParseAddr(client), Mechanism: "PLAIN", Program: "laptop"}
}

// still is a clock that stands, so that no hour begins meanwhile.
func still() func() time.Time {
	now := time.Now()
	return func() time.Time { return now }
}

// writeLogins lets l write what it has.
func writeLogins(t *testing.T, l *logins) {
	t.Helper()
	ended, end := context.WithCancel(t.Context())
	end()
	if err := l.run(ended); err != nil {
		t.Fatal(err)
	}
}

func TestALoginIsWrittenOnceAnHour(t *testing.T) {
	journal := openStore(t)
	now := time.Now().UTC().Truncate(time.Hour)
	first := now
	clock := func() time.Time { return now }
	l := newLogins(journal, clock, zap.NewNop())
	for _, one := range []struct {
		minute           int
		identity, client string
	}{
		{0, "alice", "192.0.2.7"}, {1, "alice", "192.0.2.8"}, {2, "alice", "198.51.100.7"}, {3, "bob", "192.0.2.7"},
		{4, "alice", "2001:db8::1"}, {5, "alice", "2001:db8:0:9::1"}, {59, "alice", "192.0.2.7"}, {61, "alice", "192.0.2.7"},
	} {
		now = first.Add(time.Duration(one.minute) * time.Minute)
		l.note(signedIn(one.identity, one.client))
	}
	l.note(policy.SignIn{Identity: "alice"})
	writeLogins(t, l)
	at := func(minute int) string { return first.Add(time.Duration(minute) * time.Minute).Format("15:04 ") }
	want := []string{at(0) + "alice 192.0.2.7", at(2) + "alice 198.51.100.7", at(3) + "bob 192.0.2.7", at(4) + "alice 2001:db8::1", at(61) + "alice 192.0.2.7"}
	slices.Sort(want)
	if got := written(t, journal); !slices.Equal(got, want) {
		t.Errorf("written %q, want %q", got, want)
	}

	// A new process does not know what was written, the journal does.
	l = newLogins(journal, clock, zap.NewNop())
	l.note(signedIn("alice", "192.0.2.9"))
	writeLogins(t, l)
	if got := written(t, journal); !slices.Equal(got, want) {
		t.Errorf("after a restart: %q", got)
	}
}

func TestALoginThatIsNotTakenIsWrittenNextTime(t *testing.T) {
	journal := openStore(t)
	l := newLogins(&failingOnce{Store: journal}, still(), zap.NewNop())
	for range 2 {
		l.note(signedIn("alice", "192.0.2.7"))
		writeLogins(t, l)
	}
	if got := written(t, journal); len(got) != 1 {
		t.Errorf("written %q", got)
	}
}

func TestLoginsNeverWait(t *testing.T) {
	l := newLogins(openStore(t), still(), zap.NewNop())
	for i := range maxSigned + 10 { // nobody writes
		l.note(signedIn(fmt.Sprint("user", i), "192.0.2.7"))
	}
	if len(l.known) != maxSigned {
		t.Errorf("%d are known", len(l.known))
	}
}

func TestSignInsOfOneIdentity(t *testing.T) {
	journal := openStore(t)
	now := time.Now().UTC().Truncate(24 * time.Hour).Add(time.Hour)
	today := now
	l := newLogins(journal, func() time.Time { return now }, zap.NewNop())
	refused := func(identity, client string) policy.SignIn {
		s := signedIn(identity, client)
		s.Reply = "535 5.7.8 no"
		return s
	}
	for _, one := range []struct {
		days int
		policy.SignIn
	}{
		{40, signedIn("alice", "192.0.2.1")}, {2, signedIn("alice", "192.0.2.2")}, {1, refused("alice", "203.0.113.3")}, {1, signedIn("bob", "192.0.2.4")},
		{1, refused("alice", "203.0.113.99")}, {1, signedIn("alice", "203.0.113.5")}, {0, signedIn("alice", "2001:db8::6")},
	} {
		now = today.AddDate(0, 0, -one.days)
		l.note(one.SignIn)
	}
	writeLogins(t, l)
	now = today
	all, err := l.of(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.Evidence+" "+e.Mechanism+" "+e.Program+" "+e.Reply)
	}
	slices.Sort(got[1:3]) // of the same moment
	want := []string{"2001:db8::6 PLAIN laptop ", "203.0.113.3 PLAIN laptop 535 5.7.8 no", "203.0.113.5 PLAIN laptop ", "192.0.2.2 PLAIN laptop "}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if none, err := l.of(t.Context(), "eve"); err != nil || len(none) != 0 {
		t.Errorf("eve: %v, %v", none, err)
	}
}

func TestRefusedSignInsDoNotFillTheJournal(t *testing.T) {
	l := newLogins(openStore(t), still(), zap.NewNop())
	for i := range 3 * maxRefusedEach {
		one := signedIn("alice", fmt.Sprintf("198.51.%d.1", i))
		one.Reply = "535 no"
		l.note(one)
	}
	if len(l.known) != maxRefusedEach {
		t.Errorf("%d of one identity", len(l.known))
	}
	for i := range maxRefused + 100 {
		one := signedIn(fmt.Sprint("user", i), "192.0.2.1")
		one.Reply = "535 no"
		l.note(one)
	}
	long := signedIn(strings.Repeat("x", maxLoginName+1), "192.0.2.1")
	long.Reply = "535 no"
	l.note(long)
	if len(l.refused) != maxRefused || l.refused[long.Identity] != 0 {
		t.Errorf("%d identities", len(l.refused))
	}
	l.note(signedIn("alice", "192.0.2.1"))
	if !l.known[login{"alice", "192.0.2.0/24", false}] {
		t.Error("a good sign-in finds no room")
	}
}
