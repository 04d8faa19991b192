package web

import (
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

func anySuccess(outcomes []Outcome) bool {
	return slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Code.Status() == policy.RecallSuccess })
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
