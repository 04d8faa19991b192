// Package maillog writes the mail log: one line for each decision and for each change of state of a message,
// whoever made it, in a file, in the journal of systemd, at a syslog server, or among the other lines of the
// process.
//
//	2026-11-22T10:31:05.120394+08:00 mail-gw sendgate[812]: held id=01M7... queue_id=- sender=<alice@corp.example> rule=default until=...
//
// The verb comes first; all of them stand in verbs.go. Then always id, queue_id (of Postfix in front of us, in
// milter mode), sender and rule, with "-" for what there is not, and after these what the event has: actor, client,
// recipients (at most 20), until, reply, reason, next_queue_id. A value that holds anything beyond letters, digits and
// common signs is quoted, with escapes as in Go and C, and cut where it is long: foreign text makes neither a line nor
// a field of its own. Subjects and bodies are not in it.
//
// # Where lines come from
//
// What the journal has is read from there, in its order: nothing that was committed is without its line, the
// results that a log of Postfix tells included. What happens before there is a message (refusals at MAIL and
// RCPT, sign-ins, what could not be decided) the fronts say through [Log.Tap].
//
// # Failure
//
// Mail never waits for its log. While an output fails, lines of the journal wait there, for as long as it keeps
// them, also across a restart: the place up to which it was read is kept every five seconds, so that after a crash
// the lines of these may come twice. Of what the fronts say 1024 lines wait in memory; what is beyond is counted and
// told by a line "missed". UDP and the last octets of a broken TCP connection are lost unseen: that is syslog.
//
// # Rotation
//
// A file is opened again at [Log.Reopen] (SIGHUP), and by itself within a second when it was renamed or removed;
// a truncated file is appended to. It gets mode 0640.
//
// # Concurrency
//
// [Log.Run] owns the output. Tap may be used from any goroutine and does not wait.
//
// # Standards
//
// RFC 5424 (the format of syslog, facility mail, the verb as MSGID), RFC 5426 (UDP), RFC 6587 3.4.1 (octet
// counting over TCP); the native protocol of systemd-journald as systemd documents it.
//
// # Limits
//
// A line is at most 8 KiB, over UDP 2 KiB. Over a unix socket lines have the form of syslog(3), with whole seconds,
// because daemons expect it there. Syslog goes without TLS: send it to a daemon on this machine that has it.
package maillog
