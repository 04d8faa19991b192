package gateway

import (
	"errors"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A shelf is a journal that counts what is read from it.
type shelf struct {
	messages map[policy.ID]store.Message
	rows     map[policy.ID]policy.Rows
	err      error
	reads    int
}

func (s *shelf) Message(id policy.ID) (store.Message, error) {
	s.reads++
	m, ok := s.messages[id]
	if !ok && s.err == nil {
		return m, store.ErrNotFound
	}
	return m, s.err
}

func (s *shelf) Recipients(id policy.ID) (policy.Rows, error) {
	s.reads++
	rows, ok := s.rows[id]
	if !ok && s.err == nil {
		return nil, store.ErrNotFound
	}
	return rows, s.err
}

func factID(n int) policy.ID { return ulid.ULID{14: byte(n >> 8), 15: byte(n)} }

// about is a record of message n.
func about(n int, kind policy.Kind) *store.Record {
	return &store.Record{Message: factID(n), Events: []policy.Event{{Kind: kind}}}
}

func rowsOf(addresses ...policy.Address) (rows policy.Rows) {
	for _, a := range addresses {
		rows = append(rows, policy.Row{Recipient: policy.Recipient{Address: a}})
	}
	return rows
}

func TestFactsOfAMessage(t *testing.T) {
	s := &shelf{
		messages: map[policy.ID]store.Message{factID(1): {Envelope: policy.Envelope{Sender: "ann@corp.example"}}},
		rows:     map[policy.ID]policy.Rows{factID(1): rowsOf("a@x.example", "b@x.example", "c@x.example")},
	}
	f := newFacts(s)
	for _, tt := range []struct {
		outcome string
		indexes []int
		most    int
		want    []policy.Address
	}{
		{"all", nil, 9, []policy.Address{"a@x.example", "b@x.example", "c@x.example"}},
		{"all, but not more than are wanted", nil, 2, []policy.Address{"a@x.example", "b@x.example"}},
		{"one", []int{1}, 9, []policy.Address{"b@x.example"}},
		{"some, but not more than are wanted", []int{2, 1, 0}, 2, []policy.Address{"c@x.example", "b@x.example"}},
		{"what there is not", []int{-1, 7, 2}, 9, []policy.Address{"c@x.example"}},
		{"nobody", []int{}, 9, nil},
	} {
		got, err := f.Addresses(about(1, policy.Queued), tt.indexes, tt.most)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v", tt.outcome, got, err)
		}
	}
	s.reads = 0
	e, err := f.Envelope(about(1, policy.Queued))
	if err != nil || e.Sender != "ann@corp.example" || s.reads != 0 {
		t.Errorf("%+v, %v, %d reads", e, err, s.reads)
	}
	if e, err := f.Envelope(about(2, policy.Suspended)); e != nil || err != nil {
		t.Errorf("of no message: %+v, %v", e, err)
	}
	if a, err := f.Addresses(about(2, policy.Suspended), nil, 9); a != nil || err != nil {
		t.Errorf("of no message: %q, %v", a, err)
	}
}

// TestGroupsGrow has members that are known only later.
func TestGroupsGrow(t *testing.T) {
	s := &shelf{rows: map[policy.ID]policy.Rows{factID(1): rowsOf("team@corp.example", "bob@corp.example")}}
	f := newFacts(s)
	r := about(1, policy.Accepted)
	r.Envelope = &policy.Envelope{Recipients: []policy.Recipient{{Address: "team@corp.example"}}}
	if got, err := f.Addresses(r, nil, 9); err != nil || len(got) != 1 || s.reads != 0 {
		t.Errorf("%q, %v, %d reads", got, err, s.reads)
	}
	if got, err := f.Addresses(about(1, policy.Queued), []int{1}, 9); err != nil || !slices.Equal(got, []policy.Address{"bob@corp.example"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestAMessageThatWasPrunedSince stops nobody who still reads of it.
func TestAMessageThatWasPrunedSince(t *testing.T) {
	s := &shelf{messages: map[policy.ID]store.Message{factID(1): {}}}
	f := newFacts(s)
	if got, err := f.Addresses(about(1, policy.Queued), nil, 9); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	s.err = errors.New("disk")
	if _, err := f.Addresses(about(1, policy.Queued), []int{0}, 9); err == nil || err.Error() != "disk" {
		t.Errorf("a disk that fails: %v", err)
	}
	if _, err := f.Envelope(about(3, policy.Queued)); err == nil || err.Error() != "disk" {
		t.Errorf("a disk that fails: %v", err)
	}
}

// TestWhoWasErasedIsNotRemembered reads the message again, as it was rewritten.
func TestWhoWasErasedIsNotRemembered(t *testing.T) {
	s := &shelf{messages: map[policy.ID]store.Message{factID(1): {Envelope: policy.Envelope{Sender: "ann@corp.example"}}}}
	f := newFacts(s)
	if _, err := f.Envelope(about(1, policy.Queued)); err != nil {
		t.Fatal(err)
	}
	s.messages[factID(1)] = store.Message{Envelope: policy.Envelope{Sender: "erased@invalid"}}
	for _, kind := range []policy.Kind{policy.Erased, policy.ReadSeen} {
		if e, err := f.Envelope(about(1, kind)); err != nil || e.Sender != "erased@invalid" {
			t.Errorf("%s: %+v, %v", kind, e, err)
		}
	}
	if len(f.order) != 1 || f.size != 1 {
		t.Errorf("%d remembered, %d", len(f.order), f.size)
	}
}

// TestFactsAreBounded has lists that are as long as they may be.
func TestFactsAreBounded(t *testing.T) {
	f := newFacts(&shelf{})
	for n := range 40 {
		r := about(n, policy.Accepted)
		r.Envelope = &policy.Envelope{Recipients: make([]policy.Recipient, 20_000)}
		if _, err := f.Envelope(r); err != nil {
			t.Fatal(err)
		}
		if f.size > maxFacts || len(f.order) != len(f.known) {
			t.Fatalf("after %d: %d, %d and %d remembered", n, f.size, len(f.order), len(f.known))
		}
	}
	if f.known[factID(39)] == nil || f.known[factID(0)] != nil || f.size != 2*20_001 {
		t.Errorf("%d remembered of %d", len(f.known), f.size)
	}
}
