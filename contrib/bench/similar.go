package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy/similar"
)

// benchSimilar measures the detection of near-duplicates on a folder of messages.
//
// The result gives for each mutation how many of the copies are found, in percent; fpr, the share of
// pairs of unrelated messages that are taken for copies (not percent); same_thread and same_signature,
// the same for replies of one thread and for different texts under one signature and disclaimer, in
// percent; us_4k and us_40k, the microseconds for a message of that size from octets to a verdict.
func benchSimilar(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("similar", flag.ContinueOnError)
	dir := flags.String("corpus", "", "folder of RFC 822 files, read with everything below it")
	seed := flags.Uint64("seed", 1, "of the mutations")
	bases := flags.Int("bases", 600, "messages of each language that are copied")
	missed := flags.String("missed", "", "show the copies of this mutation that are not found")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("similar: say where the messages are: --corpus DIR")
	}
	cfg := similar.DefaultConfig()
	cfg.Seed = [16]byte{1, 2, 3, 4, 5, 6, 7, 8}
	x, err := similar.New(cfg)
	if err != nil {
		return err
	}
	letters, err := readCorpus(*dir, x)
	if err != nil {
		return err
	}
	b := &similarBench{index: x, letters: letters, rand: rand.New(rand.NewPCG(*seed, 0)), missed: *missed}
	return b.run(ctx, *bases)
}

type similarBench struct {
	index   *similar.Index
	letters []*letter
	rand    *rand.Rand
	missed  string
	out     result
}

func (b *similarBench) run(ctx context.Context, bases int) error {
	for _, step := range []func(int) error{b.recall, b.unrelated, b.sameThread, b.sameSignature, b.campaigns, b.cost} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(bases); err != nil {
			return err
		}
	}
	b.out.print()
	return nil
}

// minUnits is the length from which the goals count.
const minUnits = 20

// mutators gives one for each language that has enough messages, with the messages to copy.
func (b *similarBench) mutators(bases int) map[*mutator][]*letter {
	out := map[*mutator][]*letter{}
	for _, chinese := range []bool{false, true} {
		m := &mutator{Rand: b.rand, chinese: chinese}
		var long []*letter
		for _, l := range b.letters {
			if l.chinese == chinese {
				m.letters = append(m.letters, l)
				if l.sig.Units() >= minUnits {
					long = append(long, l)
				}
			}
		}
		if len(long) < 10 {
			continue
		}
		m.words = vocabulary(m.letters, chinese)
		b.rand.Shuffle(len(long), func(i, j int) { long[i], long[j] = long[j], long[i] })
		fmt.Printf("%d messages (Chinese: %v), %d of at least %d units, %d copied for each mutation\n",
			len(m.letters), chinese, len(long), minUnits, min(bases, len(long)))
		out[m] = long[:min(bases, len(long))]
	}
	return out
}

// vocabulary gives words as they occur, the frequent ones more than once, of up to some 2,000 letters.
func vocabulary(letters []*letter, chinese bool) []string {
	var words []string
	for i := 0; i < len(letters); i += 1 + len(letters)/2000 {
		l := letters[i]
		for _, p := range splitWords(l.text[:min(len(l.text), 4000)]) {
			if n := len(p.text); n > 1 && n < 16 && (ideographs(p.text) > 0) == chinese {
				words = append(words, p.text)
			}
		}
	}
	return words
}

// recall copies messages in every way and looks whether the copy is known again.
func (b *similarBench) recall(bases int) error {
	sets := b.mutators(bases)
	if len(sets) == 0 {
		return errors.New("similar: too few messages of 20 units")
	}
	fmt.Printf("\n%-14s %8s %8s\n", "copies found", "percent", "of")
	for _, mu := range mutations() {
		hits, n := 0, 0
		for _, chinese := range []bool{false, true} {
			for m, base := range sets {
				if m.chinese != chinese {
					continue
				}
				for _, l := range base {
					n++
					if b.known(m, mu, l) {
						hits++
					}
				}
			}
		}
		fmt.Printf("%-14s %8.2f %8d\n", mu.name, percent(hits, n), n)
		b.put(mu.name, percent(hits, n))
	}
	return nil
}

// known reports whether a copy is taken for its original: by its new text, and for what is hidden in
// a quotation by its full text.
func (b *similarBench) known(m *mutator, mu mutation, l *letter) bool {
	d := draft{text: l.text, subject: m.some(4), to: "Somebody", html: l.html, reply: l.reply, size: l.sig.Units()}
	if l.reply {
		d.subject = "Re: " + d.subject
	}
	mu.do(m, &d)
	c, hints := extract(d.write(m.Rand))
	sig := b.index.Signature(c.Text, hints)
	s := similar.Compare(&l.sig, &sig)
	ok := s.Kind != similar.None && s.Kind != similar.Full
	if mu.name == "hide_in_quote" {
		ok = s.Kind == similar.Full
	}
	if !ok && mu.name == b.missed {
		fmt.Printf("=== missed (%q %.2f) from %s, units %d and %d\n%s\n--- copy\n%s\n", s.Kind, s.Jaccard, l.folder, l.sig.Units(), sig.Units(), l.text, c.Text)
	}
	return ok
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(whole, 1)) }

// put adds a figure with enough digits for a goal of one in a million.
func (b *similarBench) put(name string, value float64) {
	b.out = append(b.out, fmt.Sprintf("%s=%.4g", name, value))
}

// takenForCopies counts pairs that the rule for new text takes for copies.
func (b *similarBench) takenForCopies(what string, pairs [][2]*letter) (n int) {
	for _, p := range pairs {
		if copied(p[0], p[1]) {
			n++
			b.show(what, p[0], p[1])
		}
	}
	return n
}

func copied(a, b *letter) bool {
	s := similar.Compare(&a.sig, &b.sig)
	return s.Kind != similar.None && s.Kind != similar.Full
}

// unrelated compares messages of different folders, people and subjects, both of the goals' length.
// In a corpus of one folder the people and subjects must do. Equal texts are the same mail twice.
func (b *similarBench) unrelated(int) error {
	const most = 10_000_000
	long := slices.DeleteFunc(slices.Clone(b.letters), func(l *letter) bool { return l.sig.Units() < minUnits })
	b.rand.Shuffle(len(long), func(i, j int) { long[i], long[j] = long[j], long[i] })
	folders := map[string]bool{}
	for _, l := range long {
		folders[l.folder] = true
	}
	pairs, hits := 0, 0
	for i, a := range long {
		for _, o := range long[:i] {
			if pairs == most || related(a, o) || len(folders) > 1 && a.folder == o.folder {
				continue
			}
			if pairs++; copied(a, o) {
				hits++
				b.show("fpr", a, o)
			}
		}
	}
	fmt.Printf("\nunrelated pairs taken for copies: %d of %d\n", hits, pairs)
	b.put("fpr", float64(hits)/float64(max(pairs, 1)))
	return nil
}

func related(a, o *letter) bool {
	return a.chinese != o.chinese || a.from == o.from || a.thread == o.thread || a.sig.Exact() == o.sig.Exact()
}

// show prints two messages that were wrongly taken for copies, when asked to.
func (b *similarBench) show(what string, a, o *letter) {
	if b.missed == what {
		fmt.Printf("=== %s, %s\n%s\n---\n%s\n", what, a.folder, a.text, o.text)
	}
}

// sameThread compares replies of a thread that are not the same message twice.
func (b *similarBench) sameThread(int) error {
	threads := map[string][]*letter{}
	for _, l := range b.letters {
		if l.answer && l.thread != "" {
			key := l.folder + "\x00" + l.thread
			threads[key] = append(threads[key], l)
		}
	}
	var pairs [][2]*letter
	for _, t := range threads {
		for i, a := range t {
			for _, o := range t[:i] {
				if a.from != o.from || a.sig.Exact() != o.sig.Exact() {
					pairs = append(pairs, [2]*letter{a, o})
				}
			}
		}
	}
	found := b.takenForCopies("same_thread", pairs)
	var made [][2]*letter
	for len(pairs)+len(made) < 2000 {
		made = append(made, b.quotingSame())
	}
	composed := b.takenForCopies("same_thread", made)
	fmt.Printf("replies of one thread taken for copies: %d of %d real pairs, %d of %d composed\n", found, len(pairs), composed, len(made))
	b.put("same_thread", percent(found+composed, len(pairs)+len(made)))
	return nil
}

// quotingSame composes two replies that quote the same message.
func (b *similarBench) quotingSame() [2]*letter {
	quoted := pick(b.rand, b.letters)
	one, two := b.twoTexts(quoted.chinese)
	var pair [2]*letter
	for i, l := range []*letter{one, two} {
		d := draft{text: l.text, quoted: quoted.text, subject: "Re: question", to: "Somebody", reply: true, html: b.rand.IntN(2) == 0}
		pair[i] = b.sign(&d)
	}
	return pair
}

// twoTexts picks two short texts by different people about different things.
func (b *similarBench) twoTexts(chinese bool) (one, two *letter) {
	var short []*letter
	for _, l := range b.letters {
		if l.chinese == chinese && len(l.text) < 3000 {
			short = append(short, l)
		}
	}
	if len(short) < 2 {
		short = b.letters
	}
	for range 100 {
		one, two = pick(b.rand, short), pick(b.rand, short)
		if one.from != two.from && one.thread != two.thread && !copied(one, two) {
			break
		}
	}
	return one, two
}

func (b *similarBench) sign(d *draft) *letter {
	c, hints := extract(d.write(b.rand))
	return &letter{text: c.Text, sig: b.index.Signature(c.Text, hints)}
}

// sameSignature compares different short texts that carry one signature and disclaimer.
func (b *similarBench) sameSignature(int) error {
	var pairs [][2]*letter
	for range 40 {
		chinese := b.rand.IntN(len(b.letters)) < b.countChinese()
		tail := signature(b.rand, chinese)
		for range 50 {
			one, two := b.twoTexts(chinese)
			var pair [2]*letter
			for i, l := range []*letter{one, two} {
				d := draft{text: l.text + "\n\n" + tail, subject: "question", to: "Somebody", html: b.rand.IntN(2) == 0, reply: l.reply}
				pair[i] = b.sign(&d)
			}
			pairs = append(pairs, pair)
		}
	}
	hits := b.takenForCopies("same_signature", pairs)
	fmt.Printf("texts with one signature and disclaimer taken for copies: %d of %d\n", hits, len(pairs))
	b.put("same_signature", percent(hits, len(pairs)))
	return nil
}

func (b *similarBench) countChinese() int {
	n := 0
	for _, l := range b.letters {
		if l.chinese {
			n++
		}
	}
	return n
}

// cost times the way from octets to a verdict, for a sender with a full list of campaigns.
func (b *similarBench) cost(int) error {
	m := &mutator{Rand: b.rand, letters: b.letters, chinese: b.countChinese()*2 > len(b.letters)}
	now := time.Unix(1_800_000_000, 0)
	b.fill(now)
	for _, size := range []struct {
		name   string
		octets int
	}{{"us_4k", 4 << 10}, {"us_40k", 40 << 10}} {
		var times series
		for range 40 {
			raw := b.ofSize(m, size.octets)
			best := time.Hour
			for range 15 {
				began := time.Now()
				c, hints := extract(raw)
				sig := b.index.Signature(c.Text, hints)
				b.index.Look(now, "busy@sender.example", sig, nil)
				best = min(best, time.Since(began))
			}
			times = append(times, float64(best.Nanoseconds())/1000)
		}
		fmt.Printf("%s: %s us over 40 messages, best of 15 each\n", size.name, times)
		b.put(size.name, times.median())
	}
	return nil
}
