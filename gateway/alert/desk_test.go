package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A running desk in a bubble of synctest.
type running struct {
	*Desk
	feed feed
	stop func() error
}

func begun(t *testing.T, j Journal, p Post, log *zap.Logger) running {
	t.Helper()
	d, err := New(settings(), people(t), j, p, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := running{Desk: d, feed: make(feed)}
	result := make(chan error, 1)
	go func() { result <- d.Run(ctx, r.feed) }()
	r.stop = func() error { cancel(); return <-result }
	return r
}

// put stores a message that waits for an approval for so many recipients.
func (m *memory) put(id policy.ID, pending int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.msgs[id] = store.Message{ID: id, States: map[policy.State]int{policy.StateApprovalPending: pending}, Envelope: policy.Envelope{
		Front: policy.Relay, Direction: policy.Outbound, Identity: "ann", Sender: "ann@corp.example", Subject: "offer",
	}}
}

// record is one of the journal about message n.
func record(batch uint64, position, n int, kind policy.Kind, findings ...policy.Finding) store.Record {
	return store.Record{Batch: batch, Position: position, Message: message(n), Events: []policy.Event{
		{Kind: kind, Time: time.Now(), Until: time.Now().Add(time.Hour), Actor: timer, Findings: findings},
	}}
}

func over(a policy.Action) policy.Finding {
	return policy.Finding{
		Rule: "external-hour", Kind: "limit", Unit: policy.ExternalRecipients, Key: "ann", Window: time.Hour, Asked: 1, Used: 300, Limit: 300,
		Exceeded: true, Decided: true, Action: a,
	}
}

const annsNotice, adminsNotice = "ann@corp.example: Your sending limit is reached", "ops@corp.example: Sending limit reached: ann"

func TestRecordsBecomeNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, p := newMemory(), &post{}
		r := begun(t, j, p, zap.NewNop())
		for n := range 4 {
			j.put(message(n), 0)
			r.feed <- record(1, n, n, policy.Held, over(policy.Hold))
		}
		r.feed <- record(2, 0, 99, policy.Held, over(policy.Hold)) // gone meanwhile
		r.feed <- record(3, 0, 1, policy.Accepted)
		time.Sleep(2 * time.Second)
		expect(t, "opening", p.take(), annsNotice, adminsNotice)
		time.Sleep(15 * time.Minute)
		expect(t, "update", p.take(), adminsNotice+" (update)")
		if in := r.List(true); len(in) != 1 || in[0].Count != 4 || in[0].Subject != "ann" {
			t.Errorf("%+v", in)
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A restart neither repeats nor forgets, wherever it comes.
func TestARestartNeitherRepeatsNorForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, p := newMemory(), &post{}
		j.put(message(1), 0)
		j.put(message(2), 0)
		r := begun(t, j, p, zap.NewNop())
		records := []store.Record{
			record(5, 0, 1, policy.Held, over(policy.Hold)), record(5, 1, 2, policy.Held, over(policy.Hold)), record(6, 0, 2, policy.Accepted),
		}
		r.feed <- records[0]
		time.Sleep(2 * time.Second)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		expect(t, "before", p.take(), annsNotice, adminsNotice)
		r = begun(t, j, p, zap.NewNop())
		if from := r.Begin(6, 6); from != 5 {
			t.Errorf("begins with %d", from)
		}
		for _, rec := range records {
			r.feed <- rec
		}
		time.Sleep(16 * time.Minute)
		expect(t, "after", p.take(), adminsNotice+" (update)")
		if in := r.List(true); len(in) != 1 || in[0].Count != 2 {
			t.Errorf("%+v", in)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// What was decided on but not delivered is delivered after a crash, under the same id.
func TestACrashDoesNotRepeatMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, p := newMemory(), &post{err: store.ErrFull}
		r := begun(t, j, p, zap.NewNop())
		r.Raise(exceeded(1, time.Now()))
		time.Sleep(2 * time.Second)
		crashed := newMemory()
		j.mu.Lock()
		crashed.kept[name] = j.kept[name] // as it was on the disk
		j.mu.Unlock()
		p.mu.Lock()
		p.err = nil
		p.mu.Unlock()
		time.Sleep(time.Minute)
		before := p.ids()
		expect(t, "before", p.take(), annsNotice, "ops@corp.example: Sending limit reached: ann@corp.example")
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r = begun(t, crashed, p, zap.NewNop())
		time.Sleep(time.Minute)
		if after := p.ids(); len(after) != 2 || !slices.Equal(after, before) {
			t.Errorf("ids %v, were %v", after, before)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMailThatCannotBeWrittenIsTriedForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		p := &post{err: store.ErrFull}
		r := begun(t, newMemory(), p, zap.New(core))
		r.Raise(Occurrence{Kind: DiskLow, Time: time.Now()})
		time.Sleep(59 * time.Minute)
		if n := logs.FilterMessage("notice could not be written").Len(); n < 100 || n > 130 {
			t.Errorf("%d tries", n)
		}
		time.Sleep(2 * time.Minute)
		if logs.FilterMessage("notice given up").Len() != 1 {
			t.Errorf("logs %v", logs.All()[logs.Len()-1])
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(r.Collectors()...)
		families, err := registry.Gather()
		if err != nil || len(families) != 2 || families[1].GetMetric()[0].GetCounter().GetValue() != 1 {
			t.Errorf("metrics %v, error %v", families, err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// An approval waits until all of its recipients are decided on; when the timer does it, it is told.
func TestApprovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, p := newMemory(), &post{}
		r := begun(t, j, p, zap.NewNop())
		defer func() {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		}()
		j.put(message(1), 2)
		j.put(message(2), 1)
		r.feed <- record(1, 0, 1, policy.ApprovalRequested, over(policy.Approval))
		r.feed <- record(2, 0, 2, policy.ApprovalRequested, over(policy.Approval))
		time.Sleep(2 * time.Second)
		expect(t, "requested", p.take(), "ann@corp.example: Your message waits for approval", "ops@corp.example: Waits for approval: ann")
		j.put(message(1), 1)
		r.feed <- record(3, 0, 1, policy.Canceled)
		j.put(message(2), 0)
		approved := record(4, 0, 2, policy.Approved)
		approved.Events[0].Actor = "api:ops"
		r.feed <- approved
		time.Sleep(2 * time.Second)
		if in := r.List(true); len(in) != 1 || len(in[0].Messages) != 1 {
			t.Fatalf("%+v", in)
		}
		j.put(message(1), 0)
		r.feed <- record(5, 0, 1, policy.Blocked)
		time.Sleep(2 * time.Second)
		expect(t, "returned, with a report", p.take(), "ops@corp.example: Nobody approved in time: ann")
		if in := r.List(true); len(in) != 1 || in[0].Kind != ApprovalExpired || in[0].Outcome != policy.Reject {
			t.Errorf("%+v", in)
		}
		time.Sleep(2 * time.Hour)
		j.put(message(3), 1)
		r.feed <- record(6, 0, 3, policy.ApprovalRequested, over(policy.Approval))
		time.Sleep(2 * time.Second)
		p.take()
		j.put(message(3), 0)
		r.feed <- record(7, 0, 3, policy.Released)
		time.Sleep(2 * time.Second)
		expect(t, "let go", p.take(), "ann@corp.example: Nobody approved your message in time", "ops@corp.example: Nobody approved in time: ann")
	})
}

func TestAcknowledge(t *testing.T) {
	j := newMemory()
	d, err := New(settings(), people(t), j, &post{}, time.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	d.Raise(exceeded(1, noon))
	if err := d.Acknowledge(d.List(true)[0].ID, "admin"); err != nil {
		t.Fatal(err)
	}
	if err := d.Acknowledge("01KJQW3JW01NC1DENT00000000", "admin"); !errors.Is(err, store.ErrNotFound) || err.Error() != "alert 01KJQW3JW01NC1DENT00000000: not found" {
		t.Errorf("error %v", err)
	}
	again, err := New(settings(), people(t), j, &post{}, time.Now, zap.NewNop())
	if err != nil || again.List(true)[0].AcknowledgedBy != "admin" {
		t.Errorf("not kept, error %v", err)
	}
	j.full = store.ErrFull
	if err := d.Acknowledge(d.List(true)[0].ID, "admin"); !errors.Is(err, store.ErrFull) || err.Error() != "keep alerts: the disk is nearly full" {
		t.Errorf("error %v", err)
	}
	if _, err := New(settings(), people(t), j, &post{}, time.Now, zap.NewNop()); err == nil || err.Error() != "read alerts: the disk is nearly full" {
		t.Errorf("error %v", err)
	}
}

func TestAValueThatCannotBeReadIsGivenUp(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	j := newMemory()
	j.kept[name] = []byte("\xff\xffnonsense")
	d, err := New(settings(), people(t), j, &post{}, time.Now, zap.New(core))
	if err != nil || len(d.List(false)) != 0 || logs.FilterMessage("kept alerts cannot be read, beginning anew").Len() != 1 {
		t.Errorf("error %v, logs %v", err, logs.All())
	}
}

func TestTheTestNotice(t *testing.T) {
	p := &post{}
	d, err := New(settings(), people(t), newMemory(), p, time.Now, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Test(t.Context()); err != nil || len(p.hooks) != 0 {
		t.Errorf("error %v, hooks %v", err, p.hooks)
	}
	expect(t, "mail", p.take(), "ops@corp.example: This is a test")
	s := settings()
	s.Admins, s.Hooks = nil, true
	d.Reload(s, people(t))
	if err := d.Test(t.Context()); err != nil || len(p.hooks) != 1 || len(p.mails) != 0 {
		t.Errorf("error %v, hooks %v", err, p.hooks)
	}
	s.Hooks = false
	d.Reload(s, people(t))
	if err := d.Test(t.Context()); err == nil || err.Error() != "nobody is to be told: name notices.admins or notices.webhooks" {
		t.Errorf("error %v", err)
	}
}

func TestABrokenFeedEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(settings(), people(t), newMemory(), &post{}, time.Now, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		f := make(feed)
		close(f)
		if err := d.Run(t.Context(), f); !errors.Is(err, store.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begun(t, newMemory(), &post{}, zap.NewNop())
		var raisers sync.WaitGroup
		for g := range 8 {
			raisers.Go(func() {
				for i := range 100 {
					r.Raise(Occurrence{Kind: TrackingGap, Subject: fmt.Sprint(i % 10), Time: time.Now(), Rule: fmt.Sprint(g % 2)})
					r.List(i%2 == 0)
				}
			})
		}
		raisers.Wait()
		total := 0
		for _, in := range r.List(true) {
			total += in.Count
		}
		if total != 800 || len(r.List(true)) != 20 {
			t.Errorf("%d occurrences in %d incidents", total, len(r.List(true)))
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAFullDiskKeepsNothingAndTellsAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.ErrorLevel)
		j, p := newMemory(), &post{}
		r := begun(t, j, p, zap.New(core))
		j.mu.Lock()
		j.full = store.ErrFull
		j.mu.Unlock()
		r.Raise(Occurrence{Kind: DiskLow, Time: time.Now()})
		time.Sleep(2 * time.Second)
		expect(t, "mail", p.take(), "ops@corp.example: The disk is nearly full")
		if n := logs.FilterMessage("alerts could not be kept").Len(); n == 0 || !strings.Contains(fmt.Sprint(logs.All()[0].ContextMap()), "the disk is nearly full") {
			t.Errorf("logs %v", logs.All())
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestWhereADeskBegins(t *testing.T) {
	for _, tt := range []struct {
		outcome    string
		batch      uint64 // of the mark
		position   int
		last, anew uint64
		from, mid  uint64 // mid is the batch up to which nothing is taken up
	}{
		{"after its mark, with a batch that may not be complete", 5, 2, 9, 9, 5, 5},
		{"at the last batch", 5, 2, 5, 5, 5, 5},
		{"with the first batch", 1, 0, 7, 7, 1, 1},
		{"from now on, where the mark is beyond the end", 5, 2, 4, 4, 4, 4},
		{"from now on, where there is no mark", 0, 0, 7, 7, 7, 7},
		{"after what a backup had, where there is no mark", 0, 0, 7, 4, 4, 4},
		{"after its mark, whatever was restored before", 5, 2, 7, 4, 5, 5},
		{"with what comes first, in an empty journal", 0, 0, 0, 0, 1, 0},
		{"again with what came first", 0, endOfBatch, 3, 3, 1, 0},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			j := newMemory()
			d, err := New(settings(), people(t), j, &post{}, time.Now, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			d.batch, d.position = tt.batch, tt.position
			if got := d.Begin(tt.last, tt.anew); got != tt.from || d.batch != tt.mid {
				t.Errorf("begins with %d, mark %d", got, d.batch)
			}
			if again := d.Begin(tt.last+5, tt.last+5); again != tt.from {
				t.Errorf("the second time with %d", again)
			}
		})
	}
}

// TestTheFirstMarkIsKeptAtOnce has a crash right after the first start: what comes then is told by the next one.
func TestTheFirstMarkIsKeptAtOnce(t *testing.T) {
	j := newMemory()
	for _, last := range []uint64{3, 8} {
		d, err := New(settings(), people(t), j, &post{}, time.Now, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		if from := d.Begin(last, last); from != 3 {
			t.Errorf("the journal ends at %d: begins with %d", last, from)
		}
	}
}
