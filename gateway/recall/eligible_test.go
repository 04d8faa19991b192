package recall

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// refused checks that an error is a refusal with this code and these words.
func (w *world) refused(err error, code, en, zh string) *policy.RecallRefusal {
	w.Helper()
	var r *policy.RecallRefusal
	if !errors.As(err, &r) {
		w.Fatalf("not refused: %v", err)
	}
	if r.Code != code || r.Text.EN != en || r.Text.ZH != zh {
		w.Errorf("refused with %s: %q, %q; want %s: %q, %q", r.Code, r.Text.EN, r.Text.ZH, code, en, zh)
	}
	return r
}

func TestRefused(t *testing.T) {
	outbound := policy.Envelope{Front: policy.Relay, Direction: policy.Outbound, Sender: sender, Identity: "ann"}
	for name, c := range map[string]struct {
		setup  func(w *world, r *policy.RecallRequest)
		code   string
		en, zh string
		plan   bool // the dry run begins all the same
	}{
		"switched off": {setup: func(w *world, r *policy.RecallRequest) {
			w.change(func(c *Config) { c.Enabled = false })
		}, code: policy.RefusedDisabled, en: "taking mail back is switched off here", zh: "本系统未启用邮件撤回功能"},
		"not stored": {setup: func(w *world, r *policy.RecallRequest) {
			r.Messages = append(r.Messages, policy.ID{1})
		}, code: policy.RefusedNotFound, en: "sendgate has no message 01000000000000000000000000", zh: "系统中没有邮件 01000000000000000000000000"},
		"no recipient": {setup: func(w *world, r *policy.RecallRequest) {
			r.Recipients = []string{"nobody@corp.example", "?"}
		}, code: policy.RefusedNotFound, en: "none of the addresses is a recipient of the message", zh: "所选地址均不是该邮件的收件人"},
		"of somebody else": {setup: func(w *world, r *policy.RecallRequest) {
			r.Requester = policy.RecallRequester{Actor: "api:eve", Role: user, Identity: "eve"}
		}, code: policy.RefusedNotSender, en: "only who sent a message, or an administrator of the sender's domain, can take it back", zh: "只有发件人或其所属域的管理员可以撤回邮件"},
		"by an auditor": {setup: func(w *world, r *policy.RecallRequest) {
			r.Requester = policy.RecallRequester{Actor: "api:aud", Role: "auditor", Identity: "ann"}
		}, code: policy.RefusedNotSender, en: "only who sent a message, or an administrator of the sender's domain, can take it back", zh: "只有发件人或其所属域的管理员可以撤回邮件"},
		"by another domain's administrator": {setup: func(w *world, r *policy.RecallRequest) {
			r.Requester = policy.RecallRequester{Actor: "api:adm", Role: admin, Domains: []string{"other.example"}}
		}, code: policy.RefusedNotSender, en: "only who sent a message, or an administrator of the sender's domain, can take it back", zh: "只有发件人或其所属域的管理员可以撤回邮件"},
		"of the null sender": {setup: func(w *world, r *policy.RecallRequest) {
			m := outbound
			m.Sender = ""
			r.Messages = []policy.ID{w.sendAs(m, bob)}
		}, code: policy.RefusedNotSender, en: "only who sent a message, or an administrator of the sender's domain, can take it back", zh: "只有发件人或其所属域的管理员可以撤回邮件"},
		"our own notice": {setup: func(w *world, r *policy.RecallRequest) {
			m := outbound
			m.Front = policy.Internal
			r.Messages = []policy.ID{w.sendAs(m, bob)}
		}, code: policy.RefusedChannel, en: "mail that came in this way is not taken back", zh: "通过该渠道传入的邮件不支持撤回"},
		"from outside": {setup: func(w *world, r *policy.RecallRequest) {
			m := outbound
			m.Direction = policy.Inbound
			r.Messages = []policy.ID{w.sendAs(m, bob)}
			*r = w.asAdmin(*r)
		}, code: policy.RefusedChannel, en: "mail that came in this way is not taken back", zh: "通过该渠道传入的邮件不支持撤回"},
		"too late": {setup: func(w *world, r *policy.RecallRequest) {
			w.deliver(r.Messages[0], 0)
			w.after(24*time.Hour + 2*time.Hour + time.Minute)
		}, code: policy.RefusedWindow, en: "the time for taking it back is over: it is 1d, and the message was sent 1d 2h ago", zh: "撤回时限已过：时限为1天，邮件已发出1天2小时"},
		"too late for an operator": {setup: func(w *world, r *policy.RecallRequest) {
			w.deliver(r.Messages[0], 0)
			w.after(7*24*time.Hour + 3*time.Minute)
			r.Requester = policy.RecallRequester{Actor: "api:op", Role: operator}
		}, code: policy.RefusedWindow, en: "the time for taking it back is over: it is 7d, and the message was sent 7d ago", zh: "撤回时限已过：时限为7天，邮件已发出7天"},
		"without a reason": {setup: func(w *world, r *policy.RecallRequest) {
			r.Reason = " "
		}, code: policy.RefusedReason, en: "say why: the reason is kept with the message", zh: "请填写撤回原因，原因将随邮件记录保存", plan: true},
		"too often": {setup: func(w *world, r *policy.RecallRequest) {
			w.change(func(c *Config) { c.PerHour = 2 })
			for range 2 {
				w.recall(w.send(bob))
			}
		}, code: policy.RefusedRate, en: "at most 2 recalls in an hour: try again later, or ask an administrator", zh: "每小时最多撤回 2 次：请稍后再试或联系管理员", plan: true},
		"too many messages": {setup: func(w *world, r *policy.RecallRequest) {
			r.Messages = make([]policy.ID, maxMessages+1)
		}, code: policy.RefusedTooMany, en: "a recall covers at most 20000 messages and 20000 recipients: name fewer", zh: "一次撤回最多包含 20000 封邮件、20000 个收件人，请缩小范围"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.run()
				req := w.request(w.send(bob))
				c.setup(w, &req)
				before := w.journal.commits
				_, err := w.Start(w.Context(), req)
				w.refused(err, c.code, c.en, c.zh)
				if w.journal.commits != before {
					t.Error("something was recorded")
				}
				if _, err := w.Plan(w.Context(), req); (err == nil) != c.plan {
					t.Errorf("the dry run: %v", err)
				}
			})
		})
	}
}

func TestTooManyRecipients(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		many := make([]policy.Address, maxRecipients+1)
		for i := range many {
			many[i] = address(i)
		}
		_, err := w.Start(w.Context(), w.asAdmin(w.request(w.send(many...))))
		w.refused(err, policy.RefusedTooMany, "a recall covers at most 20000 messages and 20000 recipients: name fewer", "一次撤回最多包含 20000 封邮件、20000 个收件人，请缩小范围")
	})
}

func TestWindows(t *testing.T) {
	for name, c := range map[string]struct {
		role  string
		age   time.Duration
		setup func(c *Config)
		want  bool
	}{
		"sender, at the last moment":     {user, 24 * time.Hour, nil, true},
		"sender, after it":               {user, 24*time.Hour + time.Microsecond, nil, false},
		"administrator":                  {admin, 7 * 24 * time.Hour, nil, true},
		"administrator, after it":        {admin, 7*24*time.Hour + time.Second, nil, false},
		"extended for the role":          {operator, 15 * 24 * time.Hour, func(c *Config) { c.ExtendedFor.Roles = []string{operator} }, true},
		"extended for the backend":       {user, 15 * 24 * time.Hour, func(c *Config) { c.ExtendedFor.Backends = []string{"dovecot"} }, true},
		"extended for another backend":   {user, 15 * 24 * time.Hour, func(c *Config) { c.ExtendedFor.Backends = []string{"exchange"} }, false},
		"extended, and after that":       {user, 15*24*time.Hour + time.Second, func(c *Config) { c.ExtendedFor.Roles = []string{user} }, false},
		"extended shorter than the rest": {admin, 7 * 24 * time.Hour, func(c *Config) { c.ExtendedFor.Roles, c.ExtendedWindow = []string{admin}, time.Hour }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if c.setup != nil {
					c.setup(&w.cfg)
				}
				w.run()
				id := w.send(bob)
				w.deliver(id, 0)
				w.after(c.age)
				req := w.request(id)
				req.Requester.Role = c.role
				_, err := w.Plan(w.Context(), req)
				if (err == nil) != c.want {
					t.Errorf("allowed: %v", err)
				}
			})
		})
	}
}

func TestQueuedHasNoAge(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(bob, far)
		w.deliver(id, 0)
		w.ours2(id, 1)
		w.after(30 * time.Hour)
		w.want(w.recall(id), policy.RecallPartial, map[policy.Address]policy.RecallCode{bob: policy.WindowExpired, far: policy.RemovedFromQueue})
		w.lies(string(bob), "INBOX")
	})
}

func (w *world) ours2(id policy.ID, row int) {
	w.record(id, policy.Event{Kind: policy.Released, Recipients: []int{row}})
	w.record(id, policy.Event{Kind: policy.Deferred, Recipients: []int{row}, Until: time.Now().Add(100 * time.Hour)})
}

func TestSendAs(t *testing.T) {
	inWorld(t, func(w *world) { // bob has sent as ann: both may take it back
		w.run()
		for _, who := range []string{"bob", "ann"} {
			id := w.sendAs(policy.Envelope{Front: policy.Relay, Direction: policy.Outbound, Sender: sender, Identity: "bob"}, far)
			req := w.request(id)
			req.Requester = policy.RecallRequester{Actor: "api:" + who, Role: user, Identity: who}
			if r := w.start(req); r.Overall != policy.RecallAllSuccess {
				t.Errorf("%s: %s", who, r.Overall)
			}
		}
	})
}

func TestAdministratorOfTheDomain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		req := w.request(w.send(far))
		req.Requester = policy.RecallRequester{Actor: "api:adm", Role: admin, Domains: []string{"corp.example"}}
		if r := w.start(req); r.Overall != policy.RecallAllSuccess {
			t.Errorf("overall is %s", r.Overall)
		}
	})
}

func TestAskedTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(far, bob)
		w.happen(id, policy.Released)
		first := w.recall(id)
		_, err := w.Start(w.Context(), w.request(id))
		r := w.refused(err, policy.RefusedInProgress, "it is being taken back already", "该邮件正在撤回中")
		if r.Existing != first.ID {
			t.Errorf("existing is %s", r.Existing)
		}
		req := w.asAdmin(w.request(id)) // what is pending is not done twice, whoever asks
		req.Recipients = []string{string(bob)}
		_, err = w.Start(w.Context(), req)
		w.refused(err, policy.RefusedInProgress, "it is being taken back already", "该邮件正在撤回中")
		w.happen(id, policy.Bounced)
		w.after(time.Second)
		if r := w.report(first.ID); r.Overall != policy.RecallAllSuccess {
			t.Fatalf("overall is %s", r.Overall)
		}
	})
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(far, bob)
		first := w.recall(id)
		_, err := w.Start(w.Context(), w.request(id))
		r := w.refused(err, policy.RefusedRecalled, "it has been taken back already", "该邮件此前已撤回")
		if r.Existing != first.ID {
			t.Errorf("existing is %s", r.Existing)
		}
	})
	inWorld(t, func(w *world) { // others of the same message are another matter
		w.run()
		id := w.send(far, bob)
		for _, a := range []string{string(far), string(bob)} {
			req := w.request(id)
			req.Recipients = []string{a}
			if r := w.start(req); r.Overall != policy.RecallAllSuccess {
				t.Errorf("%s: %s", a, r.Overall)
			}
		}
	})
	inWorld(t, func(w *world) { // who has read it keeps it, unless somebody may ask for more
		w.run()
		id := w.send(bob)
		w.deliver(id, 0)
		w.desk.read(string(bob))
		w.recall(id)
		req := w.asAdmin(w.request(id))
		req.UnreadOnly = false
		r := w.start(req)
		synctest.Wait()
		w.want(w.report(r.ID), policy.RecallAllSuccess, one(bob, policy.RemovedFromMailbox))
	})
}

func TestAskedTwiceAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.run()
		id := w.send(far)
		w.happen(id, policy.Released)
		results := make(chan error)
		for range 20 {
			go func() {
				_, err := w.Start(context.Background(), w.request(id))
				results <- err
			}()
		}
		begun := 0
		for range 20 {
			if err := <-results; err == nil {
				begun++
			}
		}
		if begun != 1 {
			t.Errorf("%d have begun", begun)
		}
	})
}

func TestRateIsOfThePersonAndOutlivesARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.PerHour = 2
		w.run()
		w.recall(w.send(bob))
		w.after(30 * time.Minute)
		w.recall(w.send(bob))
		w.stop()
		w.run()
		req := w.request(w.send(bob))
		req.Requester.Actor = "mail:ann@corp.example"
		_, err := w.Start(w.Context(), req)
		w.refused(err, policy.RefusedRate, "at most 2 recalls in an hour: try again later, or ask an administrator", "每小时最多撤回 2 次：请稍后再试或联系管理员")
		w.start(w.asAdmin(w.request(w.send(bob))))
		w.after(31 * time.Minute)
		w.start(req)
	})
}

func TestAlarm(t *testing.T) {
	inWorld(t, func(w *world) {
		w.cfg.AlarmOver = 3
		w.run()
		w.recall(w.send("a@far.example", "b@far.example"))
		if len(w.desk.alarms) != 0 {
			t.Error("too early")
		}
		r := w.recall(w.send("a@far.example", "b@far.example"))
		if len(w.desk.alarms) != 1 || w.desk.alarms[0].Recipients != 4 || w.desk.alarms[0].Recall != r.ID || w.desk.alarms[0].Requester.Identity != "ann" {
			t.Errorf("alarms are %+v", w.desk.alarms)
		}
		w.start(w.asAdmin(w.request(w.send("a@far.example", "b@far.example", bob, "c@far.example"))))
		if len(w.desk.alarms) != 1 {
			t.Error("an administrator is no alarm")
		}
	})
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration][2]string{
		0:                                  {"0s", "0秒"},
		90 * time.Second:                   {"1m 30s", "1分钟30秒"},
		25 * time.Hour:                     {"1d 1h", "1天1小时"},
		24*time.Hour + 5*time.Minute:       {"1d", "1天"},
		time.Hour + 10*time.Minute + 1e9*3: {"1h 10m", "1小时10分钟"},
	} {
		if en, zh := span(d), spanZH(d); en != want[0] || zh != want[1] {
			t.Errorf("%v: %q, %q", d, en, zh)
		}
	}
}
