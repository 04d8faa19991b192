package guard

// Erased is what a Guard has forgotten of a person.
type Erased struct {
	Keys      int // of limits
	Known     int // correspondents: the person's, and the person among those of others
	Accounts  int // what was usual for them, and suspensions that are over
	Campaigns int // in which the person is not named any more
}

// Erase takes a person out of the memory. text gives a text without the person, and the same text when it does not
// name them; address is the key of their address, empty when there is none. What waits stays as it is: the journal
// still has it. Whoever asks has seen to it that the person is not suspended, and saves all parts afterwards.
func (g *Guard) Erase(text func(string) string, address string) Erased {
	named := func(s string) bool { return text(s) != s }
	v := Erased{Keys: g.counters.Erase(text), Known: g.people.Erase(text, address)}
	if g.index != nil {
		v.Campaigns = g.index.Erase(text)
	}
	if g.watch != nil {
		v.Accounts = g.watch.Erase(named)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for identity, s := range g.suspended {
		if named(identity) {
			delete(g.suspended, identity)
			v.Accounts++
			continue
		}
		s.Reason, s.Author = text(s.Reason), text(s.Author)
		g.suspended[identity] = s
	}
	for identity := range g.pardoned {
		if named(identity) {
			delete(g.pardoned, identity)
		}
	}
	return v
}
