// Package notify writes mail to senders: today delivery status notifications, which say that a
// message failed, is late, or was passed on to a server that will not report.
//
// [Compose] makes the text of a [Report]. A [Reporter] decides who is told, and commits the report
// to the journal as a new message from the null sender, released at once; it then goes the way of
// all mail.
//
// # Form
//
// A report is a multipart/report of up to three parts: a text for people (English, then Chinese), the
// fields for programs, and the header of the original, or the whole of it where a failure is reported,
// RET=FULL was given and it is not longer than 1 MiB. The third part is missing when the original is
// no longer stored.
//
// # Who is told
//
// Nobody about mail from the null sender or about what sendgate itself wrote, so that reports cannot
// cause reports. Recipients with NOTIFY=NEVER are left out; those with a list of words are reported
// for these alone; without NOTIFY a failure is reported, and a delay when the caller asks.
//
// # Trust
//
// Replies, addresses and the original are foreign octets. In fields, controls become spaces and
// long lines are folded, so that nothing can start a field or a part of its own.
//
// # Failure
//
// An original that cannot be read is left out. When the journal cannot write, nothing remains and
// the caller tries again. A crash after the commit may lead to a second report, never to none.
//
// # Concurrency
//
// A Reporter has no state; its methods are safe for concurrent use.
//
// # Standards
//
// RFC 3461 (NOTIFY, RET, ENVID, ORCPT), RFC 3463 and 3464 (status and fields), RFC 6522
// (multipart/report), RFC 6532 and 6533 (addresses that are not ASCII), RFC 3834 (Auto-Submitted).
//
// # Limits
//
// The text for people names the first 100 recipients; the fields have all of them. A report is made
// in memory.
package notify
