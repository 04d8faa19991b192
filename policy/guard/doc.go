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
// The time of day in texts is that of this machine. First-time recipients are those that the sender
// has not written to and not heard from since sendgate was installed, unless old logs were imported.
package guard
