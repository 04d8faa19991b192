package signin

import "time"

// An Ending is a session that came to an end without anybody ending it.
type Ending struct {
	Session
	Why string // EndedIdle, EndedLongest or EndedChanged
}

// Values of Ending.Why.
const (
	EndedIdle    = "idle"    // no request for Config.Idle
	EndedLongest = "longest" // it was Config.Longest old
	EndedChanged = "changed" // the user's password, role, or what the configuration says of them
)

// maxEndings bounds what waits to be looked at; it is more than ends in a minute.
const maxEndings = 10_000

// Sweep ends the sessions that are over, and gives them with those that have ended since the last time. Whoever
// keeps the desk calls it now and then.
func (d *Desk) Sweep() []Ending {
	now := d.now().UTC()
	d.mu.Lock()
	all := make([]Session, 0, len(d.sessions))
	for _, s := range d.sessions {
		all = append(all, *s)
	}
	d.mu.Unlock()
	for i := range all {
		if why := d.whyOver(&all[i], now); why != "" {
			d.expire(&all[i], why)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ended := d.ended
	d.ended = nil
	return ended
}

// whyOver says why a session is over, empty when it is not.
func (d *Desk) whyOver(s *Session, now time.Time) string {
	if why := d.pastEnd(s, now); why != "" {
		return why
	}
	if !d.stillHolds(s) {
		return EndedChanged
	}
	return ""
}

// pastEnd says to which of its ends in time a session has come, empty for none.
func (d *Desk) pastEnd(s *Session, now time.Time) string {
	c := d.config()
	switch {
	case now.Sub(s.Created) > c.Longest:
		return EndedLongest
	case now.Sub(s.Seen) > c.Idle:
		return EndedIdle
	}
	return ""
}

// expire ends a session that is over, and remembers that for Sweep.
func (d *Desk) expire(s *Session, why string) {
	d.mu.Lock()
	if d.sessions[s.ID] != nil && len(d.ended) < maxEndings { // else another request was first
		d.ended = append(d.ended, Ending{Session: *s, Why: why})
	}
	delete(d.sessions, s.ID)
	d.mu.Unlock()
	_ = d.Revoke(s.ID) // it is over, whether or not the store can note it
}
