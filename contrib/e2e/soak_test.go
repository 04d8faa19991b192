package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// TestSoak runs sendgate in front of a Postfix, under mixed load and every fault in turn: orderly restarts, SIGKILL, a
// full disk, rotation of the log it follows, a server behind that comes and goes. Nothing that was accepted may be lost,
// nothing that a recall took back may arrive, and what the process uses at the end is compared with what it used in the
// beginning. Half a minute by default; two hours with SENDGATE_LONG; SENDGATE_SOAK says how long otherwise.
func TestSoak(t *testing.T) {
	t.Parallel()
	need(t, dovecotBin, postfixBin)
	s := &soak{length: 30 * time.Second, pause: 3 * time.Second, recalls: 500 * time.Millisecond, world: startSink(t), ids: map[int]string{}, arrived: map[int]map[string]bool{}}
	if os.Getenv("SENDGATE_LONG") != "" {
		s.length, s.pause, s.recalls = 2*time.Hour, time.Minute, 7*time.Second
	}
	if text := os.Getenv("SENDGATE_SOAK"); text != "" {
		var err error
		if s.length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		s.pause = s.length / 100
		if s.length > 10*time.Minute {
			s.recalls = 7 * time.Second
		}
	}
	s.world.passing = s.arrive
	s.mta = startPostfix(t, startDovecot(t), s.world.address)
	s.gateway = startGateway(t, settings{
		upstream: plainUpstream(s.mta), hold: 5 * time.Second, delivery: "catch_up: 1000", unraced: s.length > 10*time.Minute,
		// So many texts are known within the first twelfth already: what grows after that is no memory that fills.
		rules:  rules{sections: "similar: {campaigns: 2000}\n"},
		track:  strings.Replace(following(s.mta, "127.0.0.2"), "upstreams: []", "upstreams: [mx]", 1),
		before: func(dir string) { smallDisk(t, filepath.Join(dir, "data")) },
	})
	s.run(t)
	s.account(t)
	s.compare(t)
}

// A soak is a long load with faults.
type soak struct {
	*gateway
	length, pause time.Duration
	recalls       time.Duration // between two of them: each is followed for a quarter of an hour
	mta           *postfix
	world         *sink

	up       sync.RWMutex // held for writing while the gateway is away
	next     atomic.Int64
	mu       sync.Mutex
	ids      map[int]string          // of accepted messages; empty for those without hold
	recalled []string                // ids
	arrived  map[int]map[string]bool // the queue ids by which Postfix brought it
	samples  []sample
}

// smallDisk gives the journal a file system of its own, that can be filled.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	check(t, os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6g,mode=0700"); err != nil {
		lack(t, "a file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { check(t, syscall.Unmount(dir, 0)) })
}

var (
	soaked = regexp.MustCompile(`(?m)^Subject: soak(\d+)\r$`)
	queued = regexp.MustCompile(`\bid ([0-9A-F]+)\b`) // of the topmost Received
)

// arrive counts what comes to the sink. What comes twice by the same queue file Postfix has sent twice, as it may
// when it is stopped in the middle: sendgate gave it once.
func (s *soak) arrive(m sunk) {
	found, id := soaked.FindSubmatch(m.data), queued.FindSubmatch(m.data)
	if found == nil || id == nil {
		return
	}
	i, _ := strconv.Atoi(string(found[1]))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrived[i] == nil {
		s.arrived[i] = map[string]bool{}
	}
	s.arrived[i][string(id[1])] = true
}

// run keeps everything going until the time is over.
func (s *soak) run(t *testing.T) {
	over := make(chan struct{})
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { s.client(over) })
	}
	all.Go(func() { s.every(over, time.Second, func() { s.look(t) }) })
	all.Go(func() { s.every(over, s.recalls, func() { s.recall(t) }) })
	all.Go(func() { s.every(over, s.length/120, func() { s.measure(t) }) })
	all.Go(func() { s.watch(over) })
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	faults := []func(*testing.T){s.restart, s.crash, s.fillDisk, s.flap, s.rotateLog}
	end := time.Now().Add(s.length)
	for n := 0; time.Now().Before(end); n++ {
		s.wait(over, s.pause+time.Duration(random.Int64N(int64(s.pause))))
		faults[n%len(faults)](t)
	}
	close(over)
	all.Wait()
}

// wait lets the load go on for a while.
func (s *soak) wait(over chan struct{}, d time.Duration) {
	select {
	case <-over:
	case <-time.After(d):
	}
}

// every does something again and again, while the gateway is there.
func (s *soak) every(over chan struct{}, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			s.up.RLock()
			do()
			s.up.RUnlock()
		}
	}
}

// The faults.

func (s *soak) restart(t *testing.T) {
	s.up.Lock()
	defer s.up.Unlock()
	check(t, s.process.stop(t))
	s.start(t)
}

func (s *soak) crash(t *testing.T) {
	s.up.Lock()
	defer s.up.Unlock()
	s.kill(t)
	s.start(t)
}

// filler is a file that takes all the space.
const filler = "filler"

// fillDisk leaves less than the reserve. The gateway has to say so, refuse, and take mail again afterwards.
func (s *soak) fillDisk(t *testing.T) {
	dir := filepath.Join(s.dir, "data")
	var fs syscall.Statfs_t
	check(t, syscall.Statfs(dir, &fs))
	f, err := os.Create(filepath.Join(dir, filler))
	check(t, err)
	check(t, syscall.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bavail)*fs.Bsize-(40<<20)))
	check(t, f.Close())
	eventually(t, "mail is refused while the disk is full", func() bool { return s.try("452") })
	check(t, os.Remove(f.Name()))
	eventually(t, "mail is taken again when there is space", func() bool { return s.try("250") })
}

// try sends a message and reports whether the answer begins so.
func (s *soak) try(code string) bool {
	_, answer, err := s.send(nil, int(s.next.Add(1)))
	if err != nil {
		answer = err.Error()
	}
	return strings.Contains(answer, code) || code == "250" && err == nil
}

// flap takes the server behind away for a while.
func (s *soak) flap(t *testing.T) {
	s.mta.stop(t)
	s.wait(nil, s.pause/3)
	s.mta.start(t)
}

func (s *soak) rotateLog(t *testing.T) {
	if out, code := run(t, postfixBin, "-c", filepath.Join(s.mta.dir, "etc"), "logrotate"); code != 0 {
		t.Errorf("postfix logrotate: %s", out)
	}
}

// The load.

// client sends some messages a second, over a connection that it renews when it breaks.
func (s *soak) client(over chan struct{}) {
	var c *smtp.Client
	s.every(over, 200*time.Millisecond, func() {
		var err error
		if c, _, err = s.send(c, int(s.next.Add(1))); err != nil && c != nil {
			c.Close()
			c = nil
		}
	})
	if c != nil {
		c.Close()
	}
}

// send sends message i: every tenth without hold, every fiftieth big, to one, three or twenty recipients.
func (s *soak) send(c *smtp.Client, i int) (*smtp.Client, string, error) {
	var err error
	if c == nil {
		if c, err = smtp.Dial(s.smtp); err != nil {
			return nil, "", err
		}
	}
	if err := c.Mail(fmt.Sprintf("user%d@corp.test", i%40), nil); err != nil {
		return c, "", err
	}
	for n := range []int{1, 1, 1, 3, 20}[i%5] {
		if err := c.Rcpt(fmt.Sprintf("someone%d@world.test", n), nil); err != nil {
			return c, "", err
		}
	}
	w, err := c.Data()
	if err != nil {
		return c, "", err
	}
	head, lines := "", 200
	if i%10 == 0 {
		head = "X-Sendgate-Hold: 0\r\n"
	}
	if i%50 == 7 {
		lines = 50_000
	}
	if _, err := fmt.Fprintf(w, "%sSubject: soak%d\r\n\r\n%s", head, i, bytes.Repeat([]byte("0123456789abcde\r\n"), lines)); err != nil {
		return c, "", err
	}
	answer, err := w.CloseWithResponse()
	if err != nil {
		return c, "", err
	}
	s.mu.Lock()
	s.ids[i] = regexp.MustCompile(`[0-9A-Z]{26}|$`).FindString(answer.StatusText)
	s.mu.Unlock()
	return c, answer.StatusText, nil
}

// recall takes back one of the messages that have come last.
func (s *soak) recall(t *testing.T) {
	s.mu.Lock()
	id := s.ids[int(s.next.Load())-2]
	s.mu.Unlock()
	if id == "" {
		return
	}
	if text, status := s.ask(t, "POST", "/recalls", map[string]any{"message_ids": []string{id}, "reason": "soak", "recipients": []string{}}); status < 300 {
		s.mu.Lock()
		s.recalled = append(s.recalled, id)
		s.mu.Unlock()
	} else if status != http.StatusConflict && status != http.StatusInsufficientStorage && status != http.StatusServiceUnavailable && status != http.StatusUnprocessableEntity {
		t.Errorf("recall: %d %s", status, text)
	}
}

// look does what the dashboard does.
func (s *soak) look(t *testing.T) {
	for _, path := range []string{"/messages?limit=50", "/messages?q=" + url.QueryEscape("from:user7 state:held"), "/overview", "/stats?hours=1"} {
		if text, status := s.ask(t, "GET", path, nil); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// watch reads the live events, again after each fault.
func (s *soak) watch(over chan struct{}) {
	s.every(over, time.Second, func() {
		request, err := http.NewRequest("GET", "http://"+s.api+"/api/v1/events", nil)
		if err != nil {
			return
		}
		request.Header.Set("Authorization", "Bearer "+apiToken)
		response, err := (&http.Client{Timeout: s.pause}).Do(request)
		if err != nil {
			return
		}
		defer response.Body.Close()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		}
	})
}

// account compares what was accepted with what arrived.
func (s *soak) account(t *testing.T) {
	within(t, 10*patience, "nothing is left to be sent", func() bool { return s.waiting(t) == 0 })
	within(t, 10*patience, "Postfix has sent everything", func() bool { return s.mta.empty(t) })
	s.mu.Lock()
	defer s.mu.Unlock()
	back := map[string]bool{}
	for _, id := range s.recalled {
		back[id] = s.message(t, id).State == "canceled"
	}
	lost, twice, unmarked, taken := 0, 0, 0, 0
	for i, id := range s.ids {
		n := len(s.arrived[i])
		switch {
		case back[id] && n > 0:
			t.Errorf("message %d was taken back, and arrived", i)
		case back[id]:
			taken++
		case n == 0:
			lost++
			t.Errorf("message %d (%s) was accepted and is lost", i, id)
		case n > 1:
			if twice++; !s.markedAs(t, fmt.Sprintf("soak%d", i)) {
				unmarked++
				t.Errorf("message %d arrived %d times and is not marked", i, n)
			}
		}
	}
	t.Logf("%v: %d sent, %d accepted, %d taken back, %d lost, %d twice, %d of them unmarked", s.length, s.next.Load(), len(s.ids), taken, lost, twice, unmarked)
	if len(s.ids) < int(s.next.Load())/2 || taken == 0 {
		t.Error("the load was none")
	}
}

// empty reports whether Postfix has nothing in its queue.
func (p *postfix) empty(t *testing.T) bool {
	run(t, "postqueue", "-c", filepath.Join(p.dir, "etc"), "-f")
	out, _ := run(t, "postqueue", "-c", filepath.Join(p.dir, "etc"), "-p")
	return strings.Contains(out, "Mail queue is empty")
}
