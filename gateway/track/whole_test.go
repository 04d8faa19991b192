package track

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// What is said of a whole queue file does not touch a recipient who is not in it and whom sendgate
// still has to serve.
func TestWholeFileSparesWhatIsOurs(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       policy.State // of the recipient in the file
	}{
		{"held by hand", "10:00:05 postfix/postsuper: AAAA1111: placed on hold\n", policy.StateQueued},
		{"expired", "10:00:05 postfix/qmgr: AAAA1111: from=<sender@corp.example>, status=expired, returned to sender\n", policy.StateExpired},
		{"discarded by another milter", "10:00:05 postfix/cleanup: AAAA1111: milter-discard: END-OF-MESSAGE from pc[192.0.2.7]: milter triggers DISCARD action; from=<sender@corp.example> proto=ESMTP helo=<pc>\n", policy.StateBlocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			id := s.accept(overRelay([]string{"x@far.example", "y@far.example"},
				policy.Event{Kind: policy.Deferred, Recipients: []int{0, 1}, Until: at("10:30:00")}))
			s.read(fmt.Sprintf("10:00:01 postfix/smtpd: AAAA1111: client=gw[192.0.2.9], orig_queue_id=%s, orig_client=pc[192.0.2.7]\n", id) +
				deferred("10:00:02", "AAAA1111", "x@far.example") + c.line)
			s.pass(patience + time.Second)
			if got := s.row(id, 0).State; got != c.want {
				t.Errorf("who is in the file is %s, want %s", got, c.want)
			}
			if r := s.row(id, 1); r.State != policy.StateDeferred || !r.Due.Equal(at("10:30:00")) {
				t.Errorf("who is not is %s, due %v; want deferred, 10:30", r.State, r.Due)
			}
		})
	}
}

// Nobody else sends what sendgate has to send, even if its queue file seems to be gone.
func TestWholeFileOfTheOnlyRecipient(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example"}, policy.Event{Kind: policy.Deferred, Recipients: []int{0}, Until: at("10:30:00")}))
	s.read(fmt.Sprintf("10:00:01 postfix/smtpd: AAAA1111: client=gw[192.0.2.9], orig_queue_id=%s, orig_client=pc[192.0.2.7]\n", id) +
		"10:00:05 postfix/qmgr: AAAA1111: from=<sender@corp.example>, status=expired, returned to sender\n")
	s.pass(patience + time.Second)
	if r := s.row(id, 0); r.State != policy.StateDeferred || !r.Due.Equal(at("10:30:00")) {
		t.Errorf("%s, due %v; want deferred, 10:30", r.State, r.Due)
	}
}

// The line about the whole file is quicker than the journal, which then says who is in the file.
func TestWholeFileBeforeTheCommitOfItsLink(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example", "y@far.example"},
		policy.Event{Kind: policy.Deferred, Recipients: []int{0, 1}, Until: at("10:30:00")}))
	s.read(fmt.Sprintf("10:00:01 postfix/smtpd: AAAA1111: client=gw[192.0.2.9], orig_queue_id=%s, orig_client=pc[192.0.2.7]\n", id) +
		"10:00:01 postfix/cleanup: AAAA1111: milter-discard: END-OF-MESSAGE from pc[192.0.2.7]: milter triggers DISCARD action; from=<sender@corp.example> proto=ESMTP helo=<pc>\n")
	s.want(id, "x@far.example=deferred y@far.example=deferred")
	s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver, Time: at("10:00:02"), QueueID: "AAAA1111", Recipients: []int{0}}}})
	s.pass(patience + time.Second)
	s.want(id, "x@far.example=blocked y@far.example=deferred")
}

// After a restart the journal says who was seen in the file.
func TestWholeFileAfterARestart(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example", "y@far.example"},
		policy.Event{Kind: policy.Deferred, Recipients: []int{0, 1}, Until: at("10:30:00")}))
	s.read(fmt.Sprintf("10:00:01 postfix/smtpd: AAAA1111: client=gw[192.0.2.9], orig_queue_id=%s, orig_client=pc[192.0.2.7]\n", id) +
		deferred("10:00:02", "AAAA1111", "x@far.example"))
	s.restart()
	s.read("10:00:05 postfix/qmgr: AAAA1111: from=<sender@corp.example>, status=expired, returned to sender\n")
	s.pass(patience + time.Second)
	s.want(id, "x@far.example=expired y@far.example=deferred")
}

// A queue file that is found by Message-ID need not carry all who wait for one.
func TestMessageIDClaimsNobodyWithoutALine(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"alice@far.example", "bob@far.example"}, policy.Event{}))
	s.read(`10:00:01 postfix/cleanup: AAAA1111: message-id=<m1@corp.example>
		10:00:01 postfix/qmgr: AAAA1111: from=<sender@corp.example>, size=500, nrcpt=1 (queue active)
		` + sent("10:00:02", "AAAA1111", "bob@far.example") + removed("10:00:02", "AAAA1111"))
	s.pass(15 * time.Minute)
	s.sweep()
	s.want(id, "alice@far.example=handed_over bob@far.example=relayed_remote")
}

// The removal of the first file with the queue id was not read.
func TestReusedShortQueueIDWithoutItsRemoval(t *testing.T) {
	for _, c := range []struct {
		name    string
		batches []string
	}{
		{"much later", []string{"10:20:00 postfix/smtpd: A0B1C2D3E4: client=other[192.0.2.8]\n" + bounced("10:20:01", "A0B1C2D3E4", "x@far.example")}},
		{"with another Message-ID", []string{"10:05:00 postfix/smtpd: A0B1C2D3E4: client=other[192.0.2.8]\n" +
			"10:05:00 postfix/cleanup: A0B1C2D3E4: message-id=<other@corp.example>\n" + bounced("10:05:01", "A0B1C2D3E4", "x@far.example")}},
		{"whose Message-ID is read later", []string{"10:05:00 postfix/smtpd: A0B1C2D3E4: client=other[192.0.2.8]\n",
			"10:05:00 postfix/cleanup: A0B1C2D3E4: message-id=<other@corp.example>\n" + bounced("10:05:01", "A0B1C2D3E4", "x@far.example")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
			s.read(deferred("10:00:01", "A0B1C2D3E4", "x@far.example"))
			s.restart()
			s.clock = at("10:21:00")
			for _, b := range c.batches {
				s.read(b)
			}
			s.want(id, "x@far.example=deferred")
		})
	}
	t.Run("the same Message-ID, read later", func(t *testing.T) {
		s := newSite(t)
		id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
		s.read("10:00:00 postfix/smtpd: A0B1C2D3E4: client=pc[192.0.2.7]\n")
		s.read("10:00:00 postfix/cleanup: A0B1C2D3E4: resent-message-id=<again@corp.example>\n")
		s.read("10:00:00 postfix/cleanup: A0B1C2D3E4: message-id=<m1@corp.example>\n" + sent("10:00:01", "A0B1C2D3E4", "x@far.example"))
		s.want(id, "x@far.example=relayed_remote")
	})
}

// A copy that Postfix makes by itself has an orig_to too, and is nobody's member.
func TestCopyIsNoMember(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"a@corp.example"}})
	s.read("10:00:00 postfix/qmgr: A0B1C2D3E4: from=<sender@corp.example>, size=500, nrcpt=2 (queue active)\n" +
		sent("10:00:01", "A0B1C2D3E4", "a@corp.example") +
		"10:00:02 postfix/lmtp: A0B1C2D3E4: to=<box9@corp.example>, orig_to=<archive@corp.example>, relay=mx1[private/lmtp], " + delays + "dsn=2.0.0, status=sent (250 2.0.0 Saved)\n")
	s.pass(patience + time.Second)
	s.want(id, "a@corp.example=relayed_remote")
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       policy.State
		reason     string
	}{
		{"a filter that speaks LMTP at its port", "postfix/lmtp: A0B1C2D3E4: to=<x@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, " + delays + "dsn=2.0.0, status=sent (250 2.0.0 ok)", policy.StateHandedOver, "taken by a relay of ours that named no queue id"},
		{"LMTP at another port", "postfix/lmtp: A0B1C2D3E4: to=<x@corp.example>, relay=127.0.0.1[127.0.0.1]:24, " + delays + "dsn=2.0.0, status=sent (250 2.0.0 ok)", policy.StateDeliveredMailbox, ""},
		{"local says something new", "postfix/local: A0B1C2D3E4: to=<x@corp.example>, relay=local, " + delays + "dsn=2.0.0, status=sent (beamed to the moon)", policy.StateHandedOver, "beamed to the moon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, func(c *Config) { c.OurRelays = append(c.OurRelays, "127.0.0.1:10024") })
			id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@corp.example"}})
			s.read("10:00:01 " + c.line)
			if r := s.row(id, 0); r.State != c.want || r.Reason != c.reason {
				t.Errorf("%s (%s), want %s (%s)", r.State, r.Reason, c.want, c.reason)
			}
		})
	}
}

// readNow hands lines over as what has just been written.
func (s *site) readNow(log string) {
	s.t.Helper()
	b := s.batch(log)
	b.Caught, b.At = true, s.clock
	if err := s.tracker.take(context.Background(), s.feed, b); err != nil {
		s.t.Fatal(err)
	}
}
