package guard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
)

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
