// Package similar finds near-duplicates among outgoing mail and counts to how many people they go.
//
// An [Index] turns a visible text into a [Signature] and looks which [Campaign] it belongs to: copies of
// one text, whatever names, numbers, links, dates, random words, invisible characters or disguised
// letters they were given. What is counted are distinct recipients, per sender and campaign, in the
// last hour and the last 24 hours. The caller hands in the recipients that count: external ones that
// take no part in the message's thread and are no known correspondents of the sender.
//
//	sig := index.Signature(text, hints)           // at the end of the message
//	match := index.Look(now, sender, sig, rcpts)  // before the verdict; counts nothing
//	match = index.Take(now, id, sender, sig, rcpts) // accepted: counts
//	index.Undo(id)                                // refused after all, or recalled
//
// # The text
//
// fold brings characters to one form (NFKD, marks and invisible characters dropped, lower case,
// letters that look Latin made Latin). The line rules (strip) take out quotations where the message
// is a reply, signatures, disclaimers, list footers, invitations and the greeting; all but the first
// are local. The scanner cuts words and, for scripts written without blanks, single characters;
// numbers, dates, ids, URLs with their hosts, addresses and the recipients' own names become masks;
// spelled words (f.r.e.e) are joined. Features are runs of tokens that weigh two words: two words, or
// three ideographs.
//
// # The signature
//
// One-permutation MinHash with 128 slots of 16 bits and optimal densification (Li, Owen, Zhang, NIPS
// 2012; Li and König, WWW 2010; Shrivastava, ICML 2017). The share of equal slots estimates the
// Jaccard similarity J of the sets of features with a standard error of sqrt(J(1-J)/128), 0.038 at the
// threshold of 0.25. All hashes depend on a secret seed.
//
// # The rule
//
// Two messages are copies when their normalised texts are equal (from 6 units; a word is a unit, two
// ideographs are one), when J >= 0.25 (from 20 units; J >= 0.40 from 14), when J >= 0.20 and link hosts or an
// attachment agree, or when they carry the same file and hardly any text. A second channel compares the
// full text, with what was stripped, at J >= 0.30, since a forged reply can hide its text in a quotation;
// real replies look like that too, so it counts with twice the limits. Short messages without link or
// attachment have three times the limits.
//
// Candidates are the last 256 campaigns of the sender, compared one by one with their up to six
// samples, and all campaigns that share a band (42 bands of 3 slots: found with probability
// 1-(1-J^3)^42, Broder 1997), where J >= 0.5 is asked. One text from several accounts to many
// recipients each raises the hijack alarm.
//
// Shingles that stand in a tenth of a sender's mail (three messages, three days, all older than a day)
// are his boilerplate and are left out; while a sender has little mail, his domain's. Held mail teaches
// nothing. A message with nothing else left is a template and has a limit of its own.
//
// # Trust
//
// The text is hostile. It is read up to [MaxText] octets in linear time. The worst an author can do
// is to look like nothing else or to stop at another sender's campaign, whose recipients he does not
// add to.
//
// # Failure
//
// Nothing here fails for a message. A snapshot of another seed or version is refused; the journal's
// signatures of the last 24 hours, taken again with their times, restore the counting.
//
// # Concurrency
//
// All methods of Index may be called at once. Signatures are computed without a lock; Look and Take hold
// one for the comparison (tens of microseconds). There is no clock but the times handed in, and no
// chance: the same calls give the same answers, also after a restart from a snapshot.
//
// # Limits
//
// Memory: a signature has 256 octets, 512 when its full text differs. A message like no other costs about
// 2 KB for 24 hours (signature, 42 band entries of 8 octets at half load, books; BenchmarkTake tells), a
// copy in a campaign about 250 octets; Config.Campaigns bounds the former, 4,096 messages and 8,192
// recipients for each sender and campaign the latter. A learner holds up to 16 KB and 100 KB of the last two days. The oldest
// campaigns go first; those that were noticed or decided on stay Config.Keep.
//
// Texts in which three words of ten or more are replaced in every copy, or that are written anew for
// each recipient, are not recognised. Traditional characters are not folded to simplified ones.
// Pictures are compared as files only.
package similar
