// Package guard is the policy engine with a memory: it applies the hold rules of package policy, the
// limits, the checks of recipient domains and suspensions to every submission, and knows what was
// sent before.
//
// A [Guard] is asked while a message comes in ([Guard.Decide]), when its hold is over ([Guard.Going],
// [Guard.Waits]), and whenever there may be room for what waits ([Guard.Flow]). What a message takes of its limits goes
// into the event that accepts or releases it ([policy.Event.Charge]); [Guard.Observe] is fed with every
// event, also with those of before a restart, and is idempotent: the memory is a projection of the
// journal, never a second truth. A snapshot only saves reading all of it.
//
// # Limits
//
// All limits of a message are tested, and only when no one keeps it back are all of them taken, in one
// critical section (package limit). What then is not accepted is given back: by [Guard.Forget] at once,
// else when the lease of the reservation runs out. What is canceled, refused or never queued later is
// given back by its event. A message that waits for a limit takes nothing until it is let go; what it asks
// then is what it asked when it came, under the limits of the day. One that has become larger than a limit
// fills the whole window. When a person says when it goes it leaves the queue, goes then, and counts.
//
// Of several limits that are exceeded the strictest action counts: reject, defer, approval, hold. A
// message that is larger than a whole window can never fit and is refused for good.
//
// # Accounts
//
// What is usual for each account is learned (package anomaly), and a message that is not like its account is
// told, marked, paced, held for a person, or suspends the account. It is looked at when its header was read,
// and again when its text was, as far as that adds something; mail of senders for whom a person lets some text pass
// is only looked at then, and not at all where the text cannot be read. What was accepted, what came back,
// sign-ins and what a person said are taken from the journal, so that a replay gives the same.
//
// A suspension is in force at once and given to Settings.Suspend, which writes it down; when that is lost with
// a crash the next message of the account brings it back. It keeps external recipients from the account, with
// 451 4.7.28 while it ends by itself and 550 5.7.13 when it waits for a person. Internal mail and the help desk
// (Config.Suspension.Always, and the contact) pass; of internal mail beyond Config.Suspension.Hourly a person
// decides. A person who approves mail that was held for its account's conduct speaks for the account.
//
// In shadow, and in the trial, all of this only says what it would do.
//
// # Trust
//
// Failed sign-ins count for nothing: anybody can make them. That somebody wrote to an account ([Guard.Heard])
// is what an envelope says: who has the account and writes to it in a stranger's name makes him none. That takes
// a message for each, from outside.
//
// # Failure
//
// What fails (a resolver) does so as the rule's on_error says; a panic in one rule does not reach the
// others. Limits in shadow, and all of them in the first days (policy.trial), count and tell only.
//
// # Concurrency
//
// All methods are safe for concurrent use. Decisions on different senders do not wait for each other.
//
// # Limits of this package
//
// Octets are those that the client declared (SIZE, RFC 1870) where the message is decided on before it is
// read, as the relay does: what is declared too small counts too little.
//
// The mail program of a message is known by its HELO only: the journal does not have the header.
//
// An account takes 1.6 KB (package anomaly), a correspondent 12 octets, a suspension that ever was and a message
// that waits some hundred.
//
// The time of day in texts is that of this machine. First-time recipients are those that the sender
// has not written to and not heard from since sendgate was installed, unless old logs were imported.
package guard
