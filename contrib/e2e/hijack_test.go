package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// TestHijack has somebody else use the account of alice, who has written to a few customers for three weeks.
func TestHijack(t *testing.T) {
	t.Parallel()
	for front, milter := range map[string]bool{"relay": false, "milter": true} {
		t.Run(front, func(t *testing.T) {
			t.Parallel()
			startHijack(t, milter).hijack(t)
		})
	}
}

// hijackRules have small numbers, so that few messages are needed.
var hijackRules = rules{
	policy: `internal: ["@corp.test"]
trial: 0s
limits:
  - {name: day, unit: recipients, limit: 1000, per: day}
`,
	sections: `domains: {enabled: false}
similar: {enabled: false}
anomaly:
  learning: 24h
  hour: 6
  suspension: {always: [desk@outside.test]}
`}

// attacks bounds how many strangers are tried.
const attacks = 30

// startHijack runs everything until the test ends. Mail is held for ten minutes.
func startHijack(t *testing.T, milter bool) *limited {
	t.Helper()
	l := &limited{}
	if milter {
		l.boxes = startDovecot(t)
		l.milter = startHolding(t, holdSettings{hold: 10 * time.Minute, boxes: l.boxes, rules: hijackRules})
		l.gateway, l.mta, l.world, l.server = l.milter.gateway, l.milter.mta, l.milter.world, l.milter.mta.smtp
	} else {
		s := startStack(t)
		l.gateway = startGateway(t, settings{upstream: plainUpstream(s.mta), hold: 10 * time.Minute, rules: hijackRules})
		l.boxes, l.mta, l.world, l.server = s.boxes, s.mta, s.world, l.gateway.smtp
	}
	l.mta.setUsers(t, "alice", "bob", "postmaster")
	l.remember(t)
	return l
}

// remember gives alice three weeks of ordinary mail, from her own network.
func (l *limited) remember(t *testing.T) {
	t.Helper()
	if err := l.process.stop(t); err != nil {
		t.Fatal(err)
	}
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.MinFree, cfg.Node = filepath.Join(l.dir, "data"), 64, "gw.corp.test"
	journal, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	for day := 21; day > 0; day-- {
		for i := range 5 {
			at := now.Add(-time.Duration(day)*24*time.Hour + time.Duration(i)*time.Minute)
			_, err := journal.Commit(context.Background(), store.Change{
				Message: ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()),
				Envelope: &policy.Envelope{
					Received: at, Front: policy.Relay, Direction: policy.Outbound, Sender: "alice@corp.test", Identity: "alice@corp.test",
					Client: netip.MustParseAddr("192.0.2.10"), Helo: "laptop", Subject: "offer",
					Recipients: []policy.Recipient{{Address: policy.Address(customer(i))}},
				},
				Events: []policy.Event{{Kind: policy.Accepted, Time: at, Actor: "smtp"}, {Kind: policy.HandedOver, Time: at, Actor: "hold"}},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	l.start(t)
}

func customer(i int) string { return fmt.Sprintf("customer%d@known.test", i) }

func (l *limited) hijack(t *testing.T) {
	if l.milter != nil {
		l.guesses(t)
	}
	held := l.take(t, letter("held"), "alice@corp.test", customer(0))
	within := l.take(t, letter("to a colleague"), "alice@corp.test", "bob@corp.test")
	queued := l.fails(t)
	pulled := append([]string{held, queued}, l.attack(t)...)
	batch := l.pulled(t, pulled)
	if state := l.message(t, within).State; state != "held" {
		t.Errorf("the message to a colleague is %s", state)
	}
	if l.milter != nil && l.inHold(t) != len(pulled)+1 {
		t.Errorf("Postfix holds %d messages, not %d", l.inHold(t), len(pulled)+1)
	}
	l.recovers(t)
	l.spared(t)
	l.returns(t, batch, pulled)
}

// guesses are of strangers who do not know the password.
func (l *limited) guesses(t *testing.T) {
	t.Helper()
	for range 2 {
		transcript, status := swaks(t, l.mta.submission, "--from", "alice@corp.test", "--to", "someone@world.test", "--tls", "--auth", "PLAIN",
			"--auth-user", "alice@corp.test", "--auth-password", "guess")
		if status != 28 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
	}
	if s := l.suspension(t); s != nil {
		t.Errorf("suspended for wrong passwords: %+v", s)
	}
}

// fails sends a message that waits in a queue to be tried again: that of Postfix, or our own.
func (l *limited) fails(t *testing.T) (id string) {
	t.Helper()
	if l.milter != nil {
		l.world.answering(func(verb string, _ sunk) string {
			if verb == "DATA" {
				return "451 4.3.0 later"
			}
			return ""
		})
		id = l.take(t, holdFor(1, letter("queued")), "alice@corp.test", customer(1))
		l.awaitState(t, id, "queued")
		queueID := l.message(t, id).Recipients[0].QueueID
		eventually(t, "Postfix puts it off", func() bool { return l.mta.queue(t)[queueID] == "deferred" })
		return id
	}
	l.mta.stop(t)
	id = l.take(t, holdFor(1, letter("queued")), "alice@corp.test", customer(1))
	l.awaitState(t, id, "deferred")
	return id
}

// recovers lets mail through again.
func (l *limited) recovers(t *testing.T) {
	t.Helper()
	if l.milter == nil {
		l.mta.start(t)
	}
	l.world.answering(nil)
}

// attack writes to strangers until the account is suspended, and gives what was taken before.
func (l *limited) attack(t *testing.T) (taken []string) {
	t.Helper()
	for i := range attacks {
		text, err := submit(t, l.server, "alice@corp.test", nil, []string{fmt.Sprintf("victim%d@prey%d.test", 7*i%attacks, i)}, nil, letter(fmt.Sprint("prize ", i)))
		if err != nil {
			if !strings.Contains(err.Error(), "451") || !strings.Contains(err.Error(), "This account is suspended from sending to other organisations until ") {
				t.Fatalf("attack %d: %v", i, err)
			}
			if i < 4 {
				t.Errorf("suspended after %d strangers", i)
			}
			return taken
		}
		m := acceptedAs.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("attack %d: %q", i, text)
		}
		id := m[1]
		if l.milter != nil {
			id = l.milter.idOf(t, id)
		}
		taken = append(taken, id)
	}
	t.Fatal("nobody has noticed anything")
	return nil
}

// suspension gives that of alice, nil when there is none.
func (l *limited) suspension(t *testing.T) *suspension {
	t.Helper()
	var sender struct{ Suspension *suspension }
	l.call(t, "GET", "/senders/alice@corp.test", nil, &sender)
	return sender.Suspension
}

type suspension struct {
	Author, Reason string
	Until          time.Time
}

// pulled waits until all of it waits for a person as one batch, whose id it gives.
func (l *limited) pulled(t *testing.T, ids []string) (batch string) {
	t.Helper()
	if s := l.suspension(t); s == nil || s.Author != "anomaly" || time.Until(s.Until).Round(time.Hour) != time.Hour {
		t.Fatalf("the suspension is %+v", s)
	}
	var list struct {
		Approvals []struct {
			ID, Batch, Rule string
			Text            struct{ EN, ZH string }
		}
	}
	want := slices.Sorted(slices.Values(ids))
	var got []string
	eventually(t, fmt.Sprintf("%q wait in one batch", want), func() bool {
		l.call(t, "GET", "/approvals?limit=1000", nil, &list)
		got, batch = nil, ""
		for _, a := range list.Approvals {
			if a.Batch != "" && (batch == "" || a.Batch == batch) {
				got, batch = append(got, a.ID), a.Batch
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
	for _, a := range list.Approvals {
		if a.Rule != "pulled back" || !strings.HasPrefix(a.Text.EN, "Pulled back: alice@corp.test was suspended") || !strings.HasPrefix(a.Text.ZH, "已撤回待审：alice@corp.test") {
			t.Errorf("it waits because %+v", a)
		}
	}
	if out := l.gateway.sendgate(t, "approvals", "--batch", batch); !strings.Contains(out, ids[0]) {
		t.Errorf("sendgate approvals:\n%s", out)
	}
	return batch
}

// spared holds what a suspended account may do.
func (l *limited) spared(t *testing.T) {
	t.Helper()
	inbox := len(l.boxes.inbox(t, "bob@corp.test"))
	eventually(t, "mail within passes", func() bool { // the relay remembers for a moment that Postfix was away
		transcript, status := l.send(t, holdFor(0, letter("within")), "alice@corp.test", "bob@corp.test")
		return status == 0 && queuedText.FindString(transcript) != ""
	})
	l.boxes.await(t, "bob@corp.test", inbox+1)
	l.passes(t, holdFor(0, letter("help")), "alice@corp.test", "desk@outside.test")
	l.arrives(t, "help")
	l.refused(t, "451 4.7.28 This account is suspended from sending to other organisations", letter("outside"), "alice@corp.test", customer(0))
	if n := len(l.arrived("held")) + len(l.arrived("queued")) + len(l.arrived("prize 0")); n != 0 {
		t.Errorf("%d messages have left that were pulled back", n)
	}
}

// returns ends it: the mail was alice's own after all.
func (l *limited) returns(t *testing.T, batch string, ids []string) {
	t.Helper()
	var sender, result struct{ Done, Failed int }
	l.call(t, "POST", "/senders/alice@corp.test/unsuspend", map[string]string{"reason": "it was her"}, &sender)
	if s := l.suspension(t); s != nil {
		t.Fatalf("the suspension is %+v", s)
	}
	l.call(t, "POST", "/approvals/"+batch+"/approve", nil, &result)
	if result.Done != len(ids) || result.Failed != 0 {
		t.Fatalf("approved: %+v", result)
	}
	for _, subject := range []string{"held", "queued", "prize 0"} {
		l.arrives(t, subject)
	}
	if n := len(l.arrived("queued")); n != 1 {
		t.Errorf("what was queued came %d times", n)
	}
}
