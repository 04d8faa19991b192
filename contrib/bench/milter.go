package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/emersion/go-milter"
)

// benchMilter compares Postfix without a milter, with one that does nothing at every stage, and with
// sendgate seeing the body and holding nothing, in turns.
func benchMilter(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("milter", flag.ContinueOnError)
	reps := fs.Int("reps", 3, "repetitions")
	messages := fs.Int("messages", 2000, "messages of one measurement")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var b comparison
	closed, err := b.open(ctx, *messages)
	if err != nil {
		return err
	}
	defer closed()
	noop, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer noop.Close()
	go func() {
		s := milter.Server{NewMilter: func() milter.Milter { return milter.NoOpMilter{} }}
		_ = s.Serve(noop) // ends with the listener
	}()
	for range *reps {
		if err := b.milterRound(ctx, noop.Addr().String()); err != nil {
			return err
		}
	}
	fmt.Printf("delivered messages per second, 4 KiB, through Postfix into one sink, in turns; median of %d (range); ratio to Postfix alone in the same run\n", *reps)
	if err := b.table("no milter", "no milter", "no-op milter", "sendgate"); err != nil {
		return err
	}
	var r result
	r.add("keep_reused_s10", b.ratio("sendgate", "reused_s10", "no milter"))
	r.add("keep_s10", b.ratio("sendgate", "s10", "no milter"))
	r.add("keep_s50", b.ratio("sendgate", "s50", "no milter"))
	r.add("added_p50_ms", b.added(func(f *figures) series { return f.p50 }))
	r.add("added_p99_ms", b.added(func(f *figures) series { return f.p99 }))
	r.print()
	return nil
}

// added is how much longer a transaction of one session takes with sendgate, median of the rounds.
func (b *comparison) added(of func(*figures) series) float64 {
	var more series
	alone := of(b.of("no milter", "reused_s1"))
	for i, ms := range of(b.of("sendgate", "reused_s1")) {
		more = append(more, ms-alone[i])
	}
	return more.median()
}

func (b *comparison) milterRound(ctx context.Context, noop string) error {
	if err := b.throughPostfix(ctx, "no milter", ""); err != nil {
		return err
	}
	if err := b.throughPostfix(ctx, "no-op milter", "inet:"+noop); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	socket := fmt.Sprintf("127.0.0.1:%d", port)
	gate, err := startGateway(ctx, b.binary, b.dir, b.sink.addr(), 0,
		fmt.Sprintf("milter: {listen: [{address: \"%s\"}], message_size: true}\n", socket))
	if err != nil {
		return err
	}
	defer gate.stop()
	return b.throughPostfix(ctx, "sendgate", "inet:"+socket)
}

func (b *comparison) throughPostfix(ctx context.Context, name, milter string) error {
	p, err := startPostfix(ctx, filepath.Join(b.dir, "postfix-"+fmt.Sprint(time.Now().UnixNano())), b.sink.port(), milter)
	if err != nil {
		return err
	}
	defer p.stop()
	return b.measure(ctx, name, p.addr, 0, 0)
}
