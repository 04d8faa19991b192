package gateway

import (
	"fmt"

	"github.com/sendgate/sendgate/gateway/ask"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

const askClock = "2006-01-02 15:04 -0700"

// takenNotice says that a recall has begun, and how it stands.
func takenNotice(r *recallAsked, found []store.Message, report *policy.RecallReport, link string) webhook.Notice {
	c := report.Counts
	n := askNotice(r, found, report.ID, link)
	n.Title = policy.Label{EN: "Your message is being taken back", ZH: "撤回请求已受理"}
	n.Lines = append(n.Lines, policy.Label{
		EN: fmt.Sprintf("Of %d recipients it is taken back from %d so far; %d are being worked on, and from %d it cannot be taken back.", c.Success+c.Fail+c.Processing, c.Success, c.Processing, c.Fail),
		ZH: fmt.Sprintf("共 %d 位收件人：已撤回 %d，处理中 %d，无法撤回 %d。", c.Success+c.Fail+c.Processing, c.Success, c.Processing, c.Fail),
	})
	next := policy.Label{EN: "You get a report when it is done.", ZH: "完成后您将收到撤回报告。"}
	if report.Overall == policy.RecallAwaitingApproval {
		until := report.ApproveUntil.Format(askClock)
		next = policy.Label{
			EN: "It goes to so many recipients that an administrator has to approve first, until " + until + ".",
			ZH: "收件人较多，需管理员批准后执行，审批截止时间 " + until + "。",
		}
	}
	n.Lines = append(n.Lines, next)
	if len(report.Related) > 0 {
		n.Lines = append(n.Lines, policy.Label{
			EN: fmt.Sprintf("Answers to it or forwards of it that passed the gateway: %d. A recall does not include them.", len(report.Related)),
			ZH: fmt.Sprintf("经过网关的回复或转发：%d 封，不在撤回范围内。", len(report.Related)),
		})
	}
	return n
}

// refusedNotice says why nothing is done, and what to do.
func refusedNotice(r *recallAsked, found []store.Message, refusal *policy.RecallRefusal, service policy.Address, link string) webhook.Notice {
	n := askNotice(r, found, refusal.Existing, link)
	n.Title = policy.Label{EN: "Your message is not taken back", ZH: "未执行撤回"}
	n.Lines = []policy.Label{refusal.Text}
	if advice, ok := askAdvice[refusal.Code]; ok {
		n.Lines = append(n.Lines, advice)
	}
	switch refusal.Code {
	case policy.RefusedInProgress:
		n.Title = policy.Label{EN: "Your message is being taken back", ZH: "撤回请求已受理"}
	case refusedUnclear, policy.RefusedNotFound, refusedAmbiguous:
		if service != "" {
			n.Lines = append(n.Lines, howToAsk(service))
		}
	}
	return n
}

// askAdvice says what to do after a refusal.
var askAdvice = map[string]policy.Label{
	policy.RefusedDisabled:   {EN: "Ask your administrator.", ZH: "请联系管理员。"},
	policy.RefusedNotSender:  {EN: "Only who has sent a message can take it back; an administrator can do it for you.", ZH: "只有发件人可以撤回邮件，如有需要请联系管理员。"},
	policy.RefusedChannel:    {EN: "Ask your administrator.", ZH: "请联系管理员。"},
	policy.RefusedWindow:     {EN: "An administrator may be able to take it back for longer. Else write to the recipients.", ZH: "管理员可能拥有更长的撤回时限；否则请直接联系收件人。"},
	policy.RefusedRecalled:   {EN: "There is nothing more to do.", ZH: "无需再次操作。"},
	policy.RefusedInProgress: {EN: "You get a report when it is done.", ZH: "完成后您将收到撤回报告。"},
	policy.RefusedReason:     {EN: "Ask for it on the dashboard, where a reason can be given.", ZH: "请在管理页面中提交撤回并填写原因。"},
	policy.RefusedRate:       {EN: "If it is urgent, ask your administrator.", ZH: "如情况紧急，请联系管理员。"},
	policy.RefusedTooMany:    {EN: "Ask for fewer messages at a time.", ZH: "请减少一次撤回的邮件数量。"},
}

// howToAsk is the manual.
func howToAsk(service policy.Address) policy.Label {
	return policy.Label{
		EN: fmt.Sprintf("Write to %s from the account that has sent the message: with the subject RECALL for your last message, RECALL <Message-ID> for any other, or with the message forwarded as an attachment.", service),
		ZH: fmt.Sprintf("请用发送该邮件的账号写信至 %s：主题写“撤回”可撤回最近一封邮件，写“撤回 <Message-ID>”可撤回指定邮件，也可将原邮件作为附件转发。", service),
	}
}

func askNotice(r *recallAsked, found []store.Message, recall policy.ID, link string) webhook.Notice {
	n := webhook.Notice{Kind: "recall", Severity: webhook.Info, Time: r.now, Link: link}
	fact := func(en, zh, value string) {
		n.Facts = append(n.Facts, webhook.Fact{Name: policy.Label{EN: en, ZH: zh}, Value: value})
	}
	const shown = 10
	for i := range found[:min(len(found), shown)] {
		e := &found[i].Envelope
		fact("Subject", "邮件主题", e.Subject)
		fact("Sent", "发送时间", e.Received.Format(askClock))
	}
	if len(found) > shown {
		fact("Further messages", "其他邮件", fmt.Sprint(len(found)-shown))
	}
	if len(found) == 0 && r.Kind == ask.Outlook {
		fact("Subject", "邮件主题", r.Subject)
	}
	if recall != (policy.ID{}) {
		fact("Reference", "编号", recall.String())
		n.IncidentID = recall.String() // stands together with the report
	}
	return n
}
