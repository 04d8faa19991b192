package postlog

import "strings"

// smtpd reads what smtpd and postscreen say, with or without a queue id.
func (e *Entry) smtpd(s string, queued bool) bool {
	if client, ok := strings.CutPrefix(s, "client="); ok {
		return queued && e.opened(client)
	}
	if rest, ok := strings.CutPrefix(s, "proxy-reject: "); ok {
		return e.rejection(rest)
	}
	action, rest, ok := strings.Cut(s, ": ")
	if !ok {
		return false
	}
	if action == "reject" || action == "milter-reject" {
		e.Milter = action != "reject"
		return e.rejection(rest)
	}
	return queued && e.act(s)
}

// opened reads "name[ip], sasl_method=M, sasl_username=U, sasl_sender=S, orig_queue_id=X, orig_client=N[IP]",
// of which all but the first may be missing. Logins and sasl_sender are any text.
func (e *Entry) opened(s string) bool {
	var client string
	client, s, _ = strings.Cut(s, ", ")
	e.ClientName, e.ClientAddr, _ = peer(client)
	e.Kind = Opened
	if user := after(s, "sasl_username="); user != "" {
		e.SASLUser = before(user, ", sasl_sender=", ", orig_queue_id=", ", orig_client=")
	}
	// What a client says with MAIL FROM:<> AUTH= stands before the field and could imitate it.
	if after(s, "sasl_sender=") == "" {
		e.OrigQueueID = before(after(s, "orig_queue_id="), ", ")
	}
	return true
}

// after gives what follows a key in a list of fields, or nothing.
func after(s, key string) string {
	for from := 0; ; {
		i := strings.Index(s[from:], key)
		if i < 0 {
			return ""
		}
		if i += from; i == 0 || strings.HasSuffix(s[:i], ", ") {
			return s[i+len(key):]
		}
		from = i + len(key)
	}
}

// before gives what stands before the first of some marks, or everything.
func before(s string, marks ...string) string {
	for _, mark := range marks {
		s, _, _ = strings.Cut(s, mark)
	}
	return s
}

// rejection reads what follows "reject: " of smtpd, smtpd_proxy and postscreen:
//
//	RCPT from name[ip]: 550 5.1.1 <a>: text; from=<b> to=<a> proto=ESMTP helo=<h>
//	RCPT from [ip]:4984: 550 5.7.1 text; from=<b>, to=<a>, proto=ESMTP, helo=<h>
//	CONNECT from [ip]:1337: too many connections
//	END-OF-MESSAGE: 554 5.7.1 text; from=<b> to=<a> proto=ESMTP helo=<h>
func (e *Entry) rejection(s string) bool {
	if !e.reason(s) {
		return false
	}
	e.Kind = Rejected
	return true
}

// reason reads stage, client, text and envelope.
func (e *Entry) reason(s string) bool {
	stage, rest, ok := strings.Cut(s, " from ")
	if ok && isStage(stage) {
		if e.ClientName, e.ClientAddr, rest, ok = cutPeer(rest, ": "); !ok {
			return false
		}
	} else if stage, rest, ok = strings.Cut(s, ": "); !ok || !isStage(stage) {
		return false
	}
	e.Stage = stage
	e.Text = e.envelope(rest)
	e.Code, e.DSN = reply(e.Text)
	return true
}

// isStage says whether that is a word of the SMTP dialogue, as Postfix names it.
func isStage(s string) bool {
	for i := range len(s) {
		if b := s[i]; (b < 'A' || b > 'Z') && b != '-' && b != ' ' {
			return false
		}
	}
	return s != ""
}

// envelope reads "; from=<b> to=<a> proto=ESMTP helo=<h>" at the end of the text, any of them missing,
// and gives the text before it.
func (e *Entry) envelope(s string) (text string) {
	i := strings.LastIndex(s, "; from=<")
	if i < 0 {
		i = strings.LastIndex(s, "; proto=")
		if i < 0 {
			return s
		}
		return s[:i]
	}
	fields := s[i+len("; from=<"):]
	for _, next := range []string{"> to=<", ">, to=<"} {
		if from, rest, ok := strings.Cut(fields, next); ok {
			e.From = from
			e.To = before(rest, "> proto=", ">, proto=", ">: ")
			e.To = strings.TrimSuffix(e.To, ">")
			return s[:i]
		}
	}
	e.From = strings.TrimSuffix(before(fields, "> proto=", ">, proto=", ">: "), ">")
	return s[:i]
}

// act reads a decision about the whole message, by a milter or by a content check:
//
//	milter-hold: END-OF-MESSAGE from name[ip]: text; from=<b> to=<a> proto=ESMTP helo=<h>
//	milter-header-discard: header X-Spam: yes from name[ip]; from=<b> to=<a> proto=ESMTP helo=<h>
//	reject: header Subject: hello from name[ip]; from=<b> to=<a> proto=ESMTP helo=<h>: 5.7.1 text
//	hold: RCPT from name[ip]: <a>: Recipient address triggers HOLD action; from=<b> to=<a> ...
func (e *Entry) act(s string) bool {
	action, rest, ok := strings.Cut(s, ": ")
	if !ok {
		return false
	}
	action, e.Milter = strings.CutPrefix(action, "milter-")
	action = action[strings.LastIndexByte(action, '-')+1:]
	if action != "hold" && action != "discard" && action != "reject" {
		return false
	}
	e.Kind, e.Action = MilterAct, action
	return e.reason(rest) || e.check(rest)
}

// check reads what header_checks and the like decided. What they saw is any text.
func (e *Entry) check(s string) bool {
	what, _, ok := strings.Cut(s, " ")
	switch what {
	case "header", "body", "content", "mime-error":
	default:
		return false
	}
	e.Stage = what
	seen := e.envelope(s)
	if i := strings.LastIndex(seen, " from "); i >= 0 {
		e.ClientName, e.ClientAddr, _ = peer(seen[i+len(" from "):])
	}
	e.Text = seen
	if _, why, ok := strings.Cut(s[len(seen):], ">: "); ok { // the reason that the table gives
		e.Text = why
		e.Code, e.DSN = reply(why)
	}
	return ok
}
