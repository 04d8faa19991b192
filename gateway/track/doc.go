// Package track finds out what became of messages behind us: from the log of Postfix, and from
// delivery reports that come in.
//
//	source/     where lines come from: a file across its rotations, journald, syslog
//	postlog/    what a line states
//	tracker.go  batches from a source: read, correlated, committed, then the cursor kept
//	graph.go    the queue files that the logs speak of (node.go), bounded
//	resolve.go  which message a queue file carries
//	subject.go  which recipient a line is about
//	correlate.go, fate.go, edge.go   what follows from a line, and where the message goes on
//	sweep.go    recipients of whom nothing is said
//	dsn.go, report.go   delivery reports
//	seen.go, gap.go, import.go   what was read and what is missing, and lines that are read later
//
// # Links
//
// A queue file is one of our message's by its queue id, which the milter, our own delivery (the reply
// "queued as") or an edge has brought into the journal; by our id in XFORWARD IDENT (orig_queue_id); or,
// where neither is known, by Message-ID and sender, if exactly one message was handed over at that time
// to a server that named no queue id. Short queue ids are used again: the journal's times, hosts and
// removals must fit, and the Message-ID. Where only the
// message is known and not which of its recipients the queue file carries (XFORWARD, Message-ID), what is
// said of the whole file counts for those alone of whom a line speaks in it. Nothing that is said of a
// whole file ends what sendgate itself still has to send. Lines may come before the journal knows the link. They wait for it, three minutes by
// our clock or that of the log.
//
// # Edges
//
// "queued as" of one of our relays (or of anybody whose queue file stands in our logs with the same
// Message-ID), "forwarded as" of local aliases, orig_id of requeued mail: the recipient goes on in
// the next queue file, and the journal learns its queue id. The lines of that may come first. A 250 of one
// of our relays is no end.
//
// # Recipients
//
// orig_to, or the address alone, names the recipient of the envelope; another final address is a member
// of it. An address that neither is one nor is said to come from one is a copy that Postfix makes by
// itself (always_bcc), and counted as unmatched only.
//
// # Unknown
//
// A recipient becomes unknown when its queue file is gone for Config.UnknownAfter without a final
// line, when two listings of the queue lack it, or when it is older than the queue's lifetime, and never
// before the logs have been read so far. With lines missing in its time the reason says so. What postsuper
// or cleanup has removed is blocked instead. Later evidence, such as an [Tracker.Import], heals all of it. What was
// handed over where no log is followed stays handed over; so does what went on to a queue of which no
// line ever came, or was on its way only before the first log was followed. The listing of the queue is
// compared only for messages of hosts that were seen in it.
//
// # Trust
//
// The log is believed: who may write to it can forge any fate. Delivery reports come from
// anybody. One is believed if it names our id (ENVID) or the Message-ID of what it returns, a recipient of
// that message, and nothing that contradicts it; never about what sendgate itself still has to deliver.
// Who has received a message can therefore say that it bounced for himself, also after the log has said
// that it arrived. That it was delivered or relayed counts only where no end is known; for domains other
// than the sender's it then means no more than that somebody there took it. Of a message that was sent
// again a report is about the attempt that its Arrival-Date fits, without one about the first.
//
// # Failure
//
// Every event has a key made of what its line says, so that reading lines again, in any order, from any
// copy, changes nothing. The cursor is kept after the events of a batch and of all batches before are
// durable, and not past a queue file that still waits for its message: a kill loses nothing. While the
// journal cannot write, reading waits. Lines that are missing are gaps, kept and shown.
//
// # Concurrency
//
// A goroutine for each source, one that looks after what waits and keeps cursors, one that sweeps. The
// graph is under one lock, which is not held while the journal is asked or written. Methods are safe
// for concurrent use.
//
// # Standards
//
// RFC 3464 and 6522 (delivery reports), RFC 3461 (ENVID, ORCPT), RFC 6533 (their forms in UTF-8).
//
// # Limits
//
// 40,000 queue files and 200,000 waiting lines are remembered; the longest untouched go first and are
// counted as dropped. A queue file whose message has come to its end is forgotten two minutes after its last line, and
// found in the journal again when there is another one. An inner alias is shown as a member until a member of its own is seen. A bounce in
// a queue that was taken for a foreign one shows as a late bounce. The next try of deferred mail is
// estimated with Postfix's default backoff. A recipient whom Postfix leaves out as a duplicate of another
// one becomes unknown. Of a delivery report 1 MiB, 32 parts and 1000 recipients are looked at.
package track
