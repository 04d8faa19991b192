package track

import (
	"context"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A report is about the attempt that its reporter got.
func TestReportAboutAnAttempt(t *testing.T) {
	for _, c := range []struct{ name, arrival, want string }{
		{"of the first, late", "Sat, 21 Nov 2026 10:00:02 +0000", "x@far.example=async_bounced(old) x@far.example=handed_over"},
		{"of the second", "Sat, 21 Nov 2026 10:20:05 +0000", "x@far.example=relayed_remote(old) x@far.example=bounced"},
		{"of nobody knows which", "", "x@far.example=async_bounced(old) x@far.example=handed_over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			id := s.accept(overRelay([]string{"x@far.example"}, policy.Event{Kind: policy.RelayedRemote, Recipients: []int{0}}))
			s.commit(store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Resent, Time: at("10:20:00"), Recipients: []int{0}}}})
			s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.HandedOver, Time: at("10:20:01"), Recipients: []int{1}}}})
			r := failed(returned{envID: id.String(), arrival: c.arrival})
			if err := s.tracker.Report(context.Background(), strings.NewReader(r.String())); err != nil {
				t.Fatal(err)
			}
			s.want(id, c.want)
		})
	}
}

// The two recipients of a message, one of whom forwards to the other.
func TestReportNamesTheOriginalRecipientFirst(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"x@far.example", "y@far.example"}, policy.Event{Kind: policy.RelayedRemote}))
	r := failed(returned{envID: id.String(), original: "rfc822; x@far.example", final: "rfc822; y@far.example"})
	if err := s.tracker.Report(context.Background(), strings.NewReader(r.String())); err != nil {
		t.Fatal(err)
	}
	s.want(id, "x@far.example=async_bounced y@far.example=relayed_remote")
}

func TestReportDeliveredInside(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"a@corp.example"}, policy.Event{}))
	r := returned{envID: id.String(), final: "rfc822; a@corp.example", action: "delivered", status: "2.0.0"}
	if err := s.tracker.Report(context.Background(), strings.NewReader(r.String())); err != nil {
		t.Fatal(err)
	}
	s.want(id, "a@corp.example=delivered_mailbox")
}

// A line about the first attempt of a member says nothing of the second, which is ours to send.
func TestLateLineAboutTheFirstAttemptOfAMember(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"team@corp.example"}})
	line := "10:00:01 postfix/smtp: A0B1C2D3E4: to=<b@far.example>, orig_to=<team@corp.example>, relay=none, " + delays + "dsn=5.1.1, status=bounced (no)\n"
	s.read(line)
	s.commit(store.Change{Message: id, Revision: 1, Events: []policy.Event{{Kind: policy.Resent, Time: at("10:00:10"), Recipients: []int{1}, Until: at("10:00:10")}}})
	s.restart()
	s.read(strings.Replace(line, "10:00:01", "10:00:12", 1))
	s.want(id, "team@corp.example=expanded +b@far.example=bounced(old) +b@far.example=queued")
	if r := s.row(id, 2); !r.Due.Equal(at("10:00:10")) {
		t.Errorf("the second attempt is due %v", r.Due)
	}
}
