package postfix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A shelf is a Postfix queue with its helper, as a Keeper sees them.
type shelf struct {
	mu      sync.Mutex
	files   map[string]Envelope
	content string
	missed  map[string]bool // there, and not in the listing
	asked   []string        // "release ID" and so on
	busy    map[string]bool // under delivery
	// vanishing are deleted by hand between the helper's look at the recipients and its own deletion.
	vanishing map[string]bool
	failing   string // the helper's text of failure for every verb
	away      error  // nothing arrives
	silent    error  // everything is done, no answer comes
}

var errDial = fmt.Errorf("%w: %w", ErrAway, &net.OpError{Op: "dial", Net: "unix", Err: errors.New("no such file")})

func (s *shelf) put(e Envelope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[e.ID] = e
}

func (s *shelf) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, id)
}

// where gives the queue of a message, or "".
func (s *shelf) where(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[id].Queue
}

func (s *shelf) List(_ context.Context, _ []string, fn func(Queued) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return s.away
	}
	for id, f := range s.files {
		if !s.missed[id] && !fn(Queued{ID: id, Queue: f.Queue, Arrival: f.Arrival.Truncate(time.Second), Sender: f.Sender}) {
			return nil
		}
	}
	return nil
}

func (s *shelf) Read(_ context.Context, want Identity) (Envelope, *Content, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, "read "+want.ID)
	if s.away != nil {
		return Envelope{}, nil, s.away
	}
	f, ok := s.files[want.ID]
	if !ok {
		return Envelope{}, nil, ErrNotFound
	}
	ours, theirs := net.Pipe()
	return f, &Content{answer: &answer{conn: ours, unwatch: func() bool { return theirs.Close() == nil }}, rest: []byte(s.content), err: io.EOF}, nil
}

func (s *shelf) Hold(_ context.Context, messages []Identity) ([]Result, error) {
	return s.act("hold", messages, func(f *Envelope) Outcome {
		if s.vanishing[f.ID] {
			return NotFound
		}
		f.Queue = holdQueue
		return Held
	})
}

func (s *shelf) Release(_ context.Context, messages []Identity) ([]Result, error) {
	return s.act("release", messages, func(f *Envelope) Outcome {
		if f.Queue != holdQueue {
			return NotHeld
		}
		f.Queue = deferredQueue
		return Released
	})
}

func (s *shelf) Delete(_ context.Context, messages []Identity) ([]Result, error) {
	return s.act("delete", messages, func(f *Envelope) Outcome {
		f.Queue = holdQueue
		switch {
		case s.busy[f.ID]:
			return InFlight
		case s.vanishing[f.ID]:
			return NotFound
		}
		return Removed
	})
}

// act does what the real helper does: it checks whose the message is, and then acts.
func (s *shelf) act(verb string, messages []Identity, fn func(*Envelope) Outcome) ([]Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return nil, s.away
	}
	results := make([]Result, len(messages))
	for i := range messages {
		s.asked = append(s.asked, verb+" "+messages[i].ID)
		results[i] = s.one(verb, &messages[i], fn)
	}
	if s.silent != nil {
		return nil, s.silent
	}
	return results, nil
}

func (s *shelf) one(verb string, want *Identity, fn func(*Envelope) Outcome) Result {
	r := Result{ID: want.ID, Outcome: NotFound, Text: s.failing}
	f, ok := s.files[want.ID]
	switch {
	case s.failing != "":
		r.Outcome = Failed
	case ok && want.matches(&f) != nil:
		r.Outcome = DifferentMessage
	case ok:
		r.Outcome = fn(&f)
		s.files[want.ID] = f
		if r.Outcome == Removed || r.Outcome == NotFound {
			delete(s.files, want.ID)
		}
		if verb == "delete" {
			r.Recipients = f.Recipients
		}
	}
	return r
}
