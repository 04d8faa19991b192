package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// TestNothingAcceptedIsLost kills the gateway with SIGKILL at random moments under load. Each
// message is sent once. All that were answered 250 must reach the sink; those that reach it twice
// must be marked as possible duplicates. Every tenth message asks for no hold, and is then the
// client's until the sink has answered.
func TestNothingAcceptedIsLost(t *testing.T) {
	messages, kills := 1000, 4
	if os.Getenv("SENDGATE_LONG") != "" {
		messages, kills = 20_000, 30
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	world := startSink(t)
	g := startGateway(t, settings{
		upstream: fmt.Sprintf("servers: [{address: %q}]\ntls: none\n", world.address),
		hold:     20 * time.Millisecond, // deliveries run while more comes in
		delivery: "catch_up: 1000",
	})
	load := &load{smtp: g.smtp, messages: messages, accepted: make([]atomic.Bool, messages)}
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() { load.client(t) })
	}
	for _, moment := range moments(rand.New(rand.NewPCG(seed, 0)), messages, kills) {
		eventually(t, fmt.Sprintf("%d messages were tried", moment), func() bool { return int(load.next.Load()) >= moment })
		g.kill(t)
		g.start(t)
	}
	clients.Wait()
	eventually(t, "nothing is left to be sent", func() bool { return g.waiting(t) == 0 })

	arrived := countArrivals(t, world)
	accepted, lost, twice, unmarked := 0, 0, 0, 0
	for i := range messages {
		if load.accepted[i].Load() {
			accepted++
			if arrived[i] == 0 {
				lost++
				t.Errorf("message %d was accepted and is lost", i)
			}
		}
		if arrived[i] > 1 {
			twice++
			if !g.marked(t, i) {
				unmarked++
				t.Errorf("message %d arrived %d times and is not marked", i, arrived[i])
			}
		}
	}
	t.Logf("%d kills; %d messages sent, %d accepted, %d lost, %d twice, %d of them unmarked", kills, messages, accepted, lost, twice, unmarked)
	if accepted < messages/2 {
		t.Errorf("only %d of %d messages were accepted: the load was none", accepted, messages)
	}
}

// moments are the numbers of messages after which a kill comes.
func moments(random *rand.Rand, messages, kills int) []int {
	var all []int
	for range kills {
		all = append(all, 1+random.IntN(messages*9/10))
	}
	slices.Sort(all)
	return all
}

// load is what the clients share.
type load struct {
	smtp     string
	messages int
	next     atomic.Int64
	accepted []atomic.Bool
}

// client sends messages, each number once, over a connection that it renews when it breaks.
func (l *load) client(t *testing.T) {
	var connection *smtp.Client
	defer func() {
		if connection != nil {
			connection.Close()
		}
	}()
	for {
		i := int(l.next.Add(1)) - 1
		if i >= l.messages {
			return
		}
		if connection == nil {
			if connection = l.connect(t); connection == nil {
				return
			}
		}
		if err := sendNumbered(connection, i); err != nil {
			connection.Close()
			connection = nil
			continue
		}
		l.accepted[i].Store(true)
	}
}

// connect tries until the gateway is there again; nil when the test ends.
func (l *load) connect(t *testing.T) *smtp.Client {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if c, err := smtp.Dial(l.smtp); err == nil {
			return c
		}
		select {
		case <-again.C:
		case <-t.Context().Done():
			return nil
		}
	}
}

func sendNumbered(c *smtp.Client, i int) error {
	if err := c.Mail("alice@corp.test", nil); err != nil {
		return err
	}
	if err := c.Rcpt("someone@world.test", nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	hold := ""
	if i%10 == 0 {
		hold = "X-Sendgate-Hold: 0\r\n"
	}
	if _, err := fmt.Fprintf(w, "%sSubject: crash%d\r\n\r\n%s", hold, i, bytes.Repeat([]byte("0123456789abcde\r\n"), 240)); err != nil {
		return err
	}
	_, err = w.CloseWithResponse()
	return err
}

var numbered = regexp.MustCompile(`(?m)^Subject: crash(\d+)\r$`)

// countArrivals says how often each number lies in the sink.
func countArrivals(t *testing.T, world *sink) map[int]int {
	t.Helper()
	arrived := map[int]int{}
	for _, m := range world.messages() {
		found := numbered.FindSubmatch(m.data)
		if found == nil {
			t.Fatalf("the sink has a message that nobody sent:\n%s", m.data)
		}
		i, _ := strconv.Atoi(string(found[1]))
		arrived[i]++
	}
	return arrived
}

// listed is a line of the list of messages.
type listed struct{ ID string }

// search gives the messages that a query finds, at most 100.
func (g *gateway) search(t *testing.T, query string) []listed {
	t.Helper()
	var page struct{ Messages []listed }
	g.call(t, "GET", "/messages?limit=100&q="+url.QueryEscape(query), nil, &page)
	return page.Messages
}

// waiting counts messages that the gateway has yet to send, up to 100 of each state.
func (g *gateway) waiting(t *testing.T) int {
	t.Helper()
	n := 0
	for _, state := range strings.Fields("accepted held queued deferred") {
		n += len(g.search(t, "state:"+state))
	}
	return n
}

// marked reports whether a numbered message is marked as a possible duplicate.
func (g *gateway) marked(t *testing.T, i int) bool {
	t.Helper()
	return g.markedAs(t, fmt.Sprintf("crash%d", i))
}

// markedAs reports whether the message with a subject is marked as a possible duplicate.
func (g *gateway) markedAs(t *testing.T, subject string) bool {
	t.Helper()
	for _, m := range g.search(t, "subject:"+subject) {
		if g.message(t, m.ID).Recipients[0].MayBeDuplicate {
			return true
		}
	}
	return false
}
