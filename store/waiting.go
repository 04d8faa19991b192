package store

import (
	"bytes"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/sendgate/sendgate/policy"
)

// Every message passes through the states in which it waits, and leaves a deleted entry of the index in each of
// them, over which a reader of the index has to step until the engine has compacted it away. Therefore the ids of
// what waits are kept in memory, too: 16 octets each, as far as sendgate or its Postfix still has the mail.
var waitingStates = []policy.State{
	policy.StateAccepted, policy.StateHeld, policy.StateApprovalPending, policy.StateOffered, policy.StateQueued, policy.StateDeferred,
}

func waits(state policy.State) bool { return slices.Contains(waitingStates, state) }

// A moved is a message that enters or leaves a state.
type moved struct {
	state policy.State
	id    policy.ID
}

// waiting has the messages in each of the waitingStates. The committer writes: what a batch brings in is there before
// the batch can be seen, and what it takes out until it can, so that who has looked before and after he opened a
// transaction knows all that the transaction may show.
type waiting struct {
	mu       sync.RWMutex
	ids      map[policy.State]*idSet
	entering map[policy.State][]policy.ID // by the batch that is being written
}

func (w *waiting) reset() {
	w.ids = map[policy.State]*idSet{}
	for _, state := range waitingStates {
		w.ids[state] = &idSet{}
	}
}

// loadWaiting reads the index.
func (s *Store) loadWaiting() error {
	w := &s.waiting
	w.reset()
	return s.view(func(txn *badger.Txn) error {
		for _, state := range waitingStates {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: termPrefix(indexState, string(state))})
			for it.Rewind(); it.Valid(); it.Next() {
				w.ids[state].add(lastID(it.Item().Key()))
			}
			it.Close()
		}
		return nil
	})
}

// enter notes what a batch brings in, before it is written.
func (w *waiting) enter(b *batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entering = map[policy.State][]policy.ID{}
	for _, p := range b.changes {
		for _, m := range p.entered {
			w.entering[m.state] = append(w.entering[m.state], m.id)
		}
	}
}

// settle takes over what a batch has moved, when it is written.
func (w *waiting) settle(b *batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entering = nil
	for _, p := range b.changes { // in their order: a message may come and go in one batch
		for _, m := range p.left {
			w.ids[m.state].remove(m.id)
		}
		for _, m := range p.entered {
			w.ids[m.state].add(m.id)
		}
	}
}

// forget takes out what is behind keys that were deleted.
func (w *waiting) forget(keys [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for state, ids := range w.ids {
		prefix := termPrefix(indexState, string(state))
		for _, k := range keys {
			if bytes.HasPrefix(k, prefix) {
				ids.remove(lastID(k))
			}
		}
	}
}

// settled gives the messages in a state, as far as they can be seen by everybody.
func (w *waiting) settled(state policy.State) idSet {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.ids[state].snapshot()
}

// A waitingView is what waits at one time.
type waitingView map[policy.State]idSet

// view looks at some states at once.
func (w *waiting) view(states []policy.State) waitingView {
	w.mu.RLock()
	defer w.mu.RUnlock()
	v := waitingView{}
	for _, state := range states {
		ids := w.ids[state].snapshot()
		for _, id := range w.entering[state] {
			ids.add(id)
		}
		v[state] = ids
	}
	return v
}

// Waiting gives how many messages have a recipient in a state, and the oldest of them, without going through them. It is for
// the states in which mail is on its way within reach of sendgate: held, approval_pending, queued, deferred, accepted
// and offered. For all others there are none.
func (s *Store) Waiting(state policy.State) (messages int, oldest policy.ID) {
	if !waits(state) {
		return 0, oldest
	}
	ids := s.waiting.settled(state)
	if ids.count > 0 {
		oldest = ids.chunks[0][0]
	}
	return ids.count, oldest
}

// chunkIDs bounds the ids of one chunk of a set. Every message makes a chunk of each state it waits in be copied twice.
const chunkIDs = 64

// An idSet is a set of ids in order. Chunks are never changed but replaced, so that a snapshot is a copy of their list.
type idSet struct {
	chunks [][]policy.ID // none is empty
	count  int
}

func (s *idSet) snapshot() idSet { return idSet{slices.Clone(s.chunks), s.count} }

// find gives the chunk in which an id is or belongs, and its place there.
func (s *idSet) find(id policy.ID) (chunk, place int, found bool) {
	chunk, found = slices.BinarySearchFunc(s.chunks, id, func(c []policy.ID, id policy.ID) int { return c[0].Compare(id) })
	if found || len(s.chunks) == 0 {
		return chunk, 0, found
	}
	chunk = max(0, chunk-1)
	place, found = slices.BinarySearchFunc(s.chunks[chunk], id, policy.ID.Compare)
	return chunk, place, found
}

func (s *idSet) add(id policy.ID) {
	c, i, found := s.find(id)
	switch {
	case found:
		return
	case len(s.chunks) == 0:
		s.chunks = [][]policy.ID{{id}}
	case len(s.chunks[c]) < chunkIDs:
		s.chunks[c] = slices.Insert(slices.Clone(s.chunks[c]), i, id)
	case c == len(s.chunks)-1 && i == chunkIDs: // ids come in order, mostly
		s.chunks = append(s.chunks, []policy.ID{id})
	default:
		full := s.chunks[c]
		s.chunks[c] = slices.Clone(full[:chunkIDs/2])
		s.chunks = slices.Insert(s.chunks, c+1, slices.Clone(full[chunkIDs/2:]))
		s.add(id)
		return
	}
	s.count++
}

func (s *idSet) remove(id policy.ID) {
	c, i, found := s.find(id)
	if !found {
		return
	}
	s.count--
	if len(s.chunks[c]) == 1 {
		s.chunks = slices.Delete(s.chunks, c, c+1)
		return
	}
	s.chunks[c] = slices.Delete(slices.Clone(s.chunks[c]), i, i+1)
}

// seek gives the newest id not above at; a set is a list of a search.
func (s idSet) seek(at policy.ID) (policy.ID, bool) {
	c, i, found := s.find(at)
	switch {
	case found:
		return at, true
	case i > 0:
		return s.chunks[c][i-1], true
	}
	return policy.ID{}, false // find stays in the first chunk for what is below all
}

func (idSet) close() {}
