// Package mailboxtest holds what every [mailbox.Backend] has to do, as tests against real servers.
//
// [Run] is the suite. [StartDovecot] and [StartCyrus] run private servers on loopback, with mailboxes for
// everybody from u0 to u399 of corp.test; [Owner] is what the owner of a mailbox does with a program of his
// own.
//
// # Failure
//
// Without the servers, or without root, tests are skipped and say why; with SENDGATE_E2E=require they fail.
//
// # Limits
//
// The configurations are those of Dovecot 2.3 and 2.4, and Cyrus 3.6. Debian's cyrus-imapd cannot be installed
// beside dovecot-imapd: see [StartCyrus].
package mailboxtest
