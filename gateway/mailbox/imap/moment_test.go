package imap

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/mailboxtest"
)

const otherLetter = "From: bob@corp.test\r\nSubject: y\r\n\r\ny\r\n"

// TestTheMomentOfTheMove plays the moment between the server's copy and its removal, in which a reader's flag is
// lost: it is set, and is not there when the server copies.
func TestTheMomentOfTheMove(t *testing.T) {
	d := mailboxtest.StartDovecot(t)
	const moving = " UID MOVE "
	begin := func(t *testing.T) *race {
		user := d.NewUser(t)
		return newRace(t, dovecot(d), user, d.Owner(t, user))
	}
	t.Run("read without a trace: put back", func(t *testing.T) {
		r := begin(t)
		got := r.take(moving, 1, "", func() {
			r.owner.Flag("INBOX", r.current.UID, `\Seen`)
			r.owner.Unflag("INBOX", r.current.UID, `\Seen`)
		})
		if got.Outcome != mailbox.ReadMeanwhile || !strings.Contains(got.Evidence, "cannot be excluded") {
			t.Errorf("taken: %+v", got)
		}
		r.holds("INBOX", "[]")
		r.holds("sendgate-recalled")
	})
	t.Run("other mail changes and comes in: taken", func(t *testing.T) {
		r := begin(t)
		r.owner.Put("INBOX", otherLetter, time.Now())
		got := r.take(moving, 1, "", func() {
			r.owner.Flag("INBOX", r.current.UID+1, `\Flagged`)
			r.owner.Put("INBOX", otherLetter, time.Now())
		})
		if got.Outcome != mailbox.Removed {
			t.Errorf("taken: %+v", got)
		}
		r.holds("INBOX", `[\Flagged]`, "[]")
		r.holds("sendgate-recalled", fmt.Sprintf("[%s]", mark))
	})
	t.Run("other mail is read: put back", func(t *testing.T) {
		r := begin(t)
		r.owner.Put("INBOX", otherLetter, time.Now())
		got := r.take(moving, 1, "", func() { r.owner.Flag("INBOX", r.current.UID+1, `\Seen`) })
		if got.Outcome != mailbox.ReadMeanwhile {
			t.Errorf("taken: %+v", got)
		}
		r.holds("INBOX", `[\Seen]`, "[]")
	})
}

// TestTakeAgainstReading lets an owner read a message while it is taken: never is it both.
func TestTakeAgainstReading(t *testing.T) {
	rounds := 10
	if os.Getenv("SENDGATE_LONG") != "" {
		rounds = 240
	}
	d := mailboxtest.StartDovecot(t)
	outcomes := map[string]int{}
	for range rounds {
		user := d.NewUser(t)
		r := newRace(t, dovecot(d), user, d.Owner(t, user))
		begin := make(chan struct{})
		var reading sync.WaitGroup
		var read bool
		reading.Go(func() { <-begin; read = r.owner.Read("INBOX", r.current.UID) })
		taken := r.take(" UID MOVE ", 1, "", func() { close(begin) })
		reading.Wait()
		home, staged := len(r.owner.All("INBOX")), len(r.owner.All("sendgate-recalled"))
		if removed := taken.Outcome == mailbox.Removed; removed && read || home+staged != 1 || removed != (staged == 1) {
			t.Errorf("read %v, %d in INBOX, %d staged, taken %+v", read, home, staged, taken)
		}
		outcomes[fmt.Sprint(taken.Outcome, ", read ", read)]++
	}
	t.Log(outcomes)
}

func TestUndisturbed(t *testing.T) {
	for name, c := range map[string]struct {
		low, high uint64
		changed   []*sight
		want      bool
	}{
		"nothing but the removal":            {7, 8, nil, true},
		"the server does not count":          {7, 7, nil, true},
		"counted down":                       {7, 6, nil, false},
		"one change that nobody shows":       {7, 9, nil, false},
		"another message":                    {7, 9, []*sight{{modSeq: 8}}, true},
		"two by one command":                 {7, 9, []*sight{{modSeq: 8}, {modSeq: 8}}, true},
		"another is read, by one command":    {7, 9, []*sight{{modSeq: 8, flags: []string{`\Seen`}}}, false},
		"another that changed before":        {7, 9, []*sight{{modSeq: 7}}, false},
		"another that changed after we look": {7, 8, []*sight{{modSeq: 9}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := undisturbed(c.low, c.high, c.changed); got != c.want {
				t.Errorf("undisturbed is %v", got)
			}
		})
	}
}
