package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// lockDir takes the directory for this process. The lock goes with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(name)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s belongs to the running process %s; stop it, or give this one another directory",
				ErrLocked, dir, strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintln(os.Getpid()))); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// freeBytes is the space that this process may still use on the file system of dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// What the engine may need beyond what it has, by and large. A full memory table is written to a
// table before its log goes, and there may be three, and six that are filled to have the engine
// compact (see garbage.go); compaction writes all tables it merges before it
// deletes them: at most all of the first level with what they overlap below, and some tables of lower
// levels at the same time.
const (
	memoryReserve  = 16*memTableSize + 64<<20
	compactReserve = 192 << 20
)

// measure brings the reserve up to date with the size of the tables.
func (s *Store) measure() {
	var all int64
	levels := s.db.Levels()
	for _, l := range levels {
		all += l.Size
	}
	s.reserved.Store(max(s.cfg.MinFree<<20, memoryReserve+min(all, levels[0].Size+compactReserve)))
}

// room is ErrFull when less than the reserve is free, less what is being written by others. Badger
// writes into mapped files: running out of blocks there is a signal that ends the process, not an
// error.
func (s *Store) room() error {
	free, err := freeBytes(s.cfg.Dir)
	if err != nil {
		return err
	}
	reserved := s.reserved.Load()
	low := free-s.inFlight.Load() < reserved
	if s.full.Swap(low) != low {
		s.cfg.Log.Warn("free space of the data directory", zap.Bool("accepting", !low),
			zap.Int64("free_mib", free>>20), zap.Int64("reserve_mib", reserved>>20))
	}
	if low {
		return fmt.Errorf("%w: %d MiB free in %s, %d are kept in reserve: delete something there",
			ErrFull, free>>20, s.cfg.Dir, reserved>>20)
	}
	return nil
}

// reserve promises room for octets that are about to be written; written gives the promise back.
func (s *Store) reserve(octets int64) error {
	s.inFlight.Add(octets)
	if err := s.room(); err != nil {
		s.inFlight.Add(-octets)
		return err
	}
	return nil
}

func (s *Store) written(octets int64) { s.inFlight.Add(-octets) }

func readEncryptionKey(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("store.encryption_key_file: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || !isKeySize(len(key)) {
		key = raw
	}
	if isKeySize(len(key)) {
		return key, nil
	}
	return nil, fmt.Errorf("store.encryption_key_file: %s holds %d octets; a key has 16, 24 or 32, raw or in hex (openssl rand -hex 32)", file, len(raw))
}

func isKeySize(octets int) bool { return octets == 16 || octets == 24 || octets == 32 }

// explainOpen turns what the engine says into what the operator has to do.
func explainOpen(cfg Config, err error) error {
	for _, ours := range []error{unix.EACCES, unix.EPERM, unix.EROFS, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, ours) || strings.Contains(err.Error(), ours.Error()) { // of some the engine keeps the words alone
			return fmt.Errorf("open store in %s: %w", cfg.Dir, err)
		}
	}
	if errors.Is(err, badger.ErrEncryptionKeyMismatch) {
		return fmt.Errorf("open store in %s: the encryption key is not the one it was made with: set store.encryption_key_file to that key (encryption cannot be switched on or off later). If it is the one, %s is damaged",
			cfg.Dir, filepath.Join(cfg.Dir, engineDir, badger.KeyRegistryFileName))
	}
	return fmt.Errorf("%w: the engine cannot open %s: %v. Restore a backup; \"sendgate export-held DIR --data %s\" takes out the mail that waits",
		ErrDamaged, cfg.Dir, err, cfg.Dir)
}

// engineLog gives Badger's own messages to ours, one level down: they are about the engine.
type engineLog struct {
	*zap.SugaredLogger
	fail func(error)
}

// syncFailed begins the only trace of a value log that could not be synced: Badger logs it and
// reports success (TestQuirkValueLogSync).
const syncFailed = "Error while curlf sync"

func (l engineLog) Errorf(format string, args ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	if strings.HasPrefix(text, syncFailed) {
		l.fail(errors.New(text))
	}
	l.Error(text)
}

func (l engineLog) Infof(format string, args ...any) { l.Debugf(format, args...) }

func (l engineLog) Warningf(format string, args ...any) {
	l.Warnf(strings.TrimSpace(format), args...)
}
