// Package mailbox finds and removes messages in users' mailboxes: the seam between a recall and the mail
// servers.
//
// A [Backend] acts as the owner of a mailbox. There is one over IMAP (package imap) and one over Dovecot's
// doveadm HTTP API (package doveadm); [Router] knows which has the mailbox of an address. Package
// mailboxtest holds the tests that all of them pass.
//
// # Which message
//
// A search finds candidates, [Match.Verify] decides: servers search for substrings, without regard to case,
// and a Message-ID is chosen by whoever writes the message. In this order it is the message if it
//
//   - carries our id, in the id header or in the Received line that names us;
//   - carries no other id of ours, and has its Message-ID and author, and did not arrive before we accepted
//     it;
//   - had no Message-ID, and author, subject, date (24 h) and size (-1 KiB, +32 KiB) fit.
//
// [Choose] then wants all copies in one mailbox to be the same, where none carries our id.
//
// # Removing
//
// Unread means without \Seen, \Answered, $Forwarded and $MDNSent ([ReadFlag]). A copy is moved to the
// staging folder, out of its owner's reach, and its flags are looked at again there: if it was read in
// between, it goes back to where it was. So there is no moment at which it is both read and removed.
//
// # Trust
//
// Header fields are the sender's: someone who has seen our id can write it into another message, which a
// recall of the first then takes as well. Servers are trusted to tell the truth about their mailboxes, but
// not to be well-behaved: what they send is bounded, and every wait has an end.
//
// # Failure
//
// Errors wrap [ErrNoMailbox], [ErrDenied] and [ErrGone], which are final, or [ErrUnreachable], which is
// worth another try. After any error of Take a Find tells what is so: what was taken lies in staging,
// marked as Copy.Staged.
//
// # Concurrency
//
// Everything may be used by several goroutines at once. Each backend bounds what is under way at its
// server; who comes later waits.
//
// # Standards
//
// RFC 5322 (header), RFC 2047 (encoded words).
//
// # Limits
//
// User names are in lower case: mailboxes that differ in nothing else cannot be told apart. A header is
// read up to 1 MiB. A Message-ID that a server has rewritten is found by our id alone.
package mailbox
