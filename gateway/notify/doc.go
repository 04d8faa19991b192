// Package notify writes mail to people: delivery status notifications, which say that a message
// failed, is late, or was passed on to a server that will not report, and notices of what the gateway
// holds, refuses or sees.
//
// [Compose] makes the text of a [Report]. A [Reporter] decides who is told, and commits the report
// to the journal as a new message from the null sender, released at once; it then goes the way of
// all mail.
//
// A [Mailer] does the same with notices (package alert decides on them; package webhook posts them to
// chat rooms): a [Letter] is the notice as multipart/alternative, plain and HTML, each part in Chinese
// and English or in one of them, as [Config] says. Letters come from the null sender, ask for no
// reports (NOTIFY=NEVER), and name themselves auto-generated, so that nothing answers them. Those of
// one incident stand in one thread (References). A letter is written under an id that the caller
// chooses, and only once.
//
// A [RecallReport] is the mail about a recall that has ended: a table with a row for each recipient, and one for
// each group; who the members are that kept it from being taken back stands only in those for administrators.
// [Recalled] has the letters to recipients, of which each one is written alone. [Links] are signed addresses of
// a page without a sign-in.
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
// Replies, addresses, subjects and the original are foreign octets. In fields, controls become spaces and
// long lines are folded, so that nothing can start a field or a part of its own. In HTML everything is
// escaped, and nothing is loaded from elsewhere.
//
// # Failure
//
// An original that cannot be read is left out. When the journal cannot write, nothing remains and
// the caller tries again. A crash after the commit may lead to a second report, never to none.
//
// # Concurrency
//
// A Reporter and a Mailer have no state; their methods are safe for concurrent use.
//
// # Standards
//
// RFC 3461 (NOTIFY, RET, ENVID, ORCPT), RFC 3463 and 3464 (status and fields), RFC 6522
// (multipart/report), RFC 6532 and 6533 (addresses that are not ASCII), RFC 3834 (Auto-Submitted).
//
// # Limits
//
// The text for people names the first 100 recipients; the fields have all of them. A report is made
// in memory. Each line of a letter is cut at 2000 octets.
package notify
