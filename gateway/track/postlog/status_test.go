package postlog

import (
	"testing"
	"time"
)

func TestStatus(t *testing.T) {
	// sent is what each of these lines says but for what its name tells.
	sent := Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "mx.example.com", Addr: "192.0.2.1", Port: 25},
		Delay: 1250 * time.Millisecond, Delays: [4]time.Duration{50 * time.Millisecond, 0, 200 * time.Millisecond, time.Second},
		DSN: "2.0.0", Code: 250, Status: Sent, Text: "250 2.0.0 Ok"}
	with := func(change func(*Entry)) Entry { e := sent; change(&e); return e }
	const mid = ", delay=1.25, delays=0.05/0/0.2/1, dsn=2.0.0, status="
	const tail = ", relay=mx.example.com[192.0.2.1]:25" + mid + "sent (250 2.0.0 Ok)"
	here := func(relay, text, action string) (string, Entry) {
		return "to=<a@example.com>, relay=" + relay + mid + "sent (" + text + ")", with(func(e *Entry) {
			e.Relay, e.Code, e.Text, e.Action = Relay{Name: relay}, 0, text, action
		})
	}
	to := func(address string) Entry { return with(func(e *Entry) { e.To = address }) }
	type row struct {
		text string
		want Entry
	}
	rows := map[string]row{
		"sent":                        {"to=<a@example.com>" + tail, sent},
		"orig_to":                     {"to=<a@example.com>, orig_to=<team@example.com>" + tail, with(func(e *Entry) { e.OrigTo = "team@example.com" })},
		"orig_to without domain":      {"to=<a@example.com>, orig_to=<root>" + tail, with(func(e *Entry) { e.OrigTo = "root" })},
		"connection reused":           {"to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, conn_use=3" + mid + "sent (250 2.0.0 Ok)", sent},
		"tls":                         {"to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1.25, delays=0.05/0/0.2/1, tls=dane/verified, dsn=2.0.0, status=sent (250 2.0.0 Ok)", sent},
		"unknown fields":              {"to=<a@example.com>, new=<x>, relay=mx.example.com[192.0.2.1]:25, flag" + mid + "sent (250 2.0.0 Ok)", sent},
		"no blank before the text":    {"to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25" + mid + "sent(250 2.0.0 Ok)", sent},
		"number behind":               {"to=<a@example.com>" + tail + " 215", sent},
		"brackets lost":               {"to=a@example.com, orig_to=root" + tail, with(func(e *Entry) { e.OrigTo = "root" })},
		"quoted local part":           {`to=<"a b"@example.com>` + tail, to(`"a b"@example.com`)},
		"quoted >":                    {`to=<"a>, relay=none, status=sent (x"@example.com>` + tail, to(`"a>, relay=none, status=sent (x"@example.com`)},
		"quoted quote":                {`to=<"a\">, relay=b\\"@example.com>, orig_to=<"x>, relay=y"@example.com>` + tail, with(func(e *Entry) { e.To, e.OrigTo = `"a\">, relay=b\\"@example.com`, `"x>, relay=y"@example.com` })},
		"internal format":             {"to=<a b@example.com>" + tail, to("a b@example.com")},
		"internal format, >":          {"to=<a>, b@example.com>" + tail, to("a>, b@example.com")},
		"internal format, > and <":    {"to=<a> <b@example.com>, orig_to=<c>>" + tail, with(func(e *Entry) { e.To, e.OrigTo = "a> <b@example.com", "c>" })},
		"internal format, quote":      {`to=<"a@example.com>` + tail, to(`"a@example.com`)},
		"internal format, two quotes": {`to=<"a"b@example.com>` + tail, to(`"a"b@example.com`)},
		"UTF-8":                       {"to=<\u7528\u6237@\u4f8b\u5b50.example>" + tail, to("\u7528\u6237@\u4f8b\u5b50.example")},
		"address literal":             {"to=<a@[IPv6:2001:db8::1]>" + tail, to("a@[IPv6:2001:db8::1]")},
		"IPv6":                        {"to=<a@example.com>, relay=mx.example.com[2001:db8::1]:25" + mid + "sent (250 2.0.0 Ok)", with(func(e *Entry) { e.Relay.Addr = "2001:db8::1" })},
		"no port":                     {"to=<a@example.com>, relay=mx.example.com[192.0.2.1]" + mid + "sent (250 2.0.0 Ok)", with(func(e *Entry) { e.Relay.Port = 0 })},
		"no address":                  {"to=<a@example.com>, relay=127.0.0.1:2525" + mid + "sent (250 2.0.0 Ok)", with(func(e *Entry) { e.Relay = Relay{Name: "127.0.0.1", Port: 2525} })},
		"socket": {"to=<a@example.com>, relay=mx.example.com[private/dovecot-lmtp]" + mid + "sent (250 2.0.0 <a@example.com> xB0eAbc Saved)",
			with(func(e *Entry) {
				e.Relay = Relay{Name: "mx.example.com", Socket: "private/dovecot-lmtp"}
				e.Text = "250 2.0.0 <a@example.com> xB0eAbc Saved"
			})},
		"socket path": {"to=<a@example.com>, relay=mx.example.com[/run/lmtp]" + mid + "sent (250 2.0.0 Ok)",
			with(func(e *Entry) { e.Relay = Relay{Name: "mx.example.com", Socket: "/run/lmtp"} })},
		"before Postfix 2.3": {"to=<a@example.com>, relay=mx.example.com[192.0.2.1], delay=1, status=sent (250 Ok: queued as 3F2A91C0DE)",
			Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "mx.example.com", Addr: "192.0.2.1"}, Delay: time.Second,
				Code: 250, Status: Sent, Text: "250 Ok: queued as 3F2A91C0DE", QueuedAs: "3F2A91C0DE"}},
		"deferred": {"to=<a@example.com>, relay=none, delay=89758, delays=89758/0.02/0/0, dsn=4.4.1, status=deferred (connect to mx.example.com[192.0.2.1]:25: Connection timed out)",
			Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "none"}, Delay: 89758 * time.Second,
				Delays: [4]time.Duration{89758 * time.Second, 20 * time.Millisecond}, DSN: "4.4.1", Status: Deferred,
				Text: "connect to mx.example.com[192.0.2.1]:25: Connection timed out"}},
		"bounced, text with parentheses and status": {"to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: 550 5.1.1 (x), dsn=2.0.0, status=sent (250 ok) (in reply to RCPT TO command))",
			Entry{Kind: Status, To: "a@example.com", Relay: sent.Relay, Delay: time.Second, DSN: "5.1.1", Code: 550, Status: Bounced,
				Text: "host mx.example.com[192.0.2.1] said: 550 5.1.1 (x), dsn=2.0.0, status=sent (250 ok) (in reply to RCPT TO command)"}},
		"bounced, cut": {"to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: 550-5.1.1 (x) The em",
			Entry{Kind: Status, To: "a@example.com", Relay: sent.Relay, Delay: time.Second, DSN: "5.1.1", Code: 550, Status: Bounced,
				Text: "host mx.example.com[192.0.2.1] said: 550-5.1.1 (x) The em"}},
		"cut after the status": {"to=<a@example.com>, relay=none, delay=1, dsn=5.1.1, status=bounced",
			Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "none"}, Delay: time.Second, DSN: "5.1.1", Status: Bounced}},
		"cut before the text": {"to=<a@example.com>, relay=none, delay=1, dsn=5.1.1, status=bounced ",
			Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "none"}, Delay: time.Second, DSN: "5.1.1", Status: Bounced}},
		"soft bounce": {"to=<a@example.com>, relay=local, delay=1, dsn=5.1.1, status=SOFTBOUNCE (unknown user: \"a\")",
			Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "local"}, Delay: time.Second, DSN: "5.1.1", Status: SoftBounce, Text: `unknown user: "a"`}},
		"probe": {"to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1, dsn=2.1.5, status=deliverable (250 2.1.5 Ok)",
			Entry{Kind: Status, To: "a@example.com", Relay: sent.Relay, Delay: time.Second, DSN: "2.1.5", Code: 250, Status: Deliverable, Text: "250 2.1.5 Ok"}},
		"probe, bad": {"to=<a@example.com>, relay=none, delay=1, dsn=5.1.1, status=undeliverable (no)",
			Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "none"}, Delay: time.Second, DSN: "5.1.1", Status: Undeliverable, Text: "no"}},
		"may be sent twice": {"to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1, dsn=4.4.2, status=deferred (conversation with mx.example.com[192.0.2.1] timed out while sending end of data -- message may be sent more than once)",
			Entry{Kind: Status, To: "a@example.com", Relay: sent.Relay, Delay: time.Second, DSN: "4.4.2", Status: Deferred, MayBeDuplicate: true,
				Text: "conversation with mx.example.com[192.0.2.1] timed out while sending end of data -- message may be sent more than once"}},
		"forwarded": {"to=<a@example.com>, relay=local, delay=1, dsn=2.0.0, status=sent (forwarded as 3F2A91C0DE)",
			Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "local"}, Delay: time.Second, DSN: "2.0.0", Status: Sent,
				Text: "forwarded as 3F2A91C0DE", Action: "forwarded", ForwardedAs: "3F2A91C0DE"}},
		"forwarded, cut": {"to=<a@example.com>, relay=local, delay=1, dsn=2.0.0, status=sent (forwarded as 3F2A91",
			Entry{Kind: Status, To: "a@example.com", Relay: Relay{Name: "local"}, Delay: time.Second, DSN: "2.0.0", Status: Sent,
				Text: "forwarded as 3F2A91", Action: "forwarded"}},
	}
	for _, c := range [][3]string{
		{"local", "delivered to mailbox", "mailbox"},
		{"local", "delivered to maildir", "maildir"},
		{"virtual", "delivered to maildir", "maildir"},
		{"local", `delivered to command: procmail -a "$EXTENSION"`, `command: procmail -a "$EXTENSION"`},
		{"local", "delivered to file: /dev/null", "file: /dev/null"},
		{"local", "discarded", "discarded"},
		{"dovecot", "delivered via dovecot service", "service: dovecot"},
		{"spamfilter", "delivered via spamfilter service (queued as 7)", "service: spamfilter"},
		{"none", "example.com", ""}, // discard(8) says what its table says
	} {
		text, want := here(c[0], c[1], c[2])
		if c[0] == "spamfilter" {
			want.QueuedAs = "7"
		}
		rows[c[0]+": "+c[1]] = row{text, want}
	}
	for name, c := range rows {
		t.Run(name, func(t *testing.T) { check(t, said("smtp", q+c.text), c.want) })
	}
}

func TestQueuedAs(t *testing.T) {
	for reply, want := range map[string]string{
		"250 2.0.0 Ok: queued as 4XyZ12AbczKqR":                                                                                  "4XyZ12AbczKqR",
		"250 2.0.0 Ok: 1234 bytes queued as 3F2A91C0DE":                                                                          "3F2A91C0DE",
		"250 Ok: Queued as 3F2A91C0DE.":                                                                                          "3F2A91C0DE",
		"250 queued as (3F2A91C0DE), thank you":                                                                                  "3F2A91C0DE",
		"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 3F2A91C0DE":                                         "3F2A91C0DE",
		"250 2.6.0 Ok, id=07245-11, from MTA([127.0.0.1]:10025): 250 Ok: queued as 3F2A91C0DE":                                   "3F2A91C0DE",
		"250 2.5.0 Ok, id=07245-11, DISCARD(bounce.suppressed)":                                                                  "",
		"250 Ok queued as 1111AAAA; queued as 3F2A91C0DE":                                                                        "3F2A91C0DE",
		"250 2.6.0 <a@example.com> [InternalId=123, Hostname=EX1.example.com] 9 bytes in 0.1, 1 KB/sec Queued mail for delivery": "",
		"250 OK id=1tAbCd-0005Gy-Ab":                                                                                             "1tAbCd-0005Gy-Ab",
		"250 OK id=1tAbCd-000000005Gy-1AbC":                                                                                      "1tAbCd-000000005Gy-1AbC",
		"250 OK id=17":                                                                                                           "",
		"250 2.0.0 5AL8xAbc012345 Message accepted for delivery":                                                                 "5AL8xAbc012345",
		"250 2.0.0 Message accepted for delivery":                                                                                "",
		"250 2.0.0 thanks Message accepted for delivery":                                                                         "",
		"250 2.0.0 OK  1763740000 ab12-20020a05.12 - gsmtp":                                                                      "",
		"250 2.0.0 <a@example.com> xB0eAbc Saved":                                                                                "",
		"250 queued as ":             "",
		"250 queued as \u4f60\u597d": "",
		"250 Ok: queued as 0123456789012345678901234567890123456789012345678901234567890123456789": "",
	} {
		e, ok := said("smtp", "3F2A91C0DE: to=<a@example.com>, relay=mx[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent ("+reply+")").Entry()
		if !ok || e.QueuedAs != want || e.Text != reply {
			t.Errorf("%s: got %q in %q, want %q", reply, e.QueuedAs, e.Text, want)
		}
	}
	cut, ok := said("smtp", "3F2A91C0DE: to=<a@example.com>, relay=mx[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 Ok: queued as 3F2A91").Entry()
	if !ok || cut.QueuedAs != "" {
		t.Errorf("a queue id that may be cut was taken: %+v", cut)
	}
	bounced, ok := said("smtp", "3F2A91C0DE: to=<a@example.com>, relay=mx[192.0.2.1]:25, delay=1, dsn=5.0.0, status=bounced (550 not queued as 3F2A91C0DF)").Entry()
	if !ok || bounced.QueuedAs != "" {
		t.Errorf("a refusal has a queue id: %+v", bounced)
	}
}

func TestQueueIDs(t *testing.T) {
	for _, id := range []string{"0F5383D", "3F2A91C0DE", "4XyZ12AbczKqR", "4Nq1Wf1Tb4z3Y", "ABCDEF", "004B2C", "3aBcDe"} {
		if !IsQueueID(id) {
			t.Errorf("%s is none", id)
		}
	}
	for _, id := range []string{"", "warning", "NOQUEUE", "fatal", "statistics", "4-5678", "17", "\u0664\u0664\u0664\u0664", "4XyZ12Abc_", "lost connection",
		"0123456789012345678901234567890123456789"} {
		if IsQueueID(id) {
			t.Errorf("%s is one", id)
		}
	}
}
