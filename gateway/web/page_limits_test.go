package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/limit"
)

func TestLimitsAreShownInWords(t *testing.T) {
	d := newDash(t)
	d.limits.trial = d.now.Add(time.Hour)
	d.limits.usage = []policy.Finding{d.hour("alice@corp.example", 320, 300, limit.FromRule), d.hour("to:gmail.com", 160, 300, limit.FromRamp)}
	b := d.as("auditor")
	b.sees("/limits", "320 / 300", "next free 18:42", "Trial: limits only say", "300 external recipients per hour", "100 recipients in one message",
		"held until it fits", "slowed down to the rate", "goes back to its sender after 3 d", "ceo", "Senders: boss@corp.example", "5 min", `href="/limits/test?rule=external-hour"`)
	if _, page := b.get("/limits"); strings.Contains(page, "to:gmail.com") {
		t.Error("who is below the mark is listed")
	}
	b.sees("/limits?near=50", "to:gmail.com", "new account")
	b.sees("/limits?near=100", "alice@corp.example")
	b.language = "zh-CN"
	b.sees("/limits?near=frame", "每小时 300 个外部收件人", "单封邮件 100 个收件人", "暂缓，额度恢复后自动发出", "3 天内未审批则退回发件人")
	d.worded("auditor", "/limits", "/limits?near=50", "/limits/test", "/limits/test?rule=pace")
}

func TestAChangedRuleIsTested(t *testing.T) {
	d := newDash(t)
	d.limits.test = func(context.Context) (BackTest, error) {
		return BackTest{Messages: 5000, Recipients: 9000, Rules: []BackTestRule{{Name: "external-hour", Exceeded: 14, Held: 12, Refused: 2, Senders: 3, Examples: []BackTestExample{
			{ID: stranger, Identity: "bob#crm", Subject: "<script>alert(1)</script>", Time: d.now, Text: policy.Label{EN: "too many", ZH: "过多"}},
		}}}}, nil
	}
	d.as("auditor").sees("/limits/test?rule=external-hour&limit=100&unit=recipients&window=day&action=approval&since=30d",
		">14<", ">12<", ">2<", ">3<", "5,000 messages to 9,000 recipients", `href="/messages/`+stranger+`"`, `href="/senders/bob%23crm"`, "&lt;script&gt;", "too many")
	r := d.limits.tested[0]
	if r.Name != "external-hour" || r.Limit != 100 || r.Unit != policy.Recipients || r.Per != policy.Per(day) || r.Action != policy.Approval || r.Key != policy.ByIdentity ||
		!d.limits.since.Equal(d.now.Add(-30*day)) {
		t.Errorf("tested %+v since %v", r, d.limits.since)
	}
	d.as("auditor").sees("/limits/test?rule=new&limit=7&window=10m&action=tag", ">14<")
	if r := d.limits.tested[0]; r.Name != "new" || r.Per != policy.Per(10*time.Minute) || r.Unit != policy.ExternalRecipients || r.Field == "" {
		t.Errorf("tested %+v", r)
	}
	d.worded("auditor", "/limits/test?rule=external-hour&limit=100", "/limits/test?rule=new&limit=x")
}

func TestAChangedRuleMayBeWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		query, want string
		fail        error
	}{
		"number":   {"rule=day&limit=none", "Write a whole number above zero.", nil},
		"window":   {"rule=day&limit=1&window=often", "A window is message, minute, hour, day, or a duration", nil},
		"since":    {"rule=day&limit=1&since=ever", "Say how far back to look", nil},
		"rule":     {"rule=day&limit=1&unit=apples", "use messages, recipients", nil},
		"no name":  {"rule=&limit=1", "a limit needs a name", nil},
		"too long": {"rule=day&limit=1", "The test took more than 10 minutes", context.DeadlineExceeded},
		"broken":   {"rule=day&limit=1", "Something went wrong here", errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			d.limits.test = func(context.Context) (BackTest, error) { return BackTest{}, tt.fail }
			d.as("admin").sees("/limits/test?"+tt.query, tt.want)
		})
	}
}

func TestNobodyWithBoundsTestsRules(t *testing.T) {
	d := newDash(t)
	if err := d.desk.AddUser("bounded", password, "admin", []string{"@corp.example"}); err != nil {
		t.Fatal(err)
	}
	b := d.as("bounded")
	if _, page := b.get("/limits"); strings.Contains(page, `href="/limits/test`) {
		t.Error("it is offered")
	}
	if status, _ := b.get("/limits/test"); status != http.StatusForbidden {
		t.Errorf("got %d", status)
	}
}
