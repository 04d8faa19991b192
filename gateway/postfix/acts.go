package postfix

import (
	"context"
	"errors"
	"slices"
)

// flushSingly is up to how many messages are sent on by postqueue -i, one process each.
const flushSingly = 5

// act carries out a verb that changes something, on messages whose ids are valid and different.
// There is a result for each message, in order.
func (s *Server) act(ctx context.Context, v verb, messages []Identity) []Result {
	s.changing.Lock()
	defer s.changing.Unlock()
	b := newBatch(messages)
	s.identify(b)
	switch v {
	case verbHold:
		s.hold(ctx, b)
	case verbRelease:
		s.release(ctx, b)
	case verbExpire:
		s.expire(ctx, b)
	case verbDelete:
		s.remove(ctx, b)
	}
	return b.results
}

// A batch is a request under work: each message has a result once it is settled.
type batch struct {
	messages []Identity
	results  []Result
}

func newBatch(messages []Identity) *batch {
	b := &batch{messages: messages, results: make([]Result, len(messages))}
	for i := range messages {
		b.results[i].ID = messages[i].ID
	}
	return b
}

// open are the ids of the messages that are not settled.
func (b *batch) open() (ids []string) {
	for i := range b.results {
		if b.results[i].Outcome == "" {
			ids = append(ids, b.results[i].ID)
		}
	}
	return ids
}

// settle gives each open message the outcome that fn finds; "" leaves it open.
func (b *batch) settle(fn func(want *Identity, r *Result) (Outcome, error)) {
	for i := range b.results {
		r := &b.results[i]
		if r.Outcome != "" {
			continue
		}
		outcome, err := fn(&b.messages[i], r)
		if err != nil {
			outcome, r.Text = outcomeOf(err), err.Error()
		}
		r.Outcome = outcome
	}
}

// settleDone gives the outcome to those that postsuper has reported.
func (b *batch) settleDone(done map[string]bool, o Outcome) {
	b.settle(func(want *Identity, _ *Result) (Outcome, error) {
		if done[want.ID] {
			return o, nil
		}
		return "", nil
	})
}

func outcomeOf(err error) Outcome {
	switch {
	case errors.As(err, new(errDifferent)):
		return DifferentMessage
	case errors.Is(err, errNotFound):
		return NotFound
	}
	return Failed
}

// identify settles the messages that are not the ones meant. Those without an arrival time are taken
// by their id alone.
func (s *Server) identify(b *batch) {
	b.settle(func(want *Identity, _ *Result) (Outcome, error) {
		if want.Arrival.IsZero() {
			return "", nil
		}
		_, err := s.spool.look(want)
		return "", err
	})
}

func (s *Server) hold(ctx context.Context, b *batch) {
	done, err := s.programs.superintend(ctx, "-h", b.open())
	b.settleDone(done, Held)
	s.settleSilent(b, err, func(queue string, _ bool) Outcome {
		if queue == holdQueue { // already
			return Held
		}
		return ""
	})
}

func (s *Server) release(ctx context.Context, b *batch) {
	s.spool.hurry(b.open(), holdQueue)
	done, err := s.programs.superintend(ctx, "-H", b.open())
	b.settleDone(done, Released)
	s.settleSilent(b, err, func(queue string, _ bool) Outcome {
		if queue != holdQueue {
			return NotHeld
		}
		return ""
	})
	s.sendOn(ctx, b, Released)
}

// expire uses -f, because -e alone leaves a held message held.
func (s *Server) expire(ctx context.Context, b *batch) {
	s.spool.hurry(b.open(), holdQueue, deferredQueue)
	done, err := s.programs.superintend(ctx, "-f", b.open())
	b.settleDone(done, Expired)
	s.settleSilent(b, err, func(queue string, marked bool) Outcome {
		if marked && queue != holdQueue { // already
			return Expired
		}
		return ""
	})
	s.sendOn(ctx, b, Expired)
}

// settleSilent settles what postsuper said nothing about by where the message is now and whether it is
// marked as expired. Where that explains nothing it has failed.
func (s *Server) settleSilent(b *batch, failure error, explain func(queue string, marked bool) Outcome) {
	b.settle(func(want *Identity, _ *Result) (Outcome, error) {
		f, queue, err := s.spool.open(want.ID)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if o := explain(queue, marked(f)); o != "" {
			return o, nil
		}
		if failure == nil {
			failure = errUnmoved
		}
		return "", failure
	})
}

var errUnmoved = errors.New("postsuper has not found it, although it is in the queue: it is moving; ask again")

// sendOn has the queue manager take up what has the outcome.
func (s *Server) sendOn(ctx context.Context, b *batch, o Outcome) {
	var ids []string
	for i := range b.results {
		if b.results[i].Outcome == o {
			ids = append(ids, b.results[i].ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	if len(ids) <= flushSingly && !slices.ContainsFunc(ids, func(id string) bool { return s.programs.sendOne(ctx, id) != nil }) {
		return
	}
	s.waker.wake()
}

// sendOne starts the delivery of one deferred message.
func (p *programs) sendOne(ctx context.Context, id string) error {
	_, err := p.run(ctx, nil, nil, p.postqueue, "-i", id)
	return err
}

// remove holds what is not held, looks who is left, and deletes from the hold queue only.
func (s *Server) remove(ctx context.Context, b *batch) {
	_, failure := s.programs.superintend(ctx, "-h", b.open())
	b.settle(func(want *Identity, r *Result) (Outcome, error) { return s.whoIsLeft(want, r, failure) })
	done, failure := s.programs.superintend(ctx, "-d", b.open(), holdQueue)
	b.settleDone(done, Removed)
	s.settleSilent(b, failure, func(string, bool) Outcome { return "" })
}

// whoIsLeft reads the recipients of a held message, and settles those that must not be deleted yet.
func (s *Server) whoIsLeft(want *Identity, r *Result, failure error) (Outcome, error) {
	f, queue, err := s.spool.open(want.ID)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if queue != holdQueue {
		if failure == nil {
			failure = errUnmoved
		}
		return "", failure
	}
	busy, err := underDelivery(f)
	if err != nil {
		return "", err
	}
	e, err := check(f, queue, want)
	if err != nil {
		return "", err
	}
	r.Recipients = e.Recipients
	if busy {
		return InFlight, nil
	}
	return "", nil
}
