package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A wreck is a directory, and what is still to go in it.
type wreck struct {
	dir    string
	cfg    Config
	bodies map[policy.ID][]byte // of the messages that have not left
}

// rounds is how many times a store is opened, and each how many messages it gets then.
const rounds, each = 3, 40

// wrecked fills a store whose newest part is in a log, as after kill -9, and whose rest is in tables.
func wrecked(t *testing.T, key string) *wreck {
	t.Helper()
	cfg := testConfig(t, t.TempDir())
	cfg.EncryptionKeyFile = key
	w := &wreck{bodies: map[policy.ID][]byte{}}
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for i := range each {
			size := []int{200, 3000, 9000, 300 << 10}[i%4]
			id, body := w.keep(t, s, rnd, size)
			switch i % 5 {
			case 0: // it goes, and is taken
				w.event(t, s, id, policy.Event{Kind: policy.Released, Until: time.Now()}, policy.Event{Kind: policy.DeliveredMailbox})
			case 1: // one of its recipients has it, the other waits
				w.event(t, s, id, policy.Event{Kind: policy.Released, Until: time.Now()})
				w.event(t, s, id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}}, policy.Event{Kind: policy.Deferred, Recipients: []int{1}, Until: time.Now().Add(time.Hour)})
				w.bodies[id] = body
			default:
				w.bodies[id] = body
			}
		}
		if err := s.writeWatermark(); err != nil {
			t.Fatal(err)
		}
		if round == rounds-1 {
			w.dir = copyDir(t, cfg.Dir)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Dir, w.cfg = w.dir, cfg
	w.cfg.Dir = w.dir
	return w
}

// copy gives another one to damage.
func (w *wreck) copy(t *testing.T) *wreck {
	c := *w
	c.dir = copyDir(t, w.dir)
	c.cfg.Dir = c.dir
	return &c
}

func (w *wreck) keep(t *testing.T, s *Store, rnd *rand.Rand, size int) (policy.ID, []byte) {
	t.Helper()
	id, body := s.NewID(), make([]byte, size)
	for i := range body {
		body[i] = byte(rnd.Uint32())
	}
	c := Change{Message: id, Body: s.NewBody(id), Envelope: &policy.Envelope{
		Received: time.Now(), Front: policy.Relay, Identity: "alice", Sender: "alice@corp.example", Subject: "Hello",
		Recipients: []policy.Recipient{{Address: "bob@example.org"}, {Address: "carol@example.org"}},
	}, Events: []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Held, Until: time.Now().Add(time.Hour)}}}
	if _, err := c.Body.Write(body); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return id, body
}

func (w *wreck) event(t *testing.T, s *Store, id policy.ID, events ...policy.Event) {
	t.Helper()
	m, err := s.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(context.Background(), Change{Message: id, Revision: m.Revision, Events: events}); err != nil {
		t.Fatal(err)
	}
}

// A haul is what a salvage has brought.
type haul struct {
	SalvageReport
	bodies   map[policy.ID][]byte
	broken   map[policy.ID]error
	doubtful int
	lost     int
}

// salvage salvages, and holds that the directory is afterwards what it was before.
func (w *wreck) salvage(t *testing.T) *haul {
	t.Helper()
	before := snapshotOf(t, w.dir)
	h := &haul{bodies: map[policy.ID][]byte{}, broken: map[policy.ID]error{}}
	var err error
	h.SalvageReport, err = Salvage(w.cfg, func(m *Salvaged) error {
		var b bytes.Buffer
		id := m.Message.ID
		if err := m.WriteBody(&b); err != nil {
			h.broken[id] = err
		} else {
			h.bodies[id] = b.Bytes()
		}
		if m.MayBeDuplicate {
			h.doubtful++
		}
		if m.Lost {
			h.lost++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := snapshotOf(t, w.dir); after != before {
		t.Errorf("the store was written to:\n%s\nwas\n%s", after, before)
	}
	return h
}

// snapshotOf describes every file of a directory with its octets.
func snapshotOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		octets, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %v %v %x\n", path, info.ModTime(), info.Size(), crc32.Checksum(octets, castagnoli))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sound holds that what was brought is right, and gives how many messages are missing.
func (w *wreck) sound(t *testing.T, h *haul) (missing int) {
	t.Helper()
	for id, body := range h.bodies {
		want, ok := w.bodies[id]
		if !ok {
			if len(h.Faults) == 0 {
				t.Errorf("%s had left", id)
			}
			continue
		}
		if !bytes.Equal(body, want) {
			t.Errorf("%s has other octets", id)
		}
	}
	for id := range w.bodies {
		if _, ok := h.bodies[id]; !ok {
			missing++
		}
	}
	return missing
}

func files(t *testing.T, w *wreck, ext string) []string {
	t.Helper()
	all := engineLogs(t, w.dir, ext)
	if len(all) == 0 {
		t.Fatalf("no %s", ext)
	}
	return all
}

// scramble changes three octets of a file.
func scramble(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := make([]byte, 3)
	if _, err := f.ReadAt(old, at); err != nil {
		t.Fatal(err)
	}
	for i := range old {
		old[i] ^= 0xff
	}
	if _, err := f.WriteAt(old, at); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestSalvage(t *testing.T) {
	whole := wrecked(t, "")
	// What waits in a sound store is no duplicate, unless it was under way: one in five was let go, and not taken
	// by everybody.
	if h := whole.salvage(t); h.doubtful != rounds*each/5 {
		t.Errorf("%d may be duplicates, want %d", h.doubtful, rounds*each/5)
	}
	for _, test := range []struct {
		name    string
		damage  func(t *testing.T, w *wreck)
		faults  []string // each is in a fault, and each fault has one of them
		missing int      // messages at most
		least   int      // and at least
	}{
		{name: "a sound store gives everything", damage: func(*testing.T, *wreck) {}},
		{name: "without a manifest nothing is missing", faults: []string{"MANIFEST: the file is missing"}, damage: func(t *testing.T, w *wreck) {
			remove(t, filepath.Join(w.dir, engineDir, "MANIFEST"))
		}},
		{name: "a damaged manifest counts as none", faults: []string{"MANIFEST: "}, damage: func(t *testing.T, w *wreck) {
			scramble(t, filepath.Join(w.dir, engineDir, "MANIFEST"), 20)
		}},
		{name: "a table that is missing is named, and the rest is there", faults: []string{".sst: the file is missing", "journal: batch", "message "}, missing: 200, least: 1, damage: func(t *testing.T, w *wreck) {
			remove(t, files(t, w, ".sst")[0])
		}},
		{name: "of a damaged table one block is lost", faults: []string{".sst: 1 of ", "journal: batch", "message "}, missing: 40, least: 0, damage: func(t *testing.T, w *wreck) {
			name := files(t, w, ".sst")[0]
			scramble(t, name, size(t, name)/2)
		}},
		{name: "a damaged index loses little", faults: []string{".sst: its index is damaged"}, missing: 0, damage: func(t *testing.T, w *wreck) {
			name := files(t, w, ".sst")[0]
			scramble(t, name, size(t, name)-60) // in the filter
		}},
		{name: "a damaged log goes on behind the damage", faults: []string{".mem: it is damaged in 1 places", "journal: batch", "message "}, missing: 2, damage: func(t *testing.T, w *wreck) {
			name, length := memLog(t, w.dir)
			scramble(t, name, length/2)
		}},
		{name: "of damaged bodies one is lost", faults: []string{}, missing: 1, least: 1, damage: func(t *testing.T, w *wreck) {
			scramble(t, files(t, w, ".vlog")[0], 5000)
		}},
		{name: "the mark of batches is not needed", faults: []string{"synced: "}, damage: func(t *testing.T, w *wreck) {
			if err := os.WriteFile(filepath.Join(w.dir, watermarkFile), []byte("rubbish"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "the newest log that is missing is noticed by the mark", faults: []string{"journal: batches "}, missing: 60, least: 1, damage: func(t *testing.T, w *wreck) {
			name, _ := memLog(t, w.dir)
			remove(t, name)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := whole.copy(t)
			test.damage(t, w)
			h := w.salvage(t)
			missing := w.sound(t, h)
			if missing > test.missing || missing < test.least {
				t.Errorf("%d of %d messages are missing", missing, len(w.bodies))
			}
			for _, want := range test.faults[:min(1, len(test.faults))] {
				if !slices.ContainsFunc(h.Faults, func(f string) bool { return strings.Contains(f, want) }) {
					t.Errorf("no fault has %q: %q", want, h.Faults)
				}
			}
			for _, f := range h.Faults {
				if !slices.ContainsFunc(test.faults, func(s string) bool { return strings.Contains(f, s) }) {
					t.Errorf("fault %q", f)
				}
			}
			if len(h.Faults) > 0 && h.doubtful != len(h.bodies)+len(h.broken) {
				t.Errorf("%d of %d may be duplicates: what is damaged may have said that they were sent", h.doubtful, len(h.bodies))
			}
			t.Logf("%d of %d messages, %d broken, faults %q", len(h.bodies), len(w.bodies), len(h.broken), h.Faults)
		})
	}
}

// A message whose recipients are lost is brought all the same, and what is found last puts everything in doubt.
func TestSalvageBringsWhatHasLostItsRecipients(t *testing.T) {
	w := &wreck{bodies: map[policy.ID][]byte{}, cfg: testConfig(t, t.TempDir())}
	w.dir = w.cfg.Dir
	s := mustOpen(t, w.dir)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2 {
		w.keep(t, s, rnd, 100)
	}
	last, body := w.keep(t, s, rnd, 9000)
	err := s.deleteAll([][]byte{recipientKey(last, 0), recipientKey(last, 1)})
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	h := w.salvage(t)
	if len(h.bodies) != 3 || !bytes.Equal(h.bodies[last], body) || h.doubtful != 3 || h.Messages != 3 || len(h.Faults) != 1 || h.Faults[0] != "message "+last.String()+": 2 of its recipients are lost" {
		t.Errorf("%d bodies, %d in doubt, %+v", len(h.bodies), h.doubtful, h.SalvageReport)
	}
	for name, f := range map[string]scrap{
		"a row that waits":               {key: idKey(keyMessage, last), value: encode(&Message{Due: time.Now()})},
		"a recipient that is damaged":    {key: recipientKey(last, 0), value: []byte{0xff}},
		"a recipient that is in no log":  {key: recipientKey(last, 0), meta: bitPointer, value: make([]byte, 12)},
		"a recipient that was held once": {key: recipientKey(last, 0), value: encode(&Recipient{Fate: policy.Fate{State: policy.StateHeld}})},
	} {
		v := &salvage{wanted: map[policy.ID]bool{}, noted: map[string]bool{}}
		if v.look(f); !v.wanted[last] || len(v.report.Faults) > 0 {
			t.Errorf("%s is not looked at, or called a fault: %q", name, v.report.Faults)
		}
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func TestSalvageOfAnEncryptedStore(t *testing.T) {
	key := keyFile(t, strings.Repeat("0123456789abcdef", 4))
	w := wrecked(t, key)
	if h := w.salvage(t); w.sound(t, h) != 0 || len(h.Faults) > 0 {
		t.Errorf("%d of %d, %q", len(h.bodies), len(w.bodies), h.Faults)
	}
	remove(t, filepath.Join(w.dir, engineDir, "MANIFEST"))
	if h := w.salvage(t); w.sound(t, h) != 0 || len(h.Faults) != 1 {
		t.Errorf("without a manifest: %d of %d, %q", len(h.bodies), len(w.bodies), h.Faults)
	}
	w.cfg.EncryptionKeyFile = ""
	if _, err := Salvage(w.cfg, nil); err == nil || !strings.Contains(err.Error(), "--encryption-key-file") {
		t.Errorf("without the key: %v", err)
	}
}

func TestSalvageIsRefusedWhileSendgateRuns(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	_, err := Salvage(s.cfg, nil)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), `let everything go with "sendgate drain"`) {
		t.Error(err)
	}
	if _, err := Salvage(testConfig(t, t.TempDir()), nil); err == nil || !strings.Contains(err.Error(), "there is no store in ") {
		t.Error(err)
	}
}

// A large change that a crash has cut is durable by its intent.
func TestSalvageFinishesALargeChange(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	c := manyRecipients(s.NewID(), 12000)
	cut(t, s, c, 1)
	w := &wreck{dir: copyDir(t, s.cfg.Dir), cfg: s.cfg}
	w.cfg.Dir = w.dir
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	waiting := 0
	report, err := Salvage(w.cfg, func(m *Salvaged) error { waiting += len(m.Waiting); return nil })
	if err != nil || waiting != 12000 || len(report.Faults) > 0 {
		t.Errorf("%d recipients, %q, %v", waiting, report.Faults, err)
	}
}

// An error of who takes the messages ends it.
func TestSalvageEndsWithItsCaller(t *testing.T) {
	dir, _ := crashed(t, 2, 100)
	full := errors.New("no space left")
	if _, err := Salvage(testConfig(t, dir), func(*Salvaged) error { return full }); !errors.Is(err, full) {
		t.Error(err)
	}
}

// A table may hold anything. Whatever it holds, reading comes to an end.
func FuzzSalvageTable(f *testing.F) {
	s := mustOpen(f, f.TempDir())
	keep(f, s, 200)
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(s.cfg.Dir, engineDir, "*.sst"))
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	table, err := os.ReadFile(names[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(table)
	f.Add(table[:len(table)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = readBlocks(b, nil, func(e scrap) { _ = e.deleted() })
		readBlock(b, nil, func(scrap) {})
	})
}

// So does reading a log.
func FuzzSalvageLog(f *testing.F) {
	s := mustOpen(f, f.TempDir())
	keep(f, s, 200)
	name, length := memLog(f, s.cfg.Dir)
	b, err := os.ReadFile(name)
	if err = errors.Join(err, s.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(b[:length])
	f.Add(append(b[:length:length], b[logHeader:length]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "00001.mem")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := openLog(name, func(uint64) ([]byte, error) { return nil, nil })
		if err != nil {
			return
		}
		defer l.close()
		_ = l.each(func(e scrap) { _ = e.deleted() })
		_, _ = l.value(place{octets: uint32(len(b)), offset: 3}, []byte("k"))
	})
}
