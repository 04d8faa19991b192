package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
)

// benchPolicy measures the rules alone: ten of them, with their memory of 100 thousand identities.
//
// The result gives the decisions of one core in a second, each with the accepting event taken up
// (decide_per_s: without), and what part of the processor time the making of the messages took beside that, which is
// not counted; the memory of an identity after a day with ten messages each; the seconds
// of processor time for a million accepted messages of that day: to take them up as events, to write the snapshot, to
// load it; with -store the seconds until a gateway with these messages in its journal is ready,
// without and with a snapshot.
func benchPolicy(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("policy", flag.ContinueOnError)
	reps := flags.Int("reps", 3, "repetitions")
	identities := flags.Int("identities", 100_000, "that send")
	messages := flags.Int("messages", 1_000_000, "messages of the day that is rebuilt")
	stored := flags.Bool("store", false, "start a gateway with the messages in its journal, too")
	dir := flags.String("dir", "", "where to make that journal (default: a temporary directory)")
	profile := flags.String("cpuprofile", "", "write a CPU profile of the first repetition's decisions here")
	if err := flags.Parse(args); err != nil {
		return err
	}
	settings, err := policySettings()
	if err != nil {
		return err
	}
	b := policyBench{settings: settings, names: senderNames(*identities), messages: *messages, profile: *profile}
	for range *reps {
		if err := b.round(ctx); err != nil {
			return err
		}
		b.profile = ""
	}
	if *stored {
		if err := b.startAll(ctx, *dir, *reps); err != nil {
			return err
		}
	}
	return b.report(*reps)
}

type policyBench struct {
	settings guard.Settings
	names    []string
	messages int
	profile  string

	decide, both, wall   series // a second
	generator            series // percent of all processor time of that
	perIdentity          series // octets
	rebuild, save, load  spans
	sizes                series // MB
	startCold, startWarm spans
}

// policySettings are the default limits and two more, live from the first message.
func policySettings() (guard.Settings, error) {
	directory, err := policy.NewDirectory([]policy.Identity{
		{Login: "ann", Addresses: []string{"ann@corp.example", "sales@corp.example"}, Groups: []string{"staff"}},
	})
	c := policy.DefaultConfig()
	c.Internal, c.Trial = []string{"@corp.example", "@.corp.example", "partner@customers.example"}, 0
	for _, key := range []policy.Key{policy.ByRecipientDomain, policy.ByNetwork} {
		var l policy.LimitRule
		l.SetDefaults()
		l.Name, l.Key, l.Unit, l.Limit = string(key), key, policy.Recipients, 1_000_000_000
		c.Limits = append(c.Limits, l)
	}
	return guard.Settings{Config: c, Directory: directory}, errors.Join(err, c.Validate())
}

// measured is how many messages the speed of decisions is measured on. batch is how many are built at a
// time, outside of the measurement; sessions how many of those whose speed is measured: as many are on their way
// at once in a busy gateway. Of more, each would have to come from the memory of the machine again.
const measured, batch, sessions = 200_000, 10_000, 100

// round measures everything once: a day of mail is taken up as after a restart; then decisions are made
// with that memory; then it is written and loaded.
func (b *policyBench) round(ctx context.Context) error {
	t := newTraffic(b.names, b.messages)
	before := liveHeap()
	g, rebuild, events := guard.New(b.settings), moment{}, make([]policy.Event, batch)
	for t.sent < b.messages {
		list := t.next(min(batch, b.messages-t.sent))
		decideAll(ctx, guard.New(b.settings), list, events)
		start := now()
		observeAll(g, list, events, t.end)
		rebuild = rebuild.plus(start.until())
	}
	b.rebuild.add(rebuild)
	b.perIdentity = append(b.perIdentity, float64(liveHeap()-before)/float64(len(b.names)))
	t.hurry()
	if err := b.speed(ctx, t, g); err != nil {
		return err
	}
	return b.snapshot(g)
}

// speed measures decisions of one core, by its processor time: the collector's counts, what others take
// of the machine does not.
func (b *policyBench) speed(ctx context.Context, t *traffic, g *guard.Guard) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if b.profile != "" {
		f, err := os.Create(b.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var generate, decide, both moment
	events := make([]policy.Event, sessions)
	for done := 0; done < measured; done += sessions {
		start := now()
		list := t.next(sessions)
		generate = generate.plus(start.until())
		start = now()
		decideAll(ctx, g, list, events)
		decide = decide.plus(start.until())
		observeAll(g, list, events, time.Time{})
		both = both.plus(start.until())
	}
	b.decide = append(b.decide, measured/decide.cpu.Seconds())
	b.both = append(b.both, measured/both.cpu.Seconds())
	b.wall = append(b.wall, measured/both.wall.Seconds())
	b.generator = append(b.generator, 100*generate.cpu.Seconds()/(generate.cpu+both.cpu).Seconds())
	return nil
}

// decideAll fills in the event that accepts each.
func decideAll(ctx context.Context, g *guard.Guard, list []policy.Submission, events []policy.Event) {
	for i := range list {
		v := g.Decide(ctx, list[i])
		events[i] = policy.Event{Kind: policy.Accepted, Time: list[i].Time, Charge: v.Charge, Findings: v.Findings}
	}
}

// observeAll takes up what was accepted, at the time of each or, after a restart, at now.
func observeAll(g *guard.Guard, list []policy.Submission, events []policy.Event, now time.Time) {
	for i := range list {
		at := now
		if at.IsZero() {
			at = list[i].Time
		}
		g.Observe(at, list[i].ID, list[i].Envelope, events[i])
	}
}

func (b *policyBench) report(reps int) error {
	fmt.Printf("10 rules, %d identities, %d messages in a day; median of %d (range)\n", len(b.names), b.messages, reps)
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "decisions/s of a core, accepted and taken up\t%s\n", b.both)
	fmt.Fprintf(tw, "decisions/s of a core, decided only\t%s\n", b.decide)
	fmt.Fprintf(tw, "decisions/s, one after the other\t%s\n", b.wall)
	fmt.Fprintf(tw, "making the messages, percent of the processor time, not counted above\t%s\n", b.generator)
	fmt.Fprintf(tw, "memory of an identity with its messages of the day, octets\t%s\n", b.perIdentity)
	fmt.Fprintln(tw, "\tprocessor time\ton the clock")
	fmt.Fprintf(tw, "taking up the day's events, s\t%s\n", &b.rebuild)
	fmt.Fprintf(tw, "writing a snapshot, s\t%s\n", &b.save)
	fmt.Fprintf(tw, "size of it, MB\t%s\n", b.sizes)
	fmt.Fprintf(tw, "loading it, s\t%s\n", &b.load)
	var r result
	r.add("decisions_per_s", b.both.median())
	r.add("decide_per_s", b.decide.median())
	r.add("bytes_per_identity", b.perIdentity.median())
	r.add("rebuild_1m_s", b.rebuild.cpu.median())
	r.add("snapshot_1m_s", b.load.cpu.median())
	r.add("save_1m_s", b.save.cpu.median())
	if len(b.startCold.cpu) > 0 {
		fmt.Fprintf(tw, "gateway ready, the journal read, s\t%s\n", &b.startCold)
		fmt.Fprintf(tw, "gateway ready, from a snapshot, s\t%s\n", &b.startWarm)
		r.add("start_journal_s", b.startCold.cpu.median())
		r.add("start_snapshot_s", b.startWarm.cpu.median())
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	r.print()
	return nil
}

// liveHeap is what is in use on the heap after a collection.
func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A moment is a time on the clock and the processor time that this process has used until then, of all
// cores; or the difference of two. On a machine with other work only the second says anything.
type moment struct{ cpu, wall time.Duration }

func now() moment {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return moment{}
	}
	return moment{time.Duration(u.Utime.Nano() + u.Stime.Nano()), time.Duration(time.Now().UnixNano())}
}

func (m moment) until() moment {
	n := now()
	return moment{n.cpu - m.cpu, n.wall - m.wall}
}

func (m moment) plus(n moment) moment { return moment{m.cpu + n.cpu, m.wall + n.wall} }

// spans are repetitions, in seconds.
type spans struct{ cpu, wall series }

func (s *spans) add(m moment) {
	s.cpu, s.wall = append(s.cpu, m.cpu.Seconds()), append(s.wall, m.wall.Seconds())
}

func (s *spans) String() string { return s.cpu.String() + "\t" + s.wall.String() }
