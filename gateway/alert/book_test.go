package alert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const (
	opened  = "admins: Sending limit reached: ann@corp.example"
	updated = opened + " (update)"
	toAnn   = "ann@corp.example: Your sending limit is reached"
)

func TestTheLifeOfAnIncident(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	b.raise(at(0), exceeded(1, at(0)))
	expect(t, "opening", sent(b), "ann@corp.example: Your sending limit is reached", opened)
	b.raise(at(time.Minute), exceeded(1, at(time.Minute))) // the same message, looked at again
	b.raise(at(time.Minute), exceeded(2, at(time.Minute)))
	b.advance(at(14 * time.Minute))
	expect(t, "within the quiet time", sent(b))
	b.advance(at(15 * time.Minute))
	expect(t, "doubled", sent(b), updated)
	b.raise(at(31*time.Minute), exceeded(3, at(31*time.Minute)))
	b.advance(at(40 * time.Minute))
	expect(t, "not doubled again", sent(b))
	in := b.list(true)
	if len(in) != 1 || in[0].Count != 3 || len(in[0].Samples) != 3 || len(in[0].Messages) != 3 || !in[0].Opened.Equal(noon) || !in[0].Last.Equal(at(31*time.Minute)) {
		t.Fatalf("incidents %+v", in)
	}
	b.advance(at(91*time.Minute - 1))
	if len(b.list(true)) != 1 {
		t.Error("closed too early")
	}
	b.advance(at(91 * time.Minute))
	expect(t, "the end of what is not critical", sent(b))
	if list := b.list(false); len(b.list(true)) != 0 || len(list) != 1 || !list[0].Closed.Equal(at(91*time.Minute)) {
		t.Errorf("closed %+v", list)
	}
	b.raise(at(92*time.Minute), exceeded(3, at(31*time.Minute)))
	expect(t, "something old", sent(b))
	b.raise(at(92*time.Minute), exceeded(4, at(92*time.Minute)))
	expect(t, "something new", sent(b), toAnn, opened)
	if list := b.list(false); len(list) != 2 || list[0].ID == list[1].ID || list[0].Count != 1 {
		t.Errorf("incidents %+v", list)
	}
}

// An incident of a limit lasts as long as its window, so that there is one mail in it.
func TestAnIncidentLastsAsLongAsItsWindow(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	o := exceeded(1, noon)
	o.Window = 24 * time.Hour
	b.raise(noon, o)
	b.advance(noon.Add(23 * time.Hour))
	if len(b.list(true)) != 1 {
		t.Error("closed")
	}
	b.advance(noon.Add(24 * time.Hour))
	if len(b.list(true)) != 0 {
		t.Error("open")
	}
}

func TestOneIncidentForEachSubjectRuleAndWindow(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	for i, change := range []func(*Occurrence){
		func(*Occurrence) {}, func(o *Occurrence) { o.Kind = LimitWarning }, func(o *Occurrence) { o.Subject = "bob@corp.example" },
		func(o *Occurrence) { o.Rule = "day" }, func(o *Occurrence) { o.Window = time.Minute },
	} {
		o := exceeded(1, noon)
		change(&o)
		b.raise(noon, o)
		b.raise(noon, o)
		if n := len(b.list(true)); n != i+1 {
			t.Errorf("%d incidents after %d", n, i+1)
		}
	}
}

func TestTheEndOfACriticalIncidentIsTold(t *testing.T) {
	s := settings()
	s.Hooks = true
	b := newBook(s, numberedIDs())
	b.raise(noon, Occurrence{Kind: DiskLow, Time: noon, Text: policy.Label{EN: "3 % left", ZH: "剩余 3 %"}})
	expect(t, "opening", sent(b), "admins: The disk is nearly full", "hooks: The disk is nearly full")
	b.raise(noon.Add(time.Minute), Occurrence{Kind: DiskLow, Time: noon.Add(time.Minute), Ends: true})
	expect(t, "end", sent(b), "admins: Over: The disk is nearly full (update)", "hooks: Over: The disk is nearly full (update)")
	b.raise(noon.Add(2*time.Minute), Occurrence{Kind: DiskLow, Time: noon, Ends: true})
	expect(t, "the end of nothing", sent(b))
}

func TestASeverityOfItsOwn(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	b.raise(noon, Occurrence{Kind: Campaign, Subject: "c1", Time: noon, Severity: Critical})
	if s := b.list(true)[0].Severity; s != Critical {
		t.Errorf("severity %s", s)
	}
	b.raise(noon, Occurrence{Kind: "weather", Subject: "rain", Time: noon})
	if in := b.list(true); !slices.ContainsFunc(in, func(in Incident) bool { return in.Title.EN == "weather: rain" && in.Severity == Warning }) {
		t.Errorf("an unknown kind: %+v", in)
	}
}

func TestABurstIsToldFromItsThreshold(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	for i := range 19 {
		b.raise(noon, Occurrence{Kind: DomainRefused, Subject: "ann@corp.example", Time: noon, Message: message(i), Mailbox: "ann@corp.example"})
	}
	expect(t, "19", sent(b))
	b.raise(noon, Occurrence{Kind: DomainRefused, Subject: "ann@corp.example", Time: noon, Message: message(19)})
	expect(t, "20", sent(b), "admins: Many recipients in domains that take no mail: ann@corp.example")
}

func TestAnAcknowledgedIncidentIsNotUpdated(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	b.raise(noon, exceeded(1, noon))
	sent(b)
	id := b.list(true)[0].ID
	if !b.acknowledge(noon, id, "admin") || !b.acknowledge(noon.Add(time.Hour), id, "late") || b.acknowledge(noon, "none", "admin") {
		t.Error("acknowledge")
	}
	b.raise(noon.Add(20*time.Minute), exceeded(2, noon.Add(20*time.Minute)))
	expect(t, "update", sent(b))
	if in := b.list(true)[0]; in.AcknowledgedBy != "admin" || !in.Acknowledged.Equal(noon) {
		t.Errorf("%+v", in)
	}
	b.advance(noon.Add(3 * time.Hour))
	if !b.acknowledge(noon, id, "admin") {
		t.Error("a closed one is not found")
	}
}

// A shared limit has many senders: each is told once, of own mail.
func TestEachSenderIsToldOnce(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	for i := range 60 {
		for n := range 2 {
			o := exceeded(2*i+n, noon)
			o.Subject, o.Mailbox = "gateway:", policy.Address(fmt.Sprintf("u%d@corp.example", i))
			b.raise(noon, o)
		}
	}
	told := map[string]int{}
	for _, p := range b.outbox {
		told[p.To]++
		if p.To == Admins {
			continue
		}
		var u int
		if _, err := fmt.Sscanf(p.To, "u%d@", &u); err != nil || p.Notice.Facts[0].Value != fmt.Sprintf("offer %d", 2*u) {
			t.Errorf("%s is told of %v", p.To, p.Notice.Facts)
		}
	}
	if len(told) != 1+maxTold || told["u0@corp.example"] != 1 || told[Admins] != 1 {
		t.Errorf("told %v", told)
	}
	s := settings()
	s.Senders, s.Admins = false, nil
	b = newBook(s, numberedIDs())
	b.raise(noon, exceeded(1, noon))
	expect(t, "nobody is to be told", sent(b))
}

func TestWhatAPersonDidIsToldEachTime(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	for i := range 2 {
		at := noon.Add(time.Duration(i) * time.Second)
		b.raise(at, Occurrence{Kind: BoostGiven, Subject: "ann@corp.example", Rule: "day", Time: at, Mailbox: "ann@corp.example"})
		expect(t, "boost", sent(b), "ann@corp.example: Your sending limit was changed", "admins: Limit changed for one sender: ann@corp.example")
	}
	if len(b.list(true)) != 0 || len(b.list(false)) != 2 {
		t.Error("an act stays open")
	}
	b.raise(noon, Occurrence{Kind: BoostGiven, Subject: "ann@corp.example", Rule: "day", Time: noon})
	expect(t, "an old one", sent(b))
}

func TestASuspensionStands(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	b.raise(noon, Occurrence{Kind: Suspended, Subject: "ann", Time: noon})
	b.raise(noon, Occurrence{Kind: Suspended, Subject: "bob", Time: noon, Until: noon.Add(3 * time.Hour)})
	b.advance(noon.Add(3*time.Hour - 1))
	if n := len(b.list(true)); n != 2 {
		t.Errorf("%d open", n)
	}
	b.advance(noon.Add(1000 * time.Hour))
	if in := b.list(true); len(in) != 1 || in[0].Subject != "ann" {
		t.Errorf("open %+v", in)
	}
}

func TestTheVolumeIsLimited(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	for i := range 40 {
		b.raise(noon, Occurrence{Kind: TrackingGap, Subject: fmt.Sprint("log ", i), Time: noon})
	}
	if got := sent(b); len(got) != 15 {
		t.Errorf("%d notices", len(got))
	}
	b.raise(noon, Occurrence{Kind: Hijack, Subject: "ann", Time: noon})
	expect(t, "a critical one", sent(b), "admins: An account behaves as if somebody else used it: ann")
	b.advance(noon.Add(15*time.Minute - 1))
	expect(t, "before the digest", sent(b))
	b.advance(noon.Add(15 * time.Minute))
	if len(b.outbox) != 1 || b.outbox[0].Notice.Kind != Digest || len(b.outbox[0].Notice.Lines) != 25 || b.outbox[0].Notice.Title != (policy.Label{EN: "25 notices", ZH: "25 条通知"}) {
		t.Fatalf("digest %+v", b.outbox)
	}
	b.outbox = nil
	for i := range 200 {
		b.raise(noon.Add(16*time.Minute), Occurrence{Kind: TrackingGap, Subject: fmt.Sprint("other ", i), Time: noon.Add(16 * time.Minute)})
	}
	b.advance(noon.Add(31 * time.Minute))
	if d := b.outbox[0].Notice; len(b.outbox) != 1 || d.Title.EN != "200 notices" || d.Lines[100] != (policy.Label{EN: "and 100 more", ZH: "另有 100 条"}) {
		t.Fatalf("digest %+v", b.outbox)
	}
}

// However many things happen, nobody gets more than the most in any hour.
func TestNobodyGetsMoreThanTheMost(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	rnd := rand.New(rand.NewPCG(1, 2))
	var times []time.Time
	for i := range 6 * 720 {
		now := noon.Add(time.Duration(i) * 5 * time.Second)
		if i%2 == 0 {
			kind := []Kind{TrackingGap, Hijack, LimitWarning}[rnd.IntN(3)]
			b.raise(now, Occurrence{Kind: kind, Subject: fmt.Sprint(rnd.IntN(500)), Time: now})
		}
		b.advance(now)
		for range b.outbox {
			times = append(times, now)
		}
		b.outbox = nil
	}
	for i := range times {
		if n := i + settings().HourlyMax; n < len(times) && times[n].Sub(times[i]) < time.Hour {
			t.Fatalf("%d notices in %v", settings().HourlyMax+1, times[n].Sub(times[i]))
		}
	}
	if len(times) < 60 {
		t.Errorf("%d notices only", len(times))
	}
}

func TestADigestOfOneIsTheNotice(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	for i := range 15 {
		b.raise(noon, Occurrence{Kind: TrackingGap, Subject: fmt.Sprint("log ", i), Time: noon})
	}
	sent(b)
	b.raise(noon, exceeded(1, noon))
	b.raise(noon.Add(16*time.Minute), exceeded(2, noon.Add(16*time.Minute))) // takes its place, and is no update for who has not seen it
	sentTo := sent(b)
	b.advance(noon.Add(16 * time.Minute))
	expect(t, "notices", append(sentTo, sent(b)...), toAnn, opened)
}

func TestWhatMattersLeastGoesFirst(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	b.raise(noon, Occurrence{Kind: Hijack, Subject: "old", Time: noon})
	b.raise(noon, Occurrence{Kind: TrackingGap, Subject: "old", Time: noon})
	for i := range maxOpen {
		at := noon.Add(time.Duration(i+1) * time.Millisecond)
		b.raise(at, Occurrence{Kind: TrackingGap, Subject: fmt.Sprint(i), Time: at})
	}
	list := b.list(true)
	has := func(k Kind, subject string) bool {
		return slices.ContainsFunc(list, func(in Incident) bool { return in.Kind == k && in.Subject == subject })
	}
	if len(list) != maxOpen || !has(Hijack, "old") || has(TrackingGap, "old") || !has(TrackingGap, "999") {
		t.Errorf("%d open", len(list))
	}
	for i := range 2 * maxClosed {
		b.raise(noon, Occurrence{Kind: TrackingGap, Subject: fmt.Sprint(i), Time: noon, Ends: true})
	}
	if n := len(b.closed); n != maxClosed {
		t.Errorf("%d closed", n)
	}
}

func TestDetailsAreBounded(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	for i := range 50 {
		o := exceeded(i, noon)
		o.Sample = strings.Repeat("长", 200) + fmt.Sprint(i)
		b.raise(noon, o)
	}
	in := b.list(true)[0]
	if len(in.Samples) != 1 || len([]rune(in.Samples[0])) != maxRunes || len(in.Messages) != maxMessages || in.Messages[19] != message(49) || in.Count != 50 {
		t.Errorf("%d samples, %d messages, count %d", len(in.Samples), len(in.Messages), in.Count)
	}
}

func TestWhatIsKeptComesBack(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	for i := range 18 {
		b.raise(noon, Occurrence{Kind: TrackingGap, Subject: fmt.Sprint(i), Time: noon})
	}
	b.raise(noon, exceeded(1, noon))
	b.raise(noon, Occurrence{Kind: TrackingGap, Subject: "1", Time: noon, Ends: true})
	k := b.keep()
	k.Batch, k.Position = 7, 3
	value, err := k.pack()
	if err != nil {
		t.Fatal(err)
	}
	back, err := unpack(value)
	if err != nil {
		t.Fatal(err)
	}
	other := newBook(settings(), numberedIDs())
	other.restore(back)
	if back.Batch != 7 || back.Position != 3 || fmt.Sprintf("%+v", other.list(false)) != fmt.Sprintf("%+v", b.list(false)) || len(other.outbox) != len(b.outbox) {
		t.Errorf("place %d.%d, incidents\n%+v\nwant\n%+v", back.Batch, back.Position, other.list(false), b.list(false))
	}
	other.outbox = nil
	other.raise(noon.Add(time.Second), exceeded(1, noon))
	expect(t, "again", sent(other))
	other.advance(noon.Add(15 * time.Minute))
	expect(t, "what waited", sent(other), "admins: 4 notices")
}

// Whatever is in the book, what is kept fits, and what matters most is in it.
func TestWhatIsKeptFits(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) string {
		r := make([]rune, n)
		for i := range r {
			r[i] = rune(0x4e00 + rnd.IntN(20000))
		}
		return string(r)
	}
	const many = 400
	for i := range many {
		o := exceeded(i, noon)
		o.Subject, o.Sample, o.Mailbox = noise(20)+"@corp.example", noise(80), policy.Address(noise(10)+"@corp.example")
		b.raise(noon, o)
	}
	b.raise(noon, Occurrence{Kind: Hijack, Subject: "ann", Time: noon})
	value, err := b.keep().pack()
	if err != nil || len(value) > maxKept {
		t.Fatalf("%d octets, error %v", len(value), err)
	}
	k, err := unpack(value)
	if err != nil || len(k.Open) == 0 || k.Open[0].Kind != Hijack {
		t.Errorf("%d open, error %v", len(k.Open), err)
	}
	if n := len(b.list(true)); n != many+1 {
		t.Errorf("keeping changed the book: %d open", n)
	}
	if !slices.ContainsFunc(b.list(true), func(in Incident) bool { return len(in.Samples) > 0 }) {
		t.Error("keeping changed the incidents")
	}
}
