package guard

import (
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
)

// reference is what a person gives to the administrators to ask about a refusal.
func reference(id policy.ID) string {
	if id == (policy.ID{}) {
		return ""
	}
	return id.String()
}

// sentence is what the sender is told about an exceeded limit. Mail programs show the beginning only,
// so that it says what is the matter.
func sentence(f policy.Finding, ref string) policy.Label {
	l := f.Text()
	switch f.Action {
	case policy.Hold:
		if f.Exceeded && !f.Next.IsZero() {
			l = policy.Label{EN: "Held for the sending limit: " + l.EN, ZH: "已达发送上限，暂缓发送：" + l.ZH}
			break
		}
		fallthrough
	case policy.Reject, policy.Defer:
		l = policy.Label{EN: "Sending limit reached: " + l.EN, ZH: "已达发送上限：" + l.ZH}
	case policy.Approval:
		l = policy.Label{EN: "Waits for approval: " + l.EN, ZH: "等待审批：" + l.ZH}
	}
	if ref != "" {
		l.EN += " (ref " + ref + ")"
		l.ZH += "（编号 " + ref + "）"
	}
	return l
}

func tooManyText(most int64) policy.Label {
	return policy.Label{
		EN: fmt.Sprintf("Too many recipients in one message (limit %d); send the rest in another message", most),
		ZH: fmt.Sprintf("单封邮件收件人过多（上限 %d），请将其余收件人放入另一封邮件", most),
	}
}

func failureText() policy.Label {
	return policy.Label{EN: "A sending limit cannot be checked at the moment", ZH: "暂时无法检查发送上限"}
}

func paceText(at time.Time, late bool) policy.Label {
	if !late {
		return policy.Label{EN: "within the pace", ZH: "未超过发送速率"}
	}
	clock := at.Local().Format(time.TimeOnly)
	return policy.Label{EN: "paced, goes at " + clock, ZH: "按速率发送，" + clock + " 发出"}
}

// conductText says what is unusual about a message.
func conductText(w *anomaly.Verdict) (l policy.Label) {
	for i := range w.Reasons {
		if i > 0 {
			l.EN += "; "
			l.ZH += "；"
		}
		l.EN += w.Reasons[i].Text.EN
		l.ZH += w.Reasons[i].Text.ZH
	}
	if w.Score > 0 {
		l.EN = fmt.Sprintf("Unusual for this account (score %d): %s", w.Score, l.EN)
		l.ZH = fmt.Sprintf("该账号行为异常（评分 %d）：%s", w.Score, l.ZH)
	}
	return l
}

func terseText() policy.Label {
	return policy.Label{EN: "hardly more than a link", ZH: "内容几乎只有链接"}
}

// reviewText does not say what was noticed: who reads it may be an intruder.
func reviewText(contact string) policy.Label {
	l := policy.Label{EN: "Waits for review: this is unusual for the account", ZH: "等待审核：该账号的发信行为异常"}
	if contact != "" {
		l.EN += "; contact " + contact
		l.ZH += "，请联系 " + contact
	}
	return l
}

func suspendedText(s *Suspension, contact string) policy.Label {
	l := policy.Label{EN: "This account is suspended from sending to other organisations", ZH: "该账号已被暂停对外发送邮件"}
	if !s.Until.IsZero() {
		at := s.Until.Local().Format("2006-01-02 15:04")
		l.EN += " until " + at
		l.ZH += "，至 " + at
	}
	if contact != "" {
		l.EN += "; contact " + contact
		l.ZH += "，请联系 " + contact
	}
	return l
}
