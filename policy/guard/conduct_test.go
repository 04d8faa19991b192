package guard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/policy/similar"
)

// helpdesk is whom suspended accounts may write to.
const helpdesk = "help@support.example"

// told is an event as the journal has it.
type told struct {
	at time.Time
	id policy.ID
	e  *policy.Envelope
	ev policy.Event
}

// A watched desk knows ann since three weeks. It writes down all that it is told.
type watched struct {
	*desk
	set       Settings
	serial    uint64
	journal   []told
	suspended []policy.Event
}

func newWatched(t *testing.T, change func(*Settings)) *watched {
	t.Helper()
	w := &watched{desk: newDesk(t)}
	w.set = w.settings()
	w.set.Anomaly = anomaly.DefaultConfig()
	w.set.Anomaly.Suspension.Always = []string{helpdesk}
	w.set.Similar = similar.DefaultConfig()
	w.set.Similar.Seed = [16]byte{1}
	w.set.Suspend = func(e policy.Event) { w.suspended = append(w.suspended, e) }
	if change != nil {
		change(&w.set)
	}
	w.g = New(w.set)
	w.now = noon.AddDate(0, 0, -20)
	for range 20 {
		for _, to := range many(3, "partner.example") {
			w.send(w.mail(to))
			w.now = w.now.Add(10 * time.Minute)
		}
		w.now = w.now.Add(24*time.Hour - 30*time.Minute)
	}
	w.now = noon
	return w
}

// mail is one of ann from where she always sits.
func (w *watched) mail(to ...string) policy.Submission {
	s := w.desk.mail(to...)
	w.serial++
	s.ID = policy.ID{}
	binary.BigEndian.PutUint64(s.ID[8:], w.serial)
	s.Envelope.From, s.Envelope.Helo, s.Envelope.MessageID = "Ann <ann@corp.example>", "annspc", fmt.Sprint(w.serial)
	return s
}

// strangers are addresses in no order, n of them, that nobody has seen.
func (w *watched) strangers(n int) (to []string) {
	for i := range n {
		to = append(to, fmt.Sprintf("x%d-%d@s%d.example", (i*7919)%1000, w.serial, (i*31)%97))
	}
	return to
}

// send decides, and writes into the journal what a front does.
func (w *watched) send(s policy.Submission) policy.Verdict {
	w.t.Helper()
	s.Time = w.now
	v := w.decide(s)
	events := []policy.Event{{Kind: policy.Accepted, Charge: v.Charge, Findings: v.Findings}}
	switch v.Action {
	case policy.Hold:
		events = append(events, policy.Event{Kind: policy.Held, Until: v.Until, Rule: v.Rule, Findings: v.Findings})
	case policy.Approval:
		events = append(events, policy.Event{Kind: policy.ApprovalRequested, Until: v.Until, Rule: v.Rule})
	case policy.Reject, policy.Defer:
		events = []policy.Event{{Kind: policy.Refused, Findings: v.Findings}}
	}
	for _, e := range events {
		w.tell(s.ID, s.Envelope, e)
	}
	return v
}

// tell has an event observed, and commits it.
func (w *watched) tell(id policy.ID, e *policy.Envelope, ev policy.Event) {
	if ev.Time.IsZero() {
		ev.Time = w.now
	}
	w.journal = append(w.journal, told{w.now, id, e, ev})
	w.g.Observe(w.now, id, e, ev)
}

// commit writes down the suspensions that wait for it.
func (w *watched) commit() {
	for _, e := range w.suspended {
		w.tell(policy.ID{}, nil, e)
	}
	w.suspended = nil
}

// stranger is a submission of ann from elsewhere with another program.
func (w *watched) stranger(to ...string) policy.Submission {
	s := w.mail(to...)
	s.Envelope.Client, s.Envelope.Helo = netip.MustParseAddr("203.0.113.77"), "bulk-mailer"
	return s
}

// about gives the finding for the whole of a message.
func about(v policy.Verdict) policy.Finding {
	for _, f := range v.Findings {
		if f.Kind == anomalyRule {
			return f
		}
	}
	return policy.Finding{}
}

// codes names the reasons.
func codes(v policy.Verdict) (list []string) {
	for _, f := range v.Findings {
		if f.Kind == anomalyRule {
			list = append(list, f.Source)
		}
	}
	return list
}

func TestStages(t *testing.T) {
	for name, tt := range map[string]struct {
		mail   func(w *watched) policy.Submission
		action policy.Action
		reply  string
		codes  string
		en, zh string // of the finding
		text   policy.Label
		tag    string
	}{
		"as always":     {mail: func(w *watched) policy.Submission { return w.mail(many(3, "partner.example")...) }},
		"to colleagues": {mail: func(w *watched) policy.Submission { return w.stranger(many(90, "corp.example")...) }},
		"from elsewhere is told": {
			mail: func(w *watched) policy.Submission {
				s := w.stranger(w.strangers(1)...)
				s.Envelope.Helo = "annspc"
				return s
			},
			codes: "log network", en: "Unusual for this account (score 2): sent from a new network", zh: "该账号行为异常（评分 2）：来自新的网络",
		},
		"with another program is marked": {
			mail:  func(w *watched) policy.Submission { return w.stranger(w.strangers(1)...) },
			codes: "tag network agent", en: "Unusual for this account (score 3): sent from a new network; sent with a new program",
			zh: "该账号行为异常（评分 3）：来自新的网络；使用新的邮件程序", tag: "tag; score=3; reasons=network,agent",
		},
		"more strangers than ever are held": {
			mail:   func(w *watched) policy.Submission { return w.mail(w.strangers(30)...) },
			action: policy.Approval, codes: "hold volume_hour strangers",
			en:   "Unusual for this account (score 6): 30 new recipients in an hour, usually 0.2; 30 of 30 recipients are new",
			zh:   "该账号行为异常（评分 6）：一小时内有 30 个陌生收件人，平时为 0.2；30 个（共 30 个）收件人为陌生人",
			text: policy.Label{EN: "Waits for review: this is unusual for the account; contact helpdesk@corp.example", ZH: "等待审核：该账号的发信行为异常，请联系 helpdesk@corp.example"},
			tag:  "hold; score=6; reasons=volume_hour,strangers",
		},
		"a flood suspends": {
			mail:   func(w *watched) policy.Submission { return w.mail(w.strangers(60)...) },
			action: policy.Defer, reply: "451 4.7.28", codes: "suspend flood strangers",
			en: "Unusual for this account (score 8): 60 new recipients in an hour, usually 0.2; 60 of 60 recipients are new",
			zh: "该账号行为异常（评分 8）：一小时内有 60 个陌生收件人，平时为 0.2；60 个（共 60 个）收件人为陌生人",
			text: policy.Label{
				EN: "This account is suspended from sending to other organisations until 2026-11-21 13:00; contact helpdesk@corp.example",
				ZH: "该账号已被暂停对外发送邮件，至 2026-11-21 13:00，请联系 helpdesk@corp.example",
			},
			tag: "suspend; score=8; reasons=flood,strangers",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, func(s *Settings) { s.Anomaly.Field = "X-Sendgate-Anomaly" })
			s := tt.mail(w)
			v := w.send(s)
			f := about(v)
			if v.Action != tt.action || strings.Join(codes(v), " ") != tt.codes || f.Detail != (policy.Label{EN: tt.en, ZH: tt.zh}) || f.Shadow {
				t.Errorf("%v %v\n%+v", v.Action, codes(v), f)
			}
			if tt.text != (policy.Label{}) && v.Text != withReference(tt.text, s.ID) {
				t.Errorf("text %+v", v.Text)
			}
			if tt.reply != "" && fmt.Sprint(v.Code, " ", v.Status) != tt.reply {
				t.Errorf("answered %d %s", v.Code, v.Status)
			}
			if tag := fmt.Sprint(v.Tags); tt.tag != "" && tag != "[{X-Sendgate-Anomaly "+tt.tag+"}]" || tt.tag == "" && len(v.Tags) > 0 {
				t.Errorf("tags %v", tag)
			}
			if kept := v.Action != policy.Pass; f.Decided != kept || f.Exceeded != kept || kept && v.Rule != anomalyRule || kept && v.Reason != "account ann: "+tt.en {
				t.Errorf("decided %v by %q: %q", f.Decided, v.Rule, v.Reason)
			}
		})
	}
}

func TestReasonsHaveTheirNumbers(t *testing.T) {
	w := newWatched(t, nil)
	v := w.send(w.mail(w.strangers(30)...))
	want := []policy.Finding{
		{Source: "hold", Used: 6, Limit: 5, Exceeded: true, Decided: true, Action: policy.Approval},
		{Source: "volume_hour", Used: 5, Asked: 30, Limit: 30, Window: time.Hour, Action: policy.Log},
		{Source: "strangers", Used: 1, Asked: 30, Limit: 24, Window: time.Hour, Action: policy.Log},
	}
	for i := range want {
		got := v.Findings[i]
		if want[i].Rule, want[i].Kind, want[i].Key, want[i].Detail = anomalyRule, anomalyRule, "ann", got.Detail; got != want[i] || got.Detail.ZH == "" {
			t.Errorf("%+v\nwant %+v", got, want[i])
		}
	}
	if !v.Until.Equal(noon.Add(72*time.Hour)) || v.Expiry != policy.Reject || v.Shown != v.Until {
		t.Errorf("until %v, then %v", v.Until, v.Expiry)
	}
}

func TestReviewThatReleases(t *testing.T) {
	w := newWatched(t, func(s *Settings) {
		s.Anomaly.Review = anomaly.Review{Expires: time.Hour, OnExpiry: policy.ExpiryRelease}
	})
	if v := w.send(w.mail(w.strangers(30)...)); v.Expiry != policy.Pass || !v.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("%v until %v", v.Expiry, v.Until)
	}
}

func TestPacedAccount(t *testing.T) {
	w := newWatched(t, nil)
	for i, n := range []int{16, 4, 4} {
		s := w.stranger(append(w.strangers(n), many(3, "partner.example")...)...)
		s.Envelope.Helo = "annspc"
		v := w.send(s) // rising, from elsewhere
		if i == 0 {
			continue
		}
		if f := about(v); f.Source != "pace" || f.Action != policy.Pace || !f.Exceeded {
			t.Fatalf("message %d: %+v", i, f)
		}
		switch i {
		case 1: // the first slot is free
			if v.Action != policy.Pass || v.Charge == nil || len(v.Charge.Paces) != 1 {
				t.Errorf("%v %+v", v.Action, v.Charge)
			}
		case 2:
			if v.Action != policy.Hold || !v.Until.Equal(w.now.Add(20*time.Second)) || v.Text.EN != "paced, goes at 12:00:20" || v.Rule != anomalyRule {
				t.Errorf("%v until %v: %v", v.Action, v.Until, v.Text)
			}
		}
	}
}

func TestASuspendedAccountReachesItsOwn(t *testing.T) {
	w := newWatched(t, nil)
	w.send(w.mail(w.strangers(60)...))
	if len(w.suspended) != 1 {
		t.Fatalf("%d suspensions are to be written down", len(w.suspended))
	}
	ev := w.suspended[0]
	if ev.Kind != policy.Suspended || ev.Subject != "ann" || ev.Actor != "anomaly" || ev.Rule != "anomaly" || ev.Amount != 1 || !ev.Until.Equal(noon.Add(time.Hour)) ||
		!strings.HasPrefix(ev.Reason, "Unusual for this account (score 8)") || len(ev.Findings) != 3 {
		t.Errorf("%+v", ev)
	}
	for name, committed := range map[string]bool{"before it is written down": false, "after": true} {
		if committed {
			w.commit()
		}
		t.Run(name, func(t *testing.T) {
			for to, want := range map[string]policy.Action{
				"r0@partner.example": policy.Defer, "boss@corp.example": policy.Pass, helpdesk: policy.Pass, "helpdesk@corp.example": policy.Pass,
			} {
				rcpt := w.mail(to)
				rcpt.Stage, rcpt.Time = policy.StageRcpt, w.now
				v := w.decide(rcpt)
				if v.Action != want || want == policy.Defer && (v.Code != 451 || v.Status != "4.7.28") {
					t.Errorf("RCPT %s: %v %d %s", to, v.Action, v.Code, v.Status)
				}
				if v := w.send(w.mail(to)); v.Action != want {
					t.Errorf("mail to %s: %v", to, v.Action)
				}
			}
		})
	}
	if s, ok := w.g.Suspended(w.now, "ann"); !ok || !s.Automatic() || s.Nth != 1 || len(s.Findings) != 3 || len(w.suspended) != 0 {
		t.Errorf("%+v, and %d more", s, len(w.suspended))
	}
	v := w.send(w.mail(many(21, "corp.example")...)) // who writes to everybody in the house
	if v.Action != policy.Approval || !slices.Contains(codes(v), "capped") {
		t.Errorf("many colleagues: %v %v", v.Action, codes(v))
	}
}

func TestASuspensionEndsByItselfUntilItIsForAPerson(t *testing.T) {
	w := newWatched(t, nil)
	for i, hours := range []time.Duration{1, 2, 4} {
		v := w.send(w.mail(w.strangers(60)...))
		if want := w.now.Add(hours * time.Hour); v.Action != policy.Defer || len(w.suspended) != 1 || !w.suspended[0].Until.Equal(want) || w.suspended[0].Amount != int64(i+1) {
			t.Fatalf("%d: %v %+v", i+1, v.Action, w.suspended)
		}
		w.commit()
		w.now = w.now.Add(hours*time.Hour - time.Second)
		if v := w.send(w.mail("r0@partner.example")); v.Action != policy.Defer {
			t.Errorf("%d: a second before its end: %v", i+1, v.Action)
		}
		w.now = w.now.Add(time.Second)
		if v := w.send(w.mail("r0@partner.example")); v.Action != policy.Pass {
			t.Errorf("%d: at its end: %v %+v", i+1, v.Action, v.Findings)
		}
	}
	v := w.send(w.mail(w.strangers(60)...))
	if v.Action != policy.Reject || v.Code != 550 || v.Status != "5.7.13" || !w.suspended[0].Until.IsZero() || w.suspended[0].Amount != 4 {
		t.Errorf("the fourth: %v %d %s, %+v", v.Action, v.Code, v.Status, w.suspended)
	}
	w.commit()
	w.now = w.now.AddDate(0, 0, 3)
	if v := w.send(w.mail("r0@partner.example")); v.Action != policy.Reject {
		t.Errorf("days later: %v", v.Action)
	}
}

func TestWhatAPersonSaysOfASuspension(t *testing.T) {
	for rule, again := range map[string]policy.Action{"": policy.Pass, Forget: policy.Pass, Keep: policy.Approval} {
		t.Run("history "+rule, func(t *testing.T) {
			w := newWatched(t, nil)
			w.send(w.mail(w.strangers(29)...)) // counts
			w.send(w.mail(w.strangers(40)...))
			if len(w.suspended) != 1 {
				t.Fatal("is not suspended")
			}
			w.commit()
			w.now = w.now.Add(time.Minute)
			w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Unsuspended, Subject: "ann", Actor: "api:ops", Rule: rule})
			v := w.send(w.mail(w.strangers(5)...))
			if v.Action != again {
				t.Errorf("%v %v", v.Action, codes(v))
			}
			familiar := !slices.Contains(codes(w.send(w.stranger("r0@partner.example"))), "network")
			if familiar != (rule == Forget) { // to whom nothing is known nothing is new
				t.Errorf("knows its networks: %v", !familiar)
			}
		})
	}
}

func TestShadowOnlySays(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"shadow": func(s *Settings) { s.Anomaly.Shadow = true },
		"trial":  func(s *Settings) { s.Trial = noon.Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, change)
			w.set.Anomaly.Field = "X-Sendgate-Anomaly"
			w.g.Reload(w.set)
			for _, n := range []int{30, 60, 60} {
				v := w.send(w.mail(w.strangers(n)...))
				f := about(v)
				if v.Action != policy.Pass || !f.Shadow || !f.Exceeded || f.Decided || len(v.Tags) > 0 || len(w.suspended) > 0 {
					t.Fatalf("%d strangers: %v %+v %v %v", n, v.Action, f, v.Tags, w.suspended)
				}
				if want := map[int]string{30: "hold", 60: "suspend"}[n]; f.Source != want {
					t.Errorf("%d strangers: %s", n, f.Source)
				}
			}
			if list := w.g.Suspensions(w.now); len(list) > 0 {
				t.Errorf("%+v", list)
			}
		})
	}
}

func TestItCanBeSwitchedOff(t *testing.T) {
	w := newWatched(t, nil)
	w.set.Anomaly.Enabled = false
	w.g.Reload(w.set)
	if v := w.send(w.mail(w.strangers(60)...)); v.Action != policy.Pass || len(codes(v)) > 0 {
		t.Errorf("%v %+v", v.Action, v.Findings)
	}
}

func TestFailedSignInsTriggerNothing(t *testing.T) {
	for reply, want := range map[string]policy.Action{
		"535 5.7.8 authentication failed": policy.Pass, "454 4.7.0 later": policy.Pass, "235 2.7.0 ok": policy.Approval, "": policy.Approval,
	} {
		t.Run(reply, func(t *testing.T) {
			w := newWatched(t, nil)
			for i := range 15 {
				w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Login, Subject: "ann", Evidence: fmt.Sprintf("198.51.%d.9", i), Reply: reply})
			}
			w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Login, Subject: "ann", Evidence: "nonsense", Reply: reply})
			if v := w.send(w.mail(w.strangers(1)...)); v.Action != want || (want == policy.Pass) != (len(codes(v)) == 0) {
				t.Errorf("%v %v", v.Action, codes(v))
			}
		})
	}
}

func TestBouncesCount(t *testing.T) {
	w := newWatched(t, nil)
	for i := range 5 {
		s := w.mail(append(w.strangers(1), fmt.Sprint("boss", i, "@corp.example"))...)
		w.send(s)
		w.tell(s.ID, s.Envelope, policy.Event{Kind: policy.Bounced, Recipients: []int{1}, Reply: "550 5.1.1 no such user"}) // a colleague's
		ev := policy.Event{Kind: policy.Bounced, Recipients: []int{0}, Reply: "550 5.1.1 no such user"}
		w.tell(s.ID, s.Envelope, ev)
		w.tell(s.ID, s.Envelope, ev) // twice
		w.g.Recollect(w.now, s.ID, s.Envelope, ev)
		v := w.send(w.mail(w.strangers(1)...))
		if got := slices.Contains(codes(v), "unknown_users"); got != (i == 4) {
			t.Errorf("after %d: %v", i+1, codes(v))
		}
	}
}

func TestWhoHasWrittenIsNoStranger(t *testing.T) {
	w := newWatched(t, nil)
	to := w.strangers(60)
	for _, a := range to[:50] {
		w.g.Heard(w.now, "sales@corp.example", policy.Address(a)) // another address of ann
	}
	w.g.Heard(w.now, "sales@corp.example", "")
	w.g.Heard(w.now, "ann@elsewhere.example", policy.Address(to[50]))
	if v := w.send(w.mail(to...)); v.Action != policy.Pass || slices.Contains(codes(v), "flood") {
		t.Errorf("%v %v", v.Action, codes(v))
	}
}

func TestNewAndDormantAccountsRampUp(t *testing.T) {
	for name, change := range map[string]func(*watched, *policy.Envelope){
		"new":     func(_ *watched, e *policy.Envelope) { e.Identity, e.Login = "new", "new" },
		"dormant": func(w *watched, _ *policy.Envelope) { w.now = noon.AddDate(0, 0, 61) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, func(s *Settings) { s.Anomaly.Hour, s.Anomaly.Day = 1000, 1000 })
			s := w.mail(w.strangers(51)...)
			change(w, s.Envelope)
			if v := w.send(s); v.Action != policy.Approval || !slices.Contains(codes(v), "ramp") {
				t.Errorf("%v %v", v.Action, codes(v))
			}
		})
	}
}

func TestForeignFrom(t *testing.T) {
	w := newWatched(t, nil)
	for from, want := range map[string]bool{
		"Sales <sales@corp.example>": false, "ann+news@corp.example": false, "ann@corp.example": false, "": false, "broken": false,
		"The Boss <boss@corp.example>": true, "ann@elsewhere.example": true,
	} {
		s := w.mail("r0@partner.example")
		s.Envelope.From = from
		if v := w.decide(s); slices.Contains(codes(v), "from") != want {
			t.Errorf("%q: %v", from, codes(v))
		}
	}
	all := w.g.settings.Load()
	for identity, want := range map[string]bool{"crm#192.0.2.7": false, "crm@corp.example": false, "erp": true} { // whom the directory does not know
		if got := all.foreign(&policy.Envelope{Identity: identity, From: "crm@corp.example"}); got != want {
			t.Errorf("%s: %v", identity, got)
		}
	}
}

func TestWhoLetsHeldMailPassSpeaksForTheAccount(t *testing.T) {
	for name, again := range map[string]policy.Action{"approved": policy.Pass, "canceled": policy.Approval, "waits": policy.Approval} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, nil)
			s := w.mail(w.strangers(30)...)
			w.send(s)
			w.now = w.now.Add(time.Minute)
			switch name {
			case "approved":
				w.tell(s.ID, s.Envelope, policy.Event{Kind: policy.Approved, Actor: "api:ops"})
			case "canceled":
				w.tell(s.ID, s.Envelope, policy.Event{Kind: policy.Canceled, Actor: "api:ops"})
			}
			if v := w.send(w.mail(w.strangers(1)...)); v.Action != again {
				t.Errorf("%v %v", v.Action, codes(v))
			}
		})
	}
}

// saved gives what is known of the accounts.
func saved(t *testing.T, g *Guard) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := g.Save(PartAccounts, &b, 7); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAccountsSurviveARestart(t *testing.T) {
	w := newWatched(t, nil)
	parts := map[string]*bytes.Buffer{}
	for _, p := range Parts {
		parts[p] = &bytes.Buffer{}
		if err := w.g.Save(p, parts[p], 7); err != nil {
			t.Fatal(err)
		}
	}
	tail := len(w.journal)
	held := w.mail(w.strangers(30)...)
	w.send(held)
	w.tell(held.ID, held.Envelope, policy.Event{Kind: policy.Bounced, Recipients: []int{3}, Reply: "550 5.1.1 unknown"})
	w.now = w.now.Add(time.Minute)
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Login, Subject: "ann", Evidence: "203.0.113.5"})
	w.send(w.mail(w.strangers(60)...))
	w.commit()
	replay := func(g *Guard, from int) {
		for _, one := range w.journal[from:] {
			g.Observe(w.now, one.id, one.e, one.ev)
		}
		g.Resume(w.now)
	}
	for name, start := range map[string]func() *Guard{
		"from the journal": func() *Guard {
			g := New(w.set)
			replay(g, 0)
			return g
		},
		"from the snapshots and the tail": func() *Guard {
			g := New(w.set)
			for _, p := range Parts {
				if mark, err := g.Load(p, bytes.NewReader(parts[p].Bytes())); err != nil || mark != 7 {
					t.Fatal(p, mark, err)
				}
			}
			replay(g, tail)
			return g
		},
		"from a snapshot of now": func() *Guard {
			g := New(w.set)
			for _, p := range Parts {
				var b bytes.Buffer
				if err := w.g.Save(p, &b, 7); err != nil {
					t.Fatal(err)
				}
				if _, err := g.Load(p, &b); err != nil {
					t.Fatal(p, err)
				}
			}
			return g
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := start()
			for range 3 { // what waits is looked for after each start
				for _, one := range w.journal {
					if one.id == held.ID {
						g.Recollect(w.now, one.id, one.e, one.ev)
					}
				}
			}
			if !bytes.Equal(saved(t, g), saved(t, w.g)) {
				t.Error("the accounts differ")
			}
			if s, ok := g.Suspended(w.now, "ann"); !ok || s.Nth != 1 || len(s.Findings) != 3 || s.Findings[0].Detail.ZH == "" {
				t.Errorf("%+v", s)
			}
			g.Observe(w.now, held.ID, held.Envelope, policy.Event{Kind: policy.Approved, Time: w.now.Add(time.Second)})
			if s := w.mail("r0@partner.example"); g.Decide(t.Context(), s).Action != policy.Defer {
				t.Error("approved mail does not end a suspension")
			}
		})
	}
}

func TestASnapshotOfNobodyIsNoFault(t *testing.T) {
	off := newWatched(t, func(s *Settings) { s.Anomaly.Enabled = false })
	on := newWatched(t, nil)
	if mark, err := on.g.Load(PartAccounts, bytes.NewReader(saved(t, off.g))); err != nil || mark != 7 {
		t.Errorf("watched since: %d, %v", mark, err)
	}
	if mark, err := off.g.Load(PartAccounts, bytes.NewReader(saved(t, on.g))); err != nil || mark != 7 {
		t.Errorf("not watched any more: %d, %v", mark, err)
	}
	whole := saved(t, on.g)
	for _, cut := range []int{0, 4, len(whole) - 1} {
		if _, err := on.g.Load(PartAccounts, bytes.NewReader(whole[:cut])); err == nil {
			t.Errorf("cut at %d", cut)
		}
	}
}

// letter is mail with a text, which is read at its end as in the relay: what was said at the header
// is the first verdict.
func (w *watched) letter(text string, links []string, to ...string) (policy.Submission, policy.Verdict, policy.Verdict) {
	w.t.Helper()
	s := w.mail(to...)
	s.Time = w.now
	early := w.decide(s)
	s.Content, s.Stage = &content.Content{Text: text, Links: links}, policy.StageContent
	late := w.decide(s)
	v := early.And(late)
	if !refuses(&v) {
		w.tell(s.ID, s.Envelope, policy.Event{Kind: policy.Accepted, Charge: v.Charge, Findings: v.Findings})
	}
	return s, early, late
}

const offer = "We have looked at the drawings again and can offer the pump with the larger flange for the price that was agreed in spring; delivery takes six weeks."

func TestTheSameTextToManyIsSeenWhenItIsRead(t *testing.T) {
	w := newWatched(t, func(s *Settings) {
		s.Similar.Notice.Hour, s.Similar.Slow.Hour, s.Similar.Review.Hour = 1000, 1000, 1000
	})
	for range 3 {
		_, early, late := w.letter(offer, nil, w.strangers(6)...)
		if len(codes(late)) > 0 {
			t.Fatalf("%v, then %v", codes(early), codes(late))
		}
	}
	_, early, late := w.letter(offer, nil, w.strangers(6)...)
	if !slices.Contains(codes(late), "same_text") || slices.Contains(codes(early), "same_text") {
		t.Errorf("%v, then %v", codes(early), codes(late))
	}
}

func TestANewsletterThatAPersonAllowedCountsForNothing(t *testing.T) {
	w := newWatched(t, nil)
	first, _, _ := w.letter(offer, nil, w.strangers(10)...)
	before := saved(t, w.g)
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.CampaignDecided, Subject: first.ID.String(), Rule: "allow", Actor: "api:ops", Until: w.now.Add(24 * time.Hour)})
	for range 3 {
		w.now = w.now.Add(time.Second)
		if _, early, late := w.letter(offer, nil, w.strangers(100)...); early.Action != policy.Pass || late.Action != policy.Pass {
			t.Fatalf("%v %v, then %v %v", early.Action, codes(early), late.Action, codes(late))
		}
	}
	if w.g.watch.Standing(w.now, "ann").Stage != anomaly.Pass || bytes.Equal(before, saved(t, w.g)) {
		t.Error("it reached a stage, or was not told")
	}
	var b bytes.Buffer
	if err := w.g.Save(PartCampaigns, &b, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.g.Load(PartCampaigns, &b); err != nil {
		t.Fatal(err)
	}
	w.g.pardoned = map[string]map[policy.ID]time.Time{}
	w.g.Resume(w.now)
	if _, early, _ := w.letter(offer, nil, w.strangers(100)...); early.Action != policy.Pass {
		t.Errorf("after a restart: %v", early.Action)
	}
	_, early, late := w.letter("Dear customer, your mailbox is full. Confirm your password at once or lose all of your messages today.", nil, w.strangers(60)...)
	if early.Action != policy.Pass || late.Action != policy.Defer || late.Status != "4.7.28" {
		t.Errorf("another text: %v, then %v %v", early.Action, late.Action, codes(late))
	}
	w.suspended = nil
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Unsuspended, Subject: "ann", Time: w.now.Add(time.Second)})
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.CampaignDecided, Subject: first.ID.String(), Rule: "withdraw", Actor: "api:ops"})
	w.now = w.now.Add(time.Minute)
	if _, early, _ := w.letter(offer, nil, w.strangers(60)...); early.Action != policy.Defer {
		t.Errorf("allowed no more: %v", early.Action)
	}
}

func TestMailsThatAreHardlyMoreThanALink(t *testing.T) {
	w := newWatched(t, nil)
	link := "https://x.example/a"
	for i := range 6 {
		_, early, late := w.letter("look: "+link, []string{link}, w.strangers(1)...)
		want := " then bare"
		switch i {
		case 4: // the stage, its reason, and the fact
			want = " then log bare bare"
		case 5: // there were enough before
			want = "log bare then bare"
		}
		if got := strings.Join(codes(early), " ") + " then " + strings.Join(codes(late), " "); got != want {
			t.Errorf("mail %d: %s", i+1, got)
		}
	}
	_, _, late := w.letter(offer+link, []string{link}, w.strangers(1)...)
	if len(codes(late)) > 0 {
		t.Errorf("one with a text: %v", codes(late))
	}
	if l := terseText(); l.EN != "hardly more than a link" || l.ZH != "内容几乎只有链接" {
		t.Error(l)
	}
}

func TestManyAtOnceAreOneSuspension(t *testing.T) {
	var mu sync.Mutex
	w := newWatched(t, nil)
	w.set.Suspend = func(e policy.Event) {
		mu.Lock()
		defer mu.Unlock()
		w.suspended = append(w.suspended, e)
	}
	w.g.Reload(w.set)
	var group sync.WaitGroup
	for range 16 {
		s := w.mail(w.strangers(60)...)
		s.Time = w.now
		group.Go(func() {
			if v := w.decide(s); v.Action != policy.Defer || v.Code != 451 || v.Charge != nil {
				t.Errorf("%v %d", v.Action, v.Code)
			}
		})
	}
	group.Wait()
	if len(w.suspended) != 1 {
		t.Errorf("%d suspensions", len(w.suspended))
	}
	w.commit()
	if s, _ := w.g.Suspended(w.now, "ann"); s.Nth != 1 || w.g.watch.Standing(w.now, "ann").Nth != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAMessageThatIsReadWhenItsAccountWasSuspended(t *testing.T) {
	w := newWatched(t, nil)
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.CampaignDecided, Subject: w.pass(), Rule: "approve", Actor: "api:ops"})
	s := w.mail("r0@partner.example")
	s.Time = w.now
	if v := w.decide(s); v.Action != policy.Pass {
		t.Fatal(v.Action)
	}
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Suspended, Subject: "ann", Actor: "api:ops"})
	s.Content, s.Stage = &content.Content{Text: "Dear all, the meeting moves to the large room on Friday because of the visitors."}, policy.StageContent
	if v := w.decide(s); v.Action != policy.Reject || v.Status != "5.7.13" || v.Rule != "suspended" {
		t.Errorf("%v %s %s", v.Action, v.Status, v.Rule)
	}
}

// pass has a text sent, and gives its campaign.
func (w *watched) pass() string {
	s, _, _ := w.letter(offer, nil, w.strangers(2)...)
	return s.ID.String()
}
