package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A tank is messages to be drained: its queue lets them go at once, but for those that are stuck.
type tank struct {
	mu       sync.Mutex
	messages map[policy.ID]store.Message
	rows     map[policy.ID]policy.Rows
	stuck    map[policy.ID]bool
	went     []string
	tried    []policy.Event // what was told to be tried at once
	err      error
	rotten   policy.ID // cannot be read
	onGo     func()    // is called when something goes
}

func newTank() *tank {
	return &tank{messages: map[policy.ID]store.Message{}, rows: map[policy.ID]policy.Rows{}, stuck: map[policy.ID]bool{}}
}

// put adds a message in a state and gives its id.
func (k *tank) put(state policy.State, identity string) policy.ID {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := policy.ID{14: byte((len(k.messages) + 1) >> 8), 15: byte(len(k.messages) + 1)}
	due := time.Now().Add(time.Hour)
	k.messages[id] = store.Message{ID: id, Due: due, States: map[policy.State]int{state: 1}, Envelope: policy.Envelope{Identity: identity, Sender: policy.Address(identity + "@corp.example")}}
	k.rows[id] = policy.Rows{{Fate: policy.Fate{State: state, Due: due, Reply: "451 later"}}}
	return id
}

func (k *tank) Due(fn func(store.DueMessage) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	for id, m := range k.messages {
		if !m.Due.IsZero() {
			k.mu.Unlock()
			more := fn(store.DueMessage{ID: id, Due: m.Due})
			k.mu.Lock()
			if !more {
				break
			}
		}
	}
	return nil
}

func (k *tank) Message(id policy.ID) (store.Message, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id == k.rotten && id != (policy.ID{}) {
		return store.Message{}, errors.New("its row is damaged")
	}
	return k.messages[id], nil
}

func (k *tank) Recipients(id policy.ID) (policy.Rows, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rows[id], nil
}

func (k *tank) Commit(_ context.Context, c store.Change) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried = append(k.tried, c.Events...)
	if !k.stuck[c.Message] {
		k.messages[c.Message] = store.Message{ID: c.Message}
	}
	return 0, nil
}

func (k *tank) goes(verb string, id policy.ID, actor string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stuck[id] {
		return errors.New("busy")
	}
	if k.onGo != nil {
		k.onGo()
	}
	k.went = append(k.went, verb+" "+k.messages[id].Envelope.Identity+" by "+actor)
	k.messages[id] = store.Message{ID: id}
	return nil
}

func (k *tank) Release(_ context.Context, id policy.ID, actor string) error {
	return k.goes("released", id, actor)
}

func (k *tank) Approve(_ context.Context, id policy.ID, actor string) error {
	return k.goes("approved", id, actor)
}

// drained runs a drain to its end and gives what it says then, and the order of what was closed.
func (k *tank) drained(t *testing.T, timeout time.Duration, all bool, atClose func()) (web.Drain, string) {
	d := newDrain(k, k, func(identity string) bool { return identity == "mallory" }, time.Now, zap.NewNop())
	var closed []string
	done := make(chan error, 1)
	go func() {
		done <- d.run(t.Context(), func() { closed = append(closed, "fronts"); atClose() }, func() { closed = append(closed, "all") })
	}()
	if err := d.StartDrain(time.Now().Add(timeout), all, "api:ops"); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	return d.Drain(), strings.Join(closed, ", ")
}

func TestDrain(t *testing.T) {
	for _, test := range []struct {
		name     string
		all      bool
		went     string
		stays    string
		tried    int
		released int
	}{
		{"what waits for a person stays and is named", false, "released ann by api:ops", "approval bob@corp.example, suspended mallory@corp.example", 1, 1},
		{"unless all is to go", true, "approved bob by api:ops, released ann by api:ops, released mallory by api:ops", "", 1, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newTank()
				k.put(policy.StateHeld, "ann")
				k.put(policy.StateApprovalPending, "bob")
				k.put(policy.StateHeld, "mallory")
				k.put(policy.StateDeferred, "carol")
				k.put(policy.StateOffered, "client")
				d, closed := k.drained(t, time.Hour, test.all, func() {})
				slices.Sort(k.went)
				if got := strings.Join(k.went, ", "); got != test.went {
					t.Errorf("went: %s", got)
				}
				var stays []string
				for _, s := range d.Stays {
					stays = append(stays, s.Why+" "+s.Sender)
				}
				slices.Sort(stays)
				if got := strings.Join(stays, ", "); got != test.stays || d.Staying != len(stays) {
					t.Errorf("stays: %s (%d)", got, d.Staying)
				}
				if d.State != web.DrainEnded || d.Left != 0 || d.Released != test.released || closed != "fronts, all" {
					t.Errorf("%+v, closed %s", d, closed)
				}
				if len(k.tried) != test.tried || k.tried[0].Kind != policy.Deferred || k.tried[0].Reply != "451 later" || k.tried[0].Until.After(time.Now()) || !k.tried[0].Untried {
					t.Errorf("tried at once: %+v", k.tried)
				}
			})
		})
	}
}

// What a session brings while the listeners close goes, too.
func TestADrainLetsGoWhatComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTank()
		d, _ := k.drained(t, time.Hour, false, func() { k.put(policy.StateHeld, "late") })
		if got := strings.Join(k.went, ", "); got != "released late by api:ops" || d.Staying != 0 {
			t.Errorf("%s, %+v", got, d)
		}
	})
}

// After its time the process ends with what is left, which is named. Nothing is tried again and again.
func TestADrainEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTank()
		for range drainNamed + 20 {
			k.put(policy.StateApprovalPending, "bob")
		}
		stuck := k.put(policy.StateDeferred, "carol")
		k.stuck[stuck] = true
		begun := time.Now()
		d, closed := k.drained(t, time.Minute, false, func() {})
		if took := time.Since(begun); took < time.Minute || took > time.Minute+2*drainLinger {
			t.Errorf("it took %v", took)
		}
		if d.State != web.DrainEnded || d.Left != 1 || d.Staying != drainNamed+21 || len(d.Stays) != drainNamed || closed != "fronts, all" || len(k.tried) != 1 {
			t.Errorf("%s, %d left, %d stay, %d named, closed %s, %d tried", d.State, d.Left, d.Staying, len(d.Stays), closed, len(k.tried))
		}
	})
}

func TestADrainIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTank()
		id := k.put(policy.StateHeld, "ann")
		k.stuck[id] = true
		d := newDrain(k, k, func(string) bool { return false }, time.Now, zap.NewNop())
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.run(ctx, func() { t.Error("closed") }, func() { t.Error("ended") }) }()
		if d.StopDrain("api:ops") {
			t.Error("what has not begun is stopped")
		}
		if err := d.StartDrain(time.Now().Add(time.Hour), false, "api:ops"); err != nil {
			t.Fatal(err)
		}
		if err := d.StartDrain(time.Now().Add(time.Hour), false, "api:ops"); !errors.Is(err, errDrainBegun) {
			t.Error(err)
		}
		time.Sleep(5 * drainPause)
		synctest.Wait()
		if got := d.Drain(); got.Left != 1 || got.State != web.DrainOn || !d.on() {
			t.Errorf("%+v", got)
		}
		k.mu.Lock()
		k.err = errors.New("unreadable")
		k.mu.Unlock()
		time.Sleep(3 * drainPause)
		synctest.Wait()
		if !d.on() {
			t.Error("it ends although it cannot be read what is left")
		}
		if !d.StopDrain("api:ops") || d.on() {
			t.Error("it goes on")
		}
		time.Sleep(3 * drainPause)
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What comes after a stop is held, and what was about to go stays.
func TestAStoppedDrainLetsNothingMoreGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTank()
		for range 10 * drainAtOnce {
			k.put(policy.StateHeld, "ann")
		}
		d := newDrain(k, k, func(string) bool { return false }, time.Now, zap.NewNop())
		k.onGo = func() { d.StopDrain("api:ops") }
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.run(ctx, func() { t.Error("closed") }, func() { t.Error("ended") }) }()
		if err := d.StartDrain(time.Now().Add(time.Hour), false, "api:ops"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(k.went) == 0 || len(k.went) > drainAtOnce {
			t.Errorf("%d of %d went after it was stopped", len(k.went), 10*drainAtOnce)
		}
		k.mu.Lock()
		went := len(k.went)
		k.messages, k.onGo = map[policy.ID]store.Message{}, nil
		stuck := policy.ID{15: 1}
		k.mu.Unlock()
		k.put(policy.StateHeld, "bob")
		k.stuck[stuck] = true
		if err := d.StartDrain(time.Now().Add(time.Hour), false, "api:ops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(drainPause / 2)
		synctest.Wait()
		if !d.StopDrain("api:ops") {
			t.Error("it cannot be stopped")
		}
		k.put(policy.StateHeld, "carol") // it came after the stop
		time.Sleep(3 * drainPause)
		synctest.Wait()
		if len(k.went) != went {
			t.Errorf("went after the stop: %v", k.went[went:])
		}
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// One message that cannot be read stays and is named; the others go.
func TestADrainGoesOnPastWhatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTank()
		k.rotten = k.put(policy.StateHeld, "rotten")
		k.put(policy.StateHeld, "ann")
		d, _ := k.drained(t, time.Minute, false, func() {})
		if got := strings.Join(k.went, ", "); got != "released ann by api:ops" || d.Staying != 1 || d.Stays[0].Why != "unreadable" || d.Stays[0].ID != k.rotten.String() || d.Unknown {
			t.Errorf("%s, %+v", got, d)
		}
	})
}

// A journal that cannot be read does not keep the process for ever, and nothing is claimed about what is left.
func TestADrainThatSeesNothingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTank()
		k.err = errors.New("unreadable")
		begun := time.Now()
		d, closed := k.drained(t, time.Minute, false, func() {})
		if took := time.Since(begun); took > time.Minute+2*drainLinger || closed != "fronts, all" || !d.Unknown || d.State != web.DrainEnded {
			t.Errorf("after %v: %+v, closed %s", took, d, closed)
		}
	})
}

func TestADrainingGatewayTakesNoMail(t *testing.T) {
	d := newDrain(newTank(), newTank(), nil, time.Now, zap.NewNop())
	c := closed{fixed{policy.Verdict{Action: policy.Hold}}, d}
	ask := func(stage policy.Stage, direction policy.Direction, front policy.Front) policy.Verdict {
		return c.Decide(t.Context(), policy.Submission{Stage: stage, Envelope: &policy.Envelope{Direction: direction, Front: front}})
	}
	if v := ask(policy.StageEnd, policy.Outbound, policy.Relay); v.Action != policy.Hold {
		t.Errorf("before: %+v", v)
	}
	if err := d.StartDrain(time.Now().Add(time.Hour), false, "api:ops"); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []policy.Stage{policy.StageMail, policy.StageRcpt, policy.StageEnd} {
		v := ask(stage, policy.Outbound, policy.Milter)
		if v.Action != policy.Defer || v.Code != 421 || v.Status != "4.3.2" || v.Text.EN != "This gateway is being shut down and takes no more mail, try again later" ||
			v.Text.ZH != "邮件网关正在停机，暂不接收邮件，请稍后重试" {
			t.Errorf("%+v", v)
		}
	}
	for name, v := range map[string]policy.Verdict{
		"what was decided on before": ask(policy.StageContent, policy.Outbound, policy.Relay),
		"inbound mail":               ask(policy.StageEnd, policy.Inbound, policy.Milter),
		"our own mail":               ask(policy.StageEnd, policy.Outbound, policy.Internal),
	} {
		if v.Action != policy.Hold {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
