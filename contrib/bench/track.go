package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/sendgate/sendgate/gateway/track"
	"github.com/sendgate/sendgate/gateway/track/postlog"
	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// benchTrack measures the reading of Postfix's logs: the parser alone on one core, and the whole way
// from a file into a journal that has the messages.
func benchTrack(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("track", flag.ContinueOnError)
	dir := fs.String("dir", "", "where to make log and stores (default: a temporary directory)")
	reps := fs.Int("reps", 3, "repetitions")
	lines := fs.Int("lines", 1_000_000, "lines to parse")
	messages := fs.Int("messages", 100_000, "messages of the journal, each with six lines of the log or more")
	profiled := fs.String("cpuprofile", "", "write a CPU profile of the last reading into the journal here")
	if err := fs.Parse(args); err != nil {
		return err
	}
	work, remove, err := workDir(*dir, "")
	if err != nil {
		return err
	}
	defer remove()
	var parse, journal, memory, before series
	var entries, read int
	for range *reps {
		rate, n, err := measureParse(ctx, *lines)
		if err != nil {
			return err
		}
		parse, entries = append(parse, rate), n
	}
	for i := range *reps {
		file := ""
		if i == *reps-1 {
			file = *profiled
		}
		if read, err = trackRep(ctx, work, *messages, file, &journal, &memory, &before); err != nil {
			return err
		}
	}
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Printf("reading Postfix's log, lines of a realistic mix; median of %d (range)\n", *reps)
	fmt.Fprintln(tw, "what\tlines\tlines/s\tanonymous memory, MB")
	fmt.Fprintf(tw, "parsed, one core; %d state something\t%d\t%s\t\n", entries, *lines, parse)
	fmt.Fprintf(tw, "file into a journal with %d messages\t%d\t%s\t%s, before %s\n", *messages, read, journal, memory, before)
	if err := tw.Flush(); err != nil {
		return err
	}
	var r result
	r.add("parse_per_s", parse.median())
	r.add("journal_per_s", journal.median())
	r.add("mem_mb", memory.median())
	r.print()
	return nil
}

// measureParse parses lines in memory and gives how many a second, and how many state something.
func measureParse(ctx context.Context, lines int) (rate float64, entries int, err error) {
	l := newLogWriter(time.Now().Add(-time.Hour))
	var text [][]byte
	for i := 0; len(text) < lines; i++ {
		l.mail(i)
		for line := range bytes.Lines(bytes.Clone(l.take())) {
			text = append(text, bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	text = text[:lines]
	p := postlog.NewParser(time.Local, time.Now)
	start := time.Now()
	for _, line := range text {
		parsed, _, err := p.Parse(line)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", line, err)
		}
		if _, ok := parsed.Entry(); ok {
			entries++
		}
	}
	return float64(lines) / time.Since(start).Seconds(), entries, ctx.Err()
}

// trackRep fills a journal, and has a tracker read the log of its messages.
func trackRep(ctx context.Context, dir string, messages int, profiled string, rate, memory, before *series) (lines int, err error) {
	s, dir, closed, err := newStore(dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closed()) }()
	name := filepath.Join(dir, "mail.log")
	lines, ends, err := fillTracked(ctx, s, name, messages)
	if err != nil {
		return 0, err
	}
	*before = append(*before, anonymousMB())
	stop, err := profile(profiled)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	took, err := follow(ctx, s, name, ends)
	if err != nil {
		return 0, err
	}
	*rate = append(*rate, float64(lines)/took.Seconds())
	*memory = append(*memory, anonymousMB())
	return lines, nil
}

// follow runs a tracker on a log until so many recipients are in each state.
func follow(ctx context.Context, s *store.Store, name string, ends map[policy.State]int64) (time.Duration, error) {
	cfg := track.DefaultConfig()
	mail := source.DefaultConfig()
	mail.Name, mail.File, mail.Start = "mail", name, source.StartBeginning
	cfg.Sources = []source.Config{mail}
	t, err := track.New(cfg, s, nil, time.Now, zap.NewNop())
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- t.Run(ctx) }()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !reached(s, ends) {
		select {
		case <-look.C:
		case err := <-ended:
			return 0, fmt.Errorf("not all recipients came to their ends: %v, wanted %v (%w)", counted(s), ends, err)
		}
	}
	took := time.Since(start)
	cancel()
	return took, <-ended
}

func counted(s *store.Store) map[policy.State]int64 {
	return s.Counts(time.Now().Add(-24*time.Hour), time.Now().Add(time.Hour))
}

func reached(s *store.Store, ends map[policy.State]int64) bool {
	now := counted(s)
	for state, n := range ends {
		if now[state] != n {
			return false
		}
	}
	return true
}

// fillTracked puts messages into the journal as the milter does, and writes the log of what Postfix
// does with them, and with as many as a tenth of them that are none of ours.
func fillTracked(ctx context.Context, s *store.Store, name string, messages int) (lines int, ends map[policy.State]int64, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	l := newLogWriter(time.Now().Add(-10 * time.Minute))
	mails := make([]mail, 0, messages)
	ends = map[policy.State]int64{}
	for i := 0; len(mails) < messages; i++ {
		m := l.mail(i)
		if !m.foreign {
			mails = append(mails, m)
			for _, state := range m.states {
				ends[state]++
			}
		}
		text := l.take()
		lines += bytes.Count(text, []byte("\n"))
		if _, err := out.Write(text); err != nil {
			return 0, nil, err
		}
	}
	if err := out.Flush(); err != nil {
		return 0, nil, err
	}
	var next atomic.Int64
	err = parallel(200, func(int) error {
		for ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= len(mails) {
				return nil
			}
			if err := mails[i].commit(ctx, s); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return lines, ends, err
}

// A mail is one of the log.
type mail struct {
	queueID, messageID string
	sender             string
	at                 time.Time
	foreign            bool // not in the journal
	to                 []string
	states             []policy.State
}

func (m *mail) commit(ctx context.Context, s *store.Store) error {
	e := &policy.Envelope{
		Received: m.at, Front: policy.Milter, Direction: policy.Outbound, Size: 4096, Sender: policy.Address(m.sender),
		Identity: m.sender, Subject: "Quarterly report for review", MessageID: m.messageID, QueueID: m.queueID,
	}
	for _, to := range m.to {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(to)})
	}
	_, err := s.Commit(ctx, store.Change{Message: s.NewID(), Envelope: e, Patient: true, Events: []policy.Event{
		{Kind: policy.Accepted, Time: m.at, Actor: "milter", QueueID: m.queueID, Upstream: "mx1"},
		{Kind: policy.Queued, Time: m.at, Actor: "hold", QueueID: m.queueID, Upstream: "postfix"},
	}})
	return err
}
