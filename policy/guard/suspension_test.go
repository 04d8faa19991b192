package guard

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
)

func TestASuspendedAccountReachesItsOwn(t *testing.T) {
	w := newWatched(t, nil)
	w.send(w.mail(w.strangers(60)...))
	if len(w.suspended) != 1 {
		t.Fatalf("%d suspensions are to be written down", len(w.suspended))
	}
	ev := w.suspended[0]
	if ev.Kind != policy.Suspended || ev.Subject != "ann" || ev.Actor != "anomaly" || ev.Rule != "anomaly" || ev.Amount != 1 || !ev.Until.Equal(noon.Add(time.Hour)) ||
		!strings.HasPrefix(ev.Reason, "Unusual for this account (score 8)") || len(ev.Findings) != 3 {
		t.Errorf("%+v", ev)
	}
	for name, committed := range map[string]bool{"before it is written down": false, "after": true} {
		if committed {
			w.commit()
		}
		t.Run(name, func(t *testing.T) {
			for to, want := range map[string]policy.Action{
				"r0@partner.example": policy.Defer, "boss@corp.example": policy.Pass, helpdesk: policy.Pass, "helpdesk@corp.example": policy.Pass,
			} {
				rcpt := w.mail(to)
				rcpt.Stage, rcpt.Time = policy.StageRcpt, w.now
				v := w.decide(rcpt)
				if v.Action != want || want == policy.Defer && (v.Code != 451 || v.Status != "4.7.28") {
					t.Errorf("RCPT %s: %v %d %s", to, v.Action, v.Code, v.Status)
				}
				if v := w.send(w.mail(to)); v.Action != want {
					t.Errorf("mail to %s: %v", to, v.Action)
				}
			}
		})
	}
	if s, ok := w.g.Suspended(w.now, "ann"); !ok || !s.Automatic() || s.Nth != 1 || len(s.Findings) != 3 || len(w.suspended) != 0 {
		t.Errorf("%+v, and %d more", s, len(w.suspended))
	}
	v := w.send(w.mail(many(21, "corp.example")...)) // who writes to everybody in the house
	if v.Action != policy.Approval || !slices.Contains(codes(v), "capped") {
		t.Errorf("many colleagues: %v %v", v.Action, codes(v))
	}
}

func TestASuspensionEndsByItselfUntilItIsForAPerson(t *testing.T) {
	w := newWatched(t, nil)
	for i, hours := range []time.Duration{1, 2, 4} {
		v := w.send(w.mail(w.strangers(60)...))
		if want := w.now.Add(hours * time.Hour); v.Action != policy.Defer || len(w.suspended) != 1 || !w.suspended[0].Until.Equal(want) || w.suspended[0].Amount != int64(i+1) {
			t.Fatalf("%d: %v %+v", i+1, v.Action, w.suspended)
		}
		w.commit()
		w.now = w.now.Add(hours*time.Hour - time.Second)
		if v := w.send(w.mail("r0@partner.example")); v.Action != policy.Defer {
			t.Errorf("%d: a second before its end: %v", i+1, v.Action)
		}
		w.now = w.now.Add(time.Second)
		if v := w.send(w.mail("r0@partner.example")); v.Action != policy.Pass {
			t.Errorf("%d: at its end: %v %+v", i+1, v.Action, v.Findings)
		}
	}
	v := w.send(w.mail(w.strangers(60)...))
	if v.Action != policy.Reject || v.Code != 550 || v.Status != "5.7.13" || !w.suspended[0].Until.IsZero() || w.suspended[0].Amount != 4 {
		t.Errorf("the fourth: %v %d %s, %+v", v.Action, v.Code, v.Status, w.suspended)
	}
	w.commit()
	w.now = w.now.AddDate(0, 0, 3)
	if v := w.send(w.mail("r0@partner.example")); v.Action != policy.Reject {
		t.Errorf("days later: %v", v.Action)
	}
}

func TestWhatAPersonSaysOfASuspension(t *testing.T) {
	for rule, again := range map[string]policy.Action{"": policy.Pass, Forget: policy.Pass, Keep: policy.Approval} {
		t.Run("history "+rule, func(t *testing.T) {
			w := newWatched(t, nil)
			w.send(w.mail(w.strangers(29)...)) // counts
			w.send(w.mail(w.strangers(40)...))
			if len(w.suspended) != 1 {
				t.Fatal("is not suspended")
			}
			w.commit()
			w.now = w.now.Add(time.Minute)
			w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Unsuspended, Subject: "ann", Actor: "api:ops", Rule: rule})
			v := w.send(w.mail(w.strangers(5)...))
			if v.Action != again {
				t.Errorf("%v %v", v.Action, codes(v))
			}
			familiar := !slices.Contains(codes(w.send(w.stranger("r0@partner.example"))), "network")
			if familiar != (rule == Forget) { // to whom nothing is known nothing is new
				t.Errorf("knows its networks: %v", !familiar)
			}
		})
	}
}

func TestWhoLetsHeldMailPassSpeaksForTheAccount(t *testing.T) {
	for name, again := range map[string]policy.Action{"approved": policy.Pass, "canceled": policy.Approval, "waits": policy.Approval} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, nil)
			s := w.mail(w.strangers(30)...)
			w.send(s)
			w.now = w.now.Add(time.Minute)
			switch name {
			case "approved":
				w.tell(s.ID, s.Envelope, policy.Event{Kind: policy.Approved, Actor: "api:ops"})
			case "canceled":
				w.tell(s.ID, s.Envelope, policy.Event{Kind: policy.Canceled, Actor: "api:ops"})
			}
			if v := w.send(w.mail(w.strangers(1)...)); v.Action != again {
				t.Errorf("%v %v", v.Action, codes(v))
			}
		})
	}
}

func TestManyAtOnceAreOneSuspension(t *testing.T) {
	var mu sync.Mutex
	w := newWatched(t, nil)
	w.set.Suspend = func(e policy.Event) {
		mu.Lock()
		defer mu.Unlock()
		w.suspended = append(w.suspended, e)
	}
	w.g.Reload(w.set)
	var group sync.WaitGroup
	for range 16 {
		s := w.mail(w.strangers(60)...)
		s.Time = w.now
		group.Go(func() {
			if v := w.decide(s); v.Action != policy.Defer || v.Code != 451 || v.Charge != nil {
				t.Errorf("%v %d", v.Action, v.Code)
			}
		})
	}
	group.Wait()
	if len(w.suspended) != 1 {
		t.Errorf("%d suspensions", len(w.suspended))
	}
	w.commit()
	if s, _ := w.g.Suspended(w.now, "ann"); s.Nth != 1 || w.g.watch.Standing(w.now, "ann").Nth != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAMessageThatIsReadWhenItsAccountWasSuspended(t *testing.T) {
	w := newWatched(t, nil)
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.CampaignDecided, Subject: w.pass(), Rule: "approve", Actor: "api:ops"})
	s := w.mail("r0@partner.example")
	s.Time = w.now
	if v := w.decide(s); v.Action != policy.Pass {
		t.Fatal(v.Action)
	}
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Suspended, Subject: "ann", Actor: "api:ops"})
	s.Content, s.Stage = &content.Content{Text: "Dear all, the meeting moves to the large room on Friday because of the visitors."}, policy.StageContent
	if v := w.decide(s); v.Action != policy.Reject || v.Status != "5.7.13" || v.Rule != "suspended" {
		t.Errorf("%v %s %s", v.Action, v.Status, v.Rule)
	}
}
