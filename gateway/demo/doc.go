// Package demo is what stands behind the gateway in "sendgate demo": a mail server of one process
// with the mailboxes of corp.example, and the rest of the world.
//
// Mail for the people of corp.example lies in real IMAP mailboxes, in memory; others there are
// refused at RCPT with 550 5.1.1. Everything else goes to a sink that counts it and keeps the last
// messages. Two domains of the world show what can go wrong: greylist.example takes a message at
// the second attempt only (451 4.7.1 after DATA before that), bounce.example never (550 5.7.1
// after DATA). Both speak after DATA, because the gateway asks for RCPT while its own client
// waits, and the demo is to show a retry and a returned message.
//
// The password of everybody is "demo", with the name or the address as login, for SMTP AUTH (PLAIN
// and LOGIN) and for IMAP. [Traffic] sends some mail through a gateway that has such an upstream.
//
// # Trust
//
// It listens on loopback addresses only and refuses others, as it takes mail from everybody
// without authentication: that is the path by which the gateway lets held mail go. go-smtp's
// server cannot do XCLIENT.
//
// # Failure
//
// Messages are lost when the process ends.
//
// # Concurrency
//
// One goroutine per connection, started by the protocol libraries. The sink has one lock; the
// mailboxes are those of imapmemserver, which lock themselves. Run closes all connections and
// waits for the listeners, not for sessions whose connection is closed.
//
// # Standards
//
// SMTP with 8BITMIME, SMTPUTF8, DSN, SIZE and AUTH; IMAP4rev1 and rev2. DSN parameters are
// accepted, notices of success are not sent. Mailboxes hold messages exactly as they came, without
// Return-Path or Received, so that they can be compared with what was sent.
//
// # Limits
//
// 10 MiB a message, 1000 recipients; mailboxes are bounded by memory alone.
package demo
