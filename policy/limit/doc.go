// Package limit is the counting behind all limits: how much was sent in a window, what a message
// took, who has to wait and in which order, when the next one may go, and who is no stranger.
//
// It knows amounts, not mail. Which rules concern a message, what their limits are and what happens
// to mail that exceeds one is said by the caller in each [Demand]; the answer is a [Result].
//
//	Counters        windows and paces of every (rule, key), and what each message took
//	Waiting         held messages that wait for room, in fair order
//	Correspondents  whom an identity has written to and heard from
//
// # Windows
//
// A window is cut into 60 sub-windows (of an hour: minutes) that are aligned to the Unix epoch. The
// sub-window at hand and the 60 before it count, so that in no interval as long as the window more
// than the limit is sent, and an amount is free again at most 1/60 of the window late. [Line.Next]
// is therefore exact: it is the end of a sub-window. This is the division into "basic windows" of
// Zhu and Shasha, StatStream (VLDB 2002), section 2; the bounded error of bucketed sliding windows is
// treated by Datar, Gionis, Indyk and Motwani, Maintaining Stream Statistics over Sliding Windows
// (SIAM J. Comput. 31, 2002).
//
// The limit is data of the rule and comes with each demand: editing it keeps the usage. When a rule's
// window changes its length, what is known is moved into the new sub-windows at the next use, each
// amount to the latest moment at which it can have been taken; what the old, shorter window had already
// forgotten is not known to a longer one. A rule that is renamed is a new rule.
//
// # Pacing
//
// [Rate] is the Generic Cell Rate Algorithm in its virtual scheduling form: ITU-T Recommendation
// I.371, Annex A, and ATM Forum Traffic Management Specification 4.0 (af-tm-0056). One number per key
// is kept, the theoretical arrival time. Here a cell that comes too early is not dropped, it is told
// when to come.
//
// # A message's life
//
//	Take       tests every demand, then takes all or none; a reservation with a lease
//	Commit     the message is ours: what it took stays
//	Release    refused, never queued, discarded, recalled: everything goes back into the sub-windows
//	           from which it was taken, also long after Commit
//	Refund     part of it goes back, once per key of the refund
//
// A reservation that is neither committed nor released within the lease (10 minutes) is given back at
// the next use. A [Fingerprint] makes a client's retry within 24 hours share what the first attempt
// took; it goes back when the last of them is released.
//
// # Durability
//
// Memory only. The truth is the journal: [Result.Taken] goes into the event of the message, and
// [Counters.Replay], Release, Refund, [Counters.Grant], Revoke, Reset and [Counters.ReplayPace]
// applied in the order of the journal give the same usage again. Each of them does nothing the second
// time, so the tail that is replayed after [Restore] may begin before the moment of the snapshot, never
// after it. Reservations that had not reached the journal are dropped by [Counters.ReleaseReserved].
//
// # Trust
//
// Amounts and keys come from policy, not from the network. A snapshot is read as foreign bytes: damage
// is an error that says where, never a panic, and nothing of it is used.
//
// # Failure
//
// Taking cannot fail. What is unknown errs on the strict side: a refund for a message that is no
// longer remembered gives nothing back, and the amount ages out by itself.
//
// # Concurrency
//
// All types are safe for concurrent use. Keys are spread over 64 shards; an operation locks the shards
// it needs in ascending order, so that different keys run in parallel and nothing deadlocks. Whatever
// one key is in, such as a limit of the whole gateway, is one after the other. A snapshot is of one
// moment: a shard that somebody needs before it is written is encoded first.
//
// # Limits
//
// No clock is read. Times count in milliseconds; a time that went back by more than a window moves the
// window's content to it, but a rebuild from the journal then ignores what was taken after the clock was
// set back. A first attempt that is neither committed nor released keeps its share in what a committed
// retry took: releasing the retry then gives nothing back. One demand counts at most 2^40 units. The memory of messages is bounded by their number
// ([Config.Messages]) and by the longest window; correspondents are bounded per identity and in all.
package limit
