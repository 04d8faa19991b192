package milter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestHeldInPostfixOnceTheJournalKnows(t *testing.T) {
	l := newLab(t)
	l.settings.Needs.Body = true
	l.start()
	p := l.dial().client("192.0.2.7")
	p.want("c", p.mail("Alice@corp.example"))
	p.want("c", p.rcpt("bob@remote.example", "i", "4ZHeld1"))
	p.want("c", p.rcpt(`"odd one"@remote.example`))
	p.header("Subject", "=?utf-8?B?5L2g5aW9?= and\n more")
	p.header("From", "Alice <alice@corp.example>")
	p.header("Message-ID", "<1@corp.example>")
	p.body("Hello\r\n")
	answers := p.end("4ZHeld1")
	c := l.committed("4ZHeld1")
	held := c.Events[1]
	reason := "q sendgate " + c.Message.String() + " holds until " + held.Until.UTC().Format(time.RFC3339)
	if want := []string{reason, "c"}; !slices.Equal(answers, want) {
		t.Errorf("answers %q, want %q", answers, want)
	}
	if len(reason) > 100 {
		t.Errorf("the reason has %d octets, Postfix keeps 100", len(reason)-2)
	}
	m := stored(t, c.Message)
	e := m.Envelope
	for what, pair := range map[string][2]any{
		"front":       {e.Front, policy.Milter},
		"direction":   {e.Direction, policy.Outbound},
		"sender":      {e.Sender, policy.Address("Alice@corp.example")},
		"identity":    {e.Identity, "alice"},
		"client":      {e.Client.String(), "192.0.2.7"},
		"helo":        {e.Helo, "client.example"},
		"subject":     {e.Subject, "你好 and more"},
		"from":        {e.From, "Alice <alice@corp.example>"},
		"message id":  {e.MessageID, "<1@corp.example>"},
		"queue id":    {e.QueueID, "4ZHeld1"},
		"recipients":  {m.Recipients, 2},
		"state":       {m.State(), policy.StateHeld},
		"due":         {m.Due.UTC(), held.Until.UTC().Truncate(time.Microsecond)},
		"size":        {e.Size, int64(len("Subject: =?utf-8?B?5L2g5aW9?= and\r\n more\r\nFrom: Alice <alice@corp.example>\r\nMessage-ID: <1@corp.example>\r\n\r\nHello\r\n"))},
		"body stored": {m.BodySize, int64(0)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	recipients, err := journal.Recipients(c.Message)
	if err != nil {
		t.Fatal(err)
	}
	if r := recipients[1]; r.Address != `"odd one"@remote.example` || r.QueueID != "4ZHeld1" || r.Upstream != "mx.corp.example" {
		t.Errorf("recipient %+v", r)
	}
	if n := len(l.verbs("held")); n != 1 {
		t.Errorf("%d lines say held", n)
	}
}

func TestPassesAndIsNotedWithHoldZero(t *testing.T) {
	l := newLab(t).passing().start()
	p := l.dial().client("192.0.2.7")
	if got := p.message("4ZPass1", "alice@corp.example", "bob@remote.example"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("answers %q", got)
	}
	m := stored(t, l.committed("4ZPass1").Message)
	if m.State() != policy.StateQueued || !m.Due.IsZero() || m.Envelope.Size != 0 {
		t.Errorf("state %s, due %v, size %d", m.State(), m.Due, m.Envelope.Size)
	}
}

// TestPassDoesNotWaitForTheJournal: Postfix has the mail; when the note is lost, the mail is not.
func TestPassDoesNotWaitForTheJournal(t *testing.T) {
	l := newLab(t).passing()
	release := make(chan struct{})
	l.journal.fail = func(store.Change) error { <-release; return store.ErrFull }
	l.start()
	p := l.dial().client("192.0.2.7")
	if got := p.message("4ZPass2", "alice@corp.example", "bob@remote.example"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("answers %q", got)
	}
	close(release)
	eventually(t, "the loss is logged", func() bool { return len(l.verbs("a message passed unrecorded")) == 1 })
}

// TestNotesAreBounded: with 256 under way a session waits, and at the end of its patience goes on.
func TestNotesAreBounded(t *testing.T) {
	release := make(chan struct{})
	blocked := &recording{Journal: journal, fail: func(store.Change) error { <-release; return errors.New("no") }}
	var lost atomic.Int32
	n := newNotes(blocked, func(store.Change, error) { lost.Add(1) })
	for range maxNotes {
		n.add(t.Context(), store.Change{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.add(ctx, store.Change{})
	if lost.Load() != 1 {
		t.Error("the note beyond the bound was not given up")
	}
	close(release)
	n.wait()
	if lost.Load() != maxNotes+1 {
		t.Errorf("%d notes failed, want %d", lost.Load(), maxNotes+1)
	}
}

func TestInboundIsLeftAlone(t *testing.T) {
	for _, c := range []struct{ name, client string }{
		{"foreign client", "198.51.100.1"},
		{"unknown client", "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.settings.Needs = Needs{Envelope: true, Body: true}
			l.settings.Config.IDHeader = keyFile(t)
			l.settings.Config.AddMessageID = true
			l.settings.Config.MaxRecipients = 1
			l.settings.Engine = fixed(func(policy.Submission) policy.Verdict { panic("asked") })
			l.start()
			p := l.dial().client(c.client)
			for range 2 {
				p.want("c", p.mail(""))
				p.want("c", p.rcpt("alice@corp.example"))
				p.want("c", p.rcpt("\x01 no address"))
				p.header("Subject", "x")
				p.body("x\r\n")
				if got := p.end("4ZIn"); !slices.Equal(got, []string{"c"}) {
					t.Errorf("answers %q", got)
				}
				p.abort()
			}
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			if n := len(l.journal.all()); n != 0 {
				t.Errorf("%d changes in the journal", n)
			}
		})
	}
}

func TestAuthenticatedIsOutboundFromAnywhere(t *testing.T) {
	l := newLab(t).start()
	p := l.dial().client("198.51.100.1")
	p.want("c", p.mail("alice@corp.example", "{auth_authen}", "Alice", "{auth_type}", "plain"))
	p.want("c", p.rcpt("bob@remote.example"))
	p.body("")
	if got := p.end("4ZAuth1"); len(got) != 2 || got[1] != "c" {
		t.Errorf("answers %q", got)
	}
	e := l.committed("4ZAuth1").Envelope
	if e.Identity != "alice" || e.Login != "Alice" || e.Direction != policy.Outbound {
		t.Errorf("identity %q, login %q, direction %q", e.Identity, e.Login, e.Direction)
	}
	// The next message of the connection has no login: it is inbound.
	p.abort()
	if got := p.message("4ZAuth2", "alice@corp.example", "bob@remote.example"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("answers %q", got)
	}
}

// refusing refuses by what it sees: bad@ as sender, bad@ as recipient, bad as subject.
var refusing = fixed(func(s policy.Submission) policy.Verdict {
	bad := strings.HasPrefix(string(s.Envelope.Sender), "bad@")
	if len(s.Envelope.Recipients) == 1 && s.Header == nil {
		bad = strings.HasPrefix(string(s.Envelope.Recipients[0].Address), "bad@")
	}
	if s.Header != nil {
		bad = slices.Contains(s.Header("subject"), "bad")
	}
	if !bad {
		return policy.Verdict{}
	}
	return policy.Verdict{
		Action: policy.Reject, Rule: "bad", Code: 554, Status: "5.7.0",
		Text: policy.Label{EN: "no: 100% bad\r\n"}, Reason: "secret",
	}
})

func TestRefusals(t *testing.T) {
	const refused = "554 5.7.0 no: 100%% bad"
	l := newLab(t)
	l.settings.Engine = refusing
	l.settings.Needs.Envelope = true
	l.start()
	p := l.dial().client("192.0.2.7")

	p.want(refused, p.mail("bad@corp.example"))
	p.want("c", p.mail("alice@corp.example"))
	p.want("c", p.rcpt("one@remote.example"))
	p.want(refused, p.rcpt("bad@remote.example"))
	p.want("c", p.rcpt("two@remote.example"))
	p.header("Subject", "good")
	if got := p.end("4ZRef1"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("answers %q", got)
	}
	var to []policy.Address
	for _, r := range l.committed("4ZRef1").Envelope.Recipients {
		to = append(to, r.Address)
	}
	if want := []policy.Address{"one@remote.example", "two@remote.example"}; !slices.Equal(to, want) {
		t.Errorf("recipients %v, want %v", to, want)
	}

	p.abort()
	p.want("c", p.mail("alice@corp.example"))
	p.want("c", p.rcpt("one@remote.example"))
	p.header("Subject", "bad")
	if got := p.end("4ZRef2"); !slices.Equal(got, []string{refused}) {
		t.Errorf("answers %q", got)
	}
	c := l.committed("4ZRef2")
	if e := c.Events[0]; e.Kind != policy.Refused || e.Reply != "554 5.7.0 no: 100% bad" || e.Reason != "secret" {
		t.Errorf("event %+v", e)
	}
	if m := stored(t, c.Message); m.State() != policy.StateBlocked {
		t.Errorf("state %s", m.State())
	}

	// Without ABORT, as not every MTA says it: the session still knows its client.
	if got := p.message("4ZRef3", "alice@corp.example", "one@remote.example"); !slices.Equal(got, []string{"c"}) {
		t.Errorf("answers %q", got)
	}
	if e := l.committed("4ZRef3").Envelope; e.Client.String() != "192.0.2.7" || e.Helo != "client.example" || e.Subject != "hello" {
		t.Errorf("client %s, helo %q, subject %q", e.Client, e.Helo, e.Subject)
	}
	if n := len(l.verbs("refused")); n != 3 {
		t.Errorf("%d lines say refused", n)
	}
}

// TestEngineIsAskedOnceWhenItRefusesLate: without Needs.Envelope nothing is answered before the end.
func TestEngineIsAskedOnceWhenItRefusesLate(t *testing.T) {
	var asked atomic.Int32
	l := newLab(t)
	l.settings.Engine = fixed(func(s policy.Submission) policy.Verdict {
		asked.Add(1)
		return policy.Verdict{Action: policy.Defer}
	})
	l.start()
	p := l.dial().client("192.0.2.7")
	if got := p.message("4ZLate", "a@corp.example", "b@remote.example", "c@remote.example"); !slices.Equal(got, []string{"451 4.7.1 Message postponed by policy, try again later"}) {
		t.Errorf("answers %q", got)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestUndecided(t *testing.T) {
	const local = "451 4.3.0 Local error in processing, try again later"
	failing := func(err error) func(*lab) {
		return func(l *lab) { l.journal.fail = func(store.Change) error { return err } }
	}
	for _, c := range []struct {
		name    string
		prepare func(*lab)
		queueID string
		actions uint32
		to      string
		want    string // with tempfail
		logged  string
	}{
		{name: "disk full", prepare: failing(store.ErrFull), queueID: "4ZU1",
			want: "452 4.3.1 Insufficient system storage, try again later", logged: "keep a held message: the disk is nearly full"},
		{name: "too large for the journal", prepare: failing(store.ErrTooLarge), queueID: "4ZU2",
			want: "554 5.5.3 Too many recipients for one message", logged: "keep a held message: too many recipients for one message"},
		{name: "journal failed", prepare: failing(errors.New("boom")), queueID: "4ZU3", want: local, logged: "keep a held message: boom"},
		{name: "no queue id", want: local, logged: errNoQueueID.Error()},
		{name: "a queue id that is none", queueID: "../../etc", want: local, logged: errNoQueueID.Error()},
		{name: "no quarantine offered", queueID: "4ZU4", actions: 0x1f, want: local, logged: errNoQuarantine.Error()},
		{name: "a recipient that is no address", queueID: "4ZU5", to: "x\x01@y", want: local,
			logged: "recipient: the address contains a control character or a broken UTF-8 sequence"},
		{name: "panic in a rule", queueID: "4ZU6", want: local, logged: "panic: broken rule", prepare: func(l *lab) {
			l.settings.Engine = fixed(func(policy.Submission) policy.Verdict { panic("broken rule") })
		}},
		{name: "panic where nothing can be answered", queueID: "4ZU7", want: local, logged: "panic: assignment to entry in nil map", prepare: func(l *lab) {
			l.settings.Directory = nil
		}},
	} {
		for _, way := range []OnError{OnErrorTempfail, OnErrorAccept} {
			t.Run(c.name+", "+string(way), func(t *testing.T) {
				l := newLab(t)
				l.settings.Config.OnError = way
				l.settings.Config.IDHeader = keyFile(t)
				if c.prepare != nil {
					c.prepare(l)
				}
				l.start()
				p := l.connect()
				p.negotiate(cmp.Or(c.actions, postfixActions), postfixProtocol)
				p.client("192.0.2.7")
				want := c.want
				if way == OnErrorAccept {
					want = "c"
				}
				if got := p.message(c.queueID, "alice@corp.example", cmp.Or(c.to, "bob@remote.example")); !slices.Equal(got, []string{want}) {
					t.Errorf("answers %q, want %q", got, want)
				}
				if l.settings.Directory == nil {
					return // what it says is Go's
				}
				lines := l.verbs("undecided")
				if len(lines) != 1 || lines[0].ContextMap()["error"] != c.logged || lines[0].ContextMap()["on_error"] != string(way) {
					t.Errorf("log %v", lines)
				}
			})
		}
	}
}

func TestEndWithoutABeginning(t *testing.T) {
	l := newLab(t).start()
	p := l.dial()
	p.want("c", p.rcpt("bob@remote.example"))
	p.header("Subject", "x")
	p.body("x")
	if got := p.end("4ZNone"); !slices.Equal(got, []string{replyLocal.String()}) {
		t.Errorf("answers %q", got)
	}
}

func TestTooManyRecipients(t *testing.T) {
	for _, c := range []struct {
		name     string
		envelope bool
		rcpt     string
		end      []string
	}{
		{"the rest may follow where RCPT is answered", true, "452 4.5.3 Too many recipients for one message", []string{"c"}},
		{"all or nothing where it is not", false, "c", []string{"554 5.5.3 Too many recipients for one message"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t).passing()
			l.settings.Config.MaxRecipients = 2
			l.settings.Needs.Envelope = c.envelope
			l.start()
			p := l.dial().client("192.0.2.7")
			p.want("c", p.mail("alice@corp.example"))
			for _, to := range []string{"a@remote.example", "b@remote.example"} {
				p.want("c", p.rcpt(to))
			}
			p.want(c.rcpt, p.rcpt("c@remote.example"))
			p.body("")
			queueID := fmt.Sprintf("4ZMany%v", c.envelope)
			if got := p.end(queueID); !slices.Equal(got, c.end) {
				t.Errorf("answers %q, want %q", got, c.end)
			}
			if n := len(l.committed(queueID).Envelope.Recipients); n != 2 {
				t.Errorf("%d recipients", n)
			}
		})
	}
}

// TestOldMTA offers nothing of version 6: every event is answered.
func TestOldMTA(t *testing.T) {
	l := newLab(t).start()
	p := l.connect()
	p.negotiate(0x3f, 0x7f)
	if want := (terms{0x20, 0x50}); p.terms != want {
		t.Fatalf("terms %#x, want %#x", p.terms, want)
	}
	p.client("192.0.2.7")
	if got := p.message("4ZOld", "alice@corp.example", "bob@remote.example"); len(got) != 2 || got[1] != "c" {
		t.Errorf("answers %q", got)
	}
}

func TestAbort(t *testing.T) {
	l := newLab(t).start()
	p := l.dial().client("192.0.2.7")
	p.abort() // before anything
	p.want("c", p.mail("old@corp.example"))
	p.want("c", p.rcpt("old@remote.example"))
	p.header("Subject", "old")
	p.abort() // in a message
	p.abort()
	if got := p.message("4ZAb1", "alice@corp.example", "bob@remote.example"); len(got) != 2 {
		t.Errorf("answers %q", got)
	}
	p.abort() // after a finished one
	e := l.committed("4ZAb1").Envelope
	if e.Sender != "alice@corp.example" || len(e.Recipients) != 1 || e.Subject != "hello" {
		t.Errorf("envelope %+v", e)
	}
	if n := len(l.journal.all()); n != 1 {
		t.Errorf("%d changes", n)
	}
}

// TestMacrosOfAnEarlierMessageAreForgotten, although the library keeps them.
func TestMacrosOfAnEarlierMessageAreForgotten(t *testing.T) {
	l := newLab(t)
	l.start()
	p := l.dial().client("192.0.2.7")
	if got := p.message("4ZMac1", "alice@corp.example", "bob@remote.example"); len(got) != 2 {
		t.Errorf("answers %q", got)
	}
	if got := p.message("", "alice@corp.example", "bob@remote.example"); !slices.Equal(got, []string{replyLocal.String()}) {
		t.Errorf("without a queue id: %q", got)
	}
}

func TestQueueIDIsFoundWhereItFirstComes(t *testing.T) {
	l := newLab(t).start()
	p := l.dial().client("192.0.2.7")
	p.want("c", p.mail("alice@corp.example", "i", "4ZEarly"))
	p.want("c", p.rcpt("bob@remote.example"))
	if got := p.end(""); len(got) != 2 {
		t.Errorf("answers %q", got)
	}
	l.committed("4ZEarly")
}

func TestAddressWithoutDomain(t *testing.T) {
	l := newLab(t).start()
	p := l.dial().client("192.0.2.7")
	p.want("c", p.mail("root", "{mail_addr}", "root@corp.example"))
	p.want("c", p.rcpt("bob", "{rcpt_addr}", "bob@corp.example"))
	p.want("c", p.rcpt("carol"))
	p.want("c", p.rcpt("Postmaster"))
	if got := p.end("4ZBare"); len(got) != 2 {
		t.Errorf("answers %q", got)
	}
	e := l.committed("4ZBare").Envelope
	got := fmt.Sprint(e.Sender, " ", e.Recipients[0].Address, " ", e.Recipients[1].Address, " ", e.Recipients[2].Address)
	if want := "root@corp.example bob@corp.example carol@mx.corp.example Postmaster"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestClientAddressInSendmailsForm(t *testing.T) {
	for name, macros := range map[string][]string{
		"address":   {"{client_addr}", "IPv6:2001:db8::7"},
		"bracketed": {"_", "host.example [IPv6:2001:db8::7]"},
		"plain":     {"{client_addr}", "2001:db8::7"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t).passing().start()
			p := l.dial()
			p.macros('C', macros...)
			p.want("c", p.event(1<<12, 'C', cstrings("host.example"), []byte{'6', 0, 25}, cstrings("IPv6:2001:db8::7")))
			if got := p.message("4Zv6"+name, "alice@corp.example", "bob@remote.example"); !slices.Equal(got, []string{"c"}) {
				t.Errorf("answers %q", got)
			}
			if a := l.committed("4Zv6" + strings.Trim(name, "_")).Envelope.Client.String(); a != "2001:db8::7" {
				t.Errorf("client %s", a)
			}
		})
	}
}

func TestReloadConcernsTheNextMessage(t *testing.T) {
	l := newLab(t).passing().start()
	p := l.dial().client("192.0.2.7")
	if got := p.message("4ZRel1", "alice@corp.example", "bob@remote.example"); len(got) != 1 {
		t.Errorf("answers %q", got)
	}
	settings := l.settings
	settings.Engine = policy.NewRules(policy.DefaultConfig(), settings.Directory)
	l.milter.Reload(settings)
	if got := p.message("4ZRel2", "alice@corp.example", "bob@remote.example"); len(got) != 2 {
		t.Errorf("answers %q", got)
	}
}
