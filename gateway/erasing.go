package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
)

const (
	// erasePatience bounds how long an erasure waits for those who follow the journal.
	erasePatience = 5 * time.Second
	erasePause    = 20 * time.Millisecond
)

// An erasing takes a person out of what is derived of the journal, which was rewritten before.
type erasing struct {
	limits  *limits
	alerts  *alerts
	recalls *recalls
	logins  *logins
	returns *returns
}

// Busy reports whether a recall is going on.
func (e erasing) Busy(recall policy.ID) bool { return e.recalls.Follows(recall) }

// Forget waits until those who follow the journal have taken up what it had of the person, and lets them forget it.
// What is kept on disk of their memory is written anew before it ends.
func (e erasing) Forget(ctx context.Context, f web.Forgetting) (v web.Forgotten, err error) {
	e.logins.forget(f.Text)
	e.recalls.Erase(f.Text)
	batch := e.limits.store.LastBatch()
	e.reached(ctx, batch)
	var errs []error
	if v.Alerts, err = e.alerts.Erase(f.Text, f.Subjects); err != nil {
		errs = append(errs, err)
	}
	g, err := e.limits.erase(ctx, batch, f.Text, policy.Address(f.Person).Key())
	if err != nil {
		errs = append(errs, err)
	}
	if err := e.returns.erase(f.Text); err != nil {
		errs = append(errs, err)
	}
	v.Limits, v.Accounts, v.Contacts, v.Campaigns = g.Keys, g.Accounts, g.Known, g.Campaigns
	return v, errors.Join(errs...)
}

// reached waits until alerts have followed the journal up to a batch, but not for long: what is read later was
// rewritten on disk.
func (e erasing) reached(ctx context.Context, batch uint64) {
	ctx, cancel := context.WithTimeout(ctx, erasePatience)
	defer cancel()
	tick := time.NewTicker(erasePause)
	defer tick.Stop()
	for !e.alerts.Reached(batch) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// errNotFollowed is for an erasure while nobody follows the journal, or is far behind.
var errNotFollowed = errors.New("the limits do not follow the journal: erase once more, and if that changes nothing start sendgate anew and erase again")

// erase lets whoever follows the journal take a person out of the memory of the rules, between two records, and save
// it. It is done when they are at a batch: what was read before it was rewritten would bring the person back.
func (l *limits) erase(ctx context.Context, batch uint64, text func(string) string, address string) (v guard.Erased, err error) {
	there := make(chan bool, 1)
	ask := func() {
		if l.begun < batch {
			there <- false
			return
		}
		v = l.Guard.Erase(text, address)
		l.saved = 0
		err = l.save()
		there <- true
	}
	ctx, cancel := context.WithTimeout(ctx, 2*erasePatience)
	defer cancel()
	tick := time.NewTicker(erasePause)
	defer tick.Stop()
	for {
		select {
		case l.asks <- ask:
			if <-there {
				return v, err
			}
		case <-ctx.Done():
			return v, errNotFollowed
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// forget forgets who signed in lately.
func (l *logins) forget(text func(string) string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for one := range l.known {
		if text(one.identity) != one.identity {
			delete(l.known, one)
		}
	}
	for identity := range l.refused {
		if text(identity) != identity {
			delete(l.refused, identity)
		}
	}
}

// erase takes a person out of what is owed to senders: out of who stopped their mail, and why; and out of who has got
// many reports lately.
func (r *returns) erase(text func(string) string) error {
	r.mu.Lock()
	maps.DeleteFunc(r.lots, func(who string, _ []time.Time) bool { return text(who) != who })
	r.mu.Unlock()
	names, err := r.journal.KeptNames(returnsName)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.eraseOne(name, text); err != nil {
			return fmt.Errorf("take a person out of %s: %w", name, err)
		}
	}
	return nil
}

func (r *returns) eraseOne(name string, text func(string) string) error {
	value, err := r.journal.Kept(name)
	if err != nil || value == nil {
		return err
	}
	var owed returnOwed
	if json.Unmarshal(value, &owed) != nil {
		return nil // nothing that we wrote: it is dropped when its turn comes
	}
	actor, reason := text(owed.Actor), text(owed.Reason)
	if actor == owed.Actor && reason == owed.Reason {
		return nil
	}
	owed.Actor, owed.Reason = actor, reason
	if value, err = json.Marshal(&owed); err != nil {
		return err
	}
	return r.journal.Keep(name, value)
}
