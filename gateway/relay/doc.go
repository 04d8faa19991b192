// Package relay is the front that takes mail by SMTP and answers as the upstream behind it would.
//
// The relay is transparent: EHLO offers what the upstream offers, AUTH is passed through to it, each
// recipient gets its answer, and nothing in a message changes but the one Received line on top.
// What is held goes into the journal and is answered 250 when it is durable there. What is not held
// goes straight on, and the answer is the upstream's own.
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
// client still owns the mail and the journal says unknown.
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
// does not end in CRLF gets one. BINARYMIME is not offered. Success at MAIL is answered in our own
// words, because the upstream is asked only when a recipient is known. SIZE above 4 GiB is a syntax error. SCRAM
// works without channel binding only: TLS ends here.
package relay
