package hold

import (
	"sync"

	"github.com/sendgate/sendgate/policy"
)

// flights knows which messages are being delivered at this moment. An attempt and a decision about
// mail in our queue exclude each other; attempts of one message to several upstreams do not.
type flights struct {
	mu      sync.Mutex
	changed *sync.Cond
	state   map[policy.ID]int // number of attempts, or deciding
}

const deciding = -1

func newFlights() *flights {
	f := &flights{state: map[policy.ID]int{}}
	f.changed = sync.NewCond(&f.mu)
	return f
}

// begin starts an attempt; it waits for a decision to end.
func (f *flights) begin(id policy.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.state[id] == deciding {
		f.changed.Wait()
	}
	f.state[id]++
}

// end ends an attempt.
func (f *flights) end(id policy.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state[id]--; f.state[id] == 0 {
		delete(f.state, id)
	}
}

// decide keeps attempts from starting until decided is called. It is refused while one runs; it
// waits for another decision.
func (f *flights) decide(id policy.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.state[id] == deciding {
		f.changed.Wait()
	}
	if f.state[id] > 0 {
		return false
	}
	f.state[id] = deciding
	return true
}

// decided ends a decision.
func (f *flights) decided(id policy.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.state, id)
	f.changed.Broadcast()
}

// number counts the messages in flight.
func (f *flights) number() (messages int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.state {
		if n > 0 {
			messages++
		}
	}
	return messages
}
