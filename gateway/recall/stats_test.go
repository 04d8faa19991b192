package recall

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestRelated(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob)
		w.answer(far) // is held
		r := w.recall(id)
		if len(r.Related) != 1 || r.Related[0].Of != id || r.Related[0].Sender != bob || !r.Related[0].Held || r.Related[0].Recipients != 1 {
			t.Fatalf("related are %+v", r.Related)
		}
		w.want(w.recall2(r.Related[0].Message), policy.RecallAllSuccess, one(far, policy.RemovedFromHold))
		if r := w.report(r.ID); r.Related[0].Held || r.Related[0].State != policy.StateCanceled {
			t.Errorf("related are %+v", r.Related)
		}
	})
}

func (w *world) recall2(id policy.ID) *policy.RecallReport {
	w.Helper()
	m, _ := w.journal.Message(id)
	m.Envelope.Direction = policy.Outbound
	return w.start(w.asAdmin(w.request(id)))
}

func TestStats(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.ApprovalOver = 2
		w.run()
		begin := time.Now()
		ask := func(after time.Duration, reason string, to ...policy.Address) {
			id := w.send(to...)
			w.happen(id, policy.RelayedRemote, 0)
			w.after(after)
			req := w.request(id)
			req.Reason = reason
			w.start(req)
			synctest.Wait()
		}
		ask(20*time.Second, "wrong file", far)
		ask(80*time.Second, "Wrong  file", far, bob)
		ask(2*time.Hour, "wrong person", far)
		ask(0, "nobody approves it", far, bob, "c@far.example")
		s, err := w.Stats(w.Context(), begin, time.Now().Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if s.Recalls != 3 || s.Recipients != (policy.RecallCounts{Success: 1, Fail: 3}) || s.ByCode[policy.ExternalRecipient] != 3 || s.ByCode[policy.RemovedFromHold] != 1 {
			t.Errorf("stats are %+v", s)
		}
		if len(s.ByReason) != 2 || s.ByReason[0].Reason == "" || s.ByReason[0].Recalls != 2 || s.ByReason[0].Recipients.Fail != 2 || s.ByReason[1].Reason != "wrong person" {
			t.Errorf("by reason: %+v", s.ByReason)
		}
		if a := s.ByAge; a[0].Recalls != 1 || a[1].Recalls != 1 || a[4].Recalls != 1 || a[4].UpTo != 6*time.Hour || a[len(a)-1].UpTo != 0 {
			t.Errorf("by age: %+v", a)
		}
		got := fmt.Sprintf("%.2f %d, %.2f %d, %.2f %d", s.Hold[0].Caught, s.Hold[0].More, s.Hold[1].Caught, s.Hold[1].More, s.Hold[2].Caught, s.Hold[2].More)
		if got != "0.33 1, 0.33 1, 0.67 2" {
			t.Errorf("holds: %s", got)
		}
		if s, _ := w.Stats(w.Context(), begin.Add(-time.Hour), begin); s.Recalls != 0 {
			t.Errorf("%d recalls before the first", s.Recalls)
		}
	})
}
