package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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

// drain lets l write what it has.
func drain(t *testing.T, l *logins) {
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
		l.note(one.identity, netip.MustParseAddr(one.client))
	}
	l.note("alice", netip.Addr{})
	drain(t, l)
	at := func(minute int) string { return first.Add(time.Duration(minute) * time.Minute).Format("15:04 ") }
	want := []string{at(0) + "alice 192.0.2.7", at(2) + "alice 198.51.100.7", at(3) + "bob 192.0.2.7", at(4) + "alice 2001:db8::1", at(61) + "alice 192.0.2.7"}
	slices.Sort(want)
	if got := written(t, journal); !slices.Equal(got, want) {
		t.Errorf("written %q, want %q", got, want)
	}

	// A new process does not know what was written, the journal does.
	l = newLogins(journal, clock, zap.NewNop())
	l.note("alice", netip.MustParseAddr("192.0.2.9"))
	drain(t, l)
	if got := written(t, journal); !slices.Equal(got, want) {
		t.Errorf("after a restart: %q", got)
	}
}

func TestALoginThatIsNotTakenIsWrittenNextTime(t *testing.T) {
	journal := openStore(t)
	l := newLogins(&failingOnce{Store: journal}, time.Now, zap.NewNop())
	for range 2 {
		l.note("alice", netip.MustParseAddr("192.0.2.7"))
		drain(t, l)
	}
	if got := written(t, journal); len(got) != 1 {
		t.Errorf("written %q", got)
	}
}

func TestLoginsNeverWait(t *testing.T) {
	l := newLogins(openStore(t), time.Now, zap.NewNop())
	for i := range maxSigned + 10 { // nobody writes
		l.note(fmt.Sprint("user", i), netip.MustParseAddr("192.0.2.7"))
	}
	if len(l.known) != maxSigned {
		t.Errorf("%d are known", len(l.known))
	}
}
