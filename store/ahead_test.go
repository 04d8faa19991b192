package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// batch reads a batch from disk by its key, and its records by theirs; one that was pruned is empty.
func (s *Store) batch(number uint64) (records []Record, err error) {
	list, _, err := s.list(number, number)
	for i := range list {
		there, err := list[i].there(s)
		if err != nil {
			return nil, err
		}
		if there {
			records = append(records, list[i].Record)
		}
	}
	return records, err
}

// busy is a journal in which the records of many messages lie between each other.
func busy(t testing.TB, messages int) (dir string, ids []policy.ID) {
	t.Helper()
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for i := w; i < messages; i += 20 {
				id := keep(t, s, 0)
				mu.Lock()
				ids = append(ids, id)
				old := ids[i/2%len(ids)]
				mu.Unlock()
				observe(t, s, old, policy.Deferred)
				e := policy.Event{Kind: policy.ConfigChanged, Reason: strings.Repeat("x", 1+i%10*1500)}
				if _, err := s.Commit(context.Background(), Change{Message: s.NewID(), Events: []policy.Event{e}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return s.cfg.Dir, ids
}

// replayed gives all records of a subscription up to the end of the journal.
func replayed(t testing.TB, s *Store, sub *Subscription) (records []Record) {
	t.Helper()
	for {
		r, ok, err := sub.NextUpTo(t.Context(), s.LastBatch())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return records
		}
		records = append(records, r)
	}
}

// What is read ahead is what every batch has by itself, in the same order: also where something was pruned, and
// where it is too much to be read ahead.
func TestWhatIsReadAheadIsInOrder(t *testing.T) {
	dir, ids := busy(t, 1500)
	s := mustOpen(t, dir)
	defer s.Close()
	var gone [][]byte
	for i, id := range ids {
		if i%7 == 0 {
			tl, err := s.Timeline(id)
			if err != nil {
				t.Fatal(err)
			}
			gone = append(gone, idKey(keyMessage, id), eventsKey(id, tl[0].Batch, tl[0].Position))
		}
	}
	for n := range uint64(5) {
		gone = append(gone, batchKey(n+1), batchKey(n+40))
	}
	if err := s.deleteAll(gone); err != nil {
		t.Fatal(err)
	}
	var want []Record
	for n := range s.LastBatch() {
		records, err := s.batch(n + 1)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, records...)
	}
	if len(want) < 2*maxAhead || s.LastBatch() < 200 {
		t.Fatalf("only %d records in %d batches", len(want), s.LastBatch())
	}
	sub, err := s.Replay()
	if err != nil {
		t.Fatal(err)
	}
	if got := replayed(t, s, sub); !reflect.DeepEqual(got, want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for _, upto := range []uint64{6, 7, s.LastBatch() / 2} {
		sub := s.Subscribe(5)
		var last Record
		for {
			r, ok, err := sub.NextUpTo(t.Context(), upto)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			last = r
		}
		if last.Batch != upto {
			t.Errorf("up to batch %d it ends at %d", upto, last.Batch)
		}
	}
	if n := s.LastBatch() + 1; keep(t, s, 0) != replayed(t, s, sub)[0].Message || s.LastBatch() != n {
		t.Error("it does not go on with what is new")
	}
}

// What an iterator does not find is found by its key.
func TestAnIteratorThatHasEndedFinds(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	keep(t, s, 0)
	err := s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyFiller}})
		defer it.Close()
		if _, err := find(txn, it, batchKey(1)); err != nil {
			t.Error(err)
		}
		if _, err := find(txn, it, batchKey(2)); !errors.Is(err, badger.ErrKeyNotFound) {
			t.Errorf("%v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An event that cannot be read is an error when its turn comes, again and again, and not before.
func TestAnUnreadableRecordIsSaidInItsTurn(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for range 3 {
		keep(t, s, 0)
	}
	s.Close()
	s = mustOpen(t, s.cfg.Dir)
	defer s.Close()
	second, err := s.batch(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(eventsKey(second[0].Message, 2, 0), []byte("m\xff")) }); err != nil {
		t.Fatal(err)
	}
	sub, err := s.Replay()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := sub.Next(t.Context()); err != nil || r.Batch != 1 {
		t.Errorf("batch %d, %v", r.Batch, err)
	}
	for range 2 {
		if _, err := sub.Next(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "batch 2: ") {
			t.Errorf("%v", err)
		}
	}
}

// An old record has the envelope that a new one had, if it is wanted.
func TestOldRecordsWithEnvelopes(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	live := s.Subscribe(0)
	id := keep(t, s, 0)
	members := policy.Event{Kind: policy.Expanded, Recipients: []int{0}, Member: "x@example.org"}
	if _, err := s.Commit(t.Context(), Change{Message: id, Events: []policy.Event{members}}); err != nil {
		t.Fatal(err)
	}
	observe(t, s, id, policy.Deferred)
	keep(t, s, 0)
	want := replayed(t, s, live)
	s.Close()
	s = mustOpen(t, s.cfg.Dir)
	defer s.Close()
	if rows, err := s.Recipients(id); err != nil || len(rows) < 3 {
		t.Fatalf("%+v, %v", rows, err)
	}
	sub, err := s.Replay()
	if err != nil {
		t.Fatal(err)
	}
	accepted := func(events []policy.Event) bool {
		return slices.ContainsFunc(events, func(e policy.Event) bool { return e.Kind == policy.Accepted })
	}
	got := replayed(t, s, sub.WithEnvelopes(accepted))
	if len(got) != 4 || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for i := range got {
		e, err := s.Envelope(got[i].Message)
		if err != nil || got[i].Envelope != nil && !reflect.DeepEqual(e, got[i].Envelope) {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if _, err := s.Envelope(s.NewID()); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// Envelopes with very many recipients are not kept ahead.
func TestEnvelopesAheadAreBounded(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for range 3 {
		e := policy.Envelope{Received: s.cfg.Now(), Identity: "alice", Sender: "alice@corp.example"}
		for i := range maxEnvelopes/2 - 1 {
			e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("r%d@example.org", i))})
		}
		if _, err := s.Commit(t.Context(), Change{Message: s.NewID(), Envelope: &e, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = mustOpen(t, s.cfg.Dir)
	defer s.Close()
	list, _, err := s.list(1, 3)
	if err != nil {
		t.Fatal(err)
	}
	sub := Subscription{store: s, wants: func([]policy.Event) bool { return true }}
	if err := sub.readPart([]*coming{&list[0], &list[1], &list[2]}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false} {
		if !list[i].read || (list[i].Envelope != nil) != want {
			t.Errorf("record %d: read %v, envelope %v", i, list[i].read, list[i].Envelope != nil)
		}
	}
}

// What was taken out of a message is told to nobody who had it read ahead.
func TestWhatWasReadAheadIsForgotten(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	var ids []policy.ID
	for range 2 {
		ids = append(ids, keep(t, s, 0))
	}
	m, err := s.Message(ids[1])
	if err != nil {
		t.Fatal(err)
	}
	canceled := policy.Event{Kind: policy.Canceled, Reason: "a name"}
	if _, err := s.Commit(t.Context(), Change{Message: ids[1], Revision: m.Revision, Events: []policy.Event{canceled}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = mustOpen(t, s.cfg.Dir)
	defer s.Close()
	sub, err := s.Replay()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.WithEnvelopes(func([]policy.Event) bool { return true }).Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = s.Redact(ids[1], func(m *Stored) error {
		for i := range m.Records {
			for j := range m.Records[i].Events {
				m.Records[i].Events[j].Reason = ""
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range replayed(t, s, sub) {
		if r.Envelope != nil || slices.ContainsFunc(r.Events, func(e policy.Event) bool { return e.Reason != "" }) {
			t.Errorf("%+v", r)
		}
	}
}

// The same holds for a batch in memory of which the rest is still to come.
func TestTheRestOfABatchIsForgotten(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	sub := s.Subscribe(0)
	s.rows.Lock() // the committer waits, so that more than one change comes into a batch
	var waiting []*pendingChange
	for range 5 {
		p, err := s.prepare(Change{Message: s.NewID(), Events: []policy.Event{{Kind: policy.ConfigChanged, Reason: "a name"}}})
		if err != nil {
			t.Fatal(err)
		}
		s.queue <- p
		waiting = append(waiting, p)
	}
	s.rows.Unlock()
	for _, p := range waiting {
		<-p.done
	}
	for len(sub.rest) == 0 {
		if _, err := sub.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	next := sub.rest[0].Message
	err := s.Redact(next, func(m *Stored) error { m.Records[0].Events[0].Reason = ""; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if r, err := sub.Next(t.Context()); err != nil || r.Message != next || r.Events[0].Reason != "" {
		t.Errorf("%+v, %v", r, err)
	}
}
