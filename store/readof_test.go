package store

import (
	"errors"
	"io"
	"reflect"
	"testing"
)

// TestWhoHasTheMessageReadsTheRestByIt: the rows and the body are those that the id alone gives.
func TestWhoHasTheMessageReadsTheRestByIt(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	id := keep(t, s, 3000)
	m, err := s.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Recipients(id)
	got, errOf := s.RecipientsOf(&m)
	if err != nil || errOf != nil || len(got) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; by the id %+v, %v", got, errOf, want, err)
	}
	body, err := s.BodyOf(&m)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(body); err != nil || int64(len(b)) != m.BodySize {
		t.Errorf("%d octets, %v; want %d", len(b), err, m.BodySize)
	}

	m.ID = s.NewID() // as of one that was pruned meanwhile
	if rows, err := s.RecipientsOf(&m); !errors.Is(err, ErrNotFound) {
		t.Errorf("%+v, %v", rows, err)
	}
	m.BodyChunks = 0
	if _, err := s.BodyOf(&m); !errors.Is(err, ErrNotFound) {
		t.Errorf("a body that is none: %v", err)
	}
}
