package track

import (
	"testing"

	"github.com/sendgate/sendgate/policy"
)

// TestSituations reads a log and looks at the states. The queue id of our message is A0B1C2D3E4.
func TestSituations(t *testing.T) {
	const (
		begin = `
			10:00:00 postfix/smtpd: A0B1C2D3E4: client=pc[192.0.2.7]
			10:00:00 postfix/cleanup: A0B1C2D3E4: message-id=<m1@corp.example>
			10:00:00 postfix/qmgr: A0B1C2D3E4: from=<sender@corp.example>, size=500, nrcpt=1 (queue active)
			`
		end = `
			10:00:09 postfix/qmgr: A0B1C2D3E4: removed
			`
		delays = "delay=0.2, delays=0.1/0/0/0.1, "
	)
	for _, c := range []struct {
		name string
		to   []string
		log  string
		want string
	}{
		{"a server takes it", []string{"x@far.example"}, begin + `
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 77AA88BB99)` + end,
			"x@far.example=relayed_remote"},
		{"lmtp", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<a@corp.example>, relay=mx1[private/dovecot-lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <a@corp.example> abcd Saved)` + end,
			"a@corp.example=delivered_mailbox"},
		{"lmtp over loopback", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<a@corp.example>, relay=127.0.0.1[127.0.0.1]:24, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <a@corp.example> abcd Saved)` + end,
			"a@corp.example=delivered_mailbox"},
		{"local mailbox", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/local: A0B1C2D3E4: to=<a@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (delivered to maildir)` + end,
			"a@corp.example=delivered_mailbox"},
		{"virtual mailbox", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/virtual: A0B1C2D3E4: to=<a@corp.example>, relay=virtual, ` + delays + `dsn=2.0.0, status=sent (delivered to maildir)` + end,
			"a@corp.example=delivered_mailbox"},
		{"a pipe into a mailbox", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/pipe: A0B1C2D3E4: to=<a@corp.example>, relay=dovecot, ` + delays + `dsn=2.0.0, status=sent (delivered via dovecot service)` + end,
			"a@corp.example=delivered_mailbox"},
		{"a pipe into a program", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/pipe: A0B1C2D3E4: to=<a@corp.example>, relay=ticket, ` + delays + `dsn=2.0.0, status=sent (delivered via ticket service)` + end,
			"a@corp.example=handed_over"},
		{"a command that delivers", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/local: A0B1C2D3E4: to=<a@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (delivered to command: /usr/bin/procmail -t)` + end,
			"a@corp.example=delivered_mailbox"},
		{"a command", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/local: A0B1C2D3E4: to=<a@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (delivered to command: /usr/bin/vacation a)` + end,
			"a@corp.example=handed_over"},
		{"a file", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/local: A0B1C2D3E4: to=<a@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (delivered to file: /var/log/a)` + end,
			"a@corp.example=handed_over"},
		{"dev null", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/local: A0B1C2D3E4: to=<a@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (delivered to file: /dev/null)` + end,
			"a@corp.example=blocked"},
		{"discard", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/discard: A0B1C2D3E4: to=<a@corp.example>, relay=none, ` + delays + `dsn=2.0.0, status=sent (corp.example)` + end,
			"a@corp.example=blocked"},
		{"bounced", []string{"x@far.example"}, begin + `
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=5.1.1, status=bounced (host mx.far.example[198.51.100.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))
			10:00:01 postfix/bounce: A0B1C2D3E4: sender non-delivery notification: F0F1F2F3F4` + end,
			"x@far.example=bounced"},
		{"soft bounce", []string{"x@far.example"}, begin + `
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=5.1.1, status=SOFTBOUNCE (host mx.far.example[198.51.100.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))`,
			"x@far.example=deferred"},
		{"expired", []string{"x@far.example", "y@far.example"}, begin + `
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=none, ` + delays + `dsn=4.4.1, status=deferred (connect to far.example: timed out)
			10:00:02 postfix/smtp: A0B1C2D3E4: to=<y@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 ok)
			10:00:03 postfix/qmgr: A0B1C2D3E4: from=<sender@corp.example>, status=expired, returned to sender` + end,
			"x@far.example=expired y@far.example=relayed_remote"},
		{"probes say nothing", []string{"x@far.example"}, begin + `
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=5.1.1, status=undeliverable (host said no)`,
			"x@far.example=queued"},
		{"an alias with three members", []string{"team@corp.example", "x@far.example"}, begin + `
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<a@corp.example>, orig_to=<team@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<b@corp.example>, orig_to=<team@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <b> Saved)
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<c@far.example>, orig_to=<team@corp.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=5.1.1, status=bounced (host mx.far.example[198.51.100.1] said: 550 no)
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 ok)` + end,
			"team@corp.example=expanded x@far.example=relayed_remote +a@corp.example=delivered_mailbox +b@corp.example=delivered_mailbox +c@far.example=bounced"},
		{"an alias that contains itself, the others later", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<a@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)
			10:00:02 postfix/smtp: A0B1C2D3E4: to=<b@far.example>, orig_to=<a@corp.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=4.0.0, status=deferred (host mx.far.example[198.51.100.1] said: 451 later)`,
			"a@corp.example=expanded +a@corp.example=delivered_mailbox +b@far.example=deferred"},
		{"an alias that contains itself, the others first", []string{"a@corp.example"}, begin + `
			10:00:02 postfix/smtp: A0B1C2D3E4: to=<b@far.example>, orig_to=<a@corp.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=4.0.0, status=deferred (host mx.far.example[198.51.100.1] said: 451 later)
			10:00:03 postfix/lmtp: A0B1C2D3E4: to=<a@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)`,
			"a@corp.example=expanded +b@far.example=deferred +a@corp.example=delivered_mailbox"},
		{"local aliases forward, an alias in an alias", []string{"team@corp.example"}, begin + `
			10:00:01 postfix/cleanup: B1B1B1B1B1: message-id=<m1@corp.example>
			10:00:01 postfix/qmgr: B1B1B1B1B1: from=<sender@corp.example>, size=600, nrcpt=2 (queue active)
			10:00:01 postfix/local: A0B1C2D3E4: to=<team@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (forwarded as B1B1B1B1B1)
			10:00:01 postfix/qmgr: A0B1C2D3E4: removed
			10:00:02 postfix/local: B1B1B1B1B1: to=<a@corp.example>, orig_to=<team@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (delivered to mailbox)
			10:00:02 postfix/cleanup: C1C1C1C1C1: message-id=<m1@corp.example>
			10:00:02 postfix/local: B1B1B1B1B1: to=<sub@corp.example>, orig_to=<team@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (forwarded as C1C1C1C1C1)
			10:00:02 postfix/qmgr: B1B1B1B1B1: removed
			10:00:03 postfix/smtp: C1C1C1C1C1: to=<x@far.example>, orig_to=<sub@corp.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 ok)
			10:00:03 postfix/qmgr: C1C1C1C1C1: removed`,
			"team@corp.example=expanded +a@corp.example=delivered_mailbox +x@far.example=relayed_remote"},
		{"a .forward that keeps a copy", []string{"u@corp.example"}, begin + `
			10:00:01 postfix/local: A0B1C2D3E4: to=<u@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (delivered to mailbox)
			10:00:01 postfix/local: A0B1C2D3E4: to=<u@corp.example>, relay=local, ` + delays + `dsn=2.0.0, status=sent (forwarded as B1B1B1B1B1)
			10:00:02 postfix/smtp: B1B1B1B1B1: to=<x@far.example>, orig_to=<u@corp.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 ok)`,
			"u@corp.example=expanded +u@corp.example=delivered_mailbox +x@far.example=relayed_remote"},
		{"a content filter counts once", []string{"a@corp.example", "x@far.example"}, begin + `
			10:00:01 postfix/filter/smtpd: B1B1B1B1B1: client=localhost[127.0.0.1]
			10:00:01 postfix/cleanup: B1B1B1B1B1: message-id=<m1@corp.example>
			10:00:01 postfix/qmgr: B1B1B1B1B1: from=<sender@corp.example>, size=600, nrcpt=2 (queue active)
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<a@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as B1B1B1B1B1)
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=127.0.0.1[127.0.0.1]:10024, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as B1B1B1B1B1)
			10:00:01 postfix/qmgr: A0B1C2D3E4: removed
			10:00:02 postfix/lmtp: B1B1B1B1B1: to=<a@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)
			10:00:03 postfix/smtp: B1B1B1B1B1: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 ok)
			10:00:04 postfix/qmgr: B1B1B1B1B1: removed`,
			"a@corp.example=delivered_mailbox x@far.example=relayed_remote"},
		{"a content filter whose second half is logged first", []string{"a@corp.example", "x@far.example"}, `
			10:00:01 postfix/qmgr: B1B1B1B1B1: from=<sender@corp.example>, size=600, nrcpt=2 (queue active)
			10:00:02 postfix/lmtp: B1B1B1B1B1: to=<a@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)
			10:00:03 postfix/smtp: B1B1B1B1B1: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 ok)
			10:00:04 postfix/qmgr: B1B1B1B1B1: removed
			10:00:01 postfix/filter/smtpd: B1B1B1B1B1: client=localhost[127.0.0.1]
			` + begin + `
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=127.0.0.1[127.0.0.1]:10024, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<a@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)` + end,
			"a@corp.example=delivered_mailbox x@far.example=relayed_remote"},
		{"a group before the content filter", []string{"team@corp.example"}, begin + `
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<a@corp.example>, orig_to=<team@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<b@corp.example>, orig_to=<team@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
			10:00:02 postfix/lmtp: B1B1B1B1B1: to=<a@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)
			10:00:02 postfix/lmtp: B1B1B1B1B1: to=<b@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <b> Saved)`,
			"team@corp.example=expanded +a@corp.example=delivered_mailbox +b@corp.example=delivered_mailbox"},
		{"the next relay is on another host whose log we have", []string{"x@far.example"}, begin + `
			10:00:01 @mx2 postfix/smtpd: B1B1B1B1B1: client=mx1[192.0.2.1]
			10:00:01 @mx2 postfix/cleanup: B1B1B1B1B1: message-id=<m1@corp.example>
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx2.corp.example[192.0.2.2]:25, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
			10:00:02 @mx2 postfix/smtp: B1B1B1B1B1: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=5.7.1, status=bounced (host mx.far.example[198.51.100.1] said: 554 5.7.1 spam)`,
			"x@far.example=bounced"},
		{"a remote queue id that is by chance one of ours", []string{"x@far.example"}, begin + `
			10:00:01 postfix/smtpd: B1B1B1B1B1: client=mx1[192.0.2.1]
			10:00:01 postfix/cleanup: B1B1B1B1B1: message-id=<other@corp.example>
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B1B1B1B1B1)
			10:00:02 postfix/smtp: B1B1B1B1B1: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=5.7.1, status=bounced (host said: 554 5.7.1 spam)`,
			"x@far.example=relayed_remote"},
		{"requeued", []string{"x@far.example"}, begin + `
			10:00:01 postfix/smtp: A0B1C2D3E4: to=<x@far.example>, relay=none, ` + delays + `dsn=4.4.1, status=deferred (connect to far.example: timed out)
			10:00:02 postfix/postsuper: A0B1C2D3E4: requeued
			10:00:03 postfix/pickup: B1B1B1B1B1: uid=0 from=<sender@corp.example> orig_id=A0B1C2D3E4
			10:00:03 postfix/cleanup: B1B1B1B1B1: message-id=<m1@corp.example>
			10:00:04 postfix/smtp: B1B1B1B1B1: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, ` + delays + `dsn=2.0.0, status=sent (250 ok)
			10:00:05 postfix/qmgr: B1B1B1B1B1: removed`,
			"x@far.example=relayed_remote"},
		{"an archive copy is nobody's", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<archive@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <archive> Saved)
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<a@corp.example>, relay=mx1[private/lmtp], ` + delays + `dsn=4.2.2, status=deferred (host mx1[private/lmtp] said: 452 4.2.2 full)`,
			"a@corp.example=deferred"},
		{"an unknown orig_to of a message to one", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<z@corp.example>, orig_to=<A.lias@old.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <z> Saved)`,
			"a@corp.example=expanded +z@corp.example=delivered_mailbox"},
		{"an unknown orig_to of a message to two", []string{"a@corp.example", "b@corp.example"}, begin + `
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<z@corp.example>, orig_to=<A.lias@old.example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <z> Saved)`,
			"a@corp.example=queued b@corp.example=queued"},
		{"a bare postmaster", []string{"postmaster"}, begin + `
			10:00:01 postfix/local: A0B1C2D3E4: to=<postmaster@mx1.corp.example>, orig_to=<postmaster>, relay=local, ` + delays + `dsn=2.0.0, status=sent (delivered to mailbox)`,
			"postmaster=delivered_mailbox"},
		{"case does not matter", []string{"Ann.Lee@Corp.Example"}, begin + `
			10:00:01 postfix/lmtp: A0B1C2D3E4: to=<ann.lee@corp.example>, orig_to=<Ann.Lee@Corp.Example>, relay=mx1[private/lmtp], ` + delays + `dsn=2.0.0, status=sent (250 2.0.0 <ann> Saved)`,
			"Ann.Lee@Corp.Example=delivered_mailbox"},
		{"another milter discards", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/cleanup: A0B1C2D3E4: milter-discard: END-OF-MESSAGE from pc[192.0.2.7]: milter triggers DISCARD action; from=<sender@corp.example> to=<a@corp.example> proto=ESMTP helo=<pc>`,
			"a@corp.example=blocked"},
		{"another milter rejects", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/cleanup: A0B1C2D3E4: milter-reject: END-OF-MESSAGE from pc[192.0.2.7]: 5.7.1 virus; from=<sender@corp.example> to=<a@corp.example> proto=ESMTP helo=<pc>`,
			"a@corp.example=blocked"},
		{"another milter rejects for now", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/cleanup: A0B1C2D3E4: milter-reject: END-OF-MESSAGE from pc[192.0.2.7]: 4.7.1 Service unavailable - try again later; from=<sender@corp.example> to=<a@corp.example> proto=ESMTP helo=<pc>`,
			"a@corp.example=never_queued"},
		{"held and let go by hand", []string{"a@corp.example"}, begin + `
			10:00:01 postfix/postsuper: A0B1C2D3E4: placed on hold
			10:00:02 postfix/postsuper: A0B1C2D3E4: released from hold`,
			"a@corp.example=queued"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			id := s.accept(letter{queueID: "A0B1C2D3E4", to: c.to})
			s.read(c.log)
			s.tick()
			s.want(id, c.want)

			// Read again, by a new process, it says nothing new.
			before := s.events(id, policy.DeliveredMailbox) + s.events(id, policy.RelayedRemote) + s.events(id, policy.Deferred)
			s.restart()
			s.read(c.log)
			s.want(id, c.want)
			if after := s.events(id, policy.DeliveredMailbox) + s.events(id, policy.RelayedRemote) + s.events(id, policy.Deferred); after != before {
				t.Errorf("%d events after the second reading, %d before", after, before)
			}
		})
	}
}
