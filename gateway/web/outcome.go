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

// A selection finds recipients by address, as it is in the envelope or was given in ORCPT.
type selection struct {
	given []string
	seen  map[string]bool // by key
}

func newSelection(addresses []string) *selection {
	s := &selection{given: addresses, seen: map[string]bool{}}
	for _, a := range addresses {
		s.seen[addressKey(a)] = false
	}
	return s
}

func addressKey(text string) string {
	a, err := policy.ParseAddress(text)
	if err != nil {
		return text
	}
	return a.Key()
}

// of gives the indexes of the recipients that are selected.
func (s *selection) of(rows policy.Rows) []int {
	indexes := make([]int, 0, len(rows))
	for i := range rows {
		if s.has(rows[i].Address.Key()) || rows[i].Original != "" && s.has(addressKey(rows[i].Original)) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (s *selection) has(key string) bool {
	_, ok := s.seen[key]
	if ok {
		s.seen[key] = true
	}
	return ok
}

// missing reports whether there is an address that no row had.
func (s *selection) missing() bool {
	return slices.ContainsFunc(s.given, func(a string) bool { return !s.seen[addressKey(a)] })
}
