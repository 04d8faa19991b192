package notify

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
)

var (
	recalledA = ulid.MustParse("01KJQW3JW0AAAAAAAAAAAAAAAA")
	recalledB = ulid.MustParse("01KJQW3JW0BBBBBBBBBBBBBBBB")
)

// recallReport is one with everything in it, and with foreign text that tries to be more than that.
func recallReport(change func(*RecallReport)) *RecallReport {
	code := func(m policy.ID, i int, a, group policy.Address, c policy.RecallCode) policy.RecallLine {
		return policy.RecallLine{Message: m, Index: i, Address: a, Group: group, Code: c, Text: c.Label(), Detail: "INBOX/机密 <b>", Time: accepted}
	}
	rep := &policy.RecallReport{
		ID: ulid.MustParse("01KJQW5E00RECA110000000000"), Overall: policy.RecallPartial, Ended: accepted,
		Request: policy.RecallRequest{Messages: []policy.ID{recalledA, recalledB}, UnreadOnly: true},
		Missing: []string{"nobody@corp.example"}, Related: []policy.RecallRelated{{Subject: "Re: secret"}},
		Lines: []policy.RecallLine{
			code(recalledA, 0, "bob@corp.example", "", policy.RemovedFromMailbox),
			code(recalledA, 1, "carol@corp.example", "", policy.AlreadyRead),
			code(recalledA, 2, "dave@remote.example", "", policy.ExternalRecipient),
			code(recalledA, 4, "erin@corp.example", "all@corp.example", policy.AlreadyRead),
			code(recalledA, 5, "frank@corp.example", "all@corp.example", policy.GroupMemberBlocked),
			code(recalledB, 0, "李四@例子.example", "", policy.Retrying),
		},
		Groups: []policy.RecallGroup{{
			Message: recalledA, Address: "all@corp.example", Counts: policy.RecallCounts{Fail: 2}, BlockedBy: 1, Blockers: []policy.Address{"erin@corp.example"},
		}},
	}
	for i := range rep.Lines {
		rep.Counts.Add(rep.Lines[i].Code)
	}
	r := &RecallReport{
		Report: rep, Link: "https://mail.corp.example/s/abc",
		Messages: []RecalledMessage{
			{recalledA, "报价 <script>alert(1)</script>\r\nBcc: eve@evil.example\u202e", accepted.Add(-time.Hour)},
			{recalledB, "Figures", accepted.Add(-2 * time.Hour)},
		},
	}
	if change != nil {
		change(r)
	}
	return r
}

func recallDraft(r *RecallReport, language string) *draft {
	return r.draft(ulid.MustParse("01KJQW5E00N0T1CE0000000000"), "mail-gw.corp.example", `"sendgate" <postmaster@mail-gw.corp.example>`,
		language, []policy.Address{"ann@corp.example"}, accepted)
}

func TestRecallReports(t *testing.T) {
	for name, c := range map[string]struct {
		language string
		change   func(*RecallReport)
	}{
		"recall-both":      {webhook.Both, nil},
		"recall-zh":        {webhook.Chinese, nil},
		"recall-admin-en":  {webhook.English, func(r *RecallReport) { r.Names = true }},
		"recall-corrected": {webhook.Both, func(r *RecallReport) { r.Report.Corrected, r.Link = true, "javascript:alert(1)" }},
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			if err := recallDraft(recallReport(c.change), c.language).compose(&text); err != nil {
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

func TestSubjectsOfRecallReports(t *testing.T) {
	for outcome, c := range map[string]struct {
		language, want string
		change         func(*RecallReport)
	}{
		"both":      {webhook.Both, "[撤回报告] / [Recall report] 已撤回 1/6 / 1 of 6 taken back: Figures", nil},
		"Chinese":   {webhook.Chinese, "[撤回报告] 已撤回 1/6: Figures", nil},
		"English":   {webhook.English, "[Recall report] 1 of 6 taken back: Figures", nil},
		"corrected": {webhook.English, "[Recall report, corrected] 1 of 6 taken back: Figures", func(r *RecallReport) { r.Report.Corrected = true }},
		"all":       {webhook.Both, "[撤回报告] / [Recall report] 全部撤回成功 / all taken back: Figures", func(r *RecallReport) { r.Report.Overall = policy.RecallAllSuccess }},
		"none":      {webhook.English, "[Recall report] nothing could be taken back: Figures", func(r *RecallReport) { r.Report.Overall = policy.RecallAllFailed }},
		"rejected":  {webhook.English, "[Recall report] not approved, nothing was done: Figures", func(r *RecallReport) { r.Report.Overall = policy.RecallRejected }},
		"cancelled": {webhook.English, "[Recall report] cancelled; 1 of 6 taken back: Figures", func(r *RecallReport) { r.Report.Overall = policy.RecallCancelled }},
		"several":   {webhook.English, "[Recall report] 1 of 6 taken back: 报价 (+1)", func(r *RecallReport) { r.Messages = append([]RecalledMessage{{Subject: "报价"}}, r.Messages...) }},
		"no trace":  {webhook.English, "[Recall report] 1 of 6 taken back", func(r *RecallReport) { r.Messages = nil }},
	} {
		t.Run(outcome, func(t *testing.T) {
			r := recallReport(func(r *RecallReport) { r.Messages = r.Messages[1:] })
			if c.change != nil {
				c.change(r)
			}
			d := recallDraft(r, c.language)
			var text bytes.Buffer
			if err := d.compose(&text); err != nil {
				t.Fatal(err)
			}
			h, _ := body(t, &text)
			subject, err := h.Subject()
			if err != nil || subject != c.want || d.subject() != c.want {
				t.Errorf("%q, %q, %v", subject, d.subject(), err)
			}
			if h.Get("Auto-Submitted") != "auto-generated" || h.Get("References") != "<01KJQW5E00RECA110000000000@mail-gw.corp.example>" {
				t.Errorf("%+v", h)
			}
		})
	}
}

func TestOrdinarySendersDoNotLearnWhoHasRead(t *testing.T) {
	for kind := range map[string]bool{"text/plain": true, "text/html": true} {
		for _, names := range []bool{false, true} {
			var text bytes.Buffer
			if err := recallDraft(recallReport(func(r *RecallReport) { r.Names = names }), webhook.Both).compose(&text); err != nil {
				t.Fatal(err)
			}
			_, parts := body(t, &text)
			for _, s := range []string{"erin@corp.example", "frank@corp.example", "INBOX"} {
				if strings.Contains(parts[kind], s) != names {
					t.Errorf("%s, names %v: %s", kind, names, s)
				}
			}
			for _, s := range []string{
				"1 of them kept it from being taken back", "因 1 名成员不满足撤回条件而未撤回", "bob@corp.example", "dave@remote.example",
				"taken back from 0 of 2 members (0 %)", "Not a recipient of the messages: nobody@corp.example", "What had been read was left alone.",
				"A recall does not include them.", "https://mail.corp.example/s/abc",
			} {
				if !strings.Contains(parts[kind], s) {
					t.Errorf("%s, names %v: no %q", kind, names, s)
				}
			}
			if strings.Contains(parts[kind], "<script") && kind == "text/html" || strings.Contains(parts[kind], "\u202e") {
				t.Errorf("%s is not clean", kind)
			}
		}
	}
}

func TestLongRecallReportsAreCut(t *testing.T) {
	r := recallReport(func(r *RecallReport) {
		line := r.Report.Lines[0]
		for range maxRecallRows + 10 {
			r.Report.Lines = append(r.Report.Lines, line)
		}
	})
	var text bytes.Buffer
	if err := recallDraft(r, webhook.English).compose(&text); err != nil {
		t.Fatal(err)
	}
	_, parts := body(t, &text)
	if n := strings.Count(parts["text/html"], "<tr><td>"); n != maxRecallRows {
		t.Errorf("%d rows", n)
	}
	if !strings.Contains(parts["text/html"], "... +14") || !strings.Contains(parts["text/plain"], "... +14") {
		t.Error("it does not say how many are left out")
	}
}

func TestARecallReportIsWrittenOnce(t *testing.T) {
	st := openStore(t)
	c := DefaultConfig()
	m := NewMailer("gw", c, st, time.Now)
	id := st.NewID()
	for range 2 {
		if err := m.Recall(t.Context(), id, []policy.Address{"ann@corp.example", "Ann@CORP.example"}, recallReport(nil)); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := st.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := st.Recipients(id)
	if err != nil || len(rows) != 1 || rows[0].Notify[0] != "NEVER" || stored.Envelope.Sender != "" || stored.Envelope.Front != policy.Internal || stored.State() != policy.StateQueued {
		t.Errorf("%+v, %+v, %v", stored, rows, err)
	}
	if err := m.Recall(t.Context(), st.NewID(), []policy.Address{""}, recallReport(nil)); err != nil {
		t.Error(err)
	}
}

func TestLettersToRecipientsOfARecall(t *testing.T) {
	about := Recalled{Sender: "ann@corp.example", Subject: "Secret plan", Sent: accepted, Now: accepted}
	for outcome, c := range map[string]struct {
		notice  webhook.Notice
		title   string
		subject bool
	}{
		"placeholder": {about.Placeholder(), "A message was taken back by its sender", false},
		"disregard":   {about.Disregard(), "The sender takes a message back", true},
		"correction":  {about.Corrected("The plan, corrected"), "The sender has corrected a message", true},
	} {
		t.Run(outcome, func(t *testing.T) {
			l := letter(func(l *Letter) { l.Notice = c.notice })
			var text bytes.Buffer
			if err := l.draft().compose(&text); err != nil {
				t.Fatal(err)
			}
			_, parts := body(t, &text)
			plain := parts["text/plain"]
			if !strings.Contains(plain, c.title) || !strings.Contains(plain, "ann@corp.example") || strings.Contains(plain, "Secret plan") != c.subject {
				t.Errorf("%s", plain)
			}
			if strings.Contains(plain, "The plan, corrected") != (outcome == "correction") {
				t.Errorf("%s", plain)
			}
		})
	}
}

func TestWhoIsAPerson(t *testing.T) {
	for a, want := range map[policy.Address]bool{
		"ann@corp.example": true, "李四@例子.example": true, "": false, "postmaster": false, "noreply@corp.example": false, "No-Reply+x@corp.example": false,
		"MAILER-DAEMON@corp.example": false, "list-request@corp.example": false, "list-bounces@corp.example": false, "bounce+1@corp.example": false, "norman@corp.example": true,
	} {
		if got := IsPerson(a); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

func TestOneLanguageOfTwo(t *testing.T) {
	for _, c := range []struct{ config, asked, want string }{
		{webhook.Both, "zh-CN", webhook.Chinese}, {webhook.Both, "en", webhook.English}, {webhook.English, "zh-CN", webhook.English}, {webhook.Chinese, "en", webhook.Chinese},
	} {
		config := DefaultConfig()
		config.Language = c.config
		m := NewMailer("gw", config, nil, time.Now)
		if got := m.In(c.asked).language; got != c.want || m.language != c.config {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// Whatever is in a report, it stays within its part.
func FuzzRecallReport(f *testing.F) {
	f.Add("Figures", "bob@corp.example", "read on Monday")
	f.Add("a\r\nBcc: eve@evil.example", "\r\n--=_01KJQW5E00N0T1CE0000000000--\r\n", "<script>alert(1)</script>\x00\xff")
	f.Fuzz(func(t *testing.T, subject, address, line string) {
		r := recallReport(func(r *RecallReport) {
			r.Names = true
			r.Messages[0].Subject, r.Link = subject, line
			l := &r.Report.Lines[0]
			l.Address, l.Text, l.Detail = policy.Address(address), policy.Label{EN: line, ZH: line}, line
			r.Report.Missing = []string{address}
		})
		var text bytes.Buffer
		if err := recallDraft(r, webhook.Both).compose(&text); err != nil {
			t.Fatal(err)
		}
		for line := range bytes.SplitSeq(text.Bytes(), []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
		h, parts := body(t, &text)
		if len(parts) != 2 || h.Get("Bcc") != "" || h.Len() != 12 || strings.Contains(parts["text/html"], "<script") {
			t.Fatalf("%d parts, %d fields", len(parts), h.Len())
		}
	})
}
