package store

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// Every kind of fault is found, and named with what it is about.
func TestVerifyNamesFaults(t *testing.T) {
	const of = 1 // the message whose rows are spoiled
	for name, c := range map[string]struct {
		spoil func(t *testing.T, s *Store, ids []policy.ID)
		want  []string // with the id of the message for %s
	}{
		"nothing":                     {func(*testing.T, *Store, []policy.ID) {}, nil},
		"a batch":                     {func(t *testing.T, s *Store, ids []policy.ID) { gone(t, s, batchKey(2)) }, []string{"batch 2: missing"}},
		"a batch that cannot be read": {func(t *testing.T, s *Store, ids []policy.ID) { put(t, s, batchKey(2), "x") }, []string{"batch 2: its record cannot be read"}},
		"events": {func(t *testing.T, s *Store, ids []policy.ID) { gone(t, s, eventsKey(ids[of], 2, 0)) },
			[]string{"batch 2: the events of message %s are missing"}},
		"events that cannot be read": {func(t *testing.T, s *Store, ids []policy.ID) { put(t, s, eventsKey(ids[of], 2, 0), "m\xff") },
			[]string{"batch 2: the events of %s cannot be read"}},
		"a message": {func(t *testing.T, s *Store, ids []policy.ID) { gone(t, s, idKey(keyMessage, ids[of])) },
			[]string{"message %s: it has events and no row", "message %s: there is a timer at"}},
		"a message that cannot be read": {func(t *testing.T, s *Store, ids []policy.ID) { put(t, s, idKey(keyMessage, ids[of]), "m\xff") },
			[]string{"message %s: unexpected EOF", "message %s: there is a timer at"}},
		"a recipient": {func(t *testing.T, s *Store, ids []policy.ID) { gone(t, s, recipientKey(ids[of], 1)) },
			[]string{"message %s: recipient 1 of"}},
		"a state that is another one": {func(t *testing.T, s *Store, ids []policy.ID) {
			r := Recipient{Recipient: policy.Recipient{Address: "bob@example.org"}}
			put(t, s, recipientKey(ids[of], 0), string(encode(&r)))
		}, []string{"message %s: its row does not agree with those of its recipients"}},
		"entries of indexes": {func(t *testing.T, s *Store, ids []policy.ID) {
			gone(t, s, indexKey(indexIdentity, "alice", ids[of]), indexKey(indexWord, "hello", ids[of]))
		}, []string{"message %s: 2 entries of indexes are missing"}},
		"a timer": {func(t *testing.T, s *Store, ids []policy.ID) {
			m, err := s.Message(ids[of])
			if err != nil {
				t.Fatal(err)
			}
			gone(t, s, timeKey(keyDue, m.Due, m.ID))
		}, []string{"message %s: 1 entries of indexes are missing", "3 messages wait, and there are timers for 2"}},
		"a body": {func(t *testing.T, s *Store, ids []policy.ID) { gone(t, s, bodyKey(ids[of], 0)) },
			[]string{"of the body of %s"}},
		"counts": {func(t *testing.T, s *Store, ids []policy.ID) { gone(t, s, countKey(hourOf(ids[of]))) },
			[]string{"recipients are held, 0 are counted"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, t.TempDir())
			var ids []policy.ID
			for range 3 {
				ids = append(ids, keep(t, s, 100))
			}
			c.spoil(t, s, ids)
			s.Close()
			report, err := Verify(t.Context(), testConfig(t, s.cfg.Dir))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				want = strings.ReplaceAll(want, "%s", ids[of].String())
				if !slices.ContainsFunc(report.Faults, func(f string) bool { return strings.Contains(f, want) }) {
					t.Errorf("no fault has %q: %q", want, report.Faults)
				}
			}
			if len(report.Faults) != len(c.want) || report.FaultCount != len(c.want) {
				t.Errorf("%d faults: %q", report.FaultCount, report.Faults)
			}
		})
	}
}

func gone(t *testing.T, s *Store, keys ...[]byte) {
	t.Helper()
	if err := s.deleteAll(keys); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s *Store, key []byte, value string) {
	t.Helper()
	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(key, []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}

// Verify goes through what there is in order. To look for every event, row and entry of an index by its key takes
// many times as long, and as many allocations.
func TestVerifyLooksForNothingThatItPasses(t *testing.T) {
	const messages = 2000
	s := mustOpen(t, t.TempDir())
	for i := range messages {
		e := policy.Envelope{
			Received: time.Now(), Identity: "alice", Sender: "alice@corp.example", Subject: fmt.Sprintf("Figures of the quarter, part %d", i),
			Recipients: []policy.Recipient{{Address: policy.Address(fmt.Sprintf("r%d@example.org", i))}},
		}
		p, err := s.prepare(Change{Message: s.NewID(), Envelope: &e, Events: []policy.Event{{Kind: policy.Held, Until: time.Now()}}})
		if err != nil {
			t.Fatal(err)
		}
		s.queue <- p
	}
	keep(t, s, 0) // what is before it in the queue is written
	s.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report := mustVerify(t, s.cfg.Dir)
	runtime.ReadMemStats(&after)
	if report.Messages < messages {
		t.Fatalf("%d messages", report.Messages)
	}
	if n := (after.Mallocs - before.Mallocs) / uint64(report.Messages); n > 200 {
		t.Errorf("%d allocations for a message", n)
	}
}
