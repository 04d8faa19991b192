package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

var (
	external = web.UnitName{Name: policy.ExternalRecipients, Label: policy.ExternalRecipients.Label(300)}

	full = web.Usage{
		Key: "alice@corp.example#crm", KeyKind: policy.ByIdentity, Identity: "alice@corp.example#crm", Rule: "external-hour", Unit: external,
		Window: web.Span(time.Hour), Used: 800, Limit: 800, Percent: 100, Source: "boost", NextFree: noon.Add(12 * time.Minute), Warn: true,
	}
	nearly = web.Usage{
		Key: "to:gmail.com", KeyKind: policy.ByRecipientDomain, Rule: "gmail-day", Unit: external, Window: web.Span(36 * time.Hour),
		Used: 250, Limit: 300, Percent: 83, Source: "newer", Shadow: true,
	}

	granted = web.Grant{Rule: "external-hour", Boost: true, Amount: 500, Given: noon, Until: noon.Add(24 * time.Hour), Reason: "发票\x1b[2J", Author: "api:ops"}

	alice = web.SenderDetail{
		Identity: "alice@corp.example#crm", Usage: []web.Usage{full}, Grants: []web.Grant{granted, {Rule: "day", Amount: 5000, Until: noon, Author: "api:ops", Reason: "x"}},
		Suspension: &web.Suspension{Since: noon, Reason: "spam", Author: "api:ops"},
		Messages: web.SenderMessages{Since: noon, Total: 12, More: true, States: []web.StateCount{
			{State: policy.StateHeld, Label: policy.Label{EN: "Held", ZH: "暂缓发送"}, Messages: 2}, {State: policy.StateRelayedRemote, Label: policy.LabelRemote, Messages: 10},
		}},
	}

	unusual = web.Finding{
		Rule: "anomaly", Kind: "anomaly", Source: "suspend", Score: 9, Limit: 8, Exceeded: true, Decided: true, Action: policy.Defer,
		Text: policy.Label{EN: "Unusual for this account (score 9): 60 new recipients in an hour, usually 0.2", ZH: "该账号行为异常（评分 9）：一小时内有 60 个陌生收件人，平时为 0.2"},
	}

	stolen = web.SenderDetail{
		Identity: "eve", Suspension: &web.Suspension{Since: noon, Until: noon.Add(2 * time.Hour), Reason: "in English", Author: "anomaly", Automatic: true, Nth: 2, Findings: []web.Finding{unusual}},
	}

	large = policy.Label{EN: "150 recipients in one message, the limit is 100", ZH: "单封邮件有 150 个收件人，上限 100"}

	alike = policy.Label{EN: "Similar message sent to 120 recipients in 24 h, 30 in 1 h", ZH: "24 小时内向 120 位收件人发送了相似邮件，其中 1 小时内 30 位"}

	waiting = web.ApprovalRequest{
		Message: listed.Messages[0], Rule: "message-large", Text: large, Since: noon, Expires: noon.Add(72 * time.Hour), OnExpiry: "return",
	}

	explained = web.Explanation{
		ID: first, From: "alice@corp.example", Identity: "alice@corp.example", Subject: "会议通知", State: policy.StateHeld, Label: policy.LabelDelivering,
		Steps: []web.Step{
			{Time: noon, Kind: policy.Accepted, Text: policy.Label{EN: "accepted", ZH: "已接收"}, Findings: []web.Finding{
				{Rule: "external-hour", Kind: "limit", Unit: external, Used: 299, Asked: 2, Limit: 300, Source: "rule", Exceeded: true, Decided: true, Action: policy.Hold,
					Text: policy.Label{EN: "299 of 300 external recipients per hour used, 2 asked; next free 12:12", ZH: "每小时上限 300 个外部收件人，已用 299，本次 2；12:12 起可发送"}},
				{Rule: "strangers-day", Kind: "limit", Unit: external, Used: 200, Asked: 2, Limit: 200, Source: "rule", Exceeded: true, Shadow: true, Action: policy.Hold, Text: policy.Label{EN: "too many strangers", ZH: "陌生人过多"}},
				{Rule: "tagged", Kind: "limit", Unit: external, Used: 20, Asked: 2, Limit: 21, Source: "override", Exceeded: true, Action: policy.Tag, Text: policy.Label{EN: "tagged", ZH: "已标记"}},
				{Rule: "day", Kind: "limit", Unit: external, Used: 899, Asked: 2, Limit: 1000, Source: "ramp", Warn: true, Action: policy.Hold, Text: policy.Label{EN: "nearly", ZH: "将满"}},
				{Rule: "similar", Kind: "similar", Campaign: second, Unit: external, Used: 119, Asked: 1, Limit: 100, Exceeded: true, Action: policy.Approval, Text: alike},
				{Rule: "similar", Kind: "similar", Unit: external, Used: 39, Asked: 1, Warn: true, Action: policy.Log, Text: alike},
				unusual,
				{Rule: "anomaly", Kind: "anomaly", Source: "network", Score: 2, Action: policy.Log, Text: policy.Label{EN: "sent from a new network", ZH: "来自新的网络"}},
				{Rule: "domain", Kind: "domain", Action: "newer", Text: policy.Label{EN: "exists", ZH: "存在"}},
			}},
			{Time: noon, Kind: policy.Held, Until: noon.Add(12 * time.Minute), Recipients: []string{"a@example.net", "b@example.net"}, Text: policy.Label{EN: "held until 12:12", ZH: "暂缓发送至 12:12"}},
		},
	}

	ruled = web.Rules{
		Hold: web.HoldSettings{Default: web.Span(time.Minute)}, Rules: []web.HoldRule{{Name: "ceo", For: web.Span(5 * time.Minute), Shadow: true}}, Trial: noon,
		Limits: []web.LimitRule{
			{Name: "external-hour", Limit: 300, Unit: policy.ExternalRecipients, Per: web.Per(time.Hour), Key: policy.ByIdentity, Action: policy.Hold},
			{Name: "message-huge", Limit: 1, Unit: policy.Recipients, Key: policy.ByGateway, Action: policy.Reject, Shadow: true},
			{Name: "newer", Limit: 5, Unit: policy.Messages, Per: web.Per(10 * time.Minute), Key: "campaign", Action: "slow"},
		},
	}

	tested = web.BackTest{Since: noon.Add(-720 * time.Hour), Messages: 1000, Recipients: 4000, Rules: []web.BackTestRule{
		{Name: "external-hour", Exceeded: 14, Held: 13, Refused: 1, Senders: 3, Examples: []web.BackTestExample{
			{ID: first, Identity: "alice@corp.example", Subject: "会议通知", Time: noon, Text: large},
		}},
		{Name: "day"},
	}}

	alerted = web.Alert{
		ID: "A1", Kind: "limit_exceeded", Severity: "warning", Subject: "alice@corp.example", Count: 3, Opened: noon, Last: noon,
		Title: policy.Label{EN: "Sending limit reached: alice@corp.example", ZH: "已达发送上限：alice@corp.example"}, Text: large,
		Advice: policy.Label{EN: "raise the limit for a while", ZH: "可临时提额"},
	}
)

// newPolicyAPI answers about limits, too.
func newPolicyAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := newFakeAPI(t)
	seen := alerted
	seen.ID, seen.Severity, seen.AcknowledgedBy, seen.Advice = "A0", "newer", "api:ops", policy.Label{}
	mass := alerted
	mass.ID, mass.Kind, mass.Title, mass.Text, mass.Campaign = "A2", "campaign", policy.Label{EN: "Many similar messages", ZH: "大量相似邮件"}, alike, second
	listedSender := web.Sender{Identity: alice.Identity, Suspension: &web.Suspension{Until: noon}, Grants: alice.Grants, Usage: alice.Usage}
	timeline := shown
	timeline.Timeline = []web.TimelineEntry{{Time: noon, Kind: policy.Held, Rule: "external-hour", Until: noon, Findings: []web.Remark{
		{Rule: "external-hour", Text: large, Decided: true}, {Rule: "strangers-day", Text: large, Shadow: true}, {Rule: "similar", Text: alike, Campaign: second},
	}}}
	for path, answer := range map[string]any{
		"GET /limits":                           web.UsageList{Limits: []web.Usage{full, nearly}, Trial: noon},
		"GET /senders":                          web.SenderList{Senders: []web.Sender{listedSender, {Identity: "b", Suspension: &web.Suspension{}}, {Identity: "c"}}},
		"GET /approvals":                        web.ApprovalList{Approvals: []web.ApprovalRequest{waiting, {Message: listed.Messages[1], OnExpiry: "release", Text: alike, Campaign: second}, {OnExpiry: "newer"}}, Next: second},
		"POST /messages/" + first + "/approve":  shown,
		"POST /messages/" + second + "/approve": shown,
		"GET /messages/" + first + "/explain":   explained,
		"GET /messages/" + second:               timeline,
		"GET /rules":                            ruled,
		"POST /rules/test":                      tested,
		"GET /alerts":                           web.AlertList{Alerts: []web.Alert{alerted, seen, mass}},
		"POST /alerts/A1/acknowledge":           alerted,
	} {
		method, rest, _ := strings.Cut(path, " ")
		f.answer[method+" /api/v1"+rest] = answer
	}
	const sender = " /api/v1/senders/alice@corp.example#crm"
	f.answer["GET"+sender] = alice
	f.answer["GET /api/v1/senders/eve"] = stolen
	for _, verb := range []string{"boost", "override", "revoke", "reset", "suspend", "unsuspend"} {
		f.answer["POST"+sender+"/"+verb] = alice
	}
	return f
}

// limitsFile writes a file for rules test.
func limitsFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "limits.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const oneLimit = "limits:\n  - name: external-hour\n    limit: 200\n    per: hour\n"

func TestPolicyTablesInBothLanguages(t *testing.T) {
	file := limitsFile(t, oneLimit)
	const crm = "alice@corp.example#crm"
	inBothLanguages(t, newPolicyAPI, map[string][]string{
		"limits":          {"limits"},
		"senders":         {"senders"},
		"sender":          {"senders", crm},
		"sender-stolen":   {"senders", "eve"},
		"boost":           {"senders", "boost", crm, "--amount", "500", "--for", "24h", "--reason", "invoices"},
		"override":        {"senders", "override", crm, "--rule", "day", "--limit", "5000", "--for", "7d", "--reason", "x"},
		"revoke":          {"senders", "revoke", crm},
		"reset":           {"senders", "reset", crm, "--reason", "x"},
		"suspend":         {"senders", "suspend", crm, "--reason", "spam"},
		"unsuspend":       {"senders", "unsuspend", crm},
		"approvals":       {"approvals"},
		"approve":         {"approve", first, second},
		"explain":         {"explain", first},
		"rules":           {"rules"},
		"rulestest":       {"rules", "test", "--file", file},
		"alerts":          {"alerts"},
		"acknowledge":     {"alerts", "ack", "A1"},
		"timeline-limits": {"show", second},
	})
}

func TestWhatThePolicyCommandsAskFor(t *testing.T) {
	file := limitsFile(t, oneLimit)
	const crm, path = "alice@corp.example#crm", "POST /api/v1/senders/alice@corp.example%23crm/"
	asks{
		"limits":         {[]string{"limits", "--near", "50", "--limit", "5"}, []string{"GET /api/v1/limits?limit=5&near=50"}},
		"senders":        {[]string{"senders", "--limit", "5"}, []string{"GET /api/v1/senders?limit=5"}},
		"senders like":   {[]string{"senders", "--find", "crm"}, []string{"GET /api/v1/senders?limit=50&q=crm"}},
		"sender":         {[]string{"senders", crm, "--token", "demo"}, []string{"GET /api/v1/senders/alice@corp.example%23crm as Bearer demo"}},
		"boost of all":   {[]string{"senders", "boost", crm, "--amount", "500", "--for", "7d", "--reason", "invoices"}, []string{path + `boost {"amount":500,"for":"7d","reason":"invoices"}`}},
		"boost of one":   {[]string{"senders", "boost", crm, "--rule", "day", "--amount", "5", "--until", "2026-11-22T10:00:00+08:00", "--reason", "x"}, []string{path + `boost {"rule":"day","amount":5,"until":"2026-11-22T10:00:00+08:00","reason":"x"}`}},
		"override":       {[]string{"senders", "override", crm, "--rule", "day", "--limit", "5000", "--for", "24h", "--reason", "x"}, []string{path + `override {"rule":"day","limit":5000,"for":"24h","reason":"x"}`}},
		"revoke":         {[]string{"senders", "revoke", crm, "--rule", "day", "--reason", "x"}, []string{path + `revoke {"rule":"day","reason":"x"}`}},
		"reset":          {[]string{"senders", "reset", crm, "--reason", "x"}, []string{path + `reset {"reason":"x"}`}},
		"suspend":        {[]string{"senders", "suspend", crm, "--reason", "spam"}, []string{path + `suspend {"reason":"spam"}`}},
		"suspend for":    {[]string{"senders", "suspend", crm, "--reason", "spam", "--for", "1d12h"}, []string{path + `suspend {"for":"1d12h","reason":"spam"}`}},
		"unsuspend":      {[]string{"senders", "unsuspend", crm}, []string{path + `unsuspend {}`}},
		"forget":         {[]string{"senders", "unsuspend", crm, "--forget"}, []string{path + `unsuspend {"history":"forget"}`}},
		"keep":           {[]string{"senders", "unsuspend", crm, "--keep"}, []string{path + `unsuspend {"history":"keep"}`}},
		"approvals":      {[]string{"approvals", "--limit", "2", "--cursor", second}, []string{"GET /api/v1/approvals?cursor=" + second + "&limit=2"}},
		"approve":        {[]string{"approve", first, second}, []string{"POST /api/v1/messages/" + first + "/approve", "POST /api/v1/messages/" + second + "/approve"}},
		"explain":        {[]string{"explain", "8t0v1x"}, []string{"GET /api/v1/messages?limit=1000", "GET /api/v1/messages/" + first + "/explain"}},
		"alerts":         {[]string{"alerts"}, []string{"GET /api/v1/alerts?limit=100&open=true"}},
		"alerts of ever": {[]string{"alerts", "--all", "--limit", "5"}, []string{"GET /api/v1/alerts?limit=5&open=false"}},
		"acknowledge":    {[]string{"alerts", "ack", "A1", "A1"}, []string{"POST /api/v1/alerts/A1/acknowledge", "POST /api/v1/alerts/A1/acknowledge"}},
		"test of what is in effect": {[]string{"rules", "test", "--since", "24h"}, []string{"GET /api/v1/rules", `POST /api/v1/rules/test {"since":"24h","limits":[{"name":"day",` +
			`"key":"identity","unit":"recipients","limit":5,"per":"message","warn":0,"action":"reject","burst":0,"approval_expires":"0s","on_expiry":"","on_error":"","shadow":false}]}`}},
		"rules test": {[]string{"rules", "test", "--since", "7d", "--file", file}, []string{`POST /api/v1/rules/test {"since":"7d","limits":[{"name":"external-hour",` +
			`"key":"identity","unit":"external_recipients","limit":200,"per":"1h","warn":80,"action":"hold","burst":1,"approval_expires":"3d","on_expiry":"return","on_error":"open","shadow":false}]}`}},
	}.check(t, func(t *testing.T) *fakeAPI {
		f := newPolicyAPI(t)
		f.answer["GET /api/v1/rules"] = `{"limits":[{"name":"day","key":"identity","unit":"recipients","limit":5,"per":"message","warn":0,"action":"reject",` +
			`"burst":0,"approval_expires":"0s","on_expiry":"","on_error":""}]}`
		return f
	})
}

func TestPolicyJSONIsTheAnswerAsItCame(t *testing.T) {
	file := limitsFile(t, oneLimit)
	const crm = "alice@corp.example#crm"
	asItCame(t, newPolicyAPI, [][]string{
		{"limits"}, {"senders"}, {"senders", crm}, {"senders", "reset", crm, "--reason", "x"}, {"approvals"}, {"approve", first},
		{"explain", first}, {"rules"}, {"rules", "test", "--file", file}, {"alerts"}, {"alerts", "ack", "A1"},
	})
}

func TestEmptyPolicyLists(t *testing.T) {
	f := newPolicyAPI(t)
	f.answer["GET /api/v1/limits"] = web.UsageList{}
	f.answer["GET /api/v1/senders"] = web.SenderList{}
	f.answer["GET /api/v1/approvals"] = web.ApprovalList{}
	f.answer["GET /api/v1/alerts"] = web.AlertList{}
	for command, want := range map[string]string{
		"limits": "没有用到上限 80% 的对象\n", "senders": "没有符合条件的发件人\n", "approvals": "没有等待审批的邮件\n", "alerts": "没有告警\n",
	} {
		if out, _, err := f.sendgate(t, command, "--lang", "zh"); err != nil || out != want {
			t.Errorf("%s: %q %v", command, out, err)
		}
	}
}

func TestPolicyErrorsAndTheirExitCodes(t *testing.T) {
	good, faulty, unknown := limitsFile(t, oneLimit), limitsFile(t, "limits:\n  - name: a\n    limit: 0\n    unit: mails\n"), limitsFile(t, "limit: 5\n")
	none, broken := limitsFile(t, "limits: []\n"), limitsFile(t, "limits: [\n")
	noReason := &web.Problem{Code: "reason_required"}
	noReason.Status, noReason.Detail = 422, "say why, in reason: it is kept in the journal"
	noApproval := &web.Problem{Code: "no_approval"}
	noApproval.Status, noApproval.Detail = 409, "the message does not wait for approval"
	const how = "say how long with --for 24h, or until when with --until TIME"
	for name, tt := range map[string]struct {
		args []string
		exit int
		want string
	}{
		"boost without a time":     {[]string{"senders", "boost", "a", "--amount", "5"}, 2, how},
		"boost with two times":     {[]string{"senders", "boost", "a", "--amount", "5", "--for", "1h", "--until", "x"}, 2, how},
		"boost for nonsense":       {[]string{"senders", "boost", "a", "--amount", "5", "--for", "soon"}, 2, `--for "soon": write a duration such as 90m, 24h or 7d`},
		"boost for nothing":        {[]string{"senders", "boost", "a", "--amount", "5", "--for", "0s"}, 2, `--for "0s": write a duration such as 90m, 24h or 7d`},
		"boost until nonsense":     {[]string{"senders", "boost", "a", "--amount", "5", "--until", "noon"}, 2, `--until "noon": write a time as 2026-11-21T10:31:05+08:00`},
		"boost by nothing":         {[]string{"senders", "boost", "a", "--for", "1h"}, 2, "say by how much with --amount"},
		"boost of nobody":          {[]string{"senders", "boost"}, 2, "accepts 1 arg(s), received 0; usage: sendgate senders boost IDENTITY --amount N --for 24h --reason TEXT [flags]"},
		"boost without a reason":   {[]string{"senders", "boost", "alice@corp.example#crm", "--amount", "5", "--for", "1h"}, 1, "boost alice@corp.example#crm: say why, in reason: it is kept in the journal"},
		"override without a rule":  {[]string{"senders", "override", "a", "--limit", "5", "--for", "1h"}, 2, "name the limit with --rule, and what it shall be with --limit"},
		"override without a limit": {[]string{"senders", "override", "a", "--rule", "day", "--for", "1h"}, 2, "name the limit with --rule, and what it shall be with --limit"},
		"override without a time":  {[]string{"senders", "override", "a", "--rule", "day", "--limit", "5"}, 2, how},
		"suspend with two times":   {[]string{"senders", "suspend", "a", "--for", "1h", "--until", "x"}, 2, how},
		"forget and keep":          {[]string{"senders", "unsuspend", "a", "--forget", "--keep"}, 2, "--forget and --keep are not both possible"},
		"two senders":              {[]string{"senders", "a", "b"}, 2, "accepts at most 1 arg(s), received 2; usage: sendgate senders [IDENTITY] [flags]"},
		"sender refused":           {[]string{"senders", "zoe"}, 1, "there is no such message"},
		"approve refused":          {[]string{"approve", first}, 1, "approve " + first + ": the message does not wait for approval"},
		"explain of unknown":       {[]string{"explain", "01KJZ5V8QW3F7M2N4P6R8T0ZZZ"}, 1, "there is no such message"},
		"acknowledge of unknown":   {[]string{"alerts", "ack", "A9"}, 1, "acknowledge A9: there is no such message"},
		"test of no limits":        {[]string{"rules", "test"}, 1, "no limits are in effect: write some into a file, and name it with --file"},
		"test since nonsense":      {[]string{"rules", "test", "--since", "monday", "--file", good}, 2, `--since "monday": write a duration such as 24h or 30d`},
		"test of no such file":     {[]string{"rules", "test", "--file", good + ".none"}, 1, "read limits: open " + good + ".none: no such file or directory"},
		"test of faults":           {[]string{"rules", "test", "--file", faulty}, 1, faulty + ":3:12: limits[0].limit: 0: must be at least 1; a message that nobody may send is a matter for the mail server\n" + faulty + ":4:11: limits[0].unit: mails: use messages, recipients, external_recipients, internal_recipients, first_time_recipients, visible_recipients or bytes"},
		"test of an unknown key":   {[]string{"rules", "test", "--file", unknown}, 1, unknown + ":1:1: limit: unknown key: did you mean \"limits\"?"},
		"test of nothing":          {[]string{"rules", "test", "--file", none}, 1, none + " has no limits"},
		"test of no YAML":          {[]string{"rules", "test", "--file", broken}, 1, broken + ":1:9: this is not YAML: sequence end token ']' not found"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newPolicyAPI(t)
			f.answer["POST /api/v1/senders/alice@corp.example#crm/boost"] = noReason
			f.answer["POST /api/v1/messages/"+first+"/approve"] = noApproval
			f.answer["GET /api/v1/rules"] = web.Rules{}
			_, _, err := f.sendgate(t, tt.args...)
			if err == nil || err.Error() != tt.want || exitCode(err) != tt.exit {
				t.Errorf("got %v, want %q with exit code %d", err, tt.want, tt.exit)
			}
			if tt.exit == 2 && f.asked != nil {
				t.Errorf("asked %q", f.asked)
			}
		})
	}
}

func TestTheServerIsGivenTimeForABackTest(t *testing.T) {
	if longTimeout <= 10*time.Minute {
		t.Error("the server takes up to ten minutes")
	}
}
