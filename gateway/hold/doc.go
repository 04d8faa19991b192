// Package hold is when held mail is let go: the timers, the release, delivery with its retries, and
// what people may do to a message until it has left.
//
// The journal owns the truth, a [Scheduler] only the timers. Its timetable says when to look at a
// message; what is then done stands in the message's row. The timetable is filled from the journal
// at the start and follows the journal's feed from then on, so that a restart loses nothing and a
// message accepted, held longer or released by anybody is noticed by its record alone.
//
// # The way of a message
//
//	held      scheduler.go takes it from the timetable when its time has come
//	released  dispatch.go commits the decision at the revision it has seen
//	queued    lanes.go: a queue for each upstream, a bounded number of workers
//	tried     attempt.go asks the [Sender], results.go turns the outcomes into events
//	settled   notices through the [Bouncer], then one commit with results and notices
//
// Where there is a [Gate], it is asked before a hold ends: what a limit has no room for yet is held on,
// until the gate's own time or until ReleaseAdmitted. What needs approval waits for Approve; when nobody
// does until its time is over, it goes or is returned to its sender, as the request says (approval.go).
//
// PullBack puts what is held or queued up for approval, when its sender turns out not to be himself
// (pullback.go).
//
// What was deferred goes back into the timetable. person.go, cancel.go and resend.go are what people
// ask for: a resend makes new rows, which wait in our queue as after a release.
//
// # Races
//
// Release, hold and cancel are decisions: each names the revision its author has seen, and the one
// that comes second fails with store.ErrConflict and looks again. Once released, a message waits in
// our queue, where only this process acts: an attempt and a cancellation exclude each other
// (flights.go), and a cancellation that comes during an attempt is refused with [ErrInFlight]. The same
// keeps an approval from coming while a message is being returned for want of it.
//
// # Time
//
// The timetable runs on the monotonic clock; a time of the journal is converted when it becomes
// known. Setting the wall clock while sendgate runs therefore neither stalls mail nor lets it go in
// a burst, and setting it forward expires nothing. At the start there is only the wall clock: what
// is overdue is let go evenly, Config.CatchUp messages per second.
//
// # Failure
//
// A temporary failure is tried again after growing pauses with jitter, until ExpireAfter; the last
// try is made then. An upstream that is away makes each message wait on its own schedule; nothing
// spins. While the journal cannot write, results are kept and written later, and nothing else is
// released.
//
// No record is written when an attempt begins. After a crash, what was due before the start and not
// held may have been under way: it is tried again and marked may_be_duplicate. The same holds after an
// orderly end, because the journal does not tell the two apart. What was being handed through
// (offered) is never sent again: it becomes unknown, with the reason.
//
// A notice to the sender is written before the result that caused it is committed, and the result is
// committed together with the notified event. A crash between the two repeats the attempt and perhaps
// the notice: a second notice is better than none.
//
// # Trust
//
// Replies of upstreams are foreign text. They are kept as evidence and logged quoted.
//
// # Concurrency
//
// Run starts the loop of the timetable, one that follows the feed, 64 that decide and release (so that
// the journal batches their commits), and in each lane as many workers as there is work for, up to
// Config.Workers; results are committed by up to 256 goroutines. Run waits for all of them. A Scheduler's methods are safe for concurrent use.
//
// # Standards
//
// RFC 5321 4.5.4.1 (retries, giving up after 4-5 days), RFC 3461 (NOTIFY), RFC 3463 (4.4.7 for what
// expired).
//
// # Limits
//
// A waiting message costs about 150 octets of memory. The monotonic clock stands still while the
// machine sleeps: what was held then waits for the rest of its time after waking up. One
// process owns the queue: two nodes on one journal would have to agree on attempts first.
package hold
