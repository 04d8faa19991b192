package recall

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// The real parts.
var (
	_ Journal   = (*store.Store)(nil)
	_ Feed      = (*store.Subscription)(nil)
	_ Mailboxes = (*mailbox.Router)(nil)
)

// A house is an engine on a real store, in real time.
type house struct {
	*testing.T
	st     *store.Store
	desk   *desk
	engine *Engine
}

func newHouse(t *testing.T) *house {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.Dir = t.TempDir()
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &life{}
	h := &house{T: t, st: st, desk: &desk{server: newServer(l), life: l}}
	c := DefaultConfig()
	c.PerHour, c.ApprovalOver, c.AlarmOver = 0, 0, 0
	h.engine = New(c, Needs{
		Journal: st, Feed: st.Subscribe(0), Queue: &queue{journal: st}, Mailboxes: h.desk, Directory: h.desk, Reporter: h.desk, Alarm: h.desk.alarm,
		Tracked: func(time.Time) bool { return true }, Now: time.Now, Log: zap.NewNop(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.engine.Run(ctx) }()
	for {
		h.engine.mu.Lock()
		running := h.engine.running != nil
		h.engine.mu.Unlock()
		if running {
			break
		}
		pause(ctx, time.Millisecond)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		st.Close()
	})
	return h
}

func (h *house) send(to ...policy.Address) policy.ID {
	h.Helper()
	m := policy.Envelope{
		Received: time.Now(), Front: policy.Relay, Direction: policy.Outbound, Sender: sender, Identity: "ann", MessageID: "<1@corp.example>", Size: 100,
	}
	for _, a := range to {
		m.Recipients = append(m.Recipients, policy.Recipient{Address: a})
	}
	id := h.st.NewID()
	h.commit(store.Change{Message: id, Envelope: &m, Events: []policy.Event{
		{Kind: policy.Accepted, Time: time.Now()}, {Kind: policy.Held, Time: time.Now(), Until: time.Now().Add(time.Minute)},
	}})
	return id
}

func (h *house) commit(c store.Change) {
	h.Helper()
	if _, err := h.st.Commit(context.Background(), c); err != nil {
		h.Error(err)
	}
}

// release lets a message go, unless it was taken back, and delivers it.
func (h *house) release(id policy.ID, user policy.Address) (released bool) {
	for {
		m, err := h.st.Message(id)
		if err != nil || m.States[policy.StateHeld] == 0 {
			return false
		}
		_, err = h.st.Commit(context.Background(), store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{{Kind: policy.Released, Time: time.Now()}}})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			h.Error(err)
			return false
		}
		h.desk.put(user.Key(), "INBOX", letter{id: id})
		h.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.DeliveredMailbox, Time: time.Now(), Recipients: []int{0}}}})
		return true
	}
}

func (h *house) recall(id policy.ID) *policy.RecallReport {
	h.Helper()
	r, err := h.engine.Start(context.Background(), policy.RecallRequest{
		Messages: []policy.ID{id}, Reason: "x", UnreadOnly: true, Requester: policy.RecallRequester{Actor: "api:ann", Role: user, Identity: "ann"},
	})
	if err != nil {
		h.Fatal(err)
	}
	changed, stop := h.engine.Watch(r.ID)
	defer stop()
	for {
		if r, err = h.engine.Report(context.Background(), r.ID); err != nil {
			h.Fatal(err)
		}
		if !r.Ended.IsZero() {
			return r
		}
		select {
		case <-changed:
		case <-time.After(60 * time.Second):
			h.Fatalf("it does not end: %+v", r)
		}
	}
}

// TestRaces recalls messages while they are released, delivered and read.
func TestRaces(t *testing.T) {
	h := newHouse(t)
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	outcomes := map[policy.RecallCode]int{}
	for i := range rounds {
		to := address(i)
		h.desk.put(to.Key(), "INBOX", letter{})
		id := h.send(to)
		var released bool
		var all sync.WaitGroup
		all.Go(func() {
			pause(context.Background(), rand.N(8*time.Millisecond))
			released = h.release(id, to)
		})
		all.Go(func() {
			pause(context.Background(), rand.N(25*time.Millisecond))
			h.desk.read(to.Key())
		})
		pause(context.Background(), rand.N(600*time.Microsecond))
		r := h.recall(id)
		all.Wait()
		line := r.Lines[0]
		outcomes[line.Code]++
		h.check(&line, released)
	}
	t.Log(outcomes)
}

// check holds a line against the mailbox.
func (h *house) check(line *policy.RecallLine, released bool) {
	h.Helper()
	h.desk.server.mu.Lock()
	defer h.desk.server.mu.Unlock()
	seen, read, aside := false, false, false
	for _, l := range h.desk.boxes[line.Address.Key()] {
		if l.id == line.Message {
			aside = aside || l.folder == staging
			seen = seen || l.folder != staging
			read = read || slices.Contains(l.flags, `\Seen`)
		}
	}
	switch {
	case line.Code == policy.RemovedFromHold && released:
		h.Errorf("%s: taken back from the hold, and released", line.Address)
	case line.Code.Status() == policy.RecallSuccess && seen:
		h.Errorf("%s: %s, and it is in the mailbox", line.Address, line.Code)
	case line.Code.Status() == policy.RecallFail && (aside || !seen):
		h.Errorf("%s: %s, and it is not in the mailbox", line.Address, line.Code)
	case aside && read:
		h.Errorf("%s: it was read, and is removed", line.Address)
	}
}

// TestStoreKeepsARecall takes up, on the same store, what another engine has done.
func TestStoreKeepsARecall(t *testing.T) {
	h := newHouse(t)
	to := []policy.Address{bob, far, "cat@corp.example"}
	id := h.send(to...)
	h.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.DeliveredMailbox, Time: time.Now(), Recipients: []int{0}}}})
	h.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.RelayedRemote, Time: time.Now(), Recipients: []int{1}, Reply: "250 ok"}}})
	h.desk.put(string(bob), "INBOX", letter{id: id})
	r := h.recall(id)
	want := map[policy.Address]policy.RecallCode{bob: policy.RemovedFromMailbox, far: policy.ExternalRecipient, "cat@corp.example": policy.RemovedFromHold}
	other := New(*h.engine.config(), h.engine.Needs)
	again, err := other.Report(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*policy.RecallReport{r, again} {
		for _, l := range x.Lines {
			if l.Code != want[l.Address] {
				t.Errorf("%s: %s", l.Address, l.Code)
			}
		}
		if x.Overall != policy.RecallPartial {
			t.Errorf("overall is %s", x.Overall)
		}
	}
	list, err := other.List(t.Context(), policy.ID{}, 10)
	if err != nil || len(list) != 1 || list[0].Counts != r.Counts {
		t.Errorf("listed %+v, %v", list, err)
	}
	if report, err := other.Restore(t.Context(), r.ID, nil, "api:root"); err != nil || report.Lines[0].Code != policy.RecallRestored {
		t.Errorf("restore: %v", err)
	}
	rows, _ := h.st.Recipients(id)
	if rows[0].State != policy.StateDeliveredMailbox || rows[2].State != policy.StateCanceled {
		t.Errorf("rows are %+v", rows)
	}
}

// TestManyOnARealStore takes a message out of mailboxes that answer at once.
func TestManyOnARealStore(t *testing.T) {
	h := newHouse(t)
	to := make([]policy.Address, 1500)
	for i := range to {
		to[i] = address(i)
	}
	id := h.send(to...)
	h.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.DeliveredMailbox, Time: time.Now()}}})
	for _, a := range to {
		h.desk.put(string(a), "INBOX", letter{id: id})
	}
	if r := h.recall(id); r.Overall != policy.RecallAllSuccess || r.Counts.Success != len(to) {
		t.Errorf("it is %s: %+v", r.Overall, r.Counts)
	}
}
