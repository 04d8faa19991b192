package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// lossKey with a fault in words: what a repair has given up. The value is the time of the first one that did.
var lossKey = []byte{keyMeta, 'l'}

// maxLoss bounds the words that are compared.
const maxLoss = 1 << 10

// GivenUp is damage that a repair has found and could not mend.
type GivenUp struct {
	What string
	When time.Time // of the repair; zero where an older sendgate did not note it
}

func (g GivenUp) String() string {
	if g.When.IsZero() {
		return "given up by a repair: " + g.What
	}
	return fmt.Sprintf("given up by the repair of %s: %s", g.When.Format(time.DateTime+" MST"), g.What)
}

// tableLoss begins what is said of a table. Tables of a restored journal have the same names.
const tableLoss = "table "

func lossOf(what string) []byte {
	return append(slices.Clip(lossKey), what[:min(len(what), maxLoss)]...)
}

func lossTime(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMicro())) }

// losses gives what repairs have given up, in words, and when.
func (s *Store) losses() (map[string]time.Time, error) {
	known := map[string]time.Time{}
	err := s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: lossKey, PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			what := string(it.Item().Key()[len(lossKey):])
			err := it.Item().Value(func(v []byte) error {
				if len(v) == 8 {
					known[what] = time.UnixMicro(int64(binary.BigEndian.Uint64(v))).UTC()
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return known, err
}

// A settling writes down what a repair gives up.
type settling struct {
	batch *badger.WriteBatch
	now   time.Time
	err   error
}

func (g *settling) note(what string) (when time.Time) {
	g.err = errors.Join(g.err, g.batch.Set(lossOf(what), lossTime(g.now)))
	return g.now
}

// settleFaults ends a repair: it writes entries of indexes again that are missing, and notes what is wrong besides, so
// that a later verify tells it from new damage.
func (s *Store) settleFaults(report *RepairReport) error {
	g := &settling{batch: s.db.NewWriteBatch(), now: s.cfg.Now().UTC()}
	defer g.batch.Cancel()
	v := VerifyReport{Schema: schema, repair: g}
	err := s.check(context.Background(), &v)
	if err = errors.Join(err, g.err); err == nil {
		err = g.batch.Flush()
	}
	if err != nil {
		return fmt.Errorf("note what was given up: %w", err)
	}
	report.GivenUp, report.GivenUpCount, report.Faults = v.GivenUp, v.GivenUpCount, v.Faults
	return nil
}

// setAll writes keys without a value.
func (s *Store) setAll(keys [][]byte) error {
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for _, k := range keys {
		if err := wb.Set(k, nil); err != nil {
			return err
		}
	}
	return wb.Flush()
}

// givenUpGaps tells of the batches that were given up.
func (s *Store) givenUpGaps(v *VerifyReport) error {
	gaps, err := s.givenUp()
	if err != nil {
		return err
	}
	var all []hole
	for from, to := range gaps {
		all = append(all, hole{from, to})
	}
	slices.SortFunc(all, func(a, b hole) int { return cmp.Compare(a.from, b.from) })
	for _, h := range all {
		v.giveUp(h.missing(), v.known[h.missing()])
	}
	return nil
}

// checkTables names the damaged tables. The engine itself says only that there is one.
func (s *Store) checkTables(_ context.Context, v *VerifyReport) error {
	damage := s.tableDamage()
	if damage == nil {
		return nil
	}
	x := salvage{dir: filepath.Join(s.cfg.Dir, engineDir), keys: [][]byte{nil}}
	if err := x.openKeys(s.cfg); err != nil {
		return err
	}
	named := false
	for _, t := range s.db.Tables() {
		name := fmt.Sprintf("%06d.sst", t.ID)
		err := readTable(filepath.Join(x.dir, name), x.keys, func(scrap) {})
		if err == nil || errors.Is(err, fs.ErrNotExist) { // compacted meanwhile
			continue
		}
		v.fault("%s%s: %v; rows may be missing that are not named here", tableLoss, name, err)
		named = true
	}
	if !named {
		v.broken("%v: rows may be missing that are not named here", damage)
	}
	return nil
}
