package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestHeldMessageIsDurableAndUntouched(t *testing.T) {
	l := newLab(t, newBackend(t, nil)).start()
	c := l.hello()
	c.mail("alice@corp.example", "bob@remote.example")
	c.send(letterText + "..dots\r\nstay\r\n")
	answer := c.say(".", "250 2.0.0 Held as ")
	m, body := stored(t, idIn(t, answer))
	trace, rest := cutTrace(body)
	if rest != letterText+".dots\r\nstay\r\n" {
		t.Errorf("stored %q", rest)
	}
	want := "Received: from client.test ([127.0.0.1])\r\n\tby gate.test (sendgate) with ESMTP id " + m.ID.String() + "\r\n\tfor <bob@remote.example>; "
	if !strings.HasPrefix(trace, want) {
		t.Errorf("trace %q\nwant  %q", trace, want)
	}
	if m.State() != policy.StateHeld || m.Envelope.Size != int64(len(body)) || m.Envelope.Subject != "test" {
		t.Errorf("state %s, size %d of %d, subject %q", m.State(), m.Envelope.Size, len(body), m.Envelope.Subject)
	}
	shown := m.Due.Add(-policy.DefaultConfig().Hold.Margin).Local().Format("15:04:05")
	if !strings.Contains(answer, ", recall until ") || !strings.HasSuffix(answer, shown) { // the day is named around midnight
		t.Errorf("answer %q, due %s", answer, m.Due)
	}
	if len(l.backend.received()) != 0 {
		t.Error("the upstream has it already")
	}
}

// cutTrace parts our Received line from what the client sent.
func cutTrace(body string) (trace, rest string) {
	end := strings.Index(body, "\r\n")
	for end+2 < len(body) && body[end+2] == '\t' {
		end += 2 + strings.Index(body[end+2:], "\r\n")
	}
	return body[:end+2], body[end+2:]
}

func TestReceivedLineCanBeSwitchedOff(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	l.settings.Config.ReceivedHeader = false
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example")
	if _, body := stored(t, idIn(t, c.sendLetter("250"))); body != letterText {
		t.Errorf("stored %q", body)
	}
}

func TestHoldZeroAnswersWithTheUpstreamsReply(t *testing.T) {
	tests := map[string]struct {
		done   func(*smtp.Conn) error
		means  string
		answer string
		state  policy.State
	}{
		"accepted by a hop":     {nil, upstream.ForHop, "250 2.0.0 Ok: queued as 4XYZ12", policy.StateHandedOver},
		"accepted by a mailbox": {nil, upstream.ForMailbox, "250 2.0.0 Ok: queued as 4XYZ12", policy.StateDeliveredMailbox},
		"accepted by a remote":  {nil, upstream.ForRemote, "250 2.0.0 Ok: queued as 4XYZ12", policy.StateRelayedRemote},
		"refused": {func(*smtp.Conn) error {
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Content rejected"}
		}, upstream.ForHop, "554 5.7.1 Content rejected", policy.StateBlocked},
		"put off": {func(*smtp.Conn) error {
			return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "Full\nvery full"}
		}, upstream.ForHop, "452-Full\n452 4.3.1 very full", policy.StateBlocked},
		"lost after the dot": {func(c *smtp.Conn) error { return c.Conn().Close() },
			upstream.ForHop, "451 4.4.2 The next mail server did not confirm the message, try again later", policy.StateUnknown},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, func(b *backend) { b.done = tt.done })
			l := newLab(t, b)
			l.settings.Engine = passAll
			l.settings.Router = routes{first: newUpstream(t, b.address(), func(c *upstream.Config) { c.AcceptsFor = tt.means })}
			c := l.start().hello()
			c.mail("alice@corp.example", "bob@remote.example", "eve@remote.example")
			if got := c.sendLetter(""); got != tt.answer {
				t.Errorf("answer %q, want %q", got, tt.answer)
			}
			got := b.received()
			if len(got) != 1 || len(got[0].to) != 2 {
				t.Fatalf("upstream got %+v", got)
			}
			trace, rest := cutTrace(got[0].body)
			if rest != letterText || strings.Contains(trace, "for <") {
				t.Errorf("upstream got %q", got[0].body)
			}
			m, err := journal.Message(idIn(t, strings.Join(strings.Fields(trace), " ")))
			if err != nil || m.State() != tt.state || m.Recipients != 2 || m.BodySize != 0 {
				t.Errorf("journal has %+v, %v", m, err)
			}
			if n := len(kinds(t, m.ID)); n != 2 {
				t.Errorf("%d events", n)
			}
			c.say("NOOP", "250")
		})
	}
}

func TestHoldZeroUsesOneUpstreamConnectionAndReusesIt(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	l.settings.Engine = passAll
	c := l.start().hello()
	for range 3 {
		c.mail("alice@corp.example", "bob@remote.example")
		c.sendLetter("250 2.0.0 Ok")
	}
	// One to ask for the upstream's offer, one for the session.
	if l.backend.conns > 2 || len(l.backend.received()) != 3 {
		t.Errorf("%d connections, %d messages", l.backend.conns, len(l.backend.received()))
	}
}

func TestGoodAnswersAreCachedAndWrongOnesRepaired(t *testing.T) {
	gone := false
	b := newBackend(t, func(b *backend) {
		b.rcpt = func(to string) error {
			if gone && to == "bob@remote.example" {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "Gone"}
			}
			return nil
		}
	})
	l := newLab(t, b)
	l.settings.Config.RecipientCache = time.Minute
	l.settings.Engine = passAll
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example", "eve@remote.example")
	c.sendLetter("250 2.0.0 Ok: queued as 4XYZ12")
	b.mu.Lock()
	gone = true
	b.mu.Unlock()
	asked := len(b.questions())
	c.mail("alice@corp.example", "bob@remote.example", "eve@remote.example")
	if n := len(b.questions()); n != asked {
		t.Errorf("the upstream was asked %d times more", n-asked)
	}
	id := idIn(t, c.sendLetter("250 2.0.0 Queued as "))
	if got := kinds(t, id); !slices.Equal(got, []policy.Kind{policy.Accepted, policy.Released}) {
		t.Errorf("events %v", got)
	}
	c.say("MAIL FROM:<alice@corp.example>", "250")
	c.say("RCPT TO:<bob@remote.example>", "550 5.1.1 Gone")
	c.say("RCPT TO:<eve@remote.example>", "250")
}

func TestSeveralUpstreamsGoThroughTheJournal(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	other := newBackend(t, nil)
	l.settings.Engine = passAll
	l.settings.Router = routes{l.settings.Router.(routes).first, map[string]*upstream.Upstream{
		"other.example": newUpstream(t, other.address(), func(c *upstream.Config) { c.Name = "other" }),
	}}
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example", "eve@other.example")
	id := idIn(t, c.sendLetter("250 2.0.0 Queued as "))
	if m, _ := stored(t, id); m.State() != policy.StateQueued || m.Due.IsZero() {
		t.Errorf("journal has %+v", m)
	}
	if q := other.questions(); len(q) != 1 || q[0] != "eve@other.example" {
		t.Errorf("the other upstream was asked for %q", q)
	}
	c.mail("alice@corp.example", "eve@other.example")
	c.sendLetter("250 2.0.0 Ok: queued as")
	if len(other.received()) != 1 {
		t.Error("mail for one upstream was not handed through to it")
	}
}

func TestLMTPUpstreamGoesThroughTheJournal(t *testing.T) {
	b := newBackend(t, func(b *backend) { b.server.LMTP = true })
	l := newLab(t, b)
	l.settings.Engine = passAll
	l.settings.Router = routes{first: newUpstream(t, b.address(), func(c *upstream.Config) { c.Protocol = upstream.LMTP })}
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@corp.example")
	c.sendLetter("250 2.0.0 Queued as ")
}

func TestParametersPassThrough(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	l.settings.Engine = passAll
	c := l.start().hello()
	c.say("MAIL FROM:<grün@corp.example> SMTPUTF8 BODY=8BITMIME SIZE=200 RET=HDRS ENVID=QQ+2B1", "250")
	c.say("RCPT TO:<bob@remote.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@old.example", "250")
	c.say("RCPT TO:<日本@remote.example> NOTIFY=NEVER", "250")
	c.say("DATA", "354")
	c.send("Subject: 早\r\n\r\nä\r\n")
	c.say(".", "250 2.0.0 Ok")
	got := l.backend.received()[0]
	m := got.mail
	if got.from != "grün@corp.example" || !m.UTF8 || m.Body != smtp.Body8BitMIME || m.Size != 200 || m.Return != "HDRS" || m.EnvelopeID != "QQ+1" {
		t.Errorf("MAIL arrived as %+v", got)
	}
	if r := got.rcpts[0]; !slices.Equal(r.Notify, []smtp.DSNNotify{"SUCCESS", "DELAY"}) || r.OriginalRecipient != "bob+x@old.example" {
		t.Errorf("RCPT arrived as %+v", r)
	}
	if got.to[1] != "日本@remote.example" || !slices.Equal(got.rcpts[1].Notify, []smtp.DSNNotify{"NEVER"}) {
		t.Errorf("RCPT arrived as %q %+v", got.to[1], got.rcpts[1])
	}
	trace, _ := cutTrace(got.body)
	id := idIn(t, strings.Join(strings.Fields(trace), " "))
	stored, err := journal.Message(id)
	e := stored.Envelope
	if err != nil || e.Ret != "HDRS" || e.EnvID != "QQ+1" || !e.UTF8 || e.Body != "8BITMIME" || e.Subject != "早" || e.Protocol != "UTF8SMTP" {
		t.Errorf("journal has %+v, %v", e, err)
	}
	rows, err := journal.Recipients(id)
	if err != nil || rows[0].Original != "bob+x@old.example" || rows[0].OriginalType != "rfc822" {
		t.Errorf("journal has %+v, %v", rows, err)
	}
}

// A quoted local part reaches the upstream as one address, whatever stands in it.
func TestQuotedLocalPartsSmuggleNothing(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	l.settings.Engine = passAll
	c := l.start().hello()
	c.say(`MAIL FROM:<"a\" SIZE=1"@corp.example>`, "250")
	c.say(`RCPT TO:<"x> NOTIFY=NEVER"@remote.example>`, "250")
	c.say(`RCPT TO:<"a@b"@remote.example>`, "250")
	c.say("DATA", "354")
	c.sendLetter("250 2.0.0 Ok")
	got := l.backend.received()[0]
	// go-smtp strips the quotes there, too.
	if got.from != `a" SIZE=1@corp.example` || got.mail.Size != 0 {
		t.Errorf("MAIL arrived as %+v", got)
	}
	if !slices.Equal(got.to, []string{"x> NOTIFY=NEVER@remote.example", "a@b@remote.example"}) || got.rcpts[0].Notify != nil {
		t.Errorf("RCPT arrived as %q %+v", got.to, got.rcpts)
	}
	trace, _ := cutTrace(got.body)
	rows, err := journal.Recipients(idIn(t, strings.Join(strings.Fields(trace), " ")))
	if err != nil || rows[0].Address != `"x> NOTIFY=NEVER"@remote.example` {
		t.Errorf("journal has %+v, %v", rows, err)
	}
}

// What is nearly the end of a message is refused, held or not, and the commands behind it stay content.
func TestNoBareCROrLFPasses(t *testing.T) {
	for name, nearly := range map[string]string{
		"LF.LF": "\n.\n", "LF.CRLF": "\n.\r\n", "CRLF.LF": "\r\n.\n", "CR.CR": "\r.\r", "CR.CRLF": "\r.\r\n",
		"CRLF.CR": "\r\n.\r", "CRLF.CRCRLF": "\r\n.\r\r\n", "CRLF.CR CRLF.": "\r\n.\rx\r\n.",
	} {
		for how, engine := range map[string]policy.Engine{"held": nil, "passed": passAll} {
			t.Run(name+" "+how, func(t *testing.T) {
				l := newLab(t, newBackend(t, nil))
				if engine != nil {
					l.settings.Engine = engine
				}
				c := l.start().hello()
				c.mail("alice@corp.example", "bob@remote.example")
				c.send("Subject: nearly\r\n\r\na" + nearly + "MAIL FROM:<evil@corp.example>\r\n")
				c.say(".", "550 5.6.11 The message contains a bare CR or LF")
				c.mail("alice@corp.example", "bob@remote.example")
				c.sendLetter("250 2.0.0 ")
				if got := l.backend.received(); how == "passed" && len(got) != 1 || how == "held" && len(got) != 0 {
					t.Errorf("%d messages arrived", len(got))
				}
			})
		}
	}
}

func TestPostmasterNeedsNoDomain(t *testing.T) {
	l := newLab(t, newBackend(t, nil)).start()
	c := l.hello()
	c.say("MAIL FROM:<alice@corp.example>", "250")
	// The upstream made of go-smtp refuses it; what matters is that it is asked.
	c.say("RCPT TO: <PostMaster> NOTIFY=NEVER", "501 5.5.2")
	l.settings.Router = routes{first: newUpstream(t, "127.0.0.1:1", nil)}
	l.relay.Reload(l.settings)
	c = l.hello()
	c.say("MAIL FROM:<alice@corp.example>", "250")
	c.say("RCPT TO:<PostMaster>", "250")
	c.say("RCPT TO:<postmaster@remote.example>", "250")
	c.say("DATA", "354")
	id := idIn(t, c.sendLetter("250 2.0.0 Held"))
	rows, err := journal.Recipients(id)
	if err != nil || rows[0].Address != "postmaster" || rows[1].Address != "postmaster@remote.example" {
		t.Errorf("journal has %+v, %v", rows, err)
	}
}

func TestStoreFailures(t *testing.T) {
	tests := map[string]struct {
		err  error
		want string
	}{
		"full":   {fmt.Errorf("commit: %w", store.ErrFull), "452 4.3.1 Insufficient system storage, try again later"},
		"broken": {errors.New("pq: password of root is x"), "451 4.3.0 Local error in processing, try again later"},
		"large":  {store.ErrTooLarge, "452 4.5.3 Too many recipients for one message"},
	}
	for name, tt := range tests {
		for _, engine := range []policy.Engine{nil, passAll} {
			t.Run(fmt.Sprintf("%s, held %v", name, engine == nil), func(t *testing.T) {
				l := newLab(t, newBackend(t, nil))
				l.journal = failing{journal, tt.err}
				if engine != nil {
					l.settings.Engine = engine
				}
				c := l.start().hello()
				c.mail("alice@corp.example", "bob@remote.example")
				if got := c.sendLetter("4"); got != tt.want {
					t.Errorf("answer %q, want %q", got, tt.want)
				}
				c.say("NOOP", "250")
				if len(l.backend.received()) != 0 {
					t.Error("the upstream got a message that the journal does not know")
				}
			})
		}
	}
}

// failing is a journal that cannot commit.
type failing struct {
	*store.Store
	err error
}

func TestSizeLimitIsExact(t *testing.T) {
	for _, octets := range []int{1000, 1001} {
		t.Run(strconv.Itoa(octets), func(t *testing.T) {
			l := newLab(t, newBackend(t, nil))
			l.settings.Config.MaxMessageBytes = 1000
			c := l.start().hello()
			text := "Subject: x\r\n\r\n" + strings.Repeat("a", octets-16) + "\r\n"
			want := "250 2.0.0 Held"
			if octets > 1000 {
				want = "552 5.3.4 The message is larger than is accepted here"
			}
			c.mail("alice@corp.example", "bob@remote.example")
			c.send(text)
			c.say(".", want)
			c.say("MAIL FROM:<alice@corp.example>", "250")
			c.say("RCPT TO:<bob@remote.example>", "250")
			c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", octets, text))
			c.expect(want)
			c.say("NOOP", "250")
		})
	}
}

func TestHeaderIsBounded(t *testing.T) {
	c := newLab(t, newBackend(t, nil)).start().hello()
	c.mail("alice@corp.example", "bob@remote.example")
	for range 300 {
		c.send("X: " + strings.Repeat("a", 1000) + "\r\n")
	}
	c.say(".", "552 5.3.4 The header of the message is too large")
	c.say("NOOP", "250")
}

func TestTenThousandRecipients(t *testing.T) {
	l := newLab(t, newBackend(t, nil)).start()
	c := l.hello()
	c.say("MAIL FROM:<alice@corp.example>", "250")
	const group = 100
	for first := 0; first < 10000; first += group {
		var b strings.Builder
		for i := range group {
			fmt.Fprintf(&b, "RCPT TO:<r%d@remote.example>\r\n", first+i)
		}
		c.send(b.String())
		for range group {
			c.expect("250")
		}
	}
	c.say("RCPT TO:<one-more@remote.example>", "452 4.5.3 Maximum limit of 10000 recipients reached")
	c.say("DATA", "354")
	m, _ := stored(t, idIn(t, c.sendLetter("250 2.0.0 Held")))
	if m.Recipients != 10000 {
		t.Errorf("%d recipients", m.Recipients)
	}
}

func TestDrainLetsTransactionsFinish(t *testing.T) {
	l := newLab(t, newBackend(t, nil)).start()
	idle, busy := l.hello(), l.hello()
	fresh := l.dial()
	fresh.expect("220")
	busy.mail("alice@corp.example", "bob@remote.example")
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.relay.shell.Drain(t.Context())
	}()
	for _, c := range []*client{idle, fresh} {
		if got := c.closed(); got != strings.TrimSuffix(answerLeaving, "") {
			t.Errorf("last word %q", got)
		}
	}
	select {
	case <-done:
		t.Fatal("a transaction was not waited for")
	default:
	}
	busy.sendLetter("250 2.0.0 Held")
	if got := busy.closed(); got != answerLeaving {
		t.Errorf("last word %q", got)
	}
	<-done
	if c, err := net.Dial("tcp", l.relay.Addrs()[0].String()); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

// Commit fails.
func (f failing) Commit(context.Context, store.Change) (uint64, error) { return 0, f.err }

// However long a message takes to arrive, it is held as long as was decided.
func TestHoldCountsFromTheEndOfTheMessage(t *testing.T) {
	var mu sync.Mutex
	now := time.Now().Truncate(time.Second)
	l := newLab(t, newBackend(t, nil))
	l.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	l.settings.Engine = fixed(func(s policy.Submission) policy.Verdict {
		if s.Header == nil {
			return policy.Verdict{}
		}
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(10 * time.Minute)
		return policy.Verdict{Action: policy.Hold, Until: s.Time.Add(63 * time.Second), Shown: s.Time.Add(time.Minute), Findings: []policy.Finding{
			{Kind: "limit", Rule: "hour", Decided: true, Next: s.Time.Add(time.Second)},
			{Kind: "hold", Decided: true, Next: s.Time.Add(20 * time.Second)},
		}}
	})
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example")
	answer := c.sendLetter("250 2.0.0 Held")
	records, err := journal.Timeline(idIn(t, answer))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range records[0].Events {
		f := e.Findings
		if len(f) != 2 || !f[0].Next.Equal(now.Add(time.Second-10*time.Minute)) || !f[1].Next.Equal(now.Add(20*time.Second)) {
			t.Errorf("%s: %+v, now %v", e.Kind, f, now)
		}
	}
	if m, _ := stored(t, idIn(t, answer)); !m.Due.Equal(now.Add(63 * time.Second)) {
		t.Errorf("due %v after %v", m.Due, now)
	}
	if want := recallTime(now.Add(time.Minute), now); !strings.HasSuffix(answer, " "+want) {
		t.Errorf("%q, want %s", answer, want)
	}
}

func TestRefusedSenderIsAskedForOnce(t *testing.T) {
	asked := 0
	l := newLab(t, newBackend(t, func(b *backend) {
		b.mailed = func(string) error {
			asked++
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "No"}
		}
	})).start()
	c := l.hello()
	c.say("MAIL FROM:<alice@corp.example>", "250")
	c.say("RCPT TO:<bob@remote.example>", "554 5.7.1 No")
	c.say("RCPT TO:<eve@remote.example>", "554 5.7.1 No")
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
