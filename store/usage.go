package store

import (
	"io/fs"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A Usage says what the journal takes on disk, in octets. What is in tables is told apart by the kinds of their
// keys, a table at a time: about right, and cheap.
type Usage struct {
	Total   int64
	Bodies  int64 // of messages, as far as they are alive
	Garbage int64 // of bodies that were deleted and are still on disk
	Rows    int64 // messages and recipients, and small bodies
	Events  int64
	Indexes int64
	Other   int64 // audit, sessions, counts
	Recent  int64 // rows, events and indexes that the engine has not yet sorted
	Logs    int64 // of the engine

	Free      int64 // of the file system
	Reserve   int64 // with less free space nothing is accepted
	MaxSize   int64 // 0: no bound
	EventsFor time.Duration
	BodiesFor time.Duration
	Oldest    time.Time // when the oldest message that is kept was received; zero when there is none
	Early     Early
}

// Usage gives what the journal takes on disk now.
func (s *Store) Usage() (u Usage, err error) {
	if err := s.door.enter(); err != nil {
		return u, err
	}
	defer s.door.leave()
	if u.Free, err = freeBytes(s.cfg.Dir); err != nil {
		return u, err
	}
	log, err := s.valueLogUse()
	if err != nil {
		return u, err
	}
	logs, err := s.engineFiles("*.mem")
	if err != nil {
		return u, err
	}
	u.Logs = onDisk(logs)
	u.Garbage = min(log, s.garbage.Load())
	u.Bodies = log - u.Garbage
	u.tables(s.db.Tables())
	u.Total = log + u.Rows + u.Events + u.Indexes + u.Other + u.Recent + u.Logs
	u.Reserve, u.MaxSize, u.EventsFor, u.BodiesFor = s.reserved.Load(), s.cfg.MaxSize<<20, s.cfg.EventsFor, s.cfg.BodiesFor
	u.Oldest, u.Early = s.oldest(), s.bounded.Early()
	return u, nil
}

// tables adds up the tables by the kinds of their keys.
func (u *Usage) tables(tables []badger.TableInfo) {
	for i := range tables {
		t := &tables[i] // its OnDiskSize has the values in the log, too; nothing is compressed
		*u.table(t.Left, t.Right) += int64(t.UncompressedSize)
	}
}

// table gives where a table belongs that has keys from left to right.
func (u *Usage) table(left, right []byte) *int64 {
	if len(left) == 0 || len(right) == 0 || u.kind(left[0]) != u.kind(right[0]) || right[0]-left[0] > 1 {
		return &u.Recent
	}
	return u.kind(left[0])
}

func (u *Usage) kind(key byte) *int64 {
	switch key {
	case keyMessage, keyRecipient, keyBody, keyOpenBody: // bodies up to 4 KiB; others lie in the value log
		return &u.Rows
	case keyEvents, keyBatch, keySeen:
		return &u.Events
	case keyIndex, keyDue, keyFinal:
		return &u.Indexes
	}
	return &u.Other
}

// oldest is when the oldest message was received.
func (s *Store) oldest() (t time.Time) {
	_ = s.view(func(txn *badger.Txn) error { // closing: the zero time
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyMessage}})
		defer it.Close()
		if it.Rewind(); it.Valid() {
			t = lastID(it.Item().Key()).Timestamp().UTC()
		}
		return nil
	})
	return t
}

// onDisk adds up what files take, which may be less than they are long.
func onDisk(files []fs.FileInfo) (octets int64) {
	for _, f := range files {
		if st, ok := f.Sys().(*syscall.Stat_t); ok {
			octets += st.Blocks * 512
		}
	}
	return octets
}
