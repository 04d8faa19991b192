package e2e

import (
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// The tests of this file send to Postfix without sendgate: when they fail, the machine or the
// configurations here are at fault, not the gateway.

// stack is everything behind the gateway.
type stack struct {
	boxes *dovecot
	mta   *postfix
	world *sink
}

func startStack(t *testing.T) stack {
	t.Helper()
	need(t, dovecotBin, postfixBin)
	s := stack{boxes: startDovecot(t), world: startSink(t)}
	s.mta = startPostfix(t, s.boxes, s.world.address)
	return s
}

func TestStackWithoutGateway(t *testing.T) {
	s := startStack(t)
	t.Run("swaks to a mailbox, untouched", func(t *testing.T) {
		message := letter("direct")
		transcript, status := swaks(t, s.mta.smtp, append(data(t, message), "--from", "alice@corp.test", "--to", "bob@corp.test")...)
		if status != 0 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		untouched(t, s.boxes.await(t, "bob@corp.test", 1)[0], message)
	})
	t.Run("smtp-source to the world", func(t *testing.T) {
		before := len(s.world.messages())
		smtpSource(t, s.mta.smtp, "alice@corp.test", "someone@world.test", 20, 4, 4096)
		s.world.await(t, before+20)
	})
	t.Run("unknown user is refused", func(t *testing.T) {
		transcript, status := swaks(t, s.mta.smtp, "--from", "alice@corp.test", "--to", "nobody@corp.test")
		if status != 24 || !strings.Contains(transcript, "550 5.1.1 <nobody@corp.test>") {
			t.Errorf("swaks: %d\n%s", status, transcript)
		}
	})
	t.Run("submission with STARTTLS and AUTH", func(t *testing.T) {
		args := []string{"--from", "alice@corp.test", "--to", "carol@corp.test", "--tls", "--auth", "PLAIN", "--auth-user", "alice@corp.test"}
		if transcript, status := swaks(t, s.mta.submission, append(args, "--auth-password", mailboxPassword)...); status != 0 {
			t.Errorf("right password: %d\n%s", status, transcript)
		}
		if transcript, status := swaks(t, s.mta.submission, append(args, "--auth-password", "guess")...); status != 28 {
			t.Errorf("wrong password: %d\n%s", status, transcript)
		}
		if transcript, status := swaks(t, s.mta.submission, "--from", "alice@corp.test", "--to", "carol@corp.test"); status != 24 {
			t.Errorf("without AUTH: %d\n%s", status, transcript)
		}
		s.mta.awaitLog(t, "postfix/submission/smtpd", "sasl_method=PLAIN, sasl_username=alice@corp.test")
		s.boxes.await(t, "carol@corp.test", 1)
	})
	t.Run("XCLIENT names another client", func(t *testing.T) {
		transcript, status := swaks(t, s.mta.smtp, "--from", "alice@corp.test", "--to", "carol@corp.test", "--xclient-addr", "192.0.2.7")
		// 192.0.2.7 is not in mynetworks; it may still write to the inside.
		if status != 0 {
			t.Errorf("swaks: %d\n%s", status, transcript)
		}
		s.mta.awaitLog(t, "client=unknown[192.0.2.7]")
	})
	t.Run("SMTPUTF8 and DSN parameters reach the world", func(t *testing.T) {
		before := len(s.world.messages())
		_, err := submit(t, s.mta.smtp, "爱丽丝@corp.test", &smtp.MailOptions{UTF8: true, Return: smtp.DSNReturnHeaders, EnvelopeID: "env-1"},
			[]string{"王芳@world.test"}, &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure}}, letter("utf8"))
		if err != nil {
			t.Fatal(err)
		}
		got := s.world.await(t, before+1)[before]
		wantParameters(t, got.mail, "<爱丽丝@corp.test>", "SMTPUTF8", "RET=HDRS", "ENVID=env-1")
		wantParameters(t, got.rcpt[0], "<王芳@world.test>", "NOTIFY=FAILURE")
		untouched(t, got.data, letter("utf8"))
	})
}
