// Package alert decides who is told what, and how often: it makes incidents of what the rules say and
// of what the gateway sees of itself, and notices of incidents.
//
//	events of the journal ─┐                            ┌─> the sender, by mail
//	Raise ─────────────────┴─> incidents ──> notices ───┼─> the administrators, by mail
//	                                                    └─> webhooks
//
// An [Incident] stands for everything of one [Kind] that happens to one subject under one rule: of a
// thousand messages that a limit holds there is one. It is updated in place, and closed when nothing
// has come for a while (the longer of Settings.CloseAfter and the window of its rule). What comes then
// opens a new one; what is older than the last thing in a closed one is ignored.
//
// # Notices
//
// Administrators and webhooks get one notice when an incident opens, then, at most once in
// Settings.Quiet, one when it has doubled since the last, unless somebody has acknowledged it. The end
// of a critical one is told, too. A sender gets one mail per incident. Nobody is told of rules in
// shadow.
//
// No receiver gets more than Settings.HourlyMax notices in an hour. The last quarter of them is kept
// for what is critical and for digests: what there is no room for waits for Settings.Quiet and then
// goes as one notice that lists it.
//
// # Who is told as the sender
//
// The envelope sender where it belongs to the identity that the mail is counted for, else the mailbox
// of that identity; and only when it is the organisation's own: named in policy.internal, an address
// of an identity, or the login under which the message came in. Never the null sender, and never
// anybody about mail that is inbound or that sendgate wrote. A message that is returned because nobody
// approved it comes with a report (package notify) and needs no notice.
//
// # Trust
//
// Subjects of messages and addresses are foreign text. They are shortened here and cleaned where they
// are laid out. A sender sees nothing of the messages of others, nor the reason that an administrator
// gave. A command is only proposed with a name in it that a shell takes as it is.
//
// # Failure
//
// Incidents, notices that are not yet delivered and the place in the journal are kept together, as one
// value, before a notice is handed on. After a crash the journal is read on from there, so that
// nothing is forgotten; mail is written under an id that was kept before, so that it is not repeated.
// A webhook may then get a notice twice. Mail that cannot be written is tried again for an hour.
//
// # Concurrency
//
// All methods of a [Desk] are safe for concurrent use, [Desk.Raise] never waits for a receiver. Run has two
// goroutines, and ends them.
//
// # Limits
//
// 1000 open incidents, of which the least severe and longest quiet ones go first; the last 200 that
// were closed. The kept value has at most 64 KiB, compressed; when it does not fit, closed incidents,
// then details, then the least severe open incidents are left out of it, not of memory. Only the
// newest 20 messages of an incident are named.
package alert
