package web

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// stepNames are the events that explain something, in words.
var stepNames = map[policy.Kind]policy.Label{
	policy.Accepted:          {EN: "accepted", ZH: "已接收"},
	policy.Refused:           {EN: "refused", ZH: "拒收"},
	policy.Held:              {EN: "held", ZH: "暂缓发送"},
	policy.HoldChanged:       {EN: "held", ZH: "暂缓发送"},
	policy.ApprovalRequested: {EN: "waits for approval", ZH: "等待审批"},
	policy.Approved:          {EN: "approved", ZH: "审批通过"},
	policy.Released:          {EN: "let go", ZH: "已放行"},
	policy.Offered:           {EN: "handed through at once", ZH: "直接转交"},
	policy.Canceled:          {EN: "taken back", ZH: "已撤回"},
	policy.Resent:            {EN: "sent again", ZH: "重新发送"},
	policy.Blocked:           {EN: "blocked", ZH: "被拦截"},
	policy.NeverQueued:       {EN: "never queued by the mail server", ZH: "未进入邮件服务器队列"},
	policy.RecallRequested:   {EN: "recall requested", ZH: "请求撤回"},
	policy.RecallOutcome:     {EN: "result of the recall", ZH: "撤回结果"},
	policy.Erased:            {EN: "a person was erased from it", ZH: "已清除个人数据"},
	policy.Restored:          {EN: "put back into the mailbox", ZH: "已恢复到邮箱"},
}

// stepText puts an event into a sentence: what, until when, by whom, and why.
func stepText(e *policy.Event, by *policy.Finding) (policy.Label, bool) {
	l, ok := stepNames[e.Kind]
	if !ok {
		return policy.Label{EN: string(e.Kind), ZH: string(e.Kind)}, false
	}
	if lasts(e.Kind) && !e.Until.IsZero() {
		at := e.Until.Local().Format(time.DateTime)
		l.EN += " until " + at
		l.ZH += "至 " + at
	}
	if who := byWhom(e.Actor); who != (policy.Label{}) && e.Kind != policy.Accepted {
		l.EN += who.EN
		l.ZH += who.ZH
	}
	if why := why(e, by); why != (policy.Label{}) {
		l.EN += ": " + why.EN
		l.ZH += "：" + why.ZH
	}
	return l, true
}

func lasts(k policy.Kind) bool {
	return k == policy.Held || k == policy.HoldChanged || k == policy.ApprovalRequested
}

// byWhom names a person or a program; the parts of sendgate are named by what they find.
func byWhom(actor string) policy.Label {
	switch actor {
	case "", "smtp", "hold", "limits":
		return policy.Label{}
	}
	return policy.Label{EN: " by " + actor, ZH: "（" + actor + "）"}
}

// why gives the reason of an event: the rule that decided with its numbers, else what stands there.
func why(e *policy.Event, by *policy.Finding) policy.Label {
	switch {
	case e.Kind == policy.Accepted:
		return withinLimits(e.Findings)
	case by != nil && by.Kind == policy.FoundSimilar:
		return similarText(by)
	case by != nil && by.Kind == kindAnomaly:
		return by.Text()
	case by != nil && by.Rule != "" && by.Rule != by.Text().EN:
		text := by.Text()
		return policy.Label{EN: by.Rule + ", " + text.EN, ZH: by.Rule + "，" + text.ZH}
	case by != nil:
		return by.Text()
	case e.Kind == policy.RecallOutcome:
		return policy.RecallCode(e.Reason).Label()
	case e.Reason != "":
		return policy.Label{EN: e.Reason, ZH: e.Reason}
	case e.Kind == policy.Refused && e.Reply != "":
		return policy.Label{EN: e.Reply, ZH: e.Reply}
	case e.Kind == policy.Released && e.Actor == "limits":
		return policy.Label{EN: "it fits its limit again", ZH: "限额已有余量"}
	case e.Kind == policy.Released && e.Actor == "hold":
		return policy.Label{EN: "the hold is over", ZH: "暂缓时间已到"}
	case e.Rule != "":
		return policy.Label{EN: "rule " + e.Rule, ZH: "规则 " + e.Rule}
	case e.Kind == policy.Held:
		return policy.Label{EN: "the hold that all mail has", ZH: "默认暂缓时间"}
	}
	return policy.Label{}
}

// withinLimits says how a message stands that was accepted. What decided says so in the next event.
func withinLimits(findings []policy.Finding) policy.Label {
	exceeded := false
	for i := range findings {
		if findings[i].Decided && !findings[i].Shadow {
			return policy.Label{}
		}
		exceeded = exceeded || findings[i].Exceeded
	}
	switch {
	case len(findings) == 0:
		return policy.Label{}
	case exceeded:
		return policy.Label{EN: "what is exceeded keeps nothing back", ZH: "超过的上限不影响发送"}
	}
	return policy.Label{EN: "within all limits", ZH: "未超过任何上限"}
}
