package limit

// Erase takes a person out. text gives a text without the person, and the same text when it does not name them. What
// was counted, granted and paced for a key that names them is forgotten, also of messages that are remembered; as
// an author of grants to others they are not named any more. It gives how many keys were forgotten.
func (c *Counters) Erase(text func(string) string) (keys int) {
	c.lock(^uint64(0))
	defer c.unlock(^uint64(0))
	for i := range c.shards {
		for key, s := range c.shards[i].subjects {
			if text(key) != key {
				c.shards[i].remove(s) // messages do not find it any more
				keys++
				continue
			}
			s.erase(text)
		}
	}
	return keys
}

func (s *subject) erase(text func(string) string) {
	if s.more == nil {
		return
	}
	for i := range s.more.grants {
		g := &s.more.grants[i]
		g.reason, g.author = text(g.reason), text(g.author)
	}
}

// Erase forgets whom identities that name a person have written to and heard from, and the person among the
// correspondents of all others, by the key of the address; empty is none. text is that of [Counters.Erase]. It gives
// how many were forgotten.
func (c *Correspondents) Erase(text func(string) string, address string) (forgotten int) {
	h := hash(address)
	for i := range c.shards {
		s := &c.shards[i]
		s.Lock()
		before := s.total
		for identity := range s.known {
			all := text(identity) != identity
			s.drop(identity, func(k correspondent) bool { return all || address != "" && k.hash() == h })
		}
		forgotten += before - s.total
		s.Unlock()
	}
	return forgotten
}
