package hold

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// refuse bounces what goes to some addresses.
func refuse(addresses ...policy.Address) func(Delivery, store.Recipient) Outcome {
	return func(_ Delivery, r store.Recipient) Outcome {
		if slices.Contains(addresses, r.Address) {
			return Outcome{Kind: policy.Bounced, Reply: "550 5.1.1 no such user"}
		}
		return Outcome{Kind: policy.RelayedRemote, Reply: "250 2.0.0 ok"}
	}
}

func (u *upstreams) set(answer func(Delivery, store.Recipient) Outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

// observe adds an event that somebody else has seen.
func (b *bench) observe(id policy.ID, e policy.Event) {
	b.t.Helper()
	e.Time = b.now()
	if _, err := b.journal.Commit(context.Background(), store.Change{Message: id, Events: []policy.Event{e}}); err != nil {
		b.t.Fatal(err)
	}
}

func TestResendGoesToThoseWhoFailed(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.set(refuse("eve@x.example", "joe@x.example"))
		b.run()
		id := b.accept(time.Minute, to("bob@x.example", "eve@x.example", "joe@x.example", "ann@x.example")...)
		synctest.Wait()
		if _, _, err := b.s.Cancel(context.Background(), id, []int{3}, "wrong ann", "sender"); err != nil {
			t.Fatal(err)
		}
		later(time.Minute)
		b.sender.set(refuse("joe@x.example"))
		m, err := b.s.Resend(context.Background(), id, nil, "mailbox made", "api:ops")
		if err != nil || m.States[policy.StateQueued] != 2 || m.Counted() != 4 || m.Due.IsZero() {
			t.Fatalf("states %v, due %v, error %v", m.States, m.Due, err)
		}
		later(time.Second)
		want := []policy.State{
			policy.StateRelayedRemote, policy.StateBounced, policy.StateBounced, policy.StateCanceled,
			policy.StateRelayedRemote, policy.StateBounced,
		}
		if got := b.states(id); !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
		old, again := b.row(id, 1), b.row(id, 4)
		if !old.Superseded || again.Attempt != 2 || again.Address != "eve@x.example" || again.Attempts != 1 {
			t.Errorf("old row %+v, new row %+v", old, again)
		}
		tries := b.sender.seen()
		if len(tries) != 2 || len(tries[1].Recipients) != 2 || tries[1].Recipients[0].Index != 4 || !tries[1].Partial || tries[1].MayBeDuplicate {
			t.Errorf("tries %+v", tries)
		}
		events := b.journal.events(id)
		resent := events[slices.IndexFunc(events, func(e policy.Event) bool { return e.Kind == policy.Resent })]
		if resent.Actor != "api:ops" || resent.Reason != "mailbox made" || !slices.Equal(resent.Recipients, []int{1, 2}) || resent.Until.IsZero() {
			t.Errorf("event %+v", resent)
		}
		if got := b.bounces.all(); !slices.Equal(got, []string{"failed eve@x.example", "failed joe@x.example", "failed joe@x.example"}) {
			t.Errorf("notices %v", got)
		}
		if _, err := b.s.Resend(context.Background(), id, nil, "", "api:ops"); err != nil {
			t.Fatal(err)
		}
		later(time.Second)
		if third := b.row(id, 6); third.Attempt != 3 || third.Address != "joe@x.example" || third.State != policy.StateBounced {
			t.Errorf("third attempt %+v", third)
		}
	})
}

func TestResendToTheOnlyRecipientIsWhole(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.set(refuse("bob@x.example"))
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		if _, err := b.s.Resend(context.Background(), id, []int{0, 0}, "", "api:ops"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if tries := b.sender.seen(); len(tries) != 2 || tries[1].Partial {
			t.Errorf("tries %+v", tries)
		}
	})
}

func TestResendToThoseNamed(t *testing.T) {
	tests := []struct {
		name  string
		event policy.Event
		tried bool
	}{
		{"delivered", policy.Event{Kind: policy.DeliveredMailbox}, true},
		{"bounced later", policy.Event{Kind: policy.AsyncBounced}, true},
		{"unknown", policy.Event{Kind: policy.Unknown}, true},
		{"handed over", policy.Event{Kind: policy.HandedOver}, false},
		{"deferred elsewhere", policy.Event{Kind: policy.Deferred}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(b *bench) {
				b.sender.set(func(Delivery, store.Recipient) Outcome { return Outcome{Kind: policy.HandedOver} })
				b.run()
				id := b.accept(0, to("bob@x.example")...)
				synctest.Wait()
				b.observe(id, tt.event)
				_, err := b.s.Resend(context.Background(), id, []int{0}, "", "api:ops")
				synctest.Wait()
				if n := len(b.sender.seen()); (n == 2) != tt.tried || tt.tried != (err == nil) {
					t.Errorf("tried %d times, error %v", n, err)
				}
			})
		})
	}
}

// Taken back on purpose is no failure, but who is named gets it.
func TestResendAfterARecall(t *testing.T) {
	virtual(t, func(b *bench) {
		b.run()
		id := b.accept(time.Minute, to("bob@x.example")...)
		synctest.Wait()
		if _, _, err := b.s.Cancel(context.Background(), id, nil, "", "sender"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.s.Resend(context.Background(), id, nil, "", "api:ops"); !errors.Is(err, ErrNothingFailed) {
			t.Errorf("nobody named: %v", err)
		}
		if _, err := b.s.Resend(context.Background(), id, []int{0}, "", "api:ops"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := b.row(id, 1); got.State != policy.StateRelayedRemote || got.Attempt != 2 {
			t.Errorf("row %+v", got)
		}
	})
}

func TestResendToAGroupIsToItsMembersThatFailed(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.set(func(_ Delivery, r store.Recipient) Outcome { return Outcome{Kind: policy.HandedOver, Reply: "250 ok"} })
		b.run()
		id := b.accept(0, to("team@x.example", "bob@x.example")...)
		synctest.Wait()
		for member, kind := range map[policy.Address]policy.Kind{
			"ann@x.example": policy.DeliveredMailbox, "eve@x.example": policy.Bounced, "joe@x.example": policy.HandedOver,
		} {
			b.observe(id, policy.Event{Kind: kind, Recipients: []int{0}, Member: member})
		}
		m, err := b.s.Resend(context.Background(), id, []int{0}, "", "api:ops")
		if err != nil || m.Counted() != 4 {
			t.Fatalf("states %v, error %v", m.States, err)
		}
		synctest.Wait()
		last := b.row(id, m.Recipients-1)
		if last.Address != "eve@x.example" || last.Group != 1 || last.Attempt != 2 || last.State != policy.StateHandedOver {
			t.Errorf("row %+v", last)
		}
		if tries := b.sender.seen(); len(tries) != 2 || len(tries[1].Recipients) != 1 || tries[1].Recipients[0].Index != last.Index {
			t.Errorf("tries %+v", tries)
		}
		if _, err := b.s.Resend(context.Background(), id, []int{0}, "", "api:ops"); !errors.Is(err, ErrNothingFailed) {
			t.Errorf("again: %v", err)
		}
	})
}

func TestResendIsRefused(t *testing.T) {
	bounced := policy.Event{Kind: policy.Bounced, Recipients: []int{0}, Reply: "550 no"}
	tests := []struct {
		name  string
		front policy.Front
		first policy.Kind
		event policy.Event
		body  int64
		asked []int
		cause error
		text  string
	}{
		{"milter", policy.Milter, policy.Accepted, bounced, 0, nil, ErrNoBody,
			"sendgate has no copy of this message (milter mode): send it again from the Sent folder"},
		{"handed through", policy.Relay, policy.Offered, policy.Event{Kind: policy.Bounced}, 0, nil, ErrNoBody,
			"sendgate has no copy of this message (it was handed through or refused): send it again from the Sent folder"},
		{"pruned", policy.Relay, policy.Accepted, bounced, 0, nil, ErrBodyGone,
			"sendgate's copy of this message was deleted after its time: send it again from the Sent folder"},
		{"nobody failed", policy.Relay, policy.Accepted, policy.Event{Kind: policy.RelayedRemote}, 9, nil, ErrNothingFailed,
			"no recipient of this message failed: name those to whom it is sent again"},
		{"the named one is on the way", policy.Relay, policy.Accepted, bounced, 9, []int{0, 1}, ErrNotEnded,
			"the message is still on its way: eve@x.example is deferred"},
		{"others are held", policy.Relay, policy.Held, bounced, 9, nil, ErrNotEnded,
			"the message is still on its way: it is held"},
		{"no such recipient", policy.Relay, policy.Accepted, bounced, 9, []int{2}, ErrNoRecipient,
			"the message has no such recipient: number 2 of 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(b *bench) {
				b.run()
				id := b.commit(to("bob@x.example", "eve@x.example"), policy.Event{Kind: tt.first, Time: b.now()})
				if tt.first == policy.Accepted {
					b.observe(id, policy.Event{Kind: policy.Deferred})
				}
				b.observe(id, tt.event)
				v := b.journal.rows[id]
				v.message.Envelope.Front, v.message.BodySize = tt.front, tt.body
				before := len(b.journal.events(id))
				_, err := b.s.Resend(context.Background(), id, tt.asked, "", "api:ops")
				if !errors.Is(err, tt.cause) || err.Error() != tt.text {
					t.Errorf("error %v, want %s", err, tt.text)
				}
				if len(b.journal.events(id)) != before {
					t.Error("something was committed")
				}
			})
		})
	}
	virtual(t, func(b *bench) {
		b.run()
		if _, err := b.s.Resend(context.Background(), policy.ID{}, nil, "", "api:ops"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown message: %v", err)
		}
	})
}

func TestResendThatAlwaysComesSecond(t *testing.T) {
	virtual(t, func(b *bench) {
		b.sender.set(refuse("bob@x.example"))
		b.run()
		id := b.accept(0, to("bob@x.example")...)
		synctest.Wait()
		b.journal.failWith(store.ErrConflict)
		if _, err := b.s.Resend(context.Background(), id, nil, "", "api:ops"); !errors.Is(err, store.ErrConflict) {
			t.Errorf("error %v", err)
		}
		b.journal.failWith(errBroken)
		if _, err := b.s.Resend(context.Background(), id, nil, "", "api:ops"); !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
	})
}

// A message that was given up gets the whole time again, and a late first recipient does not shorten it.
func TestAResendIsNotOldAtItsBirth(t *testing.T) {
	for _, unreadable := range []error{nil, errBroken} {
		virtual(t, func(b *bench) {
			b.sender.set(deferAll)
			b.run()
			id := b.accept(0, to("bob@x.example")...)
			later(b.cfg.Retry.ExpireAfter + time.Minute)
			if got := b.states(id); !slices.Equal(got, []policy.State{policy.StateExpired}) {
				t.Fatalf("states %v", got)
			}
			if _, err := b.s.Resend(context.Background(), id, nil, "", "api:ops"); err != nil {
				t.Fatal(err)
			}
			b.journal.mu.Lock()
			b.journal.unreadable = unreadable
			b.journal.mu.Unlock()
			later(b.cfg.Retry.ExpireAfter - time.Minute)
			if r := b.row(id, 1); r.State != policy.StateDeferred || r.Attempts < 5 {
				t.Errorf("before its time: %s after %d tries", r.State, r.Attempts)
			}
			if unreadable != nil {
				return
			}
			later(2 * time.Minute)
			if got := b.row(id, 1).State; got != policy.StateExpired {
				t.Errorf("after its time: %s", got)
			}
		})
	}
}

func TestResultsNameTheRowsOfLaterAttempts(t *testing.T) {
	rows := []store.Recipient{
		{Index: 5, Recipient: to("bob@x.example")[0], Attempt: 2, Fate: policy.Fate{State: policy.StateQueued}},
		{Index: 3, Recipient: to("eve@x.example")[0], Group: 1, Fate: policy.Fate{State: policy.StateQueued}},
	}
	after := apply(rows, []policy.Event{
		{Kind: policy.Bounced, Recipients: []int{3}}, {Kind: policy.RelayedRemote, Recipients: []int{5}},
	})
	if after[0].State != policy.StateRelayedRemote || after[1].State != policy.StateBounced || rows[0].State != policy.StateQueued {
		t.Errorf("after %+v, before %+v", after, rows)
	}
}

// The real store picks a resend up from its feed and sends what it kept.
func TestResendOnARealJournal(t *testing.T) {
	st := openStore(t)
	sender := &upstreams{answer: refuse("bob@x.example")}
	s := start(t, st, sender)
	id := st.NewID()
	body := st.NewBody(id)
	if _, err := body.Write([]byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	_, err := st.Commit(t.Context(), store.Change{
		Message: id, Body: body,
		Envelope: &policy.Envelope{Received: now, Front: policy.Relay, Sender: "ann@corp.example", Identity: "ann", Recipients: to("bob@x.example")},
		Events:   []policy.Event{{Kind: policy.Accepted, Time: now}, {Kind: policy.Released, Time: now, Until: now}},
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, st, id, func(m *store.Message) bool { return m.States[policy.StateBounced] == 1 && m.Due.IsZero() })
	sender.set(nil)
	if _, err := s.Resend(t.Context(), id, nil, "", "api:ops"); err != nil {
		t.Fatal(err)
	}
	m := await(t, st, id, func(m *store.Message) bool { return m.Due.IsZero() })
	if m.States[policy.StateRelayedRemote] != 1 || m.Counted() != 1 || m.Recipients != 2 {
		t.Errorf("states %v of %d rows", m.States, m.Recipients)
	}
	tries := sender.seen()
	if len(tries) != 2 || tries[1].Recipients[0].Index != 1 {
		t.Errorf("tries %+v", tries)
	}
}
