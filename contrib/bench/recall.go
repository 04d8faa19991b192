package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/doveadm"
	"github.com/sendgate/sendgate/gateway/mailbox/imap"
	"github.com/sendgate/sendgate/gateway/recall"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// gatewayName stands in the Received line by which a message is known again.
const gatewayName = "gw.bench.test"

// benchRecall measures how fast a message is taken out of many mailboxes of a local Dovecot, with each of the two
// ways to them, and looks whether what was read was left alone.
func benchRecall(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("recall", flag.ContinueOnError)
	dir := fs.String("dir", "", "where to make mailboxes and stores (default: a temporary directory)")
	reps := fs.Int("reps", 3, "repetitions")
	mailboxes := fs.Int("mailboxes", 1000, "mailboxes that have the message")
	read := fs.Int("read", 100, "how many of their owners have read it")
	others := fs.Int("others", 20, "other messages in each mailbox")
	at := fs.Int("concurrency", 16, "mailboxes worked on at a time")
	only := fs.String("way", "", "imap or doveadm (default: both, in turn)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	work, remove, err := workDir(*dir, "")
	if err != nil {
		return err
	}
	defer remove()
	r := &recallBench{dir: work, mailboxes: *mailboxes, read: *read, others: *others, concurrency: *at}
	ways := []string{"imap", "doveadm"}
	if *only != "" {
		if !slices.Contains(ways, *only) {
			return fmt.Errorf("there is no way %q", *only)
		}
		ways = []string{*only}
	}
	sums := map[string]*recallSums{"imap": {}, "doveadm": {}}
	for range *reps {
		for _, way := range ways {
			if err := r.rep(ctx, way, sums[way]); err != nil {
				return fmt.Errorf("%s: %w", way, err)
			}
		}
	}
	r.print(*reps, ways, sums)
	return nil
}

// A recallBench is what is measured.
type recallBench struct {
	dir                                  string
	mailboxes, read, others, concurrency int
}

// recallSums are the figures of one way.
type recallSums struct {
	rate, p50, p99          series
	unreadLeft, readTouched int
}

func (r *recallBench) print(reps int, ways []string, sums map[string]*recallSums) {
	fmt.Printf("one message out of %d mailboxes (%d of them read it, %d other messages each), %d at a time; median of %d (range)\n",
		r.mailboxes, r.read, r.others, r.concurrency, reps)
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "way\tmailboxes/s\tp50 ms\tp99 ms\tunread left\tread touched")
	var all result
	for _, way := range ways {
		s := sums[way]
		name := ""
		if way == "doveadm" {
			name = "doveadm_"
		}
		all.add(name+"per_s", s.rate.median())
		all.add(name+"p99_ms", s.p99.median())
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%d\n", way, s.rate, s.p50, s.p99, s.unreadLeft, s.readTouched)
	}
	_ = tw.Flush()
	all.add("unread_left", float64(sums["imap"].unreadLeft+sums["doveadm"].unreadLeft))
	all.add("read_touched", float64(sums["imap"].readTouched+sums["doveadm"].readTouched))
	all.print()
}

// rep fills mailboxes and takes the message out of them.
func (r *recallBench) rep(ctx context.Context, way string, sums *recallSums) (err error) {
	s, dir, closed, err := newStore(r.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closed()) }()
	id := s.NewID()
	boxes, err := fillMailboxes(dir, id, r)
	if err != nil {
		return err
	}
	stop, err := boxes.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := r.deliver(ctx, s, id); err != nil {
		return err
	}
	if err := r.measure(ctx, s, id, boxes, way, sums); err != nil {
		return err
	}
	left, touched := boxes.compare()
	sums.unreadLeft += left
	sums.readTouched += touched
	return nil
}

// deliver writes down that the message came into all mailboxes.
func (r *recallBench) deliver(ctx context.Context, s *store.Store, id policy.ID) error {
	now := time.Now()
	e := &policy.Envelope{
		Received: now, Front: policy.Relay, Direction: policy.Outbound, Size: 4096, Sender: "ann@corp.test", Identity: "ann@corp.test",
		From: "Ann <ann@corp.test>", Subject: "Figures", MessageID: "<figures@corp.test>",
	}
	for i := range r.mailboxes {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(userName(i))})
	}
	_, err := s.Commit(ctx, store.Change{Message: id, Envelope: e, Patient: true, Events: []policy.Event{
		{Kind: policy.Accepted, Time: now, Actor: "relay"},
		{Kind: policy.DeliveredMailbox, Time: now, Actor: "track", Evidence: "status=sent"},
	}})
	return err
}

// measure runs a recall from its request to its end.
func (r *recallBench) measure(ctx context.Context, s *store.Store, id policy.ID, boxes *mailDir, way string, sums *recallSums) error {
	configs, backend, err := boxes.backend(way, r.concurrency)
	if err != nil {
		return err
	}
	timed := &timedBackend{Backend: backend, spent: map[string]time.Duration{}}
	router := mailbox.NewRouter(configs, []mailbox.Backend{timed})
	defer router.Close()
	cfg := recall.DefaultConfig()
	cfg.ApprovalOver, cfg.Concurrency = 0, r.concurrency
	engine := recall.New(cfg, recall.Needs{
		Journal: s, Feed: s.Subscribe(0), Queue: noQueue{}, Mailboxes: router, Directory: ours{}, Reporter: quiet{},
		Alarm: func(recall.Alarm) {}, Tracked: func(time.Time) bool { return true }, Gateway: gatewayName, Now: time.Now, Log: zap.NewNop(),
	})
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	start := time.Now()
	report, err := engine.Start(ctx, policy.RecallRequest{
		Messages: []policy.ID{id}, Reason: "bench", UnreadOnly: true, Requester: policy.RecallRequester{Actor: "bench", Role: "admin"},
	})
	if err != nil {
		return err
	}
	for head := report; head.Ended.IsZero(); {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: the recall has come to %+v", ctx.Err(), head.Counts)
		}
		heads, err := engine.List(ctx, policy.ID{}, 1) // without the lines: all of them each time would be most of what is measured
		if err != nil {
			return err
		}
		head = heads[0]
	}
	took := time.Since(start)
	if report, err = engine.Report(ctx, report.ID); err != nil {
		return err
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if c := report.Counts; c.Success != r.mailboxes-r.read || c.Fail != r.read {
		return fmt.Errorf("the recall came to %+v: %+v", c, report.Lines[0])
	}
	sums.rate = append(sums.rate, float64(r.mailboxes)/took.Seconds())
	each := timed.series()
	sums.p50 = append(sums.p50, each.quantile(0.5))
	sums.p99 = append(sums.p99, each.quantile(0.99))
	return nil
}

// A timedBackend sums up how long it works on each mailbox.
type timedBackend struct {
	mailbox.Backend
	mu    sync.Mutex
	spent map[string]time.Duration
}

func (b *timedBackend) note(user string, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent[user] += time.Since(since)
}

// Find passes on.
func (b *timedBackend) Find(ctx context.Context, user string, m *mailbox.Match) ([]mailbox.Copy, error) {
	defer b.note(user, time.Now())
	return b.Backend.Find(ctx, user, m)
}

// Take passes on.
func (b *timedBackend) Take(ctx context.Context, user string, c mailbox.Copy, o mailbox.Options) (mailbox.Taken, error) {
	defer b.note(user, time.Now())
	return b.Backend.Take(ctx, user, c, o)
}

// series gives the milliseconds of each mailbox.
func (b *timedBackend) series() (all series) {
	for _, d := range b.spent {
		all = append(all, float64(d.Microseconds())/1000)
	}
	return all
}

// noQueue has nothing: everything was delivered.
type noQueue struct{}

// Cancel is not asked.
func (noQueue) Cancel(context.Context, policy.ID, []int, string, string) ([]recall.Outcome, error) {
	return nil, errors.New("there is no queue")
}

// ours is a directory of one domain.
type ours struct{}

// Internal knows corp.test.
func (ours) Internal(a policy.Address) bool { return a.Domain() == "corp.test" }

// Owns is not asked.
func (ours) Owns(string, policy.Address) bool { return false }

// quiet tells nobody.
type quiet struct{}

// Report does nothing.
func (quiet) Report(context.Context, *policy.RecallReport) (policy.ID, error) {
	return policy.ID{}, nil
}

// backend opens one of the ways.
func (d *mailDir) backend(way string, connections int) ([]mailbox.Config, mailbox.Backend, error) {
	var c mailbox.Config
	c.SetDefaults()
	c.Name, c.Domains = way, []string{"@corp.test"}
	if way == "imap" {
		c.IMAP = mailbox.IMAP{
			Address: d.imap, TLS: mailbox.TLSNone, Auth: mailbox.AuthMaster, Separator: "*", Login: "master", PasswordFile: d.password, Connections: connections,
		}
		b, err := imap.New(c)
		return []mailbox.Config{c}, b, err
	}
	c.Doveadm = mailbox.Doveadm{URL: "http://" + d.http + "/doveadm/v1", APIKeyFile: d.key, Connections: connections}
	b, err := doveadm.New(c, nil)
	return []mailbox.Config{c}, b, err
}
