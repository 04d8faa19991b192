package relay

import (
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
)

// awayFor is how long an upstream that could not be reached is not asked again for a recipient.
const awayFor = 2 * time.Second

// absences remembers which upstreams are away, so that not every client waits for a connection that
// does not come, and what they offered when they were last there.
type absences struct {
	mu     sync.Mutex
	until  map[string]time.Time
	offers map[string]upstream.Capabilities
}

func newAbsences() *absences {
	return &absences{until: map[string]time.Time{}, offers: map[string]upstream.Capabilities{}}
}

// away reports whether an upstream is known to be away.
func (a *absences) away(name string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Before(a.until[name])
}

// missed notes that an upstream could not be reached.
func (a *absences) missed(name string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.until[name] = now.Add(awayFor)
}

// met notes what an upstream offers.
func (a *absences) met(name string, offer upstream.Capabilities) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offers[name] = offer
}

// last gives what an upstream offered when it was last there. Of one that was never there nothing is
// known; passwords are asked for all the same, so that a client is told to come again (454) instead
// of giving up.
func (a *absences) last(name string) upstream.Capabilities {
	a.mu.Lock()
	defer a.mu.Unlock()
	offer, ok := a.offers[name]
	if !ok {
		offer.Auth = []string{"PLAIN", "LOGIN"}
	}
	return offer
}
