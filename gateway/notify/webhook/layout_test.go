package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sendgate/sendgate/policy"
)

// mac is computed here once more, from the services' documents.
func mac(key, message string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(message))
	return h.Sum(nil)
}

// recent checks a timestamp in units of a second.
func recent(t *testing.T, text string, perSecond int64) {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if age := time.Since(time.Unix(n/perSecond, 0)); err != nil || age < -2*time.Second || age > time.Minute {
		t.Errorf("timestamp %q is %v old", text, age)
	}
}

func only(t *testing.T, got []posted) posted {
	t.Helper()
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	if ct := got[0].header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
		t.Errorf("Content-Type: %s", ct)
	}
	return got[0]
}

func TestJSON(t *testing.T) {
	p := only(t, deliver(t, hookFor(t, JSON, "http://service/hook/1"), always(204, ""), over()))
	stamp := p.header.Get("X-Sendgate-Timestamp")
	recent(t, stamp, 1)
	if want := "sha256=" + hex.EncodeToString(mac(secret, stamp+"."+string(p.body))); p.header.Get("X-Sendgate-Signature") != want {
		t.Errorf("signature %s, want %s", p.header.Get("X-Sendgate-Signature"), want)
	}
	if id := p.header.Get("X-Sendgate-Delivery"); len(id) != 32 {
		t.Errorf("delivery %q", id)
	}
	const want = `{"kind":"limit","severity":"warning","title":{"en":"Hourly limit reached","zh":"达到每小时限额"},` +
		`"lines":[{"en":"12 messages are held.","zh":"12 封邮件已暂缓。"}],"facts":[{"name":{"en":"Sender","zh":"发件人"},` +
		`"value":"zhang.san@corp.example"},{"name":{"en":"Used","zh":"已用"},"value":"300 / 300"}],` +
		`"link":"https://gate.corp.example/limits?id=7","incident_id":"inc-7","update":false,"time":"2026-03-01T09:00:00Z"}`
	if string(p.body) != want {
		t.Errorf("%s", p.body)
	}
}

func TestJSONWithoutSecretAndTexts(t *testing.T) {
	c := hookFor(t, JSON, "http://service/hook/1")
	c.SecretFile = ""
	p := only(t, deliver(t, c, always(200, ""), Notice{Severity: Info}))
	if p.header.Get("X-Sendgate-Signature") != "" {
		t.Error("signed without a secret")
	}
	expect(t, p.object(t), "0001-01-01T00:00:00Z", "time")
	if !strings.Contains(string(p.body), `"lines":[],"facts":[]`) {
		t.Errorf("%s", p.body)
	}
}

const ok = `{"errcode":0,"errmsg":"ok"}`

func TestWeCom(t *testing.T) {
	c := hookFor(t, WeCom, "http://service/cgi-bin/webhook/send?key=693a91f6")
	p := only(t, deliver(t, c, always(200, ok), over()))
	if p.url != "/cgi-bin/webhook/send?key=693a91f6" {
		t.Errorf("posted to %s", p.url)
	}
	o := p.object(t)
	expect(t, o, "markdown", "msgtype")
	expect(t, o, "**<font color=\"warning\">［警告］ 达到每小时限额 / ［Warning］ Hourly limit reached</font>**\n"+
		"12 封邮件已暂缓。\n12 messages are held.\n"+
		">发件人 / Sender: <font color=\"comment\">zhang.san@corp.example</font>\n"+
		">已用 / Used: <font color=\"comment\">300 / 300</font>\n"+
		"[查看详情 / Open](https://gate.corp.example/limits?id=7)", "markdown", "content")
}

func TestDingTalk(t *testing.T) {
	c := hookFor(t, DingTalk, "http://service/robot/send?access_token=token0")
	c.Language = Chinese
	n := over()
	n.Update, n.Severity = true, Critical
	p := only(t, deliver(t, c, always(200, ok), n))
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	stamp := q.Get("timestamp")
	recent(t, stamp, 1000)
	want := base64.StdEncoding.EncodeToString(mac(secret, stamp+"\n"+secret))
	if q.Get("sign") != want || q.Get("access_token") != "token0" || u.Path != "/robot/send" || !strings.Contains(p.url, "sign="+url.QueryEscape(want)) {
		t.Errorf("posted to %s", p.url)
	}
	o := p.object(t)
	expect(t, o, "markdown", "msgtype")
	expect(t, o, "[严重，更新] 达到每小时限额", "markdown", "title")
	expect(t, o, "#### ［严重，更新］ 达到每小时限额\n\n12 封邮件已暂缓。\n\n> **发件人**: zhang.san@corp.example\n\n"+
		"> **已用**: 300 / 300\n\n[查看详情](https://gate.corp.example/limits?id=7)", "markdown", "text")
}

func TestDingTalkWithoutSecret(t *testing.T) {
	c := hookFor(t, DingTalk, "http://service/robot/send?access_token=token0")
	c.SecretFile = ""
	if p := only(t, deliver(t, c, always(200, ok), over())); p.url != "/robot/send?access_token=token0" {
		t.Errorf("posted to %s", p.url)
	}
}

func TestFeishu(t *testing.T) {
	c := hookFor(t, Feishu, "http://service/open-apis/bot/v2/hook/abc")
	c.Language = English
	n := over()
	n.Severity = Critical
	o := only(t, deliver(t, c, always(200, `{"code":0,"data":{},"msg":"success"}`), n)).object(t)
	stamp, _ := at(t, o, "timestamp").(string)
	recent(t, stamp, 1)
	expect(t, o, base64.StdEncoding.EncodeToString(mac(stamp+"\n"+secret, "")), "sign")
	expect(t, o, "interactive", "msg_type")
	expect(t, o, "red", "card", "header", "template")
	expect(t, o, "plain_text", "card", "header", "title", "tag")
	expect(t, o, "[Critical] Hourly limit reached", "card", "header", "title", "content")
	for i, want := range []string{"12 messages are held.", "Sender: zhang.san@corp.example", "Used: 300 / 300"} {
		expect(t, o, "div", "card", "elements", i, "tag")
		expect(t, o, "plain_text", "card", "elements", i, "text", "tag")
		expect(t, o, want, "card", "elements", i, "text", "content")
	}
	expect(t, o, "action", "card", "elements", 3, "tag")
	expect(t, o, "button", "card", "elements", 3, "actions", 0, "tag")
	expect(t, o, "Open", "card", "elements", 3, "actions", 0, "text", "content")
	expect(t, o, "https://gate.corp.example/limits?id=7", "card", "elements", 3, "actions", 0, "url")
}

func TestSlack(t *testing.T) {
	c := hookFor(t, Slack, "http://service/services/T0/B0/x")
	c.Language = English
	n := over()
	n.Facts[0].Value = "<!channel> a & b"
	o := only(t, deliver(t, c, always(200, "ok"), n)).object(t)
	expect(t, o, "[Warning] Hourly limit reached", "text")
	expect(t, o, "header", "blocks", 0, "type")
	expect(t, o, "plain_text", "blocks", 0, "text", "type")
	expect(t, o, "[Warning] Hourly limit reached", "blocks", 0, "text", "text")
	expect(t, o, "section", "blocks", 1, "type")
	expect(t, o, "mrkdwn", "blocks", 1, "text", "type")
	expect(t, o, "12 messages are held.\n*Sender:* &lt;!channel&gt; a &amp; b\n*Used:* 300 / 300\n"+
		"<https://gate.corp.example/limits?id=7|Open>", "blocks", 1, "text", "text")
}

// Slack refuses a section without text.
func TestSlackTitleAlone(t *testing.T) {
	c := hookFor(t, Slack, "http://service/services/T0/B0/x")
	o := only(t, deliver(t, c, always(200, "ok"), Notice{Severity: Info, Title: label("Started", "已启动")})).object(t)
	if blocks, _ := at(t, o, "blocks").([]any); len(blocks) != 1 {
		t.Errorf("%v", blocks)
	}
}

func TestTeams(t *testing.T) {
	c := hookFor(t, Teams, "http://service/workflows/1/triggers/manual/paths/invoke?sig=x")
	c.Language = English
	n := over()
	n.Title.EN = "Limit [of](x) *all* senders_"
	o := only(t, deliver(t, c, always(202, ""), n)).object(t)
	expect(t, o, "message", "type")
	expect(t, o, "application/vnd.microsoft.card.adaptive", "attachments", 0, "contentType")
	expect(t, o, nil, "attachments", 0, "contentUrl")
	card, _ := at(t, o, "attachments", 0, "content").(map[string]any)
	expect(t, card, "AdaptiveCard", "type")
	expect(t, card, "1.4", "version")
	expect(t, card, "http://adaptivecards.io/schemas/adaptive-card.json", "$schema")
	expect(t, card, "Full", "msteams", "width")
	expect(t, card, "TextBlock", "body", 0, "type")
	expect(t, card, "Warning", "body", 0, "color")
	expect(t, card, `\[Warning\] Limit \[of\](x) \*all\* senders\_`, "body", 0, "text")
	expect(t, card, "12 messages are held.", "body", 1, "text")
	expect(t, card, true, "body", 1, "wrap")
	expect(t, card, "FactSet", "body", 2, "type")
	expect(t, card, "Used", "body", 2, "facts", 1, "title")
	expect(t, card, "300 / 300", "body", 2, "facts", 1, "value")
	expect(t, card, "Action.OpenUrl", "actions", 0, "type")
	expect(t, card, "https://gate.corp.example/limits?id=7", "actions", 0, "url")
}

// What each service takes at most (see the package comment).
func TestLongNoticesAreCut(t *testing.T) {
	long := Notice{Severity: Critical, Title: label(strings.Repeat("title ", 100), strings.Repeat("标题", 300)), Link: "https://gate.corp.example/" + strings.Repeat("x", 900)}
	for i := range 70 {
		long.Lines = append(long.Lines, label(fmt.Sprintf("%d ", i)+strings.Repeat("<word> ", 80), strings.Repeat("字&", 260)))
		long.Facts = append(long.Facts, Fact{Name: label("name", "名称"), Value: strings.Repeat("值\"", 260)})
	}
	for kind, size := range map[string]func(o object, body []byte) (size, limit int){
		WeCom:    func(o object, _ []byte) (int, int) { return len(at(t, o, "markdown", "content").(string)), 4096 },
		DingTalk: func(_ object, body []byte) (int, int) { return len(body), 20_000 },
		Feishu:   func(_ object, body []byte) (int, int) { return len(body), 20_000 },
		Slack: func(o object, _ []byte) (int, int) {
			if n := utf8.RuneCountInString(at(t, o, "blocks", 0, "text", "text").(string)); n > 150 {
				t.Errorf("the header has %d characters", n)
			}
			return utf8.RuneCountInString(at(t, o, "blocks", 1, "text", "text").(string)), 3000
		},
		Teams: func(_ object, body []byte) (int, int) { return len(body), 28_000 },
	} {
		for _, language := range []string{Chinese, English, Both} {
			t.Run(kind+" "+language, func(t *testing.T) {
				body := services[kind].layout(long, target{url: "https://x.example/", secret: secret, language: language}, time.Now()).body
				var o object
				if err := json.Unmarshal(body, &o); err != nil {
					t.Fatal(err)
				}
				n, limit := size(o, body)
				if n > limit || n < limit/4 {
					t.Errorf("%d of %d", n, limit)
				}
				if !strings.Contains(string(body), "… +") || !strings.Contains(string(body), "https://gate.corp.example/xxx") || !utf8.Valid(body) {
					t.Errorf("%s", body)
				}
			})
		}
	}
}

// Foreign text stays text.
func TestForeignTextIsNoMarkup(t *testing.T) {
	n := Notice{
		Severity: Warning, Title: label("<@all> [x](http://evil.example)", "<@all> [x](http://evil.example)"),
		Lines: []policy.Label{label("a\r\n# b\x00 **c** \u202egnp.exe <font color=\"info\">", "![](http://evil.example/pixel)")},
		Facts: []Fact{{Name: label("n", "名"), Value: "first_last@corp.example <@user> \xff"}},
		Link:  "javascript:alert(1)",
	}
	for _, kind := range []string{WeCom, DingTalk} {
		body := string(services[kind].layout(n, target{url: "https://x.example/", language: Both}, time.Now()).body)
		var o object
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Fatal(err)
		}
		md, _ := at(t, o, "markdown").(map[string]any)
		text := fmt.Sprint(md["content"], md["text"])
		for _, bad := range []string{"<@", "](", "\x00", "\r", "\n# ", "\u202e", "**c**", "javascript"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: %q in %q", kind, bad, text)
			}
		}
		if !strings.Contains(text, "first_last@corp.example") {
			t.Errorf("%s: an address cannot be copied: %q", kind, text)
		}
	}
}

func TestLanguages(t *testing.T) {
	n := over()
	n.Lines = append(n.Lines, label("same", "same"))
	for language, want := range map[string]text{
		Chinese: {title: "[警告] 达到每小时限额", lines: []string{"12 封邮件已暂缓。", "same"}, open: "查看详情"},
		English: {title: "[Warning] Hourly limit reached", lines: []string{"12 messages are held.", "same"}, open: "Open"},
		Both: {title: "[警告] 达到每小时限额 / [Warning] Hourly limit reached", open: "查看详情 / Open",
			lines: []string{"12 封邮件已暂缓。", "12 messages are held.", "same"}},
	} {
		got := n.in(language)
		if got.title != want.title || got.open != want.open || strings.Join(got.lines, "|") != strings.Join(want.lines, "|") {
			t.Errorf("%s: %+v", language, got)
		}
	}
}

func TestDigest(t *testing.T) {
	critical := Notice{Kind: "suspended", Severity: Critical, Title: label("Suspended", "已暂停"), Link: "https://gate.corp.example/s"}
	d := digest([]Notice{over(), critical, {Severity: Info, Title: label("Fine", "正常"), Update: true}})
	if d.Severity != Critical || d.Link != critical.Link || d.Title != label("3 notices", "3 条通知") {
		t.Errorf("%+v", d)
	}
	for i, want := range []policy.Label{
		label("[Warning] Hourly limit reached: 12 messages are held.", "[警告] 达到每小时限额：12 封邮件已暂缓。"),
		label("[Critical] Suspended", "[严重] 已暂停"),
		label("[Info, update] Fine", "[提示，更新] 正常"),
	} {
		if d.Lines[i] != want {
			t.Errorf("%+v, want %+v", d.Lines[i], want)
		}
	}
}

// FuzzClean holds what every text is before it is laid out.
func FuzzClean(f *testing.F) {
	f.Add("a\r\nb\u2028c\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := shorten(clean(s), 50)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\u2028\u202e") || utf8.RuneCountInString(got) > 50 || strings.Contains(got, "  ") {
			t.Errorf("%q", got)
		}
		if again := clean(clean(s)); again != clean(s) {
			t.Errorf("%q becomes %q", clean(s), again)
		}
		if p := plain(got); strings.ContainsAny(p, "<>[]*`\\") {
			t.Errorf("%q", p)
		}
	})
}
