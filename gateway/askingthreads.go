package gateway

import (
	"bufio"
	"io"
	"sync"

	"github.com/sendgate/sendgate/gateway/ask"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
)

// A threadJournal has the bodies of messages, as far as they are kept.
type threadJournal interface {
	Body(id policy.ID) (io.ReadCloser, error)
}

// maxThreads bounds how many messages' Thread-Indexes are remembered: some 2 MB.
const maxThreads = 20_000

// threads remembers the Thread-Index of messages. It forgets the oldest; after a restart only what the store
// has of a message can tell.
type threads struct {
	journal threadJournal

	mu    sync.Mutex
	index map[policy.ID][]byte
	order []policy.ID // a ring of the ids in index
	next  int
}

func newThreads(journal threadJournal) *threads {
	return &threads{journal: journal, index: map[policy.ID][]byte{}}
}

// note remembers the Thread-Index of a message, if it has one.
func (t *threads) note(id policy.ID, values []string) {
	if len(values) == 0 {
		return
	}
	index := ask.Thread(values[0])
	if index == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.index[id] == nil {
		if len(t.order) < maxThreads {
			t.order = append(t.order, id)
		} else {
			delete(t.index, t.order[t.next])
			t.order[t.next] = id
			t.next = (t.next + 1) % maxThreads
		}
	}
	t.index[id] = index
}

// of gives the Thread-Index of a message; nil when it has none or it is not known.
func (t *threads) of(id policy.ID) []byte {
	t.mu.Lock()
	index := t.index[id]
	t.mu.Unlock()
	if index != nil {
		return index
	}
	body, err := t.journal.Body(id)
	if err != nil { // not kept
		return nil
	}
	defer body.Close()
	var h content.Header
	lines := bufio.NewReader(io.LimitReader(body, 256<<10))
	for {
		line, err := lines.ReadBytes('\n')
		if !h.AddLine(line) || err != nil {
			return ask.Thread(h.Get("Thread-Index"))
		}
	}
}
