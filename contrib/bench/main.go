// Command bench measures sendgate, side by side with its peers where there are any.
//
//	go run ./contrib/bench journal [flags]   durable commits, growth, time to open
//	go run ./contrib/bench relay [flags]     the relay against Postfix, into the same sink
//	go run ./contrib/bench milter [flags]    Postfix without a milter, with one that does nothing, with ours
//	go run ./contrib/bench policy [flags]    ten rules: decisions, memory, rebuild and snapshot
//	go run ./contrib/bench similar [flags]   near-duplicates: what is found, what is taken for one
//	go run ./contrib/bench hijack [flags]    strangers reached from a hijacked account, others disturbed
//	go run ./contrib/bench search [flags]    the dashboard of a large journal: searches, the overview, a message
//	go run ./contrib/bench track [flags]     reading Postfix's log: the parser, and into the journal
//	go run ./contrib/bench recall [flags]    a message out of 1,000 mailboxes, by IMAP and by doveadm
//
// Every command prints tables for people, says how many repetitions it made and their spread, and
// ends with one line "result name=value ..." for programs. Figures of different runs on a shared
// machine do not compare; ratios within one run do.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const names = "journal, relay, milter, policy, similar, hijack, search, track or recall"

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say what to measure: %s", names)
	}
	bench, ok := map[string]func(context.Context, []string) error{
		"journal": benchJournal, "relay": benchRelay, "milter": benchMilter, "policy": benchPolicy, "similar": benchSimilar,
		"hijack": benchHijack, "search": benchSearch, "track": benchTrack, "recall": benchRecall,
	}[args[0]]
	if !ok {
		return fmt.Errorf("%q is not a bench: use %s", args[0], names)
	}
	return bench(ctx, args[1:])
}

// A series holds the repetitions of one figure.
type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	c := slices.Sorted(slices.Values(s))
	if n := len(c); n%2 == 0 {
		return (c[n/2-1] + c[n/2]) / 2
	}
	return c[len(c)/2]
}

// String gives the median with the range: "812 (790-840)".
func (s series) String() string {
	if len(s) == 0 {
		return "-"
	}
	if len(s) == 1 {
		return number(s[0])
	}
	return fmt.Sprintf("%s (%s-%s)", number(s.median()), number(slices.Min(s)), number(slices.Max(s)))
}

func number(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.3f", f)
}

// A result is the line for programs.
type result []string

func (r *result) add(name string, value float64) {
	*r = append(*r, fmt.Sprintf("%s=%s", name, number(value)))
}

func (r result) print() { fmt.Println("result", strings.Join(r, " ")) }
