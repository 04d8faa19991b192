// Package e2e holds the tests of the whole: sendgate as a process of its own in front of a real
// Postfix or as its milter, with the helper as a second process; Postfix delivers to a real Dovecot
// and to a sink.
//
// Each test starts what it needs in a private directory, on free ports of loopback, and ends it by
// its process id. Nothing of the machine's own mail system is used or changed.
//
// Postfix has these listeners: a plain one that trusts 127.0.0.1, and a submission port with
// STARTTLS and AUTH against Dovecot, which takes authenticated mail alone. Both allow XCLIENT and
// XFORWARD from 127.0.0.1. A third one has no milters: there comes back what was taken back from some
// of its recipients. Mail for corp.test goes to Dovecot by LMTP, everything else to the sink.
//
// The tests of the milter run beside each other, because they mostly wait: Postfix's queue is compared
// with the journal every 20 s, and what Postfix never listed is given up after a minute.
//
// So do those of limits, for each front: a window and an approval take a minute at least. There a name
// server and a receiver of webhooks belong to the test.
//
// The crash test needs none of them: it kills sendgate between a load of its own and the sink, and
// counts. SENDGATE_LONG=1 makes it 30 kills and 20,000 messages, and lets the milter hold 5,000
// messages instead of 500.
//
// The tests of tracking have sendgate follow the log of that Postfix. One of them kills sendgate while
// mail passes and the log is rotated, repeated and shuffled, with 2,000 recipients for each front, and
// with SENDGATE_LONG=1 with 20,000; then it compares with what the sink and the mailboxes hold.
//
// The mail log is taken away under load by the real logrotate, with what the package brings, and each line is
// accounted for. Webhooks come to a program in Python that checks signatures by the function in the documentation of
// gateway/notify/webhook.
//
// The dashboard is worked with in Chromium, in front of the demo's mailboxes and a world that refuses in
// hostile words. Every page is opened in both languages and themes, on a desk and on a phone; the console
// has to stay empty, no request may leave for another host, and nothing out of a message may become a part
// of a page. axe-core looks for what keeps people out: it comes from SENDGATE_AXE, a directory, or from
// npm, and without it the log says that it was not looked. With SENDGATE_SHOTS, a directory, pictures of all
// pages are written there, which takes minutes.
//
// With SENDGATE_LONG=1 the Debian package is built and installed in a private Debian, which debootstrap fetches
// from SENDGATE_MIRROR or Debian's own mirror (bookworm, or what SENDGATE_DEBIAN names), and everything is done there
// that the README says: set up, send, hold, recall, upgrade, undo, remove.
//
// # Failure
//
// Without the programs, or without root, under which alone Postfix starts, the tests are skipped
// and say why. With SENDGATE_E2E=require, as contrib/test sets it, they fail instead.
//
// # Limits
//
// The configuration is that of Dovecot 2.3 (Debian 12).
package e2e
