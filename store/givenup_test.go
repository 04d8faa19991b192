package store

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// What a repair could not mend is told apart from then on, with its date, and new damage is new.
func TestVerifyTellsWhatARepairHasGivenUp(t *testing.T) {
	const of, later = 1, 2 // the message that is spoiled before the repair, and the one after it
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, s *Store, ids []policy.ID)
		want   []string // what is given up, with the id of the message for %s
		faults []string // what no repair gives up
	}{
		"nothing": {spoil: func(*testing.T, *Store, []policy.ID) {}},
		"batches": {spoil: func(t *testing.T, s *Store, _ []policy.ID) {
			gone(t, s, batchKey(2))
		}, want: []string{"batch 2: missing"}},
		"events": {spoil: func(t *testing.T, s *Store, ids []policy.ID) {
			gone(t, s, eventsKey(ids[of], 2, 0))
		}, want: []string{"batch 2: the events of message %s are missing"}},
		"a message": {spoil: func(t *testing.T, s *Store, ids []policy.ID) {
			gone(t, s, idKey(keyMessage, ids[of]))
		}, want: []string{"message %s: it has events and no row", "message %s: there is a timer at"}},
		"a recipient": {spoil: func(t *testing.T, s *Store, ids []policy.ID) {
			gone(t, s, recipientKey(ids[of], 1))
		}, want: []string{"message %s: recipient 1 of"}},
		"what is mended": {spoil: func(t *testing.T, s *Store, ids []policy.ID) {
			m, err := s.Message(ids[of])
			if err != nil {
				t.Fatal(err)
			}
			gone(t, s, timeKey(keyDue, m.Due, m.ID), indexKey(indexWord, "hello", m.ID), countKey(hourOf(m.ID)), bodyKey(ids[0], 0))
		}},
		"entries of the audit log": {spoil: func(t *testing.T, s *Store, _ []policy.ID) {
			gone(t, s, auditKey(3), auditKey(4), auditKey(7))
		}, want: []string{"the audit log is broken: entries 3 to 4 are missing", "the audit log is broken: entry 7 is missing"}},
		"an audit log that was changed": {spoil: func(t *testing.T, s *Store, _ []policy.ID) {
			spoilAudit(t, s, 3)
			gone(t, s, auditKey(7))
		}, want: []string{"entry 7 is missing"}, faults: []string{"entry 3 was changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, t.TempDir())
			var ids []policy.ID
			for range 4 {
				ids = append(ids, keep(t, s, 100))
			}
			for range 9 {
				if err := s.Audit(AuditEntry{Time: time.Now(), Act: "release", Actor: "ann"}); err != nil {
					t.Fatal(err)
				}
			}
			c.spoil(t, s, ids)
			s.Close()
			cfg := testConfig(t, s.cfg.Dir)
			repaired := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
			cfg.Now = func() time.Time { return repaired }
			report, err := Repair(cfg)
			if err != nil || report.GivenUpCount != len(c.want) || len(report.Faults) != len(c.faults) {
				t.Errorf("the repair: %+v, %v", report, err)
			}
			cfg.Now = func() time.Time { return repaired.AddDate(0, 1, 0) }
			if again, err := Repair(cfg); err != nil || again.GivenUpCount != len(c.want) {
				t.Errorf("another repair: %+v, %v", again, err)
			}
			v, err := Verify(t.Context(), cfg)
			if err != nil || v.GivenUpCount != len(c.want) || v.FaultCount != len(c.faults) {
				t.Fatalf("%d faults: %q; given up: %q, %v", v.FaultCount, v.Faults, v.GivenUp, err)
			}
			for i, want := range c.want {
				want = strings.ReplaceAll(want, "%s", ids[of].String())
				if got := v.GivenUp[i].String(); !strings.HasPrefix(got, "given up by the repair of 2026-03-04 05:06:07 UTC: ") || !strings.Contains(got, want) {
					t.Errorf("%s, want %s", got, want)
				}
			}
			for i, want := range c.faults {
				if !strings.Contains(v.Faults[i], want) {
					t.Errorf("%s, want %s", v.Faults[i], want)
				}
			}
			if s, err = Open(cfg); err != nil {
				t.Fatal(err)
			}
			gone(t, s, recipientKey(ids[later], 0))
			s.Close()
			if v, err = Verify(t.Context(), cfg); err != nil || v.GivenUpCount != len(c.want) || v.FaultCount != len(c.faults)+1 || !strings.Contains(strings.Join(v.Faults, "\n"), "message "+ids[later].String()+": recipient 0 of") {
				t.Errorf("after new damage %d faults: %q; given up: %q, %v", v.FaultCount, v.Faults, v.GivenUp, err)
			}
		})
	}
}

// spoilAudit changes an entry of the audit log.
func spoilAudit(t *testing.T, s *Store, number uint64) {
	t.Helper()
	err := s.db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get(auditKey(number))
		if err != nil {
			return err
		}
		e, err := readAudit(item)
		if err != nil {
			return err
		}
		e.Actor = "bob"
		return txn.Set(auditKey(number), encode(e))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An older sendgate has noted which batches it gave up, and not when.
func TestGapsOfAnOlderSendgateHaveNoDate(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for range 3 {
		keep(t, s, 0)
	}
	gone(t, s, batchKey(2))
	put(t, s, append(slices.Clip(gapKey), batchKey(2)[1:]...), string(batchKey(2)[1:]))
	s.Close()
	v := mustVerify(t, s.cfg.Dir)
	if len(v.GivenUp) != 1 || v.GivenUp[0].String() != "given up by a repair: batch 2: missing" {
		t.Errorf("%q", v.GivenUp)
	}
}

// A damaged table is named, so that another one, or more of it, is told apart. A restored journal has tables of its own.
func TestGivenUpTablesHaveNames(t *testing.T) {
	dir := tabled(t)
	table := filepath.Base(slices.Max(engineLogs(t, dir, ".sst")))
	overwrite(t, filepath.Join(dir, engineDir, table), 5_000, 1)
	v, err := Verify(t.Context(), testConfig(t, dir))
	if err != nil || !strings.HasPrefix(v.Faults[0], "table "+table+": 1 of ") || !strings.HasSuffix(v.Faults[0], " blocks are damaged; rows may be missing that are not named here") {
		t.Fatalf("%q, %v", v.Faults, err)
	}
	mustRepair(t, dir)
	if v = mustVerify(t, dir); v.GivenUpCount == 0 || !strings.HasPrefix(v.GivenUp[0].What, "table "+table+": 1 of ") {
		t.Fatalf("%q", v.GivenUp)
	}
	more := copyDir(t, dir)
	overwrite(t, filepath.Join(more, engineDir, table), 30_000, 1)
	if v, err = Verify(t.Context(), testConfig(t, more)); err != nil || v.FaultCount == 0 || !strings.HasPrefix(v.Faults[0], "table "+table+": 2 of ") {
		t.Errorf("more damage: %q, %v", v.Faults, err)
	}
	s := mustOpen(t, dir)
	var b bytes.Buffer
	_, err = s.Backup(t.Context(), "test", &b)
	if s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, filepath.Join(t.TempDir(), "restored"))
	if _, err := Restore(t.Context(), cfg, &b, false); err != nil {
		t.Fatal(err)
	}
	if v = mustVerify(t, cfg.Dir); v.GivenUpCount != 0 {
		t.Errorf("restored: %q", v.GivenUp)
	}
	s = mustOpen(t, cfg.Dir)
	defer s.Close()
	if known, err := s.losses(); err != nil || len(known) != 0 {
		t.Errorf("restored: %v, %v", known, err)
	}
}

// tabled gives a store whose rows are in a table.
func tabled(t *testing.T) (dir string) {
	t.Helper()
	s := mustOpen(t, t.TempDir())
	for range 1000 {
		e := policy.Envelope{Received: time.Now(), Identity: "x", Sender: "a@corp.example", Recipients: []policy.Recipient{{Address: "b@example.org"}}}
		p, err := s.prepare(Change{Message: s.NewID(), Envelope: &e, Events: []policy.Event{{Kind: policy.Held, Until: time.Now()}}})
		if err != nil {
			t.Fatal(err)
		}
		s.queue <- p
	}
	keep(t, s, 0) // what is before it in the queue is written
	s.Close()
	return s.cfg.Dir
}
