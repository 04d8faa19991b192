package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// What a back-test can be asked for.
var (
	testSpans   = []string{"24h", "7d", "30d", "90d"}
	testWindows = []string{"message", "minute", "hour", "day"}
	testUnits   = []policy.Unit{
		policy.ExternalRecipients, policy.InternalRecipients, policy.FirstTimeRecipients, policy.VisibleRecipients, policy.Recipients, policy.Messages, policy.Bytes,
	}
	testActions = []policy.Action{policy.Hold, policy.Pace, policy.Approval, policy.Defer, policy.Reject, policy.Tag, policy.Log}
)

// A ruleTestPage is what the template of a back-test is given.
type ruleTestPage struct {
	offer
	Rules   []LimitRule // in effect, to begin with one of them
	Rule    LimitRule   // as changed
	Known   bool        // it is one of those in effect
	Window  string
	Since   string
	Spans   []string
	Windows []string
	Units   []UnitName
	Actions []policy.Action
	Wrong   []string // what is wrong with the rule
	Result  *BackTest
	Found   *BackTestRule
}

// buildRuleTest shows the form with a rule that is in effect, or what the form's rule would have done.
func (s *Server) buildRuleTest(v *visit) (any, error) {
	if p := offerTo(v); !p.May("test-rules") {
		return nil, s.allow(v.ctx, "test-rules")
	}
	rules, err := call[struct{}, rulesOutput](s, v, "rules", &struct{}{})
	if err != nil {
		return nil, err
	}
	p := &ruleTestPage{
		offer: offerTo(v), Rules: rules.Body.Limits, Spans: testSpans, Windows: testWindows, Actions: testActions, Since: "7d",
	}
	for _, u := range testUnits {
		p.Units = append(p.Units, unitName(u, 2))
	}
	p.begin(v.form("rule"))
	if v.form("limit") == "" {
		return p, nil
	}
	if err := p.read(v); err != nil {
		p.Wrong = append(p.Wrong, refusedPage(s.worded(v, "limits", err)).Detail)
		return p, nil
	}
	return p, s.runRuleTest(v, p)
}

// begin takes the rule of a name, with all that the form does not show, or the defaults.
func (p *ruleTestPage) begin(name string) {
	i := slices.IndexFunc(p.Rules, func(r LimitRule) bool { return r.Name == name })
	if p.Known = i >= 0; p.Known {
		p.Rule = p.Rules[i]
	} else {
		var defaults policy.LimitRule
		defaults.SetDefaults()
		defaults.Name, defaults.Limit = strings.TrimSpace(name), 300
		p.Rule = LimitRuleOf(&defaults)
	}
	p.Window = windowName(p.Rule.Per)
	if !slices.Contains(p.Windows, p.Window) {
		p.Windows = append(slices.Clone(p.Windows), p.Window)
	}
}

// read takes what the form says in place of that.
func (p *ruleTestPage) read(v *visit) (err error) {
	if p.Rule.Limit, err = v.amount("limit"); err != nil {
		return err
	}
	if text := v.form("unit"); text != "" {
		p.Rule.Unit = policy.Unit(text)
	}
	if text := v.form("action"); text != "" {
		p.Rule.Action = policy.Action(text)
	}
	if p.Rule.Action == policy.Tag && p.Rule.Field == "" {
		p.Rule.Field = "X-Sendgate-Limit: " + p.Rule.Name
	}
	if text := v.form("since"); text != "" {
		p.Since = text
	}
	if text := v.form("window"); text != "" {
		p.Window = text
		if err := p.Rule.Per.UnmarshalText([]byte(text)); err != nil {
			return problem(http.StatusUnprocessableEntity, "invalid_window", err.Error())
		}
	}
	return nil
}

// runRuleTest fills in what the rule would have done, or what is wrong with it.
func (s *Server) runRuleTest(v *visit, p *ruleTestPage) error {
	out, err := call[backTestInput, backTestOutput](s, v, "test-rules", &backTestInput{
		Body: BackTestRequest{Since: p.Since, Limits: []LimitRule{p.Rule}}, control: http.NewResponseController(v.w),
	})
	var wrong *Problem
	switch {
	case err == nil:
		p.Result = &out.Body
		if len(out.Body.Rules) > 0 {
			p.Found = &out.Body.Rules[0]
		}
		return nil
	case !errors.As(err, &wrong) || wrong.Status == http.StatusForbidden:
		return err
	}
	p.Wrong = append(p.Wrong, refusedPage(s.worded(v, "limits", err)).Detail)
	for _, e := range wrong.Errors {
		p.Wrong = append(p.Wrong, e.Message)
	}
	return nil
}

// windowName writes a window as the form does.
func windowName(p Per) string {
	switch time.Duration(p) {
	case 0:
		return "message"
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	case day:
		return "day"
	}
	return Span(p).String()
}

// Label names the window.
func (p Per) Label() policy.Label { return Span(p).Label() }
