package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"
	"github.com/oklog/ulid/v2"

	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// notice is one with everything in it, and with foreign text that tries to be more than that.
func notice() webhook.Notice {
	return webhook.Notice{
		Kind: "limit_exceeded", Severity: webhook.Warning, IncidentID: "01KJQW3JW01NC1DENT00000000",
		Title: policy.Label{EN: "Sending limit reached: ann@corp.example", ZH: "已达发送上限：ann@corp.example"},
		Lines: []policy.Label{
			{EN: "3 messages held so far.", ZH: "3 封邮件已暂缓。"},
			{EN: "298 of 300 external recipients per hour used, 12 asked; next free 14:32", ZH: "每小时上限 300 个外部收件人，已用 298，本次 12；14:32 起可发送"},
		},
		Facts: []webhook.Fact{
			{Name: policy.Label{EN: "Used", ZH: "已用"}, Value: "298 / 300"},
			{Name: policy.Label{EN: "Subject", ZH: "邮件主题"}, Value: "报价 <b>\r\nBcc: eve@evil.example\u202e"},
		},
		Link: "https://gate.corp.example/alerts?id=1&open=1", Time: accepted,
	}
}

func letter(change func(*Letter)) *Letter {
	l := &Letter{
		ID: ulid.MustParse("01KJQW5E00N0T1CE0000000000"), Hostname: "mail-gw.corp.example", From: `"sendgate" <postmaster@mail-gw.corp.example>`,
		To: []policy.Address{"ann@corp.example"}, Language: webhook.Both, Time: accepted, Notice: notice(),
	}
	if change != nil {
		change(l)
	}
	return l
}

func TestLetters(t *testing.T) {
	for name, change := range map[string]func(*Letter){
		"notice-both":   nil,
		"notice-zh":     func(l *Letter) { l.Language = webhook.Chinese },
		"notice-en":     func(l *Letter) { l.Language = webhook.English },
		"notice-update": func(l *Letter) { l.Notice.Update, l.Notice.Link, l.Notice.Facts = true, "javascript:alert(1)", nil },
		"notice-admins": func(l *Letter) { l.To = append(l.To, "李四@例子.example", "ops@corp.example") },
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			if err := letter(change).draft().compose(&text); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".eml")
			if *update {
				if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || !bytes.Equal(want, text.Bytes()) {
				t.Errorf("differs from %s (error %v):\n%s", golden, err, text.Bytes())
			}
			for line := range strings.SplitSeq(strings.TrimSuffix(text.String(), "\r\n"), "\r\n") {
				if len(line) > 78 || strings.ContainsAny(line, "\r\n") {
					t.Errorf("line %q", line)
				}
			}
		})
	}
}

// body reads a letter back: its header, and its parts by their type.
func body(t *testing.T, text io.Reader) (h mail.Header, parts map[string]string) {
	t.Helper()
	m, err := message.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	mp := m.MultipartReader()
	if kind, _, _ := m.Header.ContentType(); mp == nil || kind != "multipart/alternative" {
		t.Fatalf("it is %s", kind)
	}
	parts = map[string]string{}
	for {
		p, err := mp.NextPart()
		if errors.Is(err, io.EOF) {
			return mail.Header{Header: m.Header}, parts
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := p.Header.ContentType()
		content, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		parts[kind] = string(content)
	}
}

func TestALetterCanBeReadBack(t *testing.T) {
	var text bytes.Buffer
	if err := letter(nil).draft().compose(&text); err != nil {
		t.Fatal(err)
	}
	h, parts := body(t, &text)
	subject, err := h.Subject()
	if want := "[sendgate] 已达发送上限：ann@corp.example / Sending limit reached: ann@corp.example"; err != nil || subject != want {
		t.Errorf("subject %q, error %v", subject, err)
	}
	for name, want := range map[string]string{
		"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Precedence": "bulk", "Bcc": "", "Content-Language": "zh-CN, en",
		"References": "<01KJQW3JW01NC1DENT00000000@mail-gw.corp.example>", "Message-Id": "<01KJQW5E00N0T1CE0000000000@mail-gw.corp.example>",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for kind, subject := range map[string]string{"text/plain": "Subject: 报价 <b> Bcc: eve@evil.example\r\n", "text/html": "<td>报价 &lt;b&gt; Bcc: eve@evil.example</td>"} {
		p := parts[kind]
		zh, en := strings.Index(p, "3 封邮件已暂缓。"), strings.Index(p, "3 messages held so far.")
		if zh < 0 || en < zh || !strings.Contains(p, subject) {
			t.Errorf("%s:\n%s", kind, p)
		}
	}
	if !strings.Contains(parts["text/html"], `<a href="https://gate.corp.example/alerts?id=1&amp;open=1">`) {
		t.Errorf("no link in\n%s", parts["text/html"])
	}
}

func TestANoticeIsAReleasedMessageFromTheNullSender(t *testing.T) {
	st := openStore(t)
	m := NewMailer("mail-gw.corp.example", DefaultConfig(), st, func() time.Time { return accepted })
	id := st.NewID()
	to := []policy.Address{"ops@corp.example", "", "postmaster", "OPS@corp.example", "ann@corp.example"}
	for range 2 { // again with the same id does nothing
		if err := m.Mail(t.Context(), id, to, notice()); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := st.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	e := stored.Envelope
	if e.Sender != "" || e.Front != policy.Internal || e.Direction != policy.Outbound || e.Identity != "sendgate" || e.UTF8 || e.Body != "" {
		t.Errorf("envelope %+v", e)
	}
	if e.From != `"sendgate" <postmaster@mail-gw.corp.example>` || stored.States[policy.StateQueued] != 2 || !stored.Due.Equal(accepted) || stored.BodySize != e.Size {
		t.Errorf("from %q, states %v, due %v, %d of %d octets", e.From, stored.States, stored.Due, stored.BodySize, e.Size)
	}
	rcpts, err := st.Recipients(id)
	if err != nil || rcpts[0].Address != "ops@corp.example" || rcpts[1].Address != "ann@corp.example" || rcpts[0].Notify[0] != "NEVER" {
		t.Errorf("recipients %v, error %v", rcpts, err)
	}
	text, err := st.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	if _, parts := body(t, text); len(parts) != 2 {
		t.Errorf("parts %v", parts)
	}
	// The rules let it pass, and nobody is told what becomes of it.
	v := policy.NewRules(policy.DefaultConfig(), &policy.Directory{}).Decide(t.Context(), policy.Submission{Envelope: &e})
	if v.Action != policy.Pass {
		t.Errorf("verdict %+v", v)
	}
	report, _, err := New("mail-gw.corp.example", time.Hour, st, time.Now).Failed(t.Context(), stored, rcpts)
	if err != nil || report != (policy.ID{}) {
		t.Errorf("report %v, error %v", report, err)
	}
}

func TestNoticesOfAConfiguredAuthor(t *testing.T) {
	st := openStore(t)
	c := DefaultConfig()
	c.From, c.Language = "邮件网关 <gate@corp.example>", webhook.Chinese
	id := st.NewID()
	if err := NewMailer("gw", c, st, time.Now).Mail(t.Context(), id, []policy.Address{"李四@例子.example"}, notice()); err != nil {
		t.Fatal(err)
	}
	m, err := st.Message(id)
	if err != nil || !m.Envelope.UTF8 || m.Envelope.Body != "8BITMIME" {
		t.Fatalf("%+v, error %v", m.Envelope, err)
	}
	from, err := new(mime.WordDecoder).DecodeHeader(m.Envelope.From)
	if err != nil || from != "邮件网关 <gate@corp.example>" {
		t.Errorf("from %q, error %v", from, err)
	}
}

func TestNobodyIsWrittenTo(t *testing.T) {
	m := NewMailer("gw", DefaultConfig(), &deadJournal{openStore(t), errors.New("was asked")}, time.Now)
	for _, to := range [][]policy.Address{nil, {""}, {"postmaster"}} {
		if err := m.Mail(t.Context(), policy.ID{1}, to, notice()); err != nil {
			t.Errorf("%q: %v", to, err)
		}
	}
}

func TestANoticeThatCannotBeWrittenIsSaid(t *testing.T) {
	m := NewMailer("gw", DefaultConfig(), &deadJournal{openStore(t), store.ErrFull}, time.Now)
	err := m.Mail(context.Background(), policy.ID{1}, []policy.Address{"ops@corp.example"}, notice())
	if !errors.Is(err, store.ErrFull) || err.Error() != "commit notice: the disk is nearly full" {
		t.Errorf("error %v", err)
	}
}

func TestConfigFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"the default is valid": {func(*Config) {}, ""},
		"an author with a name is": {func(c *Config) {
			c.From, c.Admins = "网关 <gate@corp.example>", []string{"ops@corp.example", "pager@elsewhere.example"}
		}, ""},
		"no author":      {func(c *Config) { c.From = "the gateway" }, "from: the gateway: is not an author: write Name <address@domain>, the address in ASCII"},
		"two lines":      {func(c *Config) { c.From = "a@b\r\nBcc: c@d" }, "from: a@b\r\nBcc: c@d: is not an author: write Name <address@domain>, the address in ASCII"},
		"no address":     {func(c *Config) { c.Admins = []string{"ops@corp.example", "ops"} }, "admins[1]: ops: is not an address: write name@domain"},
		"many":           {func(c *Config) { c.Admins = make([]string, 51); fill(c.Admins) }, "admins: 51: at most 50; a mailing list can have more"},
		"no language":    {func(c *Config) { c.Language = "de" }, "language: de: must be one of zh, en, both"},
		"too loud":       {func(c *Config) { c.Quiet = time.Second }, "quiet: 1s: must be between 1m and 24h"},
		"never closes":   {func(c *Config) { c.CloseAfter = 200 * time.Hour }, "close_after: 200h0m0s: must be between 1m and 168h"},
		"no notices":     {func(c *Config) { c.HourlyMax = 0 }, "hourly_max: 0: must be between 4 and 1000"},
		"a hook's fault": {func(c *Config) { c.Webhooks = []webhook.Config{webhook.DefaultConfig()} }, "webhooks[0].name: a hook needs a name: it is what people see in logs\nwebhooks[0].url: say where to post: url, or url_file with a file that holds it"},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			got := ""
			if err := c.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q", got)
			}
		})
	}
	c := Config{Admins: []string{"ops@corp.example", "dba@corp.example"}}
	if got := c.Addresses(); len(got) != 2 || got[1] != "dba@corp.example" {
		t.Errorf("addresses %v", got)
	}
}

func fill(list []string) {
	for i := range list {
		list[i] = "a@b.example"
	}
}

// Whatever is in a notice, it stays within its part.
func FuzzLetter(f *testing.F) {
	f.Add("limit reached", "12 held", "报价")
	f.Add("a\r\nBcc: eve@evil.example", "\r\n--=_01KJQW5E00N0T1CE0000000000--\r\n", "<script>alert(1)</script>\x00\xff")
	f.Add(strings.Repeat("长", 200000), ".\r\n.", "\u202egnp.exe")
	f.Fuzz(func(t *testing.T, title, line, value string) {
		l := letter(func(l *Letter) {
			l.Notice.Title, l.Notice.Link = policy.Label{EN: title, ZH: title}, value
			l.Notice.Lines = []policy.Label{{EN: line, ZH: line}}
			l.Notice.Facts = []webhook.Fact{{Name: policy.Label{EN: "Subject", ZH: "主题"}, Value: value}}
		})
		var text bytes.Buffer
		if err := l.draft().compose(&text); err != nil {
			t.Fatal(err)
		}
		if text.Len() > 120_000 {
			t.Fatalf("%d octets", text.Len())
		}
		for line := range bytes.SplitSeq(text.Bytes(), []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
		h, parts := body(t, &text)
		if len(parts) != 2 || h.Get("Bcc") != "" || h.Len() != 12 {
			t.Fatalf("%d parts, %d fields", len(parts), h.Len())
		}
		if strings.Contains(parts["text/html"], "<script") || strings.Count(parts["text/plain"], "\r\n  Subject: ") != 1 {
			t.Fatalf("parts %q", parts)
		}
	})
}
