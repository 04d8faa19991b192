package notify

import (
	"fmt"
	"html"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// A recallText lays a report out.
type recallText struct {
	*RecallReport
	hostname string
}

const clockForm = "2006-01-02 15:04 -0700"

var statusTexts = map[policy.RecallStatus]policy.Label{
	policy.RecallSuccess:    {EN: "Taken back", ZH: "已撤回"},
	policy.RecallFail:       {EN: "Not taken back", ZH: "未撤回"},
	policy.RecallProcessing: {EN: "Not known yet", ZH: "处理中"},
}

var columns = []policy.Label{{EN: "Recipient", ZH: "收件人"}, {EN: "Result", ZH: "结果"}, {EN: "Explanation", ZH: "说明"}}

// lines are what stands above the tables.
func (t recallText) lines(lang string) (lines []string) {
	add := func(l policy.Label) { lines = append(lines, l.In(lang)) }
	rep := t.Report
	if rep.Corrected {
		add(policy.Label{
			EN: "An earlier report was wrong: later evidence contradicts it. This is what is known now.",
			ZH: "此前的撤回报告有误：后续证据与其不符。以下为目前的实际结果。",
		})
	}
	c := rep.Counts
	add(policy.Label{
		EN: fmt.Sprintf("%d taken back, %d not, %d open.", c.Success, c.Fail, c.Processing),
		ZH: fmt.Sprintf("成功 %d，失败 %d，处理中 %d。", c.Success, c.Fail, c.Processing),
	})
	if rep.Overall == policy.RecallRejected {
		add(policy.Label{EN: "Nobody approved the recall in time.", ZH: "撤回申请未在规定时间内获得批准。"})
	}
	if len(rep.Missing) > 0 {
		missing := strings.Join(rep.Missing[:min(len(rep.Missing), maxNamed)], ", ")
		add(policy.Label{EN: "Not a recipient of the messages: " + missing, ZH: "不是这些邮件的收件人：" + missing})
	}
	if n := len(rep.Related); n > 0 {
		add(policy.Label{
			EN: fmt.Sprintf("Answers to and forwards of it that passed the gateway: %d. A recall does not include them.", n),
			ZH: fmt.Sprintf("经过网关的回复和转发邮件：%d 封，不在撤回范围内。", n),
		})
	}
	if !rep.Request.UnreadOnly {
		return lines
	}
	add(policy.Label{EN: "What had been read was left alone.", ZH: "已读邮件未作改动。"})
	return lines
}

// message is the heading of a table.
func (t recallText) message(m *RecalledMessage, lang string) string {
	return policy.Label{EN: "Subject: ", ZH: "主题："}.In(lang) + visible(m.Subject) + policy.Label{EN: ", sent ", ZH: "，发送时间 "}.In(lang) + m.Sent.Format(clockForm)
}

// cut gives as many rows as there is room for.
func cut(rows []recallRow, room *int) (shown []recallRow, more int) {
	n := min(len(rows), *room)
	*room -= n
	return rows[:n], len(rows) - n
}

func (t recallText) plain(languages []string) []byte {
	var b strings.Builder
	for i, lang := range languages {
		if i > 0 {
			b.WriteString("\n----------------------------------------\n\n")
		}
		b.WriteString(t.heading(lang) + "\n\n")
		for _, l := range t.lines(lang) {
			b.WriteString(visible(l) + "\n")
		}
		room := maxRecallRows
		for j := range t.Messages {
			t.plainTable(&b, &t.Messages[j], lang, &room)
		}
		if link := webLink(t.Link); link != "" {
			b.WriteString("\n" + link + "\n")
		}
		b.WriteString("\n" + fmt.Sprintf(signature.In(lang), t.hostname) + "\n")
	}
	return crlf(b.String())
}

// heading says how it went.
func (t recallText) heading(lang string) string { return t.result().In(lang) }

func (t recallText) plainTable(b *strings.Builder, m *RecalledMessage, lang string, room *int) {
	rows, more := cut(t.rows(m.ID), room)
	b.WriteString("\n" + t.message(m, lang) + "\n")
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(b, "  %s: %s%s%s\n", visible(r.address), statusTexts[r.status].In(lang), policy.Label{EN: " - ", ZH: "，"}.In(lang), visible(r.text.In(lang)))
		if r.detail != "" {
			b.WriteString("      " + visible(r.detail) + "\n")
		}
	}
	if more > 0 {
		fmt.Fprintf(b, "  ... +%d\n", more)
	}
}

func (t recallText) html(languages []string) []byte {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html><body>\n")
	for i, lang := range languages {
		if i > 0 {
			b.WriteString("<hr>\n")
		}
		fmt.Fprintf(&b, "<div lang=\"%s\">\n<h3>%s</h3>\n", lang, escaped(t.heading(lang)))
		for _, l := range t.lines(lang) {
			fmt.Fprintf(&b, "<p>%s</p>\n", escaped(l))
		}
		room := maxRecallRows
		for j := range t.Messages {
			t.htmlTable(&b, &t.Messages[j], lang, &room)
		}
		if link := webLink(t.Link); link != "" {
			fmt.Fprintf(&b, "<p><a href=\"%s\">%s</a></p>\n", html.EscapeString(link), html.EscapeString(link))
		}
		fmt.Fprintf(&b, "<p><small>%s</small></p>\n</div>\n", escaped(fmt.Sprintf(signature.In(lang), t.hostname)))
	}
	b.WriteString("</body></html>\n")
	return crlf(b.String())
}

func (t recallText) htmlTable(b *strings.Builder, m *RecalledMessage, lang string, room *int) {
	rows, more := cut(t.rows(m.ID), room)
	fmt.Fprintf(b, "<p>%s</p>\n<table border=\"1\" cellpadding=\"4\" cellspacing=\"0\">\n<tr>", escaped(t.message(m, lang)))
	for _, c := range columns {
		fmt.Fprintf(b, "<th align=\"left\">%s</th>", escaped(c.In(lang)))
	}
	b.WriteString("</tr>\n")
	for i := range rows {
		r := &rows[i]
		text := escaped(r.text.In(lang))
		if r.detail != "" {
			text += "<br><small>" + escaped(r.detail) + "</small>"
		}
		fmt.Fprintf(b, "<tr><td>%s</td><td>%s</td><td>%s</td></tr>\n", escaped(r.address), escaped(statusTexts[r.status].In(lang)), text)
	}
	if more > 0 {
		fmt.Fprintf(b, "<tr><td colspan=\"3\">... +%d</td></tr>\n", more)
	}
	b.WriteString("</table>\n")
}

// escaped is foreign text in HTML.
func escaped(s string) string { return html.EscapeString(visible(s)) }
