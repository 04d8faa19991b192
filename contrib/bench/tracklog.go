package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A logWriter writes a log as Postfix does with "maillog_file". Every eleventh mail comes from
// elsewhere and is in no journal.
type logWriter struct {
	at   time.Time
	text bytes.Buffer
}

func newLogWriter(start time.Time) *logWriter {
	return &logWriter{at: start.Truncate(time.Second)}
}

// take gives what was written since it was called last; it holds until the next mail.
func (l *logWriter) take() []byte {
	defer l.text.Reset()
	return l.text.Bytes()
}

func (l *logWriter) line(service, format string, args ...any) {
	l.text.WriteString(l.at.Format(time.Stamp))
	fmt.Fprintf(&l.text, " mx1 postfix/%s: ", service)
	fmt.Fprintf(&l.text, format+"\n", args...)
}

// mail writes all lines of mail i: to one recipient, two or three, of whom some are put off and some
// refused.
func (l *logWriter) mail(i int) mail {
	if i%500 == 0 {
		l.at = l.at.Add(time.Second)
	}
	m := mail{
		queueID: queueID(i), messageID: fmt.Sprintf("<%d.%d@corp.example>", l.at.Unix(), i),
		sender: fmt.Sprintf("user%d@corp.example", i%500), at: l.at, foreign: i%11 == 10,
	}
	client := fmt.Sprintf("pc%d.corp.example[192.0.2.%d]", i%200, i%200)
	l.line("smtpd[2101]", "connect from %s", client)
	l.line("smtpd[2101]", "%s: client=%s, sasl_method=PLAIN, sasl_username=user%d", m.queueID, client, i%500)
	l.line("cleanup[2107]", "%s: message-id=%s", m.queueID, m.messageID)
	recipients := []int{1, 1, 1, 2, 3}[i%5]
	l.line("qmgr[1803]", "%s: from=<%s>, size=4096, nrcpt=%d (queue active)", m.queueID, m.sender, recipients)
	l.line("smtpd[2101]", "disconnect from %s ehlo=1 auth=1 mail=1 rcpt=%d data=1 quit=1 commands=%d", client, recipients, recipients+5)
	deferred := false
	for n := range recipients {
		to := fmt.Sprintf("r%d@d%d.example", (i*3+n)%20_000, i%200)
		state := l.status(&m, to, i*3+n)
		deferred = deferred || state == policy.StateDeferred
		m.to, m.states = append(m.to, to), append(m.states, state)
	}
	if !deferred {
		l.line("qmgr[1803]", "%s: removed", m.queueID)
	}
	return m
}

// status writes the line of a recipient.
func (l *logWriter) status(m *mail, to string, n int) policy.State {
	relay := fmt.Sprintf("relay=mx.d%d.example[198.51.100.%d]:25, delay=1.4, delays=0.12/0.01/0.4/0.87", n%200, n%200)
	switch {
	case n%50 == 7:
		l.line("smtp[2115]", "%s: to=<%s>, %s, dsn=5.1.1, status=bounced (host mx.d%d.example[198.51.100.%d] said: 550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))",
			m.queueID, to, relay, n%200, n%200, to)
		return policy.StateBounced
	case n%50 == 13:
		l.line("smtp[2115]", "%s: to=<%s>, relay=none, delay=30, delays=0.1/0.01/30/0, dsn=4.4.1, status=deferred (connect to mx.d%d.example[198.51.100.%d]:25: Connection timed out)",
			m.queueID, to, n%200, n%200)
		return policy.StateDeferred
	case n%3 == 0:
		l.line("lmtp[2121]", "%s: to=<%s>, relay=mx1.corp.example[private/dovecot-lmtp], delay=0.2, delays=0.12/0.01/0.01/0.06, dsn=2.0.0, status=sent (250 2.0.0 <%s> 8J2lGTU%06dAmtdEgAA Saved)",
			m.queueID, to, to, n%1_000_000)
		return policy.StateDeliveredMailbox
	}
	l.line("smtp[2115]", "%s: to=<%s>, %s, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4hB%06d2z9Xr)", m.queueID, to, relay, n%1_000_000)
	return policy.StateRelayedRemote
}

// queueID gives one of the long form (enable_long_queue_ids): seconds, microseconds, z and inode.
func queueID(i int) string {
	const digits = "BCDFGHJKLMNPQRSTVWXYbcdfghjklmnpqrstvwxy"
	id := []byte("4cBBBBBBBBzBr4d")
	for at := 9; i > 0; at-- {
		id[at] = digits[i%len(digits)]
		i /= len(digits)
	}
	return string(id)
}
