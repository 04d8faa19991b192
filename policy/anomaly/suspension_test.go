package anomaly

import (
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// taken is a desk whose account floods, with the verdict that bars it.
func taken(t *testing.T) (*desk, Verdict) {
	d := settled(t)
	f := d.mail(60)
	f.Client = abroad
	v := d.look(f)
	if v.Stage != Suspend || v.Suspend == nil {
		t.Fatalf("%v%s", v.Stage, v.codes())
	}
	return d, v
}

func (d *desk) suspend(v Verdict) { d.w.Suspended(d.now, "ann", v.Suspend.Until, true) }

func TestSuspensionsGrow(t *testing.T) {
	d, v := taken(t)
	for i, want := range []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour} {
		if v.Suspend.Nth != i+1 || v.Suspend.Until.Sub(d.now) != want {
			t.Fatalf("%+v, want %v", v.Suspend, want)
		}
		d.suspend(v)
		d.suspend(v) // told again
		if s := d.w.Standing(d.now, "ann"); !s.Suspended || s.Nth != i+1 || !s.Until.Equal(d.now.Add(want)) || !s.Since.Equal(d.now) {
			t.Errorf("%+v", s)
		}
		d.now = d.now.Add(want)
		if s := d.w.Standing(d.now, "ann"); s.Suspended {
			t.Errorf("%+v", s)
		}
		if v := d.look(d.mail(1)); v.Stage != Pass {
			t.Errorf("after it: %v%s", v.Stage, v.codes())
		}
		f := d.mail(60)
		f.Client = abroad
		v = d.look(f)
	}
	if v.Suspend == nil || v.Suspend.Nth != 4 || !v.Suspend.Until.IsZero() {
		t.Fatalf("the fourth waits for a person: %+v", v.Suspend)
	}
	d.suspend(v)
	d.now = d.now.Add(100 * 24 * time.Hour)
	if s := d.w.Standing(d.now, "ann"); !s.Suspended || !s.Until.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestOldSuspensionsDoNotCount(t *testing.T) {
	d, v := taken(t)
	d.suspend(v)
	d.work(30)
	d.at(10, 0)
	f := d.mail(60)
	f.Client = abroad
	if v := d.look(f); v.Suspend == nil || v.Suspend.Nth != 1 {
		t.Errorf("%+v%s", v.Suspend, v.codes())
	}
}

func TestWhatPassesWhileSuspended(t *testing.T) {
	d, _ := taken(t)
	d.w.Suspended(d.now, "ann", d.now.Add(3*time.Hour), true)
	to := func(internal int, external ...policy.Address) Facts {
		f := d.mail(0)
		f.Internal = internal
		for _, a := range external {
			f.External = append(f.External, Recipient{Address: a, Stranger: true})
		}
		return f
	}
	for _, tt := range []struct {
		name  string
		facts Facts
		stage Stage
		text  string
	}{
		{"external", to(0, "x@y.example"), Suspend, "the account is suspended from sending to other organisations"},
		{"external and internal", to(1, "x@y.example"), Suspend, "the account is suspended from sending to other organisations"},
		{"internal", to(5), Log, "the account is suspended from sending to other organisations"},
		{"the help desk", to(0, "HelpDesk@partner.example"), Log, "the account is suspended from sending to other organisations"},
		{"too many at once", to(21), Hold, "a suspended account may write to 20 internal recipients an hour"},
	} {
		if v := d.look(tt.facts); v.Stage != tt.stage || v.Reasons[0].Text.EN != tt.text || v.Suspend != nil {
			t.Errorf("%s: %+v", tt.name, v)
		}
	}
	if !d.w.Bars(d.now, "ann", "x@y.example") || d.w.Bars(d.now, "ann", "helpdesk@partner.example") || d.w.Bars(d.now, "bob", "x@y.example") {
		t.Error("bars the wrong ones")
	}
	d.learn(to(19, "helpdesk@partner.example"))
	if v := d.look(to(1)); v.Stage != Hold {
		t.Errorf("the 21st: %+v", v)
	}
	d.now = d.now.Add(time.Hour)
	if v := d.look(to(1)); v.Stage != Log {
		t.Errorf("an hour later: %+v", v)
	}
}

func TestRelease(t *testing.T) {
	for _, forget := range []bool{false, true} {
		d, v := taken(t)
		d.learn(d.mail(60))
		d.suspend(v)
		d.now = d.now.Add(time.Minute)
		d.w.Release(d.now, "ann", forget)
		s := d.w.Standing(d.now, "ann")
		if s.Suspended || s.Stage != Pass || (s.Nth == 0) != forget {
			t.Errorf("%+v", s)
		}
		if v := d.look(d.mail(9)); v.Stage != Pass {
			t.Errorf("forget %v: %v%s", forget, v.Stage, v.codes())
		}
		d.w.Suspended(d.now.Add(-time.Minute), "ann", time.Time{}, true) // of before, after a restart
		if d.w.Standing(d.now, "ann").Suspended {
			t.Error("older news count")
		}
		f := d.mail(60)
		f.Client = abroad
		switch v := d.look(f); {
		case !forget && (v.Suspend == nil || v.Suspend.Nth != 2):
			t.Errorf("after a release: %+v%s", v.Suspend, v.codes())
		case forget && (v.Stage != Hold || v.reason(Network) != nil || v.reason(NewAccount) != nil):
			t.Errorf("after forgetting, nothing is usual and nobody new: %v%s", v.Stage, v.codes())
		}
	}
}

func TestASuspensionByAPersonDoesNotCount(t *testing.T) {
	d, v := taken(t)
	d.w.Suspended(d.now, "ann", time.Time{}, false)
	if s := d.w.Standing(d.now, "ann"); !s.Suspended || s.Nth != 0 {
		t.Errorf("%+v", s)
	}
	d.now = d.now.Add(time.Minute)
	d.w.Release(d.now, "ann", false)
	d.now = d.now.Add(time.Minute)
	f := d.mail(60)
	f.Client = abroad
	if v = d.look(f); v.Suspend == nil || v.Suspend.Nth != 1 {
		t.Errorf("%+v", v.Suspend)
	}
}

func TestUnbarForgivesNothing(t *testing.T) {
	d, v := taken(t)
	d.learn(d.mail(29))
	d.suspend(v)
	d.now = d.now.Add(time.Minute)
	d.w.Unbar(d.now, "ann")
	d.w.Unbar(d.now.Add(-time.Second), "ann") // older news
	if s := d.w.Standing(d.now, "ann"); s.Suspended || s.Nth != 1 {
		t.Errorf("%+v", s)
	}
	if v := d.look(d.mail(1)); v.reason(VolumeHour) == nil {
		t.Errorf("forgiven: %v%s", v.Stage, v.codes())
	}
	d.w.Suspended(d.now.Add(-time.Second), "ben", time.Time{}, false) // by a person
	d.w.Unbar(d.now, "ben")
	if s := d.w.Standing(d.now, "ben"); s.Suspended {
		t.Errorf("%+v", s)
	}
}

func TestReload(t *testing.T) {
	d := settled(t)
	cfg := DefaultConfig()
	cfg.Hour, cfg.Suspension.Always = 10, []string{"Help@Support.example"}
	d.w.Suspended(d.now, "eve", time.Time{}, false)
	if !d.w.Bars(d.now, "eve", "help@support.example") || d.look(d.mail(12)).reason(VolumeHour) != nil {
		t.Fatal("before")
	}
	if err := d.w.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if d.w.Bars(d.now, "eve", "help@support.example") || d.look(d.mail(12)).reason(VolumeHour) == nil {
		t.Error("it is not in force")
	}
	cfg.Hour = 0
	if err := d.w.Reload(cfg); err == nil || d.look(d.mail(12)).reason(VolumeHour) == nil {
		t.Errorf("a wrong one: %v", err)
	}
}

func TestStagesFrom(t *testing.T) {
	s := DefaultConfig().Stages
	if s.From(Pass) != 0 || s.From(Log) != s.Log || s.From(Hold) != s.Hold || s.From(Suspend) != s.Suspend {
		t.Error(s)
	}
}
