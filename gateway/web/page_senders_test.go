package web

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/policy/limit"
)

var keyPattern = regexp.MustCompile(`\b(senders|limits|campaigns|approvals|alerts|severity)\.[a-z_]+(\.[a-z0-9_-]+)*\b`)

// worded fails where a page shows the key of a text instead of the text, in either language.
func (d *dash) worded(role string, paths ...string) {
	d.t.Helper()
	for _, language := range []string{"en", "zh-CN"} {
		b := d.as(role)
		b.language = language
		for _, path := range paths {
			status, page := b.get(path)
			if status != http.StatusOK || !strings.Contains(page, `<html lang="`+language+`"`) {
				d.t.Errorf("%s in %s: %d\n%s", path, language, status, inner(page))
			}
			if key := keyPattern.FindString(inner(page)); key != "" {
				d.t.Errorf("%s in %s: no words for %s", path, language, key)
			}
		}
	}
}

// stolen is an account that sendgate suspended for what it did.
func (d *dash) stolen(identity, reason string) {
	d.limits.suspended = append(d.limits.suspended, guard.Suspension{
		Identity: identity, Since: d.now.Add(-time.Hour), Until: d.now.Add(time.Hour), Reason: reason, Author: kindAnomaly, Nth: 2,
		Findings: []policy.Finding{
			{Kind: kindAnomaly, Used: 90, Detail: policy.Label{EN: "not like the account (90): many strangers", ZH: "行为异常（90）：大量陌生收件人"}},
			{Kind: kindAnomaly, Used: 40, Source: "strangers", Detail: policy.Label{EN: "60 strangers in an hour", ZH: "一小时 60 个陌生收件人"}},
		},
	})
}

func TestSuspendedSendersAreListedFirst(t *testing.T) {
	d := newDash(t)
	d.stolen("mallory@corp.example", "unlike")
	d.limits.usage = []policy.Finding{d.hour("alice@corp.example", 320, 300, limit.FromRule), d.hour("bob#crm", 10, 300, limit.FromRule)}
	d.limits.grants = []limit.Grant{{Rule: "day", Key: "carol@corp.example", Boost: true, Amount: 500, Given: d.now, Until: d.now.Add(time.Hour), Reason: "invoices", Author: "user:admin"}}
	_, page := d.as("auditor").get("/senders")
	text := inner(page)
	order := []string{"Suspended", "mallory@corp.example", "many strangers", "sendgate itself (no. 2 lately)", "alice@corp.example", "next free 18:42", "carol@corp.example", "+500 · day"}
	at := -1
	for _, want := range order {
		i := strings.Index(text, want)
		if i < at || i < 0 {
			t.Errorf("%q is missing or too early in:\n%s", want, text)
		}
		at = i
	}
	if strings.Contains(text, "bob#crm") {
		t.Error("who is far from any limit is listed")
	}
	d.as("auditor").sees("/senders?q=BOB", `href="/senders/bob%23crm"`, "Found", "Open BOB")
	d.as("auditor").sees("/senders?q=nobody", "No sender found", `href="/senders/nobody"`)
	d.worded("operator", "/senders", "/senders?q=x", "/senders?q=bob")
}

func TestASenderIsShown(t *testing.T) {
	d := newDash(t)
	d.stolen("alice@corp.example", "unlike")
	d.limits.usage = []policy.Finding{d.hour("alice@corp.example", 320, 800, limit.FromBoost), d.hour("from:corp.example", 1, 300, limit.FromRule)}
	d.limits.usage[0].Rule = "external-hour"
	d.limits.grants = []limit.Grant{{Rule: "external-hour", Key: "alice@corp.example", Boost: true, Amount: 500, Given: d.now, Until: d.now.Add(time.Hour), Reason: "invoices", Author: "user:admin"}}
	d.accept("alice@corp.example", "Report", "bob@example.net", "carol@example.net")
	d.as("admin").sees("/senders/alice%40corp.example",
		"320 / 800", "raised", "the rule says 300", "60 strangers in an hour", "+40", "invoices", "user:admin",
		`href="/messages?q=from%3Aalice%40corp.example"`, `action="/senders/alice@corp.example/unsuspend"`, `value="forgive" checked`, `data-chart=`,
		`name="amount"`, "Raise and release", "Change the suspension")
	d.as("admin").sees("/senders/from:corp.example", "1 / 300", "No temporary changes")
	d.worded("admin", "/senders/alice%40corp.example", "/senders/from:corp.example", "/senders/to:gmail.com", "/senders/stranger")
	d.limits.suspended = nil
	d.worded("admin", "/senders/alice%40corp.example")
}

func TestWhatWasSentIsCountedByTheHour(t *testing.T) {
	d := newDash(t)
	d.accept("alice@corp.example", "Report", "bob@example.net", "carol@example.net")
	got := get[SenderDetail](d.rig, "/api/v1/senders/alice@corp.example").Messages.Hours
	if len(got) != 25 || !got[0].Start.Equal(d.now.Add(-24*time.Hour).Truncate(time.Hour)) || got[24].Messages != 1 || got[24].Recipients != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestActsOnASender(t *testing.T) {
	for name, tt := range map[string]struct {
		act    string
		fields []string
		asked  string
		said   string
	}{
		"boost":           {"boost", []string{"amount", "500", "for", "24h", "until", "", "reason", "invoices"}, "boost | alice@corp.example |  | invoices | user:operator", "The limit was raised."},
		"boost of one":    {"boost", []string{"amount", "500", "rule", "day", "until", "2026-11-22T10:30", "offset", "-480", "reason", "invoices"}, "boost | alice@corp.example | day | invoices | user:operator", "The limit was raised."},
		"override":        {"override", []string{"limit", "5", "rule", "day", "for", "1h", "reason", "why"}, "boost | alice@corp.example | day | why | user:operator", "The limit was replaced."},
		"revoke":          {"revoke", []string{"rule", "pace"}, "revoke | alice@corp.example | pace |  | user:operator", "The temporary change has ended."},
		"reset":           {"reset", []string{"reason", "why"}, "reset | alice@corp.example |  | why | user:operator", "What was counted is forgotten."},
		"suspend":         {"suspend", []string{"for", "", "reason", "stolen"}, "suspend | alice@corp.example | stolen | user:operator", "The sender is suspended"},
		"suspend a while": {"suspend", []string{"for", "4h", "reason", "stolen"}, "suspend | alice@corp.example | stolen | user:operator", "The sender is suspended"},
		"forgive":         {"unsuspend", []string{"history", "forgive"}, "unsuspend | alice@corp.example |  | user:operator", "may write to other organisations again"},
		"forget":          {"unsuspend", []string{"history", "forget", "reason", "new"}, "unsuspend forget | alice@corp.example | new | user:operator", "may write to other organisations again"},
		"keep":            {"unsuspend", []string{"history", "keep"}, "unsuspend keep | alice@corp.example |  | user:operator", "may write to other organisations again"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			d.limits.grants = []limit.Grant{{Rule: "pace", Key: "alice@corp.example", Amount: 1, Until: d.now.Add(time.Hour)}}
			if tt.act == "unsuspend" {
				d.stolen("alice@corp.example", "unlike")
			}
			status, page := d.as("operator").post("/senders/alice@corp.example/"+tt.act, "/senders/alice@corp.example", tt.fields...)
			if status != http.StatusOK || !strings.Contains(inner(page), tt.said) || !slices.Equal(d.limits.asked, []string{tt.asked}) {
				t.Errorf("%d, asked %q\n%s", status, d.limits.asked, inner(page))
			}
		})
	}
}

func TestUntilIsInTheViewersZone(t *testing.T) {
	d := newDash(t)
	d.as("admin").post("/senders/alice/boost", "/senders/alice", "amount", "5", "until", "2026-11-22T10:30", "offset", "-480", "reason", "x")
	if want := time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC); len(d.limits.grants) != 1 || !d.limits.grants[0].Until.Equal(want) {
		t.Errorf("got %+v, want until %v", d.limits.grants, want)
	}
}

func TestActsOnASenderAreRefused(t *testing.T) {
	const path = "/senders/alice@corp.example"
	for name, tt := range map[string]struct {
		act, en, zh string
		fields      []string
	}{
		"no number":       {"boost", "Write a whole number above zero.", "请填写大于零的整数。", []string{"amount", "many", "for", "1h", "reason", "x"}},
		"nothing":         {"override", "Write a whole number above zero.", "请填写大于零的整数。", []string{"limit", "0", "rule", "day", "for", "1h", "reason", "x"}},
		"no time":         {"boost", "Choose for how long or until when", "请选择时长或截止时间", []string{"amount", "1", "until", "tomorrow", "reason", "x"}},
		"no zone":         {"boost", "Choose for how long or until when", "请选择时长或截止时间", []string{"amount", "1", "until", "2026-11-22T10:30", "offset", "99999", "reason", "x"}},
		"past":            {"suspend", "Choose for how long or until when", "请选择时长或截止时间", []string{"until", "2020-11-22T10:30:00", "reason", "x"}},
		"no reason":       {"boost", "Say why", "请填写原因", []string{"amount", "1", "for", "1h", "reason", " "}},
		"long reason":     {"reset", "A reason has at most 1000 characters.", "原因最多 1000 个字符。", []string{"reason", strings.Repeat("字", 1001)}},
		"unknown rule":    {"reset", "There is no limit of that name any more", "该限额规则已不存在", []string{"rule", "no", "reason", "x"}},
		"not suspended":   {"unsuspend", "The sender is not suspended", "该发件人未被暂停", []string{"history", "keep"}},
		"what of it":      {"unsuspend", "Choose what becomes of what counted", "请选择异常记录的处理方式", []string{"history", "frame"}},
		"nothing granted": {"revoke", "There is no temporary change to end", "没有可终止的临时调整", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			b := d.as("admin")
			if _, page := b.post(path+"/"+tt.act, path, tt.fields...); !strings.Contains(page, tt.en) {
				t.Errorf("%s", inner(page))
			}
			b.language = "zh-CN"
			if _, page := b.post(path+"/"+tt.act, path, tt.fields...); !strings.Contains(page, tt.zh) {
				t.Errorf("%s", inner(page))
			}
			if len(d.limits.asked) > 0 {
				t.Errorf("asked %q", d.limits.asked)
			}
		})
	}
}

func TestAnAuditorActsOnNoSender(t *testing.T) {
	d := newDash(t)
	d.stolen("alice", "unlike")
	d.limits.grants = []limit.Grant{{Rule: "day", Key: "alice", Amount: 1, Until: d.now.Add(time.Hour)}}
	b := d.as("auditor")
	_, page := b.get("/senders/alice")
	if strings.Contains(page, `action="/senders/`) {
		t.Error("an auditor is offered acts")
	}
	for _, act := range []string{"boost", "override", "revoke", "reset", "suspend", "unsuspend"} {
		_, page := b.post("/senders/alice/"+act, "/senders/alice", "amount", "1", "limit", "1", "rule", "day", "for", "1h", "history", "keep", "reason", "x")
		if !strings.Contains(page, "Your role does not allow this.") || len(d.limits.asked) > 0 {
			t.Errorf("%s: asked %q\n%s", act, d.limits.asked, inner(page))
		}
	}
}

func TestHostileSendersAreHarmless(t *testing.T) {
	d := newDash(t)
	b := d.as("admin")
	for _, bad := range payloads {
		d.stolen("s"+bad, bad)
		d.limits.suspended[len(d.limits.suspended)-1].Findings = nil
		d.limits.usage = append(d.limits.usage, d.hour("u"+bad, 320, 300, limit.FromRule))
		d.limits.grants = append(d.limits.grants, limit.Grant{Rule: bad, Key: "s" + bad, Amount: 1, Until: d.now.Add(time.Hour), Reason: bad, Author: bad})
		_, page := b.get(senderAt("s" + bad))
		harmless(t, page)
		_, page = b.get("/senders?q=" + "%22%3E%3Cscript%3Ealert(1)")
		harmless(t, page)
	}
	_, page := b.get("/senders")
	harmless(t, page)
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Errorf("not shown: %s", inner(page))
	}
	_, page = b.get("/limits?near=50")
	harmless(t, page)
}
