package postfix

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The queues in which a message can be; the order is that of its way backwards, so that a message that
// moves on while it is looked for is more likely found than missed.
var queues = []string{holdQueue, deferredQueue, "active", "incoming"}

const (
	holdQueue     = "hold"
	deferredQueue = "deferred"
)

// A spool is a Postfix queue directory.
type spool struct {
	root   *os.Root
	hashed []string // hash_queue_names
	depth  int      // hash_queue_depth
}

var (
	errNotFound = errors.New("not in the queue")
	errNotFile  = errors.New("not a queue file")
)

// errDifferent says in what a message is not the one meant.
type errDifferent struct{ what string }

func (e errDifferent) Error() string { return "another message has this queue id: " + e.what }

// searches is how often a message is looked for: it may move from queue to queue meanwhile, as
// postsuper(1) knows too.
const searches = 3

// open finds the file of a message.
func (s *spool) open(id string) (f *os.File, queue string, err error) {
	for range searches {
		for _, queue := range queues {
			f, err := s.openIn(queue, id)
			if err == nil || !errors.Is(err, fs.ErrNotExist) {
				return f, queue, err
			}
		}
	}
	return nil, "", errNotFound
}

// openIn opens the file of a message in one queue. A link that leads out of the queue directory is
// not followed, and what is not a plain file is refused, because the user postfix can write here.
func (s *spool) openIn(queue, id string) (*os.File, error) {
	f, err := s.root.OpenFile(s.path(queue, id), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the queue file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotFile
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// path is the file name of a message below the queue directory (Postfix, global/mail_queue.c).
func (s *spool) path(queue, id string) string {
	if !slices.Contains(s.hashed, queue) {
		return path.Join(queue, id)
	}
	digits := hashed(id)
	return path.Join(queue, strings.Join(strings.Split(digits[:min(s.depth, len(digits))], ""), "/"), id)
}

// look reads the envelope of a message and holds it against its identity.
func (s *spool) look(want *Identity) (Envelope, error) {
	f, queue, err := s.open(want.ID)
	if err != nil {
		return Envelope{}, err
	}
	defer f.Close()
	return check(f, queue, want)
}

// check reads the envelope in an open file and holds it against an identity.
func check(f *os.File, queue string, want *Identity) (Envelope, error) {
	q, err := readable(f)
	if err != nil {
		return Envelope{}, err
	}
	if err := q.head(); err != nil {
		return Envelope{}, err
	}
	right := true
	if want.Header != "" {
		right, err = q.has(want.Header)
	} else {
		err = q.skip()
	}
	if err == nil {
		err = q.tail()
	}
	if err != nil {
		return Envelope{}, err
	}
	q.envelope.ID, q.envelope.Queue = want.ID, queue
	if err := want.matches(&q.envelope); err != nil {
		return Envelope{}, err
	}
	if !right {
		return Envelope{}, errDifferent{fmt.Sprintf("it has no header field %q", want.Header)}
	}
	return q.envelope, nil
}

func readable(f *os.File) (*queueFile, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return newQueueFile(f, info.Size()), nil
}

// tolerance is how far the arrival time that the caller knows may be from that of the queue file:
// ours is the time of a milter event or whole seconds of a listing.
const tolerance = 2 * time.Second

// matches says in what an envelope is not that of the message meant, or nil.
func (want *Identity) matches(e *Envelope) error {
	if want.Arrival.IsZero() {
		return nil
	}
	if d := e.Arrival.Sub(want.Arrival).Abs(); d > tolerance {
		return errDifferent{fmt.Sprintf("it arrived at %s, not at %s",
			e.Arrival.Format(time.RFC3339Nano), want.Arrival.UTC().Format(time.RFC3339Nano))}
	}
	if e.Sender.Key() != want.Sender.Key() {
		return errDifferent{fmt.Sprintf("its sender is %s, not %s", e.Sender, want.Sender)}
	}
	return nil
}

// underDelivery reports whether a delivery agent still has the held file open, by the lock that
// Postfix's queue manager would ask for.
func underDelivery(f *os.File) (bool, error) {
	free, err := lock(f)
	if err != nil {
		return false, fmt.Errorf("lock the queue file: %w", err)
	}
	return !free, nil
}

// marked reports whether a message is to go back to its sender: its file has the execute bit of the
// group (Postfix, global/mail_queue.h).
func marked(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&0o010 != 0
}

// hurry makes messages due. The time of a queue file is that of its next attempt; a message held in
// the middle of its retries keeps it, and a scan of the deferred queue would pass it by. flush(8) does the
// same to what it sends on.
func (s *spool) hurry(ids []string, queues ...string) {
	now := time.Now()
	for _, id := range ids {
		for _, queue := range queues {
			name := s.path(queue, id)
			if info, err := s.root.Lstat(name); err == nil && info.ModTime().After(now) {
				_ = s.root.Chtimes(name, now, now) // a file that has moved on is due already
			}
		}
	}
}
