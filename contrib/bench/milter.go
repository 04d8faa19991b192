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
	rules := fs.String("policy", "on", "ten rules: on, off, or both in turns")
	domains := fs.Bool("domains", false, "one more variant: ten rules and the check of recipient domains")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var b comparison
	var err error
	if b.variants, err = variants(*rules, *domains); err != nil {
		return err
	}
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
	relays := []string{"no milter", "no-op milter"}
	for _, v := range b.variants {
		relays = append(relays, v.name)
	}
	if err := b.table("no milter", relays...); err != nil {
		return err
	}
	var r result
	for i, v := range b.variants {
		prefix := ""
		if i > 0 {
			prefix = fmt.Sprintf("variant%d_", i+1)
		}
		for _, kind := range []string{"reused_s10", "s10", "s50"} {
			r.add(prefix+"keep_"+kind, b.ratio(v.name, kind, "no milter"))
		}
		r.add(prefix+"added_p50_ms", b.added(v.name, func(f *figures) series { return f.p50 }))
		r.add(prefix+"added_p99_ms", b.added(v.name, func(f *figures) series { return f.p99 }))
		r.add(prefix+"cpu_ms", b.of(v.name, "reused_s10").cpu.median())
	}
	r.print()
	return nil
}

// added is how much longer a transaction of one session takes with sendgate, median of the rounds.
func (b *comparison) added(name string, of func(*figures) series) float64 {
	var more series
	alone := of(b.of("no milter", "reused_s1"))
	for i, ms := range of(b.of(name, "reused_s1")) {
		more = append(more, ms-alone[i])
	}
	return more.median()
}

func (b *comparison) milterRound(ctx context.Context, noop string) error {
	if err := b.throughPostfix(ctx, "no milter", "", 0); err != nil {
		return err
	}
	if err := b.throughPostfix(ctx, "no-op milter", "inet:"+noop, 0); err != nil {
		return err
	}
	for _, v := range b.variants {
		if err := b.behindPostfix(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func (b *comparison) behindPostfix(ctx context.Context, v variant) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	socket := fmt.Sprintf("127.0.0.1:%d", port)
	gate, err := startGateway(ctx, b.binary, b.dir, b.sink.addr(), 0, v,
		fmt.Sprintf("milter: {listen: [{address: \"%s\"}], message_size: true}\n", socket))
	if err != nil {
		return err
	}
	defer gate.stop()
	return b.throughPostfix(ctx, v.name, "inet:"+socket, gate.process.Pid)
}

// throughPostfix measures a Postfix with a milter, and what a message costs in the process of that, if it is one.
func (b *comparison) throughPostfix(ctx context.Context, name, milter string, pid int) error {
	p, err := startPostfix(ctx, filepath.Join(b.dir, "postfix-"+fmt.Sprint(time.Now().UnixNano())), b.sink.port(), milter)
	if err != nil {
		return err
	}
	defer p.stop()
	return b.measure(ctx, name, p.addr, pid, 0)
}
