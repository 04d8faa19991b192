package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A dashboard is a gateway with somebody signed in.
type dashboard struct {
	peer   *peer
	base   string
	client *http.Client
	start  time.Duration // until it was ready
}

// The token of the API and its SHA-256, and the password of the administrator.
const (
	searchToken     = "e2e"
	searchTokenHash = "6d8749c4fe00b757c1bc1c376a99f31d1bd38b422d44f5b6aa2d6a6c5e975cba"
	searchPassword  = "correct horse battery"
)

// startDashboard runs the binary on the store in dir and signs in. Mail is held for a second.
func startDashboard(ctx context.Context, binary, dir, sinkAddr string) (*dashboard, error) {
	smtp, err := freePort()
	if err != nil {
		return nil, err
	}
	api, err := freePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sendgate.yaml")
	text := fmt.Sprintf(`hostname: gate.bench.example
store: {dir: %s/data}
relay:
  listen: [{address: "127.0.0.1:%d"}]
upstreams:
- {name: sink, servers: [{address: %q}], tls: none, accepts_for: remote}
policy:
  hold: {default: 1s, margin: 0s}
%ssimilar: {enabled: false}
anomaly: {enabled: false}
api: {listen: "127.0.0.1:%d", socket: "", tokens: [{name: bench, role: admin, sha256: %s}]}
log: {level: error}
%s`, dir, smtp, sinkAddr, tenRules(), api, searchTokenHash, noDomains)
	began := time.Now()
	p, err := serve(ctx, binary, file, text, smtp)
	if err != nil {
		return nil, err
	}
	if err := awaitReplay(ctx, p); err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	g := &dashboard{peer: p, base: fmt.Sprintf("http://127.0.0.1:%d", api), start: time.Since(began)}
	g.client = &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	return g, g.signIn(ctx)
}

// awaitReplay waits for the greeting, as long as it takes to read two weeks of mail again.
func awaitReplay(ctx context.Context, p *peer) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		err := awaitGreeting(ctx, p.addr)
		if err == nil {
			return nil
		}
		select {
		case ended := <-p.done:
			return fmt.Errorf("sendgate ended: %w", ended)
		case <-ctx.Done():
			return errors.Join(err, ctx.Err(), p.process.Kill())
		default:
		}
	}
}

// signIn makes an administrator by the set-up link, which the session follows.
func (g *dashboard) signIn(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+"/api/v1/set-up-link", strings.NewReader(`{"another": true}`))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	var link struct{ URL string }
	if err := g.do(request, func(r io.Reader) error { return json.NewDecoder(r).Decode(&link) }); err != nil {
		return err
	}
	u, err := url.Parse(link.URL)
	if err != nil {
		return err
	}
	form := url.Values{
		"token": {u.Query().Get("token")}, "name": {fmt.Sprintf("bench%d", time.Now().Unix())}, "password": {searchPassword}, "again": {searchPassword},
	}
	request, err = http.NewRequestWithContext(ctx, http.MethodPost, g.base+"/set-up", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return g.do(request, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
}

// do sends a request and has its answer read, which has to be a success.
func (g *dashboard) do(request *http.Request, read func(io.Reader) error) error {
	if strings.HasPrefix(request.URL.Path, "/api/") {
		request.Header.Set("Authorization", "Bearer "+searchToken)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Request.URL.Path == "/sign-in" {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("%s: %s: %s", request.URL.Path, response.Status, text)
	}
	return read(response.Body)
}

// get gives the time of a request until the last octet of its answer, in ms.
func (g *dashboard) get(ctx context.Context, path string) (ms float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base+path, nil)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	err = g.do(request, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
	return float64(time.Since(start).Microseconds()) / 1000, err
}

// A crowd looks on while mail flows.
type crowd struct {
	stop         context.CancelFunc
	group        sync.WaitGroup
	start        time.Time
	sent, pieces atomic.Int64
	lost         atomic.Int64
}

// crowdPages are what viewers have open, in turns.
var crowdPages = []string{"/overview/live", "/messages/live", "/api/v1/events", "/messages/live?q=state%3Aheld", "/alerts/live"}

// crowd opens the live pages and starts the flow. It comes back when every viewer has got something.
func (g *dashboard) crowd(ctx context.Context, viewers, rate int) (*crowd, error) {
	ctx, stop := context.WithCancel(ctx)
	c := &crowd{stop: stop}
	opened := make(chan error, viewers)
	for i := range viewers {
		c.group.Go(func() { g.view(ctx, c, crowdPages[i%len(crowdPages)], opened) })
	}
	for range viewers {
		if err := <-opened; err != nil {
			stop()
			return nil, err
		}
	}
	c.start = time.Now()
	const sessions = 10
	for i := range sessions {
		c.group.Go(func() { g.flow(ctx, c, i, time.Second*sessions/time.Duration(max(1, rate))) })
	}
	return c, nil
}

// view reads a live page until the crowd ends.
func (g *dashboard) view(ctx context.Context, c *crowd, path string, opened chan<- error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.base+path, nil)
	if err != nil {
		opened <- err
		return
	}
	err = g.do(request, func(r io.Reader) error {
		opened <- nil
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			if bytes.HasPrefix(lines.Bytes(), []byte("event:")) {
				c.pieces.Add(1)
			}
		}
		return lines.Err()
	})
	if ctx.Err() != nil {
		return
	}
	c.lost.Add(1)
	select {
	case opened <- fmt.Errorf("the live page %s ended: %w", path, err):
	default:
	}
}

// flow sends a message at every step over one connection, as long as the crowd looks on.
func (g *dashboard) flow(ctx context.Context, c *crowd, session int, step time.Duration) {
	tick := time.NewTicker(step)
	defer tick.Stop()
	client, err := dial(g.peer.addr)
	defer func() { client.close() }()
	for n := session; err == nil; n += 10 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err = client.message(n, fmt.Sprintf("customer%d", n%recipients), []byte(filler[:4<<10])); err == nil {
			c.sent.Add(1)
		}
	}
	if ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "bench: the flow of mail:", err)
	}
}

// end sends everybody away and says what there was.
func (c *crowd) end() (sent int64, seconds float64, pieces, lost int64) {
	sent, pieces, lost, seconds = c.sent.Load(), c.pieces.Load(), c.lost.Load(), time.Since(c.start).Seconds()
	c.stop()
	c.group.Wait()
	return sent, seconds, pieces, lost
}
