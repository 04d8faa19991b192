package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// changes makes a burst: new messages and events about old ones, some of them stale or repeated.
func (r *modelRun) changes() (changes []Change) {
	ids := slices.SortedFunc(maps.Keys(r.m.messages), policy.ID.Compare)
	for range 1 + r.rnd.IntN(40) {
		switch n := r.rnd.IntN(10); {
		case n < 4 || len(ids) == 0:
			c := r.accept()
			changes = append(changes, c)
			ids = append(ids, c.Message)
		case n == 4:
			changes = append(changes, r.record())
		case n < 7:
			changes = append(changes, r.decision(pick(r.rnd, ids)))
		default:
			changes = append(changes, r.observation(pick(r.rnd, ids)))
		}
	}
	return changes
}

func (r *modelRun) accept() Change {
	id := r.s.NewID()
	e := &policy.Envelope{
		Received: r.now().Add(pick(r.rnd, modelSkews)), Front: policy.Relay, Direction: policy.Outbound, Identity: "x",
		Sender:    policy.Address(pick(r.rnd, modelSenders)),
		Helo:      pick(r.rnd, []string{"client.example", "bad \xff\xfe utf-8"}),
		Subject:   pick(r.rnd, modelWords) + " " + pick(r.rnd, modelWords),
		MessageID: fmt.Sprintf("<%d@corp.example>", r.rnd.IntN(20)),
	}
	for range r.rnd.IntN(3) {
		if id := fmt.Sprintf("<%d@corp.example>", r.rnd.IntN(20)); !slices.Contains(e.References, id) {
			e.References = append(e.References, id)
		}
	}
	for range r.rnd.IntN(5) {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(pick(r.rnd, modelRecipients))})
	}
	if n := r.rnd.IntN(300); n < 10 {
		for i := range []int{200, 6000}[min(1, n/9)] { // 6000 take several transactions
			e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("many%d@example.org", i))})
		}
	}
	c := Change{Message: id, Envelope: e, Events: []policy.Event{
		{Kind: policy.Accepted}, {Kind: policy.Held, Until: r.until(), Rule: "default"},
	}}
	if r.rnd.IntN(5) == 0 {
		c.Events[1] = policy.Event{Kind: policy.Blocked, QueueID: pick(r.rnd, modelQueueIDs), Key: "first"}
	}
	sizes := []int{0, 1, 100, 4095, 4096, 4097, 20_000}
	if r.rnd.IntN(10) == 0 {
		sizes = []int{chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 7}
	}
	if size := pick(r.rnd, sizes); size > 0 {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(r.rnd.Uint32())
		}
		c.Body = r.s.NewBody(id)
		if _, err := c.Body.Write(body); err != nil {
			r.t.Fatal(err)
		}
		r.m.bodies[id] = body
	}
	return c
}

func (r *modelRun) until() time.Time {
	return r.now().Add(time.Duration(r.rnd.IntN(1e9)) * time.Microsecond)
}

func (r *modelRun) record() Change {
	c := Change{Message: r.s.NewID(), Events: []policy.Event{{Kind: pick(r.rnd, []policy.Kind{policy.RecallRequested, policy.Login}), Key: "k"}}}
	if r.rnd.IntN(2) == 0 && len(r.m.records) > 0 {
		c.Message = pick(r.rnd, slices.SortedFunc(maps.Keys(r.m.records), policy.ID.Compare))
		c.Events[0].Key = fmt.Sprint(r.rnd.IntN(3))
	}
	return c
}

// some are recipients that an event concerns; nil means all.
func (r *modelRun) some() (recipients []int) {
	for range r.rnd.IntN(3) {
		recipients = append(recipients, r.rnd.IntN(6))
	}
	return recipients
}

func (r *modelRun) decision(id policy.ID) Change {
	c := Change{Message: id, Revision: 1, Events: []policy.Event{{
		Kind:  pick(r.rnd, []policy.Kind{policy.Released, policy.HoldChanged, policy.Canceled, policy.Resent}),
		Until: r.until(), Recipients: r.some(), Reason: "why",
	}}}
	if m := r.m.messages[id]; m != nil && r.rnd.IntN(4) > 0 {
		c.Revision = m.row.Revision
	}
	if r.rnd.IntN(4) == 0 {
		c.Events = append([]policy.Event{{Kind: policy.RecallRequested, Actor: "api:x"}}, c.Events...)
	}
	return c
}

func (r *modelRun) observation(id policy.ID) Change {
	c := Change{Message: id}
	for range 1 + r.rnd.IntN(3) {
		e := policy.Event{
			Kind: pick(r.rnd, []policy.Kind{policy.Deferred, policy.HandedOver, policy.DeliveredMailbox, policy.RelayedRemote,
				policy.Bounced, policy.AsyncBounced, policy.Unknown, policy.Notified}),
			Time: r.now().Add(-time.Duration(r.rnd.IntN(100)) * time.Second), Recipients: r.some(),
			Reply: "250 2.0.0 ok", Evidence: strings.Repeat("e", r.rnd.IntN(3000)),
		}
		if e.Kind == policy.Deferred {
			e.Until = r.until()
		}
		if r.rnd.IntN(2) == 0 {
			e.Key = fmt.Sprint("log:", r.rnd.IntN(5))
		}
		if r.rnd.IntN(3) == 0 {
			e.QueueID = pick(r.rnd, modelQueueIDs)
		}
		c.Events = append(c.Events, e)
	}
	return c
}
