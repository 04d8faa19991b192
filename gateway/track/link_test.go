package track

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

const delays = "delay=0.2, delays=0.1/0/0/0.1, "

// sent, deferred and bounced are status lines.
func sent(clock, queueID, to string) string {
	return fmt.Sprintf("%s postfix/smtp: %s: to=<%s>, relay=mx.far.example[198.51.100.1]:25, %sdsn=2.0.0, status=sent (250 2.0.0 ok)\n", clock, queueID, to, delays)
}

func deferred(clock, queueID, to string) string {
	return fmt.Sprintf("%s postfix/smtp: %s: to=<%s>, relay=none, %sdsn=4.4.1, status=deferred (connect to far.example[198.51.100.1]:25: Connection timed out)\n", clock, queueID, to, delays)
}

func bounced(clock, queueID, to string) string {
	return fmt.Sprintf("%s postfix/smtp: %s: to=<%s>, relay=mx.far.example[198.51.100.1]:25, %sdsn=5.1.1, status=bounced (host mx.far.example[198.51.100.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))\n", clock, queueID, to, delays)
}

func hop(clock, queueID, to, next string) string {
	return fmt.Sprintf("%s postfix/smtp: %s: to=<%s>, relay=127.0.0.1[127.0.0.1]:10024, %sdsn=2.0.0, status=sent (250 2.0.0 Ok: queued as %s)\n", clock, queueID, to, delays, next)
}

func removed(clock, queueID string) string {
	return fmt.Sprintf("%s postfix/qmgr: %s: removed\n", clock, queueID)
}

// overRelay is a message that our relay has handed over.
func overRelay(to []string, events ...policy.Event) letter {
	for i := range events {
		events[i].Time, events[i].Actor, events[i].Upstream = at("10:00:01"), "hold", "default 127.0.0.1:25"
		if events[i].Kind == "" {
			events[i].Kind = policy.HandedOver
		}
	}
	return letter{front: policy.Relay, to: to, events: events}
}

func TestHandedOverWithQueueID(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example", "y@far.example"},
		policy.Event{QueueID: "AAAA1111", Recipients: []int{0}}, policy.Event{QueueID: "BBBB1111", Recipients: []int{1}}))
	s.read(sent("10:00:02", "AAAA1111", "x@far.example") + bounced("10:00:02", "BBBB1111", "y@far.example"))
	s.want(id, "x@far.example=relayed_remote y@far.example=bounced")
	if r := s.row(id, 1); r.Reply != "550 5.1.1 no such user" || !strings.Contains(r.Evidence, "mx1 postfix/smtp[77]: BBBB1111: to=<y@far.example>") || r.Upstream != "mx1/postfix" {
		t.Errorf("reply %q, evidence %q, upstream %q", r.Reply, r.Evidence, r.Upstream)
	}
}

func TestLineBeforeTheCommitOfItsLink(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example"}))
	s.read("10:00:01 postfix/smtpd: AAAA1111: client=gw[192.0.2.9]\n" + sent("10:00:02", "AAAA1111", "x@far.example") + removed("10:00:02", "AAAA1111"))
	s.want(id, "x@far.example=accepted")
	s.tick()
	if got := s.kept(); got != "" {
		t.Errorf("the cursor %q has passed lines whose message may still become known", got)
	}
	s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver, Time: at("10:00:01"), QueueID: "AAAA1111", Recipients: []int{0}}}})
	s.clock = s.clock.Add(time.Second)
	s.tick()
	s.want(id, "x@far.example=relayed_remote")
	if got := s.kept(); got != "1" {
		t.Errorf("kept cursor %q, want 1", got)
	}
}

func (s *site) kept() string {
	s.t.Helper()
	v, err := s.journal.Kept("track cursor mail")
	if err != nil {
		s.t.Fatal(err)
	}
	return string(v)
}

// A process that is killed while a line waits for its message reads the line again.
func TestKilledWhileLinesWait(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example"}))
	s.read("10:00:00 postfix/smtpd: CCCC1111: client=gw[192.0.2.9]\n" + removed("10:00:00", "CCCC1111"))
	s.pass(5 * time.Minute)
	if got := s.kept(); got != "1" {
		t.Fatalf("kept cursor %q, want that before the line", got)
	}
	log := sent("10:05:31", "AAAA1111", "x@far.example")
	s.read(log)
	s.tick()
	if got := s.kept(); got != "1" {
		t.Fatalf("kept cursor %q, want that before the line", got)
	}
	s.restart()
	s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver, Time: at("10:05:30"), QueueID: "AAAA1111", Recipients: []int{0}}}})
	s.read(log)
	s.want(id, "x@far.example=relayed_remote")
}

func TestForeignMailLetsTheCursorPass(t *testing.T) {
	s := newSite(t)
	s.read("10:00:29 postfix/smtpd: AAAA1111: client=gw[192.0.2.9]\n" + sent("10:00:29", "AAAA1111", "x@far.example"))
	s.tick()
	if got := s.kept(); got != "" {
		t.Errorf("kept cursor %q too early", got)
	}
	s.pass(patience + time.Second)
	if got := s.kept(); got != "1" {
		t.Errorf("kept cursor %q, want 1", got)
	}
	if n := len(s.tracker.graph.waiting); n != 0 {
		t.Errorf("%d queue files still wait", n)
	}
}

// Old lines need no patience: what they are about was committed long ago.
func TestBacklogIsNotWaitedFor(t *testing.T) {
	s := newSite(t)
	s.clock = at("15:00:00")
	s.read(sent("10:00:29", "AAAA1111", "x@far.example"))
	s.read(sent("10:10:29", "BBBB1111", "x@far.example"))
	s.tick()
	if got := s.kept(); got != "1" {
		t.Errorf("kept cursor %q, want 1", got)
	}
}

// The client was slower than our patience: the queue file is older than the message.
func TestSlowClient(t *testing.T) {
	s := newSite(t)
	s.clock = at("10:20:00")
	s.read("09:00:00 postfix/smtpd: A0B1C2D3E4: client=pc[192.0.2.7]")
	s.pass(patience + time.Second)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}, at: "10:24:00"})
	s.read("10:24:00 postfix/qmgr: A0B1C2D3E4: from=<sender@corp.example>, size=500, nrcpt=1 (queue active)\n" + sent("10:24:01", "A0B1C2D3E4", "x@far.example"))
	s.want(id, "x@far.example=relayed_remote")
}

func TestXForwardIdent(t *testing.T) {
	s := newSite(t)
	// A crash has left open whether the upstream took it: no queue id is known.
	id := s.accept(overRelay([]string{"x@far.example", "y@far.example"},
		policy.Event{Kind: policy.Deferred, Recipients: []int{0, 1}, Until: at("10:30:00")}))
	s.read(fmt.Sprintf("10:00:01 postfix/smtpd: AAAA1111: client=gw[192.0.2.9], orig_queue_id=%s, orig_client=pc[192.0.2.7]\n", id) +
		deferred("10:00:02", "AAAA1111", "x@far.example"))
	s.want(id, "x@far.example=deferred y@far.example=deferred")
	if r := s.row(id, 1); !r.Due.Equal(at("10:30:00")) {
		t.Errorf("what is still ours to send is due %v, want 10:30", r.Due)
	}
	if r := s.row(id, 0); !r.Due.IsZero() || !r.NextTry.Equal(at("10:05:02")) || r.QueueID != "AAAA1111" {
		t.Errorf("due %v, next try %v, queue id %s; want none, 10:05:02, AAAA1111", r.Due, r.NextTry, r.QueueID)
	}
	s.restart() // the event with the queue id has made the link durable
	s.read(sent("10:05:03", "AAAA1111", "x@far.example") + sent("10:05:03", "AAAA1111", "y@far.example"))
	s.want(id, "x@far.example=relayed_remote y@far.example=relayed_remote")
}

func TestMessageIDAsLastResort(t *testing.T) {
	log := `
		10:00:01 postfix/smtpd: AAAA1111: client=exchange[192.0.2.9]
		10:00:01 postfix/cleanup: AAAA1111: message-id=<m1@corp.example>
		10:00:01 postfix/qmgr: AAAA1111: from=<Sender@corp.example>, size=500, nrcpt=1 (queue active)
		` + sent("10:00:02", "AAAA1111", "x@far.example")
	for _, c := range []struct {
		name    string
		letters []letter
		want    string
	}{
		{"one message", []letter{overRelay([]string{"x@far.example"}, policy.Event{})}, "x@far.example=relayed_remote"},
		{"two with the same id", []letter{overRelay([]string{"x@far.example"}, policy.Event{}), overRelay([]string{"x@far.example"}, policy.Event{})}, "x@far.example=handed_over"},
		{"its queue id is known", []letter{overRelay([]string{"x@far.example"}, policy.Event{QueueID: "EEEE1111"})}, "x@far.example=handed_over"},
		{"another sender", []letter{func() letter {
			l := overRelay([]string{"x@far.example"}, policy.Event{})
			l.sender = "other@corp.example"
			return l
		}()}, "x@far.example=handed_over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			for _, l := range c.letters {
				s.accept(l)
			}
			s.read(log)
			s.want(s.ids[0], c.want)
		})
	}
}

func TestTwoHostsWithTheSameQueueID(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read("10:00:01 @mx9 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=none, " + delays + "dsn=5.0.0, status=bounced (no)")
	s.want(id, "x@far.example=queued")
	s.read(sent("10:00:02", "A0B1C2D3E4", "x@far.example"))
	s.want(id, "x@far.example=relayed_remote")
}

func TestReusedShortQueueID(t *testing.T) {
	s := newSite(t)
	first := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read("10:00:00 postfix/smtpd: A0B1C2D3E4: client=pc[192.0.2.7]\n" + deferred("10:00:01", "A0B1C2D3E4", "x@far.example") + removed("10:00:02", "A0B1C2D3E4"))
	foreign := "10:05:00 postfix/smtpd: A0B1C2D3E4: client=other[192.0.2.8]\n" + bounced("10:05:01", "A0B1C2D3E4", "x@far.example") + removed("10:05:02", "A0B1C2D3E4")
	s.clock = at("10:05:30")
	s.read(foreign)
	s.want(first, "x@far.example=deferred")

	second := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}, at: "10:10:00"})
	third := "10:10:00 postfix/smtpd: A0B1C2D3E4: client=pc[192.0.2.7]\n" + sent("10:10:01", "A0B1C2D3E4", "x@far.example")
	s.clock = at("10:10:30")
	s.read(third)
	s.want(first, "x@far.example=deferred")
	s.want(second, "x@far.example=relayed_remote")

	s.restart()
	s.read(foreign + third)
	s.want(first, "x@far.example=deferred")
	s.want(second, "x@far.example=relayed_remote")
}

// The agent had begun before the queue file was removed by our recall.
func TestSentAfterCanceled(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.commit(store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Canceled, Time: at("10:00:05")}}})
	s.read("10:00:05 postfix/postsuper: A0B1C2D3E4: removed")
	s.clock = at("10:20:00")
	s.sweep()
	s.want(id, "x@far.example=canceled")
	s.restart()
	s.read(sent("10:04:06", "A0B1C2D3E4", "x@far.example"))
	s.want(id, "x@far.example=relayed_remote")
}

func TestTheLogOfTheNextRelayComesLater(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read("10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx2.corp.example[192.0.2.2]:25, " + delays + "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)\n")
	s.want(id, "x@far.example=relayed_remote")
	s.read("10:00:01 @mx2 postfix/smtpd: B1B1B1B1B1: client=mx1[192.0.2.1]\n" +
		"10:00:01 @mx2 postfix/cleanup: B1B1B1B1B1: message-id=<m1@corp.example>\n" +
		"10:00:02 @mx2 postfix/smtp: B1B1B1B1B1: to=<x@far.example>, relay=none, " + delays + "dsn=5.7.1, status=bounced (spam)")
	s.want(id, "x@far.example=async_bounced")
}

// An edge survives a restart: the journal knows the next queue id.
func TestEdgeAfterRestart(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"team@corp.example", "x@far.example"}})
	s.read("10:00:01 postfix/smtp: A0B1C2D3E4: to=<a@corp.example>, orig_to=<team@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, " + delays + "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)\n" +
		hop("10:00:01", "A0B1C2D3E4", "x@far.example", "B1B1B1B1B1") +
		"10:00:02 postfix/local: A0B1C2D3E4: to=<team@corp.example>, relay=local, " + delays + "dsn=2.0.0, status=sent (forwarded as C1C1C1C1C1)\n" + removed("10:00:02", "A0B1C2D3E4"))
	s.restart()
	s.read(sent("10:00:03", "B1B1B1B1B1", "a@corp.example") + bounced("10:00:03", "B1B1B1B1B1", "x@far.example") + sent("10:00:04", "C1C1C1C1C1", "n@far.example"))
	s.tick()
	s.want(id, "team@corp.example=expanded x@far.example=bounced +a@corp.example=relayed_remote +n@far.example=relayed_remote")
}

func TestResentRow(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example"}, policy.Event{QueueID: "AAAA1111", Recipients: []int{0}}))
	s.read(bounced("10:00:02", "AAAA1111", "x@far.example") + removed("10:00:03", "AAAA1111"))
	s.commit(store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Resent, Time: at("10:00:10"), Recipients: []int{0}}}})
	s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver, Time: at("10:00:11"), Recipients: []int{1}, QueueID: "BBBB1111"}}})
	s.read(bounced("10:00:02", "AAAA1111", "x@far.example") + sent("10:00:12", "BBBB1111", "x@far.example"))
	s.want(id, "x@far.example=bounced(old) x@far.example=relayed_remote")
}

func TestAmbiguousSending(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read("10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, " + delays +
		"dsn=4.4.2, status=deferred (lost connection with mx.far.example[198.51.100.1] while sending end of data -- message may be sent more than once)")
	s.want(id, "x@far.example=deferred")
	if !s.row(id, 0).MayBeDuplicate {
		t.Error("not marked as a possible duplicate")
	}
}

// Lines may come in any order, each in its own batch, and twice.
func TestAnyOrder(t *testing.T) {
	log := strings.Split(strings.TrimSpace(`
		10:00:00 postfix/smtpd: A0B1C2D3E4: client=pc[192.0.2.7]
		10:00:00 postfix/cleanup: A0B1C2D3E4: message-id=<m1@corp.example>
		10:00:00 postfix/qmgr: A0B1C2D3E4: from=<sender@corp.example>, size=500, nrcpt=4 (queue active)
		10:00:01 postfix/filter/smtpd: B1B1B1B1B1: client=localhost[127.0.0.1]
		10:00:01 postfix/cleanup: B1B1B1B1B1: message-id=<m1@corp.example>
		10:00:01 postfix/qmgr: B1B1B1B1B1: from=<sender@corp.example>, size=600, nrcpt=4 (queue active)
		10:00:01 postfix/smtp: A0B1C2D3E4: to=<a@corp.example>, orig_to=<team@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, `+delays+`dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
		10:00:01 postfix/smtp: A0B1C2D3E4: to=<b@corp.example>, orig_to=<team@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, `+delays+`dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
		10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=127.0.0.1[127.0.0.1]:10024, `+delays+`dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
		10:00:01 postfix/smtp: A0B1C2D3E4: to=<y@far.example>, relay=127.0.0.1[127.0.0.1]:10024, `+delays+`dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
		10:00:01 postfix/qmgr: A0B1C2D3E4: removed
		10:00:02 postfix/lmtp: B1B1B1B1B1: to=<a@corp.example>, relay=mx1[private/lmtp], `+delays+`dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)
		10:00:02 postfix/cleanup: C1C1C1C1C1: message-id=<m1@corp.example>
		10:00:02 postfix/local: B1B1B1B1B1: to=<b@corp.example>, relay=local, `+delays+`dsn=2.0.0, status=sent (forwarded as C1C1C1C1C1)
		10:00:03 postfix/smtp: B1B1B1B1B1: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, `+delays+`dsn=5.1.1, status=bounced (no)
		10:00:03 postfix/smtp: B1B1B1B1B1: to=<y@far.example>, relay=mx.far.example[198.51.100.1]:25, `+delays+`dsn=2.0.0, status=sent (250 ok)
		10:00:03 postfix/qmgr: B1B1B1B1B1: removed
		10:00:04 postfix/virtual: C1C1C1C1C1: to=<n@corp.example>, orig_to=<b@corp.example>, relay=virtual, `+delays+`dsn=2.0.0, status=sent (delivered to maildir)
		10:00:04 postfix/qmgr: C1C1C1C1C1: removed`), "\n")
	want := map[string]policy.State{
		"a@corp.example": policy.StateDeliveredMailbox, "n@corp.example": policy.StateDeliveredMailbox,
		"x@far.example": policy.StateBounced, "y@far.example": policy.StateRelayedRemote,
	}
	s := newSite(t)
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		s.restart()
		host := fmt.Sprintf("h%d", seed)
		id := s.accept(letter{to: []string{"team@corp.example", "x@far.example", "y@far.example"}, front: policy.Relay,
			messageID: "<m1@corp.example>", events: []policy.Event{{Kind: policy.Queued, Time: at("10:00:00"), Actor: actor, Recipients: []int{0, 1, 2}, QueueID: "A0B1C2D3E4", Upstream: host + "/postfix"}}})
		lines := append(append([]string{}, log...), log[random.IntN(len(log))], log[random.IntN(len(log))])
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		for _, l := range lines {
			clock, rest, _ := strings.Cut(strings.TrimSpace(l), " ")
			s.read(clock + " @" + host + " " + rest)
			if random.IntN(4) == 0 {
				s.clock = s.clock.Add(time.Second)
				s.tick()
			}
		}
		s.clock = s.clock.Add(time.Minute)
		s.tick()
		rows, err := s.journal.Recipients(id)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			if r := &rows[i]; r.Counted() && r.State != want[string(r.Address)] {
				t.Errorf("seed %d: %s", seed, s.states(id))
				break
			}
		}
		s.clock = at("10:00:30")
	}
}

func TestRunEndsWithTheContext(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.tracker.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// What was said about a group's own address before a restart is its own, not that of the members.
func TestAliasWithItselfAcrossARestart(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"a@corp.example"}})
	s.read("10:00:01 postfix/lmtp: A0B1C2D3E4: to=<a@corp.example>, relay=mx1[private/lmtp], " + delays + "dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)")
	s.restart()
	s.read("10:00:02 postfix/smtp: A0B1C2D3E4: to=<b@far.example>, orig_to=<a@corp.example>, relay=none, " + delays + "dsn=4.4.1, status=deferred (timed out)")
	s.want(id, "a@corp.example=expanded +a@corp.example=delivered_mailbox +b@far.example=deferred")
}

func TestMemory(t *testing.T) {
	s := newSite(t)
	var b strings.Builder
	const most = 100
	s.tracker.graph.most = most
	for i := range most + 10 {
		b.WriteString(removed("10:00:29", fmt.Sprintf("%010X", i)))
	}
	s.tracker.journal = deaf{s.journal}
	s.read(b.String())
	if n := len(s.tracker.graph.nodes); n != most {
		t.Errorf("%d queue files remembered, want %d", n, most)
	}
	if s.tracker.graph.dropped != 10 || s.tracker.graph.lines != most || len(s.tracker.graph.byQueue) != most {
		t.Errorf("%d dropped, %d lines wait, %d queue ids", s.tracker.graph.dropped, s.tracker.graph.lines, len(s.tracker.graph.byQueue))
	}
}

// A queue file that rests is forgotten; what comes of it later is still known to be its message's.
func TestRestingQueueFilesAreForgotten(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read("10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=none, " + delays + "dsn=4.4.1, status=deferred (timed out)")
	s.want(id, "x@far.example=deferred")
	rest := restAfter + time.Second
	s.pass(rest)
	if len(s.tracker.graph.nodes) != 1 {
		t.Fatalf("%d queue files remembered while the message is on its way", len(s.tracker.graph.nodes))
	}
	s.read(sent("10:30:00", "A0B1C2D3E4", "x@far.example"))
	s.pass(rest)
	if g := s.tracker.graph; len(g.nodes)+len(g.subjects)+len(g.byQueue)+g.recent.Len() != 0 || g.dropped != 0 {
		t.Errorf("remembered: %d queue files, %d messages; %d dropped", len(g.nodes), len(g.subjects), g.dropped)
	}
	s.read(bounced("11:30:00", "A0B1C2D3E4", "x@far.example"))
	s.want(id, "x@far.example=async_bounced")
}

// deaf is a journal that knows no queue id, quickly.
type deaf struct{ Journal }

func (deaf) ByQueueID(string) ([]policy.ID, error) { return nil, nil }

// A simple content filter is a program that gives the message back with sendmail(1).
func TestFilterProgram(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read("10:00:02 postfix/pipe: A0B1C2D3E4: to=<x@far.example>, relay=filter, " + delays + "dsn=2.0.0, status=sent (delivered via filter service)\n" + removed("10:00:02", "A0B1C2D3E4"))
	s.want(id, "x@far.example=handed_over")
	s.read("10:00:02 postfix/pickup: B0B1C2D3E4: uid=100 from=<sender@corp.example>\n" +
		"10:00:02 postfix/cleanup: B0B1C2D3E4: message-id=<m1@corp.example>\n" +
		"10:00:02 postfix/qmgr: B0B1C2D3E4: from=<sender@corp.example>, size=500, nrcpt=1 (queue active)\n" +
		sent("10:00:03", "B0B1C2D3E4", "x@far.example"))
	s.clock = s.clock.Add(time.Second)
	s.tick()
	s.want(id, "x@far.example=relayed_remote")
}

// Where the line with "queued as" is missing, the queue id that Postfix passes on by XFORWARD serves,
// when nothing better has come.
func TestXForwardOfPostfix(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read("10:00:00 postfix/qmgr: A0B1C2D3E4: from=<sender@corp.example>, size=500, nrcpt=1 (queue active)\n" +
		"10:00:01 postfix/smtpd: B0B1C2D3E4: client=localhost[127.0.0.1], orig_queue_id=A0B1C2D3E4, orig_client=pc[192.0.2.7]\n" +
		bounced("10:00:02", "B0B1C2D3E4", "x@far.example"))
	s.want(id, "x@far.example=queued")
	s.pass(patience + time.Second)
	s.want(id, "x@far.example=bounced")
}
