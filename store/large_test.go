package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// manyRecipients is a change that takes several transactions.
func manyRecipients(id policy.ID, n int) Change {
	now := time.Now()
	e := &policy.Envelope{Received: now, Sender: "a@corp.example", Identity: "a", Subject: "to all"}
	for i := range n {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("recipient-%d@example-%d.org", i, i%50))})
	}
	return Change{Message: id, Envelope: e, Events: []policy.Event{
		{Kind: policy.Accepted, Time: now}, {Kind: policy.Held, Time: now, Until: now.Add(time.Minute)},
	}}
}

// TestLargeChangeIsFinishedAfterACrash cuts a large change at each transaction: before its intent is
// synced nothing of it is there, afterwards all of it, once.
func TestLargeChangeIsFinishedAfterACrash(t *testing.T) {
	const recipients = 10_000
	for pieces := range 4 {
		t.Run(fmt.Sprintf("%d pieces applied", pieces), func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Dir = t.TempDir()
			s, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			id := s.NewID()
			cut(t, s, manyRecipients(id, recipients), pieces)
			if _, err := s.Message(id); err == nil {
				t.Fatal("the message is visible before its last piece")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(cfg); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			m, err := s.Message(id)
			if err != nil || m.States[policy.StateHeld] != recipients {
				t.Fatalf("after the restart: %v, %v", m.States, err)
			}
			if rows, err := s.Recipients(id); err != nil || len(rows) != recipients {
				t.Errorf("%d recipients, %v", len(rows), err)
			}
			if tl, err := s.Timeline(id); err != nil || len(tl) != 1 {
				t.Errorf("timeline %v, %v", tl, err)
			}
			if keys, _ := s.keys([]byte{keyIntent}); len(keys) != 0 {
				t.Errorf("%d intents are left", len(keys))
			}
			if _, err := s.Commit(t.Context(), Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Canceled}}}); err != nil {
				t.Errorf("the next decision: %v", err)
			}
		})
	}
}

// cut does what the committer does with a large change, and stops after so many pieces.
func cut(t *testing.T, s *Store, c Change, pieces int) {
	t.Helper()
	p, err := s.prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	s.rows.Lock()
	defer s.rows.Unlock()
	b := s.newBatch(1)
	defer b.txn.Discard()
	if err := s.project(&b.writer, p, b.number, 0); err != errNoRoom {
		t.Fatalf("%v: the change is not large", err)
	}
	in, _ := s.intend(b, p)
	if err := s.keepIntent(intentKey(b.number), in); err != nil {
		t.Fatal(err)
	}
	rest := in.Mutations
	for range pieces {
		w := s.newWriter()
		n, err := w.fill(rest)
		if err == nil && n < len(rest) { // the last piece would also end the intent
			err = w.txn.Commit()
			rest = rest[n:]
		}
		w.txn.Discard()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.lastBatch.Store(b.number) // it is durable: the mark may say so
}

func TestTooLargeChangeIsRefused(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Dir = t.TempDir()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := s.NewID()
	c := manyRecipients(id, 50_000)
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatalf("50,000 recipients: %v", err)
	}
	id = s.NewID()
	c = manyRecipients(id, 60_000)
	for i := range c.Envelope.Recipients {
		c.Envelope.Recipients[i].Original = strings.Repeat("x", 1000)
	}
	if _, err := s.Commit(t.Context(), c); err != ErrTooLarge {
		t.Fatalf("60,000 recipients with long parameters: %v, want ErrTooLarge", err)
	}
	if _, err := s.Message(id); err == nil {
		t.Error("something of it is there")
	}
}
