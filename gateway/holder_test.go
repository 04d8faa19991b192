package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// mute tells senders nothing.
type mute struct{}

func (mute) Failed(context.Context, store.Message, []store.Recipient) (id policy.ID, told []int, err error) {
	return id, nil, nil
}

func (mute) Delayed(context.Context, store.Message, []store.Recipient) (id policy.ID, told []int, err error) {
	return id, nil, nil
}

func (mute) Relayed(context.Context, store.Message, []store.Recipient) (id policy.ID, told []int, err error) {
	return id, nil, nil
}

// held is a message to bob and carol that is held, by Postfix unless its front says otherwise.
type held struct {
	holder
	helper *fakeHelper
	id     policy.ID
}

func newHeld(t *testing.T, front policy.Front) *held {
	t.Helper()
	journal, helper := openStore(t), startHelper(t)
	keeper := openKeeper(t, helper, journal)
	d := deliverer{openRoutes(t, startHop(t).config("mx")), keeper, zap.NewNop()}
	h := &held{holder: holder{journal: journal, keeper: keeper}, helper: helper, id: journal.NewID()}
	e := envelope("bob@corp.test", "carol@corp.test")
	e.Front = front
	commit(t, journal, store.Change{Message: h.id, Envelope: &e, Events: []policy.Event{
		{Kind: policy.Accepted, Time: e.Received}, {Kind: policy.Held, Time: e.Received, Until: e.Received.Add(time.Hour)},
	}})
	helper.put(queued{Envelope: postfix.Envelope{ID: queueID, Queue: "hold", Arrival: e.Received, Sender: e.Sender}})
	var err error
	h.scheduler, err = hold.New(hold.DefaultConfig(), journal, journal.Subscribe(0), d, mute{}, time.Now, zap.NewNop(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// cancel gives the codes.
func (h *held) cancel(t *testing.T, recipients ...int) string {
	t.Helper()
	outcomes, err := h.Cancel(t.Context(), h.id, recipients, "wrong", "api:test")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, o := range outcomes {
		codes = append(codes, string(o.Code))
	}
	return strings.Join(codes, " ")
}

func (h *held) states(t *testing.T) string {
	t.Helper()
	rows, err := h.journal.Recipients(h.id)
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for i := range rows {
		states = append(states, string(rows[i].State))
	}
	return strings.Join(states, " ")
}

func (h *held) release(t *testing.T) {
	t.Helper()
	if err := h.Release(t.Context(), h.id, "api:test"); err != nil {
		t.Fatal(err)
	}
}

func TestCancelAtPostfix(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, h *held)
		only    []int
		codes   string
		states  string
		kept    bool // in Postfix
	}{
		{"all", nil, nil, "removed_from_hold removed_from_hold", "canceled canceled", false},
		{"some", nil, []int{1}, "removed_from_hold", "held canceled", true},
		{"the rest after some", func(t *testing.T, h *held) { h.cancel(t, 1) }, nil,
			"removed_from_hold already_recalled", "canceled canceled", false},
		{"the last after the first", func(t *testing.T, h *held) { h.cancel(t, 1) }, []int{0},
			"removed_from_hold", "canceled canceled", false},
		{"the helper is away", func(_ *testing.T, h *held) { h.helper.listener.Close() }, nil, "retrying retrying", "held held", true},
		{"the helper is away, for some", func(_ *testing.T, h *held) { h.helper.listener.Close() }, []int{1}, "retrying", "held held", true},
		{"Postfix is still receiving it", func(_ *testing.T, h *held) {
			m := h.helper.queue[queueID]
			m.Queue = "incoming"
			h.helper.put(m)
		}, nil, "retrying retrying", "held held", true},
		{"Postfix does not have it", func(_ *testing.T, h *held) { delete(h.helper.queue, queueID) }, nil, "retrying retrying", "held held", false},
		{"the helper goes away after the decision", func(_ *testing.T, h *held) { h.helper.silent["delete"] = true }, nil,
			"retrying retrying", "canceled canceled", true},
		{"again when the helper is back", func(t *testing.T, h *held) {
			h.helper.set(h.helper.silent, "delete", true)
			h.cancel(t)
			h.helper.set(h.helper.silent, "delete", false)
		}, nil, "already_recalled already_recalled", "canceled canceled", false},
		{"again", func(t *testing.T, h *held) { h.cancel(t) }, nil, "already_recalled already_recalled", "canceled canceled", false},
		{"let go, and waiting for the helper", func(t *testing.T, h *held) { h.release(t) }, nil,
			"removed_from_queue removed_from_queue", "canceled canceled", false},
		{"let go, waiting, and deleted by hand", func(t *testing.T, h *held) {
			h.release(t)
			delete(h.helper.queue, queueID)
		}, nil, "unknown unknown", "canceled canceled", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHeld(t, policy.Milter)
			if tt.prepare != nil {
				tt.prepare(t, h)
			}
			if codes := h.cancel(t, tt.only...); codes != tt.codes {
				t.Errorf("codes %s", codes)
			}
			if states := h.states(t); states != tt.states {
				t.Errorf("states %s", states)
			}
			if h.helper.has(queueID) != tt.kept {
				t.Errorf("Postfix has it: %t", !tt.kept)
			}
			if deleted := slices.Contains(h.helper.questions(), "delete "+queueID) && !tt.kept; deleted != h.deleted(h.id) && !strings.Contains(tt.codes, "unknown") {
				t.Errorf("the journal says deleted: %t", h.deleted(h.id))
			}
		})
	}
}

// letGo makes Postfix go on with the message; it is deferred there. gone are done with.
func (h *held) letGo(t *testing.T, gone ...policy.Address) {
	t.Helper()
	h.release(t)
	commit(t, h.journal, store.Change{Message: h.id, Events: []policy.Event{{Kind: policy.Queued, Time: time.Now().UTC(), QueueID: queueID}}})
	m := h.helper.queue[queueID]
	m.Queue, m.Recipients = "deferred", nil
	for _, a := range []policy.Address{"bob@corp.test", "carol@corp.test"} {
		m.Recipients = append(m.Recipients, postfix.Recipient{Recipient: policy.Recipient{Address: a}, Gone: slices.Contains(gone, a)})
	}
	h.helper.put(m)
}

func TestCancelInPostfixsQueue(t *testing.T) {
	tests := []struct {
		name    string
		gone    []policy.Address
		prepare func(t *testing.T, h *held)
		only    []int
		codes   string
		states  string
		kept    bool // in Postfix
	}{
		{"all", nil, nil, nil, "removed_from_queue removed_from_queue", "canceled canceled", false},
		{"all by number", nil, nil, []int{1, 0}, "removed_from_queue removed_from_queue", "canceled canceled", false},
		{"again", nil, func(t *testing.T, h *held) { h.cancel(t) }, nil, "already_recalled already_recalled", "canceled canceled", false},
		{"some", nil, nil, []int{1}, "whole_message_only", "queued queued", true},
		{"the only one who is left", nil, func(t *testing.T, h *held) {
			commit(t, h.journal, store.Change{Message: h.id, Events: []policy.Event{{
				Kind: policy.RelayedRemote, Time: time.Now().UTC(), Recipients: []int{0}, Evidence: "status=sent",
			}}})
		}, []int{1}, "removed_from_queue", "relayed_remote canceled", false},
		{"one is delivered", []policy.Address{"bob@corp.test"}, nil, nil,
			"delivered_before_recall removed_from_queue", "queued canceled", false},
		{"one is delivered, again", []policy.Address{"bob@corp.test"}, func(t *testing.T, h *held) { h.cancel(t) }, nil,
			"delivered_before_recall already_recalled", "queued canceled", false},
		{"one has another name", []policy.Address{"bob@corp.test"}, func(_ *testing.T, h *held) {
			m := h.helper.queue[queueID]
			m.Recipients[1].Address = "other@corp.test"
			h.helper.put(m)
		}, nil, "delivered_before_recall unknown", "queued queued", false},
		{"under delivery", nil, func(_ *testing.T, h *held) { h.helper.set(h.helper.busy, queueID, true) }, nil,
			"waiting_in_flight waiting_in_flight", "queued queued", true},
		{"under delivery before, and now not", nil, func(t *testing.T, h *held) {
			h.helper.set(h.helper.busy, queueID, true)
			h.cancel(t)
			h.helper.set(h.helper.busy, queueID, false)
		}, nil, "removed_from_queue removed_from_queue", "canceled canceled", false},
		{"it has left", nil, func(_ *testing.T, h *held) { delete(h.helper.queue, queueID) }, nil,
			"delivered_before_recall delivered_before_recall", "queued queued", false},
		{"a newer message has its queue id", nil, func(_ *testing.T, h *held) {
			m := h.helper.queue[queueID]
			m.Arrival = m.Arrival.Add(time.Hour)
			h.helper.put(m)
		}, nil, "delivered_before_recall delivered_before_recall", "queued queued", true},
		{"the helper is away", nil, func(_ *testing.T, h *held) { h.helper.listener.Close() }, nil, "retrying retrying", "queued queued", true},
		{"the helper fails", nil, func(_ *testing.T, h *held) { h.helper.set(h.helper.fail, "delete", true) }, nil,
			"retrying retrying", "queued queued", true},
		{"the helper has not answered, and it has left", nil, func(t *testing.T, h *held) {
			h.helper.set(h.helper.silent, "delete", true)
			h.cancel(t)
			delete(h.helper.queue, queueID)
		}, nil, "unknown unknown", "queued queued", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHeld(t, policy.Milter)
			h.letGo(t, tt.gone...)
			if tt.prepare != nil {
				tt.prepare(t, h)
			}
			if codes := h.cancel(t, tt.only...); codes != tt.codes {
				t.Errorf("codes %s", codes)
			}
			if states := h.states(t); states != tt.states {
				t.Errorf("states %s", states)
			}
			if h.helper.has(queueID) != tt.kept {
				t.Errorf("Postfix has it: %t", !tt.kept)
			}
		})
	}
}

func TestCancelInTheRelayAsksNoHelper(t *testing.T) {
	h := newHeld(t, policy.Relay)
	if codes := h.cancel(t); codes != "removed_from_hold removed_from_hold" || h.states(t) != "canceled canceled" {
		t.Errorf("codes %s, states %s", codes, h.states(t))
	}
	if asked := h.helper.asked; asked != nil {
		t.Errorf("the helper was asked %q", asked)
	}
}

func TestRefusals(t *testing.T) {
	h := newHeld(t, policy.Milter)
	ctx := t.Context()
	check := func(what string, err error, code string) {
		t.Helper()
		var r *web.Refusal
		if !errors.As(err, &r) || r.Code != code {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("hold into the past", h.Hold(ctx, h.id, time.Now().Add(-time.Hour), "api:test"), "hold_end")
	check("hold for a year", h.Hold(ctx, h.id, time.Now().Add(365*24*time.Hour), "api:test"), "hold_end")
	_, err := h.Cancel(ctx, h.id, []int{7}, "wrong", "api:test")
	check("cancel for nobody", err, "invalid_address")
	if err := h.Hold(ctx, h.id, time.Now().Add(2*time.Hour), "api:test"); err != nil {
		t.Errorf("hold longer: %v", err)
	}
	h.cancel(t)
	check("release what was taken back", h.Release(ctx, h.id, "api:test"), "not_held")
	check("hold what was taken back", h.Hold(ctx, h.id, time.Now().Add(time.Hour), "api:test"), "not_held")
	unknown := h.journal.NewID()
	if _, err := h.Cancel(ctx, unknown, nil, "wrong", "api:test"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("cancel of what is not there: %v", err)
	}
	if err := h.Release(ctx, unknown, "api:test"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("release of what is not there: %v", err)
	}
}

func TestResendIsRefusedWithACode(t *testing.T) {
	bounce := policy.Event{Kind: policy.Bounced, Time: time.Now().UTC(), Reply: "550 no"}
	tests := []struct {
		name  string
		front policy.Front
		ended bool
		only  []int
		code  string
		text  string
	}{
		{"milter", policy.Milter, true, nil, "no_body", "sendgate has no copy of this message (milter mode): send it again from the Sent folder"},
		{"pruned", policy.Relay, true, nil, "body_gone", "sendgate's copy of this message was deleted after its time: send it again from the Sent folder"},
		{"nobody failed", policy.Relay, false, nil, "nothing_failed", "no recipient of this message failed: name those to whom it is sent again"},
		{"held", policy.Relay, false, []int{1}, "not_ended", "the message is still on its way: carol@corp.test is held"},
		{"no such recipient", policy.Relay, true, []int{7}, "invalid_address", "the message has no such recipient: number 7 of 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHeld(t, tt.front)
			if tt.ended {
				commit(t, h.journal, store.Change{Message: h.id, Events: []policy.Event{bounce}})
			}
			err := h.Resend(t.Context(), h.id, tt.only, "", "api:test")
			var r *web.Refusal
			if !errors.As(err, &r) || r.Code != tt.code || r.Detail != tt.text {
				t.Errorf("got %v, want %s", err, tt.code)
			}
		})
	}
	h := newHeld(t, policy.Relay)
	if err := h.Resend(t.Context(), h.journal.NewID(), nil, "", "api:test"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of what is not there: %v", err)
	}
}

func TestResendMakesARow(t *testing.T) {
	h := newHeld(t, policy.Relay)
	id := h.journal.NewID()
	body := h.journal.NewBody(id)
	if _, err := body.Write([]byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	e := envelope("bob@corp.test", "carol@corp.test")
	e.Front = policy.Relay
	commit(t, h.journal, store.Change{Message: id, Envelope: &e, Body: body, Events: []policy.Event{
		{Kind: policy.Accepted, Time: e.Received}, {Kind: policy.RelayedRemote, Time: e.Received, Recipients: []int{0}},
		{Kind: policy.Bounced, Time: e.Received, Recipients: []int{1}},
	}})
	h.id = id
	if err := h.Resend(t.Context(), id, nil, "mailbox made", "api:test"); err != nil {
		t.Fatal(err)
	}
	if states := h.states(t); states != "relayed_remote bounced queued" {
		t.Errorf("states %s", states)
	}
}

// What is said of a group is said of its members: it is they who count.
func TestCancelOfAGroupAtPostfix(t *testing.T) {
	h := newHeld(t, policy.Milter)
	for _, member := range []policy.Address{"ann@corp.test", "eve@corp.test"} {
		commit(t, h.journal, store.Change{Message: h.id, Events: []policy.Event{{
			Kind: policy.Deferred, Time: time.Now().UTC(), Recipients: []int{0}, Member: member,
		}}})
	}
	h.helper.listener.Close()
	for _, only := range [][]int{nil, {0, 1}} {
		outcomes, err := h.Cancel(t.Context(), h.id, only, "wrong", "api:test")
		if err != nil || len(outcomes) != 3 {
			t.Fatalf("outcomes %v, error %v", outcomes, err)
		}
		for _, o := range outcomes {
			if o.Recipient == 0 || o.Code != policy.Retrying {
				t.Errorf("outcome %+v", o)
			}
		}
	}
}

// What a decision on a campaign comes to is counted, not what was asked for.
func TestADecisionOnACampaignCountsWhatIsDone(t *testing.T) {
	for _, what := range []string{"cancel", "return"} {
		t.Run(what, func(t *testing.T) {
			h := newHeld(t, policy.Milter)
			h.returns = newReturns(h.journal, nil, func(*policy.Envelope) bool { return false }, time.Now, zap.NewNop())
			c := campaignsAPI{holder: h.holder}
			h.helper.listener.Close()
			if done, err := c.decideOne(t.Context(), h.id, what, "not ours", "api:ops"); done || err != nil || h.states(t) != "held held" {
				t.Errorf("without the helper: %t, %v, %s", done, err, h.states(t))
			}
		})
	}
	h := newHeld(t, policy.Milter)
	c := campaignsAPI{holder: h.holder}
	if done, err := c.decideOne(t.Context(), h.id, "cancel", "not ours", "api:ops"); !done || err != nil || h.states(t) != "canceled canceled" {
		t.Errorf("%t, %v, %s", done, err, h.states(t))
	}
}
