package setup

import (
	"fmt"
	"strings"

	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/policy"
)

// say makes a text with values, which may be foreign.
func say(en, zh string, values ...any) policy.Label {
	return policy.Label{EN: postconf.Shown(fmt.Sprintf(en, values...)), ZH: postconf.Shown(fmt.Sprintf(zh, values...))}
}

// headings of the plan.
var (
	headFound     = policy.Label{EN: "What is there", ZH: "现状"}
	headObstacles = policy.Label{EN: "What stands in the way", ZH: "无法继续的原因"}
	headSteps     = policy.Label{EN: "What would be done", ZH: "将要执行的操作"}
	headConfig    = policy.Label{EN: "The configuration", ZH: "配置文件"}
	headNotes     = policy.Label{EN: "What you should know", ZH: "注意事项"}
	headNext      = policy.Label{EN: "Afterwards", ZH: "之后"}
	nothingToDo   = policy.Label{EN: "Everything is in order: there is nothing to change.", ZH: "一切就绪：无需任何更改。"}
	nothingDone   = policy.Label{
		EN: "Nothing has been changed. \"sendgate setup --apply\" with the same flags does this; \"sendgate setup --undo\" puts back what was there.",
		ZH: "尚未作任何更改。使用相同参数运行 “sendgate setup --apply” 执行以上操作；“sendgate setup --undo” 可恢复原状。",
	}
)

// Text is the plan for people.
func (p *Plan) Text(lang string) string {
	var b strings.Builder
	list(&b, lang, headFound, p.Found)
	list(&b, lang, headObstacles, p.Obstacles)
	if p.Empty() {
		b.WriteString(nothingToDo.In(lang) + "\n\n")
	} else {
		p.steps(&b, lang)
	}
	for _, f := range p.Files {
		if f.shown() == "" {
			continue // a log
		}
		fmt.Fprintf(&b, "%s %s:\n\n%s\n", headConfig.In(lang), postconf.Shown(f.Path), indented(f.shown()))
	}
	list(&b, lang, headNotes, p.Notes)
	list(&b, lang, headNext, p.next())
	return b.String()
}

// steps writes each command below its reason.
func (p *Plan) steps(b *strings.Builder, lang string) {
	fmt.Fprintf(b, "%s:\n\n", headSteps.In(lang))
	why := ""
	for _, s := range p.Steps() {
		if text := s.Why.In(lang); text != why {
			why = text
			fmt.Fprintf(b, "  # %s\n", why)
		}
		fmt.Fprintf(b, "  %s\n", s.Command)
	}
	b.WriteByte('\n')
}

func list(b *strings.Builder, lang string, head policy.Label, texts []policy.Label) {
	if len(texts) == 0 {
		return
	}
	fmt.Fprintf(b, "%s:\n\n", head.In(lang))
	for _, t := range texts {
		fmt.Fprintf(b, "  * %s\n", t.In(lang))
	}
	b.WriteByte('\n')
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("    "+line, " \n") + "\n")
	}
	return b.String()
}

// Closing is the sentence below a plan that was only shown.
func (p *Plan) Closing(lang string) string {
	if p.Empty() || len(p.Obstacles) > 0 {
		return ""
	}
	return nothingDone.In(lang) + "\n"
}
