package store

import (
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestEachAndReplay(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	var ids []policy.ID
	for range 3 {
		ids = append(ids, keep(t, s, 100))
	}
	var seen []policy.ID
	err := s.Each(t.Context(), time.Now().Add(-time.Hour), func(m *Message, rows policy.Rows) bool {
		if len(rows) != m.Recipients || m.Envelope.Identity == "" {
			t.Errorf("%+v", m)
		}
		seen = append(seen, m.ID)
		return len(seen) < 2
	})
	if err != nil || len(seen) != 2 || seen[0] != ids[0] || seen[1] != ids[1] {
		t.Errorf("%v, %v", seen, err)
	}
	if err := s.Each(t.Context(), time.Now().Add(time.Hour), func(*Message, policy.Rows) bool { t.Error("from the future"); return false }); err != nil {
		t.Error(err)
	}
	sub, err := s.Replay()
	if err != nil {
		t.Fatal(err)
	}
	last := s.LastBatch()
	for i := 0; ; i++ {
		r, ok, err := sub.NextUpTo(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if i != 3 {
				t.Errorf("%d records", i)
			}
			break
		}
		if r.Message != ids[i] {
			t.Errorf("record %d is about %s", i, r.Message)
		}
	}
}
