package similar

// Erase takes a person out of campaigns: in the place of a sender, and of who decided, stands what text makes of the
// name, so that campaigns and their counts stay. text gives the same text when it does not name the person. What was
// learned of the person's texts is forgotten. It gives how many campaigns had named them.
func (x *Index) Erase(text func(string) string) (campaigns int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.campaigns {
		if c.erase(text) {
			campaigns++
		}
	}
	for name, s := range x.senders {
		if other := text(name); other != name {
			delete(x.senders, name)
			x.senders[other] = s
		}
	}
	for name := range x.learners {
		if text(name) != name {
			delete(x.learners, name)
		}
	}
	for id, t := range x.taken {
		if other := text(t.sender); other != t.sender {
			x.taken[id] = taken{t.campaigns, other}
		}
	}
	return campaigns
}

func (c *campaign) erase(text func(string) string) (named bool) {
	replace := func(name *string) {
		if other := text(*name); other != *name {
			*name, named = other, true
		}
	}
	for _, m := range c.Members {
		replace(&m.Sender)
	}
	for i := range c.Samples {
		replace(&c.Samples[i].Sender)
	}
	for i := range c.Decision.Senders {
		replace(&c.Decision.Senders[i])
	}
	replace(&c.Decision.By)
	return named
}
