// Package postconf reads the configuration of a Postfix as its own program postconf(1) prints it.
//
// [Read] gives an [MTA]: the parameters of main.cf with their defaults, and the services of master.cf with
// the parameters of their own. [Words], [ParseMilters], [Lists] and [Duration] read what stands in values, [Shown] and
// [Quoted] make it fit to be seen.
//
// # Trust
//
// Values are shown and compared, never run. [Program] starts postconf by its absolute path, without a
// shell and in a clean environment.
//
// # Failure
//
// Either the whole configuration is read, or none of it. What postconf complains about is the error.
//
// # Concurrency
//
// Values do not change once read.
//
// # Standards
//
// postconf(1) with -x, -F and -P; postconf(5) and master(5) of Postfix 3.5 and later.
//
// # Limits
//
// Lists that name files, tables or host names are not looked into. Milters by client
// (smtpd_milter_maps) are not followed.
package postconf
