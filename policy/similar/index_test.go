package similar

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// wave sends n copies with a number each, one recipient each, a second apart, and gives the last match.
func wave(x *Index, id int, sender, text string, n int) (m Match) {
	for i := range n {
		now := start.Add(time.Duration(i) * time.Second)
		sig := x.Signature(fmt.Sprintf("No. %d\n%s", i, text), Hints{Sender: sender})
		m = x.Take(now, messageID(id+i), sender, sig, people(id+i, id+i+1))
	}
	return m
}

func TestLevelsRiseWithRecipients(t *testing.T) {
	languages(t, func(t *testing.T, zh bool) {
		text := businessText(rand.New(rand.NewPCG(1, 3)), zh, 3)
		for _, c := range []struct {
			copies int
			want   Level
			en, zh string
		}{
			{1, Silent, "", ""},
			{15, Silent, "", ""},
			{16, Notice, "Similar message sent to 16 recipients in 24 h, 16 in 1 h", "24 小时内向 16 位收件人发送了相似邮件，其中 1 小时内 16 位"},
			{19, Notice, "Similar message sent to 19 recipients in 24 h, 19 in 1 h", "24 小时内向 19 位收件人发送了相似邮件，其中 1 小时内 19 位"},
			{20, Slow, "Similar message sent to 20 recipients in 24 h, 20 in 1 h", "24 小时内向 20 位收件人发送了相似邮件，其中 1 小时内 20 位"},
			{99, Slow, "Similar message sent to 99 recipients in 24 h, 99 in 1 h", "24 小时内向 99 位收件人发送了相似邮件，其中 1 小时内 99 位"},
			{100, Review, "Similar message sent to 100 recipients in 24 h, 100 in 1 h", "24 小时内向 100 位收件人发送了相似邮件，其中 1 小时内 100 位"},
			{200, Alert, "Similar message sent to 200 recipients in 24 h, 200 in 1 h", "24 小时内向 200 位收件人发送了相似邮件，其中 1 小时内 200 位"},
		} {
			m := wave(newIndex(t), 0, "a@corp.example", text, c.copies)
			if m.Level != c.want || m.Reason != (policy.Label{EN: c.en, ZH: c.zh}) || m.Campaign != messageID(0) {
				t.Errorf("%d copies: %v %q %q", c.copies, m.Level, m.Reason.EN, m.Reason.ZH)
			}
		}
	})
}

func TestCountsSlideOutOfTheirWindows(t *testing.T) {
	text := businessText(rand.New(rand.NewPCG(1, 4)), false, 3)
	for _, c := range []struct {
		after time.Duration
		want  Distinct
		level Level
	}{
		{0, Distinct{31, 31}, Slow},
		{time.Hour - time.Second, Distinct{31, 31}, Slow},
		{time.Hour + 29*time.Second, Distinct{1, 31}, Silent},
		{24*time.Hour + 29*time.Second, Distinct{1, 1}, Silent},
	} {
		x := newIndex(t)
		wave(x, 0, "a@corp.example", text, 30)
		m := x.Look(start.Add(c.after), "a@corp.example", x.Signature(text, Hints{}), people(1000, 1001))
		if m.Distinct != c.want || m.Level != c.level {
			t.Errorf("after %v: %+v %v", c.after, m.Distinct, m.Level)
		}
	}
}

func TestWhatDoesNotCount(t *testing.T) {
	x := newIndex(t)
	sig := x.Signature(businessText(rand.New(rand.NewPCG(1, 5)), true, 3), Hints{})
	take := func(n int, to []policy.Address) Match { return x.Take(start, messageID(n), "a@corp.example", sig, to) }
	if m := take(1, people(0, 10)); m.Distinct.Day != 10 {
		t.Errorf("a message with ten recipients counts %d", m.Distinct.Day)
	}
	if m := take(2, people(0, 10)); m.Distinct.Day != 10 {
		t.Errorf("the same recipients again: %d", m.Distinct.Day)
	}
	if m := take(2, people(0, 10)); m.Distinct.Day != 10 {
		t.Errorf("the same message again: %d", m.Distinct.Day)
	}
	if m := take(3, nil); m.Distinct.Day != 10 {
		t.Errorf("recipients left out by the caller: %d", m.Distinct.Day)
	}
	if m := take(4, []policy.Address{"PERSON1@FAR.example", "person1@far.EXAMPLE"}); m.Distinct.Day != 10 {
		t.Errorf("one domain in two cases: %d", m.Distinct.Day)
	}
	if m := x.Look(start, "a@corp.example", sig, people(50, 60)); m.Distinct.Day < 20 {
		t.Errorf("looking counts what would be: %d", m.Distinct.Day)
	}
	c, err := x.Campaign(start, messageID(1))
	if err != nil || c.Messages != 4 || c.Recipients != 21 {
		t.Errorf("%v, %d messages, %d recipients", err, c.Messages, c.Recipients)
	}
}

func TestShortMailHasThreeTimesTheLimits(t *testing.T) {
	for _, c := range []struct {
		outcome, text string
		hints         Hints
		copies        int
		want          Level
	}{
		{"short", "thank you we received all of it", Hints{}, 47, Silent},
		{"short, three times as many", "thank you we received all of it", Hints{}, 48, Notice},
		{"short in Chinese", "谢谢贵公司寄来的全部样品", Hints{}, 60, Slow},
		{"short with a link", "look here what we have got https://x.example/", Hints{}, 20, Slow},
		{"short with a file", "look here what we have got", Hints{Attachments: [][32]byte{{1}}}, 20, Slow},
		{"too short for anything", "thank you", Hints{}, 300, Silent},
		{"a file without text", "hi", Hints{Attachments: [][32]byte{{1}}}, 20, Slow},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			x := newIndex(t)
			var m Match
			for i := range c.copies {
				m = x.Take(start, messageID(i), "a@corp.example", x.Signature(c.text, c.hints), people(i, i+1))
			}
			if m.Level != c.want {
				t.Errorf("%v at %+v by %q", m.Level, m.Distinct, m.Kind)
			}
		})
	}
}

func TestQuotedPayloadCountsWithTwiceTheLimit(t *testing.T) {
	languages(t, func(t *testing.T, zh bool) {
		x := newIndex(t)
		r := rand.New(rand.NewPCG(31, 32))
		payload := "\n> " + strings.ReplaceAll(businessText(r, zh, 5), "\n", "\n> ")
		var m Match
		for i := range 40 {
			sig := x.Signature(businessText(r, zh, 1)+payload, Hints{Reply: true})
			m = x.Take(start, messageID(i), "a@corp.example", sig, people(i, i+1))
			if want := i >= 39; (m.Level >= Slow) != want {
				t.Fatalf("copy %d: %v by %q", i+1, m.Level, m.Kind)
			}
		}
		if m.Kind != Full {
			t.Errorf("by %q", m.Kind)
		}
	})
}

// A forged reply whose new text is like another message is still counted by what it carries.
func TestCoverTextDoesNotHideThePayload(t *testing.T) {
	x := newIndex(t)
	r := rand.New(rand.NewPCG(41, 42))
	payload := "\n> " + strings.ReplaceAll(businessText(r, false, 8), "\n", "\n> ")
	var m Match
	for i := range 45 {
		cover := businessText(r, false, 2)
		x.Take(start, messageID(1000+i), "a@corp.example", x.Signature(cover, Hints{}), nil)
		m = x.Take(start, messageID(i), "a@corp.example", x.Signature(cover+payload, Hints{Reply: true}), people(i, i+1))
	}
	if m.Level < Slow {
		t.Errorf("%v by %q, %+v", m.Level, m.Kind, m.Distinct)
	}
}

func TestSameTextFromSeveralAccountsIsAHijack(t *testing.T) {
	languages(t, func(t *testing.T, zh bool) {
		x := newIndex(t)
		text := businessText(rand.New(rand.NewPCG(1, 6)), zh, 3)
		for s := range 2 {
			if m := wave(x, 100*s, fmt.Sprintf("s%d@corp.example", s), text, 10); m.Hijack {
				t.Fatalf("%d senders", s+1)
			}
		}
		if m := wave(x, 200, "s2@corp.example", text, 9); m.Hijack || m.Senders != 3 {
			t.Fatalf("nine recipients of %d senders", m.Senders)
		}
		m := x.Take(start.Add(time.Minute), messageID(300), "s2@corp.example", x.Signature(text, Hints{}), people(300, 301))
		want := policy.Label{EN: "The same text is sent by 3 accounts", ZH: "同一内容由 3 个账号发出"}
		if !m.Hijack || m.Level != Alert || m.Reason != want {
			t.Errorf("%+v", m)
		}
		c, _ := x.Campaign(start.Add(time.Minute), m.Campaign)
		if !c.Hijack || c.Level != Alert || len(c.Senders) != 3 || c.Distinct.Day != 30 || c.Senders[2].Distinct.Day != 10 {
			t.Errorf("%+v", c)
		}
	})
}

// Short thanks of many people are no hijack.
func TestShortTextIsNotSharedAmongSenders(t *testing.T) {
	x := newIndex(t)
	for s := range 5 {
		for i := range 12 {
			sig := x.Signature("thank you we received all of it", Hints{})
			if m := x.Take(start, messageID(100*s+i), fmt.Sprint("s", s), sig, people(i, i+1)); m.Senders != 1 || m.Hijack {
				t.Fatalf("%+v", m)
			}
		}
	}
}

func TestDecisions(t *testing.T) {
	text := businessText(rand.New(rand.NewPCG(1, 7)), false, 3)
	stopped := policy.Label{EN: "This mailing was stopped", ZH: "该群发已被终止"}
	slowed := policy.Label{EN: "This mailing is slowed down", ZH: "该群发已被限速"}
	for _, c := range []struct {
		outcome string
		decide  func(*Index, policy.ID) error
		sender  string
		after   time.Duration
		want    Level
		reason  policy.Label
	}{
		{"approved passes", func(x *Index, id policy.ID) error { return x.Approve(id, "eve", start) }, "a@corp.example", 0, Silent, policy.Label{}},
		{"approved is not approved for somebody new", func(x *Index, id policy.ID) error { return x.Approve(id, "eve", start) }, "b@corp.example", 0, Review, policy.Label{
			EN: "Similar message sent to 100 recipients in 24 h, 100 in 1 h", ZH: "24 小时内向 100 位收件人发送了相似邮件，其中 1 小时内 100 位",
		}},
		{"allowed passes", func(x *Index, id policy.ID) error { return x.Allow(id, "eve", start, start.Add(2*time.Hour)) }, "a@corp.example", time.Hour, Silent, policy.Label{}},
		{"allowed passes until then", func(x *Index, id policy.ID) error { return x.Allow(id, "eve", start, start.Add(2*time.Hour)) }, "a@corp.example", 2 * time.Hour, Alert, policy.Label{
			EN: "Similar message sent to 220 recipients in 24 h, 100 in 1 h", ZH: "24 小时内向 220 位收件人发送了相似邮件，其中 1 小时内 100 位",
		}},
		{"slowed goes slowly", func(x *Index, id policy.ID) error { return x.Slow(id, "eve", start) }, "a@corp.example", 0, Slow, slowed},
		{"stopped is held", func(x *Index, id policy.ID) error { return x.Cancel(id, "eve", start) }, "a@corp.example", 23 * time.Hour, Alert, stopped},
		{"stopped is held for everybody", func(x *Index, id policy.ID) error { return x.Cancel(id, "eve", start) }, "b@corp.example", 0, Review, stopped},
		{"a decision can be taken back", func(x *Index, id policy.ID) error {
			return errors.Join(x.Cancel(id, "eve", start), x.Withdraw(id))
		}, "b@corp.example", 0, Review, policy.Label{
			EN: "Similar message sent to 100 recipients in 24 h, 100 in 1 h", ZH: "24 小时内向 100 位收件人发送了相似邮件，其中 1 小时内 100 位",
		}},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			x := newIndex(t)
			m := wave(x, 0, "a@corp.example", text, 120)
			if err := c.decide(x, m.Campaign); err != nil {
				t.Fatal(err)
			}
			m = x.Look(start.Add(c.after), c.sender, x.Signature(text, Hints{}), people(500, 600))
			if m.Level != c.want || m.Reason != c.reason {
				t.Errorf("%v, %q, %q", m.Level, m.Reason.EN, m.Reason.ZH)
			}
		})
	}
	if err := newIndex(t).Approve(messageID(9), "eve", start); err != ErrUnknown || err.Error() != "no such campaign" {
		t.Errorf("%v", err)
	}
	if _, err := newIndex(t).Campaign(start, messageID(9)); err != ErrUnknown {
		t.Errorf("%v", err)
	}
}

// reference counts distinct recipients the simple way.
type reference map[policy.ID]referenceTake

type referenceTake struct {
	sender string
	at     time.Time
	to     []policy.Address
}

func (r reference) distinct(sender string, now time.Time, within time.Duration) int {
	set := map[policy.Address]bool{}
	for _, k := range r {
		if k.sender == sender && now.Sub(k.at) < within {
			for _, a := range k.to {
				set[a] = true
			}
		}
	}
	return len(set)
}

func TestDistinctCountsAgreeWithASimpleModel(t *testing.T) {
	const seed = 99
	r := rand.New(rand.NewPCG(seed, 0))
	x := newIndex(t)
	text := businessText(r, true, 3)
	sig := x.Signature(text, Hints{})
	model := reference{}
	now := start
	for n := range 3000 {
		now = now.Add(time.Duration(r.IntN(180)) * time.Second)
		sender := fmt.Sprintf("s%d@corp.example", r.IntN(3))
		if ids := slices.Collect(maps.Keys(model)); len(ids) > 0 && r.IntN(5) == 0 {
			slices.SortFunc(ids, func(a, b policy.ID) int { return bytes.Compare(a[:], b[:]) })
			id := ids[r.IntN(len(ids))]
			if fresh := now.Sub(model[id].at) < 23*time.Hour; x.Undo(id) || !fresh {
				delete(model, id)
			} else {
				t.Fatalf("step %d: not undone", n)
			}
		} else {
			first := r.IntN(60)
			k := referenceTake{sender, now, people(first, first+1+r.IntN(4))}
			model[messageID(n)] = k
			x.Take(now, messageID(n), sender, sig, k.to)
		}
		m := x.Look(now, sender, sig, nil)
		want := Distinct{model.distinct(sender, now, time.Hour), model.distinct(sender, now, 24*time.Hour)}
		if m.Distinct != want {
			t.Fatalf("seed %d, step %d: %+v, want %+v", seed, n, m.Distinct, want)
		}
	}
}

func TestUndo(t *testing.T) {
	x := newIndex(t)
	text := businessText(rand.New(rand.NewPCG(1, 8)), false, 3)
	m := wave(x, 0, "a@corp.example", text, 20)
	for i := range 20 {
		if !x.Undo(messageID(i)) || x.Undo(messageID(i)) {
			t.Fatalf("message %d", i)
		}
	}
	if c, err := x.Campaign(start, m.Campaign); err != nil || c.Messages != 0 || c.Recipients != 0 || c.Distinct.Day != 0 {
		t.Errorf("%v %+v", err, c)
	}
	if _, ok := x.Of(messageID(3)); ok {
		t.Error("an undone message is still in a campaign")
	}
	if x.Undo(messageID(99)) {
		t.Error("what was never taken cannot be undone")
	}
}

func TestOldTextsAreForgottenAndNoticedOnesKept(t *testing.T) {
	x := newIndex(t)
	r := rand.New(rand.NewPCG(1, 9))
	wave(x, 0, "plain@corp.example", businessText(r, false, 3), 2)
	wave(x, 100, "noticed@corp.example", businessText(r, false, 3), 16)
	wave(x, 200, "allowed@corp.example", businessText(r, true, 3), 2)
	if err := x.Allow(messageID(200), "eve", start, start.Add(90*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	known := func(after time.Duration) (ids []int) {
		x.Take(start.Add(after), messageID(int(after)), "other", Signature{}, nil)
		for _, id := range []int{0, 100, 200} {
			if _, err := x.Campaign(start, messageID(id)); err == nil {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for _, c := range []struct {
		after time.Duration
		want  []int
	}{
		{23 * time.Hour, []int{0, 100, 200}}, {25 * time.Hour, []int{100, 200}}, {29 * 24 * time.Hour, []int{100, 200}},
		{31 * 24 * time.Hour, []int{200}}, {91 * 24 * time.Hour, nil},
	} {
		if got := known(c.after); !slices.Equal(got, c.want) {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.campaigns) != 1 || len(x.numbers) != 1 || len(x.senders) != 1 || len(x.taken) != 1 || x.bands.live != 0 || len(x.exact) != 0 {
		t.Errorf("left: %d campaigns, %d senders, %d taken, %d bands, %d exact", len(x.campaigns), len(x.senders), len(x.taken), x.bands.live, len(x.exact))
	}
}

func TestTooManyTextsForgetTheOldest(t *testing.T) {
	x := newIndex(t, func(c *Config) { c.Campaigns = 100 })
	r := rand.New(rand.NewPCG(1, 10))
	for i := range 400 {
		x.Take(start.Add(time.Duration(i)*time.Second), messageID(i), fmt.Sprint(i%7), x.Signature(businessText(r, false, 2), Hints{}), nil)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.campaigns); n > 101 || n < 99 {
		t.Errorf("%d campaigns", n)
	}
	if x.bands.live > 101*bandCount {
		t.Errorf("%d entries of bands", x.bands.live)
	}
}

func TestSnapshotForgetsNothing(t *testing.T) {
	x := newIndex(t)
	r := rand.New(rand.NewPCG(1, 11))
	for d := range 6 {
		for i := range 60 {
			now := start.Add(time.Duration(d)*24*time.Hour + time.Duration(i)*time.Minute)
			sender := fmt.Sprintf("s%d@corp.example", i%4)
			text := businessText(r, i%2 == 0, 2)
			if i%3 == 0 {
				text = "always the same words of our company stand above\n\n" + text
			}
			sig := x.Signature(text, Hints{Sender: sender, Reply: i%5 == 0, Attachments: [][32]byte{{byte(i)}}})
			x.Take(now, messageID(1000*d+i), sender, sig, people(i, i+3))
		}
		m := wave(x, 100000+1000*d, "bulk@corp.example", businessText(r, true, 3), 30)
		if d == 5 {
			if err := x.Allow(m.Campaign, "eve", start, start.Add(1000*time.Hour+time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var one, two bytes.Buffer
	if err := x.Snapshot(&one); err != nil {
		t.Fatal(err)
	}
	y := newIndex(t)
	if err := y.Restore(bytes.NewReader(one.Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := y.Snapshot(&two); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Fatalf("%d and %d octets differ", one.Len(), two.Len())
	}
	now := start.Add(6 * 24 * time.Hour)
	for i := range 50 {
		text, sender := businessText(r, i%2 == 0, 2), fmt.Sprintf("s%d@corp.example", i%4)
		sx, sy := x.Signature(text, Hints{Sender: sender}), y.Signature(text, Hints{Sender: sender})
		mx, my := x.Take(now, messageID(1<<30+i), sender, sx, people(i, i+2)), y.Take(now, messageID(1<<30+i), sender, sy, people(i, i+2))
		if fmt.Sprint(mx) != fmt.Sprint(my) {
			t.Fatalf("%+v, %+v", mx, my)
		}
	}
	if !x.Undo(messageID(1<<30)) || !y.Undo(messageID(1<<30)) {
		t.Error("not undone")
	}
}

func TestForeignSnapshotsAreRefused(t *testing.T) {
	x := newIndex(t)
	wave(x, 0, "a", "some text that is long enough", 3)
	var b bytes.Buffer
	if err := x.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	y := newIndex(t, func(c *Config) { c.Seed[0]++ })
	if err := y.Restore(bytes.NewReader(b.Bytes())); err != ErrSeed || err.Error() != "similarity snapshot of another seed" {
		t.Errorf("%v", err)
	}
	if err := x.Restore(bytes.NewReader(b.Bytes()[:b.Len()/2])); err == nil || !strings.HasPrefix(err.Error(), "read similarity snapshot: ") {
		t.Errorf("%v", err)
	}
	if got := x.Campaigns(start, 0); len(got) != 0 {
		t.Errorf("%d campaigns after a failed restore", len(got))
	}
	if err := x.Restore(bytes.NewReader([]byte{0xa1, 0x01, 0x09})); err == nil || err.Error() != "read similarity snapshot: version 9" {
		t.Errorf("%v", err)
	}
}

// The past told again from the journal's signatures gives the same counts.
func TestReplayOfSignatures(t *testing.T) {
	x, y := newIndex(t), newIndex(t)
	text := businessText(rand.New(rand.NewPCG(1, 12)), true, 3)
	for i := range 30 {
		now := start.Add(time.Duration(i) * time.Minute)
		sig := x.Signature(fmt.Sprintf("%s %d", text, i), Hints{})
		stored, _ := sig.MarshalBinary()
		var back Signature
		if err := back.UnmarshalBinary(stored); err != nil {
			t.Fatal(err)
		}
		mx := x.Take(now, messageID(i), "a", sig, people(i, i+1))
		my := y.Take(now, messageID(i), "a", back, people(i, i+1))
		if fmt.Sprint(mx) != fmt.Sprint(my) {
			t.Fatalf("%+v, %+v", mx, my)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	x := newIndex(t)
	text := businessText(rand.New(rand.NewPCG(1, 13)), false, 3)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 40 {
				id := messageID(g*1000 + i)
				sig := x.Signature(text, Hints{Sender: "a@corp.example"})
				x.Look(start, "a@corp.example", sig, people(i, i+1))
				x.Take(start, id, "a@corp.example", sig, people(g*40+i, g*40+i+1))
				x.Take(start, messageID(1<<20+g*1000+i), fmt.Sprint(g), x.Signature(businessText(r, true, 1), Hints{}), nil)
				x.Of(id)
				if i%10 == 0 {
					x.Campaigns(start, 2)
					if err := x.Snapshot(&bytes.Buffer{}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if m := x.Look(start, "a@corp.example", x.Signature(text, Hints{}), nil); m.Distinct.Day != 320 {
		t.Errorf("%+v", m.Distinct)
	}
}
