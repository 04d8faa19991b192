package postlog

import (
	"testing"
	"time"
)

// said is a line of a program of the instance "postfix".
func said(service, text string) Line {
	return Line{Tag: "postfix/" + service, Instance: "postfix", Service: service, Text: text}
}

// check compares what is read from a line, but for the line itself.
func check(t *testing.T, l Line, want Entry) {
	t.Helper()
	got, ok := l.Entry()
	if !ok {
		t.Fatal("no statement")
	}
	want.Line = l
	if want.QueueID == "" && want.Kind != Rejected {
		want.QueueID = "4XyZ12AbczKqR"
	}
	if got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

const q = "4XyZ12AbczKqR: "

func TestOpened(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Entry
	}{
		"client": {"client=mail.example.com[192.0.2.1]", Entry{ClientName: "mail.example.com", ClientAddr: "192.0.2.1"}},
		"IPv6":   {"client=unknown[2001:db8::1]", Entry{ClientName: "unknown", ClientAddr: "2001:db8::1"}},
		"port":   {"client=unknown[2001:db8::1]:54321", Entry{ClientName: "unknown", ClientAddr: "2001:db8::1"}},
		"login": {"client=pc[192.0.2.1], sasl_method=PLAIN, sasl_username=ann@example.com",
			Entry{ClientName: "pc", ClientAddr: "192.0.2.1", SASLUser: "ann@example.com"}},
		"login with odd characters": {"client=pc[192.0.2.1], sasl_method=PLAIN, sasl_username=EXAMPLE\\ann, the [first] = x",
			Entry{ClientName: "pc", ClientAddr: "192.0.2.1", SASLUser: "EXAMPLE\\ann, the [first] = x"}},
		"login and queue id before": {"client=gw[192.0.2.1], sasl_method=PLAIN, sasl_username=ann b, orig_queue_id=01KAJ5, orig_client=pc[198.51.100.7]",
			Entry{ClientName: "gw", ClientAddr: "192.0.2.1", SASLUser: "ann b", OrigQueueID: "01KAJ5"}},
		"queue id before": {"client=gw[192.0.2.1], orig_queue_id=3F2A91C0DE, orig_client=unknown[198.51.100.7]",
			Entry{ClientName: "gw", ClientAddr: "192.0.2.1", OrigQueueID: "3F2A91C0DE"}},
		"queue id before, only": {"client=gw[192.0.2.1], orig_queue_id=3F2A91C0DE", Entry{ClientName: "gw", ClientAddr: "192.0.2.1", OrigQueueID: "3F2A91C0DE"}},
		"AUTH=": {"client=pc[192.0.2.1], sasl_method=LOGIN, sasl_username=ann, sasl_sender=bob@example.com",
			Entry{ClientName: "pc", ClientAddr: "192.0.2.1", SASLUser: "ann"}},
		"AUTH= that imitates a queue id before": {"client=pc[192.0.2.1], sasl_method=LOGIN, sasl_username=ann, sasl_sender=b, orig_queue_id=01KAJ5",
			Entry{ClientName: "pc", ClientAddr: "192.0.2.1", SASLUser: "ann"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Kind = Opened
			check(t, said("smtpd", q+c.text), c.want)
		})
	}
}

func TestReceiving(t *testing.T) {
	for name, c := range map[string]struct {
		service, text string
		want          Entry
	}{
		"sendmail command":        {"pickup", "uid=33 from=<www-data>", Entry{Kind: PickedUp, UID: 33, From: "www-data"}},
		"null sender":             {"pickup", "uid=0 from=<>", Entry{Kind: PickedUp}},
		"requeued":                {"pickup", "uid=106 from=<a@example.com> orig_id=3F2A91C0DE", Entry{Kind: PickedUp, UID: 106, From: "a@example.com", OrigID: "3F2A91C0DE"}},
		"sender that imitates it": {"pickup", "uid=1000 from=<x> orig_id=3F2A91C0DE>", Entry{Kind: PickedUp, UID: 1000, From: "x> orig_id=3F2A91C0DE"}},
		"Message-ID":              {"cleanup", "message-id=<a@example.com>", Entry{Kind: Message, MessageID: "<a@example.com>"}},
		"no Message-ID":           {"cleanup", "message-id=<>", Entry{Kind: Message}},
		"Message-ID, bare":        {"cleanup", "message-id=a b@example.com", Entry{Kind: Message, MessageID: "a b@example.com"}},
		"Message-ID, text behind": {"cleanup", "message-id= <a@example.com> (added by x) ", Entry{Kind: Message, MessageID: "<a@example.com>"}},
		"Message-ID, not closed":  {"cleanup", "message-id=<a@example.com", Entry{Kind: Message, MessageID: "<a@example.com"}},
		"Resent-Message-ID":       {"cleanup", "resent-message-id=<a@example.com>", Entry{Kind: Message, MessageID: "<a@example.com>", Resent: true}},
		"removed before it was":   {"cleanup", "removed (canceled)", Entry{Kind: Removed, Canceled: true}},
		"discarded before it was": {"cleanup", "removed (discarded)", Entry{Kind: Removed, Canceled: true}},
		"cleanup bounces":         {"cleanup", "to=<a@example.com>, relay=none, delay=0.1, delays=0.1/0/0/0, dsn=5.4.6, status=bounced (alias loop)", Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "none"}, Delay: 100 * time.Millisecond, Delays: [4]time.Duration{100 * time.Millisecond}, DSN: "5.4.6", Status: Bounced, Text: "alias loop"}},
		"active":                  {"qmgr", "from=<a@example.com>, size=1234, nrcpt=2 (queue active)", Entry{Kind: Active, From: "a@example.com", Size: 1234, Recipients: 2}},
		"active, nqmgr":           {"nqmgr", "from=<>, size=5, nrcpt=1 (queue active)", Entry{Kind: Active, Size: 5, Recipients: 1}},
		"active, odd sender":      {"qmgr", `from=<"a, size=1, nrcpt=9 (queue active)"@example.com>, size=5, nrcpt=1 (queue active)`, Entry{Kind: Active, From: `"a, size=1, nrcpt=9 (queue active)"@example.com`, Size: 5, Recipients: 1}},
		"active, brackets lost":   {"qmgr", "from=, size=5, nrcpt=1 (queue active)", Entry{Kind: Active, Size: 5, Recipients: 1}},
		"expired":                 {"qmgr", "from=<a@example.com>, status=expired, returned to sender", Entry{Kind: Expired, From: "a@example.com", Status: "expired"}},
		"expired by order":        {"qmgr", "from=<a@example.com>, status=force-expired, returned to sender", Entry{Kind: Expired, From: "a@example.com", Status: "force-expired"}},
		"removed":                 {"qmgr", "removed", Entry{Kind: Removed}},
		"skipped":                 {"qmgr", "skipped, still being delivered", Entry{Kind: Skipped}},
		"deferred by qmgr":        {"qmgr", "to=<a@example.com>, relay=none, delay=2, delays=1/1/0/0, dsn=4.3.0, status=deferred (mail transport unavailable)", Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "none"}, Delay: 2 * time.Second, Delays: [4]time.Duration{time.Second, time.Second}, DSN: "4.3.0", Status: Deferred, Text: "mail transport unavailable"}},
		"postsuper -d":            {"postsuper", "removed", Entry{Kind: Removed}},
		"postsuper -h":            {"postsuper", "placed on hold", Entry{Kind: Held}},
		"postsuper -H":            {"postsuper", "released from hold", Entry{Kind: Unheld}},
		"postsuper -r":            {"postsuper", "requeued", Entry{Kind: Requeued}},
		"postsuper -e":            {"postsuper", "expired", Entry{Kind: Doomed}},
		"bounce":                  {"bounce", "sender non-delivery notification: 3F2A91C0DE", Entry{Kind: Notification, NotificationKind: SenderNonDelivery, NotificationID: "3F2A91C0DE"}},
		"delay":                   {"defer", "sender delay notification: 3F2A91C0DE", Entry{Kind: Notification, NotificationKind: SenderDelay, NotificationID: "3F2A91C0DE"}},
		"delivery status":         {"bounce", "sender delivery status notification: 3F2A91C0DE", Entry{Kind: Notification, NotificationKind: SenderDeliveryStatus, NotificationID: "3F2A91C0DE"}},
		"postmaster":              {"bounce", "postmaster non-delivery notification: 3F2A91C0DE", Entry{Kind: Notification, NotificationKind: PostmasterNonDelivery, NotificationID: "3F2A91C0DE"}},
		"postmaster, delay":       {"bounce", "postmaster delay notification: 3F2A91C0DE", Entry{Kind: Notification, NotificationKind: PostmasterDelay, NotificationID: "3F2A91C0DE"}},
	} {
		t.Run(name, func(t *testing.T) { check(t, said(c.service, q+c.text), c.want) })
	}
}

func TestDecisions(t *testing.T) {
	const env = "; from=<a@example.com> to=<b@example.net> proto=ESMTP helo=<mx.example.com>"
	act := func(action, stage, text string) Entry {
		return Entry{Kind: MilterAct, Action: action, Milter: true, Stage: stage, ClientName: "pc", ClientAddr: "192.0.2.1",
			Text: text, From: "a@example.com", To: "b@example.net"}
	}
	with := func(e Entry, change func(*Entry)) Entry { change(&e); return e }
	byTable := func(e *Entry) { e.Milter = false }
	for name, c := range map[string]struct {
		service, text string
		want          Entry
	}{
		"milter hold":    {"cleanup", "milter-hold: END-OF-MESSAGE from pc[192.0.2.1]: milter triggers HOLD action" + env, act("hold", "END-OF-MESSAGE", "milter triggers HOLD action")},
		"milter discard": {"cleanup", "milter-discard: END-OF-MESSAGE from pc[192.0.2.1]: milter triggers DISCARD action" + env, act("discard", "END-OF-MESSAGE", "milter triggers DISCARD action")},
		"milter reject": {"cleanup", "milter-reject: END-OF-MESSAGE from pc[192.0.2.1]: 5.7.1 Spam; see policy" + env,
			with(act("reject", "END-OF-MESSAGE", "5.7.1 Spam; see policy"), func(e *Entry) { e.DSN = "5.7.1" })},
		"milter reject with code": {"cleanup", "milter-reject: DATA from pc[192.0.2.1]: 451 4.7.1 Later" + env,
			with(act("reject", "DATA", "451 4.7.1 Later"), func(e *Entry) { e.Code, e.DSN = 451, "4.7.1" })},
		"milter in smtpd":     {"smtpd", "milter-discard: RCPT from pc[192.0.2.1]: milter triggers DISCARD action" + env, act("discard", "RCPT", "milter triggers DISCARD action")},
		"milter header check": {"cleanup", "milter-header-discard: header X-Spam: yes from pc[192.0.2.1]" + env + ": as told", with(act("discard", "header", "as told"), func(*Entry) {})},
		"hold by access map": {"smtpd", "hold: RCPT from pc[192.0.2.1]: <b@example.net>: Recipient address triggers HOLD action" + env,
			with(act("hold", "RCPT", "<b@example.net>: Recipient address triggers HOLD action"), byTable)},
		"hold by header": {"cleanup", "hold: header Subject: x; from=<z> to=<y> from pc[192.0.2.1]" + env + ": wait",
			with(act("hold", "header", "wait"), byTable)},
		"reject by body": {"cleanup", "reject: body buy now from pc[192.0.2.1]" + env + ": 5.7.1 No ads",
			with(act("reject", "body", "5.7.1 No ads"), func(e *Entry) { e.Milter, e.DSN = false, "5.7.1" })},
		"discard by header, no reason": {"cleanup", "discard: header Subject: x from pc[192.0.2.1]" + env,
			with(act("discard", "header", "header Subject: x from pc[192.0.2.1]"), byTable)},
		"local mail": {"cleanup", "reject: header Subject: x from local; from=<a@example.com> to=<b@example.net>: 5.7.1 no",
			with(act("reject", "header", "5.7.1 no"), func(e *Entry) { e.Milter, e.ClientName, e.ClientAddr, e.DSN = false, "local", "", "5.7.1" })},
		"MIME error": {"cleanup", "reject: mime-error improper use of 8-bit data in message header: Subject: ? from pc[192.0.2.1]; from=<a@example.com> to=<b@example.net>",
			with(act("reject", "mime-error", "mime-error improper use of 8-bit data in message header: Subject: ? from pc[192.0.2.1]"), byTable)},
	} {
		t.Run(name, func(t *testing.T) { check(t, said(c.service, q+c.text), c.want) })
	}
}

func TestRejected(t *testing.T) {
	unknown := Entry{Stage: "RCPT", ClientName: "unknown", ClientAddr: "192.0.2.9", Code: 550, DSN: "5.1.1",
		Text: "550 5.1.1 <b@example.net>: Recipient address rejected: User unknown", From: "a@example.com", To: "b@example.net"}
	with := func(change func(*Entry)) Entry { e := unknown; change(&e); return e }
	const rcpt = "RCPT from unknown[192.0.2.9]: 550 5.1.1 <b@example.net>: Recipient address rejected: User unknown; from=<a@example.com> to=<b@example.net> proto=ESMTP helo=<x>"
	for name, c := range map[string]struct {
		service, text string
		want          Entry
	}{
		"before the queue file": {"smtpd", "NOQUEUE: reject: " + rcpt, unknown},
		"with a queue file":     {"smtpd", q + "reject: " + rcpt, with(func(e *Entry) { e.QueueID = "4XyZ12AbczKqR" })},
		"by a milter":           {"smtpd", "NOQUEUE: milter-reject: " + rcpt, with(func(e *Entry) { e.Milter = true })},
		"login at the end":      {"smtpd", "NOQUEUE: reject: " + rcpt + " sasl_username=<ann>", unknown},
		"client with port":      {"smtpd", "NOQUEUE: reject: RCPT from unknown[192.0.2.9]:2525" + rcpt[len("RCPT from unknown[192.0.2.9]"):], unknown},
		"null sender":           {"smtpd", "NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 450 4.7.1 Later; from=<> to=<b@example.net> proto=SMTP helo=<x>", with(func(e *Entry) { e.From, e.Code, e.DSN, e.Text = "", 450, "4.7.1", "450 4.7.1 Later" })},
		"at MAIL": {"smtpd", "NOQUEUE: reject: MAIL from unknown[192.0.2.9]: 452 4.3.1 Insufficient system storage; from=<a@example.com> proto=ESMTP helo=<x>", with(func(e *Entry) {
			e.Stage, e.To, e.Code, e.DSN, e.Text = "MAIL", "", 452, "4.3.1", "452 4.3.1 Insufficient system storage"
		})},
		"at CONNECT": {"smtpd", "NOQUEUE: reject: CONNECT from unknown[192.0.2.9]: 554 5.7.1 <unknown[192.0.2.9]>: Client host rejected: no; proto=SMTP", with(func(e *Entry) {
			e.Stage, e.From, e.To, e.Code, e.DSN, e.Text = "CONNECT", "", "", 554, "5.7.1", "554 5.7.1 <unknown[192.0.2.9]>: Client host rejected: no"
		})},
		"at end of message": {"smtpd", q + "milter-reject: END-OF-MESSAGE from unknown[192.0.2.9]: 5.7.1 no; from=<a@example.com> to=<b@example.net> proto=ESMTP helo=<x>", with(func(e *Entry) {
			e.QueueID, e.Milter, e.Stage, e.Code, e.DSN, e.Text = "4XyZ12AbczKqR", true, "END-OF-MESSAGE", 0, "5.7.1", "5.7.1 no"
		})},
		"by a proxy": {"smtpd", "proxy-reject: END-OF-MESSAGE: 554 5.7.0 Reject; from=<a@example.com> to=<b@example.net> proto=ESMTP helo=<x>", Entry{Stage: "END-OF-MESSAGE", Code: 554, DSN: "5.7.0", Text: "554 5.7.0 Reject", From: "a@example.com", To: "b@example.net"}},
		"postscreen": {"postscreen", "NOQUEUE: reject: RCPT from [192.0.2.9]:4984: 550 5.7.1 Service unavailable; client [192.0.2.9] blocked using dnsbl.example.org; from=<a@example.com>, to=<b@example.net>, proto=ESMTP, helo=<x>", with(func(e *Entry) {
			e.ClientName, e.DSN, e.Text = "", "5.7.1", "550 5.7.1 Service unavailable; client [192.0.2.9] blocked using dnsbl.example.org"
		})},
		"postscreen, too many":   {"postscreen", "NOQUEUE: reject: CONNECT from [2001:db8::9]:1337: too many connections", Entry{Stage: "CONNECT", ClientAddr: "2001:db8::9", Text: "too many connections"}},
		"no status code":         {"smtpd", "NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 550 no; from=<a@example.com> to=<b@example.net> proto=ESMTP helo=<x>", with(func(e *Entry) { e.DSN, e.Text = "", "550 no" })},
		"client without address": {"smtpd", "NOQUEUE: reject: RCPT from unknown[unknown]: 550 no; from=<a@example.com> to=<b@example.net> proto=ESMTP helo=<x>", with(func(e *Entry) { e.ClientAddr, e.DSN, e.Text = "unknown", "", "550 no" })},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Kind = Rejected
			check(t, said(c.service, c.text), c.want)
		})
	}
}

func TestConversations(t *testing.T) {
	mx := Relay{Name: "mx.example.net", Addr: "2001:db8::25"}
	for name, c := range map[string]struct {
		text string
		want Entry
	}{
		"said": {"host mx.example.net[2001:db8::25] said: 450 4.2.0 Greylisted (in reply to RCPT TO command)",
			Entry{Kind: Said, Relay: mx, Code: 450, DSN: "4.2.0", Text: "450 4.2.0 Greylisted (in reply to RCPT TO command)"}},
		"said, several lines": {"host mx.example.net[2001:db8::25] said: 550-5.7.1 Go 550 5.7.1 away (in reply to end of DATA command)",
			Entry{Kind: Said, Relay: mx, Code: 550, DSN: "5.7.1", Text: "550-5.7.1 Go 550 5.7.1 away (in reply to end of DATA command)"}},
		"refused": {"host mx.example.net[2001:db8::25] refused to talk to me: 554 no",
			Entry{Kind: Said, Relay: mx, Code: 554, Text: "554 no"}},
		"lost at the end": {"lost connection with mx.example.net[2001:db8::25] while sending end of data -- message may be sent more than once",
			Entry{Kind: Ambiguous, MayBeDuplicate: true, Relay: mx, Text: "lost connection with mx.example.net[2001:db8::25] while sending end of data -- message may be sent more than once"}},
		"timeout at the end": {"conversation with mx.example.net[2001:db8::25] timed out while sending end of data -- message may be sent more than once",
			Entry{Kind: Ambiguous, MayBeDuplicate: true, Relay: mx, Text: "conversation with mx.example.net[2001:db8::25] timed out while sending end of data -- message may be sent more than once"}},
	} {
		t.Run(name, func(t *testing.T) { check(t, said("smtp", q+c.text), c.want) })
	}
}

// TestNoStatements are lines that decide nothing, or are not Postfix's.
func TestNoStatements(t *testing.T) {
	for _, c := range [][2]string{
		{"smtpd", "connect from unknown[192.0.2.1]"},
		{"smtpd", "disconnect from unknown[192.0.2.1] ehlo=1 mail=1 quit=1 commands=3"},
		{"smtpd", "NOQUEUE: client=unknown[192.0.2.1]"},
		{"smtpd", "NOQUEUE: reject_warning: RCPT from unknown[192.0.2.1]: 550 5.1.1 no; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", q + "reject_warning: RCPT from unknown[192.0.2.1]: 550 5.1.1 no; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", "NOQUEUE: warn: RCPT from unknown[192.0.2.1]: look; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", "NOQUEUE: discard: RCPT from unknown[192.0.2.1]: triggers DISCARD action; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", "NOQUEUE: hold: RCPT from unknown[192.0.2.1]: triggers HOLD action; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", "NOQUEUE: filter: RCPT from unknown[192.0.2.1]: triggers FILTER x; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", q + "redirect: RCPT from unknown[192.0.2.1]: triggers REDIRECT c; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", q + "bcc: RCPT from unknown[192.0.2.1]: triggers BCC c; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as 4XyZ12Abc; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"smtpd", "warning: hostname mx.example.com does not resolve to address 192.0.2.1"},
		{"smtpd", "NOQUEUE: reject: what?"},
		{"smtpd", "NOQUEUE: reject: RCPT from unknown"},
		{"smtpd", "removed"},
		{"smtpd", q + "to=<a>, relay=none, delay=1, dsn=2.0.0, status=sent (x)"},
		{"cleanup", q + "milter-header-redirect: header X: y from pc[192.0.2.1]; from=<a> to=<b> proto=SMTP helo=<x>: c"},
		{"cleanup", q + "warning: header Subject: to=<a> from pc[192.0.2.1]; from=<a> to=<b> proto=SMTP helo=<x>"},
		{"cleanup", q + "prepend: header From: a from pc[192.0.2.1]; from=<a> to=<b> proto=SMTP helo=<x>: X: y"},
		{"cleanup", q + "reject: what?"},
		{"cleanup", q + "removed spurious defer log"},
		{"cleanup", "warning: 4XyZ12Abc: message-id=<a>"},
		{"qmgr", "warning: bounce_queue_lifetime is larger than maximal_queue_lifetime"},
		{"qmgr", q + "from=<a>, size=big, nrcpt=1 (queue active)"},
		{"qmgr", q + "from=<a>, size=1"},
		{"qmgr", q + "from=<a>, status=odd"},
		{"postsuper", "Deleted: 3 messages"},
		{"postsuper", "Placed on hold: 1 message"},
		{"postsuper", "Requeued: 1 message"},
		{"postsuper", q + "renamed"},
		{"bounce", q + "sender odd notification: 3F2A91C0DE"},
		{"bounce", q + "sender non-delivery notification: none"},
		{"pickup", q + "uid=33: no envelope sender"},
		{"pickup", q + "message has been queued for 3 days"},
		{"smtp", "connect to mx.example.net[192.0.2.1]:25: Connection timed out"},
		{"smtp", "Untrusted TLS connection established to mx.example.net[192.0.2.1]:25: TLSv1.3 with cipher X (256/256 bits)"},
		{"smtp", q + "lost connection with mx.example.net[192.0.2.1] while receiving the initial server greeting"},
		{"smtp", q + "enabling PIX workarounds: disable_esmtp delay_dotcrlf for mx.example.net[192.0.2.1]:25"},
		{"smtp", q + "host mx.example.net"},
		{"smtp", q + " sending end of data -- message may be sent more than once"},
		{"smtp", q + "to=<a@example.com>, relay=mx.example.net[192.0.2.1]:25, delay=1, del"},
		{"smtp", q + "to=<a@example.com>"},
		{"smtp", q + "to=<a@example.com>, relay=none, delay=1, dsn=2.0.0, status="},
		{"smtp", q + "to=<a@example.com>, relay=none, delay=1, dsn=2.0.0, status= (x)"},
		{"smtp", "NOQUEUE: to=<a@example.com>, relay=none, delay=1, dsn=2.0.0, status=sent (x)"},
		{"smtp", "to=<a@example.com>, relay=none, delay=1, dsn=2.0.0, status=sent (x)"},
		{"sm-mta", q + "to=<a@example.com>, delay=00:00:01, mailer=esmtp, dsn=2.0.0, stat=Sent (x)"},
		{"opendkim", q + "DKIM-Signature field added (s=a, d=example.com)"},
		{"anvil", "statistics: max connection count 1 for (smtpd:192.0.2.1) at Oct 26 18:13:50"},
		{"master", "daemon started -- version 3.7.11, configuration /etc/postfix"},
		{"smtp", ""},
	} {
		if e, ok := said(c[0], c[1]).Entry(); ok {
			t.Errorf("%s: %s: got %+v", c[0], c[1], e)
		}
	}
}
