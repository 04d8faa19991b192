package web

import (
	"regexp"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// foldFrom is from how many tries on that failed alike a timeline shows one event for them.
const foldFrom = 3

// foldRuns puts tries together that failed alike, with nothing else between them than other failing tries. What was
// tried for several recipients by turns makes one event for each.
func foldRuns(events []pastEvent) []pastEvent {
	folded := make([]pastEvent, 0, len(events))
	for i := 0; i < len(events); {
		end := i
		for end < len(events) && events[end].Kind == policy.Deferred {
			end++
		}
		if end == i {
			folded = append(folded, events[i])
			i++
			continue
		}
		folded = append(folded, foldDeferrals(events[i:end])...)
		i = end
	}
	return folded
}

// foldDeferrals folds events that are all deferrals; each fold stands where its first try was.
func foldDeferrals(events []pastEvent) (folded []pastEvent) {
	var order []string
	alike := map[string][]pastEvent{}
	for _, e := range events {
		k := failure(&e)
		if alike[k] == nil {
			order = append(order, k)
		}
		alike[k] = append(alike[k], e)
	}
	for _, k := range order {
		run := alike[k]
		if len(run) < foldFrom {
			folded = append(folded, run...)
			continue
		}
		last := run[len(run)-1]
		last.Run = run
		folded = append(folded, last)
	}
	return folded
}

var numbers = regexp.MustCompile(`[0-9]+`)

// failure is the same for tries that failed alike: to the same recipients, with the same reply, but for seconds to
// wait and the like. The codes with which a reply begins count.
func failure(e *pastEvent) string {
	codes, text := e.Reply, ""
	if words := strings.SplitN(e.Reply, " ", 3); len(words) == 3 {
		codes, text = words[0]+" "+words[1], words[2]
	}
	return strings.Join([]string{
		strings.Join(e.Recipients, " "), string(e.Member), e.Rule, e.Reason, e.Actor, codes, numbers.ReplaceAllString(text, "#"),
	}, "\x00")
}
