package e2e

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWave sends one text to many strangers, a little different each time: from a number of recipients on
// the copies wait for a person.
func TestWave(t *testing.T) {
	t.Parallel()
	for front, milter := range map[string]bool{"relay": false, "milter": true} {
		t.Run(front, func(t *testing.T) {
			t.Parallel()
			startWaves(t, milter).waves(t)
		})
	}
}

// The copies of a wave: the tenth is the first that waits.
const (
	waveCopies    = 14
	wavePasses    = 9
	waveColleague = 13 // after which one a colleague gets a copy
)

// waveRules looks at what mail says only; its numbers are small so that few messages are needed.
var waveRules = rules{
	policy: `internal: ["@corp.test"]
trial: 0s
limits:
  - {name: day, unit: recipients, limit: 1000, per: day}
`,
	sections: `similar:
  notice: {hour: 4, day: 5}
  slow: {hour: 0, day: 0}
  review: {hour: 0, day: 10}
  alert: {hour: 0, day: 30}
`}

// startWaves runs everything until the test ends. All mail is held for a moment: the relay cannot keep back
// what it hands through.
func startWaves(t *testing.T, milter bool) *limited {
	t.Helper()
	l := &limited{}
	if milter {
		l.boxes = startDovecot(t)
		l.milter = startHolding(t, holdSettings{hold: time.Second, boxes: l.boxes, rules: waveRules})
		l.gateway, l.mta, l.world, l.server = l.milter.gateway, l.milter.mta, l.milter.world, l.milter.mta.smtp
	} else {
		s := startStack(t)
		l.gateway = startGateway(t, settings{upstream: plainUpstream(s.mta), hold: time.Second, rules: waveRules})
		l.boxes, l.mta, l.world, l.server = s.boxes, s.mta, s.world, l.gateway.smtp
	}
	l.mta.setUsers(t, "alice", "bob", "carol", "postmaster")
	return l
}

// waves has two senders, each with a wave in another language.
func (l *limited) waves(t *testing.T) {
	found := make([]campaign, len(waves))
	for i := range waves {
		waiting := l.swell(t, &waves[i])
		if found[i] = l.campaign(t, waves[i].sender); !slices.Equal(slices.Sorted(slices.Values(found[i].WaitingIDs)), slices.Sorted(slices.Values(waiting))) {
			t.Errorf("%q wait, not %q", found[i].WaitingIDs, waiting)
		}
	}
	l.kill(t)
	l.start(t)
	for i := range waves {
		if after := l.campaign(t, waves[i].sender); !reflect.DeepEqual(after, found[i]) {
			t.Errorf("before the kill %+v, after it %+v", found[i], after)
		}
		l.spares(t, &waves[i])
	}
	if l.milter != nil {
		eventually(t, "Postfix holds nothing but the copies", func() bool { return l.inHold(t) == len(waves)*(waveCopies-wavePasses) })
	}
	for i := range waves {
		l.judges(t, &waves[i], found[i].ID)
	}
}

// swell sends the copies with other mail between them, and gives the ids of those that wait.
func (l *limited) swell(t *testing.T, w *wave) (waiting []string) {
	t.Helper()
	for i := range waveCopies {
		id, state := l.accepts(t, w.copy(i), w.sender, w.stranger(i))
		if (state == "approval_pending") != (i >= wavePasses) {
			t.Errorf("%s: copy %d is %s", w.sender, i+1, state)
		}
		if i >= wavePasses {
			waiting = append(waiting, id)
		}
		if i == waveColleague {
			if _, state := l.accepts(t, w.copy(waveCopies), w.sender, "carol@corp.test"); state == "approval_pending" {
				t.Errorf("%s: the copy to a colleague is %s", w.sender, state)
			}
		}
		if i%4 == 3 { // at the last time some copies wait
			if _, state := l.accepts(t, w.other(i/4), w.sender, w.stranger(i)); state == "approval_pending" {
				t.Errorf("%s: ordinary message %d is %s", w.sender, i/4, state)
			}
		}
	}
	return waiting
}

// spares holds that everything arrives that need not wait, and nothing else.
func (l *limited) spares(t *testing.T, w *wave) {
	t.Helper()
	for i := range wavePasses {
		l.arrives(t, w.subject(i))
	}
	for i := range w.others {
		l.arrives(t, w.otherSubject(i))
	}
	eventually(t, "the colleague gets a copy", func() bool {
		return slices.ContainsFunc(l.boxes.inbox(t, "carol@corp.test"), func(raw []byte) bool {
			return strings.Contains(string(raw), "Subject: "+w.subject(waveCopies)+"\r\n")
		})
	})
	for i := wavePasses; i < waveCopies; i++ {
		if len(l.arrived(w.subject(i))) != 0 {
			t.Errorf("%s: copy %d did not wait", w.sender, i+1)
		}
	}
}

// judges lets a wave go, and then stops it.
func (l *limited) judges(t *testing.T, w *wave, id string) {
	t.Helper()
	var done struct {
		Messages int
		Campaign campaign
	}
	l.call(t, "POST", "/campaigns/"+id+"/approve", map[string]string{"reason": "our catalogue"}, &done)
	if done.Messages != waveCopies-wavePasses || done.Campaign.Decision.Verdict != "approved" || done.Campaign.Waiting != 0 {
		t.Errorf("approved: %+v", done)
	}
	for i := wavePasses; i < waveCopies; i++ {
		l.arrives(t, w.subject(i))
	}
	if _, state := l.accepts(t, w.copy(waveCopies+1), w.sender, w.stranger(waveCopies+1)); state == "approval_pending" {
		t.Errorf("%s: a copy of what was approved is %s", w.sender, state)
	}
	l.call(t, "POST", "/campaigns/"+id+"/cancel", map[string]string{"reason": "nobody asked for it"}, &done)
	if done.Campaign.Decision.Verdict != "canceled" {
		t.Errorf("canceled: %+v", done)
	}
	l.refused(t, "550 5.7.28 This mailing was stopped (ref ", w.copy(waveCopies+2), w.sender, w.stranger(waveCopies+2))
	l.arrives(t, w.subject(waveCopies+1))
	if len(l.arrived(w.subject(waveCopies+2))) != 0 {
		t.Error("the refused copy came out")
	}
}

// acceptedAs finds our id in the relay's answer, Postfix's in its own.
var acceptedAs = regexp.MustCompile(`(?:Held|Waits for approval|queued) as ([0-9A-Za-z]+)`)

// accepts gives a message to the gateway, which has to take it; it gives our id and the message's state.
func (l *limited) accepts(t *testing.T, message []byte, from, to string) (id, state string) {
	t.Helper()
	text, err := submit(t, l.server, from, nil, []string{to}, nil, message)
	m := acceptedAs.FindStringSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("%q, %v", text, err)
	}
	if id = m[1]; l.milter != nil {
		id = l.milter.idOf(t, id)
	}
	return id, l.message(t, id).State
}

// inHold counts what Postfix holds.
func (l *limited) inHold(t *testing.T) (n int) {
	t.Helper()
	for _, queue := range l.mta.queue(t) {
		if queue == "hold" {
			n++
		}
	}
	return n
}

// campaign is what the tests read of one.
type campaign struct {
	ID, Sender, Level    string
	SenderCount          int `json:"sender_count"`
	Messages, Recipients int
	Distinct             struct{ Hour, Day int }
	Decision             struct{ Verdict string }
	Waiting              int
	WaitingIDs           []string `json:"waiting_ids"`
	Senders              []struct {
		Identity string
		Messages int
	}
}

// campaign gives the only one of a sender. The copy to a colleague is a message of it without a recipient
// that counts.
func (l *limited) campaign(t *testing.T, sender string) (c campaign) {
	t.Helper()
	var list struct{ Campaigns []campaign }
	l.call(t, "GET", "/campaigns?min=2", nil, &list)
	list.Campaigns = slices.DeleteFunc(list.Campaigns, func(c campaign) bool { return c.Sender != sender })
	if len(list.Campaigns) != 1 {
		t.Fatalf("campaigns of %s: %+v", sender, list.Campaigns)
	}
	l.call(t, "GET", "/campaigns/"+list.Campaigns[0].ID, nil, &c)
	if c.SenderCount != 1 || len(c.Senders) != 1 || c.Senders[0].Identity != sender || c.Messages != waveCopies+1 ||
		c.Recipients != waveCopies || c.Distinct.Day != waveCopies || c.Level != "review" || c.Waiting != waveCopies-wavePasses {
		t.Errorf("campaign of %s: %+v", sender, c)
	}
	return c
}

// A wave is one text and what is changed in every copy, with other mail of its sender.
type wave struct {
	sender, name string
	text         string // with a name, a word and a number
	people       []string
	words        []string
	others       []string
}

var waves = []wave{{
	sender: "alice@corp.test", name: "catalogue",
	text: "Dear %[1]s,\n\nour spring catalogue has arrived, and we invite you, %[1]s, to look at the new pumps, valves and fittings. " +
		"All of them are in stock in our %[2]s warehouse and delivered within two days.\nYour order number is %[3]d; please name it when you " +
		"write to our sales department, who will gladly answer every question about prices and terms of payment.\n",
	people: strings.Fields("Anna Boris Clara David Emma Felix Greta Henry Ida Jonas Karla Louis Mona Nils Olga Paul Queenie"),
	words:  strings.Fields("amber brisk candid dapper eager fabled gentle humble ivory jolly keen lively mellow nimble olive plucky quaint"),
	others: []string{
		"Could we move Thursday's meeting about the leaking roof to the small room upstairs? The plumber wants to show us photographs of the damage, and the insurance has asked for a written statement of what was seen.",
		"The train was late again, so I missed the second talk. From what people told me, the speaker compared three databases and found that backups were restored fastest by the oldest of them, which surprised nobody.",
		"Attached you find nothing yet: the lawyer still reads the draft. She wonders why clause seven speaks of vessels, and whether the arbitration should take place in Hamburg or rather in Rotterdam as it used to.",
	},
}, {
	sender: "bob@corp.test", name: "mulu",
	text: "尊敬的%[1]s：\n\n我公司春季新品目录已经发布，诚邀%[1]s选购全新的水泵、阀门和管件，所有产品在%[2]s仓库均有现货，两日内送达。\n" +
		"您的订单编号为%[3]d，订货时请注明。如对价格和付款条件有任何疑问，欢迎随时联系销售部，感谢您一直以来对我们工作的支持与信任。\n",
	people: strings.Fields("张伟 王芳 李娜 刘洋 陈静 杨勇 赵敏 黄磊 周杰 吴秀英 徐丽 孙强 马军 朱婷 胡平 郭涛 何洁"),
	words:  strings.Fields("东湖 西山 南港 北桥 青岛 白云 红旗 新华 长江 黄河 和平 光明 胜利 建设 团结 友谊 幸福"),
	others: []string{
		"屋顶漏水的问题，周四的讨论能否改到楼上的小会议室？水电师傅想给大家看看照片，保险公司还要求我们写一份书面说明，把当时看到的情况讲清楚。",
		"火车又晚点了，我没赶上第二场报告。听同事讲，主讲人比较了三种数据库，结果恢复备份最快的竟然是最老的那一个，大家倒也不觉得奇怪。",
		"律师还在读合同草案，她不明白第七条为什么提到船舶，也想知道仲裁地点究竟定在汉堡，还是像从前那样放在鹿特丹，请你们尽早给个答复。",
	},
}}

func (w *wave) subject(i int) string      { return fmt.Sprint(w.name, " ", i) }
func (w *wave) otherSubject(i int) string { return fmt.Sprint("not the ", w.name, " ", i) }
func (w *wave) stranger(i int) string     { return fmt.Sprintf("customer%d@%s.test", i, w.name) }

// copy writes the text to somebody, with two invisible characters.
func (w *wave) copy(i int) []byte {
	text := []rune(fmt.Sprintf(w.text, w.people[i], w.words[i], 48213+977*i))
	for _, at := range []int{20 + 3*i, 60 + i} {
		text = slices.Insert(text, at, '\u200b')
	}
	return w.write(w.subject(i), string(text))
}

func (w *wave) other(i int) []byte { return w.write(w.otherSubject(i), w.others[i]+"\n") }

func (w *wave) write(subject, text string) []byte {
	return []byte("From: " + w.sender + "\r\nSubject: " + subject + "\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <" +
		strings.ReplaceAll(subject, " ", ".") + "@corp.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 8bit\r\n\r\n" + strings.ReplaceAll(text, "\n", "\r\n"))
}
