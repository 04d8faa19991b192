package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// benchJournal measures the store alone: durable commits of new held messages with all indexes.
func benchJournal(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("journal", flag.ContinueOnError)
	dir := fs.String("dir", "", "where to make the stores (default: a temporary directory)")
	reps := fs.Int("reps", 3, "repetitions of the throughput table")
	seconds := fs.Float64("seconds", 3, "length of one measurement")
	million := fs.Int("million", 1_000_000, "messages of the growth table")
	profiled := fs.String("cpuprofile", "", "write a CPU profile of the 200 writers' measurement here")
	if err := fs.Parse(args); err != nil {
		return err
	}
	work, remove, err := workDir(*dir, "")
	if err != nil {
		return err
	}
	defer remove()
	var r result
	if err := throughputTable(ctx, work, *reps, time.Duration(*seconds*float64(time.Second)), *profiled, &r); err != nil {
		return err
	}
	if *million > 0 {
		if err := growthTable(ctx, work, *million, &r); err != nil {
			return err
		}
	}
	r.print()
	return nil
}

func throughputTable(ctx context.Context, dir string, reps int, length time.Duration, profiled string, r *result) error {
	fmt.Printf("durable commits per second, all indexes, a held message with one recipient each; median of %d (range)\n", reps)
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "body\twriters\tcommits/s\tchanges per sync\tp50 ms\tp99 ms")
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, writers := range []int{1, 10, 50, 200} {
			var rate, merged, p50, p99 series
			for range reps {
				file := ""
				if writers == 200 && size == 4<<10 {
					file = profiled
				}
				m, err := profiledCommits(ctx, file, dir, size, writers, length)
				if err != nil {
					return err
				}
				rate, merged = append(rate, m.rate), append(merged, m.merged)
				p50, p99 = append(p50, m.p50), append(p99, m.p99)
			}
			fmt.Fprintf(tw, "%d KiB\t%d\t%s\t%s\t%s\t%s\n", size>>10, writers, rate, merged, p50, p99)
			if size == 4<<10 && (writers == 50 || writers == 200) {
				r.add(fmt.Sprintf("commits_w%d", writers), rate.median())
			}
		}
	}
	return tw.Flush()
}

// profiledCommits is measureCommits with a profile in a file, "" for none.
func profiledCommits(ctx context.Context, file, dir string, size, writers int, length time.Duration) (f commitFigures, err error) {
	stop, err := profile(file)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return measureCommits(ctx, dir, size, writers, length)
}

type commitFigures struct{ rate, merged, p50, p99 float64 }

func measureCommits(ctx context.Context, dir string, size, writers int, length time.Duration) (f commitFigures, err error) {
	s, _, closed, err := newStore(dir)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, closed()) }()
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	start := time.Now()
	latencies := make([]series, writers)
	err = parallel(writers, func(i int) error {
		for n := 0; ctx.Err() == nil; n++ {
			t := time.Now()
			if err := commitOne(s, i*1_000_000+n, size); err != nil {
				return err
			}
			latencies[i] = append(latencies[i], float64(time.Since(t).Microseconds())/1000)
		}
		return nil
	})
	elapsed := time.Since(start).Seconds()
	st := s.Stats()
	all := merge(latencies)
	return commitFigures{
		rate: float64(st.Commits) / elapsed, merged: float64(st.Commits) / float64(max(1, st.Batches)),
		p50: all.quantile(0.5), p99: all.quantile(0.99),
	}, err
}

// growthTable fills one store to a million messages and compares the cost of a commit at 10 thousand
// with that at the end; then it opens the store again.
func growthTable(ctx context.Context, dir string, million int, r *result) error {
	dir, remove, err := workDir("", dir)
	if err != nil {
		return err
	}
	defer remove()
	s, err := openStore(dir)
	if err != nil {
		return err
	}
	growth, err := measureGrowth(ctx, s, million)
	if err == nil {
		searchTable(ctx, s)
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		fmt.Printf("anonymous memory with %d stored: %.0f MB (Go heap in use %d MB)\n", million, anonymousMB(), mem.HeapInuse>>20)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	runtime.GC()
	opens, err := measureOpens(dir)
	if err != nil {
		return err
	}
	fmt.Printf("open with %d messages: %s s (3 times)\n", million, opens)
	r.add("growth_1m", growth)
	r.add("open_1m_s", opens.median())
	return nil
}

// probe is how many commits are timed at once.
const probe = 10_000

// measureGrowth gives how many times as long a commit takes in a full store.
func measureGrowth(ctx context.Context, s *store.Store, million int) (float64, error) {
	f := filling{store: s}
	if _, err := f.upTo(ctx, probe); err != nil {
		return 0, err
	}
	early, err := f.probes(ctx)
	if err != nil {
		return 0, err
	}
	begun := f.stored
	all, err := f.upTo(ctx, million)
	if err != nil {
		return 0, err
	}
	fmt.Printf("\nfilled to %d messages in %.0f s (%.0f/s, 4 KiB bodies, 50 writers)\n", million, all.Seconds(), float64(million-begun)/all.Seconds())
	late, err := f.probes(ctx)
	if err != nil {
		return 0, err
	}
	growth := late.median() / early.median()
	fmt.Printf("us per commit, median of 5 times %d: at 10 thousand %s, at %d %s: %.2f times\n", probe, early, million, late, growth)
	return growth, nil
}

// A filling puts messages of 4 KiB into a store, by 50 writers.
type filling struct {
	store  *store.Store
	stored int
}

// upTo goes on until so many are stored, and gives how long that took.
func (f *filling) upTo(ctx context.Context, total int) (time.Duration, error) {
	var next atomic.Int64
	next.Store(int64(f.stored))
	start := time.Now()
	err := parallel(50, func(int) error {
		for {
			n := int(next.Add(1))
			if n > total || ctx.Err() != nil {
				return ctx.Err()
			}
			if err := commitOne(f.store, n, 4<<10); err != nil {
				return err
			}
		}
	})
	f.stored = total
	return time.Since(start), err
}

// probes gives what a commit takes now, in microseconds, five times.
func (f *filling) probes(ctx context.Context) (us series, err error) {
	for range 5 {
		took, err := f.upTo(ctx, f.stored+probe)
		if err != nil {
			return nil, err
		}
		us = append(us, float64(took.Microseconds())/probe)
	}
	return us, nil
}

// measureOpens opens a store three times, and gives the seconds.
func measureOpens(dir string) (opens series, err error) {
	for range 3 {
		start := time.Now()
		s, err := openStore(dir)
		if err != nil {
			return nil, err
		}
		opens = append(opens, time.Since(start).Seconds())
		if err := s.Close(); err != nil {
			return nil, err
		}
	}
	return opens, nil
}

func searchTable(ctx context.Context, s *store.Store) {
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "query\tfirst page (50), ms: p50\tp99")
	for _, q := range []string{"", "from:user77@corp.example", "from:user77", "to:@d13.example", "subject:report", "subject:会议", "from:user77 subject:会议", "state:held", "state:bounced"} {
		query, err := store.ParseQuery(q, time.Now())
		if err != nil {
			fmt.Fprintln(tw, q, err)
			continue
		}
		var ms series
		for range 100 {
			start := time.Now()
			if _, err := s.Search(ctx, query, 50, ""); err != nil {
				fmt.Fprintln(tw, q, err)
				break
			}
			ms = append(ms, float64(time.Since(start).Microseconds())/1000)
		}
		fmt.Fprintf(tw, "%q\t%s\t%s\n", q, number(ms.quantile(0.5)), number(ms.quantile(0.99)))
	}
	tw.Flush()
}

var filler = strings.Repeat("The quick brown fox jumps over the lazy dog, and so on until it is long enough.\r\n", 1000)

// commitOne accepts and holds one message as the relay does.
func commitOne(s *store.Store, n, size int) error {
	id := s.NewID()
	w := s.NewBody(id)
	if _, err := w.Write([]byte(filler[:size])); err != nil {
		return err
	}
	now := time.Now()
	user := strconv.Itoa(n % 500)
	subject := "Quarterly report " + strconv.Itoa(n%1000) + " for review"
	if n%4 == 0 {
		subject = "季度会议通知 " + strconv.Itoa(n%1000)
	}
	_, err := s.Commit(context.Background(), store.Change{
		Message: id, Body: w,
		Envelope: &policy.Envelope{
			Received: now, Front: policy.Relay, Direction: policy.Outbound, Size: int64(size),
			Sender: policy.Address("user" + user + "@corp.example"), Identity: "user" + user, Helo: "client.corp.example", Protocol: "ESMTP",
			Subject: subject, MessageID: "<" + id.String() + "@corp.example>", From: "User <user" + user + "@corp.example>",
			Recipients: []policy.Recipient{{Address: policy.Address("r" + strconv.Itoa(n%20_000) + "@d" + strconv.Itoa(n%200) + ".example")}},
		},
		Events: []policy.Event{
			{Kind: policy.Accepted, Time: now, Actor: "smtp"},
			{Kind: policy.Held, Time: now, Until: now.Add(time.Minute), Rule: "default"},
		},
	})
	return err
}

func parallel(n int, fn func(i int) error) error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			if err := fn(i); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}
