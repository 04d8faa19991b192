package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/policy"
	"golang.org/x/sync/errgroup"
)

// Listen opens all listeners. After it a client can connect, and is served as soon as Run runs.
func (g *Gateway) Listen() error {
	if err := g.relay.Listen(); err != nil {
		return err
	}
	if g.milter != nil {
		if err := g.milter.Listen(); err != nil {
			return err
		}
	}
	return g.web.Listen()
}

// SMTPAddrs are the addresses of the relay after Listen.
func (g *Gateway) SMTPAddrs() []net.Addr { return g.relay.Addrs() }

// APIAddr is the address of the API's TCP listener, nil when there is none.
func (g *Gateway) APIAddr() net.Addr { return g.web.Addr() }

// Run serves until ctx ends or a part fails, drains, and closes everything.
func (g *Gateway) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, end := context.WithCancel(ctx)
	defer end()
	fronting, closeFronts := context.WithCancel(ctx)
	defer closeFronts()
	// The timers outlive the fronts: what a draining session accepts is scheduled as always.
	timers, stopTimers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTimers()
	var fronts sync.WaitGroup
	front := func(serve func(context.Context) error) {
		fronts.Add(1)
		group.Go(func() error { defer fronts.Done(); return serve(fronting) })
	}
	front(g.relay.Serve)
	if g.milter != nil {
		front(g.milter.Serve)
	}
	for _, part := range g.lasting() {
		group.Go(func() error { return part(timers) })
	}
	group.Go(func() error { return g.tracking.run(ctx) })
	group.Go(func() error { return g.web.Serve(ctx) })
	group.Go(func() error { return g.drain.run(ctx, func() { closeFronts(); fronts.Wait() }, end) })
	group.Go(func() error { <-ctx.Done(); fronts.Wait(); stopTimers(); return nil })
	return errors.Join(group.Wait(), g.close())
}

// lasting are the parts that run until the fronts have drained.
func (g *Gateway) lasting() []func(context.Context) error {
	parts := []func(context.Context) error{
		g.logins.run, g.mailLog.run, g.hooks.run, g.pullback.run, g.bypass.run, g.recalls.run, g.queue.runReturns, g.alerts.run, g.scheduler.Run,
		func(ctx context.Context) error { return g.limits.run(ctx, g.scheduler) },
		func(ctx context.Context) error { return g.meters.mail.run(ctx, g.log.Named("metrics")) },
	}
	if g.keeper != nil {
		parts = append(parts, g.keeper.Run)
	}
	return parts
}

// close takes down what New has built, backwards.
func (g *Gateway) close() error {
	var errs []error
	if g.domains != nil {
		g.domains.resolver.Close()
	}
	if g.recalls != nil {
		errs = append(errs, g.recalls.router.Close())
	}
	if g.routes != nil {
		errs = append(errs, g.routes.close())
	}
	return errors.Join(append(errs, g.store.Close())...)
}

// Close gives up a gateway that was never run.
func (g *Gateway) Close() error { return g.close() }

// Reload takes over a new configuration for whatever comes from now on. Keys that need a restart
// keep their old value and are named in the error; everything else has been taken over then, too.
func (g *Gateway) Reload(cfg Config) error {
	directory, err := policy.NewDirectory(cfg.Identities)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alerts.Reload(alertSettings(&cfg), alert.People{Config: cfg.Policy, Directory: directory})
	g.limits.Reload(g.guardSettings(&cfg, directory))
	g.relay.Reload(g.relaySettings(&cfg, directory))
	if g.milter != nil {
		g.milter.Reload(g.milterSettings(&cfg, directory))
	}
	g.recalls.Reload(&cfg, directory)
	g.asking.Reload(askTermsOf(&cfg))
	g.web.Reload(apiConfig(&cfg))
	g.people.reload(&cfg, directory)
	g.desk.Reload(cfg.Dashboard)
	g.config = cfg
	keys := restartKeys(&g.started, &cfg)
	g.meters.reload(&cfg, time.Now(), len(keys) > 0)
	if len(keys) > 0 {
		return fmt.Errorf("not as they were at the start, and taken over only by a restart: %s", strings.Join(keys, ", "))
	}
	return nil
}

// refused tells of a recipient whose domain does not exist.
func (g *Gateway) refused(e *policy.Envelope, v policy.Verdict) {
	if g.alerts == nil { // not open yet
		return
	}
	g.alerts.Raise(alert.Occurrence{
		Kind: alert.DomainRefused, Subject: e.Identity, Time: time.Now(), Finding: v.Findings[0], Outcome: v.Action, Text: v.Text,
	})
}

// tell raises an alert once alerts are open.
func (g *Gateway) tell(o alert.Occurrence) {
	if g.alerts != nil {
		g.alerts.Raise(o)
	}
}

// isSuspended reports whether an account is suspended, and not let through by a bypass.
func (g *Gateway) isSuspended(identity string) bool {
	_, ok := g.limits.Suspended(time.Now(), identity)
	return ok && !g.bypass.lifts()
}

// loaded is the configuration as last loaded.
func (g *Gateway) loaded() Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.config
}

// margin is how much later than shown mail is let go.
func (g *Gateway) margin() time.Duration {
	return g.loaded().Policy.Hold.Margin
}
