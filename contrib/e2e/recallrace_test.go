package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// counts of races of each front: short, and with SENDGATE_LONG.
func races(short, long int) int {
	if os.Getenv("SENDGATE_LONG") != "" {
		return long
	}
	return short
}

// raceWorkers is how many messages are raced for at a time.
const raceWorkers = 8

// parallelly runs work for 0 to n-1.
func parallelly(n int, work func(i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range raceWorkers {
		all.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// shortly waits up to d, so that what races begins now before, now after the other.
func shortly(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// againstRelease lets held messages go and takes them back at the same time: whoever is told that it was taken
// back can rely on it, and else it arrives once.
func (r *recalling) againstRelease(t *testing.T) {
	n := races(100, 5_000)
	ids, recalls := make([]string, n), make([]string, n)
	subject := func(i int) string { return fmt.Sprintf("release%d%s", i, r.front) }
	parallelly(n, func(i int) { // one after the other: the window in which such a recall may be asked for is short
		ids[i] = r.send(t, "alice@corp.test", subject(i), recallLetter(subject(i), "X-Sendgate-Hold: 600\r\n", "<"+subject(i)+"@corp.test>"), "x@world.test")
		var both sync.WaitGroup
		both.Go(func() {
			shortly(t.Context(), 30*time.Millisecond)
			if text, status := r.ask(t, "POST", "/messages/"+ids[i]+"/release", nil); status >= 300 && status != http.StatusConflict {
				t.Errorf("release: %d %s", status, text)
			}
		})
		both.Go(func() {
			shortly(t.Context(), 10*time.Millisecond)
			a := r.takeBack(t, ids[i], nil)
			if recalls[i] = a.ID; a.ID == "" {
				t.Errorf("%s is not to be taken back: %s", ids[i], a.Restriction.Code)
			}
		})
		both.Wait()
	})
	if t.Failed() {
		return
	}
	came := map[string]int{}
	codes := map[string]int{}
	var ended []string
	for i := range n {
		a := r.awaitRecall(t, recalls[i])
		ended = append(ended, a.Recipients[0].Code)
	}
	for i, code := range ended {
		want := "relayed_remote"
		if strings.HasPrefix(code, "removed_from_") {
			want = "canceled"
		}
		r.awaitState(t, ids[i], want)
		codes[code]++
	}
	for _, m := range r.world.messages() {
		_, after, _ := bytes.Cut(m.data, []byte("\r\nSubject: "))
		s, _, _ := bytes.Cut(after, []byte("\r\n"))
		came[string(s)]++
	}
	for i, code := range ended {
		want := 1
		if strings.HasPrefix(code, "removed_from_") {
			want = 0
		}
		if came[subject(i)] != want {
			t.Errorf("%s is %s and came %d times", ids[i], code, came[subject(i)])
		}
	}
	t.Logf("%d races: %v", n, codes)
}

// againstDelivery takes messages back while they are on their way to mailboxes. Nobody reads, so that all have to be
// taken back in the end.
func (r *recalling) againstDelivery(t *testing.T) {
	n := races(25, 500)
	codes := map[string]int{}
	recalls, users := make([]string, n), make([]string, n)
	parallelly(n, func(i int) {
		users[i] = fmt.Sprintf("delivery%d@%s", i, domainOf(r.front, backends[i%2], ""))
		subject := fmt.Sprintf("delivery%d%s", i, r.front)
		id := r.send(t, "alice@corp.test", subject, recallLetter(subject, "", "<"+subject+"@corp.test>"), users[i])
		shortly(t.Context(), 700*time.Millisecond)
		recalls[i] = r.takeBack(t, id, nil).ID
	})
	for i, user := range users {
		a := r.awaitRecall(t, recalls[i])
		if codes[a.Recipients[0].Code]++; a.Overall != "all_success" {
			t.Errorf("%s: %+v", user, a)
		}
	}
	for i, user := range users {
		if got := r.boxes.inbox(t, user); len(got) > 0 {
			t.Errorf("%s has it: %+v", user, r.recallOf(t, recalls[i]))
		}
	}
	t.Logf("%d races: %v", n, codes)
}

// againstReading takes messages back while their recipients read them. Who has got it to read keeps it; who was
// too late does not find it.
func (r *recalling) againstReading(t *testing.T) {
	n := races(25, 500)
	ids, users := make([]string, n), make([]string, n)
	parallelly(n, func(i int) {
		users[i] = fmt.Sprintf("reading%d@%s", i, domainOf(r.front, backends[i%2], ""))
		subject := fmt.Sprintf("reading%d%s", i, r.front)
		ids[i] = r.send(t, "alice@corp.test", subject, recallLetter(subject, "", "<"+subject+"@corp.test>"), users[i])
	})
	for _, id := range ids {
		r.awaitState(t, id, "delivered_mailbox")
	}
	var mu sync.Mutex
	codes := map[string]int{}
	parallelly(n, func(i int) {
		client, err := imapclient.DialInsecure(r.boxes.imap, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		if err := client.Login(users[i], mailboxPassword).Wait(); err != nil {
			t.Error(err)
		}
		if _, err := client.Select("INBOX", nil).Wait(); err != nil {
			t.Error(err)
		}
		var both sync.WaitGroup
		seen := false
		both.Go(func() {
			shortly(t.Context(), 300*time.Millisecond)
			seen = opens(client)
		})
		var recall string
		both.Go(func() {
			shortly(t.Context(), 20*time.Millisecond)
			recall = r.takeBack(t, ids[i], nil).ID
		})
		both.Wait()
		code := r.awaitRecall(t, recall).Recipients[0].Code
		mu.Lock()
		codes[fmt.Sprintf("%s, seen %t", code, seen)]++
		mu.Unlock()
		r.readOrRemoved(t, users[i], code, seen)
	})
	t.Logf("%d races: %v", n, codes)
}

// opens marks the message as read, as a program does that shows it, and reports whether the server has noted so. What
// FETCH itself marks (RFC 9051 6.4.5) Dovecot notes only after it has sent the text: for that moment nobody else can
// know of it.
func opens(client *imapclient.Client) bool {
	one := imap.SeqSetNum(1)
	if err := client.Store(one, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}, Silent: true}, nil).Close(); err != nil {
		return false
	}
	if err := client.Noop().Wait(); err != nil { // tells of what is gone
		return false
	}
	got, err := client.Fetch(one, &imap.FetchOptions{Flags: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	return err == nil && len(got) == 1 && slices.Contains(got[0].Flags, imap.FlagSeen) && len(got[0].BodySection[0].Bytes) > 0
}

// readOrRemoved compares what is claimed with the mailbox.
func (r *recalling) readOrRemoved(t *testing.T, user, code string, seen bool) {
	o := r.boxes.owner(t, user)
	inbox, staged := o.All("INBOX"), o.All(staging)
	switch code {
	case "removed_from_mailbox":
		if len(inbox) > 0 || len(staged) != 1 {
			t.Errorf("%s was taken back from and has %+v, %+v", user, inbox, staged)
		}
		for _, m := range staged {
			if strings.Contains(fmt.Sprint(m.Flags), `\Seen`) {
				t.Errorf("%s had read it: %+v", user, m)
			}
		}
		if seen {
			t.Errorf("%s had read it, and it was taken: %+v", user, staged)
		}
	case "already_read":
		if len(inbox) != 1 || len(staged) > 0 || !strings.Contains(fmt.Sprint(inbox[0].Flags), `\Seen`) {
			t.Errorf("%s had read it, and has %+v, %+v", user, inbox, staged)
		}
	case "read_during_recall": // in the middle of Dovecot's MOVE, whose copy does not have the flag, it comes back without
		if len(inbox) != 1 || len(staged) > 0 {
			t.Errorf("%s may have read it, and has %+v, %+v", user, inbox, staged)
		}
	default:
		t.Errorf("%s: %s, with %+v, %+v", user, code, inbox, staged)
	}
}
