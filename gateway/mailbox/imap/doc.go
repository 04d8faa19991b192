// Package imap reaches mailboxes by IMAP, acting as their owners.
//
// One account may act for everybody, in one of three ways (imap.auth):
//
//   - master: Dovecot's master users. We log in as user*master; the separator is Dovecot's
//     auth_master_user_separator. The master's passdb needs result_success = continue, so that Dovecot
//     checks that the user exists.
//   - authzid: SASL PLAIN names the user as the authorisation identity (RFC 4616). Cyrus wants our login
//     among its proxyservers; Dovecot takes a master user in this way, too.
//   - service: the login is a template, such as corp\service\%n for an Exchange server on which the service
//     account has full access to the mailboxes.
//
// [CheckPassword] is apart from all that: it asks a server whether somebody's own password is right, for those who sign
// in to the dashboard.
//
// # Looking
//
// Every folder of the user's own namespaces that can be opened is searched, but those for sent mail and
// drafts and views of others. Folders are opened with EXAMINE and read with BODY.PEEK: nothing becomes
// read, and \Recent stays the owner's. Searches leave out what came two days before we accepted the
// message, or earlier.
//
// # Taking
//
//  1. With CONDSTORE and keywords, UID STORE (UNCHANGEDSINCE) sets the keyword $SendgateRecalled. If
//     anything about the message has changed, flags are looked at again: if it was read it is left alone,
//     and has not been moved for a moment.
//  2. UID MOVE takes it to the staging folder, out of its owner's reach.
//  3. The highest mod-sequence of its folder is compared with the one of before. A server copies and removes a
//     moment later: what is read in that moment leaves no trace in the copy, but counts (RFC 7162). If it
//     went up by more than one for the removal and one for each change of other messages, or if one of
//     those is read now (a command for both counts once), the message is moved back as one that was read.
//  4. In the staging folder flags are looked at again. If it was read between 1 and 2 it is moved back.
//  5. Then it stays, goes on to the trash, or is expunged by UID.
//
// Without CONDSTORE it does 2, 4 and 5. A server without MOVE is told COPY, \Deleted, UID EXPUNGE, with
// another look before the last. One without UIDPLUS is refused: EXPUNGE alone would remove everything that
// the owner has marked.
//
// # The staging folder
//
// It is a folder of the user's own mailbox, because then the message never leaves it, keeps its flags, its
// date and its place in the quota, and comes back with one MOVE. It is made when it is needed, and not
// subscribed. To hide it from programs that show all folders, too, give it a namespace of its own in
// Dovecot, and set staging to hidden/recalled:
//
//	namespace hidden {
//	  prefix = hidden/
//	  separator = /                # the one of the other namespaces
//	  location = mdbox:~/hidden    # not below the location of the others
//	  hidden = yes                 # not in NAMESPACE
//	  list = no                    # not in LIST
//	  subscriptions = no
//	}
//
// A user who knows the name can still open it. Where folders live below a prefix (INBOX.), staging needs it
// as well: INBOX.sendgate-recalled.
//
// # Trust
//
// The password opens every mailbox: it is sent over TLS only, except to loopback. A server may send 8 MiB
// in answer to a command, has the timeout for an operation, and may show 5,000 folders and 2,000 candidates
// in each.
//
// # Failure
//
// NO [AUTHORIZATIONFAILED] at login is a missing mailbox (Dovecot's words for it), every other NO at login
// a denial; Cyrus lets us in and has no INBOX. NOPERM is a denial; UNAVAILABLE, INUSE, LIMIT, OVERQUOTA,
// SERVERBUG and silence are worth another try (RFC 5530). After an error the connection is closed. What was
// moved by then is found as staged.
//
// # Concurrency
//
// Connections are bounded. One belongs to one user and is kept 5 s for the next operation on the same
// mailbox; unused ones give way to others. Take, Restore and Purge are not cut short when their context
// ends, only by the timeout.
//
// # Standards
//
// RFC 3501 and 9051, 2342 (NAMESPACE), 4315 (UIDPLUS), 4616 (PLAIN), 5530 (response codes), 6154
// (SPECIAL-USE), 6851 (MOVE), 7162 (CONDSTORE).
//
// # Limits
//
// Without MOVE, a message that is read in the instant between the last look and UID EXPUNGE is removed; without
// CONDSTORE, one that is read within the server's MOVE, if that is not one step. What is moved back because
// it may have been read comes back as the server copied it, maybe as unread. A removal that is interrupted
// between 2 and 3 is finished later by the flags alone. Other mail that is read or removed in the moment of the
// move has the message moved back, too. A message that its owner moves from a folder that is still to be searched to one that was searched already
// is not found by that search. The library does not read [MODIFIED]: we look again.
package imap
