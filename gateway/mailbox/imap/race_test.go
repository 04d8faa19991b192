package imap

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/mailboxtest"
)

const letterID = "<race@corp.test>"

// A race is one message of one mailbox that is about to be taken.
type race struct {
	t       *testing.T
	config  mailbox.Config
	user    string
	owner   *mailboxtest.Owner
	current mailbox.Copy
}

func newRace(t *testing.T, c mailbox.Config, user string, owner *mailboxtest.Owner) *race {
	t.Helper()
	r := &race{t: t, config: c, user: user, owner: owner}
	owner.Put("INBOX", "From: ann@corp.test\r\nMessage-ID: "+letterID+"\r\nSubject: x\r\n\r\nx\r\n", time.Now())
	copies, err := backend(t, c).Find(t.Context(), user, &mailbox.Match{MessageID: letterID, From: "ann@corp.test", Received: time.Now().Add(-time.Minute)})
	if err != nil || len(copies) != 1 {
		t.Fatalf("found %d: %v", len(copies), err)
	}
	r.current = copies[0]
	return r
}

// take runs act before each command that contains words, times at most.
func (r *race) take(words string, times int, mode mailbox.Mode, act func()) mailbox.Taken {
	r.t.Helper()
	var mu sync.Mutex
	via := r.config
	via.IMAP.Address = proxy(r.t, via.IMAP.Address, func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(line, words) && times > 0 {
			times--
			act()
		}
	})
	taken, err := backend(r.t, via).Take(r.t.Context(), r.user, r.current, mailbox.Options{UnreadOnly: true, Mode: mode})
	if err != nil {
		r.t.Fatal(err)
	}
	if times > 0 {
		r.t.Fatalf("%q was not said often enough", words)
	}
	return taken
}

// holds compares the flags of what is in a folder.
func (r *race) holds(folder string, want ...string) {
	r.t.Helper()
	var got []string
	for _, m := range r.owner.All(folder) {
		got = append(got, fmt.Sprint(m.Flags))
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("%q holds %q, want %q", folder, got, want)
	}
}

// TestRacesWithTheMark are for CONDSTORE.
func TestRacesWithTheMark(t *testing.T) {
	d := mailboxtest.StartDovecot(t)
	begin := func(t *testing.T) *race {
		user := d.NewUser(t)
		return newRace(t, dovecot(d), user, d.Owner(t, user))
	}
	t.Run("read before it: never moved", func(t *testing.T) {
		r := begin(t)
		got := r.take("UNCHANGEDSINCE", 1, "", func() { r.owner.Flag("INBOX", r.current.UID, `\Seen`) })
		if got.Outcome != mailbox.ReadMeanwhile {
			t.Errorf("outcome is %q", got.Outcome)
		}
		r.holds("INBOX", `[\Seen]`)
		if m := r.owner.All("INBOX"); len(m) == 1 && m[0].UID != r.current.UID {
			t.Error("it was moved and moved back")
		}
	})
	t.Run("changed again and again: taken", func(t *testing.T) {
		r := begin(t)
		n := 0
		got := r.take("UNCHANGEDSINCE", maxMarks, "", func() { n++; r.owner.Flag("INBOX", r.current.UID, fmt.Sprintf("label%d", n)) })
		if got.Outcome != mailbox.Removed || len(got.Copy.Flags) != maxMarks {
			t.Errorf("taken: %+v", got)
		}
		r.holds("INBOX")
	})
}

// TestRacesWithTheCopy are for servers without MOVE.
func TestRacesWithTheCopy(t *testing.T) {
	m := startMemory(t, imap.CapUIDPlus)
	begin := func(t *testing.T) *race {
		user := m.newUser(t)
		return newRace(t, configured(m.address, file(t, mailboxtest.MasterPassword)), user, m.owner(t, user))
	}
	const deleting = `+FLAGS.SILENT (\Deleted)`
	t.Run("read after it was copied", func(t *testing.T) {
		r := begin(t)
		got := r.take(deleting, 1, "", func() { r.owner.Flag("INBOX", r.current.UID, `\Seen`) })
		if got.Outcome != mailbox.ReadMeanwhile {
			t.Errorf("outcome is %q", got.Outcome)
		}
		r.holds("INBOX", `[\Seen]`)
		r.holds("sendgate-recalled")
	})
	t.Run("read after it was copied, deleted before", func(t *testing.T) {
		r := begin(t)
		r.owner.Flag("INBOX", r.current.UID, `\Deleted`)
		if got := r.take(deleting, 1, "", func() { r.owner.Flag("INBOX", r.current.UID, `\Seen`) }); got.Outcome != mailbox.ReadMeanwhile {
			t.Errorf("outcome is %q", got.Outcome)
		}
		r.holds("INBOX", `[\Deleted \Seen]`)
	})
	t.Run("removed after it was copied", func(t *testing.T) {
		r := begin(t)
		if got := r.take(deleting, 1, "", func() { r.owner.Remove("INBOX", r.current.UID) }); got.Outcome != mailbox.Gone {
			t.Errorf("outcome is %q", got.Outcome)
		}
		r.holds("INBOX")
		r.holds("sendgate-recalled")
	})
	t.Run("no folder for deleted mail: it stays in staging", func(t *testing.T) {
		r := begin(t)
		got := r.take("UID COPY", 1, mailbox.Trash, func() {})
		if got.Outcome != mailbox.Removed || got.Copy.Mode != string(mailbox.Staging) || got.Copy.Staged != "sendgate-recalled" || !strings.Contains(got.Evidence, "no folder for deleted mail") {
			t.Errorf("taken: %+v", got)
		}
		r.holds("sendgate-recalled", "[]")
	})
}
