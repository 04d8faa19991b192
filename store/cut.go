package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Badger takes the first bad entry of a log for its end, except one whose header cannot be decoded:
// then it does not open at all. What follows is lost either way.

// Layout of a log of Badger 4: a header of the file, then entries of two octets, three varints (the
// lengths of key and value, an expiry), key, value, and a CRC of all of it.
const (
	logHeader   = 20
	entryFlags  = 2
	entryCRC    = crc32.Size
	maxLogKey   = 1 << 16
	maxLogValue = 1 << 30
)

// cutLogs cuts the engine's logs where it would give up.
func cutLogs(cfg Config) error {
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return err
	}
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, globErr := filepath.Glob(filepath.Join(cfg.Dir, engineDir, pattern))
		err = errors.Join(err, globErr)
		if pattern == "*.vlog" { // it looks at the newest only
			names = names[max(0, len(names)-1):]
		}
		for _, name := range names {
			err = errors.Join(err, cutLog(name))
		}
	}
	return errors.Join(err, lock.Close())
}

func cutLog(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	end, bad := logEnd(b)
	if !bad {
		return nil
	}
	return os.Truncate(name, int64(end))
}

// logEnd is where the entries of a log end, and whether the engine would stumble there.
func logEnd(b []byte) (end int, bad bool) {
	table := crc32.MakeTable(crc32.Castagnoli)
	for end = min(logHeader, len(b)); ; {
		entry := b[end:]
		at := min(entryFlags, len(entry))
		var lengths [3]uint64
		for i := range lengths {
			v, n := binary.Uvarint(entry[at:])
			if n <= 0 {
				return end, n < 0
			}
			lengths[i] = v
			at += n
		}
		key, value := lengths[0], lengths[1]
		if key == 0 || key > maxLogKey || value > maxLogValue || uint64(len(entry)-at) < key+value+entryCRC {
			return end, false
		}
		at += int(key + value)
		if binary.BigEndian.Uint32(entry[at:]) != crc32.Checksum(entry[:at], table) {
			return end, false
		}
		end += at + entryCRC
	}
}
