package store

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// recorded commits events that are about no message.
func recorded(t *testing.T, s *Store, events ...policy.Event) policy.ID {
	t.Helper()
	id := s.NewID()
	if _, err := s.Commit(t.Context(), Change{Message: id, Events: events}); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWhatNamesSomebodyIsFoundWhereverItStands(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	at := time.Now().UTC()
	signedIn := recorded(t, s, policy.Event{Kind: policy.Login, Time: at, Subject: "Ann@Corp.example", Evidence: "192.0.2.7", Key: "login"})
	asked := recorded(t, s, policy.Event{Kind: policy.RecallRequested, Time: at, Actor: "user:bob", Evidence: `{"recipients":["ann@corp.example"]}`})
	recorded(t, s, policy.Event{Kind: policy.Suspended, Time: at, Subject: "bob"})
	message := s.NewID()
	e := &policy.Envelope{Received: at, Identity: "bob", Sender: "bob@corp.example", Recipients: []policy.Recipient{{Address: "ann@corp.example"}}}
	if _, err := s.Commit(t.Context(), Change{Message: message, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted, Time: at}, {Kind: policy.Held, Time: at, Until: at.Add(time.Hour)}}}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]policy.ID{"ANN@corp.example": {signedIn, asked, message}, "carol": nil, "192.0.2.7": {signedIn}} {
		if got, err := s.Naming(t.Context(), text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := s.Naming(ended, "ann"); !errors.Is(err, context.Canceled) {
		t.Errorf("cut off: %v", err)
	}
}

func TestATimelineThatIsNoMessageIsRewritten(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	sub := s.Subscribe(0)
	id := recorded(t, s, policy.Event{Kind: policy.Login, Time: time.Now().UTC(), Subject: "ann", Key: "login 10", QueueID: "Q1"})
	err := s.Redact(id, func(m *Stored) error {
		if m.Message != nil || len(m.Rows) != 0 {
			t.Errorf("it is a message: %+v", m)
		}
		m.Records[0].Events[0].Subject, m.Records[0].Events[0].Key = "x", ""
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := sub.Next(t.Context())
	if err != nil || r.Message != id || r.Events[0].Subject != "x" {
		t.Errorf("who follows the journal reads %+v, %v", r, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir)
	defer s.Close()
	if ids, err := s.Naming(t.Context(), "ann"); err != nil || len(ids) != 0 {
		t.Errorf("it is named still: %v, %v", ids, err)
	}
	if ids, err := s.Records(t.Context(), policy.Login, 10, policy.ID{}); err != nil || !slices.Equal(ids, []policy.ID{id}) {
		t.Errorf("the kind finds %v, %v", ids, err)
	}
}

func TestABodyStaysWithWhoKeepsIt(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	id, at := s.NewID(), time.Now().UTC()
	body := s.NewBody(id)
	if _, err := io.WriteString(body, "text"); err != nil {
		t.Fatal(err)
	}
	e := &policy.Envelope{Received: at, Identity: "bob", Sender: "bob@corp.example", Recipients: []policy.Recipient{{Address: "b@example.org"}}}
	if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Body: body, Events: []policy.Event{
		{Kind: policy.Accepted, Time: at}, {Kind: policy.Held, Time: at, Until: at.Add(time.Hour)}, {Kind: policy.Canceled, Time: at, Actor: "user:ann"},
	}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Redact(id, func(m *Stored) error { m.KeepBody = true; m.Records[0].Events[2].Actor = "x"; return nil }); err != nil {
		t.Fatal(err)
	}
	r, err := s.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if ids, err := s.Naming(t.Context(), "user:ann"); err != nil || len(ids) != 0 {
		t.Errorf("%v, %v", ids, err)
	}
}

// What cannot be searched is no proof that nobody is named there.
func TestADamagedTableIsSaidByNaming(t *testing.T) {
	dir := tabled(t)
	overwrite(t, filepath.Join(dir, engineDir, filepath.Base(slices.Max(engineLogs(t, dir, ".sst")))), 5_000, 1)
	mustRepair(t, dir)
	s := mustOpen(t, dir)
	defer s.Close()
	if ids, err := s.Naming(t.Context(), "b@example.org"); !errors.Is(err, ErrDamaged) || len(ids) == 0 {
		t.Errorf("%d are named, %v", len(ids), err)
	}
}
