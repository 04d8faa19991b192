package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func TestAuditLinksWhatWasDone(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			if err := s.Audit(AuditEntry{Time: time.Now(), Act: "recall", Actor: fmt.Sprintf("api:%d", i%4), Object: "x", Detail: strings.Repeat("d", 3000)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n, err := s.VerifyAudit(); n != 40 || err != nil {
		t.Fatalf("%d entries, %v", n, err)
	}
	mine, err := s.AuditLog(0, 5, func(e *AuditEntry) bool { return e.Actor == "api:1" })
	if err != nil || len(mine) != 5 || mine[0].Number < mine[1].Number || len(mine[0].Detail) != maxAuditField {
		t.Fatalf("%d entries, %v", len(mine), err)
	}
	if rest, _ := s.AuditLog(mine[4].Number, 100, func(e *AuditEntry) bool { return e.Actor == "api:1" }); len(rest) != 5 {
		t.Errorf("%d on the next page", len(rest))
	}
	if n, err := s.EraseAudit(func(e *AuditEntry) bool { return e.Actor == "api:1" }); n != 10 || err != nil {
		t.Errorf("erased %d, %v", n, err)
	}
	if left, _ := s.AuditLog(0, 100, func(e *AuditEntry) bool { return e.Actor == "api:1" }); len(left) != 0 {
		t.Errorf("%d entries still name who was erased", len(left))
	}
	if n, err := s.VerifyAudit(); n != 40 || err != nil {
		t.Errorf("after erasing: %d entries, %v", n, err)
	}
}

func TestAuditShowsWhatWasTamperedWith(t *testing.T) {
	for _, c := range []struct {
		outcome string
		tamper  func(*badger.Txn, *AuditEntry) error
		want    string
	}{
		{"another actor", func(txn *badger.Txn, e *AuditEntry) error {
			e.Actor = "somebody"
			return txn.Set(auditKey(e.Number), encode(e))
		}, "entry 3 was changed"},
		{"another act", func(txn *badger.Txn, e *AuditEntry) error {
			e.Act = "look"
			return txn.Set(auditKey(e.Number), encode(e))
		}, "entry 3 does not follow"},
		{"made anew", func(txn *badger.Txn, e *AuditEntry) error {
			e.Actor = "somebody"
			e.Digest = e.digest()
			return txn.Set(auditKey(e.Number), encode(e))
		}, "entry 3 does not follow"},
		{"taken out", func(txn *badger.Txn, e *AuditEntry) error { return txn.Delete(auditKey(e.Number)) }, "entry 3 is missing"},
		{"without its salt", func(txn *badger.Txn, e *AuditEntry) error {
			e.Salt = nil
			return txn.Set(auditKey(e.Number), encode(e))
		}, "entry 3 has lost its salt"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			s := mustOpen(t, t.TempDir())
			defer mustClose(t, s)
			for range 5 {
				if err := s.Audit(AuditEntry{Time: time.Now(), Act: "recall", Actor: "api:a"}); err != nil {
					t.Fatal(err)
				}
			}
			all, err := s.AuditLog(4, 1, nil)
			if err != nil || all[0].Number != 3 {
				t.Fatalf("%+v, %v", all, err)
			}
			if err := s.db.Update(func(txn *badger.Txn) error { return c.tamper(txn, &all[0]) }); err != nil {
				t.Fatal(err)
			}
			if _, err := s.VerifyAudit(); !errors.Is(err, ErrAudit) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestKeptNamesAndDrop(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	for _, name := range []string{"user/b", "user/a", "session/a"} {
		if err := s.Keep(name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Drop("user/b"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.KeptNames("user/"); err != nil || len(names) != 1 || names[0] != "user/a" {
		t.Errorf("%v, %v", names, err)
	}
}
