package postfix

import (
	"context"
	"errors"
	"time"
)

// HelperAway is the outcome of a removal that could not be asked for or whose answer did not come.
const HelperAway Outcome = "helper_away"

// Between two looks at a message that is under delivery.
const (
	firstLook = 250 * time.Millisecond
	lastLook  = 5 * time.Second
)

// Remove takes messages out of Postfix's queue, whichever they are in. A delivery that is under way
// is waited for, up to Config.Settle, while no other begins. For each message, in order:
//
//	Removed           it is gone from the queue; its recipients say who had been served before (Gone)
//	NotFound          nobody was left: it was delivered or returned, or deleted by somebody else
//	DifferentMessage  the queue id is another message's now, so that ours has left the queue
//	InFlight          the delivery did not end in time; the message stays held for the rest
//	HelperAway        nothing is known; ask again
//	Failed            Text says why
//
// When ctx ends, what is in flight stays so.
func (h *Helper) Remove(ctx context.Context, messages []Identity) []Result {
	return remove(ctx, h.Delete, h.config.Settle, messages)
}

func remove(ctx context.Context, ask func(context.Context, []Identity) ([]Result, error), settle time.Duration, messages []Identity) []Result {
	results := make([]Result, len(messages))
	open := make([]int, len(messages)) // indexes of messages without a final outcome
	for i := range messages {
		open[i] = i
	}
	deadline := time.Now().Add(settle)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		open = removeOnce(ctx, ask, messages, open, results)
		left := time.Until(deadline)
		if len(open) == 0 || left <= 0 || !wait(ctx, min(pause, left)) {
			return results
		}
	}
}

// removeOnce asks for the open messages and gives those that are in flight.
func removeOnce(ctx context.Context, ask func(context.Context, []Identity) ([]Result, error), messages []Identity, open []int, results []Result) (inFlight []int) {
	part := make([]Identity, len(open))
	for n, i := range open {
		part[n] = messages[i]
	}
	answers, err := ask(ctx, part)
	for n, i := range open {
		if n >= len(answers) { // the rest was not answered
			results[i] = unanswered(messages[i].ID, results[i], err)
			continue
		}
		results[i] = answers[n]
		if answers[n].Outcome == InFlight {
			inFlight = append(inFlight, i)
		}
	}
	return inFlight
}

// unanswered is what is known of a message when an error came instead of its result.
func unanswered(id string, before Result, err error) Result {
	r := Result{ID: id, Outcome: Failed, Text: err.Error(), Recipients: before.Recipients}
	if errors.Is(err, ErrAway) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		r.Outcome = HelperAway
	}
	return r
}

// wait reports whether the time has passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
