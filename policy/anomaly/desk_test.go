package anomaly

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// monday is the first day of every test; UTC.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

var (
	office = netip.MustParseAddr("192.0.2.7")
	abroad = netip.MustParseAddr("203.0.113.9")
)

// A desk is a Watch with a clock and a way to send.
type desk struct {
	t      testing.TB
	w      *Watch
	now    time.Time
	serial uint64
}

func newDesk(t testing.TB, change ...func(*Config)) *desk {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Suspension.Always = []string{"helpdesk@partner.example"}
	cfg.Services = []string{"bulk"}
	for _, c := range change {
		c(&cfg)
	}
	w, err := New(cfg, testLocator)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, w: w, now: monday}
}

// testLocator knows that 192.0.2.0/24 is in DE and 198.18.N.0/24 in a country of its own.
func testLocator(a netip.Addr) (network, country string) {
	b := a.As4()
	switch {
	case b[0] == 192:
		return "", "DE"
	case b[0] == 198:
		return "", string([]byte{'A', 'A' + b[2]})
	}
	return "", ""
}

func (d *desk) id() (id policy.ID) {
	d.serial++
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], d.serial)
	return id
}

// mail is a message of ann to n strangers.
func (d *desk) mail(n int) Facts {
	f := Facts{ID: d.id(), Identity: "ann", Client: office, Agent: "Mailer 1.0"}
	for i := range n {
		// never in order: one ascends while the next descends
		local := fmt.Sprintf("%c%d", 'a'+byte((d.serial*7+uint64(i)*11)%26), d.serial)
		f.External = append(f.External, Recipient{Address: policy.Address(fmt.Sprintf("%s@%d.example", local, (d.serial+uint64(i))%9)), Stranger: true})
	}
	return f
}

// known is a message to n correspondents.
func (d *desk) known(n int) Facts {
	f := d.mail(n)
	for i := range f.External {
		f.External[i].Stranger, f.External[i].Heard = false, true
	}
	return f
}

func (d *desk) learn(f Facts) Verdict {
	return d.w.Learn(d.now, f)
}

func (d *desk) look(f Facts) Verdict { return d.w.Look(d.now, f) }

// work lets ann send ten messages to correspondents and one to a stranger on each working day, at 9 to 17 h.
func (d *desk) work(days int) {
	for range days {
		if wd := d.now.Weekday(); wd != time.Saturday && wd != time.Sunday {
			for hour := 9; hour < 18; hour++ {
				d.now = d.now.Truncate(24 * time.Hour).Add(time.Duration(hour) * time.Hour)
				d.learn(d.known(1))
			}
			d.learn(d.mail(1))
		}
		d.now = d.now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
}

// at sets the hour of the day.
func (d *desk) at(hour, minute int) *desk {
	d.now = d.now.Truncate(24 * time.Hour).Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
	return d
}

// settled is a desk after three weeks, on a Monday at ten.
func settled(t testing.TB, change ...func(*Config)) *desk {
	d := newDesk(t, change...)
	d.work(21)
	return d.at(10, 0)
}

// strangers sends single messages to n strangers, one every few seconds, and gives the last verdict.
func (d *desk) strangers(n int) (v Verdict) {
	for range n {
		d.now = d.now.Add(5 * time.Second)
		v = d.learn(d.mail(1))
	}
	return v
}

// week sends to n strangers on each of four days, two an hour, and ends on the next morning.
func (d *desk) week(n int) {
	for range 4 {
		d.at(8, 0)
		for range n / 2 {
			d.learn(d.mail(2))
			d.now = d.now.Add(40 * time.Minute)
		}
		d.now = d.now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
	d.at(10, 0)
}

func (v Verdict) reason(c Code) *Reason {
	for i := range v.Reasons {
		if v.Reasons[i].Code == c {
			return &v.Reasons[i]
		}
	}
	return nil
}

func (v Verdict) codes() (s string) {
	for _, r := range v.Reasons {
		s += " " + string(r.Code)
	}
	return s
}
