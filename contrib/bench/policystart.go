package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// traffic is mail of many senders, spread over a day that ends now, and then going on at that pace.
type traffic struct {
	names     []string
	templates []template
	sent      int
	at        time.Time // of the next message
	end       time.Time
	step      time.Duration
	list      []policy.Submission // for next
	envelopes []policy.Envelope
}

// A template is what messages have in common that come again and again.
type template struct {
	recipients []policy.Recipient
	id         string // its Message-ID; another body makes another message of it
	header     func(name string) []string
}

// There are so many of them; every fifth goes to five recipients, all others to one.
const templates = 20_000

// newTraffic makes beforehand what it can: what is measured is not to wait for its own load, nor to collect
// its garbage.
func newTraffic(names []string, day int) *traffic {
	end := time.Now().UTC()
	step := 24 * time.Hour / time.Duration(day)
	t := &traffic{
		names: names, templates: make([]template, templates), at: end.Add(-step * time.Duration(day)), end: end, step: step,
		list: make([]policy.Submission, batch), envelopes: make([]policy.Envelope, batch),
	}
	for n := range t.templates {
		recipients := 1
		if n%5 == 0 {
			recipients = 5
		}
		to := make([]string, recipients)
		for i := range to {
			a := policy.Address("customer" + strconv.Itoa((n*31+i)%templates) + "@d" + strconv.Itoa((n+i)%200) + ".example")
			t.templates[n].recipients = append(t.templates[n].recipients, policy.Recipient{Address: a})
			to[i] = "Customer <" + string(a) + ">"
		}
		field := []string{strings.Join(to, ", ")}
		t.templates[n].id = "<" + strconv.Itoa(n) + "@corp.example>"
		t.templates[n].header = func(name string) []string {
			if name == "To" {
				return field
			}
			return nil
		}
	}
	return t
}

// hurry lets the messages follow as fast as decisions are made: what happens every ten minutes must not
// happen every ten thousand messages.
func (t *traffic) hurry() { t.step = 10 * time.Microsecond }

func senderNames(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "user" + strconv.Itoa(i) + "@corp.example"
	}
	return list
}

// next gives the submissions of the next messages, at most a batch, until it is called again: everybody sends in turn.
func (t *traffic) next(n int) []policy.Submission {
	for i := range n {
		t.list[i] = t.submission(t.sent, &t.envelopes[i])
		t.sent, t.at = t.sent+1, t.at.Add(t.step)
	}
	return t.list[:n]
}

func (t *traffic) submission(n int, e *policy.Envelope) policy.Submission {
	at, who, m := t.at, t.names[n*7919%len(t.names)], &t.templates[n%templates]
	s := policy.Submission{Time: at, Stage: policy.StageEnd, Trusted: true, Envelope: e, Header: m.header}
	binary.BigEndian.PutUint64(s.ID[8:], uint64(n)+1)
	binary.BigEndian.PutUint64(s.Digest[:], uint64(n))
	_ = s.ID.SetTime(uint64(at.UnixMilli())) // fails only in the year 10889
	*e = policy.Envelope{
		Received: at, Front: policy.Relay, Direction: policy.Outbound, Sender: policy.Address(who), Identity: who,
		Client: netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), Helo: "client.corp.example", Protocol: "ESMTP",
		Size: 4 << 10, From: who, Subject: "Quarterly report", MessageID: m.id,
		Recipients: m.recipients,
	}
	return s
}

// snapshot writes all parts of a memory and loads them.
func (b *policyBench) snapshot(g *guard.Guard) error {
	written := map[string]*bytes.Buffer{}
	octets, start := 0, now()
	for _, part := range guard.Parts {
		written[part] = &bytes.Buffer{}
		if err := g.Save(part, written[part], 1); err != nil {
			return err
		}
		octets += written[part].Len()
	}
	b.save.add(start.until())
	b.sizes = append(b.sizes, float64(octets)/1e6)
	start = now()
	fresh := guard.New(b.settings)
	for _, part := range guard.Parts {
		if _, err := fresh.Load(part, written[part]); err != nil {
			return err
		}
	}
	b.load.add(start.until())
	return nil
}

// startAll writes the day's mail into a journal and starts a gateway on it, without a snapshot and with
// the one that it leaves when it ends.
func (b *policyBench) startAll(ctx context.Context, dir string, reps int) error {
	dir, err := os.MkdirTemp(dir, "sendgate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.fill(ctx, dir); err != nil {
		return fmt.Errorf("fill the journal: %w", err)
	}
	cfg := gateway.DefaultConfig()
	cfg.Store.Dir, cfg.Store.MinFree, cfg.Policy = dir, 0, b.settings.Config
	cfg.Domains.Enabled, cfg.API.Listen, cfg.API.Socket = false, "", filepath.Join(dir, "api.sock")
	for range reps {
		if err := os.RemoveAll(filepath.Join(dir, "policy")); err != nil {
			return err
		}
		for _, s := range []*spans{&b.startCold, &b.startWarm} {
			start := now()
			g, err := gateway.New(cfg, "bench", zap.NewNop())
			if err != nil {
				return err
			}
			s.add(start.until())
			ended, stop := context.WithCancel(ctx)
			stop() // it saves what it knows when it ends
			if err := errors.Join(g.Listen(), g.Run(ended)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill decides on the day's mail and commits it as delivered.
func (b *policyBench) fill(ctx context.Context, dir string) (err error) {
	s, err := openStore(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	t, g := newTraffic(b.names, b.messages), guard.New(b.settings)
	events := make([]policy.Event, batch)
	const writers = 100
	for t.sent < b.messages {
		list := t.next(min(batch, b.messages-t.sent))
		decideAll(ctx, g, list, events)
		err := parallel(writers, func(w int) error {
			for i := w; i < len(list); i += writers {
				delivered := policy.Event{Kind: policy.RelayedRemote, Time: list[i].Time, Actor: "upstream", Reply: "250 2.0.0 ok"}
				if _, err := s.Commit(ctx, store.Change{Message: list[i].ID, Envelope: list[i].Envelope, Events: []policy.Event{events[i], delivered}}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		observeAll(g, list, events, time.Time{})
	}
	return nil
}
