package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// switchTime is when the tests of the switch begin.
var switchTime = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// A switchJournal keeps the events of timelines.
type switchJournal struct {
	ids     []policy.ID
	records map[policy.ID][]store.Record
	err     error
	n       byte
	batch   uint64
	backup  uint64 // the last batch of a backup
}

func newSwitchJournal() *switchJournal {
	return &switchJournal{records: map[policy.ID][]store.Record{}}
}

func (j *switchJournal) NewID() policy.ID { j.n++; return policy.ID{15: j.n} }

func (j *switchJournal) Commit(_ context.Context, c store.Change) (uint64, error) {
	if j.err != nil {
		return 0, j.err
	}
	if j.records[c.Message] == nil {
		j.ids = append([]policy.ID{c.Message}, j.ids...)
	}
	j.batch++
	j.records[c.Message] = append(j.records[c.Message], store.Record{Batch: j.batch, Message: c.Message, Events: c.Events})
	return 0, nil
}

func (j *switchJournal) Records(context.Context, policy.Kind, int, policy.ID) ([]policy.ID, error) {
	return j.ids, j.err
}

func (j *switchJournal) Timeline(id policy.ID) ([]store.Record, error) { return j.records[id], j.err }

func (j *switchJournal) Restored() (uint64, error) { return j.backup, j.err }

// kinds of the events of all timelines, the oldest first.
func (j *switchJournal) kinds() string {
	var all []string
	for i := len(j.ids) - 1; i >= 0; i-- {
		for _, r := range j.records[j.ids[i]] {
			all = append(all, string(r.Events[0].Kind)+" by "+r.Events[0].Actor)
		}
	}
	return strings.Join(all, ", ")
}

// A switchRig is a switch with its surroundings.
type switchRig struct {
	*bypass
	t       *testing.T
	journal *switchJournal
	at      time.Time
	raised  []alert.Occurrence
}

func newSwitchRig(t *testing.T) *switchRig {
	t.Helper()
	r := &switchRig{t: t, journal: newSwitchJournal(), at: switchTime}
	r.restart()
	return r
}

func (r *switchRig) restart() {
	r.t.Helper()
	var err error
	r.bypass, err = openBypass(r.journal, func(o alert.Occurrence) { r.raised = append(r.raised, o) }, func() time.Time { return r.at }, zap.NewNop())
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *switchRig) start(d time.Duration, suspensions bool) {
	r.t.Helper()
	if err := r.StartBypass(r.t.Context(), r.at.Add(d), suspensions, "limits misfire", "api:ops"); err != nil {
		r.t.Fatal(err)
	}
}

func TestABypassSurvivesARestartAndEndsByItself(t *testing.T) {
	r := newSwitchRig(t)
	gauge := func() float64 {
		registry := prometheus.NewRegistry()
		registry.MustRegister(r.Collectors()...)
		families, err := registry.Gather()
		if err != nil || len(families) != 1 || families[0].GetName() != "sendgate_bypass" {
			t.Fatal(families, err)
		}
		return families[0].GetMetric()[0].GetGauge().GetValue()
	}
	if r.Bypass().On || gauge() != 0 {
		t.Fatal("it is on at the first start")
	}
	r.start(time.Hour, true)
	r.at = r.at.Add(30 * time.Minute)
	r.restart()
	b := r.Bypass()
	if !b.On || !b.Suspensions || b.Author != "api:ops" || b.Reason != "limits misfire" || !b.Since.Equal(switchTime) || !b.Until.Equal(switchTime.Add(time.Hour)) || gauge() != 1 {
		t.Fatalf("after a restart: %+v", b)
	}
	r.at = r.at.Add(30 * time.Minute)
	if r.Bypass().On || r.lifts() || gauge() != 0 {
		t.Error("its time is over and it is on")
	}
	r.restart() // nobody has written down its end yet
	if r.on() {
		t.Error("it is on again after a restart")
	}
	if err := r.expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.journal.kinds(); got != "bypass_started by api:ops, bypass_ended by timer" {
		t.Error(got)
	}
	if o := r.raised[len(r.raised)-1]; o.Kind != alert.BypassOver || o.Text.EN != "The time was over; the rules were bypassed for 1h0m0s." || !strings.Contains(o.Text.ZH, "已到期") {
		t.Errorf("%+v", o)
	}
	if o := r.raised[0]; o.Kind != alert.Bypass || !strings.Contains(o.Text.EN, "api:ops: limits misfire (suspended accounts may send, too)") || !strings.Contains(o.Text.ZH, "被暂停的账号也可发送") {
		t.Errorf("%+v", o)
	}
}

// A backup that was made under a bypass does not bring it back: the rules apply from the first moment, which is
// written down and told. A bypass that is begun after the restore is one as ever, also after a restart.
func TestARestoreDoesNotReviveABypass(t *testing.T) {
	r := newSwitchRig(t)
	r.start(time.Hour, true)
	r.at = r.at.Add(time.Minute)
	r.journal.backup = r.journal.batch
	r.restart()
	if r.Bypass().On || r.on() || r.lifts() {
		t.Error("it is on after a restore")
	}
	if err := r.expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.journal.kinds(); got != "bypass_started by api:ops, bypass_ended by restore" {
		t.Error(got)
	}
	told := r.raised[len(r.raised)-1]
	if told.Kind != alert.BypassOver || !strings.Contains(told.Text.EN, "in the backup from which this store was restored") || !strings.Contains(told.Text.ZH, "恢复后旁路不再生效") {
		t.Errorf("%+v", told)
	}
	if ends := r.raised[len(r.raised)-2]; ends.Kind != alert.Bypass || !ends.Ends {
		t.Errorf("%+v", ends)
	}
	r.start(time.Hour, false)
	r.restart()
	if !r.on() || r.lifts() {
		t.Error("one that was begun after the restore is not on after a restart")
	}
}

// A clock that is set back by a day does not make an hour a day, neither at a restart nor in between.
func TestABypassEndsAlthoughTheClockIsSetBack(t *testing.T) {
	r := newSwitchRig(t)
	r.start(time.Hour, false)
	r.at = r.at.Add(-24 * time.Hour)
	r.restart()
	if !r.on() {
		t.Error("it is over before its time")
	}
	r.at = r.at.Add(time.Hour)
	if r.on() || r.Bypass().On {
		t.Error("after an hour it is on")
	}
	if err := r.expire(t.Context()); err != nil || r.current.Load() != nil {
		t.Errorf("its end is not written down: %v", err)
	}
	if o := r.raised[len(r.raised)-1]; o.Kind != alert.BypassOver || strings.Contains(o.Text.EN, "-") {
		t.Errorf("%+v", o)
	}
	r.start(time.Hour, false)
	p := *r.current.Load()
	p.until = p.until.Add(24 * time.Hour) // by the clock of the wall, which was set back
	r.current.Store(&p)
	r.at = r.at.Add(time.Hour)
	if r.on() {
		t.Error("after an hour of the process it is on")
	}
}

func TestABypassIsMovedAndEnded(t *testing.T) {
	r := newSwitchRig(t)
	r.start(time.Hour, false)
	r.at = r.at.Add(10 * time.Minute)
	r.start(2*time.Hour, false)
	if b := r.Bypass(); !b.Since.Equal(switchTime) || !b.Until.Equal(r.at.Add(2*time.Hour)) || len(r.journal.ids) != 1 {
		t.Errorf("moved: %+v in %d timelines", b, len(r.journal.ids))
	}
	if err := r.EndBypass(t.Context(), "mended", "user:ann"); err != nil || r.on() {
		t.Error("it is on", err)
	}
	if o := r.raised[len(r.raised)-1]; o.Text.EN != "Ended by user:ann; the rules were bypassed for 10m0s." || !strings.Contains(o.Text.ZH, "由 user:ann 结束") {
		t.Errorf("%+v", o)
	}
	r.restart()
	if r.on() {
		t.Error("an ended one is on after a restart")
	}
	r.start(time.Minute, false)
	r.at = r.at.Add(time.Hour) // over, and nobody has noticed
	r.start(time.Minute, false)
	if got := r.journal.kinds(); !strings.HasSuffix(got, "bypass_started by api:ops, bypass_ended by timer, bypass_started by api:ops") {
		t.Error(got)
	}
	r.journal.err = errors.New("the disk is gone")
	if err := r.StartBypass(t.Context(), r.at.Add(time.Hour), true, "r", "api:ops"); err == nil || !strings.Contains(err.Error(), "record the bypass") || r.lifts() {
		t.Errorf("what the journal does not take is in force: %v", err)
	}
	if err := r.EndBypass(t.Context(), "", "api:ops"); err == nil || !strings.Contains(err.Error(), "record the end of the bypass") || !r.on() {
		t.Error(err)
	}
	if _, err := openBypass(r.journal, nil, time.Now, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "find whether the rules are bypassed") {
		t.Error(err)
	}
}

// The timer writes the end down, also when it was moved meanwhile, and tries again when the journal fails.
func TestTheEndOfABypassIsWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newSwitchJournal()
		b, err := openBypass(j, func(alert.Occurrence) {}, time.Now, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.run(ctx) }()
		if err := b.StartBypass(ctx, time.Now().Add(time.Hour), false, "r", "api:ops"); err != nil {
			t.Fatal(err)
		}
		if err := b.StartBypass(ctx, time.Now().Add(10*time.Minute), false, "r", "api:ops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if !b.on() {
			t.Error("it is over before its time")
		}
		b.mu.Lock()
		j.err = errors.New("full")
		b.mu.Unlock()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		b.mu.Lock()
		j.err = nil
		b.mu.Unlock()
		time.Sleep(bypassRetry)
		synctest.Wait()
		if got := j.kinds(); got != "bypass_started by api:ops, bypass_started by api:ops, bypass_ended by timer" {
			t.Error(got)
		}
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// fixed is an engine with one verdict.
type fixed struct{ v policy.Verdict }

func (f fixed) Decide(context.Context, policy.Submission) policy.Verdict { return f.v }
func (fixed) Forget(time.Time, policy.ID)                                {}

func TestWhatABypassLetsPass(t *testing.T) {
	decided := func(kind string) []policy.Finding { return []policy.Finding{{Rule: "r", Kind: kind, Decided: true}} }
	charge := &policy.Charge{At: 1}
	for _, test := range []struct {
		name        string
		v           policy.Verdict
		suspensions bool
		stays       bool
		says        string // of what passes; empty: nothing was changed
		zh          string
	}{
		{name: "the usual hold", v: policy.Verdict{Action: policy.Hold, Until: switchTime, Charge: charge, Findings: decided("hold")}, says: "held until ", zh: "暂缓至 "},
		{name: "approval", v: policy.Verdict{Action: policy.Approval, Rule: "similar", Findings: decided("similar")}, says: "put up for approval by similar", zh: "等待审批，规则：similar"},
		{name: "a refusal of a limit", v: policy.Verdict{Action: policy.Reject, Rule: "day", Code: 550, Status: "5.7.1"}, says: "refused (550 5.7.1) by day", zh: "被拒收（550 5.7.1）"},
		{name: "a refusal for now", v: policy.Verdict{Action: policy.Defer, Rule: "day", Code: 451, Status: "4.7.1"}, says: "refused (451 4.7.1) by day", zh: "被拒收"},
		{name: "the hold of an account under review", v: policy.Verdict{Action: policy.Approval, Rule: "anomaly"}, says: "put up for approval by anomaly", zh: "等待审批"},
		{name: "what a limit only tells because of the bypass", v: policy.Verdict{Findings: []policy.Finding{{Rule: "day", Exceeded: true, Shadow: true, Action: policy.Hold}}}, says: "kept back by day", zh: "被限制，规则：day"},
		{name: "what passes anyway", v: policy.Verdict{Findings: []policy.Finding{{Rule: "day"}, {Rule: "tag", Exceeded: true, Action: policy.Tag}}}, stays: true},
		{name: "a domain that does not exist is refused", v: policy.Verdict{Action: policy.Reject, Rule: "recipient domain"}, suspensions: true, stays: true},
		{name: "a suspended account is refused", v: policy.Verdict{Action: policy.Defer, Rule: "suspended"}, stays: true},
		{name: "so is one that is suspended just now", v: policy.Verdict{Action: policy.Reject, Rule: "anomaly"}, stays: true},
		{name: "unless suspensions are lifted", v: policy.Verdict{Action: policy.Defer, Rule: "suspended", Code: 451, Status: "4.7.28"}, suspensions: true, says: "refused (451 4.7.28) by suspended", zh: "被拒收"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newSwitchRig(t)
			w := watching{fixed{test.v}, r.bypass}
			if v := w.Decide(t.Context(), policy.Submission{}); v.Action != test.v.Action || len(v.Findings) != len(test.v.Findings) {
				t.Errorf("without a bypass: %+v", v)
			}
			r.start(time.Hour, test.suspensions)
			v := w.Decide(t.Context(), policy.Submission{})
			if test.stays {
				if v.Action != test.v.Action || len(v.Findings) != len(test.v.Findings) {
					t.Errorf("%+v", v)
				}
				return
			}
			if v.Action != policy.Pass || v.Charge != test.v.Charge || v.Rule != bypassRule {
				t.Fatalf("%+v", v)
			}
			last := len(v.Findings) - 1
			for i, f := range v.Findings {
				if f.Decided != (i == last) {
					t.Errorf("who decided: %+v", v.Findings)
				}
			}
			if l := v.Findings[last].Text(); !strings.Contains(l.EN, test.says) || !strings.Contains(l.ZH, test.zh) {
				t.Errorf("%q %q", l.EN, l.ZH)
			}
			if len(test.v.Findings) > 0 && test.v.Findings[0].Decided != (test.v.Action != policy.Pass) {
				t.Error("the findings of the rules were changed in place")
			}
			r.at = r.at.Add(time.Hour)
			if v := w.Decide(t.Context(), policy.Submission{}); v.Action != test.v.Action {
				t.Errorf("after its time: %+v", v)
			}
		})
	}
}

// Under a bypass limits count what they would have kept back, so that they are right when it is over.
func TestLimitsCountUnderABypass(t *testing.T) {
	on := false
	b := newLedgerWith(t, func(s *guard.Settings) { s.Bypassed = func() bool { return on } })
	before := b.used()
	_, v := b.send(1)
	if v.Charge == nil {
		t.Fatalf("%+v", v)
	}
	on = true
	for range 8 {
		if _, v = b.send(1); v.Action != policy.Pass || v.Charge == nil {
			t.Fatalf("%v %+v", v.Action, v.Findings)
		}
	}
	if used := b.used() - before; used != 9 {
		t.Errorf("%d were counted", used)
	}
	on = false
	if _, v = b.send(1); v.Charge != nil {
		t.Errorf("the limit does not hold when the bypass is over: %+v", v)
	}
}

// Mail of a suspended account that passes because suspensions are lifted counts as all other mail does: it stands in
// the verdict as refused, and has a charge. So does the message for which the account would have been suspended.
func TestLimitsCountMailOfSuspendedAccountsUnderABypass(t *testing.T) {
	on := false
	r := newSwitchRig(t)
	b := newLedgerWith(t, func(s *guard.Settings) {
		s.Bypassed, s.Lifted = func() bool { return on }, func() bool { return on }
	})
	if err := b.api().Suspend(t.Context(), "ann", time.Time{}, "hijacked", "api:ops"); err != nil {
		t.Fatal(err)
	}
	if _, v := b.send(1); v.Action != policy.Reject || v.Charge != nil || b.used() != 0 {
		t.Fatalf("without a bypass: %+v, %d counted", v, b.used())
	}
	on = true
	r.start(time.Hour, true)
	for range 8 {
		_, v := b.send(1)
		if v.Action != policy.Reject || v.Rule != "suspended" || v.Charge == nil {
			t.Fatalf("%+v", v)
		}
		if v = (watching{fixed{v}, r.bypass}).Decide(t.Context(), policy.Submission{}); v.Action != policy.Pass || v.Charge == nil {
			t.Fatalf("under the bypass: %+v", v)
		}
	}
	b.observe()
	if used := b.used(); used != 8 {
		t.Errorf("%d were counted", used)
	}
	b.restart(false)
	if used := b.used(); used != 8 {
		t.Errorf("%d are counted after a restart", used)
	}
}

// The message for which an account would have been suspended just now counts, too.
func TestLimitsCountWhatAnAccountIsSuspendedForUnderABypass(t *testing.T) {
	b := newLedgerWith(t, func(s *guard.Settings) {
		s.Bypassed, s.Lifted = func() bool { return true }, func() bool { return true }
		s.Anomaly = anomaly.DefaultConfig()
	})
	v := b.steal()
	if v.Action != policy.Defer || v.Rule != "anomaly" || v.Charge == nil || len(v.Charge.Amounts) == 0 {
		t.Errorf("%+v", v)
	}
}
