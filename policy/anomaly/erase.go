package anomaly

// Erase forgets the accounts whose names are named, and gives how many these were. One that is suspended is forgotten,
// too: whoever asks has ended that.
func (w *Watch) Erase(named func(identity string) bool) (accounts int) {
	for i := range w.shards {
		s := &w.shards[i]
		s.Lock()
		for identity := range s.accounts {
			if named(identity) {
				delete(s.accounts, identity)
				accounts++
			}
		}
		s.Unlock()
	}
	return accounts
}
