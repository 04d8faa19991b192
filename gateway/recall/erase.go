package recall

import "github.com/sendgate/sendgate/policy"

// Follows reports whether a recall is followed: it is going on, or was until a moment ago. What the journal has of it
// must not be rewritten meanwhile.
func (e *Engine) Follows(id policy.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.jobs[id] != nil
}

// Erase takes a person out of what is remembered of who asked lately; see limits for each user in Config. Everything
// else of a recall that is over is read from the journal each time. text gives a text without the person.
func (e *Engine) Erase(text func(string) string) {
	e.door.Lock()
	defer e.door.Unlock()
	for i := range e.used {
		e.used[i].who = text(e.used[i].who)
	}
}
