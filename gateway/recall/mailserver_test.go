package recall

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

const staging = "staging"

// A letter is a message in a mailbox.
type letter struct {
	id        policy.ID
	messageID string
	folder    string
	uid       uint32
	flags     []string
	body      byte // letters with different ones are different
}

// A server is a Backend. Its hooks are called without its lock.
type server struct {
	life *life
	mode mailbox.Mode
	// hook is called before an operation acts: "find", "take", "restore", "purge".
	hook func(op, user string) error
	// work is how long an operation takes.
	work time.Duration

	mu    sync.Mutex
	boxes map[string][]*letter
	uid   uint32
	busy  int
	most  int
	ops   map[string]int
}

func newServer(l *life) *server {
	return &server{life: l, mode: mailbox.Staging, boxes: map[string][]*letter{}, ops: map[string]int{}}
}

func (s *server) begin(op, user string) (end func(), answered bool, err error) {
	happens, answered := s.life.step()
	if !happens {
		return func() {}, false, fmt.Errorf("%w: %w", mailbox.ErrUnreachable, errDead)
	}
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		if err := hook(op, user); err != nil {
			return func() {}, false, err
		}
	}
	s.mu.Lock()
	s.ops[op]++
	s.busy++
	s.most = max(s.most, s.busy)
	if s.work > 0 {
		s.mu.Unlock()
		time.Sleep(s.work)
		s.mu.Lock()
	}
	if _, ok := s.boxes[user]; !ok {
		err = fmt.Errorf("%w: %s", mailbox.ErrNoMailbox, user)
	}
	return func() { s.busy--; s.mu.Unlock() }, answered, err
}

// hooked sets the hook.
func (s *server) hooked(f func(op, user string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

func lost(answered bool, err error) error {
	if err == nil && !answered {
		return fmt.Errorf("%w: connection lost", mailbox.ErrUnreachable)
	}
	return err
}

func (s *server) Find(_ context.Context, user string, m *mailbox.Match) (copies []mailbox.Copy, err error) {
	end, answered, err := s.begin("find", user)
	defer end()
	if err == nil && answered {
		for _, l := range s.boxes[user] {
			c := mailbox.Copy{Folder: l.folder, FolderID: "1", UID: l.uid, Flags: slices.Clone(l.flags), Staged: l.folder == staging, Digest: [32]byte{l.body}}
			switch {
			case l.id == m.ID:
				c.By = mailbox.ByID
			case l.id == policy.ID{} && m.MessageID != "" && l.messageID == m.MessageID:
				c.By = mailbox.ByMessageID
			default:
				continue
			}
			copies = append(copies, c)
		}
	}
	return copies, lost(answered, err)
}

func (s *server) at(user, folder string, uid uint32) *letter {
	for _, l := range s.boxes[user] {
		if l.folder == folder && l.uid == uid {
			return l
		}
	}
	return nil
}

func (s *server) move(l *letter, folder string) {
	s.uid++
	l.folder, l.uid = folder, s.uid
}

func (s *server) drop(user string, l *letter) {
	s.boxes[user] = slices.DeleteFunc(s.boxes[user], func(x *letter) bool { return x == l })
}

func (s *server) Take(_ context.Context, user string, c mailbox.Copy, o mailbox.Options) (t mailbox.Taken, err error) {
	end, answered, err := s.begin("take", user)
	defer end()
	if err != nil {
		return t, err
	}
	l := s.at(user, c.Folder, c.UID)
	if l == nil {
		return mailbox.Taken{Outcome: mailbox.Gone, Evidence: "OK nothing there"}, lost(answered, nil)
	}
	from := c.Folder
	if c.Staged {
		from = "INBOX"
	}
	if o.UnreadOnly && mailbox.ReadFlag(l.flags) != "" {
		if c.Staged {
			s.move(l, "INBOX")
		}
		return mailbox.Taken{Outcome: mailbox.ReadMeanwhile, Evidence: "FLAGS (" + strings.Join(l.flags, " ") + ")"}, lost(answered, nil)
	}
	mode := o.Mode
	if mode == "" {
		mode = s.mode
	}
	mc := policy.MailCopy{User: user, Folder: from, Flags: l.flags, Mode: string(mode)}
	switch mode {
	case mailbox.Expunge:
		s.drop(user, l)
	case mailbox.Trash:
		s.move(l, "Trash")
	default:
		if !c.Staged {
			s.move(l, staging)
		}
	}
	if mode != mailbox.Expunge {
		mc.Staged, mc.StagedID, mc.UID = l.folder, "1", l.uid
	}
	return mailbox.Taken{Outcome: mailbox.Removed, Copy: mc, Evidence: "OK [COPYUID 1 4 5] moved"}, lost(answered, nil)
}

func (s *server) Restore(_ context.Context, user string, c policy.MailCopy) error {
	end, answered, err := s.begin("restore", user)
	defer end()
	if err != nil {
		return err
	}
	l := s.at(user, c.Staged, c.UID)
	if l == nil {
		return mailbox.ErrGone
	}
	s.move(l, c.Folder)
	return lost(answered, nil)
}

func (s *server) Purge(_ context.Context, user string, c policy.MailCopy) error {
	end, answered, err := s.begin("purge", user)
	defer end()
	if err != nil {
		return err
	}
	if l := s.at(user, c.Staged, c.UID); l != nil {
		s.drop(user, l)
	}
	return lost(answered, nil)
}

func (s *server) Check(context.Context, string) error { return nil }

func (s *server) Close() error { return nil }

// put delivers a message.
func (s *server) put(user, folder string, l letter) *letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uid++
	l.folder, l.uid = folder, s.uid
	s.boxes[user] = append(s.boxes[user], &l)
	return &l
}

// read marks all letters in the folders of a user as read.
func (s *server) read(user string) { s.flag(user, `\Seen`) }

func (s *server) flag(user, flag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.boxes[user] {
		if l.folder != staging {
			l.flags = append(l.flags, flag)
		}
	}
}

// holds lists the folders in which a user has letters.
func (s *server) holds(user string) (folders []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.boxes[user] {
		folders = append(folders, l.folder)
	}
	slices.Sort(folders)
	return folders
}
