package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A RecallReport is what one person is told about a recall that has ended.
type RecallReport struct {
	Report *policy.RecallReport
	// Messages are those of the request, as far as they are still known.
	Messages []RecalledMessage
	// Names tells who the members of a group are that kept it from being taken back, and what became of each.
	// Ordinary senders only learn how many, so that nobody is seen reading.
	Names bool
	Link  string // to the status page, or empty
}

// A RecalledMessage is a message that was to be taken back.
type RecalledMessage struct {
	ID      policy.ID
	Subject string
	Sent    time.Time
}

// maxRecallRows bounds the table of a report.
const maxRecallRows = 500

// Recall writes the report about a recall as mail to mailboxes, as [Mailer.Mail] does a notice.
func (m *Mailer) Recall(ctx context.Context, id policy.ID, to []policy.Address, r *RecallReport) error {
	mailboxes := mailboxesIn(to)
	if len(mailboxes) == 0 {
		return nil
	}
	return m.send(ctx, r.draft(id, m.hostname, m.from, m.language, mailboxes, m.now()))
}

func (r *RecallReport) draft(id policy.ID, hostname, from, language string, to []policy.Address, now time.Time) *draft {
	d := &draft{
		id: id, hostname: hostname, from: from, to: to, languages: languages(language), time: now,
		thread: r.Report.ID.String(), reason: "recall report", evidence: r.Report.ID.String(),
	}
	d.mark, d.title = r.mark().In(d.languages[0]), r.title(d.languages)
	for _, lang := range d.languages[1:] { // in the title, because the mark is one encoded word
		d.title = "/ " + r.mark().In(lang) + " " + d.title
	}
	t := recallText{r, hostname}
	d.plain, d.html = t.plain(d.languages), t.html(d.languages)
	return d
}

func (r *RecallReport) mark() policy.Label {
	if r.Report.Corrected {
		return policy.Label{EN: "[Recall report, corrected]", ZH: "[撤回报告（更正）]"}
	}
	return policy.Label{EN: "[Recall report]", ZH: "[撤回报告]"}
}

// title says how it went, in each language, and about what.
func (r *RecallReport) title(languages []string) string {
	title := ""
	for i, lang := range languages {
		if i > 0 {
			title += " / "
		}
		title += r.result().In(lang)
	}
	if s := r.about(); s != "" {
		title += ": " + s
	}
	return title
}

// about names the messages by the subject of the first.
func (r *RecallReport) about() string {
	if len(r.Messages) == 0 {
		return ""
	}
	s := visible(r.Messages[0].Subject)
	if len(r.Messages) > 1 {
		s += fmt.Sprintf(" (+%d)", len(r.Messages)-1)
	}
	return s
}

// result is how it went, in few words.
func (r *RecallReport) result() policy.Label {
	c := r.Report.Counts
	all := c.Success + c.Fail + c.Processing
	switch r.Report.Overall {
	case policy.RecallAllSuccess:
		return policy.Label{EN: "all taken back", ZH: "全部撤回成功"}
	case policy.RecallAllFailed:
		return policy.Label{EN: "nothing could be taken back", ZH: "撤回失败"}
	case policy.RecallRejected:
		return policy.Label{EN: "not approved, nothing was done", ZH: "未获批准，未执行撤回"}
	case policy.RecallCancelled:
		return policy.Label{EN: fmt.Sprintf("cancelled; %d of %d taken back", c.Success, all), ZH: fmt.Sprintf("已取消，已撤回 %d/%d", c.Success, all)}
	}
	return policy.Label{EN: fmt.Sprintf("%d of %d taken back", c.Success, all), ZH: fmt.Sprintf("已撤回 %d/%d", c.Success, all)}
}

// A recallRow is a line of the table: a recipient, or a group with all its members.
type recallRow struct {
	address string
	status  policy.RecallStatus
	text    policy.Label
	detail  string
}

// rows gives the table for one message: what failed, then what is open, then what was taken back. Members
// of a group are folded into its row, and stand below it only with Names.
func (r *RecallReport) rows(id policy.ID) (rows []recallRow) {
	folded := map[policy.Address]bool{}
	for i := range r.Report.Groups {
		if g := &r.Report.Groups[i]; g.Message == id {
			folded[g.Address] = true
		}
	}
	for _, status := range []policy.RecallStatus{policy.RecallFail, policy.RecallProcessing, policy.RecallSuccess} {
		for i := range r.Report.Groups {
			if g := &r.Report.Groups[i]; g.Message == id && groupStatus(g) == status {
				rows = append(rows, r.group(g))
			}
		}
		for i := range r.Report.Lines {
			l := &r.Report.Lines[i]
			if l.Message == id && l.Code.Status() == status && (r.Names || l.Group == "" || !folded[l.Group]) {
				rows = append(rows, r.line(l))
			}
		}
	}
	return rows
}

func (r *RecallReport) line(l *policy.RecallLine) recallRow {
	row := recallRow{address: string(l.Address), status: l.Code.Status(), text: l.Text}
	if row.text == (policy.Label{}) {
		row.text = l.Code.Label()
	}
	if r.Names {
		row.detail = l.Detail
		if l.Group != "" {
			row.address += " (" + string(l.Group) + ")"
		}
	}
	return row
}

// groupStatus is a failure when one member failed: the message is still there.
func groupStatus(g *policy.RecallGroup) policy.RecallStatus {
	switch {
	case g.Counts.Fail > 0:
		return policy.RecallFail
	case g.Counts.Processing > 0:
		return policy.RecallProcessing
	}
	return policy.RecallSuccess
}

func (r *RecallReport) group(g *policy.RecallGroup) recallRow {
	c := g.Counts
	all := c.Success + c.Fail + c.Processing
	percent := 0
	if all > 0 {
		percent = 100 * c.Success / all
	}
	row := recallRow{address: string(g.Address), status: groupStatus(g), text: policy.Label{
		EN: fmt.Sprintf("group: taken back from %d of %d members (%d %%)", c.Success, all, percent),
		ZH: fmt.Sprintf("群组：已从 %d/%d 名成员处撤回（%d%%）", c.Success, all, percent),
	}}
	if g.BlockedBy > 0 {
		row.text.EN += fmt.Sprintf("; %d of them kept it from being taken back", g.BlockedBy)
		row.text.ZH += fmt.Sprintf("；因 %d 名成员不满足撤回条件而未撤回", g.BlockedBy)
	}
	if r.Names {
		for i, a := range g.Blockers {
			if i > 0 {
				row.detail += ", "
			}
			row.detail += string(a)
		}
	}
	return row
}
