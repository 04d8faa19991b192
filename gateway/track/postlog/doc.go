// Package postlog reads the mail log of Postfix: a [Parser] takes a raw log line apart, [Line.Entry]
// says what Postfix states with it about one message.
//
//	p := postlog.NewParser(zone, time.Now)      // one for each source
//	l, times, err := p.Parse(raw)               // the frame: when, who, what
//	e, ok := l.Entry()                          // the statement, if it is one
//	if ok && e.Kind == postlog.Status { ... }   // to=<a@example.com> ... status=sent (...)
//
// # Lines
//
// A line may be framed as RFC 3164 (with or without host, padded day or not, a year after the day or
// after the time, a fraction of a second), as RFC 5424, with an ISO 8601 stamp (rsyslog's own format,
// journalctl, docker), with seconds since 1970, or by nothing but the tag, as containers print it. A
// priority in front, a container runtime's prefix, facility words, Solaris's message id, a carriage
// return at the end and NULs in front (a file cut by copytruncate) are passed over. Control characters
// and what is not UTF-8 become "?", as Postfix prints them.
//
// # Time
//
// A stamp without a year gets the latest year that does not put it more than two days into the future;
// after a line whose year was certain and long ago (29 February, an ISO stamp: an old file is being
// read) the years go on from there. A stamp without an offset is wall time in the parser's zone: in the
// hour that exists twice, what lies within five minutes of now is live, otherwise the line before
// decides, and the first of the two if nothing does; in the hour that does not exist the clock is taken
// as not yet put forward. All times come out in UTC.
//
// # Statements
//
// Postfix 2.3 to 3.11, short and long queue ids, addresses in the external and the internal format of
// info_log_address_format. Unknown key=value fields are passed over. See [Kind] for what is reported.
// Warnings, rejections that are only tried out (reject_warning, warn) and actions that change the way
// of a message but not its fate (filter, redirect, prepend, ...) are no statements.
//
// # Trust
//
// A log holds text chosen by strangers: recipients, senders, HELO names, replies of servers. Fields
// are therefore found by the fixed parts around them, from the side that strangers do not write on. In the
// internal address format (the default before Postfix 3.5) a recipient with `>, relay=` inside is
// ambiguous, and so is a sender's `> to=<` in a rejection: such a line is read wrongly, but never as
// one about another queue file. The id of a queue file before
// (orig_queue_id) is not believed where a client's own sasl_sender stands before it, because that may
// contain anything. Whoever may write to the log can forge every statement.
//
// # Failure
//
// A line that is no log line is [ErrFrame], one whose date cannot exist is [ErrStamp]. A line cut short
// gives what is there: a reply without its closing parenthesis gives no queue id from its very end, as
// that may be cut too. No input panics; time is linear in the length of the line.
//
// # Concurrency
//
// A Parser belongs to one goroutine: it remembers the line before. Lines and entries are values.
//
// # Standards
//
// RFC 3164 4.1, RFC 5424 6, RFC 3339, RFC 3463 2 (status codes). The forms of Postfix are those of its
// source: log_adhoc.c, smtpd.c, cleanup_milter.c, cleanup_message.c, qmgr_active.c, postsuper.c and so on.
//
// # Limits
//
// Of a line longer than 64 KiB the rest is ignored. "last message repeated" refers to the line before
// of the same host only. A log that spans more than a year without any certain year cannot be dated
// right. English month names only.
package postlog
