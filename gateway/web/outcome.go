package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

func anySuccess(outcomes []Outcome) bool {
	return slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Code.Status() == policy.RecallSuccess })
}

// undone says why a cancel has taken nothing back. Nobody repeats a cancel, unlike a recall: what could not be decided is
// said to be open.
func undone(outcomes []Outcome) error {
	if slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Code == policy.Retrying }) {
		return errQueue
	}
	return problem(http.StatusConflict, "not_cancelled", "nothing could be taken back: "+reasons(outcomes))
}

// reasons lists the different reasons of outcomes, for a problem's detail.
func reasons(outcomes []Outcome) string {
	var texts []string
	for _, o := range outcomes {
		if t := o.Code.Label().EN; !slices.Contains(texts, t) {
			texts = append(texts, t)
		}
	}
	return strings.Join(texts, "; ")
}
