package limit

import "slices"

// A subject is all that is counted for one key, under every rule.
type subject struct {
	key string
	ref
	windows []window
	more    *extra // of few subjects
}

// extra is what most subjects do not have.
type extra struct {
	grants []grant
	paces  []pace
	resets []reset
}

// A reset remembers when a window was emptied: what was taken before is not given back.
type reset struct {
	rule uint32
	at   int64
}

// allRules stands for every rule in a reset.
const allRules = ^uint32(0)

func (s *subject) extra() *extra {
	if s.more == nil {
		s.more = &extra{}
	}
	return s.more
}

// find gives the window of a rule, or nil.
func (s *subject) find(rule uint32) *window {
	for i := range s.windows {
		if s.windows[i].rule == rule {
			return &s.windows[i]
		}
	}
	return nil
}

// window gives the window of a rule with a width, and makes it.
func (s *subject) window(rule, width uint32) *window {
	if w := s.find(rule); w != nil {
		return w
	}
	s.windows = append(s.windows, window{rule: rule, width: width})
	return &s.windows[len(s.windows)-1]
}

// giveBack returns what was taken at a time, unless that is over now or the window was emptied since.
func (s *subject) giveBack(rule uint32, at, n, now int64) {
	w := s.find(rule)
	if w != nil && w.end(at) > now && s.resetAt(rule) < at {
		w.giveBack(at, n)
	}
}

// resetAt gives the last time at which a rule's window was emptied; 0 is never.
func (s *subject) resetAt(rule uint32) int64 {
	at := int64(0)
	if s.more != nil {
		for _, r := range s.more.resets {
			if r.rule == rule || r.rule == allRules {
				at = max(at, r.at)
			}
		}
	}
	return at
}

// reset empties the windows of a rule or of all, once for each time.
func (s *subject) reset(rule uint32, ms int64) {
	if s.resetAt(rule) >= ms {
		return
	}
	s.windows = slices.DeleteFunc(s.windows, func(w window) bool { return rule == allRules || w.rule == rule })
	m := s.extra()
	m.paces = slices.DeleteFunc(m.paces, func(p pace) bool { return rule == allRules || p.rule == rule })
	m.resets = slices.DeleteFunc(m.resets, func(r reset) bool { return rule == allRules || r.rule == rule })
	m.resets = append(m.resets, reset{rule, ms})
}

// sweep drops what is over and reports whether anything is left.
func (s *subject) sweep(ms int64) bool {
	s.windows = slices.DeleteFunc(s.windows, func(w window) bool { return w.used(ms) == 0 })
	if m := s.more; m != nil {
		m.grants = slices.DeleteFunc(m.grants, func(g grant) bool { return g.until <= ms })
		m.paces = slices.DeleteFunc(m.paces, func(p pace) bool { return p.tat/1e6 < ms })
		if len(s.windows) == 0 {
			m.resets = nil
		}
		if len(m.grants)+len(m.paces)+len(m.resets) == 0 {
			s.more = nil
		}
	}
	return len(s.windows) > 0 || s.more != nil
}
