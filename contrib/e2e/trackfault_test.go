package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// TestTrackingUnderFaults kills the gateway with SIGKILL under load while its logs are rotated, and
// compares what it says of each recipient with what the sink and the mailboxes hold.
//
// In front of Postfix, it follows two files over which a postman has spread Postfix's log: lines come
// late, in another order, several times, and many in one of the files only. One is rotated by
// renaming, the other by copying and truncating. As its milter, it follows Postfix's own file, which
// "postfix logrotate" renames and compresses. Some of the rotations happen while the gateway is away.
func TestTrackingUnderFaults(t *testing.T) {
	t.Parallel()
	messages := 2000 / rowsEach
	if os.Getenv("SENDGATE_LONG") != "" {
		messages *= 10
	}
	t.Run("relay", func(t *testing.T) {
		t.Parallel()
		need(t, dovecotBin, postfixBin)
		boxes, world := startDovecot(t), startSink(t)
		mta := startPostfix(t, boxes, world.address)
		p := startPostman(t, filepath.Join(mta.dir, "mail.log"))
		g := startGateway(t, settings{
			upstream: plainUpstream(mta), hold: 20 * time.Millisecond, delivery: "catch_up: 1000",
			track: fmt.Sprintf(`track:
  sources:
    - {name: renamed, file: %s, start: beginning, poll: 50ms}
    - {name: copied, file: %s, start: beginning, poll: 50ms}
  upstreams: [mx]
  our_relays: []
  unknown_after: 1m
`, p.renamed, p.copied),
		})
		s := &siege{gateway: g, boxes: boxes, mta: mta, world: world, entry: g.smtp, rotate: p.rotate, settle: p.settle}
		s.run(t, messages)
	})
	t.Run("milter", func(t *testing.T) {
		t.Parallel()
		need(t, dovecotBin, postfixBin)
		boxes := startDovecot(t)
		h := startHolding(t, holdSettings{hold: 20 * time.Millisecond, boxes: boxes, track: func(mta *postfix) string {
			return following(mta, "127.0.0.2")
		}})
		s := &siege{gateway: h.gateway, boxes: boxes, mta: h.mta, world: h.world, entry: h.mta.smtp, settle: func() {}, rotate: func(t *testing.T) {
			if out, code := run(t, postfixBin, "-c", filepath.Join(h.mta.dir, "etc"), "logrotate"); code != 0 {
				t.Errorf("postfix logrotate: %s", out)
			}
		}}
		s.run(t, messages)
	})
}

// rowsEach is how many rows that count a message of a siege has: an alias for three, and three more.
const rowsEach = 6

// A siege is a load with faults.
type siege struct {
	*gateway
	boxes  *dovecot
	mta    *postfix
	world  *sink
	entry  string
	rotate func(t *testing.T) // rotates the logs
	settle func()             // lets all lines come through

	next     atomic.Int64
	accepted sync.Map // numbers
	count    atomic.Int64
	mu       sync.Mutex
	answers  map[string]string // of the sink to a recipient: the last one
	asked    map[string]int
}

// run sends messages until so many were accepted, with faults meanwhile, and compares.
func (s *siege) run(t *testing.T, messages int) {
	s.answers, s.asked = map[string]string{}, map[string]int{}
	s.world.answering(s.answer)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() { s.client(t, messages) })
	}
	const kills = 4
	sent := func(part int) {
		n := part * messages / (2*kills + 1)
		within(t, 5*patience, fmt.Sprintf("%d messages were accepted", n), func() bool { return int(s.count.Load()) >= n })
	}
	for i := range kills {
		sent(2*i + 1)
		s.rotate(t)
		sent(2*i + 2)
		s.kill(t)
		for range i % 3 {
			s.rotate(t)
		}
		s.start(t)
	}
	clients.Wait()
	eventually(t, "nothing is left to be handed on", func() bool {
		return len(s.search(t, "state:held")) == 0
	})
	s.compare(t, messages)
}

// answer is the sink's. It refuses some recipients, puts some off, and some at the first time only.
func (s *siege) answer(verb string, m sunk) string {
	if verb != "RCPT" {
		return ""
	}
	to := path.FindStringSubmatch(m.rcpt[len(m.rcpt)-1])[1]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[to]++
	s.answers[to] = ""
	switch {
	case strings.HasPrefix(to, "gone"):
		s.answers[to] = noSuchUser
	case strings.HasPrefix(to, "busy"), strings.HasPrefix(to, "late") && s.asked[to] == 1:
		s.answers[to] = tryLater
	}
	return s.answers[to]
}

// recipients of message i, with the state that each one has to reach.
func recipients(i int) (to []string, states map[string]string) {
	special := []string{"gone", "busy", "late"}[i%3]
	to = []string{
		"dave@corp.test", fmt.Sprintf("fine%d@world.test", i), fmt.Sprintf("%s%d@world.test", special, i), "everyone@corp.test",
	}
	states = map[string]string{
		"alice@corp.test": "delivered_mailbox", "bob@corp.test": "delivered_mailbox", "carol@corp.test": "delivered_mailbox",
		to[0]: "delivered_mailbox", to[1]: "relayed_remote",
		to[2]: map[string]string{"gone": "bounced", "busy": "deferred", "late": "relayed_remote"}[special],
	}
	return to, states
}

// client sends messages until there are enough.
func (s *siege) client(t *testing.T, messages int) {
	var connection *smtp.Client
	defer func() {
		if connection != nil {
			connection.Close()
		}
	}()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for int(s.count.Load()) < messages && t.Context().Err() == nil {
		i := int(s.next.Add(1))
		var err error
		if connection == nil {
			connection, err = smtp.Dial(s.entry)
		}
		if err == nil {
			err = sendFault(connection, i)
		}
		if err == nil {
			s.accepted.Store(i, true)
			s.count.Add(1)
			continue
		}
		if connection != nil {
			connection.Close()
			connection = nil
		}
		<-pause.C // it is being killed
	}
}

func sendFault(c *smtp.Client, i int) error {
	if err := c.Mail("alice@corp.test", nil); err != nil {
		return err
	}
	to, _ := recipients(i)
	for _, r := range to {
		if err := c.Rcpt(r, nil); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "Subject: fault%d\r\nMessage-ID: <fault%d@corp.test>\r\n\r\nHello.\r\n", i, i); err != nil {
		return err
	}
	_, err = w.CloseWithResponse()
	return err
}

// flush has Postfix try again at once what it has put off.
func (s *siege) flush(t *testing.T) {
	t.Helper()
	if out, code := run(t, postqueueBin, "-c", filepath.Join(s.mta.dir, "etc"), "-f"); code != 0 {
		t.Fatalf("postqueue: %s", out)
	}
}

// number is that of a message, from the Subject in its own header; 0 for a bounce.
func number(message []byte) int {
	header, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	for line := range bytes.Lines(header) {
		if digits, ok := bytes.CutPrefix(line, []byte("Subject: fault")); ok {
			n, _ := strconv.Atoi(string(bytes.TrimSpace(digits)))
			return n
		}
	}
	return 0
}

// A truth says what became of the recipients of a message: who has it, by address.
type truth map[int]map[string]string

func (u truth) set(i int, to, state string) {
	if u[i] == nil {
		u[i] = map[string]string{}
	}
	u[i][to] = state
}

// truth looks into the sink and the mailboxes.
func (s *siege) truth(t *testing.T) truth {
	u := truth{}
	s.mu.Lock()
	for to, answer := range s.answers {
		i, _ := strconv.Atoi(strings.Trim(to, "abcdefghijklmnopqrstuvwxyz@."))
		switch {
		case strings.HasPrefix(answer, "5"):
			u.set(i, to, "bounced")
		case strings.HasPrefix(answer, "4"):
			u.set(i, to, "deferred")
		}
	}
	s.mu.Unlock()
	for _, m := range s.world.messages() {
		for _, r := range m.rcpt {
			u.set(number(m.data), path.FindStringSubmatch(r)[1], "relayed_remote")
		}
	}
	for _, user := range []string{"alice@corp.test", "bob@corp.test", "carol@corp.test", "dave@corp.test"} {
		for _, m := range s.boxes.inbox(t, user) {
			u.set(number(m), user, "delivered_mailbox")
		}
	}
	delete(u, 0)
	return u
}

// compare waits until the world is as it has to become, and sendgate says so.
func (s *siege) compare(t *testing.T, messages int) {
	real := s.awaitTruth(t)
	s.settle()
	begun := time.Now()
	ids := s.all(t, "from:alice@corp.test")
	if len(ids) < messages {
		t.Fatalf("%d messages are recorded", len(ids))
	}
	s.awaitKnown(t, ids, real)
	took := time.Since(begun)
	if os.Getenv("SENDGATE_LONG") != "" { // what looks for lost recipients must find none
		within(t, 5*time.Minute, "it was looked twice", func() bool { return time.Since(begun) > 3*time.Minute })
		s.awaitKnown(t, ids, real)
	}
	var stats struct {
		Recipients int
		States     map[string]int
		Tracking   []struct {
			Name string
			Gaps []any
		}
	}
	s.call(t, "GET", "/stats?hours=24", nil, &stats)
	t.Logf("%d tries, %d accepted, %d recorded; recipients: %v; known %v after the last line; sources %+v",
		s.next.Load(), s.count.Load(), len(ids), stats.States, took.Round(time.Millisecond), stats.Tracking)
	if unknown := stats.States["unknown"]; unknown*10_000 >= stats.Recipients {
		t.Errorf("%d of %d recipients are unknown", unknown, stats.Recipients)
	}
}

// awaitKnown waits until sendgate says of all messages what is true.
func (s *siege) awaitKnown(t *testing.T, ids []string, real truth) {
	t.Helper()
	open := slices.Clone(ids)
	var wrong []string
	for begun := time.Now(); len(open) > 0 && time.Since(begun) < patience; {
		wrong = nil
		open = slices.DeleteFunc(open, func(id string) bool {
			w := s.differences(t, id, real)
			wrong = append(wrong, w...)
			return len(w) == 0
		})
	}
	if len(open) > 0 {
		t.Errorf("of %d messages something else is said than is true: %q", len(open), wrong[:min(20, len(wrong))])
	}
}

// awaitTruth waits until everything that was accepted is where it has to come.
func (s *siege) awaitTruth(t *testing.T) (real truth) {
	t.Helper()
	var missing []string
	begun, flushed := time.Now(), time.Time{}
	for time.Since(begun) < 2*patience {
		if time.Since(flushed) > 2*time.Second {
			s.flush(t)
			flushed = time.Now()
		}
		real = s.truth(t)
		if missing = s.missing(real); len(missing) == 0 {
			return real
		}
	}
	t.Fatalf("%d messages have not come to their end: %q", len(missing), missing[:min(10, len(missing))])
	return nil
}

// missing are the accepted messages whose recipients are not where they have to come.
func (s *siege) missing(real truth) (missing []string) {
	s.accepted.Range(func(k, _ any) bool {
		i := k.(int)
		if _, states := recipients(i); !maps.Equal(states, real[i]) {
			missing = append(missing, fmt.Sprintf("%d: %v", i, real[i]))
		}
		return true
	})
	return missing
}

// differences are those between what sendgate says of a message and what became of it.
func (s *siege) differences(t *testing.T, id string, real truth) (wrong []string) {
	t.Helper()
	d := s.message(t, id)
	i, err := strconv.Atoi(strings.TrimPrefix(d.Subject, "fault"))
	if err != nil {
		return []string{fmt.Sprintf("the subject of %s is %q", id, d.Subject)}
	}
	if _, accepted := s.accepted.Load(i); !accepted && real[i] == nil {
		return d.claims() // Postfix has never had it
	}
	said := map[string]string{}
	for _, r := range d.Recipients {
		if r.Members == 0 && !r.Superseded {
			said[r.Address] = r.State
		}
	}
	if !maps.Equal(said, real[i]) {
		wrong = append(wrong, fmt.Sprintf("%s %s: sendgate says %v, true is %v", d.Subject, id, said, real[i]))
	}
	return wrong
}

// claims are rows that say that the message has left.
func (d detail) claims() (wrong []string) {
	for _, r := range d.Recipients {
		switch r.State {
		case "delivered_mailbox", "relayed_remote", "bounced", "deferred", "unknown":
			wrong = append(wrong, fmt.Sprintf("%s was not accepted: %+v", d.Subject, r))
		}
	}
	return wrong
}

// A postman spreads a log over two files.
type postman struct {
	log             *os.File
	renamed, copied string
	files           [2]*os.File
	rest            []byte   // of a line that is not whole yet
	waiting         []posted // lines to come
	orders          chan func()
	random          *rand.Rand
}

// posted is a line on its way to a file.
type posted struct {
	line []byte
	file int
}

// startPostman spreads a log until the test ends.
func startPostman(t *testing.T, log string) *postman {
	t.Helper()
	dir := directory(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	p := &postman{
		renamed: filepath.Join(dir, "renamed.log"), copied: filepath.Join(dir, "copied.log"),
		orders: make(chan func()), random: rand.New(rand.NewPCG(seed, 0)),
	}
	eventually(t, "there is a log", func() bool {
		var err error
		p.log, err = os.Open(log)
		return err == nil
	})
	for i, name := range []string{p.renamed, p.copied} {
		p.files[i] = appendTo(t, name)
	}
	done := make(chan struct{})
	go p.work(done)
	t.Cleanup(func() {
		close(p.orders)
		<-done
		for _, f := range append(p.files[:], p.log) {
			f.Close()
		}
	})
	return p
}

func appendTo(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// work goes its rounds, and does what it is told between two of them.
func (p *postman) work(done chan struct{}) {
	defer close(done)
	round := time.NewTicker(30 * time.Millisecond)
	defer round.Stop()
	for {
		select {
		case <-round.C:
			p.fetch()
			p.deliver(0.6)
		case order, ok := <-p.orders:
			if !ok {
				return
			}
			order()
		}
	}
}

// do gives an order and waits for it.
func (p *postman) do(order func()) {
	done := make(chan struct{})
	p.orders <- func() { defer close(done); order() }
	<-done
}

// fetch takes the new lines. Most go to one file, some to both, some twice.
func (p *postman) fetch() {
	buffer := make([]byte, 1<<20)
	n, _ := p.log.Read(buffer)
	p.rest = append(p.rest, buffer[:n]...)
	for {
		i := bytes.IndexByte(p.rest, '\n')
		if i < 0 {
			return
		}
		line := bytes.Clone(p.rest[:i+1])
		p.rest = p.rest[i+1:]
		first := p.random.IntN(2)
		p.waiting = append(p.waiting, posted{line, first})
		for p.random.IntN(4) == 0 {
			p.waiting = append(p.waiting, posted{line, p.random.IntN(2)})
		}
	}
}

// deliver writes a share of the lines in any order; the others wait for a later round.
func (p *postman) deliver(share float64) {
	p.random.Shuffle(len(p.waiting), func(i, j int) { p.waiting[i], p.waiting[j] = p.waiting[j], p.waiting[i] })
	n := int(float64(len(p.waiting))*share + 0.999)
	for _, l := range p.waiting[:n] {
		_, _ = p.files[l.file].Write(l.line)
	}
	p.waiting = slices.Delete(p.waiting, 0, n)
}

// settle writes all lines there are.
func (p *postman) settle() {
	p.do(func() {
		p.fetch()
		p.deliver(1)
	})
}

// rotate renames the one file, into which some lines are still written then, and copies and empties
// the other one. What was rotated before is compressed, as logrotate(8) does with delaycompress.
func (p *postman) rotate(t *testing.T) {
	t.Helper()
	p.do(func() {
		compress(t, p.renamed)
		compress(t, p.copied)
		check(t, os.Rename(p.renamed, p.renamed+".1"))
		text, err := os.ReadFile(p.copied)
		check(t, err)
		check(t, os.WriteFile(p.copied+".1", text, 0o644))
		check(t, os.Truncate(p.copied, 0))
		p.fetch()
		p.deliver(0.3) // the writer has not noticed yet
		check(t, p.files[0].Close())
		p.files[0] = appendTo(t, p.renamed)
	})
}

// compress makes name.2.gz of name.1, and moves older ones on.
func compress(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name + ".1")
	if err != nil {
		return // it is the first rotation
	}
	for n := 20; n > 1; n-- {
		_ = os.Rename(fmt.Sprintf("%s.%d.gz", name, n), fmt.Sprintf("%s.%d.gz", name, n+1))
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(text)
	check(t, w.Close())
	check(t, os.WriteFile(name+".1.gz", zipped.Bytes(), 0o644))
	check(t, os.Remove(name+".1"))
	check(t, os.Rename(name+".1.gz", name+".2.gz"))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
