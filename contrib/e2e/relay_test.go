package e2e

import (
	"bytes"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// plainUpstream is Postfix's trusting listener as an upstream.
func plainUpstream(mta *postfix) string {
	return fmt.Sprintf("servers: [{address: %q}]\ntls: none\ntrusted_path: xclient\n", mta.smtp)
}

// TestThroughGateway sends through a gateway whose clients are trusted by their address.
func TestThroughGateway(t *testing.T) {
	s := startStack(t)
	const hold = 2 * time.Second
	g := startGateway(t, settings{upstream: plainUpstream(s.mta), hold: hold})

	t.Run("held, let go, and untouched in the mailbox", func(t *testing.T) {
		message := letter("held")
		begun := time.Now()
		transcript, status := swaks(t, g.smtp, append(data(t, message), "--from", "alice@corp.test", "--to", "bob@corp.test")...)
		if status != 0 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		id := heldAs(t, transcript)
		if d := g.message(t, id); d.State != "held" && time.Since(begun) < hold {
			t.Errorf("the state is %s", d.State)
		}
		delivered := s.boxes.await(t, "bob@corp.test", 1)[0]
		if early := hold - time.Since(begun); early > 0 {
			t.Errorf("delivered %v before the hold ended", early)
		}
		trace := untouched(t, delivered, message)
		if n := strings.Count(trace, "by gw.corp.test (sendgate)"); n != 1 {
			t.Errorf("%d Received lines of the gateway in\n%s", n, trace)
		}
		d := g.awaitState(t, id, "handed_over")
		r := d.Recipients[0]
		if r.QueueID == "" || !strings.Contains(r.Reply, r.QueueID) {
			t.Fatalf("the queue id %q is not in the reply %q", r.QueueID, r.Reply)
		}
		s.mta.awaitLog(t, r.QueueID+": to=<bob@corp.test>") // Postfix may log a moment after it has answered
	})

	t.Run("many at once, none lost, none twice", func(t *testing.T) {
		before := len(s.world.messages())
		const messages = 200
		smtpSource(t, g.smtp, "alice@corp.test", "someone@world.test", messages, 10, 4096)
		seen := map[string]bool{}
		for _, m := range s.world.await(t, before+messages)[before:] {
			parsed, err := mail.ReadMessage(bytes.NewReader(m.data))
			if err != nil {
				t.Fatal(err)
			}
			seen[parsed.Header.Get("Message-Id")] = true
		}
		if len(seen) != messages {
			t.Errorf("%d different messages of %d", len(seen), messages)
		}
	})

	t.Run("unknown user is refused with Postfix's own answer", func(t *testing.T) {
		transcript, status := swaks(t, g.smtp, "--from", "alice@corp.test", "--to", "nobody@corp.test")
		want := "550 5.1.1 <nobody@corp.test>: Recipient address rejected: User unknown in virtual mailbox table"
		if status != 24 || !strings.Contains(transcript, want) {
			t.Errorf("swaks: %d\n%s", status, transcript)
		}
	})

	t.Run("STARTTLS", func(t *testing.T) {
		message := letter("starttls")
		transcript, status := swaks(t, g.smtp, append(data(t, message), "--from", "alice@corp.test", "--to", "carol@corp.test",
			"--tls", "--tls-verify", "--tls-ca-path", g.certFile)...)
		if status != 0 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		trace := untouched(t, s.boxes.await(t, "carol@corp.test", 1)[0], message)
		if !regexp.MustCompile(`by gw\.corp\.test \(sendgate\) with ESMTPS `).MatchString(trace) {
			t.Errorf("the trace does not say ESMTPS:\n%s", trace)
		}
	})

	t.Run("hold 0 answers with Postfix's own reply", func(t *testing.T) {
		message := append([]byte("X-Sendgate-Hold: 0\r\n"), letter("urgent")...)
		transcript, status := swaks(t, g.smtp, append(data(t, message), "--from", "alice@corp.test", "--to", "someone@world.test")...)
		m := regexp.MustCompile(`250 2\.0\.0 Ok: queued as ([0-9A-Za-z]+)`).FindStringSubmatch(transcript)
		if status != 0 || m == nil {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		s.mta.awaitLog(t, m[1]+": to=<someone@world.test>", "status=sent")
	})

	t.Run("SMTPUTF8 and DSN parameters go through", func(t *testing.T) {
		before := len(s.world.messages())
		message := letter("utf8")
		text, err := submit(t, g.smtp, "爱丽丝@corp.test",
			&smtp.MailOptions{UTF8: true, Return: smtp.DSNReturnHeaders, EnvelopeID: "env+1"}, []string{"王芳@world.test"},
			&smtp.RcptOptions{
				Notify:                []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed},
				OriginalRecipientType: smtp.DSNAddressTypeUTF8, OriginalRecipient: "芳@world.test",
			}, message)
		if err != nil {
			t.Fatal(err)
		}
		heldAs(t, text)
		got := s.world.await(t, before+1)[before]
		wantParameters(t, got.mail, "<爱丽丝@corp.test>", "SMTPUTF8", "RET=HDRS", "ENVID=env+2B1")
		wantParameters(t, got.rcpt[0], "<王芳@world.test>", "NOTIFY=")
		for _, word := range []string{"FAILURE", "DELAY"} {
			if !strings.Contains(got.rcpt[0], word) {
				t.Errorf("RCPT TO:%s lacks %s", got.rcpt[0], word)
			}
		}
		untouched(t, got.data, message)
	})

	t.Run("original recipient goes through", func(t *testing.T) {
		before := len(s.world.messages())
		text, err := submit(t, g.smtp, "alice@corp.test", nil, []string{"new@world.test"},
			&smtp.RcptOptions{OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "old+x@world.test"}, letter("orcpt"))
		if err != nil {
			t.Fatal(err)
		}
		id := heldAs(t, text)
		got := s.world.await(t, before+1)[before]
		wantParameters(t, got.rcpt[0], "<new@world.test>", "ORCPT=rfc822;old+2Bx@world.test")
		if d := g.message(t, id); d.Recipients[0].OriginalAddress != "old+x@world.test" {
			t.Errorf("the original address is %q", d.Recipients[0].OriginalAddress)
		}
	})

	t.Run("refused after release comes back as a report", func(t *testing.T) {
		before := len(s.boxes.inbox(t, "alice@corp.test"))
		transcript, status := swaks(t, g.smtp, append(data(t, letter("gone")), "--from", "alice@corp.test", "--to", "dave@corp.test")...)
		if status != 0 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		id := heldAs(t, transcript)
		s.mta.setUsers(t, "alice", "bob", "carol") // dave leaves
		d := g.awaitState(t, id, "bounced")
		if r := d.Recipients[0].Reply; !strings.Contains(r, "550 5.1.1 <dave@corp.test>") {
			t.Errorf("the reply is %q", r)
		}
		report := string(s.boxes.await(t, "alice@corp.test", before+1)[before])
		for _, want := range []string{
			"Return-Path: <>", "multipart/report", "report-type=delivery-status", "message/delivery-status",
			"Final-Recipient: rfc822; dave@corp.test", "Action: failed", "Status: 5.1.1", "Message-ID: <gone@corp.test>",
		} {
			if !strings.Contains(strings.ReplaceAll(report, "rfc822;dave", "rfc822; dave"), want) {
				t.Errorf("the report lacks %q:\n%s", want, report)
			}
		}
	})
}

// TestRecallWhileHeld takes a message back; a later one to the same person arrives.
func TestRecallWhileHeld(t *testing.T) {
	s := startStack(t)
	g := startGateway(t, settings{upstream: plainUpstream(s.mta), hold: 10 * time.Minute})
	ids := map[string]string{}
	for _, subject := range []string{"first", "second", "third"} {
		transcript, status := swaks(t, g.smtp, append(data(t, letter(subject)), "--from", "alice@corp.test", "--to", "bob@corp.test,carol@corp.test")...)
		if status != 0 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		ids[subject] = heldAs(t, transcript)
	}
	var answer map[string]any
	g.call(t, "POST", "/recalls", map[string]any{"message_ids": []string{ids["first"]}, "reason": "wrong attachment"}, &answer)
	g.awaitState(t, ids["first"], "canceled")
	g.call(t, "POST", "/recalls", map[string]any{"message_ids": []string{ids["second"]}, "recipients": []string{"carol@corp.test"}, "reason": "not for her"}, &answer)
	for _, subject := range []string{"second", "third"} {
		g.call(t, "POST", "/messages/"+ids[subject]+"/release", map[string]any{}, &answer)
		eventually(t, subject+" has left", func() bool { return g.message(t, ids[subject]).has("handed_over") })
		if subject == "second" { // before the third, which could overtake it behind us
			untouched(t, s.boxes.await(t, "bob@corp.test", 1)[0], letter("second"))
		}
	}
	s.boxes.await(t, "bob@corp.test", 2)
	if got := s.boxes.await(t, "carol@corp.test", 1); len(got) != 1 {
		t.Errorf("carol has %d messages", len(got))
	} else {
		untouched(t, got[0], letter("third"))
	}
	if got := s.boxes.inbox(t, "bob@corp.test"); len(got) != 2 {
		t.Errorf("bob has %d messages", len(got))
	}
}

// TestSubmission authenticates against Dovecot through Postfix, and releases over XCLIENT what was
// held, because no password is kept.
func TestSubmission(t *testing.T) {
	s := startStack(t)
	g := startGateway(t, settings{
		upstream: fmt.Sprintf("servers: [{address: %q}]\ntls: verified\nca_file: %s\nserver_name: mx.corp.test\ntrusted_path: xclient\n",
			s.mta.submission, s.mta.certFile),
		hold: time.Second,
	})
	login := []string{"--from", "alice@corp.test", "--tls", "--auth-user", "alice@corp.test"}
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		t.Run(mechanism, func(t *testing.T) {
			message := letter("auth-" + mechanism)
			args := append(data(t, message), login...)
			transcript, status := swaks(t, g.smtp, append(args, "--auth", mechanism, "--auth-password", mailboxPassword, "--to", "bob@corp.test")...)
			if status != 0 {
				t.Fatalf("swaks: %d\n%s", status, transcript)
			}
			d := g.awaitState(t, heldAs(t, transcript), "handed_over")
			s.mta.awaitLog(t, "postfix/submission/smtpd", d.Recipients[0].QueueID+": client=", "sasl_username=alice@corp.test")
			boxes := s.boxes.inbox(t, "bob@corp.test")
			eventually(t, "the message lies in the mailbox", func() bool {
				boxes = s.boxes.inbox(t, "bob@corp.test")
				return len(boxes) > 0 && bytes.HasSuffix(boxes[len(boxes)-1], message)
			})
			if trace := untouched(t, boxes[len(boxes)-1], message); !strings.Contains(trace, "with ESMTPSA id ") {
				t.Errorf("the trace does not say ESMTPSA:\n%s", trace)
			}
		})
	}
	t.Run("wrong password gets Postfix's answer", func(t *testing.T) {
		transcript, status := swaks(t, g.smtp, append(login, "--auth", "PLAIN", "--auth-password", "guess", "--to", "bob@corp.test")...)
		if status != 28 || !strings.Contains(transcript, "535 5.7.8 Error: authentication failed") {
			t.Errorf("swaks: %d\n%s", status, transcript)
		}
	})
	t.Run("without AUTH gets Postfix's answer", func(t *testing.T) {
		transcript, status := swaks(t, g.smtp, "--from", "alice@corp.test", "--to", "bob@corp.test")
		if status != 24 || !strings.Contains(transcript, "Access denied") {
			t.Errorf("swaks: %d\n%s", status, transcript)
		}
	})
	t.Run("AUTH is not offered in clear", func(t *testing.T) {
		transcript, status := swaks(t, g.smtp, "--from", "alice@corp.test", "--to", "bob@corp.test", "--auth", "PLAIN",
			"--auth-user", "alice@corp.test", "--auth-password", mailboxPassword)
		if status != 28 || strings.Contains(transcript, "250-AUTH") {
			t.Errorf("swaks: %d\n%s", status, transcript)
		}
	})
}

// TestHeldMailOutlivesAKill kills the gateway while it holds mail, and Postfix is away when it
// comes back.
func TestHeldMailOutlivesAKill(t *testing.T) {
	s := startStack(t)
	g := startGateway(t, settings{upstream: plainUpstream(s.mta), hold: 15 * time.Second}) // it is killed within that time
	message := letter("survivor")
	transcript, status := swaks(t, g.smtp, append(data(t, message), "--from", "alice@corp.test", "--to", "bob@corp.test")...)
	if status != 0 {
		t.Fatalf("swaks: %d\n%s", status, transcript)
	}
	id := heldAs(t, transcript)
	g.kill(t)
	s.mta.stop(t)
	g.start(t)
	g.awaitState(t, id, "deferred")
	s.mta.start(t)
	untouched(t, s.boxes.await(t, "bob@corp.test", 1)[0], message)
	if d := g.awaitState(t, id, "handed_over"); d.Recipients[0].MayBeDuplicate {
		t.Error("marked as a possible duplicate, although it had never been sent")
	}
}

// wantParameters holds that the words stand in a command.
func wantParameters(t *testing.T, command string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(" "+command+" ", " "+w) {
			t.Errorf("%q lacks %q", command, w)
		}
	}
}
