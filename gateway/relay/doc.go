// Package relay is the front that takes mail by SMTP and answers as the upstream behind it would.
//
// The relay is transparent: EHLO offers what the upstream offers, AUTH is passed through to it, each
// recipient gets its answer, and nothing in a message changes but the one Received line on top and what
// rules put below it.
// What is held, needs approval or is routed over another upstream goes into the journal and is answered
// 250 when it is durable there. Everything else goes straight on, and the answer is the upstream's own.
//
// # Content
//
// The rules are asked about a message when its header has been read, and with Settings.Content once more
// at its end, when they can see what it says (policy.StageContent); both verdicts are put together
// (policy.Verdict.And). Mail from the null sender is not read. What can still be done at the end depends
// on where the message is by then, in the journal or, but for its final dot, at the upstream:
//
//	verdict at the end | in the journal               | handed through
//	reject, defer      | not kept, answered so        | aborted at the upstream, answered so
//	approval           | waits for approval           | aborted, 451 4.7.28: cannot be kept back
//	hold               | held, of two the longer one  | aborted, 451 4.7.28: cannot be kept back
//	another upstream   | leaves over it               | goes on over the usual one
//	a field            | not added                    | not added
//	discard            | not kept, answered 250       | aborted, answered 250
//	nothing            | as was decided at the header | goes on
//
// Discard is for instructions to sendgate itself (policy.Discard): the message is accepted and canceled in one
// commit, without its body. The rules may say it of a recipient already, who is then not asked for at the
// upstream: it need not exist there.
//
// What is in the journal is whatever the header's verdict holds, puts up for approval or routes, and
// what one upstream's answer cannot speak for. So a rule about content that is to hold mail needs a hold
// at the header, however short; at hold 0 its client comes again and again.
//
// # Trust
//
// Every byte from a client is hostile. Only clients from the configured networks and authenticated
// ones may send anything at all; there is no open relay, not even for mail that looks inbound. A bare
// CR or LF is refused, it never ends a message. After a timeout or a lost connection nothing more is
// read. Quoted local parts are quoted again before anybody sees them. Credentials pass through
// memory and are neither kept nor logged. Replies of the upstream are shown to clients without
// control characters; internal errors are not shown at all.
//
// # Failure
//
// What cannot be decided is answered 4xx and stays with the client. Upstream away: mail of trusted
// clients is accepted and waits in the journal, except what must not be held (451 4.4.1); AUTH is
// answered 454 4.7.0. Journal full or failing: 452 4.3.1 or 451 4.3.0. Client gone inside a message:
// nothing remains. Connection lost after the final dot of mail that is not held: 451 4.4.2, the
// client still owns the mail and the journal says unknown. What is not accepted after the rules were
// asked about it has taken nothing of its limits (policy.Engine.Forget), unless it is unknown. A panic in
// the reading of content is logged, and the message goes on as was decided at its header; one in the
// rules about content is answered 451 4.3.0.
//
// # Concurrency
//
// One goroutine per connection, started and drained by package shell, and one of go-smtp's. During BDAT
// go-smtp calls Data from a third; it ends with the message or with the connection. A session's
// connections to the upstreams are its own. Settings are swapped as a whole; sessions keep those they
// began with.
//
// # Standards
//
// RFC 5321, 1870 (SIZE), 2034, 2920, 3030 (CHUNKING), 3207, 3461 (DSN), 3848, 4954, 6152, 6531, 8689.
//
// # Limits
//
// What go-smtp cannot switch off (PIPELINING, 8BITMIME, CHUNKING) is offered whatever the upstream
// offers; towards it chunks become DATA, and 8-bit content is sent as it is. A chunked message that
// does not end in CRLF gets one. What is read of content for the rules is bounded by
// content.DefaultLimits, in memory and time; our own lines on top are not part of it. BINARYMIME is not offered. Success at MAIL is answered in our own
// words, because the upstream is asked only when a recipient is known. SIZE above 4 GiB is a syntax error. SCRAM
// works without channel binding only: TLS ends here.
package relay
