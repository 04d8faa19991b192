// Package milter is the front that Postfix calls while it receives a message.
//
// A [Milter] listens for smtpd_milters and non_smtpd_milters. It finds out in which direction a
// message goes, asks the rules about outgoing mail at its end, and holds by milter quarantine: the
// message stays in Postfix, in its own hold queue, and the journal knows its queue id. Inbound mail
// is told to continue at every step; nothing of it is kept.
//
// Outbound is what was authenticated ({auth_authen}) or comes from one of the configured networks;
// everything else is inbound.
//
// # Order
//
// A message that is to be held is committed to the journal, durably, before Postfix is told to hold
// it. When Postfix then does not list it (another milter refused it, Postfix died) the journal says
// so later; the other order could hold mail that nobody lets go.
//
// A message that needs approval is held in the same way, until somebody approves it or its time is over;
// that is the business of others.
//
// A message that passes at once is noted after the decision, without waiting for the disk: Postfix
// owns it, and nothing is told to anybody that depends on the note. A crash in between loses the
// note, not the mail. At most 256 notes are under way; then sessions wait, too.
//
// An instruction for sendgate itself (policy.Discard) is committed as accepted and canceled, and then
// discarded: its client is told that it was accepted.
//
// Of inbound mail, who wrote to whom is told to a [Hearer] at its end; who sends with a login and from
// where is told at MAIL. Neither is waited for.
//
// # Content
//
// With Needs.Content outbound mail, but not the null sender's, is read as it comes in (package content,
// with its default limits), and the rules see it at the end of the message together with everything
// else: there is one question, and each answer is still possible.
//
// # Trust
//
// Every byte from the peer is hostile, although the peer is our own Postfix: packets are bounded,
// macros and addresses are checked, what a message may occupy is bounded. Who can connect can write
// to the journal and claim any login: listen on a unix socket or on loopback. The id header is
// believed only with a valid MAC, for a week, from a client in the networks that did not
// authenticate; a person who copies it from an old message gains nothing.
//
// # Failure
//
// What cannot be decided or held is tempfailed (451, or 452 on a full disk) or accepted, as on_error
// says, and logged either way: the journal fails, a rule panics, Postfix gives no queue id or does
// not offer quarantine. What the message took of its limits is then given back (policy.Engine.Forget).
// A panic in the reading of content is logged, and the rules decide without it.
// Callbacks never return an error to the library, because that would close the
// socket without an answer. When sendgate is not there at all, or there are too many connections,
// Postfix applies milter_default_action.
//
// # Concurrency
//
// One goroutine per connection and one of the library's; a session is used by one at a time. Notes
// run in goroutines of their own, which Serve waits for. Each connection has a one-shot server of
// the library whose NewMilter always gives the same session, so that nothing is lost when the
// library replaces it. Settings are swapped as a whole; a message keeps those it began with.
//
// # Standards
//
// Milter protocol version 2 with the flags of version 6 where the peer offers them, as Postfix 3
// does. Asked for is only what is used: quarantine, and adding a field where configured. Where
// offered, only the end of a message is answered, and MAIL and RCPT when a rule may refuse there.
//
// # Limits
//
// Postfix has one way for a message: what a rule routes over another upstream is held for 15 minutes.
// The library hides ESMTP parameters, so DSN requests, SMTPUTF8 and SIZE are unknown here, and so is
// the protocol (SMTP, ESMTPS). The size is known only when the body is asked for, else 0. Of a header,
// 256 KiB are looked at. Milters behind us may refuse a recipient or the message without our knowing;
// the log says what became of them. Mail that is queued again by postsuper -r passes no milter. A
// message that comes back with new recipients only (an alias was expanded) is linked to all recipients
// of the first one. What Postfix need not wait for (Needs) is agreed upon for a connection and
// outlives a reload.
package milter
