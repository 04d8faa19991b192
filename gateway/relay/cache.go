package relay

import (
	"container/list"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
)

// maxAnswers bounds the cache: some 20 MB.
const maxAnswers = 100000

// answers remembers for some minutes what an upstream said to a recipient when it was good. The
// least recently used go first.
type answers struct {
	mu     sync.Mutex
	max    int
	byKey  map[answerKey]*list.Element
	recent list.List // of *answer, newest first
}

// An answerKey is all that an upstream's answer to RCPT may depend on.
type answerKey struct {
	upstream, login   string
	sender, recipient policy.Address
}

type answer struct {
	key     answerKey
	reply   upstream.Reply
	expires time.Time
}

func newAnswers(most int) *answers {
	return &answers{max: most, byKey: map[answerKey]*list.Element{}}
}

// get gives an answer that is still good.
func (a *answers) get(key answerKey, now time.Time) (upstream.Reply, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.byKey[key]
	if e == nil {
		return upstream.Reply{}, false
	}
	if !now.Before(e.Value.(*answer).expires) {
		a.remove(e)
		return upstream.Reply{}, false
	}
	a.recent.MoveToFront(e)
	return e.Value.(*answer).reply, true
}

// put remembers an answer until a time.
func (a *answers) put(key answerKey, reply upstream.Reply, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.byKey[key]; e != nil {
		a.remove(e)
	}
	a.byKey[key] = a.recent.PushFront(&answer{key, reply, until})
	if len(a.byKey) > a.max {
		a.remove(a.recent.Back())
	}
}

// drop forgets an answer that turned out to be wrong.
func (a *answers) drop(key answerKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.byKey[key]; e != nil {
		a.remove(e)
	}
}

func (a *answers) remove(e *list.Element) {
	a.recent.Remove(e)
	delete(a.byKey, e.Value.(*answer).key)
}
