package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// receive commits a message that was received at a time.
func receive(t *testing.T, s *Store, sender string, at time.Time) policy.ID {
	t.Helper()
	id := s.NewID()
	e := &policy.Envelope{Received: at, Identity: "x", Sender: policy.Address(sender), Recipients: []policy.Recipient{{Address: "b@example.org"}}}
	if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSearchByTime(t *testing.T) {
	clock := &manualClock{t: epoch}
	s := openAt(t, t.TempDir(), clock)
	defer s.Close()
	var ids []policy.ID
	for range 5 { // an id is made when a message begins to come in, up to two hours before
		id := receive(t, s, "a@corp.example", clock.now().Add(90*time.Minute))
		ids = append([]policy.ID{id}, ids...)
		clock.add(24 * time.Hour)
	}
	received := func(i int) string { return epoch.Add(time.Duration(i)*day + 90*time.Minute).Format(time.RFC3339) }
	for query, want := range map[string][]policy.ID{
		"after:" + received(4):                             ids[:1],
		"after:" + received(2):                             ids[:3],
		"before:" + received(1):                            ids[4:],
		"before:" + received(0):                            nil,
		"after:" + received(1) + " before:" + received(3):  ids[2:4],
		"after:" + received(3) + " before:" + received(1):  nil,
		"from:a before:" + received(2):                     ids[3:],
		"state:held after:" + received(0):                  nil,
		"after:1970-01-01 before:9999-12-31":               ids,
		"id:" + ids[2].String() + " before:" + received(2): nil,
		"id:" + ids[2].String() + " after:" + received(2):  ids[2:3],
	} {
		if got := searchAll(t, s, query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func TestSearchEdges(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	var ids []policy.ID
	for i := range maxPrefixTerms + 10 {
		id := receive(t, s, fmt.Sprintf("user%d@corp.example", i), now)
		ids = append([]policy.ID{id}, ids...)
	}
	search := func(query string, limit int, cursor string) (Page, error) {
		t.Helper()
		q, err := ParseQuery(query, now)
		if err != nil {
			t.Fatal(err)
		}
		return s.Search(t.Context(), q, limit, cursor)
	}
	if page, err := search("", 0, ""); err != nil || len(page.Messages) != 1 || page.Next != ids[0].String() {
		t.Errorf("a limit of 0 is 1: %d, %q, %v", len(page.Messages), page.Next, err)
	}
	if page, err := search("", 1<<30, ""); err != nil || len(page.Messages) != len(ids) || page.Next != "" {
		t.Errorf("a huge limit: %d, %q, %v", len(page.Messages), page.Next, err)
	}
	if page, err := search("", len(ids), ""); err != nil || len(page.Messages) != len(ids) || page.Next != "" {
		t.Errorf("a limit of all there are: %d, %q, %v", len(page.Messages), page.Next, err)
	}
	if page, err := search("", 10, ids[len(ids)-1].String()); err != nil || len(page.Messages) != 0 || page.Next != "" {
		t.Errorf("after the last: %+v, %v", page, err)
	}
	if page, err := search("", 10, policy.ID{}.String()); err != nil || len(page.Messages) != 0 {
		t.Errorf("after the zero id: %d, %v", len(page.Messages), err)
	}
	if _, err := search("", 10, "rubbish"); err == nil || err.Error() != `cursor "rubbish": not one of ours` {
		t.Errorf("a bad cursor: %v", err)
	}
	// user1 stands for itself only: a local part is whole. A * in the subject may stand for much.
	if got := searchAll(t, s, "from:user1"); len(got) != 1 {
		t.Errorf("from:user1 found %d", len(got))
	}
	for i := range maxPrefixTerms + 1 {
		id := s.NewID()
		e := &policy.Envelope{Received: now, Identity: "x", Subject: fmt.Sprintf("prefix%d", i)}
		if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := search("prefix*", 10, ""); err == nil || err.Error() != "too many different values begin like this: type more of it" {
		t.Errorf("too broad: %v", err)
	}
	if got := searchAll(t, s, "prefix1*"); len(got) != 111 {
		t.Errorf("prefix1* found %d, want 111", len(got))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Search(ctx, Query{}, 10, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// A subject that is pasted whole is found, also when it has more terms than the index keeps.
func TestSearchForAWholeSubject(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	subject := ""
	for i := range 100 {
		subject += fmt.Sprintf("第%d次 会议通知 word%d ", i, i)
	}
	id := s.NewID()
	e := &policy.Envelope{Received: now, Identity: "x", Subject: subject}
	if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
		t.Fatal(err)
	}
	if got := searchAll(t, s, `subject:"`+subject+`"`); !slices.Equal(got, []policy.ID{id}) {
		t.Errorf("%v", got)
	}
}
