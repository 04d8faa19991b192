// Package policy is the vocabulary of sendgate and its pure decisions.
//
// It names what the rest of the program speaks about: addresses, envelopes, events, the states
// of a recipient with their labels, identities, rules and verdicts. It decides how long a
// message is held ([Engine]) and what is known of a recipient after an event ([Fate.Apply]).
//
// # Purity
//
// Nothing here opens a socket or a file, and no clock is read: the time of a decision is part of
// its input ([Submission.Time]). The same input gives the same verdict, so that a decision can be
// explained, tested and replayed against the journal.
//
// # Verdicts and errors
//
// A refusal is a [Verdict], never an error. An error means that something could not be done.
//
// # Names
//
// Kinds of events and names of states are part of the HTTP API and of the journal on disk. They
// are never renamed, only added to.
package policy
