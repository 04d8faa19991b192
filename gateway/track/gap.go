package track

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sendgate/sendgate/gateway/track/source"
)

// A Gap is a stretch of time of which lines of a log are missing.
type Gap struct {
	Source string    `json:"source"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
	// Host is the host whose lines they are, empty where it is not known or not one.
	Host string `json:"host,omitempty"`
}

const (
	// maxGaps bounds the gaps that are remembered, the newest.
	maxGaps = 200
	// gapsName is where the journal keeps them.
	gapsName = "track gaps"
)

func (t *Tracker) loadGaps() error {
	value, err := t.journal.Kept(gapsName)
	if err != nil || value == nil {
		return err
	}
	if err := json.Unmarshal(value, &t.gaps); err != nil {
		return fmt.Errorf("gaps of the logs: %w", err)
	}
	return nil
}

// addGaps makes gaps durable.
func (t *Tracker) addGaps(f *feed, found []source.Gap) error {
	if len(found) == 0 {
		return nil
	}
	t.mu.Lock()
	for _, g := range found {
		t.gaps = append(t.gaps, Gap{Source: f.source.Name(), From: g.From.UTC(), To: g.To.UTC(), Reason: g.Reason, Host: f.seen.host()})
	}
	t.gaps = merged(t.gaps)
	t.mu.Unlock()
	return t.keepGaps()
}

func (t *Tracker) keepGaps() error {
	t.mu.Lock()
	value, err := json.Marshal(t.gaps)
	t.mu.Unlock()
	if err == nil {
		err = t.journal.Keep(gapsName, value)
	}
	if err != nil {
		return fmt.Errorf("keep the gaps of the logs: %w", err)
	}
	return nil
}

// merged sorts gaps, joins those of one source that touch, and keeps the newest.
func merged(gaps []Gap) []Gap {
	slices.SortFunc(gaps, func(a, b Gap) int { return a.From.Compare(b.From) })
	var out []Gap
	last := map[string]int{}
	for _, g := range gaps {
		if i, ok := last[g.Source]; ok && !g.From.After(out[i].To) {
			if g.To.After(out[i].To) {
				out[i].To = g.To
			}
			continue
		}
		last[g.Source] = len(out)
		out = append(out, g)
	}
	if len(out) > maxGaps {
		out = out[len(out)-maxGaps:]
	}
	return out
}

// closedBy takes out of the gaps what an import has read: of a gap on a known host the lines of that
// host, of any other the time in which the log never paused.
func closedBy(gaps []Gap, s *seen) (out []Gap) {
	for _, g := range gaps {
		read := s.spans
		if g.Host != "" {
			read = nil
			for host, of := range s.hosts {
				if sameHost(host, g.Host) {
					read = append(read, of)
				}
			}
		}
		rest := []Gap{g}
		for _, r := range read {
			rest = closed(rest, r.from, r.to)
		}
		out = append(out, rest...)
	}
	return out
}

// closed takes out of the gaps what an import has read.
func closed(gaps []Gap, from, to time.Time) []Gap {
	var out []Gap
	for _, g := range gaps {
		if !g.To.After(from) || !g.From.Before(to) {
			out = append(out, g)
			continue
		}
		if g.From.Before(from) && !g.From.IsZero() {
			before := g
			before.To = from
			out = append(out, before)
		}
		if g.To.After(to) {
			after := g
			after.From = to
			out = append(out, after)
		}
	}
	return out
}

// gap gives the gap that overlaps a stretch of time. A log that has not been read for an hour is one.
// The lock is held.
func (t *Tracker) gap(from, to time.Time) (Gap, bool) {
	for _, g := range t.gaps {
		if g.From.Before(to) && g.To.After(from) {
			return g, true
		}
	}
	for _, f := range t.feeds {
		if f.line.Before(to.Add(-silence)) {
			return Gap{Source: f.source.Name(), From: f.line, To: to, Reason: "the log could not be read up to now"}, true
		}
	}
	return Gap{}, false
}
