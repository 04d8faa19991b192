// Package store is the journal, and everything on disk that is derived from it.
//
// Everything that happens is an event, and an event is durable before anyone is told about it.
// [Store.Commit] adds the events of one [Change] to the journal, moves the rows of the message and
// of its recipients by [policy.Rows.Apply], and keeps the indexes, all or nothing.
//
// # Decisions and observations
//
// A change that contains a decision names the revision of the message that its author saw. When
// another decision came first it fails with [ErrConflict]. Release against recall, two
// administrators, a timer against a person: exactly one wins, the loser reads again.
// Observations never conflict; with a Key they are idempotent.
//
// # Durability
//
// One goroutine, the committer, merges the changes of all callers into one Badger transaction that
// is synced once (group commit). Commit returns nil only after that sync. Small bodies travel in
// the commit; larger ones are written and synced in chunks first and named by it; chunks that no
// commit named are swept at the next start.
//
// Badger replays its log up to the first bad byte and says nothing about what follows. Therefore
// transactions carry dense batch numbers, and the last synced number is written once a second into
// a small synced file of its own. Open refuses a directory in which numbers are missing or end
// below that mark, in which the newest bodies cannot be read, or whose tables are damaged (unless
// they are bigger than 2 GiB), says what is missing, and names the repair command ([Repair]). A log
// torn at its very end, in what nobody was told about, is repaired by Badger itself.
//
// # Failure
//
// On a full disk Badger dies with SIGBUS in its mapped files. The store looks at the free space
// before every batch and every piece of a body and returns [ErrFull] below the reserve; it recovers
// when space is back. When the engine cannot write or sync, nothing is accepted any more
// ([ErrFailed]) until the store is opened again: what Badger has half written would take what
// follows with it. A second process on the same directory is refused with [ErrLocked]. A body that
// the disk has lost is given as [ErrDamaged], never as a shorter one.
//
// # Retention
//
// Bodies go Config.BodiesFor after the message's last recipient reached an end, messages with their
// events after Config.EventsFor unless sendgate still has to act on them, batch records from the
// oldest. A clock that has jumped prunes nothing. The value log is brought down after that; see
// garbage.go.
//
// Above Config.MaxSize what is oldest goes before its time: bodies first, then messages; see retentionbound.go.
//
// # Backups
//
// [Store.Backup] writes all of the journal as one batch has left it, while mail goes on; see backupfile.go for the
// format. [Restore] makes a journal of it in an empty directory. What was waiting then waits for a person, because it may
// have been sent since. [Verify] reads everything in a journal that is not open and holds it against each other. What a
// [Repair] could not mend is noted in the journal: a later Verify tells what was given up, and when, from new damage.
//
// # Schemas
//
// The rows have had two schemas. An older one is brought to the newest at the start, goes on where it was cut off by
// a kill -9, and cannot be read by the older sendgate then; a newer one is refused with [ErrNewerSchema]. See migrate.go.
//
// # Erasure
//
// [Store.Redact] is the one exception to a journal in which nothing changes: it takes a person out of what is stored of a
// message that is over, with its indexes, and deletes its body, or out of a timeline that is no message. Batches stay
// whole. [Store.Naming] finds what names the person.
//
// # Concurrency
//
// All methods are safe for concurrent use; Close waits for who is reading. The committer owns the
// batch number and writes rows and indexes; retention takes turns with it. Readers see whole
// batches, of a large change (see large.go) the rows of recipients before the rest. What waits is in memory, too, as
// ids by state (waiting.go): a search for it, and its count, cost what there is, not what there has been.
//
// # Keys
//
//	m<id>               message row (CBOR of Message)
//	r<id><index>        recipient row (CBOR of Recipient)
//	e<id><batch><pos>   events of one change (CBOR of []policy.Event)
//	j<batch>            the ids of a batch in order of position, 16 octets each, after its time
//	b<id><chunk>        body
//	w<batch>            intent: all mutations of a change that takes several transactions
//	c<hour>             recipients in each state, of the messages of an hour
//	o<id>               a body is being written (orphan unless the message exists)
//	y<id><hash>         key of an observation that was applied
//	d<time><id>         due: sendgate has to act at this time
//	k<time><id>         the last recipient reached its end at this time: the body is kept a while
//	x<kind><term>0<id>  index: f,F sender, t,T recipient (address, domain), p identity, i Message-ID, a what it answers,
//	                    q queue id, c campaign, s state, w subject word or CJK bigram, d received at
//	                    another time than its id says; n kind of an event in a timeline that is no message
//	a<number>           audit entry
//	M<name>             schema version, how far a migration has come, known gaps, what repairs gave up, notes of retention
//	z<number>           filler that expires at once; see garbage.go
//
// Ids are ULIDs, so that the m rows are the index by time and every index lists its messages in
// order of time.
//
// # Limits
//
// What one change writes is at most 64 MiB ([ErrTooLarge]), enough for 100,000 recipients. One that
// does not fit into a transaction (some thousand recipients) spans several: see large.go.
package store
