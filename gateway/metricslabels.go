package gateway

import (
	"slices"

	"github.com/sendgate/sendgate/gateway/domain"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
)

// labels are the values that a label may have.
type labels map[string]bool

// labelsOf makes them from a closed list.
func labelsOf[T ~string](values ...T) labels {
	l := labels{}
	for _, v := range values {
		l[string(v)] = true
	}
	return l
}

// bound gives a value of the list, and "other" for any that is not there: whatever stands in an old journal,
// there are no more series than that.
func (l labels) bound(value string) string {
	if l[value] {
		return value
	}
	return "other"
}

// actionLabels are what rules do.
func actionLabels() labels {
	return labelsOf(policy.Hold, policy.Reject, policy.Defer, policy.Approval, policy.Pace, policy.Route, policy.Tag, policy.Log)
}

// stageLabels are the stages from which on something is said.
func stageLabels() labels {
	l := labels{}
	for s := anomaly.Log; s <= anomaly.Suspend; s++ {
		l[s.String()] = true
	}
	return l
}

func outcomeLabels() labels {
	return labelsOf(policy.RecallAllSuccess, policy.RecallPartial, policy.RecallAllFailed, policy.RecallRejected, policy.RecallCancelled)
}

// ruleLabels are the names that rules have in findings: those of the configuration and sendgate's own.
func ruleLabels(cfg *Config) labels {
	names := []string{"anomaly", "similar", "suspended", domain.RuleName, pulledBack}
	for i := range cfg.Policy.Limits {
		names = append(names, cfg.Policy.Limits[i].Name)
	}
	for i := range cfg.Policy.Rules {
		names = append(names, cfg.Policy.Rules[i].Name)
	}
	return labelsOf(slices.DeleteFunc(names, func(n string) bool { return n == "" })...)
}
