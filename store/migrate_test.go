package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// fixture makes a journal of what an older version has written, as many times as told: every time with ids of
// its own.
func fixture(t testing.TB, name string, times int) (dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	cfg := testConfig(t, dir)
	s, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for i := range times {
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
			key, err := hex.DecodeString(k)
			if err != nil {
				t.Fatal(err)
			}
			value, err := hex.DecodeString(v)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 && !renumber(key, value, i) {
				continue
			}
			if err := wb.Set(key, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.lastBatch.Store(uint64(9 * times))
	if err := wb.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.writeWatermark(); err != nil {
		t.Fatal(err)
	}
	if err := s.release(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// renumber gives a copy of an entry ids and batches of its own; false for what there is once.
func renumber(key, value []byte, i int) bool {
	stamp := func(id []byte) { id[14], id[15] = byte(i>>8), byte(i) }
	batch := func(b []byte) { b[6], b[7] = byte((int(b[7])+9*i)>>8), byte(int(b[7])+9*i) }
	switch key[0] {
	case keyMessage, keyRecipient, keyBody, keySeen:
		stamp(key[1:])
	case keyEvents:
		stamp(key[1:])
		batch(key[1+idSize:])
	case keyBatch:
		batch(key[1:])
		for ids := value[8:]; len(ids) > 0; ids = ids[idSize:] {
			stamp(ids)
		}
	case keyIndex, keyDue, keyFinal:
		stamp(key[len(key)-idSize:])
	default:
		return false
	}
	return true
}

var fixtures = []string{"schema1-first.txt", "schema1-counts.txt", "schema1-identity.txt"}

// Every schema that there was is read: what was missing in it is there afterwards, and verifies.
func TestOldSchemasAreBroughtToTheNewest(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			dir := fixture(t, name, 1)
			s := mustOpen(t, dir)
			defer s.Close()
			checkMigrated(t, s, 1)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			mustVerify(t, dir)
		})
	}
}

// checkMigrated looks for everything that the fixtures lack, so many times.
func checkMigrated(t *testing.T, s *Store, times int) {
	t.Helper()
	for query, want := range map[string]int{
		"identity:alice": 2, "identity:dave": 1, "from:alice@corp.example": 2, "to:bob@example.org": 3, "subject:报价": 1, "state:held": 1,
		"state:deferred": 1, "state:relayed_remote": 1,
	} {
		q, err := ParseQuery(query, s.cfg.Now())
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for cursor := ""; ; {
			page, err := s.Search(t.Context(), q, MaxPage, cursor)
			if err != nil {
				t.Fatal(err)
			}
			if found, cursor = found+len(page.Messages), page.Next; cursor == "" {
				break
			}
		}
		if found != want*times {
			t.Errorf("%s finds %d messages, want %d", query, found, want*times)
		}
	}
	day := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for state, want := range map[policy.State]int64{policy.StateHeld: 2, policy.StateRelayedRemote: 1, policy.StateBounced: 1, policy.StateDeferred: 1, policy.StateBlocked: 1} {
		if n := s.Counts(day, day.Add(24*time.Hour))[state]; n != want*int64(times) {
			t.Errorf("%d recipients are counted as %s, want %d", n, state, want*int64(times))
		}
	}
	if ids, err := s.Records(t.Context(), policy.Login, MaxPage, policy.ID{}); err != nil || len(ids) != min(times, MaxPage) {
		t.Errorf("%d sign-ins, %v", len(ids), err)
	}
	ended := 0
	err := s.Each(t.Context(), day, func(m *Message, rows policy.Rows) bool {
		if m.final() != !m.Ended.IsZero() {
			t.Errorf("%s ended at %v", m.ID, m.Ended)
		}
		if !m.Ended.IsZero() {
			ended++
		}
		return true
	})
	if err != nil || ended != 2*times {
		t.Errorf("%d messages have an end, %v", ended, err)
	}
	if version := schemaOf(t, s); version != strconv.Itoa(schema) {
		t.Errorf("schema %s", version)
	}
	if note, begun, err := s.migrated(); err != nil || begun {
		t.Errorf("the note of the migration is left: %+v, %v", note, err)
	}
	if s.LastBatch() != uint64(9*times) {
		t.Errorf("last batch %d", s.LastBatch())
	}
}

func schemaOf(t *testing.T, s *Store) (version string) {
	t.Helper()
	err := s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(schemaKey)
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error { version = string(v); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func mustVerify(t testing.TB, dir string) VerifyReport {
	t.Helper()
	report, err := Verify(t.Context(), testConfig(t, dir))
	if err != nil || report.FaultCount > 0 {
		t.Fatalf("%v, faults: %s", err, strings.Join(report.Faults, "; "))
	}
	return report
}

// The body of a message that had ended in the first journals was never deleted: their retention could not find it.
func TestBodiesOfTheFirstSchemaArePruned(t *testing.T) {
	s := mustOpen(t, fixture(t, "schema1-first.txt", 1))
	defer s.Close()
	if err := s.prune(t.Context(), time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	bodies, err := s.keys([]byte{keyBody})
	if err != nil || len(bodies) != 2 { // of the held and of the deferred one
		t.Errorf("%d bodies are left, %v", len(bodies), err)
	}
}

const (
	migratingDir = "SENDGATE_TEST_MIGRATING"
	killedTimes  = 6
	copiesOfOld  = 300 // 1,200 messages

	octetsOfGroup = 60 << 10 // some 40 messages: 30 notes
)

// TestMigratingProcess is the process that is killed below, and nothing by itself.
func TestMigratingProcess(t *testing.T) {
	dir := os.Getenv(migratingDir)
	if dir == "" {
		return
	}
	cfg := testConfig(t, dir)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(os.Stdout), zap.DebugLevel)
	cfg.Log = zap.New(core)
	s, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.deriveAll(t.Context(), octetsOfGroup); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("derived\n")
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
}

// kill -9 at any group: the next start goes on from there.
func TestKilledMigrationGoesOn(t *testing.T) {
	dir := fixture(t, "schema1-first.txt", copiesOfOld)
	begun := 0
	for range killedTimes {
		lines := migrateAndKill(t, dir, 3)
		if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, `"msg":"migrated"`) }) {
			begun++
		}
	}
	if begun < 3 {
		t.Fatalf("only %d of %d processes were migrating when they were killed", begun, killedTimes)
	}
	s := mustOpen(t, dir)
	defer s.Close()
	checkMigrated(t, s, copiesOfOld)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, dir)
}

// migrateAndKill takes the step in another process, and kills that after so many groups.
func migrateAndKill(t *testing.T, dir string, groups int) (lines []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMigratingProcess$")
	cmd.Env = append(os.Environ(), migratingDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if strings.Contains(scanner.Text(), `"msg":"migrated"`) {
			groups--
		}
		if groups == 0 || scanner.Text() == "derived" || strings.Contains(scanner.Text(), "FAIL") {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "FAIL") }) {
		t.Fatalf("the process failed: %s %s", lines, stderr.String())
	}
	return lines
}

// Who is told to stop stops at the next group, and the next start goes on from there.
func TestStoppedMigrationGoesOn(t *testing.T) {
	dir := fixture(t, "schema1-first.txt", copiesOfOld)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	groups := 0
	cfg := testConfig(t, dir)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.DebugLevel)
	cfg.Log = zap.New(core, zap.Hooks(func(e zapcore.Entry) error {
		if e.Message == "migrated" {
			if groups++; groups == 3 {
				stop()
			}
		}
		return nil
	}))
	s, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.deriveAll(ctx, octetsOfGroup); !errors.Is(err, context.Canceled) || groups != 3 {
		t.Errorf("%v after %d groups", err, groups)
	}
	note, begun, err := s.migrated()
	if err != nil || !begun || note.Done == 0 || note.Done >= 4*copiesOfOld {
		t.Errorf("%+v, %v, %v", note, begun, err)
	}
	if err := s.release(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenContext(ctx, cfg); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "from schema 1 to 2") {
		t.Errorf("%v", err)
	}
	s = mustOpen(t, dir)
	defer s.Close()
	checkMigrated(t, s, copiesOfOld)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, dir)
}
