package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/similar"
)

// benchHijack measures how soon a hijacked account is noticed, and how often others are disturbed.
//
// Each organisation lives for five weeks; the first two teach only. Then, for every style of attack and
// some of its accounts, the memory of the last Tuesday is copied, and the intruder sends for a day
// (a slow one for five) beside the account's own mail. The result gives the median, the 95th percentile and the worst number of
// strangers reached before the first message was held or refused, the worst number reached in the
// whole day, the share of attacks that reached at most 50, and the messages of ordinary senders that
// were paced, held or refused, of 10,000. Two styles are shown and no part of that: who stays below the
// floor of a day, and who writes to the account's own correspondents.
func benchHijack(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("hijack", flag.ContinueOnError)
	orgs := flags.Int("organisations", 4, "simulated")
	senders := flags.Int("senders", 300, "in each organisation")
	victims := flags.Int("victims", 10, "hijacked accounts in each organisation, each attacked in every style")
	seed := flags.Uint64("seed", 1, "of the first organisation")
	review := flags.Duration("review", 30*time.Minute, "after which a person lets pass what was held of ordinary senders, between 8 and 18 h; 0: nobody does")
	verbose := flags.Bool("v", false, "show every disturbed sender and every attack that reached more than 50")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b := hijackBench{began: time.Now(), verbose: *verbose, review: *review, byStyle: map[string]*toll{}, byRole: map[string]*toll{}}
	for i := range *orgs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.organisation(*seed+uint64(i), *senders, *victims); err != nil {
			return err
		}
	}
	b.print()
	return nil
}

// A toll is what attacks of one sort reached.
type toll struct {
	stop, total series
	missed      int // attacks that nothing stopped
}

type hijackBench struct {
	began             time.Time
	verbose           bool
	review            time.Duration
	byStyle, byRole   map[string]*toll
	all               toll
	messages          int
	disturbed         map[string]int // messages, by the code of the heaviest reason
	disturbedSenders  int
	suspendedSenders  int
	look              time.Duration
	looked            int
	bytesPerIdentity  int
	identities        int
	disturbedMessages int
}

// organisation lives through the weeks and is attacked.
func (b *hijackBench) organisation(seed uint64, senders, victims int) error {
	o, err := newOrganisation(seed, senders, b.review)
	if err != nil {
		return err
	}
	for day := range attackDay {
		o.live(day)
	}
	var memory bytes.Buffer
	if err := o.watch.Snapshot(&memory, 0); err != nil {
		return err
	}
	own := o.live(attackDay)
	for day := attackDay + 1; day < days; day++ {
		o.live(day)
	}
	b.count(o, memory.Len())
	for _, victim := range o.victims(victims) {
		for _, style := range attackStyles() {
			for _, abroad := range []bool{false, true} {
				watch, _, err := anomaly.Restore(bytes.NewReader(memory.Bytes()), o.cfg, locate)
				if err != nil {
					return err
				}
				index, err := newHijackIndex()
				if err != nil {
					return err
				}
				a := attack{style: style, org: o, victim: victim, abroad: abroad, watch: watch, index: index}
				b.attacked(&a, a.run(own[victim.login]))
			}
		}
	}
	return nil
}

// count adds up what the ordinary senders went through.
func (b *hijackBench) count(o *organisation, size int) {
	if b.disturbed == nil {
		b.disturbed = map[string]int{}
	}
	b.messages += o.messages
	b.identities += o.watch.Len()
	b.bytesPerIdentity += size
	b.looked += o.looked
	b.look += o.spent
	for _, p := range o.people {
		n := 0
		for code, count := range p.disturbed {
			b.disturbed[p.role.name+"/"+string(code)] += count
			n += count
		}
		if n > 0 {
			b.disturbedSenders++
			b.disturbedMessages += n
			if b.verbose {
				fmt.Printf("disturbed: %s %v\n", p.login, p.disturbed)
			}
		}
		if p.suspended {
			b.suspendedSenders++
		}
	}
}

// attacked enters the outcome of one attack.
func (b *hijackBench) attacked(a *attack, o outcome) {
	where := "same"
	if a.abroad {
		where = "new"
	}
	tolls := []*toll{&b.all, entry(b.byStyle, a.style.name+", "+where+" network"), entry(b.byRole, a.victim.role.name)}
	if a.style.beyond {
		tolls = tolls[1:2]
	}
	for _, t := range tolls {
		t.stop = append(t.stop, float64(o.before))
		t.total = append(t.total, float64(o.total))
		if !o.stopped {
			t.missed++
		}
	}
	if b.verbose && o.before > 50 && !a.style.beyond {
		fmt.Printf("late: %s against %s, %s network: %d before the stop, %d in all\n", a.style.name, a.victim.login, where, o.before, o.total)
	}
}

func entry(m map[string]*toll, name string) *toll {
	if m[name] == nil {
		m[name] = &toll{}
	}
	return m[name]
}

func (s series) at(share float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func (t *toll) within(n float64) float64 {
	hits := 0
	for _, x := range t.stop {
		if x <= n {
			hits++
		}
	}
	return 100 * float64(hits) / float64(max(len(t.stop), 1))
}

func (b *hijackBench) print() {
	for _, table := range []map[string]*toll{b.byStyle, b.byRole} {
		fmt.Printf("\n%-46s %8s %8s %8s %8s %8s %8s %8s\n", "strangers before the stop", "attacks", "median", "95 %", "worst", "<= 50 %", "in all", "missed")
		for _, name := range sortedKeys(table) {
			t := table[name]
			fmt.Printf("%-46s %8d %8.0f %8.0f %8.0f %8.1f %8.0f %8d\n",
				name, len(t.stop), t.stop.at(0.5), t.stop.at(0.95), t.stop.at(1), t.within(50), t.total.at(1), t.missed)
		}
	}
	fmt.Printf("\n%-46s %8s\n", "disturbed messages by role/cause", "messages")
	for _, name := range sortedKeys(b.disturbed) {
		fmt.Printf("%-46s %8d\n", name, b.disturbed[name])
	}
	fmt.Printf("\n%d messages of %d accounts after the first two weeks; %d accounts disturbed, %d suspended; %.2f us for Look and Learn\n\n",
		b.messages, b.identities, b.disturbedSenders, b.suspendedSenders, float64(b.look.Microseconds())/float64(max(b.looked, 1)))
	var out result
	out.add("strangers_before_stop", b.all.stop.at(0.5))
	out.add("strangers_before_stop_p95", b.all.stop.at(0.95))
	out.add("strangers_before_stop_worst", b.all.stop.at(1))
	out.add("strangers_in_all_median", b.all.total.at(0.5))
	out.add("strangers_in_all_worst", b.all.total.at(1))
	out.add("within_50_percent", b.all.within(50))
	out.add("missed", float64(b.all.missed))
	out.add("attacks", float64(len(b.all.stop)))
	out.add("disturbed_per_10k", 10_000*float64(b.disturbedMessages)/float64(max(b.messages, 1)))
	out.add("bytes_per_identity", float64(b.bytesPerIdentity)/float64(max(b.identities, 1)))
	out.add("seconds", time.Since(b.began).Seconds())
	out.print()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func newHijackIndex() (*similar.Index, error) {
	cfg := similar.DefaultConfig()
	cfg.Seed = [16]byte{8, 7, 6, 5, 4, 3, 2, 1}
	return similar.New(cfg)
}
