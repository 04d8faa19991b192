// Package source is where log lines come from: a file through its rotations, the journal of systemd,
// or a syslog listener.
//
// A [Source] hands lines over in batches, and with each batch a cursor. Whoever keeps the cursor with
// what it made of the lines can stop at any moment and go on there: a line is then handed over once or,
// after a crash, twice, but not lost without a [Gap] that says so. The lines are not understood here,
// but for the time at their beginning, which bounds the gaps.
//
// # Files
//
// A file is known by device and inode and by fingerprints of its first 1024 octets and of the 256
// before the place. At the start the cursor's content is looked for in the live file and in those that
// it was rotated to, compressed or not (mail.log.1, mail.log.2.gz, mail.log-20261121.gz,
// mail.log.20261121-153000, mail-20261121.log, mail.1.log); what follows it is read in the order of
// age. While a file is being read it is looked at every Config.Poll:
//
//	renamed     read to its end, and twice more after the next one has something in it, so that what the
//	            writer still adds to the old one is not missed
//	compressed  the same; its place among the others is that of the file with its content
//	truncated   the copy (copytruncate) is looked for and read to its end, then the file from its
//	            beginning; without a copy there is a gap
//	removed     read to its end, as long as we have it open; a gap follows unless it was in its place
//	            within the last second and nothing but a new file is there
//
// No listing of the directory is believed unless a second one is the same, and no file that follows
// another before something of it was read and the directory is still the same. Until then the cursor
// stays at the end of the file before.
//
// A first start reads from the end of the file, or from its beginning (Config.Start); what it was
// rotated to before is not read. [ReadFile] reads a file once, for an import.
//
// # The journal
//
// A child process, journalctl, prints the entries in the export format. A first child reads to the end
// of the journal, whose end proves that everything was read; a second one follows. Both begin with the
// entry of the cursor itself: if it is not the first to come, entries were removed before they were
// read, which is a gap. A child that ends is started again. The user of this process must be in group
// systemd-journal.
//
// # Syslog
//
// Datagrams and streams, from the network and on unix sockets. What an old or a new syslog writes is
// told apart message by message. A message that names no host gets the address of its peer, or on a
// unix socket the name of this machine. All the time in which nobody listened is a gap.
//
// # Trust
//
// Lines are foreign octets: a mail server writes into its log what strangers say to it, and whoever may
// write to a file or a socket may write anything. Line ends and NUL never get into a line. Networks are
// checked by the address of the peer, which anybody near enough can forge in a datagram, and a name of a
// host within a message is believed: let only mail servers and their log host in. A cursor that somebody
// changed costs lines, as a gap, and nothing else.
//
// # Failure
//
// What cannot be read (permissions, a missing file or directory, a socket in use, a program that fails)
// is tried again after pauses that grow to 10 seconds, and logged when it changes. A rotated file that
// cannot be read, or not to its end, may be being compressed: when it has failed six times without having
// changed, what is missing of it is a gap. A cursor that cannot be used is a gap, and everything that is
// there is read.
//
// A gap may be wider than what is missing, it is never narrower: it begins when everything was known to
// have been read, and ends with the first line that is younger. After a gap lines may come a second
// time. Lines of which the writer itself lost some (journald's rate limit, rsyslog's queue, a full disk)
// leave no trace here.
//
// # Concurrency
//
// A Source may be followed by one goroutine at a time. A file needs no other goroutine, a journal one
// for its child, a listener one for each socket and connection; Follow waits for all of them before it
// returns. While take runs, no other take does and files are not read; sockets are read until 16 MiB
// wait, then streams and unix sockets make their peers wait and datagrams stay in the kernel.
//
// # Standards
//
// RFC 3164, RFC 5424, RFC 5426, RFC 6587 (both framings, told apart at each message), RFC 1952 (gzip);
// systemd's Journal Export Format.
//
// # Limits
//
// A line is cut after 1 MiB, a syslog message after 64 KiB. Rotated files compressed otherwise than
// with gzip, or moved to another directory (olddir), are not read. With copytruncate, what is written
// between the copying and the truncating is lost, as logrotate(8) says, and nobody can see it; use
// create. A file truncated and filled again beyond the old place within one Poll is noticed by its
// content, unless its first 1024 octets and the 256 before that place are the old ones. A file that was
// begun and emptied or removed before we looked at it leaves no trace.
//
// Datagrams that the kernel drops for want of room are known on Linux (SO_RXQ_OVFL), with the next one
// that arrives; those that the network loses are not. Plain TCP does not acknowledge lines: what a peer
// had sent when a connection broke may be lost, and is a gap only if a counted message was cut. Syslog
// over TLS is not spoken: let the log host write a file.
//
// Of a followed journal and of sockets, everything older than a second counts as read: what takes longer
// to come from the writer to us is late.
package source
