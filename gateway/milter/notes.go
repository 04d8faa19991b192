package milter

import (
	"context"
	"sync"

	"github.com/sendgate/sendgate/store"
)

// notes are changes of the journal that no answer waits for.
type notes struct {
	journal Journal
	lost    func(store.Change, error)
	slots   chan struct{}
	running sync.WaitGroup
}

// maxNotes are under way at a time; the store merges what waits into one write.
const maxNotes = 256

func newNotes(journal Journal, lost func(store.Change, error)) *notes {
	return &notes{journal: journal, lost: lost, slots: make(chan struct{}, maxNotes)}
}

// add commits a change without waiting for it, unless too many are under way; then it waits for one
// of them until ctx ends.
func (n *notes) add(ctx context.Context, c store.Change) {
	select {
	case n.slots <- struct{}{}:
	case <-ctx.Done():
		n.lost(c, context.Cause(ctx))
		return
	}
	c.Patient = true
	n.running.Go(func() {
		defer func() { <-n.slots }()
		if _, err := n.journal.Commit(context.WithoutCancel(ctx), c); err != nil {
			n.lost(c, err)
		}
	})
}

// wait waits for all of them, when nobody adds any more.
func (n *notes) wait() { n.running.Wait() }
