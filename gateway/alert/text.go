package alert

import (
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// outcome says to administrators what became of the messages of an incident.
func (in *Incident) outcome() policy.Label {
	if len(in.Samples)+len(in.Messages) == 0 {
		return policy.Label{}
	}
	switch in.Kind {
	case ApprovalWaiting, PulledBack, Restored:
		return in.messages("wait for a person", "waits for a person", "等待审批")
	case ApprovalExpired:
		if in.Outcome == policy.Pass {
			return in.messages("were let go", "was let go", "已自动放行")
		}
		return in.messages("were not sent", "was not sent", "未发送")
	case LimitExceeded, DomainRefused:
		switch in.Outcome {
		case policy.Hold:
			return in.messages("held so far; they go by themselves when there is room", "is held; it goes by itself when there is room", "已暂缓，额度恢复后自动发送")
		case policy.Defer:
			return in.messages("put off so far (4xx)", "was put off (4xx)", "暂被拒收 (4xx)")
		case policy.Reject:
			return in.messages("refused so far (5xx)", "was refused (5xx)", "已被拒收 (5xx)")
		}
	}
	return policy.Label{}
}

// messages counts the messages of an incident in a sentence.
func (in *Incident) messages(many, one, zh string) policy.Label {
	l := policy.Label{EN: fmt.Sprintf("%d messages %s.", in.Count, many), ZH: fmt.Sprintf("%d 封邮件%s。", in.Count, zh)}
	if in.Count == 1 {
		l.EN = "One message " + one + "."
	}
	return l
}

// explain says to the sender what happened, what it means and what to do.
func (o *Occurrence) explain(now time.Time) []policy.Label {
	switch o.Kind {
	case LimitExceeded:
		return o.explainLimit(now)
	case LimitWarning:
		return []policy.Label{
			o.text(),
			{
				EN: "Nothing is kept back yet. What you send beyond the limit may have to wait or be refused: send in smaller parts, or ask the administrators for more.",
				ZH: "目前未影响发送。超出上限的邮件可能被暂缓或拒收：请分批发送，或联系管理员提额。",
			},
		}
	case ApprovalWaiting:
		l := policy.Label{
			EN: "Your message is kept until an administrator approves it. You need not send it again.",
			ZH: "您的邮件需经管理员批准后发送，无需重新发送。",
		}
		if !o.Until.IsZero() {
			at := clock(now, o.Until)
			then := policy.Label{EN: "it is returned to you", ZH: "将退回给您"}
			if o.Expiry == policy.Pass {
				then = policy.Label{EN: "it goes by itself", ZH: "将自动发送"}
			}
			l.EN += " If nobody decides until " + at + ", " + then.EN + "."
			l.ZH += "如至 " + at + " 仍未处理，" + then.ZH + "。"
		}
		return []policy.Label{l, o.text()}
	case ApprovalExpired: // of one that was let go: the other is returned
		return []policy.Label{{
			EN: "Nobody decided on your message in time. It was let go; you need not do anything.",
			ZH: "您的邮件未在期限内审批，现已自动发送，您无需操作。",
		}}
	case Suspended:
		why := policy.Label{
			EN: "Mail within the organisation still goes. If you do not know why, ask the administrators.",
			ZH: "内部邮件不受影响。如不清楚原因，请联系管理员。",
		}
		if o.Finding.Kind == anomaly {
			why = policy.Label{
				EN: "It was used in a way that is unusual for it. If that was not you, change your password and tell the administrators. Mail within the organisation still goes; what you have sent before may wait until an administrator has looked at it.",
				ZH: "该账号的发信行为异常。如非本人操作，请立即修改密码并联系管理员。内部邮件不受影响；此前尚未发出的邮件可能需经管理员审核后发送。",
			}
		}
		return []policy.Label{o.suspension(now), why}
	}
	return []policy.Label{o.text()}
}

func (o *Occurrence) suspension(now time.Time) policy.Label {
	l := policy.Label{EN: "This account is suspended from sending to other organisations", ZH: "该账号已被暂停对外发送邮件"}
	if !o.Until.IsZero() {
		at := clock(now, o.Until)
		l.EN += " until " + at
		l.ZH += "，至 " + at
	}
	return policy.Label{EN: l.EN + ".", ZH: l.ZH + "。"}
}

func (o *Occurrence) explainLimit(now time.Time) []policy.Label {
	rest := policy.Label{
		EN: "This is told once: further messages beyond the limit are treated alike until there is room again.",
		ZH: "此情况只通知一次：在额度恢复之前，超出上限的其他邮件将同样处理。",
	}
	switch o.Outcome {
	case policy.Hold:
		return []policy.Label{o.held(now), o.text(), rest}
	case policy.Defer:
		return []policy.Label{{
			EN: "Your message was not taken for now because a sending limit is reached. A mail server tries again by itself; from a mail program, send it again later.",
			ZH: "您的邮件因达到发送上限暂未被接收。邮件服务器会自动重试；如使用邮件客户端，请稍后重新发送。",
		}, o.text(), rest}
	case policy.Reject:
		return []policy.Label{{
			EN: "Your message was refused because it is beyond a sending limit. Send it in smaller parts, or ask the administrators for more.",
			ZH: "您的邮件因超出发送上限被拒收。请分批发送，或联系管理员提额。",
		}, o.text()}
	}
	return []policy.Label{o.text()}
}

// held says when a message goes.
func (o *Occurrence) held(now time.Time) policy.Label {
	at := o.Finding.Next
	if at.IsZero() {
		return policy.Label{
			EN: "Your message was held because a sending limit is reached. It will go by itself as soon as there is room; you need not do anything.",
			ZH: "您的邮件因达到发送上限而暂缓发送，额度恢复后将自动发送，您无需操作。",
		}
	}
	return policy.Label{
		EN: fmt.Sprintf("Your message was held because a sending limit is reached. It will go at about %s by itself; you need not do anything.", clock(now, at)),
		ZH: fmt.Sprintf("您的邮件因达到发送上限而暂缓发送，预计 %s 自动发送，您无需操作。", clock(now, at)),
	}
}
