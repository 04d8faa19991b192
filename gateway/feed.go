package gateway

import "github.com/sendgate/sendgate/store"

// subscribeFrom reads every record from a batch on, this one too: who has kept a place may not have had all of it.
func subscribeFrom(journal *store.Store, batch uint64) (*store.Subscription, error) {
	if batch < 2 {
		return journal.Replay()
	}
	return journal.Subscribe(batch - 1), nil
}
