package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// check compares everything that can be asked of the store with the model.
func (m *model) check(t *testing.T, s *Store) {
	t.Helper()
	holes, last, err := s.holes()
	if err != nil || len(holes) > 0 || last != m.batch {
		t.Errorf("journal: holes %v, last %d, %v; the model ends at %d", holes, last, err, m.batch)
	}
	for id, x := range m.messages {
		x.check(t, s, id, m.bodies[id])
	}
	for id, x := range m.records {
		if got, err := s.Timeline(id); err != nil || !sameRecords(got, x.timeline) {
			t.Errorf("timeline of %s: %v, %v; want %v", id, got, err, x.timeline)
		}
	}
	m.checkDue(t, s)
	m.checkIndexes(t, s)
	m.checkReplay(t, s)
	m.checkLeftovers(t, s)
}

func (x *modelMessage) check(t *testing.T, s *Store, id policy.ID, body []byte) {
	t.Helper()
	row, err := s.Message(id)
	if err != nil || !reflect.DeepEqual(row, x.row) {
		t.Errorf("message %s: %v\n got %+v\nwant %+v", id, err, row, x.row)
	}
	rows, err := s.Recipients(id)
	if err != nil || len(rows) != len(x.rows) || len(rows) > 0 && !reflect.DeepEqual(rows, x.rows) {
		t.Errorf("recipients of %s: %v\n got %+v\nwant %+v", id, err, rows, x.rows)
	}
	timeline, err := s.Timeline(id)
	if err != nil || !sameRecords(timeline, x.timeline) {
		t.Errorf("timeline of %s: %v\n got %+v\nwant %+v", id, err, timeline, x.timeline)
	}
	r, err := s.Body(id)
	if x.row.BodyChunks == 0 {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("body of %s: %v, want ErrNotFound", id, err)
		}
		return
	}
	if err != nil {
		t.Errorf("body of %s: %v", id, err)
		return
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
		t.Errorf("body of %s: %d octets, %v; want %d", id, len(got), err, len(body))
	}
}

// sameRecords compares records as they are stored.
func sameRecords(a, b []Record) bool {
	return slices.EqualFunc(a, b, func(x, y Record) bool {
		return x.Batch == y.Batch && x.Position == y.Position && x.Message == y.Message && bytes.Equal(encode(x.Events), encode(y.Events))
	})
}

func (m *model) checkDue(t *testing.T, s *Store) {
	t.Helper()
	var got, want []DueMessage
	if err := s.Due(func(d DueMessage) bool { got = append(got, d); return true }); err != nil {
		t.Error(err)
	}
	for id, x := range m.messages {
		if !x.row.Due.IsZero() {
			want = append(want, DueMessage{id, x.row.Due})
		}
	}
	slices.SortFunc(want, func(a, b DueMessage) int {
		if c := a.Due.Compare(b.Due); c != 0 {
			return c
		}
		return a.ID.Compare(b.ID)
	})
	if !slices.Equal(got, want) {
		t.Errorf("due:\n got %v\nwant %v", got, want)
	}
}

// checkIndexes asks for every term that occurs and compares with a search through the model.
func (m *model) checkIndexes(t *testing.T, s *Store) {
	t.Helper()
	ask := func(query string, selects func(*modelMessage) bool) {
		t.Helper()
		want := m.selected(m.messages, selects)
		if got := searchAll(t, s, query); !slices.Equal(got, want) {
			t.Errorf("search %q:\n got %v\nwant %v", query, got, want)
		}
	}
	ask("", func(*modelMessage) bool { return true })
	for _, st := range policy.States {
		ask("state:"+string(st), func(x *modelMessage) bool {
			return x.row.States[st] > 0 || st == policy.StateRecalled && x.row.States[policy.StateCanceled] > 0 // the label of both
		})
		if waits(st) {
			want := m.selected(m.messages, func(x *modelMessage) bool { return x.row.States[st] > 0 })
			slices.Reverse(want)
			if got := s.inState(t, st); !slices.Equal(got, want) {
				t.Errorf("in state %s:\n got %v\nwant %v", st, got, want)
			}
		}
	}
	at := m.now.Add(-time.Duration(len(m.messages)%5) * time.Hour).Truncate(time.Second)
	ask("before:"+at.Format(time.RFC3339), func(x *modelMessage) bool { return x.row.Envelope.Received.Before(at) })
	ask("after:"+at.Format(time.RFC3339), func(x *modelMessage) bool { return !x.row.Envelope.Received.Before(at) })
	ask("state:delivering after:"+at.Format(time.RFC3339), func(x *modelMessage) bool {
		return !x.row.Envelope.Received.Before(at) && slices.ContainsFunc(policy.States, func(st policy.State) bool {
			return st.Label() == policy.LabelDelivering && x.row.States[st] > 0
		})
	})
	for _, a := range modelSenders {
		ask(`from:"`+strings.ReplaceAll(policy.Address(a).String(), `"`, "")+`"`, func(x *modelMessage) bool {
			return !strings.Contains(a, `"`) && x.row.Envelope.Sender.Key() == policy.Address(a).Key()
		})
	}
	for _, a := range modelRecipients {
		ask("to:"+a, func(x *modelMessage) bool {
			return a != "postmaster" && slices.ContainsFunc(x.rows, func(r Recipient) bool { return r.Address.Key() == policy.Address(a).Key() })
		})
	}
	for n := range 20 {
		of := fmt.Sprintf("<%d@corp.example>", n)
		want := m.selected(m.messages, func(x *modelMessage) bool { return slices.Contains(x.row.Envelope.References, of) })
		if got, err := s.ByReference(of); err != nil || !slices.Equal(got, want) {
			t.Errorf("by reference %s: %v\n got %v\nwant %v", of, err, got, want)
		}
	}
	ask("to:@example.org", func(x *modelMessage) bool {
		return slices.ContainsFunc(x.rows, func(r Recipient) bool { return r.Address.Domain() == "example.org" })
	})
	for _, w := range modelWords {
		ask("subject:"+w, func(x *modelMessage) bool { return strings.Contains(x.row.Envelope.Subject, w) })
	}
	for _, q := range modelQueueIDs {
		ask("queue:"+q, func(x *modelMessage) bool { return x.queueIDs[q] })
	}
	ask("id:<7@corp.example>", func(x *modelMessage) bool { return x.row.Envelope.MessageID == "<7@corp.example>" })
	for _, k := range []policy.Kind{policy.RecallRequested, policy.Login} {
		want := m.selected(m.records, func(x *modelMessage) bool { return x.kinds[k] })
		if got, err := s.Records(context.Background(), k, MaxPage, policy.ID{}); err != nil || !slices.Equal(got, want) {
			t.Errorf("records of %s: %v\n got %v\nwant %v", k, err, got, want)
		}
	}
}

// selected gives ids newest first.
func (m *model) selected(from map[policy.ID]*modelMessage, selects func(*modelMessage) bool) (ids []policy.ID) {
	for id, x := range from {
		if selects(x) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b policy.ID) int { return b.Compare(a) })
	return ids
}

func searchAll(t *testing.T, s *Store, query string) (ids []policy.ID) {
	t.Helper()
	q, err := ParseQuery(query, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for cursor := ""; ; {
		page, err := s.Search(context.Background(), q, 50, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			ids = append(ids, m.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids
		}
	}
}

// checkReplay subscribes after the first batch that is left and compares the records, but those of
// messages that were pruned.
func (m *model) checkReplay(t *testing.T, s *Store) {
	t.Helper()
	var want, got []Record
	for _, r := range m.journal {
		if r.Batch > m.first && (m.messages[r.Message] != nil || m.records[r.Message] != nil) {
			want = append(want, r)
		}
	}
	sub := s.Subscribe(m.first)
	for len(got) < len(want) {
		r := next(t, sub)
		if m.messages[r.Message] != nil || m.records[r.Message] != nil { // the hub still has what was pruned
			got = append(got, r)
		}
	}
	if !sameRecords(got, want) {
		t.Errorf("replay:\n got %v\nwant %v", got, want)
	}
}

// checkLeftovers looks for keys that belong to no message. Values of the value log may come back
// (see garbage.go): bodies until they are swept, events until they are pruned again.
func (m *model) checkLeftovers(t *testing.T, s *Store) {
	t.Helper()
	if err := s.sweepOrphans(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []byte{keyRecipient, keyEvents, keyBody, keyOpenBody, keySeen, keyIndex} {
		keys, err := s.keys([]byte{kind})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			id := policy.ID(k[1:min(len(k), 1+idSize)])
			if kind == keyIndex {
				id = lastID(k)
			}
			x := m.messages[id]
			switch {
			case kind == keyEvents && isLarge(t, s, k):
			case kind == keyOpenBody, x == nil && m.records[id] == nil, kind == keyBody && (x == nil || x.row.BodyChunks == 0):
				t.Errorf("a key was left behind: %q", k)
			}
		}
	}
}

func isLarge(t *testing.T, s *Store, key []byte) (large bool) {
	err := s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		large = err == nil && item.ValueSize() >= valueThreshold
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return large
}
