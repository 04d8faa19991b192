package policy

import "slices"

// A Selection finds recipients by address, as it stands in the envelope or was given in ORCPT (RFC 3461 4.2).
type Selection struct {
	given []string
	seen  map[string]bool // by key
}

// NewSelection selects the recipients with these addresses; without addresses, all.
func NewSelection(addresses []string) *Selection {
	s := &Selection{given: addresses, seen: map[string]bool{}}
	for _, a := range addresses {
		s.seen[selectionKey(a)] = false
	}
	return s
}

// selectionKey is the address's own, or the text where it is none.
func selectionKey(text string) string {
	a, err := ParseAddress(text)
	if err != nil {
		return text
	}
	return a.Key()
}

// Of gives the indexes of the rows that are selected; nil stands for all.
func (s *Selection) Of(rows Rows) []int {
	if len(s.given) == 0 {
		return nil
	}
	indexes := make([]int, 0, len(s.given))
	for i := range rows {
		if s.has(rows[i].Address.Key()) || rows[i].Original != "" && s.has(selectionKey(rows[i].Original)) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (s *Selection) has(key string) bool {
	_, ok := s.seen[key]
	if ok {
		s.seen[key] = true
	}
	return ok
}

// Missing lists the addresses that no row had.
func (s *Selection) Missing() (addresses []string) {
	return slices.DeleteFunc(slices.Clone(s.given), func(a string) bool { return s.seen[selectionKey(a)] })
}
