package similar

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	enTemplate = "Your invoice is ready. Please log in to the customer portal of our company and download it there before the end of the month. " +
		"Payment is due within thirty days of the invoice date. For questions about your account call our service desk, we are there for you every working day."
	zhTemplate = "您的电子发票已经开具完成，请登录本公司客户服务平台下载并妥善保存。付款期限为开票之后三十天之内，逾期将产生滞纳金。如对账户有任何疑问，欢迎随时拨打我们的服务热线，工作日均有专人接听。"
)

// teach sends a template with a line of its own for some days.
func teach(x *Index, sender, template string, days, daily int) time.Time {
	r := rand.New(rand.NewPCG(uint64(days), uint64(daily)))
	now := start
	for d := range days {
		for i := range daily {
			now = start.Add(time.Duration(d)*24*time.Hour + time.Duration(i)*time.Minute)
			sig := x.Signature(fmt.Sprintf("No. %d\n\n%s\n\n%s", i, template, businessText(r, template == zhTemplate, 1)), Hints{Sender: sender})
			x.Take(now, messageID(d*1000+i), sender, sig, nil)
		}
	}
	return now
}

func TestBoilerplateIsLearned(t *testing.T) {
	for _, c := range []struct {
		outcome     string
		days, daily int
		template    bool
	}{
		{"on two days it is not", 2, 15, false},
		{"three days, of which one is old enough", 3, 10, false},
		{"a week of ten each day", 7, 10, true},
	} {
		for _, template := range []string{enTemplate, zhTemplate} {
			x := newIndex(t)
			now := teach(x, "erp@corp.example", template, c.days, c.daily)
			sig := x.Signature(template, Hints{Sender: "erp@corp.example"})
			if sig.Template() != c.template {
				t.Errorf("%s: %d features after %v", c.outcome, sig.features, now.Sub(start))
			}
			if other := x.Signature(template, Hints{Sender: "somebody@else.example"}); other.Template() {
				t.Errorf("%s: learned for everybody", c.outcome)
			}
		}
	}
}

func TestDomainTeachesANewSender(t *testing.T) {
	x := newIndex(t)
	teach(x, "erp@corp.example", enTemplate, 7, 10)
	if sig := x.Signature(enTemplate, Hints{Sender: "new@corp.example"}); !sig.Template() {
		t.Errorf("%d features", sig.features)
	}
}

func TestTemplateMailHasItsOwnLimit(t *testing.T) {
	x := newIndex(t)
	now := teach(x, "erp@corp.example", zhTemplate, 7, 10)
	var m Match
	for i := range 200 {
		sig := x.Signature(fmt.Sprintf("No. %d\n\n%s", i, zhTemplate), Hints{Sender: "erp@corp.example"})
		m = x.Take(now, messageID(1<<20+i), "erp@corp.example", sig, people(i, i+1))
		if i < 199 && m.Level != Silent {
			t.Fatalf("%d recipients: %v", i+1, m.Level)
		}
	}
	if m.Level != Review || m.Reason.EN != "Automatic message sent to 200 recipients in 1 h" || m.Reason.ZH != "1 小时内向 200 位收件人发送了模板邮件" {
		t.Errorf("%v %+v", m.Level, m.Reason)
	}
}

func TestHeldMailTeachesNothing(t *testing.T) {
	x := newIndex(t)
	for d := range 10 {
		for i := range 5 {
			now := start.Add(time.Duration(d)*24*time.Hour + time.Duration(i)*time.Minute)
			sig := x.Signature(enTemplate, Hints{Sender: "bulk@corp.example"})
			x.Take(now, messageID(d*1000+i), "bulk@corp.example", sig, people(i*100, i*100+100))
		}
	}
	if sig := x.Signature(enTemplate, Hints{Sender: "bulk@corp.example"}); sig.Template() {
		t.Error("a held mailing was learned")
	}
}

func TestLearningIsBoundedAndFades(t *testing.T) {
	var l learner
	r := rand.New(rand.NewPCG(6, 6))
	common := []uint32{1, 2, 3}
	day := func(d int, prints []uint32) { l.add(start.Add(time.Duration(d)*24*time.Hour), prints) }
	for d := range 40 {
		for range 30 {
			prints := append([]uint32(nil), common...)
			for range 300 {
				prints = append(prints, r.Uint32())
			}
			day(d, prints)
		}
	}
	if len(l.Entries) > learnEntries || len(l.Pending) > 3 {
		t.Errorf("%d entries, %d days pending", len(l.Entries), len(l.Pending))
	}
	for _, p := range common {
		if !l.known.has(p) {
			t.Errorf("%d is not known", p)
		}
	}
	if n := len(l.known.prints); n > 10 {
		t.Errorf("%d shingles are boilerplate", n)
	}
	for d := 40; d < 200; d++ {
		for range 30 {
			day(d, []uint32{r.Uint32(), 77})
		}
	}
	if l.known.has(1) || !l.known.has(77) {
		t.Error("what is no longer written is still boilerplate")
	}
}

func TestBoilerplateHasExactlyItsPrints(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	set := map[uint32]bool{}
	var l learner
	for range 500 {
		set[r.Uint32()] = true
	}
	for p := range set {
		l.Entries = append(l.Entries, repeated{Print: p, Times: 5, Days: 5})
	}
	l.Entries = bounded(l.Entries)
	slices.SortFunc(l.Entries, byPrint)
	l.settle()
	for range 5000 {
		p := r.Uint32()
		if l.known.has(p) != set[p] {
			t.Fatal(p)
		}
	}
	for p := range set {
		if !l.known.has(p) {
			t.Fatal(p)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ outcome, a, b, want string }{
		{"equal texts", "one two", "one two", "same:one two"},
		{"masks hide the differences", "pay 10 now", "pay 999 now", "same:pay # now"},
		{"a word more", "one three", "one two three", "same:one added:two same:three"},
		{"a word less", "one two three", "one three", "same:one removed:two same:three"},
		{"another word", "one two three", "one 2b three", "same:one removed:two added:# same:three"},
		{"Chinese", "请确认订单", "请确认发票", "same:请 确 认 removed:订 单 added:发 票"},
		{"nothing in common", "one", "two", "removed:one added:two"},
		{"nothing at all", "", "", ""},
		{"signatures are not shown", "one\n-- \nJoe", "one", "same:one"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			var parts []string
			for _, e := range Diff(c.a, Hints{}, c.b, Hints{}) {
				parts = append(parts, string(e.Op)+":"+strings.Join(e.Tokens, " "))
			}
			if got := strings.Join(parts, " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestDiffOfLongTextsIsBounded(t *testing.T) {
	long := strings.Repeat("one two three ", 50_000)
	n := 0
	for _, e := range Diff(long, Hints{}, long+"x", Hints{}) {
		n += len(e.Tokens)
	}
	if n != maxDiff {
		t.Errorf("%d tokens", n)
	}
}
