package hold

import (
	"context"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A Gate is asked when the time of a held message is over: a limit may have no room for it yet. It is
// safe for concurrent use and does not wait. It is not asked about what a person lets go, nor about
// what needs approval.
type Gate interface {
	// Admit decides on a message; its envelope is without recipients. With true it goes, and the record
	// of its release has v.Charge and v.Findings. Else it is held until v.Until, for v.Rule. It may be
	// asked again about a message that it has admitted, when somebody else decided at the same time.
	Admit(ctx context.Context, m *store.Message) (v policy.Verdict, ok bool)
}

// limits is who acts when a limit has room again.
const limits = "limits"

// minWait is after what time a gate is asked again at the earliest: each time is an event. What has room
// before that is let go by ReleaseAdmitted.
const minWait = time.Minute

// ReleaseAdmitted lets a held message go that has waited for a limit and fits now, with what it took of
// its limits. Errors: [store.ErrNotFound], ErrNotHeld, or what the journal says; then nothing was let go.
func (s *Scheduler) ReleaseAdmitted(ctx context.Context, id policy.ID, charge *policy.Charge, findings []policy.Finding) error {
	_, err := s.decideIn(id, policy.StateHeld, ErrNotHeld, func(m *store.Message) error {
		return s.letGo(ctx, m, policy.Event{Kind: policy.Released, Actor: limits, Charge: charge, Findings: findings})
	})
	return err
}

// endHold lets a message go whose hold is over, unless the gate keeps it back; then the task is over.
func (s *Scheduler) endHold(ctx context.Context, t *task, m *store.Message) (gone bool, err error) {
	var v policy.Verdict
	if s.gate != nil {
		var ok bool
		if v, ok = s.gate.Admit(ctx, m); !ok {
			return false, s.keepBack(ctx, t, m, &v)
		}
	}
	return true, s.letGo(ctx, m, policy.Event{Kind: policy.Released, Actor: actor, Charge: v.Charge, Findings: v.Findings})
}

// keepBack moves the end of a hold to when the gate is to be asked again.
func (s *Scheduler) keepBack(ctx context.Context, t *task, m *store.Message, v *policy.Verdict) error {
	now := s.now()
	until := v.Until
	if soonest := now.Add(minWait); until.Before(soonest) {
		until = soonest
	}
	_, err := s.journal.Commit(ctx, store.Change{Message: m.ID, Revision: m.Revision, Patient: true, Events: []policy.Event{{
		Kind: policy.HoldChanged, Time: now, Actor: actor, Until: until, Rule: v.Rule, Findings: v.Findings,
	}}})
	if err != nil {
		return err
	}
	s.log.holdChanged(m, until, actor)
	s.reschedule(t, until)
	return nil
}
