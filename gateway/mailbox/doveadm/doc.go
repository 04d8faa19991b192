// Package doveadm reaches mailboxes over the HTTP API of Dovecot's doveadm: a [mailbox.Backend] that
// needs no password of any user and no login.
//
// Every operation is one or two requests, POST of a list of commands, which the server runs one after
// the other. Find is a fetch over all folders, and asks for the special use of those where something was
// found. Take looks, moves to the staging folder, and looks again at both ends:
//
//	fetch      [mailbox-guid G uid N]                     what it is, and whether it was read
//	status     sendgate-recalled                          its next UID; created when there is none
//	---
//	status     folder                                     highest mod-sequence, H
//	move       [mailbox-guid G uid N UNSEEN NOT ANSWERED NOT KEYWORD $Forwarded NOT KEYWORD $MDNSent]
//	status     folder                                     highest mod-sequence, H'
//	fetch      [mailbox-guid G uid N]                     still there: it was read meanwhile
//	fetch      [mailbox-guid G MODSEQ ...]                what else changed
//	fetch      [mailbox sendgate-recalled uid ...]        it lies here now
//
// The server evaluates a query and expunges what fits a moment later. What is read in that moment would be
// removed unseen, for the copy in staging has the flags of before. Every change of a folder counts its highest
// mod-sequence up (RFC 7162), so that H' must be H, one for the removal, and one for each other message
// that was seen to change and is unread (one command that reads several counts once). If it is anything else, the
// message is put back and counts as read.
//
// The staging folder is always named in queries: where it lies in a namespace that is not listed (see contrib/dovecot),
// a search by GUID alone does not find it.
//
// Dovecot 2.3 starts a process for each request, unless it is told not to; with these lines it does five
// times as many (2.4 calls it restart_request_count, and unlimited):
//
//	service doveadm {
//	  service_count = 0
//	}
//
// A process then serves one connection as long as it is kept open, up to 30 s unused: Dovecot's process_limit of
// that service (100 by default) must be above the configured connections.
//
// # Trust
//
// The key opens everybody's mailbox: it is sent to one URL, never along a redirect or through a proxy of
// the environment. User names with * or ?, which doveadm takes for patterns, are refused. Replies are
// read up to 16 MiB and 20,000 messages, ids in them are checked before they are sent back.
//
// # Failure
//
// HTTP 401 and 403 and exit code 77 wrap [mailbox.ErrDenied], exit code 67 (EX_NOUSER) [mailbox.ErrNoMailbox];
// 75, HTTP 429 and 5xx, and what prevents an answer, [mailbox.ErrUnreachable]. The API gives a number only: the
// reason stands in Dovecot's log.
//
// # Concurrency
//
// A Backend may be used by several goroutines. As many operations are under way as it has connections;
// the timeout begins when it is an operation's turn. Once a change has begun, only the timeout ends it.
//
// # Standards
//
// Dovecot's doveadm HTTP API, version 1, as spoken by 2.3 and 2.4; RFC 7162 3.1.2 (HIGHESTMODSEQ); RFC 6154 (special
// use).
//
// # Limits
//
// Only folders in private namespaces are searched. A folder named like one for sent mail or drafts counts
// as one when the server knows no special use for it; views of other folders are known by theirs. Message ids
// are looked up with HEADER: a server whose full text index answers that by words may miss some.
//
// Where indexes are kept in memory, mod-sequences do not count, and the moment described above is not
// covered. Changes by programs that write to the files past Dovecot count when Dovecot sees them. Another
// message that changes twice or is read in that moment, or comes in with flags, has an unread one put back.
//
// A folder that is renamed between Take and Restore counts as gone.
package doveadm
