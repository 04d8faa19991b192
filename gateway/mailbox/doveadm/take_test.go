package doveadm

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

var accepted = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// message is what the tests look for.
var message = &mailbox.Match{
	ID: ulid.MustParse("01JNB3M4T0ABCDEFGHJKMNPQRS"), Gateway: "gate.corp.example", IDHeader: "X-Sendgate-ID",
	MessageID: "<one@corp.example>", From: "A <a@corp.example>", Subject: "offer", Received: accepted,
}

// raw writes a message; the head is put on top.
func raw(head, id string) string {
	if id != "" {
		id = "Message-ID: " + id + "\r\n"
	}
	return head + "From: A <a@corp.example>\r\nTo: b@corp.example\r\nSubject: offer\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n" + id + "\r\nhello\r\n"
}

const (
	ourID   = "X-Sendgate-ID: 01JNB3M4T0ABCDEFGHJKMNPQRS.c2ln\r\n"
	otherID = "X-Sendgate-ID: 01JNB3M4T0ABCDEFGHJKMNPQRT.c2ln\r\n"
	trace   = "Received: from a by gate.corp.example with ESMTP id 01JNB3M4T0ABCDEFGHJKMNPQRS\r\n\tfor <b@corp.example>; Mon, 2 Mar 2026 10:00:00 +0000\r\n"
)

// arrived is when the messages of the tests came into the mailbox.
var arrived = accepted.Add(time.Minute)

// inFormats runs a test with each format of mailboxes.
func inFormats(t *testing.T, test func(t *testing.T, d *dovecot)) {
	for _, f := range formats {
		t.Run(f, func(t *testing.T) { test(t, startDovecot(t, f)) })
	}
}

// found looks for the one copy that there is.
func found(t *testing.T, b *Backend) mailbox.Copy {
	t.Helper()
	copies, err := b.Find(t.Context(), user, message)
	must(t, err)
	if len(copies) != 1 {
		t.Fatalf("%d copies found: %+v", len(copies), copies)
	}
	return copies[0]
}

// line is one of those of where.
func line(folder, flags, id string) string {
	return fmt.Sprintf("%s [%s] %d %s", folder, flags, arrived.Unix(), id)
}

func wantWhere(t *testing.T, d *dovecot, lines ...string) {
	t.Helper()
	if got, want := d.where(t), strings.Join(lines, "\n"); got != want {
		t.Errorf("the mailbox holds\n%s\nwant\n%s", got, want)
	}
}

func TestTakeAndRestore(t *testing.T) {
	inFormats(t, func(t *testing.T, d *dovecot) {
		b := d.backend(t, "")
		d.deliver(t, mail{"Projekte", raw(ourID, "<one@corp.example>"), "F", arrived})
		c := found(t, b)
		if c.Folder != "Projekte" || c.By != mailbox.ByID || !c.Internal.Equal(arrived) || c.Staged {
			t.Errorf("found %+v", c)
		}
		taken, err := b.Take(t.Context(), user, c, mailbox.Options{UnreadOnly: true})
		must(t, err)
		if taken.Outcome != mailbox.Removed || taken.Copy.Mode != "staging" || taken.Copy.Staged != stagingBox || taken.Copy.Backend != "dovecot" {
			t.Errorf("%+v", taken)
		}
		if !strings.Contains(taken.Evidence, "NOT KEYWORD $Forwarded") {
			t.Errorf("evidence:\n%s", taken.Evidence)
		}
		wantWhere(t, d, line(stagingBox, `\Flagged`, "<one@corp.example>"))
		if s := d.do(t, call{"mailboxList", map[string]any{"subscriptions": true}}); len(s[0].rows) > 0 {
			t.Errorf("the staging folder is subscribed: %v", s[0])
		}
		if staged := found(t, b); !staged.Staged {
			t.Errorf("not marked as staged: %+v", staged)
		}
		must(t, b.Restore(t.Context(), user, taken.Copy))
		wantWhere(t, d, line("Projekte", `\Flagged`, "<one@corp.example>"))
		wantError(t, b.Restore(t.Context(), user, taken.Copy), mailbox.ErrGone)
	})
}

func TestRestoreSetsFlagsAndFindsINBOX(t *testing.T) {
	d := startDovecot(t, "mdbox")
	b := d.backend(t, "")
	d.deliver(t, mail{"Projekte", raw(ourID, "<one@corp.example>"), "F", arrived})
	taken, err := b.Take(t.Context(), user, found(t, b), mailbox.Options{})
	must(t, err)
	d.do(t, call{"flagsAdd", map[string]any{"flag": []string{`\Seen`, "$Junk"}, "query": []string{"mailbox", stagingBox}}},
		call{"mailboxDelete", map[string]any{"mailbox": []string{"Projekte"}}})
	must(t, b.Restore(t.Context(), user, taken.Copy))
	wantWhere(t, d, line("INBOX", `\Flagged`, "<one@corp.example>"))
}

func TestTakeLeavesWhatWasRead(t *testing.T) {
	d := startDovecot(t, "mdbox")
	for _, flag := range []string{`\Seen`, `\Answered`, "$Forwarded", "$MDNSent"} {
		for _, moment := range []string{"fetch", "move"} { // before Take looks, and between its look and the removal
			t.Run(flag+" before "+moment, func(t *testing.T) {
				d.deliver(t, mail{"INBOX", raw(ourID, "<one@corp.example>"), "", arrived})
				read := func() {
					d.do(t, call{"flagsAdd", map[string]any{"flag": []string{flag}, "query": []string{"mailbox", "INBOX"}}})
				}
				c := found(t, d.backend(t, ""))
				b := d.backend(t, d.proxied(t, once(moment, read)))
				taken, err := b.Take(t.Context(), user, c, mailbox.Options{UnreadOnly: true})
				must(t, err)
				if taken.Outcome != mailbox.ReadMeanwhile {
					t.Errorf("%+v", taken)
				}
				wantWhere(t, d, line("INBOX", flag, "<one@corp.example>"))
				d.do(t, call{"expunge", map[string]any{"query": []string{"mailbox", "INBOX", "ALL"}}})
			})
		}
	}
}

// once runs a function before the first command of a name.
func once(command string, act func()) func(string) {
	done := false
	return func(name string) {
		if name == command && !done {
			done = true
			act()
		}
	}
}

// TestReadInTheMomentOfTheMove plays the moment between the server's evaluation of a query and its
// removal, in which a reader's flag is lost.
func TestReadInTheMomentOfTheMove(t *testing.T) {
	inFormats(t, func(t *testing.T, d *dovecot) {
		d.deliver(t, mail{"INBOX", raw(ourID, "<one@corp.example>"), "", arrived})
		all := map[string]any{"flag": []string{`\Seen`}, "query": []string{"mailbox", "INBOX"}}
		for _, staging := range []string{stagingBox, hiddenBox} {
			c := found(t, d.backend(t, ""))
			b := stagingIn(staging, d.backend(t, d.proxied(t, once("move", func() { d.do(t, call{"flagsAdd", all}, call{"flagsRemove", all}) }))))
			taken, err := b.Take(t.Context(), user, c, mailbox.Options{UnreadOnly: true})
			must(t, err)
			if taken.Outcome != mailbox.ReadMeanwhile || !strings.Contains(taken.Evidence, "cannot be excluded") {
				t.Errorf("%s: %+v", staging, taken)
			}
			wantWhere(t, d, line("INBOX", "", "<one@corp.example>"))
		}
	})
}

func TestOtherMailInTheMomentOfTheMove(t *testing.T) {
	inFormats(t, func(t *testing.T, d *dovecot) {
		d.deliver(t, mail{"INBOX", raw(ourID, "<one@corp.example>"), "", arrived}, mail{"INBOX", raw("", "<two@corp.example>"), "", arrived})
		c := found(t, d.backend(t, ""))
		b := d.backend(t, d.proxied(t, once("move", func() {
			d.deliver(t, mail{"INBOX", raw("", "<three@corp.example>"), "", arrived})
			d.do(t, call{"flagsAdd", map[string]any{"flag": []string{`\Flagged`}, "query": []string{"mailbox", "INBOX", "HEADER", "Message-ID", "two"}}})
		})))
		taken, err := b.Take(t.Context(), user, c, mailbox.Options{UnreadOnly: true})
		must(t, err)
		if taken.Outcome != mailbox.Removed {
			t.Errorf("%+v", taken)
		}
		wantWhere(t, d, line(stagingBox, "", "<one@corp.example>"), line("INBOX", `\Flagged`, "<two@corp.example>"), line("INBOX", "", "<three@corp.example>"))
	})
}

// TestOtherMailReadInTheMomentOfTheMove: one command may read both, and counts once.
func TestOtherMailReadInTheMomentOfTheMove(t *testing.T) {
	d := startDovecot(t, "mdbox")
	d.deliver(t, mail{"INBOX", raw(ourID, "<one@corp.example>"), "", arrived}, mail{"INBOX", raw("", "<two@corp.example>"), "", arrived})
	c := found(t, d.backend(t, ""))
	b := d.backend(t, d.proxied(t, once("move", func() {
		d.do(t, call{"flagsAdd", map[string]any{"flag": []string{`\Seen`}, "query": []string{"mailbox", "INBOX", "HEADER", "Message-ID", "two"}}})
	})))
	taken, err := b.Take(t.Context(), user, c, mailbox.Options{UnreadOnly: true})
	must(t, err)
	if taken.Outcome != mailbox.ReadMeanwhile {
		t.Errorf("%+v", taken)
	}
	wantWhere(t, d, line("INBOX", `\Seen`, "<two@corp.example>"), line("INBOX", "", "<one@corp.example>"))
}

func TestTakeOfWhatIsGone(t *testing.T) {
	d := startDovecot(t, "maildir")
	for _, moment := range []string{"fetch", "move"} {
		for name, act := range map[string]call{
			"expunged": {"expunge", map[string]any{"query": []string{"mailbox", "INBOX", "ALL"}}},
			"moved":    move([]string{"mailbox", "INBOX", "ALL"}, "Projekte"),
		} {
			t.Run(name+" before "+moment, func(t *testing.T) {
				d.deliver(t, mail{"INBOX", raw(ourID, "<one@corp.example>"), "", arrived}, mail{"Projekte", raw("", "<two@corp.example>"), "", arrived})
				c := found(t, d.backend(t, ""))
				b := d.backend(t, d.proxied(t, once(moment, func() { d.do(t, act) })))
				taken, err := b.Take(t.Context(), user, c, mailbox.Options{UnreadOnly: true})
				must(t, err)
				if taken.Outcome != mailbox.Gone {
					t.Errorf("%+v", taken)
				}
				d.do(t, call{"expunge", map[string]any{"query": []string{"mailbox", "Projekte", "ALL"}}})
			})
		}
	}
}

func TestModes(t *testing.T) {
	inFormats(t, func(t *testing.T, d *dovecot) {
		b := d.backend(t, "")
		take := func(mode mailbox.Mode) mailbox.Taken {
			t.Helper()
			d.deliver(t, mail{"INBOX", raw(ourID, "<one@corp.example>"), "S", arrived})
			taken, err := b.Take(t.Context(), user, found(t, b), mailbox.Options{Mode: mode})
			must(t, err)
			if taken.Outcome != mailbox.Removed {
				t.Errorf("%+v", taken)
			}
			return taken
		}
		gone := take(mailbox.Expunge)
		wantWhere(t, d)
		wantError(t, b.Restore(t.Context(), user, gone.Copy), mailbox.ErrGone)
		must(t, b.Purge(t.Context(), user, gone.Copy))

		staged := take(mailbox.Trash) // there is no folder for deleted mail yet
		wantWhere(t, d, line(stagingBox, `\Seen`, "<one@corp.example>"))
		if staged.Copy.Mode != "staging" || !strings.Contains(staged.Evidence, "stays in staging") {
			t.Errorf("%+v", staged)
		}
		must(t, b.Purge(t.Context(), user, staged.Copy))
		must(t, b.Purge(t.Context(), user, staged.Copy))
		wantWhere(t, d)

		d.do(t, call{"mailboxCreate", map[string]any{"mailbox": []string{"Papierkorb"}}})
		trash := take(mailbox.Trash)
		if trash.Copy.Mode != "trash" || trash.Copy.Staged != "Papierkorb" {
			t.Errorf("%+v", trash)
		}
		wantWhere(t, d, line("Papierkorb", `\Seen`, "<one@corp.example>"))
		must(t, b.Restore(t.Context(), user, trash.Copy))
		wantWhere(t, d, line("INBOX", `\Seen`, "<one@corp.example>"))
	})
}

// TestTakeAgain is about a Take that was interrupted after its move.
func TestTakeAgain(t *testing.T) {
	d := startDovecot(t, "mdbox")
	interrupted := func(t *testing.T) mailbox.Copy {
		t.Helper()
		d.deliver(t, mail{"INBOX", raw(ourID, "<one@corp.example>"), "", arrived})
		moved := false
		b := d.backend(t, d.proxied(t, func(command string) {
			if moved {
				panic(http.ErrAbortHandler)
			}
			moved = command == "move"
		}))
		_, err := b.Take(t.Context(), user, found(t, d.backend(t, "")), mailbox.Options{UnreadOnly: true})
		wantError(t, err, mailbox.ErrUnreachable)
		return found(t, d.backend(t, ""))
	}
	t.Run("unread is removed", func(t *testing.T) {
		taken, err := d.backend(t, "").Take(t.Context(), user, interrupted(t), mailbox.Options{UnreadOnly: true})
		must(t, err)
		if taken.Outcome != mailbox.Removed || taken.Copy.Folder != "INBOX" || taken.Copy.Staged != stagingBox {
			t.Errorf("%+v", taken)
		}
		must(t, d.backend(t, "").Purge(t.Context(), user, taken.Copy))
	})
	t.Run("read goes back", func(t *testing.T) {
		c := interrupted(t)
		d.do(t, call{"flagsAdd", map[string]any{"flag": []string{`\Seen`}, "query": []string{"mailbox", stagingBox}}})
		taken, err := d.backend(t, "").Take(t.Context(), user, c, mailbox.Options{UnreadOnly: true})
		must(t, err)
		if taken.Outcome != mailbox.ReadMeanwhile {
			t.Errorf("%+v", taken)
		}
		wantWhere(t, d, line("INBOX", `\Seen`, "<one@corp.example>"))
	})
}
