// Package upstream speaks SMTP and LMTP to the mail server behind us.
//
// It has two users. The relay front opens a connection of its own for each client ([Upstream.Probe])
// on which it asks for recipients, passes AUTH through and hands over mail that is not held. The
// sender gives held mail to [Upstream.Deliver], which keeps a pool of connections, pipelines, and
// goes to the next server when one is away. Nothing here decides anything: replies are handed up
// word for word, and what they mean for a message is for the caller to say.
//
// The client is our own, because that of go-smtp (v0.25.1) cannot carry mail safely: it sets no
// deadline while the body is written, it commits half a message when a copy fails (Quit, Reset and
// Close all write the final dot), it has no context, no pipelining (a round trip for each RCPT), no
// pool, no XCLIENT and no XFORWARD, it reports a missing extension as a plain error, drops DSN
// parameters without a word, and says BODY=8BITMIME always. net/textproto shares the second fault and
// bounds neither lines nor replies, so replies are read here from a bufio.Reader. SASL mechanisms
// come from go-sasl.
//
// # Trust
//
// Every byte from the server is foreign: reply lines and their number are bounded, control characters
// in them become "?", queue ids are checked. Nothing that comes from a client can end a command or
// start a parameter: addresses are checked again where they are written, everything else is xtext, and
// CR, LF and NUL are refused with [ErrUnsafe]. What a server sent in clear behind its answer to STARTTLS is an
// error. Our own password is sent only over TLS with a verified certificate, or to loopback.
// "opportunistic" TLS accepts any certificate and falls back to clear text: it protects from
// listeners, not from those who stand in between.
//
// # Failure
//
// A server that cannot be reached, or that fails before the body was begun, is passed over for the
// next; for half a minute it is then asked last. A pooled connection that turns out to be dead is replaced
// by a fresh one. Once the body has begun nothing is tried twice. Whatever is not a reply is temporary. A message is
// given away only by [Data.Commit]: every other end of a body closes the connection without the final dot.
// When the connection is lost between the dot and the reply, nobody knows: [ErrInDoubt].
//
// # Concurrency
//
// An [Upstream] may be used by any number of goroutines. A [Conn] belongs to one at a time. There is
// no goroutine in the background but a timer that closes idle connections; [Upstream.Close] ends it.
// Canceling a context closes the connection that is used under it.
//
// # Standards
//
// RFC 5321 (timeouts of 4.5.3.2), 2033 (LMTP), 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 6531
// (SMTPUTF8), 3461 and 6533 (DSN, ORCPT), 8689 (REQUIRETLS), 3207 (STARTTLS), 4954 (AUTH), 9422
// (LIMITS); XCLIENT and XFORWARD as in Postfix's README files.
//
// # Limits
//
// Bodies go by DATA, never by BDAT, so there is no BINARYMIME. A body that was announced as 8BITMIME is sent to a server
// without 8BITMIME as it is, without BODY=: a relay that must not touch a byte cannot convert (RFC
// 6152 3 would have it converted or returned), and every server in use is 8-bit clean. There is no MX lookup: servers are
// named. Host names of clients are not looked up: XCLIENT and XFORWARD say [UNAVAILABLE].
package upstream
