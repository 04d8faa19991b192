package guard

import (
	"fmt"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestGivenBack(t *testing.T) {
	limit := rule(func(l *policy.LimitRule) { l.Limit = 10 })
	to := append(many(3, "remote.example"), "bob@corp.example")
	for _, tt := range []struct {
		name string
		then func(d *desk, s policy.Submission, v policy.Verdict)
		want int64
	}{
		{"accepted", func(d *desk, s policy.Submission, v policy.Verdict) { d.accept(s, v) }, 3},
		{"not accepted after all", func(d *desk, s policy.Submission, v policy.Verdict) { d.g.Forget(d.now, s.ID) }, 0},
		{"nothing heard of it again", func(d *desk, s policy.Submission, v policy.Verdict) { d.now = d.now.Add(11 * time.Minute) }, 0},
		{"refused", func(d *desk, s policy.Submission, v policy.Verdict) { d.see(s, policy.Event{Kind: policy.Refused}) }, 0},
		{"never queued", func(d *desk, s policy.Submission, v policy.Verdict) {
			d.accept(s, v)
			d.see(s, policy.Event{Kind: policy.NeverQueued, Time: d.now})
		}, 0},
		{"recalled", func(d *desk, s policy.Submission, v policy.Verdict) {
			d.accept(s, v)
			d.see(s, policy.Event{Kind: policy.Canceled, Time: d.now}, policy.Event{Kind: policy.Canceled, Time: d.now})
		}, 0},
		{"recalled from two", func(d *desk, s policy.Submission, v policy.Verdict) {
			d.accept(s, v)
			e := policy.Event{Kind: policy.Canceled, Time: d.now, Recipients: []int{0, 3}}
			d.see(s, e, e)
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, limit)
			s := d.mail(to...)
			tt.then(d, s, d.decide(s))
			if got := d.used("ann"); got != tt.want {
				t.Errorf("counted %d, want %d", got, tt.want)
			}
		})
	}
}

func TestARetryIsCountedOnce(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Limit = 10 }))
	s := d.mail("a@remote.example", "b@remote.example")
	d.accept(s, d.decide(s))
	again := s
	again.ID = d.id()
	v := d.decide(again)
	d.accept(again, v)
	if got := d.used("ann"); got != 2 || v.Action != policy.Pass {
		t.Errorf("counted %d, action %q", got, v.Action)
	}
	other := again
	other.ID, other.Digest = d.id(), [16]byte{1}
	d.accept(other, d.decide(other))
	if got := d.used("ann"); got != 4 {
		t.Errorf("another body counted %d", got)
	}
}

func TestHeldMailFlowsWhenItFits(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) {}))
	first := d.mail(many(3, "remote.example")...)
	d.accept(first, d.decide(first))
	var waiting []policy.Submission
	for range 4 {
		s := d.mail("one@remote.example")
		v := d.decide(s)
		if v.Action != policy.Hold {
			t.Fatalf("%+v", v)
		}
		d.accept(s, v)
		waiting = append(waiting, s)
	}
	if until, f, ok := d.g.Waits(waiting[3].ID); !ok || !until.After(noon.Add(time.Hour)) || f.Rule != "test" {
		t.Errorf("the last one waits until %v: %+v, %v", until, f, ok)
	}
	if got := d.g.Flow(d.now, 100); len(got) != 0 {
		t.Errorf("flows too early: %+v", got)
	}
	if _, f, _ := d.g.Waits(waiting[0].ID); f.Next.Before(noon.Add(59*time.Minute)) || f.Next.After(noon.Add(62*time.Minute)) {
		t.Errorf("the first one waits until %v", f.Next)
	}
	d.now = noon.Add(62 * time.Minute)
	got := d.g.Flow(d.now, 100)
	if len(got) != 3 || got[0].ID != waiting[0].ID || got[0].Charge == nil || got[0].Findings[0].Asked != 1 {
		t.Fatalf("%d flow", len(got))
	}
	for _, a := range got {
		d.g.Observe(d.now, a.ID, first.Envelope, policy.Event{Kind: policy.Released, Time: d.now, Charge: a.Charge})
	}
	if d.used("ann") != 3 {
		t.Errorf("counted %d", d.used("ann"))
	}
	d.see(waiting[3], policy.Event{Kind: policy.Canceled, Time: d.now})
	d.now = d.now.Add(2 * time.Hour)
	if got := d.g.Flow(d.now, 100); len(got) != 0 {
		t.Errorf("a canceled message flows: %+v", got)
	}
}

func TestPace(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) {
		l.Unit, l.Action, l.Limit, l.Per, l.Burst = policy.Messages, policy.Pace, 60, policy.Per(time.Minute), 2
	}))
	for i, want := range []time.Duration{0, 0, time.Second, 2 * time.Second} {
		s := d.mail(fmt.Sprintf("a%d@remote.example", i))
		v := d.decide(s)
		d.accept(s, v)
		if late := v.Action == policy.Hold; late != (want > 0) || late && !v.Until.Equal(noon.Add(want)) {
			t.Errorf("message %d: %s until %v", i, v.Action, v.Until)
		}
		if want == time.Second && (v.Text.EN != "paced, goes at 12:00:01" || v.Text.ZH != "按速率发送，12:00:01 发出") {
			t.Errorf("text %q %q", v.Text.EN, v.Text.ZH)
		}
	}
}

func TestWhatAPersonLetsGoCounts(t *testing.T) {
	for _, kind := range []policy.Kind{policy.Released, policy.Approved} {
		d := newDesk(t, rule(func(l *policy.LimitRule) {}))
		first := d.mail(many(3, "remote.example")...)
		d.accept(first, d.decide(first))
		s := d.mail(many(2, "partner.example")...)
		d.accept(s, d.decide(s))
		e := policy.Event{Kind: kind, Time: d.now, Actor: "api:ops"}
		d.see(s, e, e)
		if got := d.used("ann"); got != 5 {
			t.Errorf("%s: counted %d", kind, got)
		}
		if _, _, waits := d.g.Waits(s.ID); waits {
			t.Errorf("%s: still waits", kind)
		}
	}
}

func TestNothingFlowsBeforeItsRecallTime(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) { l.Per = policy.Per(time.Minute) }))
	settings := d.settings()
	settings.Config.Hold.Default = 10 * time.Minute
	settings.Config.Hold.Margin = 0
	d.g.Reload(settings)
	first := d.mail(many(3, "remote.example")...)
	d.accept(first, d.decide(first))
	s := d.mail("one@remote.example")
	v := d.decide(s)
	d.accept(s, v)
	if v.Rule != "test" || !v.Until.Equal(noon.Add(10*time.Minute)) {
		t.Fatalf("%+v", v)
	}
	for _, tt := range []struct {
		after time.Duration
		flow  int
	}{{2 * time.Minute, 0}, {9 * time.Minute, 0}, {10 * time.Minute, 1}} {
		d.now = noon.Add(tt.after)
		if got := d.g.Flow(d.now, 10); len(got) != tt.flow {
			t.Errorf("after %v %d flow", tt.after, len(got))
		}
	}
}

func TestOfferedMailCounts(t *testing.T) {
	d := newDesk(t, rule(func(l *policy.LimitRule) {}))
	s := d.mail("a@remote.example")
	v := d.decide(s)
	d.see(s, policy.Event{Kind: policy.Offered, Time: d.now, Charge: v.Charge})
	d.now = d.now.Add(20 * time.Minute)
	if got := d.used("ann"); got != 1 {
		t.Errorf("counted %d", got)
	}
}
