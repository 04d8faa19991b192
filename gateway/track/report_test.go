package track

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

// A returned is a delivery report in the making.
type returned struct {
	envID, original, final, action, status, diagnostic, arrival, messageID string
}

func (r returned) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	field := func(name, value string) {
		if value != "" {
			line("%s: %s", name, value)
		}
	}
	line("From: MAILER-DAEMON@mx.far.example\r\nTo: sender@corp.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n")
	line("--b\r\nContent-Type: text/plain; charset=x-unheard-of\r\n\r\nSorry.\r\n--b")
	line("Content-Type: message/delivery-status\r\n")
	line("Reporting-MTA: dns; mx.far.example")
	field("Original-Envelope-Id", r.envID)
	field("Arrival-Date", r.arrival)
	line("")
	field("Original-Recipient", r.original)
	field("Final-Recipient", r.final)
	field("Action", r.action)
	field("Status", r.status)
	field("Diagnostic-Code", r.diagnostic)
	line("\r\n--b\r\nContent-Type: text/rfc822-headers\r\n")
	field("Message-ID", r.messageID)
	line("Subject: hello\r\n--b--")
	return b.String()
}

func failed(r returned) returned {
	r.action, r.status, r.diagnostic = "failed", "5.1.1", "smtp; 550 5.1.1 no such\r\n user here"
	if r.final == "" {
		r.final = "rfc822; x@far.example"
	}
	return r
}

func TestReports(t *testing.T) {
	relayed := []policy.Event{{Kind: policy.RelayedRemote, Reply: "250 ok"}}
	for _, c := range []struct {
		name   string
		events []policy.Event
		report func(id string) string
		want   string
		result string
	}{
		{"a late bounce by our id", relayed, func(id string) string { return failed(returned{envID: id}).String() }, "x@far.example=async_bounced", reportKept},
		{"our id in xtext behind a prefix", relayed, func(id string) string { return failed(returned{envID: "sendgate+3D" + id}).String() }, "x@far.example=async_bounced", reportKept},
		{"by Message-ID and recipient", relayed, func(string) string { return failed(returned{messageID: "<m1@corp.example>"}).String() }, "x@far.example=async_bounced", reportKept},
		{"by the original recipient", relayed, func(string) string {
			return failed(returned{messageID: "<m1@corp.example>", original: "rfc822;X@FAR.example", final: "rfc822; box17@inner.example"}).String()
		}, "x@far.example=async_bounced", reportKept},
		{"the envelope id of the client, found by Message-ID", relayed, func(string) string {
			return failed(returned{envID: "client-17", messageID: "<m1@corp.example>"}).String()
		}, "x@far.example=async_bounced", reportKept},
		{"a bounce while it is on the way", []policy.Event{{Kind: policy.HandedOver}}, func(id string) string { return failed(returned{envID: id}).String() }, "x@far.example=bounced", reportKept},
		{"a delay", []policy.Event{{Kind: policy.HandedOver}}, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "delayed", status: "4.4.1"}.String()
		}, "x@far.example=deferred", reportKept},
		{"a delay after the end", relayed, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "delayed", status: "4.4.1"}.String()
		}, "x@far.example=relayed_remote", reportKept},
		{"delivered after the end that the log has", relayed, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "Delivered (to mailbox)", status: "2.0.0"}.String()
		}, "x@far.example=relayed_remote", reportKept},
		{"delivered, of another domain", []policy.Event{{Kind: policy.HandedOver}}, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "Delivered (to mailbox)", status: "2.0.0"}.String()
		}, "x@far.example=relayed_remote", reportKept},
		{"delivered, of whom nothing is known", []policy.Event{{Kind: policy.Unknown}}, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "delivered", status: "2.0.0"}.String()
		}, "x@far.example=relayed_remote", reportKept},
		{"forged: delivered after a bounce", []policy.Event{{Kind: policy.Bounced}}, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "delivered", status: "2.0.0"}.String()
		}, "x@far.example=bounced", reportKept},
		{"forged: relayed after a bounce", []policy.Event{{Kind: policy.Bounced}}, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "relayed", status: "2.0.0"}.String()
		}, "x@far.example=bounced", reportKept},
		{"by the original recipient before the final one", relayed, func(id string) string {
			return failed(returned{envID: id, original: "rfc822; x@far.example", final: "rfc822; y@far.example"}).String()
		}, "x@far.example=async_bounced", reportKept},
		{"relayed", []policy.Event{{Kind: policy.HandedOver}}, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "relayed", status: "2.0.0"}.String()
		}, "x@far.example=relayed_remote", reportKept},
		{"expanded says nothing", relayed, func(id string) string {
			return returned{envID: id, final: "rfc822; x@far.example", action: "expanded", status: "2.0.0"}.String()
		}, "x@far.example=relayed_remote", reportKept},
		{"inside what a scanner has put around it", relayed, func(id string) string {
			return "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + failed(returned{envID: id}).String() + "\r\n--o--\r\n"
		}, "x@far.example=async_bounced", reportKept},

		{"forged: not a recipient", relayed, func(id string) string {
			return failed(returned{envID: id, final: "rfc822; ceo@corp.example"}).String()
		}, "x@far.example=relayed_remote", reportForged},
		{"forged: another Message-ID", relayed, func(id string) string {
			return failed(returned{envID: id, messageID: "<guess@far.example>"}).String()
		}, "x@far.example=relayed_remote", reportForged},
		{"forged: arrived before it was sent", relayed, func(id string) string {
			return failed(returned{envID: id, arrival: "Fri, 20 Nov 2026 10:00:00 +0000"}).String()
		}, "x@far.example=relayed_remote", reportForged},
		{"about what we still have", []policy.Event{{Kind: policy.Deferred, Until: at("11:00:00")}}, func(id string) string {
			return failed(returned{envID: id}).String()
		}, "x@far.example=deferred", reportEarly},
		{"foreign", relayed, func(string) string { return failed(returned{messageID: "<else@corp.example>"}).String() }, "x@far.example=relayed_remote", reportForeign},
		{"a foreign id", relayed, func(string) string { return failed(returned{envID: "01HZZZZZZZZZZZZZZZZZZZZZZZ"}).String() }, "x@far.example=relayed_remote", reportForeign},
		{"no id at all", relayed, func(string) string { return failed(returned{}).String() }, "x@far.example=relayed_remote", reportForeign},
		{"no report", relayed, func(id string) string { return "Subject: " + id + "\r\n\r\nAction: failed\r\n" }, "x@far.example=relayed_remote", reportNone},
		{"no message", relayed, func(string) string { return "\x00\xff" }, "x@far.example=relayed_remote", reportNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			id := s.accept(overRelay([]string{"x@far.example"}, c.events...))
			for range 2 { // both fronts may see it
				if err := s.tracker.Report(context.Background(), strings.NewReader(c.report(id.String()))); err != nil {
					t.Fatal(err)
				}
			}
			s.want(id, c.want)
			if n := s.metrics()["sendgate_track_reports_total "+c.result]; n != 2 {
				t.Errorf("%v reports counted as %s, want 2", n, c.result)
			}
			if c.want == "x@far.example=async_bounced" {
				r := s.row(id, 0)
				if !strings.HasPrefix(r.Reply, "550 5.1.1 no such user here") || !strings.Contains(r.Evidence, "delivery report of mx.far.example: ") || r.Upstream != "mx.far.example" {
					t.Errorf("reply %q, evidence %q, upstream %q", r.Reply, r.Evidence, r.Upstream)
				}
				if n := s.events(id, policy.AsyncBounced); n != 1 {
					t.Errorf("%d events, want 1", n)
				}
			}
		})
	}
}

// A report about a member of a group, known or not.
func TestReportAboutAMember(t *testing.T) {
	s := newSite(t)
	id := s.accept(overRelay([]string{"team@corp.example"}, policy.Event{Kind: policy.RelayedRemote, Recipients: []int{0}, Member: "a@far.example"}))
	report := func(final string) {
		t.Helper()
		r := failed(returned{envID: id.String(), original: "rfc822; team@corp.example", final: "rfc822; " + final})
		if err := s.tracker.Report(context.Background(), strings.NewReader(r.String())); err != nil {
			t.Fatal(err)
		}
	}
	report("a@far.example")
	report("b@far.example")
	s.want(id, "team@corp.example=expanded +a@far.example=async_bounced +b@far.example=bounced")
}

// broken is a journal that cannot be asked.
type broken struct{ Journal }

var errBroken = errors.New("no disk")

func (broken) ByMessageID(string) ([]policy.ID, error) { return nil, errBroken }

func TestReportWithoutJournal(t *testing.T) {
	s := newSite(t)
	s.tracker.journal = broken{s.journal}
	err := s.tracker.Report(context.Background(), strings.NewReader(failed(returned{messageID: "<m1@corp.example>"}).String()))
	if !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "delivery report: ") {
		t.Errorf("got %v", err)
	}
}

func FuzzReport(f *testing.F) {
	f.Add(failed(returned{envID: "01HZZZZZZZZZZZZZZZZZZZZZZZ", messageID: "<m1@corp.example>"}).String())
	f.Add("Content-Type: message/delivery-status\r\n\r\nAction: failed\r\n\r\nFinal-Recipient: rfc822;a@b\r\n +\r\n")
	f.Add("Content-Type: multipart/report; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\n--b--")
	f.Fuzz(func(t *testing.T, raw string) {
		d, ok := readDSN(strings.NewReader(raw))
		if !ok {
			return
		}
		if len(d.recipients) > maxRecipients {
			t.Errorf("%d recipients", len(d.recipients))
		}
		rows := policy.Rows{{Recipient: policy.Recipient{Address: "x@far.example"}, Fate: policy.Fate{State: policy.StateRelayedRemote}}}
		for i := range d.recipients {
			r := &d.recipients[i]
			if row, _ := reportedRow(rows, r, nil, d.arrival); row != nil {
				if e, ok := d.event(r, row, false, at("10:00:00")); ok && (len(e.Evidence) > maxEvidence || len(e.Reply) > 2*maxField) {
					t.Errorf("evidence of %d octets, reply of %d", len(e.Evidence), len(e.Reply))
				}
			}
			ourID(d.envID)
		}
	})
}
