package store

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// aged keeps a message that was received some time ago, with a body of that size; done, it was delivered an hour later.
func aged(t *testing.T, s *Store, clock *manualClock, ago time.Duration, body int, done bool) policy.ID {
	t.Helper()
	clock.add(-ago)
	id := keep(t, s, body)
	clock.add(time.Hour)
	if done {
		observe(t, s, id, policy.RelayedRemote)
	}
	clock.add(ago - time.Hour)
	return id
}

func has(t *testing.T, s *Store, id policy.ID) string {
	t.Helper()
	m, err := s.Message(id)
	switch {
	case err != nil:
		return "gone"
	case m.BodyChunks == 0:
		return "bodiless"
	}
	return "whole"
}

// Above the bound bodies go first, the oldest of them first, then messages; what waits and what is young never.
func TestBoundDeletesTheOldestAndNeverWhatIsOurs(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	const mib = 1 << 20
	const day = 24 * time.Hour
	waits := aged(t, s, clock, 30*day, 4*mib, false)
	old, older := aged(t, s, clock, 20*day, 4*mib, true), aged(t, s, clock, 25*day, 4*mib, true)
	young := aged(t, s, clock, time.Hour, 4*mib, true)
	under := aged(t, s, clock, 28*day, 4*mib, false) // the server behind has it, and has not delivered it yet
	observe(t, s, under, policy.Queued)
	login := s.NewID()
	observe(t, s, login, policy.Login)
	expect := func(want map[policy.ID]string) {
		t.Helper()
		for id, w := range want {
			if got := has(t, s, id); got != w {
				t.Errorf("%s, want %s", got, w)
			}
		}
	}
	used, err := s.used()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.bound(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(map[policy.ID]string{waits: "whole", old: "whole", older: "whole", young: "whole"}) // there is no bound

	s.cfg.MaxSize = used >> 20 // and a little less
	if excess, err := s.excess(); err != nil || excess <= 0 {
		t.Fatalf("%d, %v", excess, err)
	}
	if err := s.bound(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(map[policy.ID]string{waits: "whole", old: "whole", older: "bodiless", young: "whole"})
	if e := s.bounded.Early(); e.Bodies != 1 || e.Messages != 0 || e.Last.IsZero() || !e.UpTo.IsZero() || e.Over {
		t.Errorf("%+v", e)
	}
	if excess, err := s.excess(); err != nil || excess != 0 {
		t.Errorf("once is enough: %d, %v", excess, err)
	}

	s.cfg.MaxSize = 1
	if err := s.bound(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(map[policy.ID]string{waits: "whole", under: "whole", old: "gone", older: "gone", young: "bodiless"})
	e := s.bounded.Early()
	if e.Bodies != 3 || e.Messages != 2 || e.UpTo.IsZero() || !e.Over {
		t.Errorf("%+v", e)
	}
	if _, err := s.Timeline(login); err != nil {
		t.Errorf("what is no message: %v", err)
	}
	if u, err := s.Usage(); err != nil || u.Early != e || u.MaxSize != mib {
		t.Errorf("%+v, %v", u, err)
	}
	s.cfg.MaxSize = used >> 20 * 2
	if err := s.bound(t.Context()); err != nil || s.bounded.Early().Over {
		t.Errorf("over its bound, %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, s.cfg.Dir)
}

// The disk gets back what was deleted: the journal stays at its bound however much comes in.
func TestBoundHoldsOnDisk(t *testing.T) {
	rounds := 4
	if os.Getenv("SENDGATE_LONG") != "" {
		rounds = 16
	}
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	s.cfg.MaxSize = 400
	for round := range rounds {
		for range 32 {
			aged(t, s, clock, time.Hour, 4<<20, true)
		}
		if err := s.bound(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.collect(t.Context(), minGarbage); err != nil {
			t.Fatal(err)
		}
		u, err := s.Usage()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %d MiB on disk, %d of them garbage, %d bodies deleted", round, u.Total>>20, u.Garbage>>20, u.Early.Bodies)
		if most := int64(400+2*valueLogSize>>20) << 20; u.Total > most { // and the file that is being written
			t.Errorf("%d MiB on disk", u.Total>>20)
		}
	}
}

func TestUsageTellsKindsApart(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	id := keep(t, s, 3<<20)
	for range 3000 {
		keep(t, s, 0)
	}
	if err := s.compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	u, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.Bodies < 3<<20 || u.Bodies > 4<<20 || u.Rows+u.Events+u.Indexes+u.Recent < 1<<20 || u.Logs == 0 || u.Free == 0 || u.Reserve == 0 {
		t.Errorf("%+v", u)
	}
	if sum := u.Bodies + u.Garbage + u.Rows + u.Events + u.Indexes + u.Other + u.Recent + u.Logs; sum != u.Total {
		t.Errorf("%d in all, the kinds are %d", u.Total, sum)
	}
	if !u.Oldest.Equal(id.Timestamp().UTC()) || u.EventsFor != s.cfg.EventsFor || u.BodiesFor != s.cfg.BodiesFor || u.Early != (Early{}) {
		t.Errorf("%+v", u)
	}
	left := func(b ...byte) []byte { return b }
	for kind, c := range map[*int64]struct{ left, right []byte }{
		&u.Rows: {left('m', 1), left('m', 2)}, &u.Events: {left('e', 1), left('e', 2)}, &u.Indexes: {left('x', 1), left('x', 2)},
		&u.Other: {left('a', 1), left('c', 2)}, &u.Recent: {left('a', 1), left('y', 2)},
	} {
		if got := u.table(c.left, c.right); got != kind && (c.left[0] != 'a' || c.right[0] != 'c') {
			t.Errorf("a table from %c to %c is put elsewhere", c.left[0], c.right[0])
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Usage(); err != ErrClosed {
		t.Errorf("%v", err)
	}
	if v := mustVerify(t, s.cfg.Dir); v.Messages != 3001 || v.Bodies != 1 || v.BodyOctets != 3<<20 || v.Waiting != 3001 || v.Recipients != 6002 || v.LastBatch == 0 || v.Schema != schema {
		t.Errorf("%+v", v)
	}
}

func TestMaxSizeIsChecked(t *testing.T) {
	c := DefaultConfig()
	c.MaxSize = 100
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "must be 0 for no bound, or at least 512") {
		t.Errorf("%v", err)
	}
}
