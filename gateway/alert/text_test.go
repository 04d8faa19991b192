package alert

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

var rewrite = flag.Bool("update", false, "write the golden files anew")

// everyKind has one occurrence of every kind, in each of its outcomes.
func everyKind() map[string]Occurrence {
	limit := func(change func(*Occurrence)) Occurrence {
		o := exceeded(1, noon)
		if change != nil {
			change(&o)
			o.Finding.Action = o.Outcome
		}
		return o
	}
	ann := func(k Kind, change func(*Occurrence)) Occurrence {
		o := Occurrence{Kind: k, Subject: "ann@corp.example", Time: noon, Mailbox: "ann@corp.example"}
		if change != nil {
			change(&o)
		}
		return o
	}
	text := func(en, zh string) func(*Occurrence) {
		return func(o *Occurrence) { o.Text = policy.Label{EN: en, ZH: zh} }
	}
	tomorrow := noon.Add(20 * time.Hour)
	return map[string]Occurrence{
		"limit_warning": limit(func(o *Occurrence) {
			o.Kind, o.Finding.Used, o.Finding.Exceeded, o.Finding.Warn, o.Finding.Next = LimitWarning, 240, false, true, time.Time{}
		}),
		"limit_exceeded-hold":     limit(nil),
		"limit_exceeded-tomorrow": limit(func(o *Occurrence) { o.Finding.Next = tomorrow }),
		"limit_exceeded-unknown":  limit(func(o *Occurrence) { o.Finding.Next = time.Time{} }),
		"limit_exceeded-defer":    limit(func(o *Occurrence) { o.Outcome = policy.Defer }),
		"limit_exceeded-reject":   limit(func(o *Occurrence) { o.Outcome, o.Window, o.Finding.Window = policy.Reject, 0, 0 }),
		"limit_exceeded-log":      limit(func(o *Occurrence) { o.Outcome = policy.Log }),
		"limit_exceeded-gateway":  limit(func(o *Occurrence) { o.Subject = "gateway:" }),
		"approval_waiting-return": limit(func(o *Occurrence) {
			o.Kind, o.Outcome, o.Until, o.Expiry = ApprovalWaiting, policy.Approval, tomorrow, policy.Reject
		}),
		"approval_waiting-pass":   limit(func(o *Occurrence) { o.Kind, o.Outcome, o.Until = ApprovalWaiting, policy.Approval, tomorrow }),
		"approval_expired-return": limit(func(o *Occurrence) { o.Kind, o.Outcome, o.Mailbox = ApprovalExpired, policy.Reject, "" }),
		"approval_expired-pass":   limit(func(o *Occurrence) { o.Kind, o.Outcome = ApprovalExpired, policy.Pass }),
		"suspended":               ann(Suspended, text("Suspended by api:ops: password leaked", "由 api:ops 暂停：password leaked")),
		"suspended-until":         ann(Suspended, func(o *Occurrence) { o.Until = tomorrow }),
		"suspended-automatic": ann(Suspended, func(o *Occurrence) {
			o.Until = tomorrow
			o.automatic(&policy.Event{Findings: []policy.Finding{{Detail: policy.Label{
				EN: "Unusual for this account (score 9): 60 strangers in an hour", ZH: "该账号行为异常（评分 9）：一小时内 60 个陌生收件人"}}}})
		}),
		"pulled_back": ann(PulledBack, func(o *Occurrence) {
			o.Rule, o.Until, o.Outcome, o.Message, o.Sample, o.Mailbox = "01KAHGZT7QX2Y8V4B6N3M5K9WC", tomorrow, policy.Approval, message(1), "offer", ""
			text("Pulled back: ann was suspended at 12:00", "已撤回待审：ann 于 12:00 被暂停对外发送邮件")(o)
		}),
		"restored": ann(Restored, func(o *Occurrence) {
			o.Subject, o.Rule, o.Until, o.Outcome, o.Message, o.Sample, o.Mailbox = "gw.corp.example", "01KAHGZT7QX2Y8V4B6N3M5K9WC", tomorrow, policy.Approval, message(1), "offer", ""
			text("Restored from a backup of 2026-03-02 03:00: it may have been sent since", "由 2026-03-02 03:00 的备份恢复：此后可能已经发出")(o)
		}),
		"store_bounded": ann(StoreBounded, func(o *Occurrence) {
			o.Subject = ""
			text("It takes 512 MiB; 40 bodies were deleted before their time", "占用 512 MiB；已提前删除 40 封邮件的原文")(o)
		}),
		"unsuspended": ann(Unsuspended, text("The suspension is over.", "暂停已解除。")),
		"boost_given": ann(BoostGiven, text("500 more under day until 2026-03-03 08:00", "day 临时增加 500，至 2026-03-03 08:00")),
		"domain_refused": ann(DomainRefused, func(o *Occurrence) {
			o.Outcome, o.Message, o.Sample = policy.Reject, message(1), "offer"
			o.Finding = policy.Finding{Rule: "domains", Kind: "domain", Detail: policy.Label{EN: "gmial.com does not exist", ZH: "域名 gmial.com 不存在"}}
		}),
		"unknown_rate": ann(UnknownRate, func(o *Occurrence) {
			o.Subject = ""
			text("0.4 % of 12000 recipients in the last day are unknown", "最近一天 12000 个收件人中 0.4 % 状态未知")(o)
		}),
		"tracking_gap": ann(TrackingGap, func(o *Occurrence) { o.Subject = "/var/log/mail.log" }),
		"disk_low":     ann(DiskLow, func(o *Occurrence) { o.Subject = ""; text("1.2 GiB are left", "剩余 1.2 GiB")(o) }),
		"campaign":     ann(Campaign, text("212 recipients in 10 minutes", "10 分钟内 212 个收件人")),
		"hijack":       ann(Hijack, text("Three countries in an hour", "一小时内来自三个国家")),
		"mass_recall": ann(MassRecall, func(o *Occurrence) {
			o.Mailbox = ""
			text("Mail to 34 recipients within an hour was asked back", "一小时内请求撤回发给 34 个收件人的邮件")(o)
		}),
		"unknown_kind": ann("weather", text("It rains", "下雨")),
		"shell":        ann(Hijack, func(o *Occurrence) { o.Subject = "x;reboot" }),
	}
}

// write gives a notice as a golden file has it.
func (n Notice) write(b *strings.Builder, to string) {
	fmt.Fprintf(b, "to %s: %s %s\n", to, n.Severity, n.Kind)
	for _, lang := range []string{"en", "zh"} {
		fmt.Fprintf(b, "  # %s\n", n.Title.In(lang))
		for _, l := range n.Lines {
			fmt.Fprintf(b, "  %s\n", l.In(lang))
		}
		for _, f := range n.Facts {
			fmt.Fprintf(b, "  - %s: %s\n", f.Name.In(lang), f.Value)
		}
	}
}

func TestTexts(t *testing.T) {
	for name, o := range everyKind() {
		t.Run(name, func(t *testing.T) {
			b := newBook(settings(), numberedIDs())
			var text strings.Builder
			for range max(1, o.Kind.trait().from) {
				b.raise(noon, o)
				if o.Message != (policy.ID{}) {
					o.Message[0]++
				}
			}
			for _, p := range b.outbox {
				p.Notice.write(&text, p.To)
			}
			golden := filepath.Join("testdata", name+".txt")
			if *rewrite {
				if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(want) != text.String() {
				t.Errorf("differs from %s (error %v):\n%s", golden, err, text.String())
			}
		})
	}
}

// The sentence with the numbers is that of the SMTP reply and of the API.
func TestEverybodyReadsTheSameSentence(t *testing.T) {
	b := newBook(settings(), numberedIDs())
	o := exceeded(1, noon)
	b.raise(noon, o)
	want := o.Finding.Text()
	if b.list(true)[0].Text != want {
		t.Errorf("incident: %+v", b.list(true)[0].Text)
	}
	for _, p := range b.outbox {
		if p.Notice.Lines[1] != want {
			t.Errorf("%s: %+v", p.To, p.Notice.Lines)
		}
	}
}

// Every kind has its texts in both languages.
func TestEveryKindHasTexts(t *testing.T) {
	for k, tr := range traits {
		for _, l := range []policy.Label{tr.title, tr.own, tr.advice, tr.page} {
			if (l.EN == "") != (l.ZH == "") {
				t.Errorf("%s: %+v", k, l)
			}
		}
		if tr.command != "" && tr.at == "" || (tr.at == "") != (tr.page.EN == "") {
			t.Errorf("%s names a command, and no page: %+v", k, tr)
		}
		if tr.title.EN == "" || tr.severity.rank() < 0 {
			t.Errorf("%s: %+v", k, tr)
		}
	}
	n := TestNotice(noon)
	if n.Kind != Test || n.Lines[0].EN != "Notices of sendgate arrive here. Nothing has happened." || n.Title.ZH != "测试通知" {
		t.Errorf("test notice %+v", n)
	}
}

// Who is told what to do reads first where it is done in the dashboard, with a link, and then the command.
func TestThePageComesBeforeTheCommand(t *testing.T) {
	const campaign = "01M7ZZZZZZZZZZZZZZZZZZZZZZ"
	for name, tt := range map[string]struct {
		o      Occurrence
		advice policy.Label
		link   string
	}{
		"a sender": {
			Occurrence{Kind: Suspended, Subject: "ann/b@corp.example", Time: noon},
			policy.Label{EN: "To end it: “End the suspension” on the page of the sender; or sendgate senders unsuspend IDENTITY", ZH: "如需恢复：发件人页面的“解除暂停”；或使用命令 sendgate senders unsuspend IDENTITY"},
			"https://gate.corp.example/senders/ann%2Fb@corp.example",
		},
		"a batch": {
			Occurrence{Kind: PulledBack, Subject: "ann", Rule: campaign, Time: noon},
			policy.Label{
				EN: "Look at the mail, then let all of it go or take all of it back: “Approve all” or “Take all back” on the page of the batch; or sendgate approvals --batch " + campaign,
				ZH: "请查看这些邮件，然后整批放行或撤回：批次页面的“全部批准”或“全部撤回”；或使用命令 sendgate approvals --batch " + campaign,
			},
			"https://gate.corp.example/approvals?batch=" + campaign,
		},
		"several accounts that send the same": {
			Occurrence{Kind: Hijack, Subject: campaign, Time: noon},
			policy.Label{
				EN: "Look at the sample and decide on all of them at once: “Approve”, “Slow down” or “Stop” on the page of the campaign; or sendgate campaigns " + campaign,
				ZH: "请查看样本后统一处理：群发页面的“批准”“限速”或“终止”；或使用命令 sendgate campaigns " + campaign,
			},
			"https://gate.corp.example/campaigns/" + campaign,
		},
		"webhooks": {
			Occurrence{Kind: WebhookFailing, Subject: "crm", Time: noon},
			policy.Label{EN: "Mail still flows. To see what its receiver says: Settings, Webhooks; or sendgate webhooks", ZH: "邮件仍正常发送。查看推送状态：“设置”中的“Webhook”；或使用命令 sendgate webhooks"},
			"https://gate.corp.example/settings/webhooks",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(settings(), numberedIDs())
			b.raise(noon, tt.o)
			if got := b.list(true)[0].Advice; got != tt.advice {
				t.Errorf("%+v", got)
			}
			if f := b.outbox[0].Notice.Facts[0]; f.Value != tt.link || f.Name != (policy.Label{EN: "Page", ZH: "页面"}) {
				t.Errorf("%+v", f)
			}
		})
	}
	s := settings()
	s.Dashboard = ""
	b := newBook(s, numberedIDs())
	b.raise(noon, Occurrence{Kind: Bypass, Subject: "gateway", Time: noon})
	if f := b.outbox[0].Notice.Facts[0]; f.Name.EN == "Page" {
		t.Errorf("without a dashboard: %+v", f)
	}
}
