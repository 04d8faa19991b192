package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// backUp makes a backup of an open journal.
func backUp(t testing.TB, s *Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.Backup(t.Context(), "1.2.3", &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// contents gives every key of a journal with its value, but for what a start writes anew.
func contents(t testing.TB, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			all[string(it.Item().KeyCopy(nil))] = string(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Under load: what is restored is what was committed at the batch that the header names, no more and no less.
func TestBackupUnderLoadIsOneMoment(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	sub := s.Subscribe(0)
	first := sub.next - 1
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for worker := range 6 {
		load.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(worker)))
			for ctx.Err() == nil {
				id := keep(t, s, r.IntN(600<<10))
				switch r.IntN(3) {
				case 0:
					observe(t, s, id, policy.RelayedRemote)
				case 1:
					_, _ = s.Commit(ctx, Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Released}}}) // ended meanwhile
				}
			}
		})
	}
	var copies [][]byte
	for s.LastBatch() < 20 {
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
	for range 3 {
		at := s.LastBatch()
		copies = append(copies, backUp(t, s))
		for s.LastBatch() < at+10 {
			if ctx.Err() != nil {
				t.Fatal(ctx.Err())
			}
		}
	}
	stop()
	load.Wait()
	for _, b := range copies {
		dir := t.TempDir()
		report, err := Restore(t.Context(), testConfig(t, dir), bytes.NewReader(b), true)
		if err != nil {
			t.Fatal(err)
		}
		mustVerify(t, dir)
		compareJournals(t, s, mustOpen(t, dir), first, report.Batch)
	}
}

// compareJournals holds a restored journal against the one it is from, as that was at a batch.
func compareJournals(t *testing.T, s, restored *Store, first, batch uint64) {
	t.Helper()
	defer restored.Close()
	if last := restored.LastBatch(); last <= batch { // the restore says so in the journal
		t.Errorf("the journal ends at %d, want more than %d", last, batch)
	}
	states := map[policy.ID]policy.Rows{}
	for n := first + 1; n <= batch; n++ {
		want, err := s.batch(n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := restored.batch(n)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("batch %d differs: %v", n, err)
		}
		for _, r := range want {
			rows := states[r.Message]
			if rows == nil {
				all, err := s.Recipients(r.Message)
				if err != nil {
					t.Fatal(err)
				}
				for i := range all {
					rows = append(rows, policy.Row{Index: i, Recipient: all[i].Recipient})
				}
			}
			for _, e := range r.Events {
				rows, _ = rows.Apply(e)
			}
			states[r.Message] = rows
		}
	}
	keys, err := restored.keys([]byte{keyMessage})
	if err != nil || len(keys) != len(states) {
		t.Fatalf("%d messages, want %d, %v", len(keys), len(states), err)
	}
	for id, want := range states {
		got, err := restored.Recipients(id)
		undoubted(t, got, want)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: rows differ: %v\n%v\n%v", id, err, got, want)
		}
		if a, b := bodyOf(t, s, id), bodyOf(t, restored, id); !bytes.Equal(a, b) {
			t.Fatalf("%s: the body differs", id)
		}
	}
}

// undoubted takes away what the restore says of mail that waited: that it may have been sent since.
func undoubted(t *testing.T, got, want policy.Rows) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if want[i].Due.IsZero() {
			continue
		}
		if !got[i].MayBeDuplicate || !strings.Contains(got[i].Reason, "it may have been sent since") {
			t.Errorf("row %d waited and is not marked: %+v", i, got[i])
		}
		got[i].MayBeDuplicate, got[i].Reason, got[i].Since = want[i].MayBeDuplicate, want[i].Reason, want[i].Since
	}
}

func bodyOf(t *testing.T, s *Store, id policy.ID) []byte {
	t.Helper()
	r, err := s.Body(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What waited waits for a person after a restore, once, as a possible duplicate; with release it goes at its time.
func TestRestoredMailDoesNotGoByItself(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	held, deferred, gone, offered := keep(t, s, 1000), keep(t, s, 10), keep(t, s, 10), s.NewID()
	observe(t, s, gone, policy.RelayedRemote)
	for _, c := range []Change{
		{Message: deferred, Revision: 1, Events: []policy.Event{{Kind: policy.Released}}},
		{Message: deferred, Events: []policy.Event{
			{Kind: policy.Deferred, Recipients: []int{0}, Until: time.Now().Add(time.Hour)}, {Kind: policy.RelayedRemote, Recipients: []int{1}},
		}},
		{Message: offered, Envelope: &policy.Envelope{
			Received: time.Now(), Front: policy.Relay, Identity: "alice", Recipients: []policy.Recipient{{Address: "bob@example.org"}},
		}, Events: []policy.Event{{Kind: policy.Offered, Until: time.Now().Add(time.Hour)}}},
	} {
		if _, err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Audit(AuditEntry{Time: time.Now(), Act: "recall"}); err != nil {
		t.Fatal(err)
	}
	b := backUp(t, s)

	dir := filepath.Join(t.TempDir(), "new")
	report, err := Restore(t.Context(), testConfig(t, dir), bytes.NewReader(b), false)
	if err != nil {
		t.Fatal(err)
	}
	if report.Waiting != 2 || report.Queued != 0 || report.Version != "1.2.3" || report.Node != "test" || report.Batch != s.LastBatch() || report.Messages != 4 || report.Damaged != nil {
		t.Errorf("%+v", report)
	}
	mustVerify(t, dir)
	r := mustOpen(t, dir)
	defer r.Close()
	states := func(r *Store, id policy.ID) string {
		rows, err := r.Recipients(id)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for i := range rows {
			all = append(all, fmt.Sprintf("%s %v", rows[i].State, rows[i].MayBeDuplicate))
		}
		return strings.Join(all, ", ")
	}
	for id, want := range map[policy.ID]string{
		held: "approval_pending true, approval_pending true", deferred: "approval_pending true, relayed_remote false",
		gone: "relayed_remote false, relayed_remote false", offered: "offered false",
	} {
		if got := states(r, id); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	records, err := r.Timeline(held)
	if err != nil {
		t.Fatal(err)
	}
	last := records[len(records)-1].Events
	if e := last[0]; len(last) != 1 || e.Subject != report.Review.String() || !strings.Contains(e.Reason, "it may have been sent since") || e.Findings[0].Detail.ZH == "" {
		t.Errorf("%+v", last)
	}
	if m, err := r.Message(held); err != nil || time.Until(m.Due) < 6*24*time.Hour {
		t.Errorf("due %v, %v", m.Due, err)
	}
	if told, err := r.Timeline(report.Review); err != nil || !strings.HasPrefix(told[0].Events[0].Reason, "restored from the backup of batch ") {
		t.Errorf("%v, %v", told, err)
	}
	if log, err := r.AuditLog(0, 10, nil); err != nil || len(log) != 2 || log[0].Act != "restore" {
		t.Errorf("%v, %v", log, err)
	}

	dir = t.TempDir()
	if report, err = Restore(t.Context(), testConfig(t, dir), bytes.NewReader(b), true); err != nil || report.Waiting != 0 || report.Queued != 2 {
		t.Fatalf("%+v, %v", report, err) // what was offered never goes
	}
	mustVerify(t, dir)
	free := mustOpen(t, dir)
	defer free.Close()
	for id, want := range map[policy.ID]string{
		held: "held true, held true", deferred: "deferred true, relayed_remote false", offered: "offered false",
	} {
		if got := states(free, id); got != want {
			t.Errorf("released: %s, want %s", got, want)
		}
		was, err := s.Message(id)
		if is, err2 := free.Message(id); err != nil || err2 != nil || !is.Due.Equal(was.Due) {
			t.Errorf("%v %v: due %v, was %v", err, err2, is.Due, was.Due)
		}
	}
	if after, err := free.Restored(); err != nil || after != report.Batch {
		t.Errorf("restored after batch %d, %v, want %d", after, err, report.Batch)
	}
	if after, err := s.Restored(); err != nil || after != 0 {
		t.Errorf("the old journal says that it was restored after batch %d, %v", after, err)
	}
}

// Whoever restores a backup hears that the rules were bypassed when it was made: they apply again.
func TestARestoreTellsOfABypass(t *testing.T) {
	began, until := time.Now().UTC().Truncate(time.Second), time.Now().UTC().Truncate(time.Second).Add(time.Hour)
	started := policy.Event{Kind: policy.BypassStarted, Time: began, Until: until, Actor: "api:ops"}
	for name, tt := range map[string]struct {
		events []policy.Event
		want   time.Time
	}{
		"none":                {nil, time.Time{}},
		"one that was on":     {[]policy.Event{started}, until},
		"one that had ended":  {[]policy.Event{started, {Kind: policy.BypassEnded, Time: began, Actor: "api:ops"}}, time.Time{}},
		"one that is over":    {[]policy.Event{{Kind: policy.BypassStarted, Time: began, Until: began, Actor: "api:ops"}}, time.Time{}},
		"one that was longer": {[]policy.Event{started, {Kind: policy.BypassStarted, Time: began, Until: until.Add(time.Hour)}}, until.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, t.TempDir())
			defer s.Close()
			id := s.NewID()
			for _, e := range tt.events {
				if _, err := s.Commit(t.Context(), Change{Message: id, Events: []policy.Event{e}}); err != nil {
					t.Fatal(err)
				}
			}
			report, err := Restore(t.Context(), testConfig(t, filepath.Join(t.TempDir(), "new")), bytes.NewReader(backUp(t, s)), false)
			if err != nil || !report.Bypassed.Equal(tt.want) {
				t.Errorf("%v, %v, want %v", report.Bypassed, err, tt.want)
			}
		})
	}
}

// A backup of an encrypted journal is encrypted; one that is not can be restored into an encrypted journal.
func TestBackupsOfEncryptedJournals(t *testing.T) {
	dir := t.TempDir()
	keyFile := func(name string, b byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, bytes.Repeat([]byte{b}, 32), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	config := func(key string) Config {
		c := testConfig(t, filepath.Join(t.TempDir(), "data"))
		c.EncryptionKeyFile = key
		return c
	}
	key, other := keyFile("key", 1), keyFile("other", 2)
	s, err := Open(config(key))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := keep(t, s, 300<<10)
	sealed := backUp(t, s)
	if bytes.Contains(sealed, []byte("corp.example")) {
		t.Error("it can be read without the key")
	}
	if h, end, err := CopyBackup(io.Discard, bytes.NewReader(sealed)); err != nil || !h.Encrypted || end.Messages != 1 {
		t.Errorf("%+v, %+v, %v", h, end, err)
	}
	for key, want := range map[string]string{
		"":    "it is encrypted with the key of the store it is from: name the file with that key (store.encryption_key_file, --encryption-key-file)",
		other: "the key is not the one it was made with, or it was altered",
	} {
		if _, err := Restore(t.Context(), config(key), bytes.NewReader(sealed), false); !errors.Is(err, ErrBackup) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := config(key)
	if _, err := Restore(t.Context(), c, bytes.NewReader(sealed), false); err != nil {
		t.Fatal(err)
	}
	r, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(bodyOf(t, r, id)) != 300<<10 {
		t.Error("the body is not whole")
	}
	plain := mustOpen(t, t.TempDir())
	defer plain.Close()
	keep(t, plain, 10)
	c = config(key)
	if _, err := Restore(t.Context(), c, bytes.NewReader(backUp(t, plain)), false); err != nil {
		t.Fatal(err)
	}
	if c.EncryptionKeyFile = ""; true {
		if _, err := Open(c); err == nil {
			t.Error("the new journal is not encrypted")
		}
	}
}

// Whatever is wrong with a backup is refused, and what it was being restored into is not taken for a journal.
func TestBrokenBackupsAreRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	for range 5 {
		keep(t, s, 300<<10)
	}
	whole := backUp(t, s)
	header := bytes.IndexByte(whole[len(backupMagic):], '\n') + len(backupMagic) + 1
	altered := func(at int) []byte { b := bytes.Clone(whole); b[at] ^= 0x10; return b }
	for name, c := range map[string]struct {
		backup []byte
		want   string
	}{
		"empty":              {nil, "it is not a backup that sendgate has made"},
		"something else":     {[]byte("From MAILER-DAEMON\n"), "it is not a backup that sendgate has made"},
		"a newer format":     {[]byte("sendgate backup 9\n{}\n"), "a newer sendgate has made it, with"},
		"a newer schema":     {[]byte(backupMagic + `{"schema":99,"version":"9.0"}` + "\n"), "sendgate 9.0 made it, with schema 99, and this sendgate knows up to 2: install that version"},
		"no schema":          {[]byte(backupMagic + "{}\n"), "it says schema 0"},
		"a broken header":    {[]byte(backupMagic + "{\n"), "it is damaged"},
		"an endless header":  {append([]byte(backupMagic), bytes.Repeat([]byte{'x'}, 2*maxLine)...), "a line of it does not end"},
		"torn in the header": {whole[:header-3], "it ends too early: it was not finished, or not copied whole"},
		"torn in a frame":    {whole[:len(whole)/2], "it ends too early"},
		"torn at the end":    {whole[:len(whole)-1], "it ends too early"},
		"a huge frame":       {append(bytes.Clone(whole[:header]), 0xff, 0xff, 0xff, 0xff), "it is damaged: a frame of 4294967295 octets"},
		"altered header":     {bytes.Replace(whole, []byte(`"node":"test"`), []byte(`"node":"tost"`), 1), "it was altered: its checksum does not fit"},
		"altered sum":        {altered(len(whole) - 3), "it was altered: its checksum does not fit"},
		"longer":             {append(bytes.Clone(whole), 'x'), "something follows its end"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			_, err := Restore(t.Context(), testConfig(t, dir), bytes.NewReader(c.backup), false)
			if !errors.Is(err, ErrBackup) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %s", err, c.want)
			}
			if _, err := os.Stat(dir); err == nil {
				refusesHalf(t, dir)
			}
			if strings.Contains(c.want, "schema 99") {
				return // copied it can be
			}
			if _, _, err := CopyBackup(io.Discard, bytes.NewReader(c.backup)); !errors.Is(err, ErrBackup) {
				t.Errorf("copied: %v", err)
			}
		})
	}
	for range 30 { // any octet
		at := header + rand.IntN(len(whole)-header)
		if _, err := Restore(t.Context(), testConfig(t, t.TempDir()), bytes.NewReader(altered(at)), false); !errors.Is(err, ErrBackup) {
			t.Errorf("octet %d of %d altered: %v", at, len(whole), err)
		}
	}
}

// refusesHalf tries everything that opens a journal.
func refusesHalf(t *testing.T, dir string) {
	t.Helper()
	for _, open := range []func(Config) error{
		func(c Config) error { _, err := Open(c); return err },
		func(c Config) error { _, err := Repair(c); return err },
		func(c Config) error { _, err := Verify(t.Context(), c); return err },
	} {
		if err := open(testConfig(t, dir)); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "did not come to its end: empty the directory and restore the backup again") {
			t.Errorf("%v", err)
		}
	}
}

func TestRestoreWantsAnEmptyDirectory(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := backUp(t, s)
	if _, err := Restore(t.Context(), testConfig(t, dir), bytes.NewReader(b), false); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir)
	before := contents(t, s)
	s.Close()
	_, err := Restore(t.Context(), testConfig(t, dir), bytes.NewReader(b), false)
	if err == nil || !strings.Contains(err.Error(), "a backup is restored into an empty directory only") {
		t.Errorf("%v", err)
	}
	s = mustOpen(t, dir)
	defer s.Close()
	if after := contents(t, s); !reflect.DeepEqual(after, before) {
		t.Error("it was changed")
	}
}

// A backup of an older schema is brought to the newest one.
func TestBackupOfAnOldSchema(t *testing.T) {
	old, err := open(testConfig(t, fixture(t, "schema1-first.txt", 1)))
	if err != nil {
		t.Fatal(err)
	}
	old.lastBatch.Store(9)
	var b bytes.Buffer
	w, err := beginBackup(&b, BackupHeader{Schema: 1, Batch: 9, Time: time.Now()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range contents(t, old) {
		if err := w.entry([]byte(k), []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.finish(), old.release()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if report, err := Restore(t.Context(), testConfig(t, dir), &b, false); err != nil || report.Waiting != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	mustVerify(t, dir)
	s := mustOpen(t, dir)
	defer s.Close()
	if version := schemaOf(t, s); version != "2" {
		t.Errorf("schema %s", version)
	}
}

// What the disk has lost is named, and the rest is there.
func TestBackupNamesWhatItCannotRead(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	good, bad := keep(t, s, 100<<10), keep(t, s, 100<<10)
	err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(bodyKey(bad, 0), nil) }) // as the engine gives it
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	end, err := s.Backup(t.Context(), "1", &b)
	want := []string{"a part of the body of message " + bad.String()}
	if err != nil || !reflect.DeepEqual(end.Damaged, want) {
		t.Fatalf("%v, %v", end.Damaged, err)
	}
	dir := t.TempDir()
	report, err := Restore(t.Context(), testConfig(t, dir), &b, false)
	if err != nil || report.Waiting != 1 || !reflect.DeepEqual(report.Bodiless, []policy.ID{bad}) || !reflect.DeepEqual(report.Damaged, want) {
		t.Fatalf("%+v, %v", report, err)
	}
	r := mustOpen(t, dir)
	defer r.Close()
	if m, err := r.Message(bad); err != nil || m.State() != policy.StateUnknown {
		t.Errorf("%s, %v", m.State(), err)
	}
	if len(bodyOf(t, r, good)) != 100<<10 {
		t.Error("the other body is not whole")
	}
}

func TestBackupEndsWithItsReaderOrTheStore(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for range 20 {
		keep(t, s, 200<<10)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Backup(ctx, "1", io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := s.Backup(t.Context(), "1", brokenPipe{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
	r, w := io.Pipe()
	running := make(chan error)
	go func() { _, err := s.Backup(t.Context(), "1", w); running <- err }()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil { // now it runs, and waits for us
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), "1", io.Discard); !errors.Is(err, ErrBackupRuns) {
		t.Errorf("%v", err)
	}
	r.CloseWithError(io.ErrClosedPipe)
	if err := <-running; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), "1", io.Discard); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Whatever stands in a file, reading it ends, takes bounded memory, and what is altered is refused.
func FuzzBackup(f *testing.F) {
	var b bytes.Buffer
	w, err := beginBackup(&b, BackupHeader{Schema: 2, Batch: 1}, nil)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := w.entry([]byte{keyMessage, byte(i)}, []byte("value")); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.finish(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(backupMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := openBackup(bytes.NewReader(raw), nil)
		if err != nil {
			return
		}
		n := int64(0)
		err = r.each(make([]byte, 32), func(key, _ []byte) error {
			if n++; len(key) == 0 {
				t.Error("an entry without a key")
			}
			return nil
		})
		if err == nil && n != r.End.Entries {
			t.Errorf("%d entries, it says %d", n, r.End.Entries)
		}
	})
}
