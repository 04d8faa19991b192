package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// benchSearch measures what somebody waits for who looks at the dashboard of a gateway with a large journal:
// the first page of a search, the overview and one message, alone and while many others look on and mail flows.
func benchSearch(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("search", flag.ContinueOnError)
	messages := fs.Int("messages", 1_000_000, "messages in the store")
	long := fs.Bool("long", false, "10 million messages")
	dir := fs.String("dir", "", "where the store is; it is made there once and kept (default: a temporary directory)")
	asks := fs.Int("asks", 200, "requests of each kind")
	viewers := fs.Int("viewers", 100, "pages that are open and live")
	rate := fs.Int("rate", 500, "messages a second that flow meanwhile")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *long {
		*messages = 10_000_000
	}
	var b comparison
	closed, err := b.open(ctx, 0)
	if err != nil {
		return err
	}
	defer closed()
	if *dir == "" {
		*dir = filepath.Join(b.dir, "search")
	}
	s := searchBench{asks: *asks, viewers: *viewers, rate: *rate}
	if s.known, err = fillForSearch(ctx, filepath.Join(*dir, "data"), *messages); err != nil {
		return fmt.Errorf("fill the store: %w", err)
	}
	gate, err := startDashboard(ctx, b.binary, *dir, b.sink.addr())
	if err != nil {
		return err
	}
	return errors.Join(s.run(ctx, gate), gate.peer.stop())
}

// searchBench measures one gateway.
type searchBench struct {
	asks, viewers, rate int
	known               knownMessage
}

// An asked is a kind of request: the dashboard's page, and the answer of the API behind it.
type asked struct {
	name, page, api string
	search          bool
}

// run measures quiet first, and busy then.
func (b *searchBench) run(ctx context.Context, g *dashboard) error {
	fmt.Printf("ready after %.1f s; anonymous memory %.0f MB\n", g.start.Seconds(), anonymousMBOf(g.peer.pid()))
	var r result
	if err := b.table(ctx, g, "nobody else looks", "", &r); err != nil {
		return err
	}
	load, err := g.crowd(ctx, b.viewers, b.rate)
	if err != nil {
		return err
	}
	used := cpuOf(g.peer.process.Pid)
	err = b.table(ctx, g, fmt.Sprintf("%d live viewers, %d messages a second", b.viewers, b.rate), "_busy", &r)
	sent, seconds, pieces, lost := load.end()
	if err != nil {
		return err
	}
	flow, cores := float64(sent)/seconds, (cpuOf(g.peer.process.Pid)-used)/seconds
	fmt.Printf("meanwhile %.0f messages a second flowed and viewers got %.0f pieces a second, %d viewers lost; the gateway used %.2f cores; anonymous memory %.0f MB\n",
		flow, float64(pieces)/seconds, lost, cores, anonymousMBOf(g.peer.pid()))
	if flow < keptUp*float64(b.rate) {
		fmt.Printf("NOT KEPT UP: %.0f of %d messages a second could be sent; the busy figures are not those of that rate\n", flow, b.rate)
	}
	r.add("flow", flow)
	r.add("flow_wanted", float64(b.rate))
	r.add("cores_busy", cores)
	r.add("viewers_lost", float64(lost))
	r.print()
	return nil
}

// keptUp is the part of the wanted rate from which on the flow counts as such.
const keptUp = 0.95

// table asks for everything in turns. The figure of the first page is that of the slowest kind of query.
func (b *searchBench) table(ctx context.Context, g *dashboard, title, suffix string, r *result) error {
	kinds := b.kinds()
	pages, answers := make([]series, len(kinds)), make([]series, len(kinds))
	for range b.asks {
		for i, k := range kinds {
			for path, times := range map[string]*series{k.page: &pages[i], k.api: &answers[i]} {
				ms, err := g.get(ctx, path)
				if err != nil {
					return fmt.Errorf("%s: %w", k.name, err)
				}
				*times = append(*times, ms)
			}
		}
	}
	fmt.Printf("\n%s; ms of %d requests each, over HTTP; the machine's load was %s\n", title, b.asks, machineLoad())
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "what\tpage p50\tp99\tAPI p50\tp99")
	figures := map[string]float64{}
	var queries, queryAnswers series
	for i, k := range kinds {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", k.name, number(pages[i].quantile(.5)), number(pages[i].quantile(.99)),
			number(answers[i].quantile(.5)), number(answers[i].quantile(.99)))
		figure := k.name
		if k.search {
			figure = "first_page"
			queries, queryAnswers = append(queries, pages[i]...), append(queryAnswers, answers[i]...)
		}
		figures[figure] = max(figures[figure], pages[i].quantile(.99))
	}
	fmt.Fprintf(tw, "all queries together\t%s\t%s\t%s\t%s\n", number(queries.quantile(.5)), number(queries.quantile(.99)),
		number(queryAnswers.quantile(.5)), number(queryAnswers.quantile(.99)))
	figures["first_page_pooled"] = queries.quantile(.99)
	for _, name := range []string{"first_page", "first_page_pooled", "overview", "message"} {
		r.add(name+"_p99_ms"+suffix, figures[name])
	}
	return tw.Flush()
}

// searchDays is how far the mail of the store reaches back.
const searchDays = 14 * 24 * time.Hour
