package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLimitsOfTheRelay applies limits to what clients give to sendgate.
func TestLimitsOfTheRelay(t *testing.T) {
	t.Parallel()
	startLimited(t, false).limits(t)
}

// TestLimitsOfTheMilter applies the same limits to what clients give to Postfix.
func TestLimitsOfTheMilter(t *testing.T) {
	t.Parallel()
	startLimited(t, true).limits(t)
}

// limits begins with what takes a minute, and looks at its end last.
func (l *limited) limits(t *testing.T) {
	expiring := l.take(t, letter("expires"), "carol@corp.test", many...)
	var full window
	if !t.Run("what exceeds a limit is held", func(t *testing.T) { full = l.holds(t) }) {
		return // the others would only wait
	}
	t.Run("a kill changes no usage", func(t *testing.T) { l.remembers(t, full.held, expiring) })
	t.Run("a boost lets waiting mail go", l.boosts)
	t.Run("approval", l.approves)
	t.Run("too many recipients", l.refusesMany)
	t.Run("pace", l.paces)
	t.Run("domains", l.checksDomains)
	t.Run("a suspended sender", l.suspends)
	t.Run("what was held goes when it fits", func(t *testing.T) { l.flows(t, full) })
	t.Run("nobody approves", func(t *testing.T) { l.expires(t, expiring) })
	t.Run("rules test", l.tests)
	t.Run("people are told", l.tells)
	t.Run("nothing is left", l.leavesNothing)
}

// window is a limit that is used up until the first message leaves it.
type window struct {
	began time.Time // before the first message was sent
	held  string    // waits for it
	until time.Time // when it was to go
}

func (l *limited) holds(t *testing.T) window {
	w := window{began: time.Now()}
	l.passes(t, letter("first"), "alice@corp.test", "someone@world.test")
	second := l.take(t, holdFor(600, letter("second")), "alice@corp.test", "someone@world.test")
	third := l.take(t, letter("third"), "alice@corp.test", "someone@world.test")
	d := l.message(t, third)
	if d.State != "held" || d.HeldUntil.Before(w.began.Add(58*time.Second)) || d.HeldUntil.After(time.Now().Add(time.Minute+time.Second)) {
		t.Errorf("the message is %s until %v", d.State, d.HeldUntil)
	}
	want := "2 of 2 messages per minute used, 1 asked; next free "
	if text := l.sendgate(t, "explain", third); !strings.Contains(text, want) || !strings.Contains(text, "window") {
		t.Errorf("explain does not say %q:\n%s", want, text)
	}
	if text := l.sendgate(t, "limits", "--near", "80"); !strings.Contains(text, "alice@corp.test") || !strings.Contains(text, "100%") {
		t.Errorf("limits does not name alice:\n%s", text)
	}
	if n := l.used(t)["alice@corp.test window"]; n != 2 {
		t.Errorf("%d of 2 are used", n)
	}

	l.recall(t, second) // what it took is free again, and the one that waits takes it
	if m := l.arrives(t, "third"); !m.at.Before(d.HeldUntil) {
		t.Error("the recalled message gave nothing back")
	}
	eventually(t, "the release is recorded", func() bool { return l.message(t, third).has("released") })
	if n := l.used(t)["alice@corp.test window"]; n != 2 {
		t.Errorf("%d of 2 are used after the recall", n)
	}
	w.held = l.take(t, letter("fourth"), "alice@corp.test", "someone@world.test")
	w.until = l.message(t, w.held).HeldUntil
	return w
}

func (l *limited) remembers(t *testing.T, held, expiring string) {
	for kind := range chatAnswers { // what waits to be posted is lost: the journal is the record
		eventually(t, kind+" is told of the approval, the warning and the held message", func() bool { return len(l.chats.bodies(kind)) >= 3 })
	}
	before, until, deadline := l.used(t), l.message(t, held).HeldUntil, l.deadline(t, expiring)
	l.kill(t)
	l.start(t)
	if after := l.used(t); !maps.Equal(before, after) || after["alice@corp.test window"] != 2 || after["alice@corp.test day"] != 2 {
		t.Errorf("used before the kill %v, after it %v", before, after)
	}
	if d := l.message(t, held); d.State != "held" || d.HeldUntil.Sub(until).Abs() > 2*time.Second {
		t.Errorf("the message is %s until %v, not %v", d.State, d.HeldUntil, until)
	}
	if got := l.deadline(t, expiring); !got.Equal(deadline) {
		t.Errorf("waits for approval until %v, not %v", got, deadline)
	}
}

// deadline is until when a message waits for approval.
func (l *limited) deadline(t *testing.T, id string) time.Time {
	t.Helper()
	var list struct {
		Approvals []struct {
			ID       string
			Expires  time.Time
			OnExpiry string `json:"on_expiry"`
		}
	}
	l.call(t, "GET", "/approvals", nil, &list)
	for _, a := range list.Approvals {
		if a.ID == id && a.OnExpiry == "return" {
			return a.Expires
		}
	}
	t.Fatalf("%s is not among %v", id, list.Approvals)
	return time.Time{}
}

func (l *limited) boosts(t *testing.T) {
	for i := range 2 {
		l.passes(t, letter(fmt.Sprint("bob", i)), "bob@corp.test", "someone@world.test")
	}
	id := l.take(t, letter("bob waits"), "bob@corp.test", "someone@world.test")
	until := l.message(t, id).HeldUntil
	l.sendgate(t, "senders", "boost", "bob@corp.test", "--rule", "window", "--amount", "5", "--for", "1h", "--reason", "end of the quarter")
	if m := l.arrives(t, "bob waits"); !m.at.Before(until) {
		t.Error("it went because the window had moved on")
	}
	l.passes(t, letter("bob goes on"), "bob@corp.test", "someone@world.test")
	if text := l.sendgate(t, "senders", "bob@corp.test"); !strings.Contains(text, "end of the quarter") || !strings.Contains(text, "+5") {
		t.Errorf("the boost is not shown:\n%s", text)
	}
}

// many are more recipients than carol may write to at once.
var many = []string{"a@world.test", "b@world.test", "c@world.test", "bob@corp.test"}

func (l *limited) approves(t *testing.T) {
	approved := l.take(t, letter("approved"), "carol@corp.test", many...)
	canceled := l.take(t, letter("not approved"), "carol@corp.test", many...)
	text := l.sendgate(t, "approvals")
	for _, want := range []string{approved, canceled, "4 recipients in one message, the limit is 3"} {
		if !strings.Contains(text, want) {
			t.Errorf("approvals does not say %q:\n%s", want, text)
		}
	}
	if d := l.message(t, approved); d.State != "approval_pending" {
		t.Errorf("the message is %s", d.State)
	}
	l.sendgate(t, "approve", approved)
	l.sendgate(t, "cancel", canceled, "--reason", "not wanted")
	if m := l.arrives(t, "approved"); len(m.rcpt) != 3 {
		t.Errorf("recipients %q", m.rcpt)
	}
	if d := l.awaitState(t, canceled, "canceled"); !d.has("canceled") || len(l.arrived("not approved")) != 0 {
		t.Errorf("the message is %+v", d)
	}
}

func (l *limited) refusesMany(t *testing.T) {
	var nine, crowd []string
	for i := range 101 {
		crowd = append(crowd, fmt.Sprintf("r%d@world.test", i))
	}
	nine = crowd[:9]
	l.refused(t, "550 5.5.3 Sending limit reached: 9 recipients in one message, the limit is 8 (ref ",
		letter("nine"), "erin@corp.test", nine...)
	transcript, status := l.send(t, letter("crowd"), "frank@corp.test", crowd...)
	if want := "452 4.5.3 Too many recipients in one message (limit 100); send the rest in another message"; status != 0 ||
		strings.Count(transcript, want) != 1 {
		t.Errorf("swaks: %d, without one %q\n%s", status, want, transcript)
	}
	eventually(t, "the hundred get it", func() bool {
		n := 0
		for _, m := range l.arrived("crowd") {
			n += len(m.rcpt)
		}
		return n == 100
	})
}

func (l *limited) paces(t *testing.T) {
	const every = 15 * time.Second // two are taken meanwhile
	l.passes(t, letter("pace0"), "dave@corp.test", "someone@world.test")
	for i := 1; i < 3; i++ {
		l.take(t, letter(fmt.Sprint("pace", i)), "dave@corp.test", "someone@world.test")
	}
	last := l.arrives(t, "pace0").at
	for i := 1; i < 3; i++ {
		at := l.arrives(t, fmt.Sprint("pace", i)).at
		if gap := at.Sub(last); gap < every/2 || gap > every+soon {
			t.Errorf("message %d came %v after the one before", i, gap)
		}
		last = at
	}
}

func (l *limited) checksDomains(t *testing.T) {
	refused := func(to, want string) {
		t.Helper()
		transcript, status := l.send(t, letter("typo"), "grace@corp.test", to)
		if status != 24 || !strings.Contains(transcript, want) { // 24: at RCPT
			t.Errorf("swaks: %d, without %q\n%s", status, want, transcript)
		}
	}
	refused("ann@gmial.com", "550 5.1.2 The domain gmial.com does not exist. Did you mean gmail.com?")
	refused("ann@nomail.com", "550 5.1.10 The domain nomail.com does not accept mail.")
	l.passes(t, letter("no typo"), "grace@corp.test", "ann@gmail.com")

	l.names.away.Store(true)
	defer l.names.away.Store(false)
	begun := time.Now()
	l.passes(t, letter("no DNS"), "grace@corp.test", "ann@elsewhere.com")
	if took := time.Since(begun); took > soon {
		t.Errorf("it took %v", took)
	}
	l.arrives(t, "no DNS")
}

func (l *limited) suspends(t *testing.T) {
	l.sendgate(t, "senders", "suspend", "grace@corp.test", "--reason", "stolen password")
	refusal := "550 5.7.13 This account is suspended from sending to other organisations"
	l.refused(t, refusal, letter("outside"), "grace@corp.test", "someone@world.test")
	had := len(l.boxes.inbox(t, "dave@corp.test"))
	// Who writes to both is refused the one and gets through to the other.
	transcript, status := l.send(t, letter("inside"), "grace@corp.test", "someone@world.test", "dave@corp.test")
	if status != 0 || strings.Count(transcript, refusal) != 1 {
		t.Errorf("swaks: %d\n%s", status, transcript)
	}
	l.boxes.await(t, "dave@corp.test", had+1)
	if text := l.sendgate(t, "senders"); !strings.Contains(text, "grace@corp.test") {
		t.Errorf("the suspended sender is not listed:\n%s", text)
	}
	l.sendgate(t, "senders", "unsuspend", "grace@corp.test", "--reason", "new password")
	l.passes(t, letter("outside again"), "grace@corp.test", "someone@world.test")
	if len(l.arrived("outside"))+len(l.arrived("inside")) != 0 {
		t.Error("something of the suspended sender came out")
	}
}

func (l *limited) flows(t *testing.T, w window) {
	m := l.arrives(t, "fourth")
	if waited := m.at.Sub(w.began); waited < 59*time.Second { // 60 parts of the window
		t.Errorf("it went after %v, before the window had room", waited)
	}
	if late := m.at.Sub(w.until); late.Abs() > soon {
		t.Errorf("it went %v after the time that was shown", late)
	}
	if len(l.arrived("fourth")) != 1 || len(l.arrived("second")) != 0 {
		t.Error("one came twice, or one that was recalled")
	}
}

func (l *limited) expires(t *testing.T, id string) {
	d := l.awaitState(t, id, "blocked")
	if len(l.arrived("expires")) != 0 {
		t.Errorf("it came out: %+v", d)
	}
	eventually(t, "the message is returned", func() bool {
		return slices.ContainsFunc(l.boxes.inbox(t, "carol@corp.test"), func(raw []byte) bool {
			text := string(raw)
			return strings.Contains(text, "report-type=delivery-status") && strings.Contains(text, "Subject: expires") &&
				strings.Count(text, "\r\nFinal-Recipient: ") == len(many)
		})
	})
}

// leavesNothing holds that Postfix keeps nothing of what was returned and taken back. It is looked for
// every 20 s.
func (l *limited) leavesNothing(t *testing.T) {
	eventually(t, "Postfix's queue is empty", func() bool { return len(l.mta.queue(t)) == 0 })
}

// tests asks what other limits would have done to the mail of this test. What was returned to its sender
// does not count.
func (l *limited) tests(t *testing.T) {
	file := write(t, `limits:
  - {name: fewer, match: {senders: [carol@corp.test]}, unit: recipients, limit: 3, per: message, action: reject}
  - {name: one, match: {senders: [dave@corp.test]}, unit: messages, limit: 1, per: hour}
  - {name: none, match: {senders: [nobody@corp.test]}, unit: messages, limit: 1, per: hour}
`, t.TempDir(), "limits.yaml")
	text := l.sendgate(t, "rules", "test", "--since", "1h", "--file", file)
	for rule, want := range map[string]string{"fewer": "2 0 2 1", "one": "2 2 0 1", "none": "0 0 0 0"} {
		if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
			return strings.Join(strings.Fields(line), " ") == rule+" "+want
		}) {
			t.Errorf("rules test does not say %q of %s:\n%s", want, rule, text)
		}
	}
}
