// Package doctor examines how a gateway and the Postfix around it are set up, and names for each
// thing that is wrong the line to change.
//
// [Examine] makes a [Report]: one or more findings for each check, in a fixed order. A finding says
// how bad it is, what was found, why that matters, and what to type: a postconf command, a key of
// sendgate.yaml or a shell command. Names of checks and statuses are for programs and stay as they are;
// texts are for people, in both languages.
//
// What is looked at: Postfix's version, long queue ids, whether Postfix asks sendgate and in which
// order, its default action, time-outs, macros and number of connections, the socket and who may use
// it, the helper, the mail log, the servers behind and the listeners of this Postfix among them, the
// longest hold, SMTPUTF8, content filters, disk space, and the clock.
//
// # Trust
//
// Nothing is changed, and no message is looked at. What programs and servers say is cleaned of
// control characters before it is shown, and quoted where it becomes part of a command.
//
// # Failure
//
// A check that could not run is never ok: it is [Skipped], with the reason. Without Postfix on this
// machine, or without the right to look at a file, the others still run.
//
// # Concurrency
//
// Checks run one after another; nothing is shared.
//
// # Standards
//
// The configuration is read as postconf(1) prints it with -x, -F and -P, by the rules of postconf(5),
// master(5) and MILTER_README of Postfix 3.5 and later. The milter is greeted with the negotiation of
// protocol version 6.
//
// # Limits
//
// Lists that name files, tables or host names are not looked into: what depends on them is skipped.
// Access lists (ACL), AppArmor and SELinux are not seen. Milters by client (smtpd_milter_maps) are not
// followed. Which user may open a file is computed from owner, group and mode. Whether a content filter
// returns its mail to the listener that looks like it, is not known. Free space, the clock and the
// helper's identity are looked at on Linux only.
package doctor
