package store

import (
	"bytes"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// What is found is not written again: of a journal that lacks nothing, nothing is.
func TestOnlyWhatIsMissingIsWritten(t *testing.T) {
	s := mustOpen(t, fixture(t, "schema1-first.txt", 1))
	defer s.Close()
	d, more, err := s.readDerived(policy.ID{}, maxDerived)
	if err != nil || more {
		t.Fatalf("more %v, %v", more, err)
	}
	if d.messages != 4 || len(d.keys) == 0 || len(d.ended) != 0 {
		t.Errorf("%d messages, %d keys, %d ended", d.messages, len(d.keys), len(d.ended))
	}
	if missing, err := s.missing(slices.Clone(d.keys)); err != nil || len(missing) != 0 {
		t.Errorf("%d keys are missing, %v", len(missing), err)
	}
	slices.SortFunc(d.keys, bytes.Compare)
	d.keys = slices.CompactFunc(d.keys, bytes.Equal)
	for _, gone := range [][][]byte{d.keys[:1], d.keys[len(d.keys)-1:], d.keys[3:9], d.keys} {
		if err := s.deleteAll(gone); err != nil {
			t.Fatal(err)
		}
		if missing, err := s.missing(slices.Clone(d.keys)); err != nil || !slices.EqualFunc(missing, gone, bytes.Equal) {
			t.Errorf("%d keys are missing, want %d, %v", len(missing), len(gone), err)
		}
		if err := s.writeDerived(d); err != nil {
			t.Fatal(err)
		}
		if missing, err := s.missing(slices.Clone(d.keys)); err != nil || len(missing) != 0 {
			t.Errorf("%d keys are still missing, %v", len(missing), err)
		}
	}
}

// However little is done at a time, all is, and is counted once; a note that cannot be read begins anew.
func TestNotesOfTheMigration(t *testing.T) {
	for name, note := range map[string][]byte{"none": nil, "one that cannot be read": []byte("m\xff")} {
		s, err := open(testConfig(t, fixture(t, "schema1-first.txt", 20)))
		if err != nil {
			t.Fatal(err)
		}
		if note != nil {
			if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(migrationKey, note) }); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second time there is nothing to do
			if err := s.deriveAll(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			got, begun, err := s.migrated()
			if err != nil || !begun || got.Done != 80 {
				t.Errorf("%s: %+v, %v, %v", name, got, begun, err)
			}
			total := int64(0)
			for _, c := range s.counts {
				for _, n := range c {
					total += n
				}
			}
			if total != 20*6 {
				t.Errorf("%s: %d recipients are counted, want %d", name, total, 20*6)
			}
		}
		if err := s.release(); err != nil {
			t.Fatal(err)
		}
	}
}

// An iterator ends at a damaged block: what it owes is read by keys.
func TestAScanThatEndsEarlyLooksUp(t *testing.T) {
	s := mustOpen(t, fixture(t, "schema1-first.txt", 3))
	defer s.Close()
	whole := scanned(t, s, func(*scan) {})
	for name, end := range map[string]func(*scan){
		"rows":     func(sc *scan) { sc.rows.Seek([]byte{keyRecipient + 1}) },
		"events":   func(sc *scan) { sc.tale.Seek([]byte{keyEvents + 1}) },
		"messages": func(sc *scan) { sc.messages.Seek([]byte{keyMessage + 1}) },
	} {
		got, want := scanned(t, s, end), whole
		if name == "events" { // by which alone a record is known
			want = slices.DeleteFunc(slices.Clone(whole), func(f file) bool { return f.message == nil })
		}
		if len(got) == 0 || len(got) != len(want) {
			t.Errorf("without %s: %d of %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			w, g := &want[i], &got[i]
			if g.id != w.id || (g.message == nil) != (w.message == nil) || len(g.rows) != len(w.rows) || len(g.events) != len(w.events) {
				t.Errorf("without %s: %+v, want %+v", name, g, w)
			}
		}
	}
}

func scanned(t *testing.T, s *Store, end func(*scan)) (files []file) {
	t.Helper()
	err := s.view(func(txn *badger.Txn) error {
		sc := newScan(s, txn, policy.ID{})
		defer sc.close()
		end(sc)
		for id, ok := sc.next(); ok; id, ok = sc.next() {
			f, err := sc.read(id)
			if err != nil {
				return err
			}
			if f.message == nil && len(f.events) == 0 {
				t.Errorf("nothing of %s", id)
			}
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
