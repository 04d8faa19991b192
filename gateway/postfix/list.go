package postfix

import "context"

// QueueIDs gives the ids of all messages that Postfix has at this moment. The listing is not atomic: a
// message that moves between queues can be missing.
func (k *Keeper) QueueIDs(ctx context.Context) (map[string]bool, error) {
	ids := map[string]bool{}
	err := k.queue.List(ctx, nil, func(q Queued) bool {
		ids[q.ID] = true
		return true
	})
	return ids, err
}
