// Package anomaly knows what is usual for each sender and notices when an account behaves like one that
// was taken over.
//
// A [Watch] is asked about a message while it comes in ([Watch.Look]) and told what was accepted
// ([Watch.Learn]), who signed in from where ([Watch.SignIn]), what came back ([Watch.Bounce]) and what was
// decided about an account ([Watch.Suspended], [Watch.Release]). It answers with a [Verdict]: a stage, a
// score and the reasons with their numbers. It decides nothing by itself: who asks holds the message,
// commits the suspension, and tells the Watch about it.
//
// # The baseline
//
// Each account has the exponentially weighted mean and variance of its external recipients and of the
// strangers among them for each hour of the week, for its active hours together and for its active days
// (Finch 2009, Incremental calculation of weighted mean and variance, section 9):
//
//	d = x - mean; mean += a*d; variance = (1-a) * (variance + a*d*d)
//
// with a = 1/n at first and not below 1/4 (cells: a month), 1/100 (hours) and 1/20 (days: a month). Cells are
// kept as logarithms in an octet each, with steps of 4.4 %: smaller than what a changes in one step. A
// day without mail teaches nothing, so that a holiday is not forgotten work; neither does a day on
// which the account was paced, held or suspended, and no hour teaches more than four deviations above
// the mean. That an intruder raises the baseline before he strikes takes him weeks.
//
// A count x is unusual when z = (x - mean) / s >= 4 and x is above a floor: without it 3 to 12 would
// alarm. The mean is the largest of the cell, its neighbours (daylight saving) and all active hours; s
// is the largest of their deviations, of the root of the mean (a Poisson count has no smaller one) and
// of 1.
//
// # The score
//
// Reasons of two sorts add up. Conduct is what an account does: strangers in an hour, a day or a week,
// hard bounces, unknown users, recipients in the order of a dictionary, many networks at once, the text of
// another account. Circumstance is how it looks: a new network, country or program, a foreign From,
// an unusual hour, free-mail recipients, empty subjects. Circumstance alone never reaches more than a
// tag: people travel, and buy computers. The reasons of volume are one: the heaviest counts. The
// sum leads to a stage: log, tag, pace, hold for review, suspend. The numbers are those of [DefaultConfig].
//
// Paced and held accounts stay so until the score was low for Config.Calm. A message without any
// stranger is not paced or held for the strangers of others. Suspension bars external recipients other
// than the help desk, for an hour, then twice and four times as long; the fourth waits for a person.
// Held messages count as conduct, so that who goes on is suspended; refused ones do not.
//
// Evidence of an hour can suspend, evidence of a day or a week only holds: when a suspension runs out the hour
// is empty, and the sender's mail to strangers is looked at by a person instead.
//
// New accounts, and those that wake after 60 days, may write to 50 external recipients a day for 7
// days; recipients who have written to them do not count, and each such message adds to the 50. Who
// was there when the Watch began is not new. In its first 14 days a Watch has no baselines and judges by
// bounces, networks, order and shared texts only.
//
// # Trust
//
// Failed sign-ins never count: anybody can make them. Everything an account does itself may be an
// intruder's; a network or program is familiar only after it was used on two days, the second at least
// a day after the first.
//
// # Failure
//
// Nothing here fails for a message. A damaged snapshot is refused; the journal, told again from its
// beginning with the times of then, gives the same Watch.
//
// # Concurrency
//
// All methods may be called at once. There is no clock, no chance and no I/O: the same calls in the same
// order give the same answers. Accounts are spread over 64 locks.
//
// # Limits
//
// An account takes about 1.6 KB (see the test of its size), and Config.Identities of them are known; the
// ones seen longest ago go first, suspended ones never. Counts slide in steps of five minutes for the hour
// and of an hour for the day, so that an hour is 55 to 60 minutes. A message that is told twice counts
// once if it is among the account's last 16. Hours are those of UTC: the baseline is the account's
// own, wherever it lives. An intruder who stays below the floors (48 strangers a day, 100 a week) in familiar
// surroundings is not found by volume; nor is one who writes to the account's own correspondents at
// their usual rate.
package anomaly
