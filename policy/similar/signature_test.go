package similar

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func sketchOf(h hasher, features ...uint64) sketch {
	s := newSketcher()
	for _, f := range features {
		s.add(f)
	}
	return s.sketch(h)
}

// The share of equal slots estimates the Jaccard similarity without bias, for few and many features.
func TestSketchEstimatesJaccard(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	h := newHasher(testSeed)
	for _, n := range []int{20, 60, 300, 3000} {
		for _, want := range []float64{0, 0.25, 0.5, 0.8, 1} {
			common := int(math.Round(want * 2 * float64(n) / (1 + want)))
			sum, rounds := 0.0, 200
			for range rounds {
				var a, b []uint64
				for i := range n {
					v := r.Uint64()
					a = append(a, v)
					if i >= common {
						v = r.Uint64()
					}
					b = append(b, v)
				}
				sa, sb := sketchOf(h, a...), sketchOf(h, b...)
				sum += float64(sa.equal(&sb)) / Slots
			}
			if got := sum / float64(rounds); math.Abs(got-want) > 0.03 {
				t.Errorf("%d features: %.3f, want %.2f", n, got, want)
			}
		}
	}
}

func TestEqualSlotsAreCountedExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var a, b sketch
		want := 0
		for i := range Slots {
			x, y := uint64(r.IntN(1<<16)), uint64(r.IntN(1<<16))
			if r.IntN(3) == 0 {
				y = x ^ uint64(r.IntN(2))<<15 // differs in the top bit, or not at all
			}
			if x == y {
				want++
			}
			a[i/4] |= x << (i % 4 * 16)
			b[i/4] |= y << (i % 4 * 16)
		}
		if got := a.equal(&b); got != want && (got != 0 || want > Slots/5) {
			t.Fatalf("%d, want %d", got, want)
		}
	}
}

func TestEmptyTextHasNoSimilarity(t *testing.T) {
	x := newIndex(t)
	a, b := x.Signature("", Hints{}), x.Signature(" \n ", Hints{})
	if s := Compare(&a, &b); s.Kind != None {
		t.Errorf("%+v", s)
	}
}

func TestAnotherSeedGivesAnotherSketch(t *testing.T) {
	x := newIndex(t)
	y := newIndex(t, func(c *Config) { c.Seed[15]++ })
	text := businessText(rand.New(rand.NewPCG(1, 1)), false, 3)
	a, b := x.Signature(text, Hints{}), y.Signature(text, Hints{})
	if n := a.text.equal(&b.text); n > 3 || a.exact == b.exact {
		t.Errorf("%d slots agree", n)
	}
}

func TestSignatureSurvivesTheJournal(t *testing.T) {
	x := newIndex(t)
	r := rand.New(rand.NewPCG(5, 5))
	for _, text := range []string{"", "short", businessText(r, true, 2), businessText(r, false, 2) + "\n-- \nJoe"} {
		sig := x.Signature(text, Hints{Attachments: [][32]byte{{1}, {2}}, Hosts: []string{"a.example"}})
		b, err := sig.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Signature
		if err := back.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		c, _ := back.MarshalBinary()
		if string(b) != string(c) || len(b) > 569 {
			t.Errorf("%d octets became %d", len(b), len(c))
		}
	}
}

func TestForeignOctetsAreNoSignature(t *testing.T) {
	x := newIndex(t)
	sig := x.Signature("text", Hints{})
	good, _ := sig.MarshalBinary()
	for outcome, b := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)-1], "too long": append(good[:len(good):len(good)], 0), "another version": append([]byte{9}, good[1:]...),
		"too many attachments": append(append(good[:headSize-1:headSize-1], 200), good[headSize:]...),
	} {
		var s Signature
		if err := s.UnmarshalBinary(b); err == nil || err.Error() != "not a signature of this version" {
			t.Errorf("%s: %v", outcome, err)
		}
	}
}

// made builds signatures that differ in a given number of slots.
func made(equal int, change ...func(a, b *Signature)) (a, b Signature) {
	for i := range Slots {
		x, y := uint64(i+1), uint64(i+1)
		if i*97%Slots >= equal {
			y += 1000
		}
		a.text[i/4] |= x << (i % 4 * 16)
		b.text[i/4] |= y << (i % 4 * 16)
	}
	for _, s := range []*Signature{&a, &b} {
		s.units, s.fullUnits, s.features = 100, 100, 100
	}
	a.exact, b.exact = 1, 2
	for _, c := range change {
		c(&a, &b)
	}
	return a, b
}

func TestCompare(t *testing.T) {
	units := func(n uint16) func(a, b *Signature) { return func(a, _ *Signature) { a.units = n } }
	hosts := func(a, b *Signature) { a.hosts, b.hosts = 5, 5 }
	files := func(a, b *Signature) { a.attachments, b.attachments = []uint64{1, 2}, []uint64{3, 2} }
	same := func(a, b *Signature) { b.exact = a.exact }
	full := func(equal int) func(a, b *Signature) {
		return func(a, b *Signature) {
			x, y := made(equal)
			a.full, b.full = &x.text, &y.text
		}
	}
	for _, c := range []struct {
		outcome string
		equal   int
		change  []func(a, b *Signature)
		want    Kind
	}{
		{"a half is strong", 64, nil, Strong},
		{"less is near", 63, nil, Near},
		{"a quarter is near", 32, nil, Near},
		{"less is nothing", 31, nil, None},
		{"less with the same hosts is weak", 31, []func(a, b *Signature){hosts}, Weak},
		{"less with the same file is weak", 26, []func(a, b *Signature){files}, Weak},
		{"below a fifth is nothing", 25, []func(a, b *Signature){hosts, files}, None},
		{"19 units need more", 51, []func(a, b *Signature){units(19)}, None},
		{"19 units with enough", 52, []func(a, b *Signature){units(19)}, Near},
		{"14 units with enough", 64, []func(a, b *Signature){units(14)}, Strong},
		{"13 units are too few", 128, []func(a, b *Signature){units(13)}, None},
		{"few features are too few", 128, []func(a, b *Signature){func(a, _ *Signature) { a.features = 7 }}, None},
		{"equal text", 0, []func(a, b *Signature){same}, Exact},
		{"equal text of 6 units", 0, []func(a, b *Signature){same, units(6)}, Exact},
		{"equal text of 5 units", 0, []func(a, b *Signature){same, units(5)}, None},
		{"a file and hardly any text", 0, []func(a, b *Signature){files, func(a, b *Signature) { a.units, b.units = 5, 5 }}, Attachment},
		{"a file and some text", 0, []func(a, b *Signature){files, units(5)}, None},
		{"full text", 0, []func(a, b *Signature){full(39)}, Full},
		{"full text below three tenths", 0, []func(a, b *Signature){full(38)}, None},
		{"full text of a template", 0, []func(a, b *Signature){full(128), func(a, _ *Signature) { a.template = true }}, None},
		{"full text of few units", 0, []func(a, b *Signature){full(128), func(_, b *Signature) { b.fullUnits = 19 }}, None},
		{"new text before full text", 40, []func(a, b *Signature){full(128)}, Near},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			a, b := made(c.equal, c.change...)
			for _, s := range []Similarity{Compare(&a, &b), Compare(&b, &a)} {
				if s.Kind != c.want {
					t.Errorf("%q (%.3f), want %q", s.Kind, s.Jaccard, c.want)
				}
			}
		})
	}
}

// What senders of bulk mail do, in both languages; the bench measures it on real mail.
func TestCopiesAreRecognised(t *testing.T) {
	x := newIndex(t)
	languages(t, func(t *testing.T, zh bool) {
		r := rand.New(rand.NewPCG(11, 12))
		base, other := businessText(r, zh, 4), businessText(r, zh, 4)
		name, extra := "Joe Bloggs", "Dear Joe Bloggs,\n\n"
		if zh {
			name, extra = "张伟", "尊敬的张伟先生：\n\n"
		}
		for outcome, text := range map[string]string{
			"greeting":          extra + base,
			"number":            "No. 4711\n" + base + "¥ 1,234",
			"link":              base + "https://x.example/abc?d=1",
			"invisible letters": strings.Join(strings.Split(base, ""), "\u200b"),
			"disguised letters": strings.NewReplacer("e", "е", "a", "ａ", "o", "ο").Replace(base),
			"appended text":     base + businessText(r, zh, 2),
			"disclaimer":        base + "\n\nThis email is confidential and intended solely for the addressee. If received in error, delete it.",
			"quotation":         base + "\n> " + strings.ReplaceAll(other, "\n", "\n> "),
		} {
			a := x.Signature(base, Hints{})
			b := x.Signature(text, Hints{Names: []string{name}, Reply: outcome == "quotation"})
			if s := Compare(&a, &b); s.Kind == None || s.Kind == Full {
				t.Errorf("%s: %+v", outcome, s)
			}
		}
		a, b := x.Signature(base, Hints{}), x.Signature(other, Hints{})
		if s := Compare(&a, &b); s.Kind != None {
			t.Errorf("another text: %+v", s)
		}
	})
}

func TestForgedReplyIsRecognisedByItsFullText(t *testing.T) {
	x := newIndex(t)
	languages(t, func(t *testing.T, zh bool) {
		r := rand.New(rand.NewPCG(21, 22))
		base := businessText(r, zh, 4)
		sign := func() Signature {
			return x.Signature(businessText(r, zh, 1)+"\n> "+strings.ReplaceAll(base, "\n", "\n> "), Hints{Subject: "Re: x"})
		}
		a, b := sign(), sign()
		if s := Compare(&a, &b); s.Kind != Full {
			t.Errorf("%+v", s)
		}
	})
}
