package alert

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A Notice is what is told, in both languages. Its texts may hold foreign text.
type Notice struct {
	Kind     Kind           `json:"kind"`
	Severity Severity       `json:"severity"`
	Title    policy.Label   `json:"title"`
	Lines    []policy.Label `json:"lines,omitempty"`
	Facts    []Fact         `json:"facts,omitempty"`
	Incident string         `json:"incident,omitempty"` // its id; empty of a digest
	Update   bool           `json:"update,omitempty"`   // the receiver was told of the incident before
	Time     time.Time      `json:"time"`
}

// subjectFact is the English name of the fact that is the subject of a message.
const subjectFact = "Subject"

// detailsFact is that of where more stands of a message.
const detailsFact = "Details"

// A Fact is a name or number with its meaning.
type Fact struct {
	Name  policy.Label `json:"name"`
	Value string       `json:"value"`
}

// A phase is where in the life of an incident a notice comes.
type phase int

const (
	opening phase = iota
	update
	closing
)

// about puts a subject behind a title.
func about(title policy.Label, subject string) policy.Label {
	if subject == "" {
		return title
	}
	subject = shorten(subject, maxSubject)
	return policy.Label{EN: title.EN + ": " + subject, ZH: title.ZH + "：" + subject}
}

// A plain name means nothing but itself to a shell, and is no option.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@._+:-]{0,253}$`)

// proposal is the advice with what it proposes: where it is done in the dashboard, and the command.
func (t *trait) proposal(subject, rule string) policy.Label {
	l := t.advice
	switch {
	case t.apart:
		l = policy.Label{EN: l.EN + ". " + t.page.EN, ZH: l.ZH + "。" + t.page.ZH}
	case t.page != (policy.Label{}):
		l = policy.Label{EN: l.EN + ": " + t.page.EN, ZH: l.ZH + "：" + t.page.ZH}
	}
	if t.command == "" {
		return l
	}
	command := t.command
	if plainName.MatchString(subject) {
		command = strings.Replace(command, "IDENTITY", subject, 1)
	}
	if plainName.MatchString(rule) {
		command = strings.Replace(command, "BATCH", rule, 1)
	}
	return policy.Label{EN: l.EN + "; or " + command, ZH: l.ZH + "；或使用命令 " + command}
}

// path is the page of the dashboard where something can be done about the incident; empty for none.
func (in *Incident) path() string {
	t := in.Kind.traitOf(in.Subject)
	return strings.NewReplacer("IDENTITY", url.PathEscape(in.Subject), "BATCH", url.QueryEscape(in.Rule)).Replace(t.at)
}

// link says in front of all facts where that page is, and where that of the message is.
func (in *Incident) link(n *Notice, dashboard string) {
	if dashboard == "" {
		return
	}
	for i := range n.Facts {
		if f := &n.Facts[i]; f.Name.EN == detailsFact {
			f.Value = dashboard + "/messages/" + in.Messages[len(in.Messages)-1].String() + " (" + f.Value + ")"
		}
	}
	if at := in.path(); at != "" {
		n.Facts = append([]Fact{{policy.Label{EN: "Page", ZH: "页面"}, dashboard + at}}, n.Facts...)
	}
}

// notice is what administrators and webhooks are told.
func (in *Incident) notice(now time.Time, p phase) Notice {
	n := Notice{
		Kind: in.Kind, Severity: in.Severity, Title: in.Title, Incident: in.ID, Update: p != opening, Time: now,
	}
	if p == closing {
		n.Title = policy.Label{EN: "Over: " + n.Title.EN, ZH: "已结束：" + n.Title.ZH}
	}
	for _, l := range []policy.Label{in.outcome(), in.Text} {
		n.line(l)
	}
	if p != closing {
		n.line(in.Advice)
	}
	in.facts(&n)
	return n
}

// line adds a line that is not empty.
func (n *Notice) line(l policy.Label) {
	if l != (policy.Label{}) {
		n.Lines = append(n.Lines, l)
	}
}

func (n *Notice) fact(en, zh, value string) {
	if value != "" {
		n.Facts = append(n.Facts, Fact{policy.Label{EN: en, ZH: zh}, value})
	}
}

func (in *Incident) facts(n *Notice) {
	f := &in.Finding
	n.fact("About", "对象", in.Subject)
	if in.Kind == PulledBack {
		n.fact("Batch", "批次", in.Rule)
	} else {
		n.fact("Rule", "规则", in.Rule)
	}
	if f.Limit > 0 {
		n.fact("Used", "已用", fmt.Sprintf("%d / %d", f.Used, f.Limit))
	}
	if f.Asked > 0 {
		n.fact("Asked", "本次", strconv.FormatInt(f.Asked, 10))
	}
	if !f.Next.IsZero() {
		n.fact("Next free", "可发送时间", clock(n.Time, f.Next))
	}
	if !in.Until.IsZero() {
		n.fact("Until", "截止时间", clock(n.Time, in.Until))
	}
	n.fact("Count", "次数", strconv.Itoa(in.Count))
	n.fact("Since", "开始时间", clock(n.Time, in.Opened))
	for _, s := range in.Samples {
		n.fact(subjectFact, "邮件主题", s)
	}
	for i := len(in.Messages) - 1; i >= max(0, len(in.Messages)-maxSamples); i-- {
		n.fact("Reference", "编号", in.Messages[i].String())
	}
	if len(in.Messages) > 0 {
		n.fact(detailsFact, "详情", "sendgate explain "+in.Messages[len(in.Messages)-1].String())
	}
	n.fact("Acknowledged by", "已由其确认", in.AcknowledgedBy)
}

// notice is what the sender in question is told: of this message and of no other.
func (o *Occurrence) notice(now time.Time, incident string) Notice {
	t := o.Kind.trait()
	n := Notice{Kind: o.Kind, Severity: t.severity, Title: t.own, Incident: incident, Time: now}
	if o.Severity != "" {
		n.Severity = o.Severity
	}
	for _, l := range o.explain(now) {
		n.line(l)
	}
	n.fact(subjectFact, "邮件主题", shorten(o.Sample, maxRunes))
	n.fact("Rule", "规则", o.Rule)
	if o.Message != (policy.ID{}) {
		n.fact("Reference", "编号", o.Message.String())
	}
	return n
}

// TestNotice is for people who want to see whether notices arrive.
func TestNotice(now time.Time) Notice {
	return Notice{
		Kind: Test, Severity: Info, Time: now,
		Title: policy.Label{EN: "This is a test", ZH: "测试通知"},
		Lines: []policy.Label{{EN: "Notices of sendgate arrive here. Nothing has happened.", ZH: "sendgate 的通知可以送达此处。没有发生任何事件。"}},
	}
}

// clock names a time, with its day when that is another one. The zone is that of this machine, as in
// the texts of findings.
func clock(now, t time.Time) string {
	now, t = now.Local(), t.Local()
	if now.Format(time.DateOnly) == t.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}
