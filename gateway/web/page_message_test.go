package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

func TestMessagePageInBothLanguages(t *testing.T) {
	d := newDash(t)
	id := d.accept("alice@corp.example", "Report", "bob@example.net", "team@corp.example")
	d.observe(id, policy.Event{Kind: policy.Deferred, Recipients: []int{0}, Reply: "451 4.7.1 later", Evidence: "postfix/smtp[7]: status=deferred", QueueID: "4F2A", Upstream: "mx1 192.0.2.9:25", NextTry: d.now.Add(time.Hour)})
	d.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{1}, Member: "dave@corp.example"})
	for lang, texts := range map[string][]string{
		"en":    {"Delayed, tried again", "Delivered to mailbox", "Delivering (1/2)", "group of 1", "Counted for", "Why", "Live"},
		"zh-CN": {"投递延迟，重试中", "已投递到对方邮箱", "投递中 (1/2)", "群组，1 位成员", "计入账号", "判定依据", "时间线", "实时"},
	} {
		b := d.as("operator")
		b.language = lang
		b.sees("/messages/"+id, append(texts, "451 4.7.1 later", "postfix/smtp[7]: status=deferred", "4F2A", "mx1 192.0.2.9:25", `class="member"`, "dave@corp.example",
			"192.0.2.1", id, `sse-connect="/messages/`+id+`/live"`, `href="/recalls/new?message=`+id+`"`, "&lt;m@corp.example&gt;")...)
	}
	for path, status := range map[string]int{"/messages/" + stranger: 404, "/messages/x": 404} {
		b := d.as("admin")
		b.language = "zh-CN"
		if got, page := b.get(path); got != status || !strings.Contains(page, "邮件不存在，或已超过保存期") {
			t.Errorf("%s: %d", path, got)
		}
	}
	if status, page := d.as("user").get("/messages/" + id); status != http.StatusNotFound || strings.Contains(page, "Report") {
		t.Errorf("a user sees it: %d", status)
	}
}

func TestOneActStandsOut(t *testing.T) {
	for name, tt := range map[string]struct {
		event policy.Event
		want  string
	}{
		"held":      {policy.Event{Kind: policy.Notified}, `action="/messages/ID/release"><button class="primary"`},
		"failed":    {policy.Event{Kind: policy.Bounced}, `action="/messages/ID/resend"><button class="primary"`},
		"delivered": {policy.Event{Kind: policy.DeliveredMailbox}, `class="button primary" href="/recalls/new?message=ID"`},
		"recalled":  {policy.Event{Kind: policy.RecallOutcome, Reason: string(policy.RemovedFromMailbox), Subject: stranger}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			id := d.accept("alice@corp.example", "Report", "bob@example.net")
			d.observe(id, tt.event)
			_, page := d.as("operator").get("/messages/" + id)
			_, state, _ := strings.Cut(page, `sse-swap="message_state"`)
			state, _, _ = strings.Cut(state, `class="columns`)
			want := strings.ReplaceAll(tt.want, "ID", id)
			if n := strings.Count(state, "primary"); n != min(1, len(want)) || !strings.Contains(state, want) {
				t.Errorf("%d acts stand out:\n%s", n, state)
			}
		})
	}
}

// waiting commits a message that waits for approval.
func (d *dash) waiting() string {
	id := d.accept("alice@corp.example", "Report", "bob@example.net")
	m, err := d.store.Message(mustID(d.t, id))
	if err != nil {
		d.t.Fatal(err)
	}
	d.commit(store.Change{Message: m.ID, Revision: m.Revision, Events: []policy.Event{{Kind: policy.ApprovalRequested, Time: d.now, Rule: "many", Until: d.now.Add(time.Hour)}}})
	return id
}

func TestMessageActs(t *testing.T) {
	for name, tt := range map[string]struct {
		act      string
		fields   []string
		before   *policy.Event
		waits    bool
		kind     policy.Kind
		said, zh string
	}{
		"release": {"release", nil, nil, false, policy.Released, "The message is on its way.", "邮件已放行。"},
		"hold":    {"hold", []string{"for", "10m"}, nil, false, policy.HoldChanged, "The message is held longer.", "已继续暂缓该邮件。"},
		"cancel":  {"cancel", []string{"reason", "oops"}, nil, false, policy.Canceled, "What had not left yet was taken back.", "尚未发出的部分已取消发送。"},
		"resend":  {"resend", nil, &policy.Event{Kind: policy.Bounced}, false, policy.Resent, "The message is sent again.", "邮件已重新发送。"},
		"approve": {"approve", nil, nil, true, policy.Approved, "Approved: the message is on its way.", "审批已通过，邮件已放行。"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDash(t)
			for lang, said := range map[string]string{"en": tt.said, "zh-CN": tt.zh} {
				id := d.waitingOrHeld(tt.waits)
				if tt.before != nil {
					d.observe(id, *tt.before)
				}
				b := d.as("operator")
				b.language = lang
				_, page := b.post("/messages/"+id+"/"+tt.act, "/messages", tt.fields...)
				if !strings.Contains(page, said) || !strings.Contains(page, "<h1><bdi>Report") {
					t.Errorf("the page after it: %s", inner(page))
				}
				line := d.timeline(id)
				if last := line[len(line)-1]; last.Kind != tt.kind || last.Actor != "user:operator" {
					t.Errorf("%+v", last)
				}
			}
		})
	}
}

func (d *dash) waitingOrHeld(waits bool) string {
	if waits {
		return d.waiting()
	}
	return d.accept("alice@corp.example", "Report", "bob@example.net")
}

func TestMessageActsAreRefusedInWords(t *testing.T) {
	d := newDash(t)
	id := d.accept("alice@corp.example", "Report", "bob@example.net")
	d.observe(id, policy.Event{Kind: policy.RelayedRemote})
	for act, texts := range map[string][2]string{
		"release": {"the message is not held any more", "邮件已不在暂缓中"},
		"approve": {"the message does not wait for approval", "邮件不在待审批状态"},
		"cancel":  {"nothing could be taken back: it has left already, is being sent just now, or was taken back before", "没有可取消的内容"},
	} {
		b := d.as("operator")
		if _, page := b.post("/messages/"+id+"/"+act, "/messages/"+id, "reason", "oops"); !strings.Contains(page, texts[0]) || !strings.Contains(page, `class="flash bad"`) {
			t.Errorf("%s: %s", act, inner(page))
		}
		b.language = "zh-CN"
		if _, page := b.post("/messages/"+id+"/"+act, "/messages/"+id, "reason", "oops"); !strings.Contains(page, texts[1]) {
			t.Errorf("%s: %s", act, inner(page))
		}
	}
	d.holder.away = true
	for language, want := range map[string]string{"en": "whether the message is taken back is open, and this is not tried again by itself", "zh-CN": "尚不能确定邮件是否已撤回，系统也不会自动重试"} {
		b := d.as("operator")
		b.language = language
		if _, page := b.post("/messages/"+id+"/cancel", "/messages/"+id, "reason", "oops"); !strings.Contains(page, want) {
			t.Errorf("the queue cannot be asked: %s", inner(page))
		}
	}
	d.holder.fail = &Refusal{Code: "unheard_of", Detail: "something new"}
	if _, page := d.as("operator").post("/messages/"+id+"/release", "/messages/"+id); !strings.Contains(page, "something new") {
		t.Errorf("%s", inner(page))
	}
}

func TestMessagePageEscapesWhatMailSays(t *testing.T) {
	for _, bad := range payloads {
		d := newDash(t)
		id := d.store.NewID()
		e := &policy.Envelope{
			Received: d.now, Front: policy.Relay, Sender: policy.Address(`"` + bad + `"@corp.example`), Identity: bad, Login: bad, Size: 1,
			From: bad, Subject: bad, MessageID: "<" + bad + ">", Recipients: []policy.Recipient{{Address: policy.Address(bad + "@example.net"), Original: bad}},
		}
		d.commit(store.Change{Message: id, Envelope: e, Body: d.body(id, "Subject: "+bad+"\r\n\r\n"+bad+"\r\n"), Events: []policy.Event{{Kind: policy.Accepted, Time: d.now, Actor: bad, Findings: []policy.Finding{
			{Rule: bad, Kind: "limit", Key: bad, Limit: 5, Used: 7, Exceeded: true, Decided: true, Detail: policy.Label{EN: bad, ZH: bad}},
		}}}})
		for _, k := range []policy.Kind{policy.Deferred, policy.Bounced, policy.Blocked} {
			d.observe(id.String(), policy.Event{Kind: k, Actor: bad, Rule: bad, Reason: bad, Reply: bad, Evidence: bad, QueueID: bad, Upstream: bad})
		}
		b := d.as("admin")
		for _, path := range []string{"", "/source", "/source?part=body"} {
			status, page := b.get("/messages/" + id.String() + path)
			harmless(t, page)
			if status != 200 {
				t.Errorf("%s: %d", path, status)
			}
		}
	}
}

// An identity may have a slash: the page of its sender is found all the same.
func TestMessagePageLeadsToItsSender(t *testing.T) {
	d := newDash(t)
	id := d.store.NewID()
	d.commit(store.Change{Message: id, Envelope: &policy.Envelope{
		Received: d.now, Front: policy.Relay, Sender: "fax@corp.example", Identity: "fax/2", Client: netip.MustParseAddr("192.0.2.7"), Recipients: []policy.Recipient{{Address: "bob@example.net"}},
	}, Events: []policy.Event{{Kind: policy.Accepted, Time: d.now, Actor: "smtp"}}})
	_, page := d.as("auditor").get("/messages/" + id.String())
	if !strings.Contains(page, `href="/senders/fax%2F2"`) || !strings.Contains(page, `href="/senders/fax%2F2#sign-ins"`) {
		t.Errorf("%s", inner(page))
	}
}

// body writes what the store keeps of a message.
func (d *dash) body(id policy.ID, text string) *store.BodyWriter {
	w := d.store.NewBody(id)
	if _, err := w.Write([]byte(text)); err != nil {
		d.t.Fatal(err)
	}
	return w
}

const letter = "From: Alice <alice@corp.example>\r\nSubject: Report\r\nX-Bell: \a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n5pyI5bqm5oql5ZGK\r\n" +
	"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"plan.pdf\"\r\n\r\nPDF\r\n--b--\r\n"

func (d *dash) letter() string {
	id := d.store.NewID()
	d.commit(store.Change{Message: id, Body: d.body(id, letter), Envelope: &policy.Envelope{
		Received: d.now, Front: policy.Relay, Sender: "alice@corp.example", Identity: "alice", Size: int64(len(letter)), Subject: "Report",
		Recipients: []policy.Recipient{{Address: "bob@example.net"}},
	}, Events: []policy.Event{{Kind: policy.Accepted, Time: d.now, Actor: "smtp"}}})
	return id.String()
}

func TestSourceIsForAdministratorsAndInTheAudit(t *testing.T) {
	d := newDash(t)
	id := d.letter()
	b := d.as("admin")
	b.sees("/messages/"+id, "/messages/"+id+"/source?part=header", "each look is written to the audit log")
	b.sees("/messages/"+id+"/source", "From: Alice &lt;alice@corp.example&gt;\nSubject: Report\nX-Bell: \uFFFD\n", "This look was written to the audit log")
	b.language = "zh-CN"
	b.sees("/messages/"+id+"/source?part=body", "月度报告", "plan.pdf", "application/pdf", "5pyI5bqm5oql5ZGK", "本次查看已记入审计日志")
	looks := d.logs.FilterField(zap.String("verb", "view_source")).All()
	if len(looks) != 2 || looks[0].ContextMap()["actor"] != "user:admin" || looks[0].ContextMap()["id"] != id || looks[0].ContextMap()["part"] != "header" || looks[1].ContextMap()["part"] != "body" {
		t.Errorf("audit: %v", looks)
	}
	for _, role := range []string{"operator", "auditor", "user"} {
		status, page := d.as(role).get("/messages/" + id + "/source")
		if status != http.StatusForbidden || strings.Contains(page, "X-Bell") {
			t.Errorf("%s: %d", role, status)
		}
		if w := d.ask(d.server, "secret-"+role, http.MethodGet, "/api/v1/messages/"+id+"/source", ""); w.Code != http.StatusForbidden {
			t.Errorf("%s over the API: %d", role, w.Code)
		}
	}
	if n := d.logs.FilterField(zap.String("verb", "view_source")).Len(); n != 2 {
		t.Errorf("%d looks in the audit", n)
	}
}

func TestSourceThatIsNotThere(t *testing.T) {
	d := newDash(t)
	milter := d.accept("alice@corp.example", "Report", "bob@example.net")
	if w := d.ask(d.server, "secret-admin", http.MethodGet, "/api/v1/messages/"+milter+"/source", ""); true {
		wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 404, "no_source", errNoSource.Detail)
	}
	b := d.as("admin")
	b.language = "zh-CN"
	if status, page := b.get("/messages/" + milter + "/source"); status != 404 || !strings.Contains(page, "系统没有该邮件的副本") {
		t.Errorf("%d", status)
	}
	for path, code := range map[string]int{stranger: 404, "17": 404} {
		if got := d.do(http.MethodGet, "/api/v1/messages/"+path+"/source", "", nil); got != code {
			t.Errorf("%s: %d", path, got)
		}
	}
	if n := d.logs.FilterField(zap.String("verb", "view_source")).Len(); n != 0 {
		t.Errorf("%d looks in the audit", n)
	}
}

func TestSourceIsWithinTheReachOfDomains(t *testing.T) {
	d := newDash(t)
	if err := d.desk.AddUser("other", password, "admin", []string{"other.example"}); err != nil {
		t.Fatal(err)
	}
	if status, page := d.as("other").get("/messages/" + d.letter() + "/source"); status != http.StatusForbidden || strings.Contains(page, "X-Bell") {
		t.Errorf("%d", status)
	}
}

func TestShownText(t *testing.T) {
	for text, want := range map[string]string{
		"a\r\nb\tc": "a\nb\tc", "\x1b[2J\x00\x7f": "\uFFFD[2J\uFFFD\uFFFD", "\xff\xfea": "\uFFFDa", "月": "月", "a\rb": "a\uFFFDb",
	} {
		if got, cut := shownText([]byte(text)); got != want || cut {
			t.Errorf("%q: %q, %v", text, got, cut)
		}
	}
	if got, cut := shownText([]byte(strings.Repeat("月", maxSource))); len(got) > maxSource+3 || !cut {
		t.Errorf("%d octets, cut %v", len(got), cut)
	}
}

func TestLongMessagePagesAreCut(t *testing.T) {
	d := newDash(t)
	var to []string
	for i := range maxShownRows + 5 {
		to = append(to, "u"+string(rune('a'+i%26))+strings.Repeat("x", i/26)+"@example.net")
	}
	id := d.accept("alice@corp.example", "Report", to...)
	for range maxShownPast {
		d.observe(id, policy.Event{Kind: policy.Notified})
	}
	b := d.as("auditor")
	b.sees("/messages/"+id, "5 more recipients are not shown.", "2 earlier events are not shown.")
	_, page := b.get("/messages/" + id + "?all=1")
	if strings.Contains(page, "not shown") || strings.Contains(page, "sse-connect") || strings.Count(page, "mail-address") != len(to) {
		t.Errorf("not all: %d", strings.Count(page, "mail-address"))
	}
}

func TestSimilarMessagesAreNamed(t *testing.T) {
	d := newDash(t)
	c := d.campaign()
	id := d.campaigns.list[1].ID // the second sample
	d.observe(id.String(), policy.Event{Kind: policy.Blocked, Rule: "similar", Findings: []policy.Finding{
		{Rule: "similar", Kind: policy.FoundSimilar, Key: c.ID.String(), Exceeded: true, Decided: true, Detail: policy.Label{EN: "like 120 others", ZH: "与 120 封相似"}},
		{Rule: "similar", Kind: policy.FoundSimilar, Key: stranger, Detail: policy.Label{EN: "x", ZH: "x"}},
	}})
	b := d.as("auditor")
	b.sees("/messages/"+id.String(), "like 120 others", "/campaigns/"+c.ID.String(), "Special offer", "75 % alike", "120 messages from 2 senders, 110 different recipients in 24 hours", "decided")
	b.language = "zh-CN"
	b.sees("/messages/"+id.String(), "与 120 封相似", "相似度 75%", "2 位发件人共 120 封", "已触发")
}

// What changes is sent, and nothing else.
func TestMessagePageIsLive(t *testing.T) {
	d := newDash(t)
	id := d.accept("alice@corp.example", "Report", "bob@example.net")
	ts := httptest.NewServer(d.handler)
	defer ts.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.URL+"/messages/"+id+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "sendgate_session", Value: d.as("operator").cookies["sendgate_session"]})
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	seen := ""
	buffer := make([]byte, 64<<10)
	until := func(text string) {
		t.Helper()
		for !strings.Contains(seen, text) {
			n, err := res.Body.Read(buffer)
			if err != nil {
				t.Fatalf("no %q: %v\n%s", text, err, seen)
			}
			seen += string(buffer[:n])
		}
	}
	until("event: message_timeline")
	until("Release now")
	seen = ""
	d.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Evidence: "250 saved"})
	until("250 saved")
	if strings.Contains(seen, "Release now") || !strings.Contains(seen, "Delivered to mailbox") {
		t.Errorf("after the delivery: %s", seen)
	}
}
