package anomaly

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// TestReasons stands on both sides of the edge of every reason.
func TestReasons(t *testing.T) {
	bounces := func(d *desk, sent, returned int, why Failure) {
		d.learn(d.known(sent))
		for i := range returned {
			d.w.Bounce(d.now, d.id(), "ann", why, policy.Address(fmt.Sprintf("r%d@x.example", i)))
		}
	}
	signIns := func(d *desk, n int, format string, ok bool) {
		for i := range n {
			d.w.SignIn(d.now, "ann", netip.MustParseAddr(fmt.Sprintf(format, i)), ok)
		}
	}
	order := func(d *desk, n int) {
		for i := range n {
			f := d.mail(1)
			f.External[0].Address = "0@0.example" // before all others
			if i > 0 {
				f.External[0].Address = policy.Address(fmt.Sprintf("%c@one.example", 'b'+byte(i)))
			}
			d.learn(f)
		}
	}
	ordered := func(local string) func(*desk) Facts {
		return func(d *desk) Facts {
			f := d.mail(1)
			f.External[0].Address = policy.Address(local + "@one.example")
			return f
		}
	}
	plain := func(d *desk) Facts { return d.mail(1) }
	for _, tt := range []struct {
		name string
		code Code
		act  func(*desk)
		mail func(*desk) Facts
		text string // empty: no reason
	}{
		{"20 strangers in an hour", Rising, func(d *desk) { d.strangers(19) }, plain, "20 new recipients in an hour, usually 0.1"},
		{"19 strangers in an hour", Rising, func(d *desk) { d.strangers(18) }, plain, ""},
		{"30 strangers in an hour", VolumeHour, func(d *desk) { d.strangers(29) }, plain, "30 new recipients in an hour, usually 0.1"},
		{"29 strangers in an hour", VolumeHour, func(d *desk) { d.strangers(28) }, plain, ""},
		{"30 strangers in one message", VolumeHour, func(*desk) {}, func(d *desk) Facts { return d.mail(30) }, "30 new recipients in an hour, usually 0.1"},
		{"60 strangers in an hour", Flood, func(*desk) {}, func(d *desk) Facts { return d.mail(60) }, "60 new recipients in an hour, usually 0.1"},
		{"59 strangers in an hour", Flood, func(*desk) {}, func(d *desk) Facts { return d.mail(59) }, ""},
		{"strangers of two hours", VolumeHour, func(d *desk) { d.strangers(20); d.now = d.now.Add(time.Hour) }, func(d *desk) Facts { return d.mail(15) }, ""},
		{"48 strangers in a day", VolumeDay, func(d *desk) {
			for range 3 {
				d.strangers(15)
				d.now = d.now.Add(time.Hour)
			}
		}, func(d *desk) Facts { return d.mail(3) }, "48 new recipients in a day, usually 1.0"},
		{"47 strangers in a day", VolumeDay, func(d *desk) {
			for range 3 {
				d.strangers(15)
				d.now = d.now.Add(time.Hour)
			}
		}, func(d *desk) Facts { return d.mail(2) }, ""},
		{"32 strangers in a day", RisingDay, func(d *desk) { d.strangers(15); d.now = d.now.Add(time.Hour); d.strangers(14) }, func(d *desk) Facts { return d.mail(3) }, "32 new recipients in a day, usually 1.0"},
		{"31 strangers in a day", RisingDay, func(d *desk) { d.strangers(15); d.now = d.now.Add(time.Hour); d.strangers(14) }, func(d *desk) Facts { return d.mail(2) }, ""},
		{"100 strangers in a week", VolumeWeek, func(d *desk) { d.week(24) }, func(d *desk) Facts { return d.mail(4) }, "100 new recipients in a week, usually 8.9"},
		{"99 strangers in a week", VolumeWeek, func(d *desk) { d.week(24) }, func(d *desk) Facts { return d.mail(3) }, ""},
		{"100 strangers in eight days", VolumeWeek, func(d *desk) { d.week(24); d.now = d.now.Add(3 * 24 * time.Hour) }, func(d *desk) Facts { return d.mail(4) }, ""},
		{"100 correspondents in an hour", External, func(d *desk) { d.learn(d.known(90)) }, func(d *desk) Facts { return d.known(10) }, "100 external recipients in an hour, usually 1.1"},
		{"99 correspondents in an hour", External, func(d *desk) { d.learn(d.known(90)) }, func(d *desk) Facts { return d.known(9) }, ""},
		{"11 networks", Several, func(d *desk) { signIns(d, 10, "10.0.%d.1", true) }, plain, "signed in from 11 networks in an hour (limit 10)"},
		{"10 networks", Several, func(d *desk) { signIns(d, 9, "10.0.%d.1", true) }, plain, ""},
		{"one network with many addresses", Several, func(d *desk) { signIns(d, 40, "10.0.0.%d", true) }, plain, ""},
		{"failed sign-ins from everywhere", Several, func(d *desk) { signIns(d, 15, "10.0.%d.1", false) }, plain, ""},
		{"11 networks in more than an hour", Several, func(d *desk) { signIns(d, 10, "10.0.%d.1", true); d.now = d.now.Add(61 * time.Minute) }, plain, ""},
		{"4 countries", Several, func(d *desk) { signIns(d, 3, "198.18.%d.1", true) }, plain, "signed in from 4 networks in an hour (limit 3)"},
		{"3 countries", Several, func(d *desk) { signIns(d, 2, "198.18.%d.1", true) }, plain, ""},
		{"25 bounces", HardBounces, func(d *desk) { bounces(d, 200, 25, Returned) }, plain, "25 mails came back in an hour (limit 25)"},
		{"24 bounces", HardBounces, func(d *desk) { bounces(d, 200, 24, Returned) }, plain, ""},
		{"a fifth of 25", BounceShare, func(d *desk) { bounces(d, 25, 5, Returned) }, plain, "5 of 25 mails of a day came back"},
		{"a fifth of 24", BounceShare, func(d *desk) { bounces(d, 24, 5, Returned) }, plain, ""},
		{"less than a fifth", BounceShare, func(d *desk) { bounces(d, 26, 5, Returned) }, plain, ""},
		{"5 unknown users", UnknownUsers, func(d *desk) { bounces(d, 25, 5, NoSuchUser) }, plain, "5 recipients of ten minutes do not exist (limit 5)"},
		{"4 unknown users", UnknownUsers, func(d *desk) { bounces(d, 5, 4, NoSuchUser) }, plain, ""},
		{"5 unknown users of many", UnknownUsers, func(d *desk) { bounces(d, 26, 5, NoSuchUser) }, plain, ""},
		{"5 full mailboxes", UnknownUsers, func(d *desk) { bounces(d, 25, 5, Returned) }, plain, ""},
		{"5 unknown users long ago", UnknownUsers, func(d *desk) { bounces(d, 25, 5, NoSuchUser); d.now = d.now.Add(15 * time.Minute) }, plain, ""},
		{"ten in order", Order, func(d *desk) { order(d, 9) }, ordered("z"), "10 new recipients in alphabetical order"},
		{"nine in order", Order, func(d *desk) { order(d, 8) }, ordered("z"), ""},
		{"the tenth out of order", Order, func(d *desk) { order(d, 9) }, ordered("a"), ""},
		{"one text to 20", SameText, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.SameText = 20; return f }, "the same text went to 20 new recipients"},
		{"one text to 19", SameText, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.SameText = 19; return f }, ""},
		{"the text of others", SharedText, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.SharedText = true; return f }, "several accounts send the same text"},
		{"the text of others to a correspondent", SharedText, func(*desk) {}, func(d *desk) Facts { f := d.known(1); f.SharedText = true; return f }, ""},

		{"9 of 10 are strangers", Strangers, func(*desk) {}, func(d *desk) Facts { return d.mail(10) }, "10 of 10 recipients are new"},
		{"9 of 9 are strangers", Strangers, func(d *desk) { d.now = d.now.Add(2 * time.Hour) }, func(d *desk) Facts { return d.mail(9) }, ""},
		{"8 of 10 are strangers", Strangers, func(d *desk) { d.now = d.now.Add(2 * time.Hour); d.learn(d.known(2)) }, func(d *desk) Facts { return d.mail(8) }, ""},
		{"a new network", Network, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.Client = abroad; return f }, "sent from a new network"},
		{"the same network", Network, func(*desk) {}, plain, ""},
		{"a new country", Country, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.Client = netip.MustParseAddr("198.18.1.1"); return f }, "sent from a new country"},
		{"a country that is not known", Country, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.Client = abroad; return f }, ""},
		{"a new program", Agent, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.Agent = "smtplib"; return f }, "sent with a new program"},
		{"a new version", Agent, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.Agent = "Mailer 2.7.1"; return f }, ""},
		{"a foreign From", From, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.ForeignFrom = true; return f }, "the From address is not the account's own"},
		{"at night", Hours, func(d *desk) { d.at(3, 0) }, plain, "sent outside the account's usual hours"},
		{"an hour before work", Hours, func(d *desk) { d.at(8, 10) }, plain, ""},
		{"on a Sunday by day", Hours, func(d *desk) { d.now = d.now.Add(-24 * time.Hour) }, plain, ""},
		{"6 of 10 strangers at free-mail services", FreeMail, func(*desk) {}, func(d *desk) Facts { return atGmail(d.mail(10), 6) }, "6 of 10 new recipients are at free-mail services"},
		{"5 of 10 strangers at free-mail services", FreeMail, func(*desk) {}, func(d *desk) Facts { return atGmail(d.mail(10), 5) }, ""},
		{"5 without a subject", Bare, func(d *desk) {
			for range 4 {
				f := d.mail(1)
				f.Bare = true
				d.learn(f)
			}
		}, func(d *desk) Facts { f := d.mail(1); f.Bare = true; return f }, "5 mails without a subject or with little more than a link"},
		{"one without a subject", Bare, func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.Bare = true; return f }, ""},
		{"silent for 60 days", Dormant, func(d *desk) { d.now = d.now.Add(60 * 24 * time.Hour) }, plain, "the account was silent for 62 days"},
		{"silent for 50 days", Dormant, func(d *desk) { d.now = d.now.Add(50 * 24 * time.Hour) }, plain, ""},
		{"51 after a long silence", NewAccount, func(d *desk) { d.now = d.now.Add(60 * 24 * time.Hour) }, func(d *desk) Facts { return d.mail(51) }, "a new account wrote to 51 recipients in a day (limit 50)"},
		{"50 after a long silence", NewAccount, func(d *desk) { d.now = d.now.Add(60 * 24 * time.Hour) }, func(d *desk) Facts { return d.mail(50) }, ""},
		{"51 as always", NewAccount, func(*desk) {}, func(d *desk) Facts { return d.mail(51) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := settled(t)
			tt.act(d)
			v := d.look(tt.mail(d))
			r := v.reason(tt.code)
			if (r != nil) != (tt.text != "") {
				t.Fatalf("reasons%s, score %d", v.codes(), v.Score)
			}
			if r != nil && (r.Text.EN != tt.text || r.Text.ZH == "" || r.Weight != defaultWeights[tt.code]) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func atGmail(f Facts, n int) Facts {
	for i := range n {
		f.External[i].Address = policy.Address(fmt.Sprintf("q%d@gmail.com", i))
	}
	return f
}

// What is usual for one account is no reason.
func TestWhatIsUsualIsNoReason(t *testing.T) {
	d := newDesk(t)
	for day := range 25 {
		for i := range 40 {
			d.at(8, i*14)
			f := atGmail(d.mail(1), 1)
			f.External[0].Address = policy.Address(fmt.Sprintf("%c%d@gmail.com", 'z'-byte((i*7)%26), d.serial))
			f.ForeignFrom = true
			if v := d.learn(f); day > 14 && v.Stage > Pass {
				t.Fatalf("day %d: %v%s", day, v.Stage, v.codes())
			}
		}
		d.now = d.now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
}

func TestStages(t *testing.T) {
	hour := func(d *desk) { d.strangers(29) }
	for _, tt := range []struct {
		name  string
		act   func(*desk)
		mail  func(*desk) Facts
		stage Stage
		score int
	}{
		{"ordinary", func(*desk) {}, func(d *desk) Facts { return d.mail(1) }, Pass, 0},
		{"on a journey", func(*desk) {}, func(d *desk) Facts {
			f := d.mail(1)
			f.Client, f.Agent, f.ForeignFrom = netip.MustParseAddr("198.18.1.1"), "Telephone", true
			return f
		}, Tag, 3},
		{"another program", func(*desk) {}, func(d *desk) Facts { f := d.mail(1); f.Agent = "Telephone"; return f }, Log, 1},
		{"20 strangers", func(d *desk) { d.learn(d.known(20)); d.strangers(19) }, func(d *desk) Facts { return d.mail(1) }, Log, 2},
		{"20 strangers abroad", func(d *desk) { d.learn(d.known(20)); d.strangers(19) }, func(d *desk) Facts { f := d.mail(1); f.Client = abroad; return f }, Pace, 4},
		{"30 strangers", func(d *desk) { d.learn(d.known(20)); hour(d) }, func(d *desk) Facts { return d.mail(1) }, Hold, 5},
		{"30 strangers abroad, with nothing else", hour, func(d *desk) Facts { f := d.mail(1); f.Client = abroad; return f }, Suspend, 8},
		{"30 strangers; a correspondent", func(d *desk) { hour(d); d.strangers(1) }, func(d *desk) Facts { return d.known(1) }, Tag, 5},
		{"strangers of a day are no cause to suspend", func(d *desk) {
			for range 4 {
				d.strangers(14)
				d.now = d.now.Add(time.Hour)
			}
		}, func(d *desk) Facts {
			f := d.mail(10)
			f.Client, f.Agent, f.ForeignFrom = netip.MustParseAddr("198.18.1.1"), "Telephone", true
			return f
		}, Hold, 7},
		{"internal", func(d *desk) { hour(d) }, func(d *desk) Facts { f := d.mail(0); f.Internal = 300; return f }, Pass, 0},
		{"an allowed text", func(d *desk) { hour(d) }, func(d *desk) Facts { f := d.mail(500); f.Allowed = true; return f }, Pass, 0},
		{"a service", func(d *desk) { hour(d) }, func(d *desk) Facts { f := d.mail(500); f.Groups = []string{"bulk"}; return f }, Log, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := settled(t)
			d.learn(d.mail(1)) // also today
			d.now = d.now.Add(61 * time.Minute)
			tt.act(d)
			if v := d.look(tt.mail(d)); v.Stage != tt.stage || v.Score != tt.score {
				t.Errorf("%v, score %d:%s", v.Stage, v.Score, v.codes())
			}
		})
	}
}

// TestYouth: in its first days a Watch has no baselines, and nobody is new.
func TestYouth(t *testing.T) {
	d := newDesk(t)
	d.at(10, 0)
	d.learn(d.known(1))
	if v := d.strangers(90); v.Stage != Pass && v.reason(VolumeHour) != nil {
		t.Errorf("%v%s", v.Stage, v.codes())
	}
	for range 25 {
		d.w.Bounce(d.now, d.id(), "ann", Returned, "x@y.example")
	}
	if v := d.look(d.mail(1)); v.Stage < Hold {
		t.Errorf("bounces count from the first day: %v%s", v.Stage, v.codes())
	}
}

func TestNewAccount(t *testing.T) {
	d := settled(t)
	bob := func(f Facts) Facts { f.Identity = "bob"; return f }
	for range 25 {
		d.now = d.now.Add(10 * time.Minute)
		d.learn(bob(d.known(1)))
		if v := d.learn(bob(d.mail(1))); v.Stage != Pass {
			t.Fatalf("%v%s", v.Stage, v.codes())
		}
	}
	if v := d.look(bob(d.mail(75))); v.reason(NewAccount) != nil {
		t.Errorf("50 and twice 25 answers: %s", v.codes())
	}
	if v := d.look(bob(d.mail(76))); v.reason(NewAccount) == nil {
		t.Errorf("more: %s", v.codes())
	}
	d.now = d.now.Add(8 * 24 * time.Hour)
	if v := d.look(bob(d.mail(200))); v.reason(NewAccount) != nil {
		t.Errorf("after a week: %s", v.codes())
	}
}

func TestCalm(t *testing.T) {
	d := settled(t)
	d.learn(d.known(20))
	if v := d.strangers(30); v.Stage != Hold {
		t.Fatalf("%v%s", v.Stage, v.codes())
	}
	reached := d.now
	d.now = reached.Add(59*time.Minute + 50*time.Second)
	d.learn(d.known(0))
	v := d.look(d.mail(1))
	if v.Stage != Hold || v.reason(Recent) == nil || v.reason(Recent).Text.EN != "it was worse 60 minutes ago" {
		t.Errorf("within the hour: %v%s", v.Stage, v.codes())
	}
	if v := d.look(d.known(1)); v.Stage > Tag {
		t.Errorf("a correspondent: %v%s", v.Stage, v.codes())
	}
	d.now = reached.Add(time.Hour + time.Second)
	if v := d.look(d.mail(1)); v.Stage != Pass {
		t.Errorf("after it: %v%s", v.Stage, v.codes())
	}
}
