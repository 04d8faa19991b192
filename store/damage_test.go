package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"
)

func testConfig(t testing.TB, dir string) Config {
	cfg := DefaultConfig()
	cfg.Dir, cfg.Node, cfg.MinFree = dir, "test", 1
	cfg.Log = zaptest.NewLogger(t, zaptest.Level(zap.FatalLevel))
	return cfg
}

func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(testConfig(t, dir))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

// keep commits a held message with a body of that size.
func keep(t testing.TB, s *Store, body int) policy.ID {
	t.Helper()
	id := s.NewID()
	c := Change{Message: id, Envelope: &policy.Envelope{
		Received: s.cfg.Now(), Front: policy.Relay, Identity: "alice", Sender: "alice@corp.example", Subject: "Hello there",
		Recipients: []policy.Recipient{{Address: "bob@example.org"}, {Address: "carol@example.org"}},
	}, Events: []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Held, Until: s.cfg.Now().Add(time.Hour)}}}
	if body > 0 {
		c.Body = s.NewBody(id)
		if _, err := c.Body.Write(make([]byte, body)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Commit(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return id
}

// observe commits an observation about a message.
func observe(t testing.TB, s *Store, id policy.ID, kind policy.Kind) {
	t.Helper()
	if _, err := s.Commit(context.Background(), Change{Message: id, Events: []policy.Event{{Kind: kind}}}); err != nil {
		t.Fatal(err)
	}
}

// crashed gives a directory as a killed process leaves it: messages held, the mark at the last batch.
func crashed(t *testing.T, messages, body int) (dir string, ids []policy.ID) {
	t.Helper()
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	for range messages {
		ids = append(ids, keep(t, s, body))
	}
	if err := s.writeWatermark(); err != nil {
		t.Fatal(err)
	}
	return copyDir(t, s.cfg.Dir), ids
}

// memLog is the log of the memory table in use, and its length up to the last octet that is not 0.
func memLog(t testing.TB, dir string) (path string, length int64) {
	t.Helper()
	path = slices.Max(engineLogs(t, dir, ".mem"))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for length = int64(len(b)); length > 0 && b[length-1] == 0; length-- {
	}
	return path, length
}

// refused opens a directory that must not open, twice, and returns what the operator is told.
func refused(t *testing.T, dir string) string {
	t.Helper()
	var text string
	for range 2 {
		s, err := Open(testConfig(t, dir))
		if err == nil {
			s.Close()
			t.Fatal("it opened")
		}
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("open: %v, want ErrDamaged", err)
		}
		text = err.Error()
		if want := `"sendgate store repair --data ` + dir + `"`; !strings.Contains(text, want) {
			t.Errorf("%s\ndoes not name the command %s", text, want)
		}
	}
	return text
}

func mustRepair(t *testing.T, dir string) RepairReport {
	t.Helper()
	report, err := Repair(testConfig(t, dir))
	if err != nil {
		t.Fatalf("repair: %v", err)
	}
	return report
}

func TestDamageInTheMiddleIsRefusedAndRepaired(t *testing.T) {
	dir, ids := crashed(t, 100, 100)
	path, length := memLog(t, dir)
	overwrite(t, path, length/2, 3)
	if text := refused(t, dir); !strings.Contains(text, "to 100 of 100 in "+dir+" are missing") {
		t.Errorf("the text does not say what is missing: %s", text)
	}
	report := mustRepair(t, dir)
	if len(report.Lost) != 1 || !strings.HasSuffix(report.Lost[0], "to 100") || report.Messages == 0 || report.Messages > 60 || report.Doubtful != report.Messages {
		t.Errorf("report %+v", report)
	}
	s := mustOpen(t, copyDir(t, dir)) // a crash right after the repair
	rows, err := s.Recipients(ids[0])
	if err != nil || rows[0].State != policy.StateHeld || !rows[0].MayBeDuplicate || rows[0].Due.IsZero() {
		t.Errorf("a message that waits: %+v, %v", rows, err)
	}
	if _, err := s.Message(ids[99]); !errors.Is(err, ErrNotFound) {
		t.Errorf("a message that was lost: %v", err)
	}
	s.Close()
	// After the gap the journal goes on, and stays sound over a second one.
	for range 2 {
		s = mustOpen(t, dir)
		for range 50 {
			keep(t, s, 100)
		}
		if err := s.writeWatermark(); err != nil {
			t.Fatal(err)
		}
		next := copyDir(t, dir)
		s.Close()
		s = mustOpen(t, next)
		s.Close()
		dir = copyDir(t, next)
		if got := mustRepair(t, dir); len(got.Lost) != 0 || got.Doubtful != 0 {
			t.Errorf("repair of a sound journal: %+v", got)
		}
	}
}

func TestGapsOfTwoRepairsFollowEachOther(t *testing.T) {
	dir, _ := crashed(t, 20, 0)
	for _, c := range []struct{ mark, lost string }{{"30", "[batches 21 to 30]"}, {"90", "[batches 51 to 90]"}} {
		if err := os.WriteFile(filepath.Join(dir, watermarkFile), []byte(c.mark+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, dir)
		if report := mustRepair(t, dir); fmt.Sprint(report.Lost) != c.lost { // each doubt took a batch
			t.Errorf("report after the mark %s: %+v", c.mark, report)
		}
	}
	s := mustOpen(t, dir)
	id := keep(t, s, 0)
	if tl, err := s.Timeline(id); err != nil || tl[0].Batch != 111 {
		t.Errorf("the first batch after the repairs: %+v, %v", tl, err)
	}
	s.Close()
	s = mustOpen(t, dir)
	defer s.Close()
	if holes, last, err := s.holes(); err != nil || len(holes) > 0 || last != 111 {
		t.Errorf("holes %v, last %d, %v", holes, last, err)
	}
}

// Gaps that touch: nothing was committed between two repairs.
func TestHolesSkipsAdjoiningGaps(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	keep(t, s, 0)
	for _, h := range []hole{{2, 5}, {6, 9}} {
		if err := s.giveUp(h); err != nil {
			t.Fatal(err)
		}
	}
	if holes, last, err := s.holes(); len(holes) != 0 || last != 9 || err != nil {
		t.Errorf("holes %v, last %d, %v", holes, last, err)
	}
	s.lastBatch.Store(9)
	keep(t, s, 0)
	if holes, last, err := s.holes(); len(holes) != 0 || last != 10 || err != nil {
		t.Errorf("with a batch after the gaps: holes %v, last %d, %v", holes, last, err)
	}
	s.lastBatch.Store(11)
	keep(t, s, 0)
	if holes, _, _ := s.holes(); !slices.Equal(holes, []hole{{11, 11}}) {
		t.Errorf("with a batch missing: holes %v", holes)
	}
	s.lastBatch.Store(9) // for Close
}

func TestTornTailOpensWithoutAWord(t *testing.T) {
	dir, ids := crashed(t, 20, 5000)
	path, length := memLog(t, dir)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, tear := range map[string]func(t *testing.T, path string){
		"cut at the end":      func(t *testing.T, path string) { truncate(t, path, length) },
		"cut a little later":  func(t *testing.T, path string) { truncate(t, path, length+7) },
		"zeros":               func(t *testing.T, path string) { truncate(t, path, length); truncate(t, path, info.Size()) },
		"half an entry":       func(t *testing.T, path string) { write(t, path, length, "\x40\x00\x19\x20garbage that is no entry") },
		"another transaction": func(t *testing.T, path string) { write(t, path, length, half(t, path, length)) },
	} {
		t.Run(name, func(t *testing.T) {
			torn := copyDir(t, dir)
			tear(t, filepath.Join(torn, engineDir, filepath.Base(path)))
			core, logs := observer.New(zapcore.WarnLevel)
			cfg := testConfig(t, torn)
			cfg.Log = zap.New(core)
			s, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if logs.Len() > 0 {
				t.Errorf("it said: %v", logs.All())
			}
			for _, id := range ids {
				if !s.readable(id) {
					t.Errorf("%s was lost", id)
				}
			}
			if n := s.lastBatch.Load(); n != 20 {
				t.Errorf("the last batch is %d", n)
			}
		})
	}
}

// half is the beginning of the log's own content: entries of a transaction without its end.
func half(t *testing.T, path string, length int64) string {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[20 : 20+min(length-20, 300)])
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, offset int64, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), offset); err != nil {
		t.Fatal(err)
	}
}

func TestWatermark(t *testing.T) {
	dir, ids := crashed(t, 5, 0)
	mark := filepath.Join(dir, watermarkFile)
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(mark, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("5\x00\x00x")
	if text := refused(t, dir); !strings.Contains(text, "does not hold a number") || !strings.Contains(text, "makes it anew") {
		t.Error(text)
	}
	if report := mustRepair(t, dir); len(report.Lost) != 0 || report.LastBatch != 5 || report.Messages != 5 {
		t.Errorf("report %+v", report)
	}
	if b, _ := os.ReadFile(mark); string(b) != "5\n" {
		t.Errorf("the mark after the repair: %q", b)
	}
	put("1000\n")
	if text := refused(t, dir); !strings.Contains(text, "batches 6 to 1000 of 1000 in "+dir+" are missing; they were durable and are gone") {
		t.Error(text)
	}
	if report := mustRepair(t, dir); fmt.Sprint(report.Lost) != "[batches 6 to 1000]" || report.LastBatch < 1000 || report.Doubtful != 5 {
		t.Errorf("report %+v", report)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir)
	defer s.Close()
	if m, err := s.Message(ids[4]); err != nil || m.State() != policy.StateHeld {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestDescribe(t *testing.T) {
	many := []hole{{1, 1}, {3, 4}, {6, 6}, {8, 8}, {10, 10}, {12, 12}, {14, 20}}
	for want, holes := range map[string][]hole{
		"batch 1":        many[:1],
		"batches 3 to 4": many[1:2],
		"batch 1, batches 3 to 4, batch 6, batch 8, batch 10, and 2 more runs": many,
	} {
		if got := describe(holes); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLostBodiesAreRefusedAndRepaired(t *testing.T) {
	dir, ids := crashed(t, 40, 10_000)
	overwrite(t, slices.Max(engineLogs(t, dir, ".vlog")), 150_000, 4)
	if text := refused(t, dir); !strings.Contains(text, "of the body of "+ids[39].String()) || !strings.Contains(text, "more may be missing") {
		t.Error(text)
	}
	report := mustRepair(t, dir)
	if len(report.Bodiless) == 0 || len(report.Bodiless)+report.Messages != 40 || len(report.Lost) != 0 || report.Bodiless[len(report.Bodiless)-1] != ids[39] {
		t.Errorf("report %+v", report)
	}
	s := mustOpen(t, dir)
	defer s.Close()
	m, err := s.Message(ids[39])
	if err != nil || m.State() != policy.StateUnknown || !m.Due.IsZero() || m.BodyChunks != 0 {
		t.Errorf("a message without its body: %+v, %v", m, err)
	}
	if _, err := s.Body(ids[39]); !errors.Is(err, ErrNotFound) {
		t.Errorf("its body: %v", err)
	}
	if m, err := s.Message(ids[0]); err != nil || m.State() != policy.StateHeld || !s.readable(ids[0]) {
		t.Errorf("a message with its body: %+v, %v", m, err)
	}
	if err := s.prune(t.Context(), time.Now().Add(s.cfg.BodiesFor+time.Hour)); err != nil {
		t.Errorf("retention afterwards: %v", err)
	}
}

func TestDamagedBodyIsNotGivenAsAShortOne(t *testing.T) {
	dir, ids := crashed(t, 3, 600_000)
	s := mustOpen(t, dir) // begins a new value log; the damaged one is cut no more
	for range newestBodies {
		keep(t, s, 10)
	}
	s.Close()
	overwrite(t, engineLogs(t, dir, ".vlog")[0], 300_000, 1)
	s = mustOpen(t, dir)
	defer s.Close()
	r, err := s.Body(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if !errors.Is(err, ErrDamaged) || n >= 600_000 {
		t.Errorf("%d octets, %v; want ErrDamaged", n, err)
	}
	if _, again := r.Read(make([]byte, 1)); again != err {
		t.Errorf("reading on: %v", again)
	}
	r.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("reading after Close gives no error")
	}
}

func TestDamagedTableIsRefusedAndRepaired(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	var ids []policy.ID
	for range 1000 {
		id := s.NewID()
		e := policy.Envelope{Received: time.Now(), Identity: "x", Sender: "a@corp.example", Recipients: []policy.Recipient{{Address: "b@example.org"}}}
		p, err := s.prepare(Change{Message: id, Envelope: &e, Events: []policy.Event{{Kind: policy.Held, Until: time.Now()}}})
		if err != nil {
			t.Fatal(err)
		}
		s.queue <- p
		ids = append(ids, id)
	}
	keep(t, s, 0)
	dir := s.cfg.Dir
	s.Close()
	table := slices.Max(engineLogs(t, dir, ".sst"))
	sound := copyDir(t, dir)
	hit := false
	for offset := int64(5_000); !hit; offset += 10_000 { // until a block of due entries is hit
		dir = copyDir(t, sound)
		overwrite(t, filepath.Join(dir, engineDir, filepath.Base(table)), offset, 1)
		if text := refused(t, dir); !strings.Contains(text, "a block of a table is damaged in "+dir) {
			t.Error(text)
		}
		report := mustRepair(t, dir)
		if len(report.Lost) == 0 || !strings.Contains(report.Lost[0], "rows in tables: a block of a table is damaged") {
			t.Fatalf("report %+v", report)
		}
		hit = report.Messages == len(ids)+1
	}
	s = mustOpen(t, dir)
	defer s.Close()
	due := 0
	if err := s.Due(func(DueMessage) bool { due++; return true }); err != nil || due < len(ids) {
		t.Errorf("%d of %d messages are due, %v", due, len(ids), err)
	}
}

// A damaged table may have had a message's events and not its row: what is left of it stays.
func TestMessageWithoutEventsIsRepaired(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	id, whole := keep(t, s, 0), keep(t, s, 0)
	if err := s.db.DropPrefix(idKey(keyEvents, id)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(s.cfg.Dir, watermarkFile), []byte("1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if report := mustRepair(t, s.cfg.Dir); report.Messages != 2 || report.Doubtful != 2 {
		t.Errorf("report %+v", report)
	}
	s = mustOpen(t, s.cfg.Dir)
	defer s.Close()
	for _, id := range []policy.ID{id, whole} {
		if m, err := s.Message(id); err != nil || m.State() != policy.StateHeld {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

func TestBeyondRepair(t *testing.T) {
	dir, _ := crashed(t, 3, 0)
	overwrite(t, filepath.Join(dir, engineDir, "MANIFEST"), 5, 1)
	if text := refused(t, dir); !strings.Contains(text, "Restore a backup") {
		t.Error(text)
	}
	if _, err := Repair(testConfig(t, dir)); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "this is beyond repair") ||
		strings.Contains(err.Error(), "store repair") || !strings.Contains(err.Error(), "sendgate export-held") {
		t.Errorf("repair: %v", err)
	}
}

// Garbage in place of a header makes the engine give up, in either log.
func TestGarbageIsCut(t *testing.T) {
	for _, ext := range []string{".mem", ".vlog"} {
		t.Run(ext, func(t *testing.T) {
			dir, ids := crashed(t, 20, 5000)
			path := slices.Max(engineLogs(t, dir, ext))
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			end, bad := logEnd(b)
			if bad || end < 1000 {
				t.Fatalf("the log ends at %d, bad: %v", end, bad)
			}
			write(t, path, int64(end), strings.Repeat("\xa5", 512))
			if text := refused(t, dir); !strings.Contains(text, "the engine cannot open") {
				t.Error(text)
			}
			if report := mustRepair(t, dir); len(report.Lost)+len(report.Bodiless) != 0 || report.Messages != len(ids) {
				t.Errorf("report %+v", report)
			}
			s := mustOpen(t, dir)
			defer s.Close()
			for _, id := range ids {
				if !s.readable(id) {
					t.Errorf("%s was lost", id)
				}
			}
		})
	}
}

func FuzzLogEnd(f *testing.F) {
	f.Add([]byte(strings.Repeat("\xff", 64)))
	f.Add([]byte("01234567890123456789\x40\x00\x01\x01\x00kv\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if end, _ := logEnd(b); end < 0 || end > len(b) || len(b) >= logHeader && end < logHeader {
			t.Errorf("%d of %d", end, len(b))
		}
	})
}

func TestUnreadableRowsAreReported(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	bad, good := keep(t, s, 0), keep(t, s, 0)
	err := s.db.Update(func(txn *badger.Txn) error {
		key := binary.BigEndian.AppendUint32(idKey(keyRecipient, bad), 1)
		return txn.Set(key, []byte("no CBOR"))
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	report := mustRepair(t, s.cfg.Dir)
	if !slices.Equal(report.Unreadable, []policy.ID{bad}) || report.Messages != 1 {
		t.Errorf("report %+v", report)
	}
	s = mustOpen(t, s.cfg.Dir)
	defer s.Close()
	if _, err := s.Recipients(bad); err == nil {
		t.Error("an unreadable row was read")
	}
	observe(t, s, good, policy.RelayedRemote)
	if _, err := s.Commit(t.Context(), Change{Message: bad, Events: []policy.Event{{Kind: policy.RelayedRemote}}}); err == nil {
		t.Error("a change of an unreadable message was committed")
	}
	if err := errors.Join(s.Ready(), s.prune(t.Context(), time.Now().AddDate(1, 0, 0))); err != nil {
		t.Errorf("the store after that: %v", err)
	}
}
