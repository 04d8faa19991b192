// Package domain asks the DNS about the domains of recipients: whether they exist, whether they take
// mail, and who runs their mail servers.
//
// [Resolver.Lookup] gives an [Answer]; [Answer.Verdict] makes a refusal of it where there is no doubt:
//
//	NXDOMAIN for MX and A                         550 5.1.2   the domain does not exist
//	neither MX nor A nor AAAA                     550 5.1.2   the domain has no mail server
//	null MX (RFC 7505)                            550 5.1.10  the domain does not accept mail
//	MX, or none but an address (RFC 5321 5.1)     passes
//	everything else                               passes
//
// Not checked at all are address literals, names of one label, names that are reserved for use without
// the DNS (.test, .localhost, .example, .local, .internal, ...) and those in the skip list. Names in
// .invalid are checked: they are meant not to exist (RFC 6761 6.4). Whether the hosts that an MX names
// exist is not looked up: mail to them is bounced by whom it concerns, later.
//
// A refusal names a domain that was probably meant, when one is near: well-known mail providers, the
// domains that the organisation has mailed before, and the same name with its last label repaired
// (.con, .cmo). Nothing is suggested that is known not to take mail.
//
// [Answer.Group] names a destination for pacing: the provider of the first mail server, so that all
// customers of a provider are one destination.
//
// # Trust
//
// Answers are foreign octets, parsed by miekg/dns. One is taken only when it comes from the address
// that was asked and repeats id and question; others are ignored, and the wait goes on. Id and port
// are random by the library and the kernel. There is no DNSSEC validation: a resolver that validates
// answers SERVFAIL, which passes. Texts of refusals hold the domain as it was
// folded, and a suggestion from our list, the history or the DNS; the fronts clean them as they clean
// everything.
//
// # Failure
//
// A failing DNS never stops mail. Silence, SERVFAIL, REFUSED, lame and contradictory answers are
// "unknown", which passes. An answer that was good before is used for another day when it cannot be
// renewed. Resolvers are asked in turn, one that did not answer last for half a minute; one domain
// costs at most [Config.Timeout] for each and [Config.Limit] for all. When none has answered several
// times nobody waits any more, until one does. A caller waits for as long as its context says and gets
// "unknown" then; the question goes on, and its answer is there for the next.
//
// # Concurrency
//
// A [Resolver] may be used by any number of goroutines. Any number of lookups of one domain ask once.
// A lookup that is not in the cache runs in a goroutine of its own, at most 64 of them at a time;
// [Resolver.Close] ends and awaits them.
//
// # Standards
//
// RFC 1035, 2181 and 2308 (negative answers and their time to live), RFC 5321 5.1 (MX, implicit MX),
// RFC 6761, 6762, 7686, 8375, 9476 (reserved names), RFC 6891 (EDNS0, 1232 octets), RFC 7505 (null MX;
// 550 stands for its 556, which old clients do not know), RFC 7766 (TCP after a truncated answer), RFC
// 8020 (NXDOMAIN).
//
// # Limits
//
// Resolvers must recurse. /etc/resolv.conf is read once; its search list and options are not used. For
// internationalised domains only the last label is repaired. Suggestions come from the first 20,000
// domains of the history.
package domain
