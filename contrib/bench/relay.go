package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// benchRelay compares sendgate with Debian's Postfix as a relay into the same sink, in turns.
func benchRelay(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("relay", flag.ContinueOnError)
	reps := fs.Int("reps", 3, "repetitions")
	messages := fs.Int("messages", 3000, "messages of one measurement")
	cold := fs.Bool("cold", false, "a recipient that was never seen for each message: nothing is answered from the cache")
	rules := fs.String("policy", "on", "ten rules: on, off, or both in turns")
	domains := fs.Bool("domains", false, "one more variant: ten rules and the check of recipient domains")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var b relayBench
	var err error
	if b.variants, err = variants(*rules, *domains); err != nil {
		return err
	}
	closed, err := b.open(ctx, *messages)
	if err != nil {
		return err
	}
	defer closed()
	b.cold = *cold
	for range *reps {
		if err := b.round(ctx); err != nil {
			return err
		}
	}
	if b.flushes, err = b.countFlushes(ctx); err != nil {
		fmt.Println("flushes were not counted:", err)
	}
	return b.report(*reps)
}

type relayBench struct {
	comparison
	idle    series // memory of sendgate before and after the load, MB
	memory  series
	flushes float64 // per message at 50 sessions
}

// A comparison measures relays into one sink.
type comparison struct {
	dir      string
	binary   string // sendgate
	messages int
	sink     *sink
	figures  map[string]*figures // by relay and load
	cold     bool                // every recipient is new
	variants []variant
}

// open makes a directory that Postfix's own user gets through, builds sendgate and starts the sink.
func (b *comparison) open(ctx context.Context, messages int) (closed func(), err error) {
	b.messages, b.figures = messages, map[string]*figures{}
	if b.dir, err = os.MkdirTemp("", "sendgate-bench-"); err != nil {
		return nil, err
	}
	closed = func() { os.RemoveAll(b.dir) }
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return closed, err
	}
	if b.sink, err = newSink(); err != nil {
		return closed, err
	}
	b.binary = filepath.Join(b.dir, "sendgate")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/sendgate").CombinedOutput()
	if err != nil {
		return closed, fmt.Errorf("build sendgate: %w\n%s", err, out)
	}
	return func() { b.sink.close(); os.RemoveAll(b.dir) }, nil
}

// figures of one relay under one load.
type figures struct {
	rate, p50, p99, cpu series
}

type loadKind struct {
	name     string
	sessions int
	reuse    bool
}

var loadKinds = []loadKind{
	{"s1", 1, false}, {"s10", 10, false}, {"s50", 50, false},
	{"reused_s1", 1, true}, {"reused_s10", 10, true}, {"reused_s50", 50, true},
}

// round measures every relay once.
func (b *relayBench) round(ctx context.Context) error {
	if err := b.measure(ctx, "direct", b.sink.addr(), 0, 0); err != nil {
		return err
	}
	postfix, err := startPostfix(ctx, filepath.Join(b.dir, "postfix"), b.sink.port(), "")
	if err != nil {
		return err
	}
	err = b.measure(ctx, "postfix", postfix.addr, 0, 0)
	postfix.stop()
	if err != nil {
		return err
	}
	for _, v := range b.variants {
		for _, hold := range holds {
			if err := b.gate(ctx, v, hold); err != nil {
				return fmt.Errorf("%s: %w", v.held(hold), err)
			}
		}
	}
	return nil
}

var holds = []time.Duration{time.Second, 0}

func (v variant) held(hold time.Duration) string { return v.name + " hold " + hold.String() }

// gate measures sendgate in one variant.
func (b *relayBench) gate(ctx context.Context, v variant, hold time.Duration) error {
	gate, err := startSendgate(ctx, b.binary, b.dir, b.sink.addr(), hold, v)
	if err != nil {
		return err
	}
	before := anonymousMBOf(gate.pid())
	err = b.measure(ctx, v.held(hold), gate.addr, gate.process.Pid, hold)
	if hold > 0 && v.name == b.variants[0].name {
		b.idle, b.memory = append(b.idle, before), append(b.memory, anonymousMBOf(gate.pid()))
	}
	return errors.Join(err, gate.stop())
}

// measure sends every kind of load through one relay, after a warm-up that fills caches and starts
// processes. The rate counts from the first command to the last delivery, less the hold.
func (b *comparison) measure(ctx context.Context, name, addr string, pid int, hold time.Duration) error {
	goal := b.sink.taken.Load() + recipients
	if _, err := (load{addr: addr, sessions: 10, messages: recipients, reuse: true, body: 4 << 10}).send(ctx); err != nil {
		return fmt.Errorf("%s warm-up: %w", name, err)
	}
	if err := b.sink.wait(ctx, goal, time.Minute); err != nil {
		return fmt.Errorf("%s warm-up: %w", name, err)
	}
	for _, k := range loadKinds {
		n := b.messages
		if k.sessions == 1 {
			n /= 3
		}
		goal := b.sink.taken.Load() + int64(n)
		cpu, start := cpuOf(pid), time.Now()
		l := load{addr: addr, sessions: k.sessions, messages: n, reuse: k.reuse, body: 4 << 10, fresh: b.cold}
		times, err := l.send(ctx)
		if err != nil {
			return fmt.Errorf("%s %s: %w", name, k.name, err)
		}
		if err := b.sink.wait(ctx, goal, time.Minute); err != nil {
			return fmt.Errorf("%s %s: %w", name, k.name, err)
		}
		elapsed := time.Since(start) - hold
		f := b.of(name, k.name)
		f.rate = append(f.rate, float64(n)/elapsed.Seconds())
		f.p50, f.p99 = append(f.p50, times.quantile(0.5)), append(f.p99, times.quantile(0.99))
		if pid != 0 {
			f.cpu = append(f.cpu, (cpuOf(pid)-cpu)*1000/float64(n))
		}
	}
	return nil
}

func (b *comparison) of(relay, kind string) *figures {
	key := relay + " " + kind
	if b.figures[key] == nil {
		b.figures[key] = &figures{}
	}
	return b.figures[key]
}

func (b *relayBench) report(reps int) error {
	fmt.Printf("delivered messages per second, 4 KiB, into one sink, in turns; median of %d (range); ratio to Postfix of the same run\n", reps)
	relays := []string{"direct", "postfix"}
	for _, v := range b.variants {
		for _, hold := range holds {
			relays = append(relays, v.held(hold))
		}
	}
	if err := b.table("postfix", relays...); err != nil {
		return err
	}
	fmt.Printf("%s: anonymous memory idle %s MB, after the load %s MB; %.3f flushes a message at 50 sessions\n", relays[2], b.idle, b.memory, b.flushes)
	held := relays[2]
	var r result
	r.add("ratio_s10", b.ratio(held, "s10", "postfix"))
	r.add("ratio_s50", b.ratio(held, "s50", "postfix"))
	r.add("ratio_reused_s10", b.ratio(held, "reused_s10", "postfix"))
	r.add("of_direct", b.ratio(held, "reused_s10", "direct"))
	r.add("cpu_ms", b.of(held, "reused_s10").cpu.median())
	r.add("flushes", b.flushes)
	r.add("p50_ms", b.of(held, "reused_s1").p50.median())
	r.add("p99_ms", b.of(held, "reused_s1").p99.median())
	r.add("mem_mb", b.memory.median())
	b.compare(&r, time.Second)
	b.compare(&r, 0)
	r.print()
	return nil
}

// table prints all figures, with ratios to one of the relays.
func (b *comparison) table(to string, relays ...string) error {
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "relay\tload\tdelivered/s\tratio\tp50 ms\tp99 ms\tCPU ms/message")
	for _, relay := range relays {
		for _, k := range loadKinds {
			f := b.of(relay, k.name)
			fmt.Fprintf(tw, "%s\t%s\t%s\t%.2f\t%s\t%s\t%s\n", relay, k.name, f.rate, b.ratio(relay, k.name, to), f.p50, f.p99, f.cpu)
		}
	}
	return tw.Flush()
}

// compare adds the rates of the other variants as ratios to the first one.
func (b *relayBench) compare(r *result, hold time.Duration) {
	for i, v := range b.variants[1:] {
		for _, k := range loadKinds {
			r.add(fmt.Sprintf("variant%d_hold%.0f_%s", i+2, hold.Seconds(), k.name), b.ratio(v.held(hold), k.name, b.variants[0].held(hold)))
		}
	}
}

// ratio is the median over the repetitions of the ratios within each.
func (b *comparison) ratio(relay, kind, to string) float64 {
	var ratios series
	base := b.of(to, kind).rate
	for i, rate := range b.of(relay, kind).rate {
		ratios = append(ratios, rate/base[i])
	}
	return ratios.median()
}
