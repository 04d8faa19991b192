// Package setup puts sendgate next to a Postfix, and takes it away again.
//
// [Look] reads how the Postfix is set up. [Found.Propose] makes a [Plan] of it: a sendgate.yaml, the lines
// for main.cf and master.cf, and what else is needed, each with its reason. A plan is only a text until
// [Apply] carries it out, and [Undo] puts back what was there.
//
// What is in order already is no part of a plan: a second run proposes nothing. A configuration that
// has a front is never written again; the plan then takes its addresses from there.
//
// # Trust
//
// Everything is read and run as root. Programs are started by their absolute paths, without a shell and
// in a clean environment; what they print is cleaned before it is shown. Copies of what was there lie in
// a directory that only root may enter.
//
// # Failure
//
// [Apply] is all or nothing. Copies are made before the first change; when a step fails, or Postfix or
// sendgate does not accept what was written, everything is put back and the error says what was wrong.
// What a crash leaves half done is found and undone by the next [Undo].
//
// [Undo] compares before it touches anything. A main.cf or master.cf that somebody has changed since is
// left alone, and the error names the commands that take our lines out by hand; a sendgate.yaml that was
// edited stays.
//
// # Concurrency
//
// One run at a time: the directory of the copies is made exclusively.
//
// # Standards
//
// postconf(1) with -e, -M and -P; postfix(1); MILTER_README and XCLIENT_README of Postfix 3.5 and later.
//
// # Limits
//
// One Postfix instance. Networks and domains that stand in tables or files are not read: they are named,
// and a person adds them. A before-queue content filter (smtpd_proxy_filter) is left to a person, too.
package setup
