package postfix

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestRelease(t *testing.T) {
	tests := []struct {
		name string
		// run begins with a message just held under queueID, without a queue file.
		run   func(t *testing.T, k *keeping)
		again bool
		want  Outcome // "" for an error
		err   string  // what it says
		queue string
	}{
		{"from the hold queue", func(_ *testing.T, k *keeping) { k.file(queueID, holdQueue, time.Second) }, false, Released, "", deferredQueue},
		{"after a slow dialogue", func(_ *testing.T, k *keeping) { k.file(queueID, holdQueue, time.Hour) }, false, Released, "", deferredQueue},
		{"after Postfix has rewritten the sender", func(_ *testing.T, k *keeping) {
			k.shelf.put(Envelope{ID: queueID, Queue: holdQueue, Arrival: k.clock(), Sender: "alice.liddell@corp.test"})
		}, false, Released, "", deferredQueue},
		{"while Postfix is receiving it", func(_ *testing.T, k *keeping) { k.file(queueID, "incoming", 0) },
			false, "", queueID + ": still being received by Postfix", "incoming"},
		{"released by hand before", func(_ *testing.T, k *keeping) { k.file(queueID, "active", 0) }, false, NotHeld, "", "active"},
		{"deleted by hand before", func(t *testing.T, k *keeping) {
			k.file(queueID, holdQueue, 0)
			k.later(t, time.Second)
			k.shelf.drop(queueID)
		}, false, NotFound, "", ""},
		{"never there", func(*testing.T, *keeping) {}, false, NeverListed, "", ""},
		{"never there, and the release waited long for the helper", func(t *testing.T, k *keeping) {
			k.decide(t, k.due(t), policy.Event{Kind: policy.Released, Until: k.clock()})
			k.later(t, 10*time.Second)
			k.later(t, 10*time.Second)
		}, false, NeverListed, "", ""},
		{"not there, and asked for by an earlier process", func(*testing.T, *keeping) {}, true, NotHeld, "", ""},
		{"not there, and done without an answer", func(t *testing.T, k *keeping) {
			k.file(queueID, holdQueue, 0)
			k.shelf.silent = fmt.Errorf("%w: broken pipe", ErrAway)
			id := k.due(t)
			if _, err := k.Release(t.Context(), id, new(k.message(t, id).Envelope), false); !errors.Is(err, ErrAway) {
				t.Errorf("the first release: %v", err)
			}
			k.shelf.silent = nil
			k.shelf.drop(queueID) // delivered meanwhile
		}, false, NotHeld, "", ""},
		{"not there, and the helper was never reached", func(t *testing.T, k *keeping) {
			k.shelf.away = errDial
			id := k.due(t)
			if _, err := k.Release(t.Context(), id, new(k.message(t, id).Envelope), false); !errors.Is(err, ErrAway) {
				t.Errorf("the first release: %v", err)
			}
			k.shelf.away = nil
		}, false, NeverListed, "", ""},
		{"a newer message has its queue id", func(_ *testing.T, k *keeping) {
			k.shelf.put(Envelope{ID: queueID, Queue: holdQueue, Arrival: k.clock().Add(time.Minute), Sender: sender})
		}, false, NeverListed, "", holdQueue},
		{"the helper cannot", func(_ *testing.T, k *keeping) {
			k.file(queueID, holdQueue, 0)
			k.shelf.failing = "postsuper: fatal"
		}, false, "", "release " + queueID + ": failed postsuper: fatal", holdQueue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.hold(t, queueID)
			tt.run(t, k)
			r, err := k.Release(t.Context(), id, new(k.message(t, id).Envelope), tt.again)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("the error is %v", err)
				}
			} else if err != nil || r.Outcome != tt.want || r.ID != queueID {
				t.Errorf("%+v, %v", r, err)
			}
			if at := k.shelf.where(queueID); at != tt.queue {
				t.Errorf("the queue file is in %q", at)
			}
		})
	}
}

// due gives the one message with which there is something to do.
func (k *keeping) due(t *testing.T) (id policy.ID) {
	t.Helper()
	if err := k.journal.Due(func(d store.DueMessage) bool { id = d.ID; return true }); err != nil {
		t.Fatal(err)
	}
	return id
}
