package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestMessagesPageInBothLanguages(t *testing.T) {
	d := newDash(t)
	held := d.accept("alice@corp.example", "Quarterly report", "bob@example.net", "carol@example.net")
	failed := d.nullSender("zoe@elsewhere.example")
	d.observe(failed, policy.Event{Kind: policy.Bounced, Reply: "550 5.1.1 no such user"})
	for lang, texts := range map[string][]string{
		"en":    {"Quarterly report", "alice@corp.example", "bob@example.net", "&#43;1", ">Delivering<", ">Failed, returned<", "(no subject)", "&lt;&gt;", "4.1 kB", "Release now", "Waits for approval", `<option value="unknown">Unknown</option>`},
		"zh-CN": {"Quarterly report", "另有 1 位", ">投递中<", ">投递失败，已退信<", "（无主题）", "立即放行", "待审批", `<option value="unknown">数据异常，状态未知</option>`, ">已投递到对方邮箱<", ">已投递到对方服务器<", ">投递被系统拦截<", ">已撤回<"},
	} {
		b := d.as("operator")
		b.language = lang
		b.sees("/messages", append(texts, `href="/messages/`+held+`"`, `value="`+failed+`"`, "/messages/live")...)
	}
	if _, page := d.as("user").get("/messages"); strings.Contains(page, "Quarterly") {
		t.Error("a user sees the mail of others")
	}
	if _, page := d.as("").get("/messages"); strings.Contains(page, "Quarterly") {
		t.Error("nobody sees the messages")
	}
}

// nullSender commits a held message of nobody about nothing.
func (d *dash) nullSender(to string) string {
	id := d.store.NewID()
	d.commit(store.Change{Message: id, Envelope: &policy.Envelope{
		Received: d.now, Front: policy.Relay, Identity: "192.0.2.1", Size: 1, Recipients: []policy.Recipient{{Address: policy.Address(to)}},
	}, Events: []policy.Event{{Kind: policy.Accepted, Time: d.now, Actor: "smtp"}}})
	return id.String()
}

func TestMessagesPageWithoutMessages(t *testing.T) {
	d := newDash(t)
	b := d.as("admin")
	b.sees("/messages", "No messages yet")
	b.sees("/messages?q=from:nobody", "Nothing matches")
	b.language = "zh-CN"
	b.sees("/messages", "暂无邮件")
	b.sees("/messages?q=from:nobody", "没有符合条件的邮件")
}

func TestMessagesPageTellsWhatIsWrongWithASearch(t *testing.T) {
	d := newDash(t)
	b := d.as("admin")
	b.sees("/messages?q=state:nowhere", "This search cannot be understood:", "state:nowhere: is not a state", `value="state:nowhere"`)
	b.sees("/messages?cursor=x", "the cursor is not one of ours")
	b.language = "zh-CN"
	b.sees("/messages?q=colour:red", "无法识别该搜索条件：", "colour: is not a field of a query")
}

func TestMessagesPageEscapesWhatMailSays(t *testing.T) {
	d := newDash(t)
	for i, bad := range payloads {
		d.accept(fmt.Sprintf("%q@corp.example", bad), bad, fmt.Sprintf("%q@example.net", payloads[(i+1)%len(payloads)]))
	}
	for _, path := range []string{"/messages", "/messages?q=" + linkQuery(payloads[0]), "/messages?q=" + linkQuery(`from:"`+payloads[1]+`"`), "/messages?q=state:" + linkQuery(payloads[1])} {
		_, page := d.as("admin").get(path)
		harmless(t, page)
		if !strings.Contains(page, "alert(1)") {
			t.Errorf("%s shows none of it", path)
		}
	}
}

func linkQuery(q string) string { return strings.TrimPrefix(linkTo("", "q", q), "?q=") }

func TestMessagesPageByPage(t *testing.T) {
	d := newDash(t)
	for i := range listSize + 3 {
		d.accept("alice@corp.example", fmt.Sprintf("Number %03d.", i), "bob@example.net")
	}
	b := d.as("auditor")
	_, first := b.get("/messages?q=from:alice")
	if n := strings.Count(first, `class="subject"`); n != listSize || strings.Contains(first, "Newest") {
		t.Errorf("%d rows on the first page", n)
	}
	_, rest, ok := strings.Cut(first, `rel="next" href="`)
	if !ok {
		t.Fatal("no link to the next page")
	}
	next, _, _ := strings.Cut(rest, `"`)
	_, second := b.get(strings.ReplaceAll(next, "&amp;", "&"))
	if n := strings.Count(second, `class="subject"`); n != 3 || strings.Contains(second, `rel="next"`) || !strings.Contains(second, "Newest") || !strings.Contains(second, "Number 002.") {
		t.Errorf("%d rows on the second page", n)
	}
}

func TestFilterBecomesAQueryAndBack(t *testing.T) {
	for name, tt := range map[string]struct {
		query string
		want  map[string]string
		words string
		again string
	}{
		"nothing":       {"", map[string]string{}, "", ""},
		"words":         {"会议 invoice", map[string]string{}, "会议 invoice", "会议 invoice"},
		"all fields":    {`FROM:alice to:@b.example subject:"a b" state:held after:24h before:2026-11-21 id:<m@x> queue:4F rest`, map[string]string{"from": "alice", "to": "@b.example", "subject": "a b", "state": "held", "after": "24h", "before": "2026-11-21", "id": "<m@x>", "queue": "4F"}, "rest", `from:alice to:@b.example subject:"a b" state:held after:24h before:2026-11-21 id:<m@x> queue:4F rest`},
		"a second one":  {"to:a to:b", map[string]string{"to": "a"}, "to:b", "to:a to:b"},
		"no field":      {"colour:red from:", map[string]string{}, "colour:red from:", "colour:red from:"},
		"an open quote": {`subject:"a b`, map[string]string{"subject": "a b"}, "", `subject:"a b"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := parseFilter(tt.query)
			if fmt.Sprint(f.Fields) != fmt.Sprint(tt.want) || f.Words != tt.words {
				t.Errorf("%+v", f)
			}
			if got := f.query(); got != tt.again {
				t.Errorf("again: %q, want %q", got, tt.again)
			}
		})
	}
}

func TestFilterFormLeadsToTheQuery(t *testing.T) {
	d := newDash(t)
	b := d.as("auditor")
	for form, want := range map[string]string{
		"?from=alice&subject=a+b%22c&words=x":      `from:alice subject:&#34;a bc&#34; x`,
		"?span=24h&after=2026-11-01":               `after:24h`,        // was a day
		"?span=24h&after=2026-11-01&was=after:24h": `after:2026-11-01`, // was a span
		"?span=7d": `after:7d`,
		"?state=held&to=bob%40example.net&id=<m%40x>&queue=4F": `to:bob@example.net state:held id:&lt;m@x&gt; queue:4F`,
	} {
		b.sees("/messages/filter"+form, `name="q" value="`+want+`"`)
	}
}

func TestMessagesOfAnAuditorHaveNoActs(t *testing.T) {
	d := newDash(t)
	id := d.accept("alice@corp.example", "Report", "bob@example.net")
	for _, path := range []string{"/messages", "/messages/" + id} {
		_, page := d.as("auditor").get(path)
		for _, act := range []string{`name="act"`, "Release now", `action="/messages/` + id, "/recalls/new", "/source", `type="checkbox"`} {
			if strings.Contains(page, act) {
				t.Errorf("%s of an auditor has %s", path, act)
			}
		}
	}
	before := len(d.timeline(id))
	b := d.as("auditor")
	for _, act := range []string{"release", "hold", "cancel", "resend", "approve"} {
		b.language = "en"
		_, page := b.post("/messages/"+id+"/"+act, "/messages/"+id, "for", "1h", "reason", "x")
		if !strings.Contains(page, "your role does not allow this") {
			t.Errorf("%s: %s", act, inner(page))
		}
		b.language = "zh-CN"
		if _, page = b.post("/messages/act", "/messages", "act", act, "id", id, "for", "1h"); !strings.Contains(page, "当前角色无此权限") && !strings.Contains(page, "请选择要执行的操作") {
			t.Errorf("%s of many: %s", act, inner(page))
		}
	}
	if after := len(d.timeline(id)); after != before {
		t.Errorf("an auditor has changed the message: %d events, %d before", after, before)
	}
}

func (d *dash) timeline(id string) []TimelineEntry {
	return get[MessageDetail](d.rig, "/api/v1/messages/"+id).Timeline
}

func TestBulkActs(t *testing.T) {
	for name, tt := range map[string]struct {
		fields   []string
		kind     policy.Kind
		said, zh string
	}{
		"release": {[]string{"act", "release"}, policy.Released, "Released: 2.", "已放行 2 封。"},
		"hold":    {[]string{"act", "hold", "for", "4h"}, policy.HoldChanged, "Held longer: 2.", "已继续暂缓 2 封。"},
		"cancel":  {[]string{"act", "cancel", "reason", "wrong price"}, policy.Canceled, "Taken back before they left: 2.", "已取消发送 2 封。"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			for lang, said := range map[string]string{"en": tt.said, "zh-CN": tt.zh} {
				one, two := d.accept("alice@corp.example", "One", "bob@example.net"), d.accept("alice@corp.example", "Two", "bob@example.net")
				b := d.as("operator")
				b.language = lang
				_, page := b.post("/messages/act", "/messages?q=from:alice", append(tt.fields, "id", one, "id", two, "id", two)...)
				if !strings.Contains(page, `class="flash good"`) || !strings.Contains(page, said) || !strings.Contains(page, `value="from:alice"`) {
					t.Errorf("page after it: %s", inner(page))
				}
				for _, id := range []string{one, two} {
					line := d.timeline(id)
					last := line[len(line)-1]
					if last.Kind != tt.kind || last.Actor != "user:operator" || name == "cancel" && last.Reason != "wrong price" || name == "hold" && !last.Until.Equal(d.now.Add(4*60*60e9+margin)) {
						t.Errorf("%+v", last)
					}
				}
			}
		})
	}
}

func TestBulkActsThatPartlyFail(t *testing.T) {
	d := newDash(t)
	one, gone := d.accept("alice@corp.example", "One", "bob@example.net"), d.accept("alice@corp.example", "Two", "bob@example.net")
	d.observe(gone, policy.Event{Kind: policy.RelayedRemote})
	b := d.as("operator")
	b.language = "zh-CN"
	_, page := b.post("/messages/act", "/messages", "act", "release", "id", one, "id", gone, "id", stranger)
	for _, text := range []string{`class="flash bad"`, "已放行 1 封。", "未成功 2 封", "邮件已不在暂缓中", "邮件不存在，或已超过保存期"} {
		if !strings.Contains(page, text) {
			t.Errorf("no %q: %s", text, inner(page))
		}
	}
	if got := d.audited("release"); len(got) != 1 || got[0].Detail != "done: 1; failed: 2; messages: "+one {
		t.Errorf("the audit log has what was not done: %+v", got)
	}
}

func TestBulkActsAreRefused(t *testing.T) {
	d := newDash(t)
	id := d.accept("alice@corp.example", "One", "bob@example.net")
	many := []string{"act", "release"}
	for i := range maxPicked + 1 {
		many = append(many, "id", fmt.Sprint(i))
	}
	for name, tt := range map[string]struct {
		fields   []string
		text, zh string
	}{
		"none picked": {[]string{"act", "release"}, "select at least one message", "请至少选择一封邮件"},
		"too many":    {many, "select at most 1000 messages at a time", "单次最多选择 1000 封邮件"},
		"no act":      {[]string{"id", id}, "choose what to do with the messages", "请选择要执行的操作"},
		"a bad time":  {[]string{"act", "hold", "for", "soon", "id", id}, "the time was not understood", "时间格式不正确"},
	} {
		t.Run(name, func(t *testing.T) {
			b := d.as("admin")
			if _, page := b.post("/messages/act", "/messages", tt.fields...); !strings.Contains(page, tt.text) {
				t.Errorf("%s", inner(page))
			}
			b.language = "zh-CN"
			if _, page := b.post("/messages/act", "/messages", tt.fields...); !strings.Contains(page, tt.zh) {
				t.Errorf("%s", inner(page))
			}
		})
	}
}

func TestBulkRecallLeadsToItsPage(t *testing.T) {
	d := newDash(t)
	w := d.as("operator").once(http.MethodPost, "/messages/act", "act=recall&id=B&id=A")
	if to := w.Header().Get("Location"); to != "/recalls/new?message=A&message=B" {
		t.Errorf("leads to %q", to)
	}
}

// once makes a request without following where it leads.
func (b *browser) once(method, path, form string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept-Language", b.language)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func TestExport(t *testing.T) {
	d := newDash(t)
	d.accept("=cmd@corp.example", `=HYPERLINK("https://evil.example";"a,b")`, "bob@example.net", "carol@example.net")
	d.accept("alice@corp.example", "会议\r\n通知", "+bob@example.net")
	b := d.as("auditor")
	b.language = "zh-CN"
	w := b.once(http.MethodGet, "/messages.csv", "")
	if w.Header().Get("Content-Type") != "text/csv; charset=utf-8" || w.Header().Get("Content-Disposition") != `attachment; filename="messages-20261121-103000.csv"` {
		t.Errorf("%v", w.Header())
	}
	text, ok := strings.CutPrefix(w.Body.String(), utf8Mark)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if !ok || err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if rows[0][0] != "接收时间（UTC）" || rows[1][6] != "会议\n通知" || rows[1][4] != "'+bob@example.net" || rows[1][8] != "投递中" {
		t.Errorf("%q", rows[:2])
	}
	if r := rows[2]; r[2] != "'=cmd@corp.example" || r[4] != "bob@example.net, carol@example.net" || r[5] != "2" || r[6] != `'=HYPERLINK("https://evil.example";"a,b")` || r[7] != "held" || r[10] != "2026-11-21T10:31:00Z" {
		t.Errorf("%q", r)
	}
	if w = b.once(http.MethodGet, "/messages.csv?q=from:alice", ""); strings.Contains(w.Body.String(), "=cmd") || !strings.Contains(w.Body.String(), "alice@corp.example") {
		t.Errorf("of one sender: %s", w.Body)
	}
	if w = b.once(http.MethodGet, "/messages.csv?q=state:nowhere", ""); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "is not a state") {
		t.Errorf("%d", w.Code)
	}
	if w = d.as("user").once(http.MethodGet, "/messages.csv", ""); strings.Contains(w.Body.String(), "alice") {
		t.Errorf("a user exports: %d", w.Code)
	}
	if w = d.as("").once(http.MethodGet, "/messages.csv", ""); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/sign-in") {
		t.Errorf("nobody exports: %d", w.Code)
	}
}

func TestExportGoesOnFromPageToPageUpToItsBound(t *testing.T) {
	d := newDash(t)
	for i := range 7 {
		d.accept("alice@corp.example", fmt.Sprint("Number ", i), "bob@example.net")
	}
	for name, tt := range map[string]struct {
		most, rows int
		more       bool
	}{"all": {100, 7, false}, "exactly all": {8, 7, false}, "bounded": {4, 4, true}} {
		t.Run(name, func(t *testing.T) {
			b := d.as("admin")
			r := httptest.NewRequest(http.MethodGet, "/messages.csv", nil)
			r.AddCookie(&http.Cookie{Name: "sendgate_session", Value: b.cookies["sendgate_session"]})
			w := httptest.NewRecorder()
			v := d.server.visitOf(w, r)
			v.lang = "en"
			in := &listMessagesInput{Limit: 2}
			first, err := call[listMessagesInput, listMessagesOutput](d.server, v, "list-messages", in)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.server.writeExport(v, in, first, tt.most); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(w.Body.String()), "\r\n")
			more := strings.HasPrefix(lines[len(lines)-1], fmt.Sprintf("There are more: an export ends after %d messages.", tt.most))
			if n := strings.Count(w.Body.String(), "Number "); n != tt.rows || more != tt.more {
				t.Errorf("%d rows, more %v:\n%s", n, more, w.Body)
			}
		})
	}
}

func TestHarmlessCell(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "Report": "Report", "a=1": "a=1", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "|x": "'|x", "%x": "'%x",
		"  =1": "'  =1", "\t=1": "'\t=1", "\rx": "'\rx", "\nx": "'\nx", "\u3000=1": "'\u3000=1", "＝1": "'＝1", "＠x": "'＠x", "\x00=1": "'=1",
	} {
		if got := harmlessCell(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestListNamesTheFirstRecipients(t *testing.T) {
	d := newDash(t)
	var many []string
	for i := range fewRows + 1 {
		many = append(many, fmt.Sprintf("u%d@example.net", i))
	}
	d.accept("alice@corp.example", "Many", many...)
	d.accept("alice@corp.example", "Four", many[:4]...)
	list := get[MessageList](d.rig, "/api/v1/messages").Messages
	if !slices.Equal(list[0].To, many[:3]) || list[0].Recipients != 4 || list[1].To != nil || list[1].Recipients != fewRows+1 {
		t.Errorf("%v of %d, %v of %d", list[0].To, list[0].Recipients, list[1].To, list[1].Recipients)
	}
	d.as("admin").sees("/messages", "51 recipients", "&#43;3")
}
