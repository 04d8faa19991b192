package web

import (
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/similar"
)

var levelLabels = [...]policy.Label{
	similar.Silent: {EN: "Inconspicuous", ZH: "未见异常"},
	similar.Notice: {EN: "Noticed", ZH: "已提示"},
	similar.Slow:   {EN: "Slowed down", ZH: "已限速"},
	similar.Review: {EN: "Held for review", ZH: "暂缓待审"},
	similar.Alert:  {EN: "Held, alert raised", ZH: "暂缓并告警"},
}

// levelLabel names how strongly a campaign is acted on.
func levelLabel(l similar.Level) policy.Label { return levelLabels[min(l, similar.Alert)] }

var decisionLabels = map[similar.DecisionKind]policy.Label{
	similar.Approved: {EN: "Approved", ZH: "已批准"},
	similar.Allowed:  {EN: "Allowed", ZH: "已允许"},
	similar.Slowed:   {EN: "Slowed down by decision", ZH: "已人工限速"},
	similar.Canceled: {EN: "Stopped", ZH: "已终止"},
}

// decisionLabel names what a person decided.
func decisionLabel(k similar.DecisionKind) policy.Label {
	if l, ok := decisionLabels[k]; ok {
		return l
	}
	return policy.Label{EN: string(k), ZH: string(k)} // from the memory of a newer version
}

// campaignOf gives the id of the campaign that a finding is about; empty when it is about none.
func campaignOf(f *policy.Finding) string {
	if f == nil {
		return ""
	}
	return f.Campaign()
}

// similarText is the sentence of a finding about near-duplicates, with the campaign to look at.
func similarText(f *policy.Finding) policy.Label {
	l := f.Text()
	if id := campaignOf(f); id != "" {
		l.EN += " (campaign " + id + ")"
		l.ZH += "（群发 " + id + "）"
	}
	return l
}
