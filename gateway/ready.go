package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/gateway/web"
)

const (
	// upstreamPatience is how long readiness waits for upstreams that were not asked lately. Whoever asks waits a
	// second or two for the answer, and takes silence for a gateway that is dead.
	upstreamPatience = 500 * time.Millisecond
	// logLag is how far the logs may be behind, hookLag how old the oldest event that a webhook has not taken.
	logLag  = 5 * time.Minute
	hookLag = webhook.Behind
	// PulseTimeout is how long the journal may take to show that it commits.
	PulseTimeout = 10 * time.Second
)

// parts reports on everything but the journal, from what is known of it within the last minute.
func (g *Gateway) parts() []web.Part {
	all := g.frontParts()
	all = append(all, g.upstreamParts()...)
	if g.keeper != nil {
		all = append(all, part("postfix helper", g.keeper.Ready()))
	}
	for _, s := range g.tracking.sources() {
		all = append(all, logPart(&s))
	}
	for _, s := range g.hooks.Statuses() {
		all = append(all, hookPart(&s))
	}
	if err := g.mailLog.Err(); err != nil {
		all = append(all, part("mail log", err))
	}
	if free, reserve := g.store.Stats().FreeMiB, g.started.Store.MinFree; free < lowSpace*reserve {
		all = append(all, part("disk", fmt.Errorf("%d MiB are free; below %d MiB no mail is accepted", free, reserve)))
	}
	return all
}

// part is one that is ok when there is no error.
func part(name string, err error) web.Part {
	if err != nil {
		return web.Part{Name: name, Detail: err.Error()}
	}
	return web.Part{Name: name, OK: true}
}

// frontParts decide: without them no mail comes in.
func (g *Gateway) frontParts() (all []web.Part) {
	if len(g.started.Relay.Listen) > 0 {
		all = append(all, part("relay", g.relay.Live()))
	}
	if g.milter != nil {
		all = append(all, part("milter", g.milter.Live()))
	}
	for i := range all {
		all[i].Decides = true
	}
	return all
}

// upstreamParts reports on each upstream. When none answers that decides only where they alone can say who
// may send: see [web.Readiness].
func (g *Gateway) upstreamParts() []web.Part {
	ctx, cancel := context.WithTimeout(context.Background(), upstreamPatience)
	defer cancel()
	all := make([]web.Part, len(g.routes.upstreams))
	var wg sync.WaitGroup
	for i, u := range g.routes.upstreams {
		wg.Go(func() {
			all[i] = part("upstream "+u.Name(), g.roll.ask(ctx, u))
		})
	}
	wg.Wait()
	relay := g.loaded().Relay
	decides := len(relay.Listen) > 0 && len(relay.Networks) == 0
	for i := range all {
		decides = decides && !all[i].OK
	}
	for i := range all {
		all[i].Decides = decides
	}
	return all
}

// logPart reports on a log that is followed.
func logPart(s *web.Source) web.Part {
	p := web.Part{Name: "log " + s.Name, OK: true}
	switch lag := time.Duration(s.LagSeconds) * time.Second; {
	case s.State == web.SourceError:
		p.OK, p.Detail = false, s.Error
	case s.State != web.SourceCaughtUp && lag > logLag:
		p.OK, p.Detail = false, fmt.Sprintf("it is read %v late", lag)
	}
	return p
}

// hookPart reports on a program that is told of events.
func hookPart(s *webhook.Status) web.Part {
	p := web.Part{Name: "webhook " + s.Name, OK: true}
	switch {
	case s.State == webhook.Disabled:
		p.OK, p.Detail = false, "disabled: "+s.Error
	case s.Lag > hookLag:
		p.OK, p.Detail = false, fmt.Sprintf("its oldest event waits since %v", s.Lag.Round(time.Second))
	}
	return p
}

// Alive is nil while the journal commits and the fronts take connections, or are closed on purpose. A watchdog
// asks: what it reports only a restart mends. A full disk or an upstream that is away is not among that.
func (g *Gateway) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, PulseTimeout)
	defer cancel()
	if err := g.store.Pulse(ctx); err != nil {
		return err
	}
	fronts := make(chan error, 1)
	go func() { fronts <- g.frontsLive() }() // a lock that is never given back must not stop the watchdog's own goroutine
	select {
	case err := <-fronts:
		return err
	case <-ctx.Done():
		return errors.New("the fronts do not answer")
	}
}

func (g *Gateway) frontsLive() error {
	if g.drain.Drain().State != web.DrainOff {
		return nil
	}
	var errs []error
	for _, p := range g.frontParts() {
		if !p.OK {
			errs = append(errs, fmt.Errorf("%s: %s", p.Name, p.Detail))
		}
	}
	return errors.Join(errs...)
}
