package gateway

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// attempt is one for recipients of a message that Postfix holds, partial when it has others, too.
func attempt(partial bool, e *policy.Envelope, indexes ...int) hold.Delivery {
	d := hold.Delivery{Envelope: e, Upstream: postfixLane, Partial: partial, Open: func() (io.ReadCloser, error) {
		return nil, errors.New("the journal has no body of it")
	}}
	for _, i := range indexes {
		d.Recipients = append(d.Recipients, store.Recipient{Index: i, Recipient: e.Recipients[i]})
	}
	return d
}

func TestLanes(t *testing.T) {
	world, corp := startHop(t), startHop(t)
	d := deliverer{routes: openRoutes(t, world.config("world"), corp.config("corp", "@corp.test"))}
	for _, tt := range []struct {
		front   policy.Front
		to      policy.Address
		lane    string
		workers int
	}{
		{policy.Milter, "bob@corp.test", postfixLane, postfixWorkers},
		{policy.Relay, "bob@corp.test", "corp", 0},
		{policy.Relay, "someone@world.test", "world", 0},
		{policy.Internal, "bob@corp.test", "corp", 0},
	} {
		if got := d.Upstream(&policy.Envelope{Front: tt.front}, tt.to); got != tt.lane || d.Workers(got) != tt.workers {
			t.Errorf("%s to %s: %q with %d workers", tt.front, tt.to, got, d.Workers(got))
		}
	}
}

func TestReleaseAtPostfix(t *testing.T) {
	e := envelope("bob@corp.test", "carol@corp.test")
	inQueue := func(queue string) func(*fakeHelper) {
		return func(h *fakeHelper) {
			h.put(queued{Envelope: postfix.Envelope{ID: queueID, Queue: queue, Arrival: e.Received, Sender: e.Sender}})
		}
	}
	tests := []struct {
		name     string
		prepare  func(*fakeHelper)
		again    bool
		kind     policy.Kind // "" for no outcome
		evidence string
	}{
		{"released", inQueue("hold"), false, policy.Queued, "postsuper -H " + queueID + ": released from hold"},
		{"released by hand before", inQueue("active"), false, policy.Queued, queueID + " is not in the hold queue any more: it was released before"},
		{"gone, after an attempt that a crash has cut off", func(*fakeHelper) {}, true, policy.Queued,
			queueID + " is not in the hold queue any more: it was released before"},
		{"never there", func(*fakeHelper) {}, false, policy.NeverQueued,
			"no queue file of " + queueID + ": Postfix did not keep the message; its client was not told that it was accepted"},
		{"still being received", inQueue("incoming"), false, "", ""},
		{"the helper fails", func(h *fakeHelper) { inQueue("hold")(h); h.fail["release"] = true }, false, "", ""},
		{"the helper is silent", func(h *fakeHelper) { h.silent["release"] = true }, false, "", ""},
		{"the helper is away", func(h *fakeHelper) { h.listener.Close() }, false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := startHelper(t)
			tt.prepare(h)
			core, lines := observer.New(zap.WarnLevel)
			d := deliverer{keeper: openKeeper(t, h, openStore(t)), log: zap.New(core)}
			a := attempt(false, &e, 0, 1)
			a.MayBeDuplicate = tt.again
			got := d.Deliver(t.Context(), a)
			if tt.kind == "" {
				if got != nil || lines.FilterMessage("a release waits for the postfix helper").Len() != 1 {
					t.Errorf("outcomes %+v, log %v", got, lines.All())
				}
				return
			}
			want := hold.Outcome{Kind: tt.kind, QueueID: queueID, Upstream: "postfix", Evidence: tt.evidence, ReportsSuccess: true}
			if !slices.Equal(got, []hold.Outcome{want, want}) {
				t.Errorf("outcomes %+v", got)
			}
		})
	}
}

func TestReleaseOfWhatWasDeletedByHand(t *testing.T) {
	journal, h := openStore(t), startHelper(t)
	e := envelope("bob@corp.test")
	// An earlier process has listed all that was held until now.
	commit(t, journal, store.Change{Message: journal.NewID(), Events: []policy.Event{{Kind: policy.Queued, Time: time.Now().Add(time.Second)}}})
	d := deliverer{keeper: openKeeper(t, h, journal), log: zap.NewNop()}
	got := d.Deliver(t.Context(), attempt(false, &e, 0))
	if len(got) != 1 || got[0].Kind != policy.Unknown || got[0].Evidence != "no queue file of "+queueID+": released or deleted by hand" {
		t.Errorf("outcomes %+v", got)
	}
}

func commit(t *testing.T, journal *store.Store, c store.Change) {
	t.Helper()
	if _, err := journal.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestPostfixsMailWithoutTheMilter(t *testing.T) {
	core, lines := observer.New(zap.WarnLevel)
	e := envelope("bob@corp.test")
	if got := (deliverer{log: zap.New(core)}).Deliver(t.Context(), attempt(false, &e, 0)); got != nil {
		t.Errorf("outcomes %+v", got)
	}
	if lines.FilterMessage("a message waits in Postfix's hold queue, but no milter is configured").Len() != 1 {
		t.Errorf("log %v", lines.All())
	}
}

// rest is a message that was taken back from alice and is to be sent to bob@corp.test, bad@corp.test
// and someone@world.test.
type rest struct {
	helper      *fakeHelper
	world, corp *hop
	deliverer   deliverer
	attempt     hold.Delivery
	lines       *observer.ObservedLogs
}

const restContent = "Subject: x\n\n.dot\nend\n"

func newRest(t *testing.T) *rest {
	t.Helper()
	e := envelope("alice@corp.test", "bob@corp.test", "bad@corp.test", "someone@world.test")
	core, lines := observer.New(zap.WarnLevel)
	r := &rest{helper: startHelper(t), world: startHop(t), corp: startHop(t), lines: lines}
	queuedAs := func(to, before policy.Address, original string, notify ...string) postfix.Recipient {
		return postfix.Recipient{Before: before, Recipient: policy.Recipient{
			Address: to, Original: original, OriginalType: "rfc822", Notify: notify,
		}}
	}
	r.helper.put(queued{content: restContent, Envelope: postfix.Envelope{
		ID: queueID, Queue: "hold", Arrival: e.Received, Sender: e.Sender, Size: 100, Body: "8BITMIME", Ret: "HDRS", EnvID: "env",
		Recipients: []postfix.Recipient{
			queuedAs("alice@corp.test", "", "alice@corp.test", "NEVER"),
			queuedAs("bob@inside.corp.test", "bob@corp.test", "old@corp.test", "FAILURE", "DELAY"), // an alias
			queuedAs("bad@corp.test", "", "bad@corp.test"),
			queuedAs("Someone@world.test", "", "someone@world.test", "SUCCESS"),
		},
	}})
	r.deliverer = deliverer{
		routes: openRoutes(t, r.world.config("world"), r.corp.config("corp", "@corp.test")),
		keeper: openKeeper(t, r.helper, openStore(t)), log: zap.New(core),
	}
	r.attempt = attempt(true, &e, 1, 2, 3)
	return r
}

func kinds(outcomes []hold.Outcome) string {
	var all []string
	for _, o := range outcomes {
		all = append(all, string(o.Kind))
	}
	return strings.Join(all, " ")
}

func TestTheRestIsSentAsPostfixWouldHave(t *testing.T) {
	r := newRest(t)
	got := r.deliverer.Deliver(t.Context(), r.attempt)
	if kinds(got) != "handed_over bounced handed_over" || got[0].QueueID != "HOP1" || !strings.HasPrefix(got[0].Upstream, "corp ") ||
		!strings.HasPrefix(got[1].Reply, "550 5.1.1") || !strings.HasPrefix(got[2].Upstream, "world ") {
		t.Errorf("outcomes %+v", got)
	}
	for h, want := range map[*hop][]string{
		r.corp: {
			"MAIL FROM:<alice@corp.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=env",
			"RCPT TO:<bob@corp.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;old@corp.test",
			"RCPT TO:<bad@corp.test> ORCPT=rfc822;bad@corp.test",
		},
		r.world: {
			"MAIL FROM:<alice@corp.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=env",
			"RCPT TO:<someone@world.test> NOTIFY=SUCCESS ORCPT=rfc822;someone@world.test",
		},
	} {
		commands, data := h.got()
		if !slices.Equal(commands, want) {
			t.Errorf("commands %q, want %q", commands, want)
		}
		if len(data) != 1 || data[0] != strings.ReplaceAll(strings.ReplaceAll(restContent, "\n", "\r\n"), "\r\n.", "\r\n..") {
			t.Errorf("data %q", data)
		}
	}
	if r.helper.has(queueID) || !slices.Equal(r.helper.questions(), []string{"delete " + queueID}) {
		t.Errorf("the helper was asked %q", r.helper.questions())
	}
}

func TestTheRestWaits(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*rest)
		kinds   string
		kept    bool // in Postfix
		log     string
	}{
		{"an upstream is away", func(r *rest) { r.world.listener.Close() }, "handed_over bounced deferred", true, ""},
		{"the queue file cannot be read", func(r *rest) { r.helper.fail["read"] = true }, "", true,
			"a message in Postfix's hold queue cannot be read yet"},
		{"Postfix is still receiving it", func(r *rest) { r.moveTo("incoming") }, "", true, ""},
		{"it cannot be deleted", func(r *rest) { r.helper.fail["delete"] = true }, "handed_over bounced handed_over", true,
			"a queue file that was sent on is deleted later"},
		{"somebody has let it go", func(r *rest) { r.moveTo("active") }, "queued queued queued", true, ""},
		{"somebody has deleted it", func(r *rest) { delete(r.helper.queue, queueID) }, "unknown unknown unknown", false, ""},
		{"it was sent before a crash", func(r *rest) {
			delete(r.helper.queue, queueID)
			r.attempt.MayBeDuplicate = true
		}, "queued queued queued", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRest(t)
			tt.prepare(r)
			if got := r.deliverer.Deliver(t.Context(), r.attempt); kinds(got) != tt.kinds {
				t.Errorf("outcomes %+v", got)
			}
			if r.helper.has(queueID) != tt.kept {
				t.Errorf("Postfix has it: %t", !tt.kept)
			}
			if tt.log != "" && r.lines.FilterMessage(tt.log).Len() != 1 {
				t.Errorf("log %v", r.lines.All())
			}
		})
	}
}

func (r *rest) moveTo(queue string) {
	m := r.helper.queue[queueID]
	m.Queue = queue
	r.helper.put(m)
}

// A helper that is away for hours, while thousands of messages are tried every few seconds, does not fill the log.
func TestTroubleIsSaidSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.WarnLevel)
		log := sparing(zap.New(core))
		said := func(message string) int { return lines.FilterMessage(message).Len() }
		for range 10 * sameTrouble {
			log.Warn("the helper is away")
		}
		log.Warn("something else")
		if said("the helper is away") != sameTrouble || said("something else") != 1 {
			t.Errorf("%+v", lines.All())
		}
		time.Sleep(time.Minute)
		if log.Warn("the helper is away"); said("the helper is away") != sameTrouble+1 {
			t.Error("nothing is said a minute later")
		}
	})
}
