package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// incidents are what happens in limits, each once.
var incidents = []string{
	"approval_expired carol@corp.test",
	"approval_waiting carol@corp.test",
	"boost_given bob@corp.test",
	"limit_exceeded alice@corp.test",
	"limit_exceeded bob@corp.test",
	"limit_exceeded erin@corp.test",
	"limit_warning alice@corp.test",
	"limit_warning bob@corp.test",
	"suspended grace@corp.test",
	"unsuspended grace@corp.test",
}

// ownNotices are the subjects of what each sender gets.
var ownNotices = map[string][]string{
	"alice@corp.test": {"您即将达到发送上限 / Your sending limit is nearly reached", "您已达到发送上限 / Your sending limit is reached"},
	"bob@corp.test": {
		"您即将达到发送上限 / Your sending limit is nearly reached", "您已达到发送上限 / Your sending limit is reached",
		"您的发送限额已调整 / Your sending limit was changed",
	},
	"carol@corp.test": {"您的邮件等待审批 / Your message waits for approval"},
	"erin@corp.test":  {"您已达到发送上限 / Your sending limit is reached"},
	"frank@corp.test": nil,
	"grace@corp.test": {
		"您已被暂停对外发送邮件 / You are suspended from sending to other organisations",
		"您已可以重新对外发送邮件 / You may send to other organisations again",
	},
}

// tells holds that everybody was told of everything, once.
func (l *limited) tells(t *testing.T) {
	// A few mistyped domains are listed, and nobody is told of them.
	listed := append([]string{"domain_refused grace@corp.test"}, incidents...)
	slices.Sort(listed)
	eventually(t, "all incidents are there", func() bool { return len(l.alerts(t)) >= len(listed) })
	if got := l.alerts(t); !slices.Equal(got, listed) {
		t.Errorf("incidents\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(listed, "\n"))
	}
	t.Run("chats", l.tellsChats)
	t.Run("administrators", l.tellsAdmins)
	t.Run("senders", l.tellsSenders)
}

func (l *limited) tellsChats(t *testing.T) {
	eventually(t, "the program is told", func() bool { return len(l.chats.notices(t)) >= len(incidents) })
	var got []string
	for _, n := range l.chats.notices(t) {
		_, subject, _ := strings.Cut(n.Title.EN, ": ")
		got = append(got, n.Kind+" "+subject)
		if n.Update || n.IncidentID == "" || n.Title.ZH == "" || n.Severity == "" {
			t.Errorf("the notice is %+v", n)
		}
		if n.Kind == "limit_exceeded" && strings.HasSuffix(n.Title.EN, "alice@corp.test") {
			wantWords(t, "the notice of the held message", n.Lines[0].EN+n.Lines[0].ZH+n.Lines[1].EN,
				"One message is held; it goes by itself when there is room.", "额度恢复后自动发送", "2 of 2 messages per minute used, 1 asked")
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, incidents) {
		t.Errorf("told\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(incidents, "\n"))
	}
	for kind := range chatAnswers {
		if kind == "json" {
			continue
		}
		// Chat rooms may get several in one message.
		for _, words := range []string{"已达发送上限", "Sending limit reached: erin@corp.test", "邮件等待审批", "已暂停发送", "发件人限额已调整", "审批已过期"} {
			eventually(t, kind+" is told "+words, func() bool {
				return slices.ContainsFunc(l.chats.bodies(kind), func(body string) bool {
					return strings.Contains(strings.ReplaceAll(body, `\`, ""), words)
				})
			})
		}
	}
}

func (l *limited) tellsAdmins(t *testing.T) {
	of := map[string]int{} // by the incident
	eventually(t, "the administrator is told", func() bool {
		clear(of)
		for _, n := range l.noticesOf(t, "postmaster@corp.test") {
			of[n.references]++
		}
		return len(of) >= len(incidents)
	})
	told := map[string]int{}
	for _, n := range l.chats.notices(t) {
		told["<"+n.IncidentID+"@gw.corp.test>"] = 1
	}
	if !maps.Equal(of, told) {
		t.Errorf("mails of incidents %v, not %v", of, told)
	}
	n := l.awaitNotice(t, "postmaster@corp.test", "邮件等待审批：carol@corp.test / Waits for approval: carol@corp.test")
	wantWords(t, "the notice", n.text, "sendgate approvals", "请决定放行或撤回", "/approvals", "4 recipients in one message, the limit is 3")
}

func (l *limited) tellsSenders(t *testing.T) {
	for user, want := range ownNotices {
		slices.Sort(want)
		var got []string
		eventually(t, user+" is told", func() bool {
			got = nil
			for _, n := range l.noticesOf(t, user) {
				got = append(got, strings.TrimPrefix(n.subject, "[sendgate] "))
			}
			return len(got) >= len(want)
		})
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s is told %q, not %q", user, got, want)
		}
	}
	held := l.awaitNotice(t, "alice@corp.test", "Your sending limit is reached").text
	wantWords(t, "alice's notice", held, "您的邮件因达到发送上限而暂缓发送，预计 ", " 自动发送，您无需操作。", "It will go at about ",
		"每分钟上限 2 封邮件，已用 2，本次 1", "2 of 2 messages per minute used, 1 asked", "third")
	if zh, en := strings.Index(held, "您的邮件"), strings.Index(held, "Your message was held"); zh < 0 || en < zh {
		t.Errorf("Chinese at %d, English at %d", zh, en)
	}
	wantWords(t, "carol's notice", l.awaitNotice(t, "carol@corp.test", "waits for approval").text,
		"您的邮件需经管理员批准后发送，无需重新发送。", "将退回给您", "kept until an administrator approves it", "expires")
	wantWords(t, "erin's notice", l.awaitNotice(t, "erin@corp.test", "limit is reached").text,
		"您的邮件因超出发送上限被拒收", "单封邮件有 9 个收件人，上限 8", "9 recipients in one message, the limit is 8")
}

func wantWords(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}
