package web

import (
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// record commits a message with these first events.
func (r *rig) record(events ...policy.Event) string {
	r.t.Helper()
	id := r.store.NewID()
	for i := range events {
		events[i].Time = r.now
	}
	r.commit(store.Change{Message: id, Envelope: &policy.Envelope{
		Received: r.now, Front: policy.Relay, Direction: policy.Outbound, Sender: "alice@corp.example", Identity: "alice", Subject: "Report",
		Recipients: []policy.Recipient{{Address: "bob@example.net"}, {Address: "carol@example.net"}},
	}, Events: events})
	return id.String()
}

func TestExplainNamesEveryRuleThatLooked(t *testing.T) {
	r := newRig(t)
	over := policy.Finding{
		Rule: "external-hour", Kind: "limit", Unit: policy.ExternalRecipients, Key: "alice", Window: time.Hour, Asked: 2, Used: 299, Limit: 300, Source: "rule",
		Next: r.now.Add(12 * time.Minute), Exceeded: true, Decided: true, Action: policy.Hold,
	}
	day := policy.Finding{
		Rule: "day", Kind: "limit", Unit: policy.Recipients, Key: "alice", Window: 24 * time.Hour, Asked: 2, Used: 850, Limit: 1500, Source: "boost", Action: policy.Hold,
	}
	strangers := policy.Finding{
		Rule: "strangers-day", Kind: "limit", Unit: policy.FirstTimeRecipients, Key: "alice", Window: 24 * time.Hour, Asked: 2, Used: 200, Limit: 200, Source: "rule",
		Next: r.now.Add(time.Hour), Exceeded: true, Shadow: true, Action: policy.Hold,
	}
	near := day
	near.Rule, near.Warn = "internal-hour", true
	id := r.record(
		policy.Event{Kind: policy.Accepted, Actor: "smtp", Findings: []policy.Finding{over, day, strangers, near}},
		policy.Event{Kind: policy.Held, Until: r.now.Add(12 * time.Minute), Rule: "external-hour"},
	)
	r.observe(id, policy.Event{Kind: policy.Queued, QueueID: "4bX"})
	r.observe(id, policy.Event{Kind: policy.RecallRequested, Actor: "api:ops", Recipients: []int{1}, Reason: "wrong file"})
	got := get[Explanation](r, "/api/v1/messages/"+id+"/explain")
	if got.ID != id || got.Identity != "alice" || got.From != "alice@corp.example" || got.Subject != "Report" || len(got.Steps) != 3 {
		t.Fatalf("got %+v", got)
	}
	want := Finding{
		Rule: "external-hour", Kind: "limit", Unit: UnitName{policy.ExternalRecipients, policy.Label{EN: "external recipients", ZH: "个外部收件人"}},
		Key: "alice", Window: Span(time.Hour), Asked: 2, Used: 299, Limit: 300, Source: "rule", NextFree: r.now.Add(12 * time.Minute),
		Exceeded: true, Decided: true, Action: policy.Hold,
		Text: policy.Label{EN: "299 of 300 external recipients per hour used, 2 asked; next free 18:42", ZH: "每小时上限 300 个外部收件人，已用 299，本次 2；18:42 起可发送"},
	}
	accepted, held, recall := got.Steps[0], got.Steps[1], got.Steps[2]
	if len(accepted.Findings) != 4 || accepted.Findings[0] != want || accepted.Findings[1].Source != "boost" || !accepted.Findings[2].Shadow || !accepted.Findings[3].Warn {
		t.Errorf("findings %+v", accepted.Findings)
	}
	if accepted.Text != (policy.Label{EN: "accepted", ZH: "已接收"}) {
		t.Errorf("accepted: %+v", accepted.Text)
	}
	sentence := policy.Label{EN: "held until 2026-11-21 18:42:00: external-hour, " + want.Text.EN, ZH: "暂缓发送至 2026-11-21 18:42:00：external-hour，" + want.Text.ZH}
	if held.Text != sentence || held.Rule != "external-hour" || held.Findings == nil || held.Recipients != nil {
		t.Errorf("held: %+v", held)
	}
	if recall.Text != (policy.Label{EN: "recall requested by api:ops: wrong file", ZH: "请求撤回（api:ops）：wrong file"}) || !slices.Equal(recall.Recipients, []string{"carol@example.net"}) {
		t.Errorf("recall: %+v", recall)
	}
	timeline := get[MessageDetail](r, "/api/v1/messages/"+id).Timeline
	remarks := timeline[0].Findings
	if len(remarks) != 3 || remarks[0] != (Remark{"external-hour", want.Text, "", true, false}) || remarks[1].Rule != "strangers-day" || !remarks[1].Shadow || remarks[2].Rule != "internal-hour" || timeline[1].Findings != nil {
		t.Errorf("remarks %+v", remarks)
	}
}

func TestStepsInWords(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 31, 0, 0, time.UTC)
	calm := policy.Finding{Rule: "day", Kind: "limit", Unit: policy.Recipients, Window: 24 * time.Hour, Asked: 1, Limit: 1000}
	told := calm
	told.Exceeded, told.Action = true, policy.Log
	domain := policy.Finding{Kind: "domain", Decided: true, Exceeded: true, Detail: policy.Label{EN: "gmial.com does not exist; did you mean gmail.com?", ZH: "域名 gmial.com 不存在，是否为 gmail.com？"}}
	suspended := domain
	suspended.Rule, suspended.Detail = "suspended", policy.Label{EN: "suspended", ZH: "已暂停"}
	unusual := policy.Finding{Rule: "anomaly", Kind: "anomaly", Decided: true, Detail: policy.Label{EN: "Unusual for this account (score 6): 30 new recipients", ZH: "该账号行为异常（评分 6）：30 个陌生收件人"}}
	named := policy.Finding{Rule: "night", Kind: "hold", Decided: true}
	for name, tt := range map[string]struct {
		event policy.Event
		en    string
		zh    string
	}{
		"within all limits":      {policy.Event{Kind: policy.Accepted, Actor: "smtp", Findings: []policy.Finding{calm}}, "accepted: within all limits", "已接收：未超过任何上限"},
		"beyond one that logs":   {policy.Event{Kind: policy.Accepted, Findings: []policy.Finding{told}}, "accepted: what is exceeded keeps nothing back", "已接收：超过的上限不影响发送"},
		"no rule looked":         {policy.Event{Kind: policy.Accepted}, "accepted", "已接收"},
		"the default hold":       {policy.Event{Kind: policy.Held, Until: at}, "held until 2026-11-21 18:31:00: the hold that all mail has", "暂缓发送至 2026-11-21 18:31:00：默认暂缓时间"},
		"a hold rule":            {policy.Event{Kind: policy.Held, Until: at, Rule: "ceo"}, "held until 2026-11-21 18:31:00: rule ceo", "暂缓发送至 2026-11-21 18:31:00：规则 ceo"},
		"a hold rule that found": {policy.Event{Kind: policy.Held, Rule: "night", Findings: []policy.Finding{named}}, "held: night", "暂缓发送：night"},
		"held longer":            {policy.Event{Kind: policy.HoldChanged, Until: at, Actor: "api:ops"}, "held until 2026-11-21 18:31:00 by api:ops", "暂缓发送至 2026-11-21 18:31:00（api:ops）"},
		"a wrong domain":         {policy.Event{Kind: policy.Refused, Reply: "550 5.1.2", Findings: []policy.Finding{domain}}, "refused: gmial.com does not exist; did you mean gmail.com?", "拒收：域名 gmial.com 不存在，是否为 gmail.com？"},
		"unusual":                {policy.Event{Kind: policy.ApprovalRequested, Until: at, Rule: "anomaly", Findings: []policy.Finding{unusual}}, "waits for approval until 2026-11-21 18:31:00: Unusual for this account (score 6): 30 new recipients", "等待审批至 2026-11-21 18:31:00：该账号行为异常（评分 6）：30 个陌生收件人"},
		"a suspended sender":     {policy.Event{Kind: policy.Refused, Findings: []policy.Finding{suspended}}, "refused: suspended", "拒收：已暂停"},
		"refused behind us":      {policy.Event{Kind: policy.Refused, Reply: "550 5.7.1 no"}, "refused: 550 5.7.1 no", "拒收：550 5.7.1 no"},
		"approval":               {policy.Event{Kind: policy.ApprovalRequested, Until: at, Rule: "message-large", Reason: "too many"}, "waits for approval until 2026-11-21 18:31:00: too many", "等待审批至 2026-11-21 18:31:00：too many"},
		"approved":               {policy.Event{Kind: policy.Approved, Actor: "socket:uid 0"}, "approved by socket:uid 0", "审批通过（socket:uid 0）"},
		"room again":             {policy.Event{Kind: policy.Released, Actor: "limits"}, "let go: it fits its limit again", "已放行：限额已有余量"},
		"the hold is over":       {policy.Event{Kind: policy.Released, Actor: "hold"}, "let go: the hold is over", "已放行：暂缓时间已到"},
		"let go by a person":     {policy.Event{Kind: policy.Released, Actor: "api:ops"}, "let go by api:ops", "已放行（api:ops）"},
		"handed through":         {policy.Event{Kind: policy.Offered}, "handed through at once", "直接转交"},
		"canceled":               {policy.Event{Kind: policy.Canceled, Actor: "sender", Reason: "typo"}, "taken back by sender: typo", "已撤回（sender）：typo"},
		"blocked":                {policy.Event{Kind: policy.Blocked, Actor: "hold", Rule: "message-large", Reason: "approval expired"}, "blocked: approval expired", "被拦截：approval expired"},
		"never queued":           {policy.Event{Kind: policy.NeverQueued}, "never queued by the mail server", "未进入邮件服务器队列"},
		"outcome":                {policy.Event{Kind: policy.RecallOutcome, Reason: "removed_from_queue"}, "result of the recall: taken back out of the queue", "撤回结果：已从队列中撤回"},
		"restored":               {policy.Event{Kind: policy.Restored, Actor: "api:ops"}, "put back into the mailbox by api:ops", "已恢复到邮箱（api:ops）"},
		"resent":                 {policy.Event{Kind: policy.Resent, Actor: "api:ops", Reason: "mailbox made"}, "sent again by api:ops: mailbox made", "重新发送（api:ops）：mailbox made"},
	} {
		var v verdicts
		got, ok := stepText(&tt.event, v.of(&tt.event))
		if want := (policy.Label{EN: tt.en, ZH: tt.zh}); !ok || got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestWhatServersDidIsNoStep(t *testing.T) {
	for _, k := range []policy.Kind{policy.Queued, policy.Deferred, policy.DeliveredMailbox, policy.Bounced} {
		if _, ok := stepOf(&policy.Event{Kind: k}, nil, rowAddresses{}); ok {
			t.Errorf("%s is a step", k)
		}
	}
	// Unless a rule has spoken.
	if s, ok := stepOf(&policy.Event{Kind: policy.Deferred, Findings: []policy.Finding{{Kind: "limit"}}}, nil, rowAddresses{}); !ok || s.Text.EN != "deferred" || len(s.Findings) != 1 {
		t.Errorf("got %+v %v", s, ok)
	}
}

func TestExplainIsRefused(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	w := r.ask(r.server, "secret-auditor", "GET", "/api/v1/messages/"+stranger+"/explain", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "not_found", "there is no such message, or it is older than events are kept")
	w = r.ask(r.serverFor(brokenJournal{r.store}), "secret-auditor", "GET", "/api/v1/messages/"+id+"/explain", "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 500, "internal", "something went wrong here: the log of sendgate says what")
}
