// Package recall takes messages back: out of our own hold and queue, out of Postfix's queue, out of mailboxes
// while they are unread, and on their arrival there.
//
// A recall is a job in the journal. Its own timeline, under an id of its own, has the request, the approval, the
// end and the reports; what it did for a recipient stands in the timeline of the message, as recall_outcome with
// the recall's id as its subject, with the evidence and with where a copy lies now. From these the state of a
// job is read again after a restart.
//
// # Path of a recall
//
// request.go finds the recipients and eligible.go says whether it may begin. plan.go is the dry run. carry.go follows
// a job, turn.go says what is due in it, and act.go goes over that: queues first (queue.go), then mailboxes
// (mailbox.go looks, take.go takes and looks again), then groups that are taken back from all or from none
// (group.go). What waits is tried again after 5, 15 and 60 seconds, 5 and 15 minutes and then every hour
// (retry.go), and at once when the journal tells of one of its messages (feed.go), with these pauses anew. book.go makes outcomes
// durable, end.go ends a recall, report.go says what it came to.
//
// # What is claimed
//
// An outcome is a success only when what it says was seen: the queue gave the message back, or the mailbox was
// looked into again and does not have it. Out of Postfix's queue it counts when the logs were read up to that
// time. Every message is watched for a week after the request: when it is delivered after all it is taken out of the
// mailbox, and where that is not possible the outcome is corrected and a corrected report is sent.
//
// # Trust
//
// Who asks was authenticated by the caller. A user takes back only what was sent under the own login or from an
// own address; the From field proves nothing. Copies are known by package mailbox.
//
// # Failure
//
// What cannot be reached is tried again until the window or retry_for ends, and then said to have failed. An outcome
// that cannot be written stays in memory and is written before the recall ends. After a crash in the middle of a
// mailbox the copy is found again in staging. A report may come twice after a crash, never not at all.
//
// # Concurrency
//
// A goroutine for each job, which alone writes its lines; workers for mailboxes, bounded for each backend over
// all jobs. All methods can be called at any time, before and after Run as well.
//
// # Limits
//
// Legal hold, opt-out and protected formats are about mailboxes: what has not left is taken back all the same.
// A recall covers 20,000 messages and 20,000 recipients. Members of a group are taken out of queues last, when
// everybody else's copy is set aside; nothing goes back there when another member turns out to have read it even then. Journaling, archives, backups and devices that have
// synchronised are out of reach.
package recall
