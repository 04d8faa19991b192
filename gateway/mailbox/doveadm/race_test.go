package doveadm

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// TestTakeAgainstReading lets an owner read a message while it is taken: never is it both.
func TestTakeAgainstReading(t *testing.T) {
	rounds := 10
	if os.Getenv("SENDGATE_LONG") != "" {
		rounds = 300
	}
	inFormats(t, func(t *testing.T, d *dovecot) {
		b := d.backend(t, "")
		outcomes := map[string]int{}
		for i := range rounds {
			d.deliver(t, mail{"INBOX", raw(ourID, fmt.Sprintf("<%d@corp.example>", i)), "", arrived})
			m := *message
			m.MessageID = fmt.Sprintf("<%d@corp.example>", i)
			copies, err := b.Find(t.Context(), user, &m)
			must(t, err)
			if len(copies) != 1 {
				t.Fatalf("%d copies", len(copies))
			}
			outcomes[race(t, d, copies[0])]++
			d.do(t, call{"expunge", map[string]any{"query": []string{"mailbox", "INBOX", "ALL"}}})
		}
		t.Log(outcomes)
	})
}

// race reads a copy at the moment in which it is moved, and holds that a message that was read is not
// taken, and that one that was not taken lies where it was. The owner may be told that it was read although
// his flag came too late and is lost: then it was put back.
func race(t *testing.T, d *dovecot, c mailbox.Copy) string {
	t.Helper()
	begin := make(chan struct{})
	b := d.backend(t, d.proxied(t, once("move", func() { close(begin) })))
	var read bool
	var reading sync.WaitGroup
	reading.Go(func() {
		<-begin
		where := one(c.FolderID, c.UID)
		r, err := d.test.do(t.Context(), user,
			call{"flagsAdd", map[string]any{"flag": []string{`\Seen`}, "query": where}}, fetch(where, "flags"))
		if err != nil {
			t.Error(err)
			return
		}
		read = len(r[1].rows) == 1 && mailbox.ReadFlag(r[1].rows[0].flags()) != ""
	})
	taken, err := b.Take(t.Context(), user, c, mailbox.Options{UnreadOnly: true})
	reading.Wait()
	must(t, err)
	home := d.do(t, fetch([]string{"mailbox", inbox}, "uid"))[0].rows
	if removed := taken.Outcome == mailbox.Removed; removed && read || removed == (len(home) > 0) {
		t.Errorf("read %v, in INBOX %v, taken %+v", read, home, taken)
	}
	must(t, b.Purge(t.Context(), user, taken.Copy))
	return fmt.Sprint(taken.Outcome, ", read ", read)
}
