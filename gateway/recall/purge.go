package recall

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	purgeEvery = time.Hour
	// purgeTries is for how long a mailbox is tried that cannot be reached; then its copies stay.
	purgeTries = 7 * 24 * time.Hour
	// purgedName is where the store keeps up to which recall everything is purged.
	purgedName = "recall purged"
)

// purges removes from staging for good what has lain there long enough, until ctx ends.
func (e *Engine) purges(ctx context.Context) {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		if err := e.purge(ctx); err != nil && ctx.Err() == nil {
			e.Log.Error("what was taken out of mailboxes could not be removed from staging", zap.Error(err))
		}
		e.unwatch(e.now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// purge goes through the recalls from where it ended last, the oldest first.
func (e *Engine) purge(ctx context.Context) error {
	kept, err := e.Journal.Kept(purgedName)
	if err != nil {
		return err
	}
	var mark policy.ID
	copy(mark[:], kept)
	ids, err := e.aged(ctx, mark)
	if err != nil {
		return err
	}
	whole := true
	for _, id := range slices.Backward(ids) {
		done, err := e.purgeOne(ctx, id)
		if err != nil {
			return err
		}
		if whole = whole && done; whole {
			mark = id
		}
	}
	if len(ids) == 0 || string(mark[:]) == string(kept) {
		return nil
	}
	return e.Journal.Keep(purgedName, mark[:])
}

// aged gives the recalls after mark that were asked for long enough ago, newest first.
func (e *Engine) aged(ctx context.Context, mark policy.ID) (ids []policy.ID, err error) {
	for id, err := range e.recorded(ctx, idAt(e.now().Add(-e.config().KeepRemoved))) {
		if err != nil {
			return nil, err
		}
		if id.Compare(mark) <= 0 {
			break
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// idAt is below all ids of a time and later.
func idAt(t time.Time) (id policy.ID) {
	_ = id.SetTime(uint64(max(0, t.UnixMilli()))) // fails after the year 10889
	return id
}

// purgeOne purges what one recall took. It reports whether nothing is left to be tried.
func (e *Engine) purgeOne(ctx context.Context, id policy.ID) (done bool, err error) {
	j, err := e.load(id)
	if errors.Is(err, store.ErrNotFound) || err == nil && j.purged {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	over := e.now().Sub(j.ended) - e.config().KeepRemoved
	if j.ended.IsZero() || over < 0 {
		return false, nil
	}
	if err := e.fold(j); err != nil {
		return false, err
	}
	removed, failed := e.purgeCopies(ctx, j)
	if failed != nil && over < purgeTries {
		e.Log.Warn("what a recall took cannot be removed from staging yet", zap.Stringer("recall", id), zap.Error(failed))
		return false, ctx.Err()
	}
	if removed == 0 && failed == nil {
		return true, nil
	}
	ev := policy.Event{Kind: policy.RecallOutcome, Time: e.now(), Actor: "recall", Reason: reasonPurged, Amount: int64(removed)}
	return true, e.say(ctx, id, ev, nil)
}

// purgeCopies counts what is gone for good.
func (e *Engine) purgeCopies(ctx context.Context, j *job) (removed int, failed error) {
	var mu sync.Mutex
	var tasks []task
	for _, p := range j.parts {
		for _, l := range p.lines {
			if l.code != policy.RemovedFromMailbox && l.code != policy.RecallRestored { // of which a copy may be left
				continue
			}
			for _, c := range l.copies {
				b, ok := e.Mailboxes.Named(c.Backend)
				if !ok || c.Mode != string(mailbox.Staging) {
					continue
				}
				tasks = append(tasks, task{c.Backend, func() {
					err := b.Purge(ctx, c.User, c)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil, errors.Is(err, mailbox.ErrGone), errors.Is(err, mailbox.ErrNoMailbox):
						removed++
					default:
						failed = err
					}
				}})
			}
		}
	}
	e.each(ctx, always, tasks)
	if failed == nil {
		failed = ctx.Err()
	}
	return removed, failed
}
