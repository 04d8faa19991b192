package recall

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	// batch bounds the events of one change: each change reads all rows of its message.
	batch = 256
	// writeEvery is how long an outcome waits for others to be written with.
	writeEvery = time.Second
)

// An outcome is what was found out or done for one row.
type outcome struct {
	code     policy.RecallCode
	evidence string
	copies   []policy.MailCopy
	// last is what a code that is not at an end becomes when there is no time left.
	last policy.RecallCode
	// queue says that it is about a queue: the window does not count.
	queue bool
}

func (o *outcome) processing() bool { return o.code.Status() == policy.RecallProcessing }

// An entry is an outcome that is not durable yet.
type entry struct {
	part  *part
	index int
	line  line
}

// note keeps an outcome and says when the row is looked at again. What says nothing new is not written.
func (e *Engine) note(ctx context.Context, j *job, w *work, i int, o outcome) {
	now := e.now()
	o = e.timed(j, w, i, o, now)
	for k := range o.copies {
		o.copies[k].Recipient = i
	}
	j.mu.Lock()
	known := w.known[i]
	if known.done() && o.processing() && !w.again[i] {
		j.mu.Unlock()
		return
	}
	if o.processing() {
		w.postpone(i, now, e.deadline(j, w, i, &o))
	} else {
		delete(w.tries, i)
	}
	if known.code == o.code && slices.EqualFunc(known.copies, o.copies, samePlace) {
		j.mu.Unlock()
		return
	}
	l := line{code: o.code, evidence: o.evidence, time: now, copies: o.copies, told: known.told}
	w.known[i] = l
	j.entries = append(j.entries, entry{w.part, i, l})
	full := len(j.entries) >= batch
	j.mu.Unlock()
	if full {
		e.writeWhile(ctx, j, batch)
	}
}

func samePlace(a, b policy.MailCopy) bool {
	return a.Mode == b.Mode && a.Staged == b.Staged && a.StagedID == b.StagedID && a.UID == b.UID
}

// write makes what was noted durable, and only then tells who watches. It reports whether nothing is left. What
// cannot be written stays, and is written with what comes next.
func (e *Engine) write(ctx context.Context, j *job) bool { return e.writeWhile(ctx, j, 1) }

// writeWhile writes as long as there are so many entries.
func (e *Engine) writeWhile(ctx context.Context, j *job, least int) bool {
	j.writing.Lock()
	defer j.writing.Unlock()
	for {
		j.mu.Lock()
		if len(j.entries) < least {
			j.mu.Unlock()
			return true
		}
		entries := some(j.entries)
		j.mu.Unlock()
		if err := e.commit(ctx, j, entries); err != nil {
			e.Log.Error("what a recall came to could not be recorded yet", zap.Stringer("recall", j.id), zap.Error(err))
			return false
		}
		j.mu.Lock()
		j.entries = without(j.entries, entries)
		for _, n := range entries {
			n.part.lines[n.index] = n.line
		}
		j.changed = true
		j.tell()
		j.mu.Unlock()
	}
}

// some gives what comes into the next change: the first entries of the message with the oldest one.
func some(entries []entry) (list []entry) {
	for _, n := range entries {
		if n.part == entries[0].part && len(list) < batch {
			list = append(list, n)
		}
	}
	return list
}

// without removes what some gave.
func without(entries, written []entry) []entry {
	p, n := written[0].part, len(written)
	return slices.DeleteFunc(entries, func(x entry) bool {
		if x.part != p || n == 0 {
			return false
		}
		n--
		return true
	})
}

func (e *Engine) commit(ctx context.Context, j *job, entries []entry) error {
	events := make([]policy.Event, len(entries))
	for k := range entries {
		n := &entries[k]
		events[k] = policy.Event{
			Kind: policy.RecallOutcome, Time: n.line.time, Actor: j.actor(), Subject: j.id.String(), Recipients: []int{n.index},
			Reason: string(n.line.code), Evidence: n.line.evidence, Copies: n.line.copies,
		}
	}
	// What was done is recorded, also when the program ends.
	_, err := e.Journal.Commit(context.WithoutCancel(ctx), store.Change{Message: entries[0].part.Message, Events: events})
	if err != nil {
		return fmt.Errorf("record outcomes of %s: %w", entries[0].part.Message, err)
	}
	return nil
}

// writing makes outcomes durable in the background until it is stopped.
func (e *Engine) writing(ctx context.Context, j *job) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(writeEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				e.write(ctx, j)
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}
