package anomaly

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// maxAutomatic keeps the doubled time below two years.
const maxAutomatic = 10

// A bar is the suspension of an account, and how often there was one.
type bar struct {
	_       struct{} `cbor:",toarray"`
	Since   int64    // seconds since 1970; 0: never
	Until   int64    // 0: until a person ends it
	Nth     uint8    // automatic ones
	Changed int64    // when it was last said anything about it, in nanoseconds
}

// holds reports whether the account is suspended.
func (b *bar) holds(now time.Time) bool {
	return b.Since != 0 && (b.Until == 0 || now.Unix() < b.Until)
}

// term gives the next suspension.
func (b *bar) term(now time.Time, s *Suspensions) *Term {
	nth := 1
	if b.Nth > 0 && now.Unix()-b.Since < int64(s.Memory/time.Second) {
		nth = int(b.Nth) + 1
	}
	if nth > s.Automatic {
		return &Term{Nth: nth}
	}
	return &Term{Nth: nth, Until: now.Add(s.For << (nth - 1))}
}

// Suspended tells that an account is barred from a time on, until another; zero is until a person ends
// it. automatic suspensions make the next one longer. Older news than what is known changes
// nothing.
func (w *Watch) Suspended(at time.Time, identity string, until time.Time, automatic bool) {
	s := w.shard(identity)
	s.Lock()
	defer s.Unlock()
	a := w.touch(s, at, identity)
	if at.UnixNano() <= a.Barred.Changed {
		return
	}
	b := bar{Since: at.Unix(), Nth: a.Barred.Nth, Changed: at.UnixNano()}
	if !until.IsZero() {
		b.Until = until.Unix()
	}
	if automatic {
		b.Nth = uint8(min(a.Barred.term(at, &w.cfg().Suspension).Nth, 255))
	}
	a.Barred, a.Stage, a.StageAt = b, Pass, 0
	a.Tainted = a.Window.At / slots / 24
}

// Release tells that a person ended a suspension, or let the mail of an account pass. What counted against
// it is forgiven. With forget everything that was learned of it goes too, and how often it was
// suspended.
func (w *Watch) Release(at time.Time, identity string, forget bool) {
	s := w.shard(identity)
	s.Lock()
	defer s.Unlock()
	a := w.touch(s, at, identity)
	if at.UnixNano() <= a.Barred.Changed {
		return
	}
	if forget {
		*a = *newAccount(at)
	}
	a.forgive()
	a.Vouched = true
	a.Barred.lift(at)
}

// Unbar tells that a person ended a suspension, and nothing else: what counted against the account still does.
func (w *Watch) Unbar(at time.Time, identity string) {
	s := w.shard(identity)
	s.Lock()
	defer s.Unlock()
	a := w.touch(s, at, identity)
	if at.UnixNano() > a.Barred.Changed {
		a.Barred.lift(at)
	}
}

// lift ends a suspension. How often there was one, and when, stays.
func (b *bar) lift(at time.Time) {
	b.Until, b.Changed = at.Unix(), at.UnixNano()
	if b.Nth == 0 {
		b.Since, b.Until = 0, 0
	}
}

// A Standing says whether an account is suspended, and how often it was.
type Standing struct {
	Suspended bool
	Since     time.Time
	Until     time.Time // zero: until a person ends it
	Nth       int       // automatic suspensions
	Stage     Stage     // which its score reached, for as long as that is kept
}

// Standing tells how an account stands.
func (w *Watch) Standing(now time.Time, identity string) Standing {
	s := w.shard(identity)
	s.Lock()
	defer s.Unlock()
	a := s.accounts[identity]
	if a == nil {
		return Standing{}
	}
	st := Standing{Suspended: a.Barred.holds(now), Nth: int(a.Barred.Nth), Stage: w.kept(a, now)}
	if st.Suspended {
		st.Since = time.Unix(a.Barred.Since, 0).UTC()
		if a.Barred.Until != 0 {
			st.Until = time.Unix(a.Barred.Until, 0).UTC()
		}
	}
	return st
}

// Bars reports whether an account must not write to an external recipient.
func (w *Watch) Bars(now time.Time, identity string, to policy.Address) bool {
	s := w.shard(identity)
	s.Lock()
	defer s.Unlock()
	a := s.accounts[identity]
	return a != nil && a.Barred.holds(now) && !w.cfg().always[to.Key()]
}

// suspended judges a message of a suspended account.
func (w *Watch) suspended(a *account, f *Facts) Verdict {
	for i := range f.External {
		if !w.cfg().always[f.External[i].Address.Key()] {
			return Verdict{Stage: Suspend, Reasons: []Reason{w.reason(Suspended, Numbers{})}}
		}
	}
	n := a.Window.hour(internal) + f.Internal + len(f.External)
	if most := w.cfg().Suspension.Hourly; n > most {
		return Verdict{Stage: Hold, Reasons: []Reason{w.reason(Capped, Numbers{Seen: float64(n), Limit: float64(most), Window: time.Hour})}}
	}
	return Verdict{Stage: Log, Reasons: []Reason{w.reason(Suspended, Numbers{})}}
}
