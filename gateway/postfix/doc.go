// Package postfix speaks to a Postfix on this machine: it lists its queue, and has messages held,
// released, deleted, expired and read.
//
// Postfix gives these powers to root alone, and the gateway does not run as root. So there are two
// ends: a [Server] is the small root process (sendgate postfix-helper), a [Helper] is how the gateway
// asks it. A [Batcher] turns many single wishes into few requests. A [Keeper] lets go and takes back what
// Postfix holds for the journal, and compares the two every 20 s.
//
// # The six verbs
//
//	list     postqueue -j, line by line; of chosen queue ids where some are named
//	hold     postsuper -h
//	release  postsuper -H, then the queue manager is woken: postqueue -i for up to five messages,
//	         for more the octet D to public/qmgr, at most ten times a second; a message that was
//	         held between two attempts is made due first
//	delete   hold, look who is left, postsuper -d, restricted to the hold queue
//	expire   postsuper -f: the message goes back to its sender; the queue manager is woken
//	read     the queue file: envelope and content, as they lie there
//
// All but list and read take up to [MaxMessages] at once, and each message has its own [Outcome].
//
// # Protocol
//
// A connection is one question and its answer over a unix stream socket. Either is made of frames: an
// octet for the kind, four for the length (big-endian), then so many octets. The question is one
// frame ('q', JSON). The answer is results ('r', JSON, one for each message), an envelope ('e', JSON)
// or octets ('d'), and in the end 'z', whose octets, if any, say what went wrong. An answer without
// its 'z' is no answer.
//
// # Identity
//
// Short queue ids are used again, sometimes for somebody else's mail. An [Identity] therefore says
// what the queue file must hold besides its id: arrival time (two seconds either way), sender, and
// a header field if wanted. It is demanded for delete, and checked for every verb where it is given.
// What does not fit is left alone and reported as [DifferentMessage]. A file in the hold queue keeps
// its id to itself, so that what was checked there is what is deleted there.
//
// # Removal from the active queue
//
// Deleting a message under delivery tells nobody who has got it. Delete holds it first, which moves
// the file away from delivery agents that have not begun. Those that have keep the file open with a
// shared lock until they have marked each recipient that they are done with. Delete therefore asks for
// the exclusive lock, as Postfix's queue manager does before it takes up a message again: while that
// is not to be had the outcome is [InFlight] and the message stays held. [Helper.Remove] asks again
// until the delivery has ended. What is removed then names for each recipient whether its mail was
// already gone.
//
// # What the Keeper finds
//
// A held message without a queue file was never queued, when nobody has seen it in the hold queue
// within a minute; seen before, it was released or deleted by hand. One in another queue was released
// by hand. One that still lies in the hold queue although it was taken back is deleted. One that waits for
// approval because it was pulled back, and that Postfix has not held since, is held now, or gone. The journal
// keeps up to when the queue was listed, so that a new process can tell the first from the second; of
// mail received in the last 20 s before a crash and then let go by hand it believes the first.
//
// # Trust
//
// The server believes nobody. Who may ask is decided by the kernel's word (SO_PEERCRED): root, and
// the one user it was told. A request is bounded in size and number, every queue id is checked
// letter by letter, programs are run by absolute path without a shell, with an environment of three
// words, and ids go to them on standard input. Queue files are opened below the queue directory only,
// without following a link out of it, and are read by a parser that is bounded by the file's own size,
// because the user postfix may write there. Everything asked is logged with who asked.
//
// # Failure
//
// A helper that is away, falls silent or breaks off is [ErrAway], at the latest after
// Config.Timeout. What was asked may have been done by then; each verb may be asked again. When a
// program of Postfix fails, what it did not report is looked up in the queue. Without its queue
// manager Postfix keeps what is released and sends it when it is started. Where Postfix logs to a
// maillog_file and does not run, postsuper dies at its first line, and all but one message fail.
//
// # Concurrency
//
// The server has a goroutine for each connection, up to 64. Verbs that change something run one
// after another. They are finished even if who asked has gone. A Helper keeps no connection and may be
// used by many; a Batcher has a goroutine for each verb while it has something to do.
//
// # Standards
//
// Postfix 3.5 and later: postsuper(1), postqueue(1), qmgr(8). RFC 3461 for the DSN parameters.
//
// The layout of queue files is Postfix's own affair. It has been the same since its first release,
// and postcat(1), the public way, costs a process for each message (17 ms, against 0.05 ms), gives
// local time, and cannot tell content from its own headings. A test compares the two.
//
// # Limits
//
// postqueue lists a queue that moves: a message may appear twice or be missed in one listing. A
// delivery agent that has opened the file and not yet locked it, which takes microseconds, is not
// seen. Mail held longer than maximal_queue_lifetime has one attempt after its release and is then
// returned. Locks and peer credentials are those of Linux.
package postfix
