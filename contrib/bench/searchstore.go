package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// knownMessage is one of the middle of the store, which is looked for.
type knownMessage struct {
	id      policy.ID
	queueID string
	subject string
}

// fillForSearch makes the store, unless it is there: mail of two weeks, most of it delivered, and gives one that
// can be found by all that it has.
func fillForSearch(ctx context.Context, dir string, messages int) (known knownMessage, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return known, err
	}
	s, err := openStore(dir)
	if err != nil {
		return known, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if known, err = findKnown(ctx, s); err != nil || known.subject != "" {
		return known, err
	}
	var next atomic.Int64
	start := time.Now()
	end := start.UTC()
	err = parallel(200, func(int) error {
		for {
			n := int(next.Add(1)) - 1
			if n >= messages || ctx.Err() != nil {
				return ctx.Err()
			}
			at := end.Add(-searchDays + time.Duration(float64(searchDays)*float64(n)/float64(messages)))
			if _, err := s.Commit(ctx, searchMessage(n, at, n == messages/2)); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return known, err
	}
	fmt.Printf("filled with %d messages of 14 days in %.0f s\n", messages, time.Since(start).Seconds())
	return findKnown(ctx, s)
}

// needle is what the subject of the known message has and no other.
const needle = "xylophone"

func findKnown(ctx context.Context, s *store.Store) (known knownMessage, err error) {
	q, err := store.ParseQuery("subject:"+needle, time.Now())
	if err != nil {
		return known, err
	}
	found, err := s.Search(ctx, q, 1, "")
	if err != nil || len(found.Messages) == 0 {
		return known, err
	}
	m := found.Messages[0]
	return knownMessage{m.ID, needleQueue, m.Envelope.Subject}, nil
}

const needleQueue = "4bNEEDLEz1"

// searchMessage is what became of one message: one in fifty was returned, one in a hundred was blocked, and the
// very last ones are on their way.
func searchMessage(n int, at time.Time, known bool) store.Change {
	user, to := strconv.Itoa(n*7919%5000), "r"+strconv.Itoa(n*31%20_000)+"@d"+strconv.Itoa(n%2000)+".example"
	subject, queue := "Quarterly report "+strconv.Itoa(n%1000)+" for review", "4b"+strconv.FormatInt(int64(n)+1<<40, 36)
	if n%4 == 0 {
		subject = "季度会议通知 " + strconv.Itoa(n%1000)
	}
	if known {
		subject, queue = "The only "+needle, needleQueue
	}
	id := ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy())
	events := []policy.Event{{Kind: policy.Accepted, Time: at, Actor: "smtp"}}
	last := policy.Event{Kind: policy.RelayedRemote, Time: at, Actor: "upstream", Reply: "250 2.0.0 Ok: queued as " + queue, QueueID: queue}
	switch {
	case n%100 == 1:
		last = policy.Event{Kind: policy.Canceled, Time: at, Actor: "user:admin", Reason: "not wanted"}
	case n%50 == 2:
		last = policy.Event{Kind: policy.Bounced, Time: at, Actor: "upstream", Reply: "550 5.1.1 no such user", QueueID: queue}
	}
	return store.Change{Message: id, Patient: true, Events: append(events, last), Envelope: &policy.Envelope{
		Received: at, Front: policy.Relay, Direction: policy.Outbound, Size: 4 << 10, Sender: policy.Address("user" + user + "@corp.example"),
		Identity: "user" + user, Client: netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), Helo: "client.corp.example", Protocol: "ESMTP",
		Subject: subject, MessageID: "<" + id.String() + "@corp.example>", From: "User <user" + user + "@corp.example>",
		Recipients: []policy.Recipient{{Address: policy.Address(to)}},
	}}
}

// kinds are the requests: each word of the query language, words together, and one that finds nothing.
func (b *searchBench) kinds() []asked {
	var list []asked
	for _, q := range []string{
		"", "from:user77@corp.example", "from:user77", "to:@d13.example", "subject:report", "subject:会议", "subject:" + needle, "subject:nowhere",
		"from:user77@corp.example subject:会议", "to:@d13.example after:2d", "from:user77@corp.example to:@d13.example", "state:held", "state:bounced", "state:blocked",
		"state:bounced from:user77@corp.example", "after:2h", "before:7d", "id:" + b.known.id.String(), "queue:" + b.known.queueID,
	} {
		query := "?q=" + url.QueryEscape(q)
		list = append(list, asked{fmt.Sprintf("%q", q), "/messages" + query, "/api/v1/messages" + query + "&limit=50", true})
	}
	id := b.known.id.String()
	return append(list, asked{"overview", "/overview", "/api/v1/overview", false}, asked{"message", "/messages/" + id, "/api/v1/messages/" + id, false})
}
