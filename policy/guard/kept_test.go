package guard

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// full is a desk whose first limit is used up by ann.
func full(t *testing.T, limits ...policy.LimitRule) *desk {
	t.Helper()
	d := newDesk(t, limits...)
	s := d.mail(many(3, "full.example")...)
	s.Header = func(string) []string { return []string{"a@x.example, b@x.example, c@x.example"} }
	d.accept(s, d.decide(s))
	return d
}

// held is mail to three that has to wait.
func (d *desk) held() (policy.Submission, policy.Verdict) {
	d.t.Helper()
	s := d.mail(many(3, "held.example")...)
	s.Header = func(string) []string { return []string{"d@x.example, e@x.example, f@x.example"} }
	v := d.decide(s)
	if v.Action != policy.Hold {
		d.t.Fatalf("not held: %+v", v)
	}
	return s, v
}

func TestWhatWaitsAsksWhatItAskedWhenItCame(t *testing.T) {
	for name, change := range map[string]func(*policy.LimitRule){
		"first-time recipients": func(l *policy.LimitRule) { l.Unit = policy.FirstTimeRecipients },
		"visible recipients":    func(l *policy.LimitRule) { l.Unit = policy.VisibleRecipients },
		"a header":              func(l *policy.LimitRule) { l.Match.Headers = map[string]string{"X": "*"} },
	} {
		t.Run(name, func(t *testing.T) {
			d := full(t, rule(change))
			s, v := d.held()
			d.accept(s, v)
			d.now = d.now.Add(time.Second)
			if got := d.g.Flow(d.now, 10); len(got) != 0 {
				t.Fatalf("flows at once: %+v", got)
			}
			d.now = v.Until
			got := d.g.Flow(d.now, 10)
			if len(got) != 1 || len(got[0].Charge.Amounts) != 1 || got[0].Charge.Amounts[0].Units != 3 {
				t.Errorf("flows with %+v", got)
			}
		})
	}
}

func TestWhatFlowsKeepsItsChargeUntilItIsObserved(t *testing.T) {
	d := full(t, rule(func(*policy.LimitRule) {}))
	s, v := d.held()
	if _, _, waits := d.g.Waits(s.ID); !waits {
		t.Error("it does not wait before its event was observed")
	}
	d.accept(s, v)
	d.now = v.Until
	if got := d.g.Flow(d.now, 10); len(got) != 1 {
		t.Fatal(got)
	}
	a, ok := d.g.Going(s.ID)
	if _, _, waits := d.g.Waits(s.ID); !ok || waits || a.Charge == nil {
		t.Fatalf("going %v, waits %v: %+v", ok, waits, a)
	}
	d.see(s, policy.Event{Kind: policy.Released, Time: d.now, Actor: "hold", Charge: a.Charge})
	if _, ok := d.g.Going(s.ID); ok || d.used("ann") != 3 {
		t.Errorf("still going %v, used %d", ok, d.used("ann"))
	}
}

// Of a message that nothing keeps back, whoever reads the journal may skip the end of its hold.
func TestKeepsOnlyWhatWaits(t *testing.T) {
	d := full(t, rule(func(*policy.LimitRule) {}))
	s, v := d.held()
	if !d.g.Keeps(s.ID) {
		t.Error("not kept from the decision on")
	}
	d.accept(s, v)
	if !d.g.Keeps(s.ID) {
		t.Error("not kept once accepted")
	}
	d.see(s, policy.Event{Kind: policy.Released, Time: d.now, Actor: "hold"})
	if d.g.Keeps(s.ID) {
		t.Error("kept after it was let go")
	}
	d.g.mu.Lock()
	d.g.reviews[s.ID] = true
	d.g.mu.Unlock()
	if !d.g.Keeps(s.ID) {
		t.Error("what a person is to look at is not kept")
	}
	other := d.mail("somebody@remote.example")
	other.Envelope.Identity = "ben"
	d.accept(other, d.decide(other))
	if d.g.Keeps(other.ID) {
		t.Error("what passed is kept")
	}
}

func TestWhatIsNotAcceptedIsNotKept(t *testing.T) {
	for name, end := range map[string]func(*desk, policy.Submission){
		"forgotten": func(d *desk, s policy.Submission) { d.g.Forget(d.now, s.ID) },
		"refused":   func(d *desk, s policy.Submission) { d.see(s, policy.Event{Kind: policy.Refused, Time: d.now}) },
		"lost": func(d *desk, _ policy.Submission) {
			d.g.Flow(d.now, 1)
			d.g.Flow(d.now.Add(notedMost+time.Second), 1)
		},
	} {
		d := full(t, rule(func(*policy.LimitRule) {}))
		s, _ := d.held()
		end(d, s)
		if _, _, waits := d.g.Waits(s.ID); waits {
			t.Errorf("%s: it waits", name)
		}
	}
}

func TestAPersonSaysWhenItGoes(t *testing.T) {
	for name, flows := range map[string]bool{"waits": false, "about to go": true} {
		d := full(t, rule(func(*policy.LimitRule) {}))
		s, v := d.held()
		d.accept(s, v)
		if flows {
			d.now = v.Until
			if got := d.g.Flow(d.now, 10); len(got) != 1 {
				t.Fatal(got)
			}
		}
		d.see(s, policy.Event{Kind: policy.HoldChanged, Time: d.now, Actor: "api:ops", Until: d.now.Add(10 * time.Hour)})
		d.now = d.now.Add(2 * time.Hour)
		if got := d.g.Flow(d.now, 10); len(got) != 0 || d.used("ann") != 0 {
			t.Errorf("%s: flows %+v, used %d", name, got, d.used("ann"))
		}
		_, _, waits := d.g.Waits(s.ID)
		if _, goes := d.g.Going(s.ID); waits || goes {
			t.Errorf("%s: does not go when the person said", name)
		}
		d.see(s, policy.Event{Kind: policy.Released, Time: d.now, Actor: "hold"})
		if d.used("ann") != 3 {
			t.Errorf("%s: used %d", name, d.used("ann"))
		}
	}
}

func TestWhatHasBecomeTooLargeFillsTheWindow(t *testing.T) {
	boost := policy.Event{Kind: policy.Boosted, Time: noon, Subject: "ann", Rule: "test", Amount: 3, Until: noon.Add(30 * time.Minute), Reason: "r", Actor: "ops"}
	for name, change := range map[string]func(*desk){
		"a lowered limit": func(d *desk) { d.limit[0].Limit = 2; d.g.Reload(d.settings()) },
		"an ended boost":  func(d *desk) {},
	} {
		d := newDesk(t, rule(func(*policy.LimitRule) {}))
		d.g.Observe(d.now, d.id(), nil, boost)
		first := d.mail(many(3, "a.example")...)
		d.accept(first, d.decide(first))
		s := d.mail(many(5, "b.example")...)
		v := d.decide(s)
		if v.Action != policy.Hold {
			t.Fatalf("%s: %+v", name, v)
		}
		d.accept(s, v)
		change(d)
		d.now = noon.Add(40 * time.Minute)
		if got := d.g.Flow(d.now, 10); len(got) != 0 {
			t.Errorf("%s: flows into a window that is not empty", name)
		}
		if at, _, waits := d.g.Waits(s.ID); !waits || at.Before(noon.Add(time.Hour)) || at.After(noon.Add(62*time.Minute)) {
			t.Errorf("%s: waits %v until %v", name, waits, at)
		}
		d.now = noon.Add(62 * time.Minute)
		got := d.g.Flow(d.now, 10)
		if len(got) != 1 || got[0].Charge.Amounts[0].Units != d.limit[0].Limit {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestEstimatesAreByTheLimitsOfToday(t *testing.T) {
	d := full(t, rule(func(*policy.LimitRule) {}))
	s, v := d.held()
	d.accept(s, v)
	d.limit[0].Per = policy.Per(24 * time.Hour)
	d.g.Reload(d.settings())
	d.now = v.Until.Add(time.Minute)
	if got := d.g.Flow(d.now, 10); len(got) != 0 {
		t.Fatal(got)
	}
	if at, _, _ := d.g.Waits(s.ID); at.Before(noon.Add(23 * time.Hour)) {
		t.Errorf("waits until %v", at)
	}
}

func TestAClaimRefusesNothing(t *testing.T) {
	d := newDesk(t,
		rule(func(l *policy.LimitRule) {
			l.Name, l.Limit, l.Per, l.Action = "day", 1000, policy.Per(24*time.Hour), policy.Reject
		}),
		rule(func(l *policy.LimitRule) { l.Name, l.Limit = "hour", 10 }))
	for range 10 {
		s := d.mail("one@a.example")
		d.accept(s, d.decide(s))
		d.now = d.now.Add(time.Minute)
	}
	s := d.mail(many(10, "b.example")...)
	d.accept(s, d.decide(s))
	for range 25 {
		d.now = d.now.Add(time.Minute)
		d.g.Flow(d.now, 10)
	}
	if v := d.decide(d.mail("one@c.example")); v.Action != policy.Hold || v.Rule != "hour" {
		t.Errorf("%s by %s: %s", v.Action, v.Rule, v.Text.EN)
	}
}

func TestWhatIsLetGoByHandCounts(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Action = policy.Approval }))
	s := d.mail(many(4, "b.example")...)
	v := d.decide(s)
	if v.Action != policy.Approval {
		t.Fatalf("%+v", v)
	}
	d.see(s,
		policy.Event{Kind: policy.Accepted, Time: d.now, Findings: v.Findings},
		policy.Event{Kind: policy.ApprovalRequested, Time: d.now, Findings: v.Findings[:1]},
		policy.Event{Kind: policy.Released, Time: d.now, Actor: "postfix", Reason: "released by hand in Postfix"})
	if d.used("ann") != 4 {
		t.Errorf("used %d", d.used("ann"))
	}
}

func TestWhoIsTakenBackWhileItWaitsDoesNotCount(t *testing.T) {
	for name, flows := range map[string]bool{"waits": false, "about to go": true} {
		d := full(t, rule(func(*policy.LimitRule) {}))
		s, v := d.held()
		d.accept(s, v)
		d.now = v.Until
		if flows {
			d.g.Flow(d.now, 10)
		}
		cancel := policy.Event{Kind: policy.Canceled, Time: d.now, Recipients: []int{0, 1}}
		d.see(s, cancel, cancel)
		got := d.g.Flow(d.now, 10)
		if len(got) != 1 || got[0].Charge.Amounts[0].Units != 1 {
			t.Fatalf("%s: %+v", name, got)
		}
		d.see(s, policy.Event{Kind: policy.Released, Time: d.now, Charge: got[0].Charge})
		if d.used("ann") != 1 {
			t.Errorf("%s: used %d", name, d.used("ann"))
		}
	}
	d := full(t, rule(func(*policy.LimitRule) {}))
	s, v := d.held()
	d.accept(s, v)
	d.see(s, policy.Event{Kind: policy.Canceled, Time: d.now, Recipients: []int{0}}, policy.Event{Kind: policy.Canceled, Time: d.now, Recipients: []int{1, 2}})
	if _, _, waits := d.g.Waits(s.ID); waits {
		t.Error("it waits for nobody")
	}
}

func TestOneMessageIDIsNoTicketForMany(t *testing.T) {
	for name, tt := range map[string]struct {
		digest [16]byte
		pause  time.Duration
		want   int64
	}{
		"without the body": {want: 3},
		"after a while":    {pause: 11 * time.Minute, want: 3},
		"with the body":    {digest: [16]byte{1}, pause: time.Minute, want: 1},
	} {
		d := newDesk(t, rule(func(l *policy.LimitRule) { l.Unit, l.Limit = policy.Messages, 100 }))
		n := 12
		if tt.pause > weakPause {
			n = 3
		}
		for range n {
			s := d.mail("a@b.example")
			s.Envelope.MessageID, s.Digest = "<same@corp.example>", tt.digest
			d.accept(s, d.decide(s))
			d.now = d.now.Add(tt.pause)
		}
		if got := d.used("ann"); got != tt.want {
			t.Errorf("%s: used %d, want %d", name, got, tt.want)
		}
	}
}

// weakPause is for how long a Message-ID by itself makes a retry.
const weakPause = 10 * time.Minute

func TestKey(t *testing.T) {
	d := newDesk(t)
	for name, want := range map[string]string{
		"ann": "ann", "ANN": "ann", "Sales@Corp.Example": "ann", "ann+news@corp.example": "ann", "scanner#192.0.2.1": "scanner#192.0.2.1",
		"to:gmail.com": "to:gmail.com", "from:corp.example": "from:corp.example", "net:192.0.2.1": "net:192.0.2.1", "gateway:": "gateway:", "": "",
	} {
		if got := d.g.Key(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestManyThatWaitAreEstimatedInOnePass(t *testing.T) {
	d := full(t, rule(func(*policy.LimitRule) {}))
	var ids []policy.ID
	for i := range 3000 {
		s := d.mail("x@b.example")
		binary.BigEndian.PutUint32(s.ID[:], uint32(i+1))
		d.accept(s, d.decide(s))
		ids = append(ids, s.ID)
	}
	d.g.Flow(d.now, 10)
	var last time.Time
	ends := map[time.Time]bool{}
	for _, id := range ids {
		at, _, waits := d.g.Waits(id)
		if !waits || at.Before(last) {
			t.Fatalf("waits %v until %v, after %v", waits, at, last)
		}
		last = at
		ends[at] = true
	}
	if len(ends) < 900 {
		t.Errorf("only %d different ends", len(ends))
	}
}
