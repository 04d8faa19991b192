package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/policy"
)

// A Status says how bad a finding is.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // mail flows, but something is missing or weaker than it looks
	Error   Status = "error"   // mail is lost sight of, refused, or not let go
	Skipped Status = "skipped" // the check could not run; nothing is claimed
)

// statusNames are the statuses for people.
var statusNames = map[Status]policy.Label{
	OK:      {EN: "ok", ZH: "正常"},
	Warning: {EN: "warning", ZH: "警告"},
	Error:   {EN: "error", ZH: "错误"},
	Skipped: {EN: "skipped", ZH: "未检查"},
}

// A Finding is what a check has found.
type Finding struct {
	Check  string       `json:"check"` // the name of the check
	Status Status       `json:"status"`
	Found  policy.Label `json:"found"`  // the evidence; for Skipped, the reason
	Why    policy.Label `json:"why"`    // why it matters
	Change []string     `json:"change"` // lines to type, or keys of sendgate.yaml; never null
}

// A Report is all that was found, in the order of the checks.
type Report struct {
	Findings []Finding `json:"findings"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
}

func (r *Report) add(f Finding) {
	switch f.Status {
	case Error:
		r.Errors++
	case Warning:
		r.Warnings++
	}
	r.Findings = append(r.Findings, f)
}

// Text is the report for people: a line for each finding, and below what is not ok, why it matters and
// what to change.
func (r *Report) Text(lang string) string {
	why, change := policy.Label{EN: "why", ZH: "影响"}, policy.Label{EN: "change", ZH: "修改"}
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "[%s] %s: %s\n", statusNames[f.Status].In(lang), f.Check, f.Found.In(lang))
		if f.Status == OK || f.Status == Skipped {
			continue
		}
		fmt.Fprintf(&b, "    %s: %s\n", why.In(lang), f.Why.In(lang))
		for _, line := range f.Change {
			fmt.Fprintf(&b, "    %s: %s\n", change.In(lang), line)
		}
	}
	total := policy.Label{
		EN: counted(r.Errors, "error") + ", " + counted(r.Warnings, "warning"),
		ZH: fmt.Sprintf("%d 个错误，%d 个警告", r.Errors, r.Warnings),
	}
	return b.String() + total.In(lang) + "\n"
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// say makes a text with values, which may be foreign.
func say(en, zh string, values ...any) policy.Label {
	return policy.Label{EN: postconf.Shown(fmt.Sprintf(en, values...)), ZH: postconf.Shown(fmt.Sprintf(zh, values...))}
}

// short writes a time without the zeros at its end.
func short(d time.Duration) string {
	s := strings.TrimSuffix(d.String(), "m0s")
	if s != d.String() {
		s += "m"
	}
	if t := strings.TrimSuffix(s, "h0m"); t != s {
		s = t + "h"
	}
	return s
}

// setMain is the command that sets a parameter in main.cf.
func setMain(name, value string) string { return "postconf -e " + postconf.Quoted(name+" = "+value) }

// setService is the command that sets a parameter of one service in master.cf.
func setService(service, name, value string) string {
	return "postconf -P -e " + postconf.Quoted(service+"/"+name+"="+value)
}
