package policy

import (
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// at is an event some seconds after noon.
func at(seconds int, k Kind) Event {
	return Event{Kind: k, Time: noon.Add(time.Duration(seconds) * time.Second)}
}

// fate applies events in the order in which they come in.
func fate(events ...Event) Fate {
	var f Fate
	for _, e := range events {
		f = f.Apply(e)
	}
	return f
}

// targets says where each kind leads a recipient of whom nothing is known; "" is nowhere.
var targets = map[Kind]State{
	Accepted: StateAccepted, Held: StateHeld, HoldChanged: StateHeld, Approved: StateQueued,
	Released: StateQueued, Offered: StateOffered, Canceled: StateCanceled, Resent: StateQueued,
	Refused: StateBlocked, NeverQueued: StateNeverQueued, HandedOver: StateHandedOver,
	Queued: StateQueued, Deferred: StateDeferred, DeliveredMailbox: StateDeliveredMailbox,
	RelayedRemote: StateRelayedRemote, Expanded: "", Bounced: StateBounced, Expired: StateExpired,
	AsyncBounced: StateAsyncBounced, Blocked: StateBlocked, RecallRequested: "", RecallOutcome: "", RecallApproved: "", RecallEnded: "",
	Restored: "", ForwardedSeen: "", ReadSeen: "", Unknown: StateUnknown, Notified: "",
	Suspended: "", Unsuspended: "", Boosted: "", ConfigChanged: "", Login: "", Dequeued: "",
	ApprovalRequested: StateApprovalPending, Overridden: "", UsageReset: "", CampaignDecided: "",
	BypassStarted: "", BypassEnded: "", Erased: "",
}

func TestEveryKindLeadsToItsState(t *testing.T) {
	if len(targets) != len(Kinds) {
		t.Errorf("%d kinds have a row here, there are %d", len(targets), len(Kinds))
	}
	for _, k := range Kinds {
		want, ok := targets[k]
		if !ok {
			t.Errorf("%s has no row", k)
		}
		if got := fate(at(0, k)).State; got != want {
			t.Errorf("%s leads to %q, want %q", k, got, want)
		}
		if !k.Valid() {
			t.Errorf("%s is listed and not valid", k)
		}
	}
	if Kind("delivered").Valid() || Kind("").Valid() {
		t.Error("a kind that is not listed is valid")
	}
	if got := fate(at(0, "delivered")); got != (Fate{}) {
		t.Errorf("a kind that is not listed gives %+v", got)
	}
}

func TestDecisionsComeFirstAndNothingElseIsOne(t *testing.T) {
	const decisions = 9
	for i, k := range Kinds {
		if k.Decision() != (i < decisions) {
			t.Errorf("%s: Decision() = %v", k, k.Decision())
		}
	}
}

func TestApply(t *testing.T) {
	for _, c := range []struct {
		outcome string
		kinds   []Kind // one second apart, in this order
		want    State
	}{
		{"a relayed message runs through", []Kind{Accepted, Held, Released, RelayedRemote}, StateRelayedRemote},
		{"an internal one ends in the mailbox", []Kind{Accepted, Held, Released, DeliveredMailbox}, StateDeliveredMailbox},
		{"a hop is still on the way", []Kind{Accepted, Released, HandedOver}, StateHandedOver},
		{"what was seen behind a hop replaces it", []Kind{Accepted, Released, HandedOver, Queued, Deferred}, StateDeferred},
		{"a deferred one is seen in the queue again", []Kind{Accepted, Released, Deferred, Queued}, StateQueued},
		{"an offered one is refused", []Kind{Offered, Refused}, StateBlocked},
		{"an offered one is relayed", []Kind{Offered, RelayedRemote}, StateRelayedRemote},
		{"a rule stops it after the hold", []Kind{Accepted, Held, Blocked}, StateBlocked},
		{"held and never listed by Postfix", []Kind{Accepted, Held, NeverQueued}, StateNeverQueued},
		{"listed after all", []Kind{Accepted, Held, NeverQueued, DeliveredMailbox}, StateDeliveredMailbox},

		{"a late sent overrides a cancel", []Kind{Accepted, Held, Canceled, RelayedRemote}, StateRelayedRemote},
		{"a late mailbox delivery overrides a cancel", []Kind{Accepted, Held, Canceled, DeliveredMailbox}, StateDeliveredMailbox},
		{"a late bounce overrides a cancel", []Kind{Accepted, Held, Canceled, Bounced}, StateBounced},
		{"a late cancel does not undo a delivery", []Kind{Accepted, RelayedRemote, Canceled}, StateRelayedRemote},
		{"a bounce after a 250 counts only as a DSN", []Kind{Accepted, RelayedRemote, Bounced}, StateRelayedRemote},
		{"a DSN after a 250 returns it", []Kind{Accepted, RelayedRemote, AsyncBounced}, StateAsyncBounced},
		{"a DSN after a mailbox delivery returns it", []Kind{Accepted, DeliveredMailbox, AsyncBounced}, StateAsyncBounced},
		{"nothing outweighs a DSN", []Kind{AsyncBounced, DeliveredMailbox, RelayedRemote, Canceled}, StateAsyncBounced},

		{"unknown where no end is known", []Kind{Accepted, Queued, Unknown}, StateUnknown},
		{"unknown for an offer without an answer", []Kind{Offered, Unknown}, StateUnknown},
		{"unknown twice is unknown", []Kind{Queued, Unknown, Unknown}, StateUnknown},
		{"unknown does not replace an end", []Kind{Queued, Bounced, Unknown}, StateBounced},
		{"unknown does not replace a cancel", []Kind{Held, Canceled, Unknown}, StateCanceled},
		{"unknown is healed by an end", []Kind{Queued, Unknown, RelayedRemote}, StateRelayedRemote},
		{"unknown is healed by a weak end", []Kind{Queued, Unknown, NeverQueued}, StateNeverQueued},
		{"unknown is healed by a queue listing", []Kind{Queued, Unknown, Queued}, StateQueued},

		{"an end is not queued again", []Kind{Queued, Bounced, Queued}, StateBounced},
		{"an end is not deferred again", []Kind{Queued, Expired, Deferred}, StateExpired},
		{"a canceled one is not released", []Kind{Held, Canceled, Released}, StateCanceled},
		{"a canceled one is not held longer", []Kind{Held, Canceled, HoldChanged}, StateCanceled},
		{"a resend leads back from a bounce", []Kind{Queued, Bounced, Resent}, StateQueued},
		{"a resend leads back from a delivery", []Kind{Queued, RelayedRemote, Resent}, StateQueued},
		{"what was resent can bounce again", []Kind{Queued, Bounced, Resent, Bounced}, StateBounced},

		{"a hold is changed while held", []Kind{Accepted, Held, HoldChanged}, StateHeld},
		{"a hold is not changed in the queue", []Kind{Accepted, Released, HoldChanged}, StateQueued},
		{"a hold does not come back after a deferral", []Kind{Accepted, Deferred, Held}, StateDeferred},
		{"an accepted one is released", []Kind{Accepted, Released}, StateQueued},
		{"a release does not undo a deferral", []Kind{Accepted, Released, Deferred, Released}, StateDeferred},
		{"an approval does not undo a hand-over", []Kind{Accepted, Released, HandedOver, Approved}, StateHandedOver},
		{"accepted says nothing new of a held one", []Kind{Held, Accepted}, StateHeld},
		{"a remark changes nothing", []Kind{Held, RecallRequested, ForwardedSeen, ReadSeen, Login}, StateHeld},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			var f Fate
			for i, k := range c.kinds {
				f = f.Apply(at(i, k))
			}
			if f.State != c.want {
				t.Errorf("%v gives %q, want %q", c.kinds, f.State, c.want)
			}
		})
	}
}

// strongestFirst is the order of the ends in the documentation of Apply.
var strongestFirst = []Kind{AsyncBounced, DeliveredMailbox, RelayedRemote, Bounced, Expired, Canceled, Blocked, NeverQueued}

func TestTheStrongerEndWinsInEitherOrderAndAtAnyTime(t *testing.T) {
	for i, strong := range strongestFirst {
		for _, weak := range strongestFirst[i+1:] {
			for _, seconds := range []int{-60, 0, 60} {
				a, b := at(0, weak), at(seconds, strong)
				if got := fate(a, b).State; got != targets[strong] {
					t.Errorf("%s, then %s %d s later: %q", weak, strong, seconds, got)
				}
				if got := fate(b, a); got != fate(b) {
					t.Errorf("%s, then %s: %+v", strong, weak, got)
				}
			}
		}
	}
}

func TestStatesAreListedByStrength(t *testing.T) {
	strength := func(a, b State) int { return a.strength() - b.strength() }
	if !slices.IsSortedFunc(States, strength) {
		t.Errorf("States is not in the order of strength: %v", States)
	}
	seen := map[int]State{}
	for _, s := range States {
		if other, ok := seen[s.strength()]; ok && s.Final() {
			t.Errorf("%s and %s are equally strong", s, other)
		}
		seen[s.strength()] = s
	}
	if ends := len(strongestFirst) + 1; len(seen) != ends+1 { // recalled needs more than its kind, see TestRecallFromAMailbox
		t.Errorf("%d ends are listed, want %d", len(seen)-1, ends)
	}
	if StateUnknown.Final() {
		t.Error("unknown is an end")
	}
}

// What waits in a queue can be put up for approval, until it has left.
func TestQueuedMailIsPulledBack(t *testing.T) {
	for _, k := range []Kind{Accepted, Held, ApprovalRequested, Released, Queued, Deferred} {
		if got := fate(at(0, k), at(1, ApprovalRequested)); got.State != StateApprovalPending {
			t.Errorf("after %s: %+v", k, got)
		}
	}
	for _, k := range []Kind{Offered, HandedOver, DeliveredMailbox, Canceled, Bounced} {
		if got := fate(at(0, k), at(1, ApprovalRequested)); got.State == StateApprovalPending {
			t.Errorf("after %s: %+v", k, got)
		}
	}
	pulled := []Event{at(0, Queued), at(1, ApprovalRequested)}
	if got := fate(append(pulled, at(2, Deferred))...); got.State != StateApprovalPending {
		t.Errorf("an attempt that was under way ends: %+v", got)
	}
	if got := fate(append(pulled, at(2, DeliveredMailbox))...); got.State != StateDeliveredMailbox {
		t.Errorf("an attempt that was under way succeeds: %+v", got)
	}
	if got := fate(append(pulled, at(2, Approved), at(3, Deferred))...); got.State != StateDeferred {
		t.Errorf("approved: %+v", got)
	}
}

func TestAHoldIsTouchedOnlyBeforeItWasLetGo(t *testing.T) {
	before := []State{StateAccepted, StateHeld, StateApprovalPending, StateUnknown}
	for _, k := range []Kind{Held, HoldChanged, Approved, Released, Offered} {
		for _, s := range States {
			was := Fate{State: s, Since: noon}
			got := was.Apply(at(1, k))
			if slices.Contains(before, s) {
				if got.State != targets[k] {
					t.Errorf("%s of a recipient that is %s gives %s", k, s, got.State)
				}
			} else if got != was {
				t.Errorf("%s of a recipient that is %s gives %+v", k, s, got)
			}
		}
	}
}

func TestTheLogIsQuickerThanWeAre(t *testing.T) {
	released := Event{Kind: Released, Time: noon.Add(700 * time.Millisecond), Until: noon.Add(700 * time.Millisecond)}
	deferred := Event{Kind: Deferred, Time: noon, NextTry: noon.Add(5 * time.Minute), Reply: "450 busy", QueueID: "4F2A"} // in whole seconds
	letGo := Event{Kind: Queued, Time: noon.Add(750 * time.Millisecond), QueueID: "4F2A"}
	for _, order := range [][]Event{{deferred, letGo}, {letGo, deferred}} {
		f := fate(at(0, Held), released)
		for _, e := range order {
			f = f.Apply(e)
		}
		if !f.Due.IsZero() || f.State != StateDeferred || f.NextTry.IsZero() {
			t.Errorf("%s first: %+v", order[0].Kind, f)
		}
	}
	own := Event{Kind: Deferred, Time: noon, Until: noon.Add(time.Minute)}
	if f := fate(at(0, Held), released).Apply(own); f.State != StateQueued {
		t.Errorf("an old try of ours: %+v", f)
	}
}

func TestOldObservationsOfTheWayAreIgnored(t *testing.T) {
	for _, k := range []Kind{Queued, Deferred, HandedOver} {
		was := Fate{State: StateDeferred, Since: noon, Attempts: 2, Due: noon.Add(time.Minute)}
		if got := was.Apply(at(-1, k)); got != was {
			t.Errorf("an older %s gives %+v", k, got)
		}
	}
	for _, tt := range []struct {
		was  Kind
		is   Kind
		want State
	}{
		{HandedOver, Queued, StateQueued}, {Queued, HandedOver, StateQueued}, {Queued, Deferred, StateDeferred},
		{Deferred, Queued, StateDeferred}, {Deferred, Deferred, StateDeferred}, {Queued, Queued, StateQueued},
	} {
		was := fate(Event{Kind: tt.was, Time: noon.Add(400 * time.Millisecond)})
		if got := was.Apply(at(0, tt.is)).State; got != tt.want { // a log that counts in seconds
			t.Errorf("%s, then %s in a log of the same second: %s", tt.was, tt.is, got)
		}
		later := Event{Kind: tt.is, Time: was.Since.Add(time.Millisecond)} // our own clock
		if got := was.Apply(later).State; got != targets[tt.is] {
			t.Errorf("%s, then %s a millisecond later: %s", tt.was, tt.is, got)
		}
	}
	if got := fate(at(10, Queued), at(5, Bounced)).State; got != StateBounced {
		t.Errorf("an end from before the last sight of the queue gives %s", got)
	}
	if got := fate(at(10, Unknown), at(5, Queued)).State; got != StateQueued {
		t.Errorf("an older real event leaves unknown at %s", got)
	}
}

// Whatever the order in which a log is read, the same end comes out.
func TestAnyOrderGivesTheSameEnd(t *testing.T) {
	story := []Event{at(0, Accepted), at(0, Held), at(9, Canceled), at(10, Deferred), at(20, RelayedRemote), at(30, Unknown)}
	orders := 0
	permute(story, func(order []Event) {
		orders++
		if got := fate(order...); got.State != StateRelayedRemote || !got.Due.IsZero() {
			t.Fatalf("%v gives %+v", order, got)
		}
	})
	if orders != 720 {
		t.Fatalf("tried %d orders", orders)
	}
}

func permute(events []Event, fn func([]Event)) { permuteFrom(slices.Clone(events), 0, fn) }

func permuteFrom(events []Event, fixed int, fn func([]Event)) {
	if fixed == len(events) {
		fn(events)
		return
	}
	for i := fixed; i < len(events); i++ {
		events[fixed], events[i] = events[i], events[fixed]
		permuteFrom(events, fixed+1, fn)
		events[fixed], events[i] = events[i], events[fixed]
	}
}

func TestAttemptsCountTriesToDeliver(t *testing.T) {
	tries := []Kind{Deferred, DeliveredMailbox, RelayedRemote, Bounced}
	for _, k := range Kinds {
		want := 0
		if slices.Contains(tries, k) {
			want = 1
		}
		if got := fate(at(0, k)).Attempts; got != want {
			t.Errorf("%s counts as %d attempts, want %d", k, got, want)
		}
	}
	f := fate(at(0, Accepted), at(1, Released), at(2, Deferred), at(3, Deferred), at(4, Expired))
	if f.Attempts != 2 {
		t.Errorf("two deferrals and an expiry are %d attempts", f.Attempts)
	}
	if f := fate(at(0, Accepted), at(1, Released), at(2, HandedOver), at(3, DeliveredMailbox)); f.Attempts != 1 {
		t.Errorf("what the server behind delivered at once was tried %d times", f.Attempts)
	}
	if f = f.Apply(at(5, Resent)).Apply(at(6, RelayedRemote)); f.Attempts != 3 {
		t.Errorf("the delivery after a resend is attempt %d", f.Attempts)
	}
	moved := Event{Kind: Deferred, Time: noon.Add(3 * time.Second), Until: noon.Add(4 * time.Second), Untried: true}
	if g := fate(at(0, Accepted), at(1, Released), at(2, Deferred)).Apply(moved); g.Attempts != 1 || !g.Due.Equal(moved.Until) || g.State != StateDeferred {
		t.Errorf("a try that was moved, and not made: %+v", g)
	}
	if again := f.Apply(at(6, RelayedRemote)); again != f {
		t.Errorf("the same delivery twice gives %+v", again)
	}
}

func TestDueIsSetOnTheWayAndClearedByAnEnd(t *testing.T) {
	due := func(e Event, seconds int) Event {
		e.Until = noon.Add(time.Duration(seconds) * time.Second)
		return e
	}
	for _, c := range []struct {
		outcome string
		events  []Event
		want    int // seconds after noon; 0 is nothing to do
	}{
		{"accepted alone is not due", []Event{at(0, Accepted)}, 0},
		{"a hold ends", []Event{at(0, Accepted), due(at(0, Held), 63)}, 63},
		{"a longer hold ends later", []Event{due(at(0, Held), 63), due(at(9, HoldChanged), 300)}, 300},
		{"a shorter hold ends earlier", []Event{due(at(0, Held), 63), due(at(9, HoldChanged), 10)}, 10},
		{"a release is due at once", []Event{due(at(0, Held), 63), due(at(9, Released), 9)}, 9},
		{"a deferral names the next try", []Event{due(at(9, Released), 9), due(at(10, Deferred), 70)}, 70},
		{"a hand-over leaves nothing to do", []Event{due(at(9, Released), 9), at(10, HandedOver)}, 0},
		{"a sight of Postfix's queue leaves nothing to do", []Event{due(at(9, Released), 9), at(10, Queued)}, 0},
		{"unknown leaves nothing to do", []Event{due(at(9, Offered), 9), at(10, Unknown)}, 0},
		{"a cancel clears it", []Event{due(at(0, Held), 63), at(9, Canceled)}, 0},
		{"an end has none, whatever the event says", []Event{due(at(0, Held), 63), due(at(9, Bounced), 70)}, 0},
		{"a resend is due", []Event{at(9, Bounced), due(at(20, Resent), 20)}, 20},
		{"an ignored event does not move it", []Event{due(at(9, Deferred), 70), due(at(10, HoldChanged), 900)}, 70},
		{"a notice does not move it", []Event{due(at(9, Deferred), 70), due(at(10, Notified), 900)}, 70},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			want := time.Time{}
			if c.want != 0 {
				want = noon.Add(time.Duration(c.want) * time.Second)
			}
			if got := fate(c.events...).Due; !got.Equal(want) {
				t.Errorf("due %v, want %v", got, want)
			}
		})
	}
}

func TestWhatAnEventSaysIsKept(t *testing.T) {
	e := Event{
		Kind: Deferred, Time: noon, Until: noon.Add(time.Minute), Rule: "r", Reason: "why", Reply: "451 4.3.0 later",
		Evidence: "line", QueueID: "4cXyz1", Upstream: "mx1 192.0.2.1:25",
	}
	want := Fate{
		State: StateDeferred, Since: noon, Due: noon.Add(time.Minute), Attempts: 1, Rule: "r", Reason: "why",
		Reply: "451 4.3.0 later", Evidence: "line", QueueID: "4cXyz1", Upstream: "mx1 192.0.2.1:25",
	}
	got := fate(e)
	if got != want {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	got = got.Apply(at(1, RelayedRemote))
	if want = (Fate{State: StateRelayedRemote, Since: noon.Add(time.Second), Attempts: 2, QueueID: "4cXyz1"}); got != want {
		t.Errorf("the queue id and nothing else of the deferral stays: %+v", got)
	}
	moved := at(2, AsyncBounced)
	moved.QueueID = "4cXyz2"
	if got = got.Apply(moved); got.QueueID != "4cXyz2" {
		t.Errorf("a new queue id does not replace the old one: %q", got.QueueID)
	}
}

func TestMayBeDuplicateSticks(t *testing.T) {
	doubt := at(0, Deferred)
	doubt.MayBeDuplicate = true
	if f := fate(doubt, at(1, RelayedRemote), at(2, Resent), at(3, Bounced)); !f.MayBeDuplicate {
		t.Errorf("it was lost: %+v", f)
	}
	doubt.Kind = Queued // says nothing new of an end, but the doubt remains
	f := fate(at(0, RelayedRemote), doubt)
	if f.State != StateRelayedRemote || !f.MayBeDuplicate {
		t.Errorf("an ignored event brings no doubt: %+v", f)
	}
	if fate(at(0, Deferred)).MayBeDuplicate {
		t.Error("it is set without cause")
	}
}

func TestANoticeMarksTheDelayAndNothingElse(t *testing.T) {
	for _, s := range States {
		was := Fate{State: s, Since: noon, Due: noon.Add(time.Minute), Attempts: 3, Reply: "451"}
		want := was
		want.Delayed = true
		if got := was.Apply(at(1, Notified)); got != want {
			t.Errorf("%s: %+v", s, got)
		}
		if got := want.Apply(at(2, DeliveredMailbox)); !got.Delayed {
			t.Errorf("%s: the mark is gone after the delivery", s)
		}
	}
}

// Every state meets every kind, before, at and after its time.
func TestApplyIsTotalAndEndsAreStable(t *testing.T) {
	for _, s := range append([]State{""}, States...) {
		for _, k := range append([]Kind{"", "no_such_kind"}, Kinds...) {
			for _, seconds := range []int{-1, 0, 1} {
				checkTransition(t, Fate{State: s, Since: noon, Attempts: 1, QueueID: "q"}, at(seconds, k))
			}
		}
	}
}

func checkTransition(t *testing.T, was Fate, e Event) {
	t.Helper()
	got := was.Apply(e)
	switch {
	case got.State != was.State && !slices.Contains(States, got.State):
		t.Errorf("%s + %s leads to %q, which is no state", was.State, e.Kind, got.State)
	case was.State.Final() && !got.State.Final() && e.Kind != Resent:
		t.Errorf("%s + %s leads back to %s", was.State, e.Kind, got.State)
	case was.State.Final() && got.State.strength() < was.State.strength() && e.Kind != Resent && e.Kind != Restored:
		t.Errorf("%s + %s leads to the weaker %s", was.State, e.Kind, got.State)
	case got.State.Final() && got.Apply(e) != got && e.Kind != Resent:
		t.Errorf("%s + %s twice is %+v, once is %+v", was.State, e.Kind, got.Apply(e), got)
	case got.State == StateUnknown && was.State != StateUnknown && e.Kind != Unknown:
		t.Errorf("%s + %s is unknown", was.State, e.Kind)
	case was.State == StateUnknown && targets[e.Kind] != "" && got.State != targets[e.Kind]:
		t.Errorf("unknown + %s stays %s", e.Kind, got.State)
	case e.Kind == Resent && got.State != StateQueued:
		t.Errorf("%s + resent is %s", was.State, got.State)
	case got.QueueID != "q" || got.Attempts < was.Attempts:
		t.Errorf("%s + %s forgets: %+v", was.State, e.Kind, got)
	case got == was && !e.MayBeDuplicate && targets[e.Kind].strength() > was.State.strength():
		t.Errorf("%s + %s is ignored", was.State, e.Kind)
	}
}

func TestConcerns(t *testing.T) {
	if e := (Event{}); !e.Concerns(0) || !e.Concerns(7) {
		t.Error("no list does not mean everybody")
	}
	if e := (Event{Recipients: []int{1, 3}}); e.Concerns(0) || !e.Concerns(3) {
		t.Error("the list is not obeyed")
	}
	if e := (Event{Recipients: []int{}}); e.Concerns(0) {
		t.Error("an empty list means somebody")
	}
}

func TestParseID(t *testing.T) {
	const id = "01JTQ4Z6X2M8K3R5V7W9Y0ABCD"
	if got, err := ParseID(id); err != nil || got.String() != id {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseID("01jtq4z6x2m8k3r5v7w9y0abcd"); err != nil || got.String() != id {
		t.Errorf("lower case: %v, %v", got, err)
	}
	for _, bad := range []string{"", id[1:], id + "0", id[:25] + "U", id[:25] + "<"} {
		if got, err := ParseID(bad); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

// Who hands a message over has a clock of his own: the queue's word about its file stays.
func TestLateHandOverOfADeferredQueueFile(t *testing.T) {
	deferred := Event{Kind: Deferred, Time: noon, QueueID: "AAAA", Upstream: "mx1/postfix"}
	over := Event{Kind: HandedOver, Time: noon.Add(2 * time.Second), QueueID: "AAAA", Upstream: "default 192.0.2.1:25"}
	if got := fate(deferred, over).State; got != StateDeferred {
		t.Errorf("%s after the hand-over that had come before, want deferred", got)
	}
	over.QueueID = "BBBB"
	if got := fate(deferred, over).State; got != StateHandedOver {
		t.Errorf("%s after another hand-over, want handed_over", got)
	}
}
