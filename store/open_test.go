package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
	"golang.org/x/sys/unix"
)

func TestSecondOpenIsRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for _, open := range []func(Config) error{
		func(c Config) error { _, err := Open(c); return err },
		func(c Config) error { _, err := Repair(c); return err },
	} {
		err := open(testConfig(t, s.cfg.Dir))
		want := s.cfg.Dir + " belongs to the running process " + strconv.Itoa(os.Getpid()) + "; stop it, or give this one another directory"
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	keep(t, s, 100) // the first one is not disturbed
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, s.cfg.Dir).Close()
}

// TestHelperHolds is the process that TestOtherProcessIsRefused starts, and nothing by itself.
func TestHelperHolds(t *testing.T) {
	dir := os.Getenv("SENDGATE_TEST_HOLD")
	if dir == "" {
		return
	}
	s := mustOpen(t, dir)
	defer s.Close()
	os.Stdout.WriteString("open\n")
	os.Stdin.Read(make([]byte, 1))
}

func TestOtherProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	other := exec.Command(os.Args[0], "-test.run=^TestHelperHolds$")
	other.Env = append(os.Environ(), "SENDGATE_TEST_HOLD="+dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(testConfig(t, dir))
	if want := "process " + strconv.Itoa(other.Process.Pid) + ";"; !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want the %s", err, want)
	}
	if err := other.Process.Kill(); err != nil { // the lock goes with the process
		t.Fatal(err)
	}
	other.Wait()
	in.Close()
	mustOpen(t, dir).Close()
}

func TestNewerSchemaIsRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	set := func(v string) {
		t.Helper()
		if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(schemaKey, []byte(v)) }); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	set("99")
	for _, open := range []func(Config) error{
		func(c Config) error { _, err := Open(c); return err },
		func(c Config) error { _, err := Repair(c); return err },
		func(c Config) error { _, err := Verify(t.Context(), c); return err },
	} {
		err := open(testConfig(t, s.cfg.Dir))
		if !errors.Is(err, ErrNewerSchema) || !strings.Contains(err.Error(), "has schema 99, this sendgate knows up to 2: install the newer version again") {
			t.Errorf("%v", err)
		}
	}
	s = mustOpen(t, t.TempDir())
	set("?")
	if _, err := Open(testConfig(t, s.cfg.Dir)); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), `its schema is "?"`) {
		t.Errorf("%v", err)
	}
}

func TestOpenSaysWhatIsWrongWithTheDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testConfig(t, file)); err == nil || !strings.Contains(err.Error(), "open store: ") {
		t.Errorf("a file: %v", err)
	}
	if err := explainOpen(Config{Dir: "/d"}, &fs.PathError{Op: "open", Path: "/d/x", Err: unix.EMFILE}); errors.Is(err, ErrDamaged) ||
		err.Error() != "open store in /d: open /d/x: too many open files" {
		t.Errorf("out of descriptors: %v", err)
	}
	if err := explainOpen(Config{Dir: "/d"}, errors.New(`Opening file: "/d/1.sst" err: open /d/1.sst: permission denied`)); errors.Is(err, ErrDamaged) ||
		!strings.HasPrefix(err.Error(), "open store in /d: Opening file: ") {
		t.Errorf("a table that is somebody else's: %v", err)
	}
	info, err := os.Stat(mustClose(t, mustOpen(t, filepath.Join(t.TempDir(), "deep", "new"))))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a new directory: %v, %v", info, err)
	}
}

func mustClose(t *testing.T, s *Store) (dir string) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.cfg.Dir
}

const (
	rawKey   = "0123456789abcdefghijklmnopqrstuv"
	otherKey = "another key of 32 octets, really"
)

func keyFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestReadEncryptionKey(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"32 raw octets":        {rawKey, rawKey},
		"24 raw octets":        {rawKey[:24], rawKey[:24]},
		"16 raw octets":        {rawKey[:16], rawKey[:16]},
		"hex with a newline":   {hex.EncodeToString([]byte(rawKey)) + "\n", rawKey},
		"hex in capitals":      {strings.ToUpper(hex.EncodeToString([]byte(rawKey))), rawKey},
		"hex of 16":            {hex.EncodeToString([]byte(rawKey[:16])), rawKey[:16]},
		"raw that is not text": {"\x00\xff" + rawKey[:30], "\x00\xff" + rawKey[:30]},
	} {
		key, err := readEncryptionKey(keyFile(t, c.text))
		if err != nil || string(key) != c.want {
			t.Errorf("%s: %q, %v", name, key, err)
		}
	}
	for name, text := range map[string]string{"empty": "", "33 octets": rawKey + "\n", "hex of 20": strings.Repeat("ab", 20), "32 octets of hex and more": rawKey + "ab"} {
		file := keyFile(t, text)
		_, err := readEncryptionKey(file)
		if err == nil || !strings.Contains(err.Error(), file+" holds ") || !strings.Contains(err.Error(), "a key has 16, 24 or 32, raw or in hex (openssl rand -hex 32)") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(Config{Dir: t.TempDir(), EncryptionKeyFile: "/no/such/key"}); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "store.encryption_key_file: ") {
		t.Errorf("no file: %v", err)
	}
}

func TestEncryption(t *testing.T) {
	open := func(dir, key string) (*Store, error) {
		cfg := testConfig(t, dir)
		if key != "" {
			cfg.EncryptionKeyFile = keyFile(t, key)
		}
		return Open(cfg)
	}
	s, err := open(t.TempDir(), rawKey)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("plaintextmarker")
	id := s.NewID()
	body := s.NewBody(id)
	body.Write(bytes.Repeat(secret, 50_000))
	if _, err := s.Commit(t.Context(), Change{Message: id, Body: body, Envelope: &policy.Envelope{
		Received: time.Now(), Identity: string(secret), Sender: "plaintextmarker@corp.example", Subject: "plaintextmarker",
		Recipients: []policy.Recipient{{Address: "plaintextmarker@example.org"}},
	}, Events: []policy.Event{{Kind: policy.Held, Until: time.Now(), Rule: string(secret), Key: string(secret)}}}); err != nil {
		t.Fatal(err)
	}
	dir := s.cfg.Dir
	for name, dir := range map[string]string{"open": copyDir(t, dir), "closed": mustClose(t, s)} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, secret) || bytes.Contains(b, []byte("plaintext")) {
				t.Errorf("%s: %s is readable", name, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, wrong := range []string{"", otherKey, rawKey[:16]} {
		if s, err := open(dir, wrong); err == nil {
			s.Close()
			t.Errorf("it opened with the key %q", wrong)
		} else if !strings.Contains(err.Error(), "the encryption key is not the one it was made with: set store.encryption_key_file to that key") {
			t.Errorf("with the key %q: %v", wrong, err)
		}
	}
	if s, err = open(dir, hex.EncodeToString([]byte(rawKey))); err != nil {
		t.Fatal(err)
	}
	if !s.readable(id) {
		t.Error("the body cannot be read with the key")
	}
	mustClose(t, s)
	plain := mustOpen(t, t.TempDir())
	keep(t, plain, 100)
	if _, err := open(mustClose(t, plain), rawKey); err == nil || !strings.Contains(err.Error(), "encryption cannot be switched on or off later") {
		t.Errorf("a key for what was written without one: %v", err)
	}
}

func TestConfigFaults(t *testing.T) {
	if c := DefaultConfig(); c.Validate() != nil {
		t.Errorf("the default: %v", c.Validate())
	}
	c := Config{EventsFor: time.Hour, BodiesFor: 2 * time.Hour, MinFree: 1}
	want := []string{
		"dir: name the directory for the journal, such as /var/lib/sendgate",
		"events_for: 1h0m0s: must be at least 24h: a recall needs them",
		"bodies_for: 2h0m0s: must be between 0s and events_for (1h0m0s)",
		"min_free_mib: 1: must be at least ",
	}
	err := c.Validate()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nlacks %s", err, w)
		}
	}
}

func TestCloseWithCommitsUnderWay(t *testing.T) {
	for range 30 {
		s := mustOpen(t, t.TempDir())
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for {
					_, err := s.Commit(context.Background(), Change{Message: s.NewID(), Events: []policy.Event{{Kind: policy.Login}}})
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		waitUntil(t, func() bool { return s.Stats().Commits > 20 })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait() // nobody hangs
	}
}

// A change that gets into the queue when the committer has ended already.
func TestCommitQueuedTooLate(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	mustClose(t, s)
	for range 100 { // the queue and the end are both open to its select
		if _, err := s.Commit(t.Context(), Change{Message: s.NewID(), Events: []policy.Event{{Kind: policy.Login}}}); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	}
}

func TestEverythingAfterClose(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	id := keep(t, s, 600_000)
	reader, err := s.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	begun := s.NewBody(s.NewID())
	if _, err := begun.Write(make([]byte, 600_000)); err != nil {
		t.Fatal(err)
	}
	last := s.lastBatch.Load()
	live, old := s.Subscribe(0), s.Subscribe(last-1)
	mustClose(t, s)
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	begun.Discard()
	for name, use := range map[string]func() error{
		"Ready":      s.Ready,
		"Message":    func() error { _, err := s.Message(id); return err },
		"Recipients": func() error { _, err := s.Recipients(id); return err },
		"Timeline":   func() error { _, err := s.Timeline(id); return err },
		"Due":        func() error { return s.Due(func(DueMessage) bool { return true }) },
		"Search":     func() error { _, err := s.Search(t.Context(), Query{}, 1, ""); return err },
		"Records":    func() error { _, err := s.Records(t.Context(), policy.Login, 1, policy.ID{}); return err },
		"Body":       func() error { _, err := s.Body(id); return err },
		"a body":     func() error { _, err := reader.Read(make([]byte, 1)); return err },
		"Write":      func() error { _, err := s.NewBody(s.NewID()).Write(make([]byte, 600_000)); return err },
		"live":       func() error { _, err := live.Next(t.Context()); return err },
	} {
		if err := use(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if _, err := old.Next(t.Context()); err != nil && !errors.Is(err, ErrClosed) {
		t.Errorf("a late subscriber: %v", err)
	}
}

func TestCloseWaitsForReaders(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	for range 50 {
		keep(t, s, 0)
	}
	closed := make(chan error, 1)
	err := s.Due(func(d DueMessage) bool {
		if len(closed) == 0 && s.Ready() == nil {
			go func() { closed <- s.Close() }()
			<-s.committed
		}
		select {
		case <-closed:
			t.Error("closed under a reader")
		default:
		}
		_, err := s.Message(d.ID) // nested: refused or not, it must not block
		return err == nil || errors.Is(err, ErrClosed)
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestNoGoroutineOutlivesTheStore(t *testing.T) {
	for range 3 {
		s := mustOpen(t, t.TempDir())
		keep(t, s, 100)
		mustClose(t, s)
	}
	waitUntil(t, func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !bytes.Contains(stacks, []byte("store.(*Store)."))
	})
}
