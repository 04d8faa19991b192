package track

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A Journal is what a Tracker needs of the store.
type Journal interface {
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
	Message(id policy.ID) (store.Message, error)
	Recipients(id policy.ID) (policy.Rows, error)
	Timeline(id policy.ID) ([]store.Record, error)
	ByQueueID(queueID string) ([]policy.ID, error)
	ByMessageID(messageID string) ([]policy.ID, error)
	InState(ctx context.Context, state policy.State, fn func(policy.ID) bool) error
	Counts(from, to time.Time) map[policy.State]int64
	Keep(name string, value []byte) error
	Kept(name string) ([]byte, error)
}

// A Lister tells which queue files Postfix has at this moment.
type Lister interface {
	QueueIDs(ctx context.Context) (map[string]bool, error)
}
