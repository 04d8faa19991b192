package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// linkedJournal knows the links "good-ID" until an hour from now, and "old-ID", which have ended.
type linkedJournal struct {
	*store.Store
	now time.Time
}

func (j linkedJournal) Verify(token string) (id policy.ID, ends time.Time, ok bool) {
	kind, text, _ := strings.Cut(token, "-")
	id, err := policy.ParseID(text)
	ends = j.now.Add(time.Hour)
	if kind == "old" {
		ends = j.now
	}
	return id, ends, err == nil && (kind == "good" || kind == "old")
}

// look asks for the status page without a token of the API.
func (r *rig) look(s *Server, path, languages string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), "GET", path, nil)
	req.Header.Set("Accept-Language", languages)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, req)
	return w
}

func TestStatusOfAMessage(t *testing.T) {
	r := newRig(t)
	s := r.serverFor(linkedJournal{r.store, r.now})
	id := r.accept("alice@corp.example", "<b>Figures</b>", "bob@corp.example", "all@corp.example", "dave@remote.example")
	r.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}})
	r.observe(id, policy.Event{Kind: policy.Expanded, Recipients: []int{1}, Member: "erin@corp.example"})
	r.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{1}, Member: "erin@corp.example"})
	r.observe(id, policy.Event{Kind: policy.Bounced, Recipients: []int{2}, Reply: "550 5.1.1 secret reply"})
	for lang, want := range map[string][]string{
		"zh-CN,zh;q=0.9,en;q=0.8": {`<html lang="zh-CN">`, "投递状态", "<td>bob@corp.example</td><td>已投递到对方邮箱</td>", "<td>all@corp.example</td><td>已投递到对方邮箱</td>", "<td>dave@remote.example</td><td>投递失败，已退信</td>"},
		"de, en;q=0.5":            {`<html lang="en">`, "Delivery status", "<td>bob@corp.example</td><td>Delivered to mailbox</td>", "<td>dave@remote.example</td><td>Failed, returned</td>", "&lt;b&gt;Figures&lt;/b&gt;", "2026-11-21 10:30 UTC"},
	} {
		w := r.look(s, "/s/good-"+id, lang)
		if w.Code != http.StatusOK {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		for _, part := range want {
			if !strings.Contains(w.Body.String(), part) {
				t.Errorf("%s: no %q in\n%s", lang, part, w.Body)
			}
		}
		for _, foreign := range []string{"erin@", "secret reply", "<script", "alice@", "192.0.2.1", "<b>", "http-equiv"} {
			if strings.Contains(w.Body.String(), foreign) {
				t.Errorf("%s: %q in\n%s", lang, foreign, w.Body)
			}
		}
	}
}

func TestStatusOfARecall(t *testing.T) {
	r := newRig(t)
	s := r.serverFor(linkedJournal{r.store, r.now})
	id := mustID(t, r.accept("alice@corp.example", "Figures", "bob@corp.example", "all@corp.example"))
	rep := &policy.RecallReport{
		ID: policy.ID{8}, Overall: policy.RecallInProgress, Request: policy.RecallRequest{Messages: []policy.ID{id, {7}}, Reason: "secret reason"},
		Counts: policy.RecallCounts{Success: 1, Fail: 2, Processing: 1},
		Lines: []policy.RecallLine{
			{Message: id, Index: 0, Address: "bob@corp.example", Code: policy.RemovedFromMailbox, Detail: "secret folder"},
			{Message: id, Index: 2, Address: "erin@corp.example", Group: "all@corp.example", Code: policy.AlreadyRead},
		},
		Groups: []policy.RecallGroup{{Message: id, Address: "All@corp.example", Counts: policy.RecallCounts{Success: 2, Fail: 2}, BlockedBy: 1, Blockers: []policy.Address{"erin@corp.example"}}},
	}
	r.recalls.put(rep)
	body := r.look(s, "/s/good-"+rep.ID.String(), "en").Body.String()
	for _, part := range []string{
		"In progress", `<progress max="100" value="75">`, "Taken back: 1 / 4", "not taken back: 2", "open: 1", `<meta http-equiv="refresh" content="15">`,
		"<td>bob@corp.example</td><td>Delivering</td><td>taken out of the mailbox</td>",
		"taken back from 2 of 4 members (50 %); 1 of them kept it from being taken back",
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %q in\n%s", part, body)
		}
	}
	for _, foreign := range []string{"erin@", "secret", "was read already"} {
		if strings.Contains(body, foreign) {
			t.Errorf("%q in\n%s", foreign, body)
		}
	}
	r.recalls.set(func(rep *policy.RecallReport) {
		rep.Overall, rep.Ended, rep.Corrected = policy.RecallPartial, r.now, true
	})
	body = r.look(s, "/s/good-"+rep.ID.String(), "zh").Body.String()
	if !strings.Contains(body, "部分撤回成功（已更正）") || strings.Contains(body, "http-equiv") {
		t.Errorf("%s", body)
	}
}

func TestStatusPagesThatShowNothing(t *testing.T) {
	r := newRig(t)
	s := r.serverFor(linkedJournal{r.store, r.now})
	id := r.accept("alice@corp.example", "Figures", "bob@corp.example")
	for outcome, c := range map[string]struct {
		server *Server
		token  string
		status int
		text   string
	}{
		"forged":              {s, "bad-" + id, 404, "This link is not valid."},
		"ended":               {s, "old-" + id, 410, "This link has expired."},
		"pruned":              {s, "good-" + policy.ID{5}.String(), 410, "Nothing is kept about this any more."},
		"no links configured": {r.server, "good-" + id, 404, "This link is not valid."},
	} {
		t.Run(outcome, func(t *testing.T) {
			w := r.look(c.server, "/s/"+c.token, "fr")
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || strings.Contains(w.Body.String(), "Figures") {
				t.Errorf("%d: %s", w.Code, w.Body)
			}
		})
	}
}

func TestTheStatusPageIsClosed(t *testing.T) {
	r := newRig(t)
	s := r.serverFor(linkedJournal{r.store, r.now})
	w := r.look(s, "/s/good-"+r.accept("alice@corp.example", "Figures", "bob@corp.example"), "en")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	sum := sha256.Sum256([]byte(style[1]))
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Referrer-Policy":         "no-referrer", "X-Robots-Tag": "noindex, nofollow", "Cache-Control": "no-store", "Vary": "Accept-Language",
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Content-Language": "en", "Content-Type": "text/html; charset=utf-8",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(style[1], "prefers-color-scheme:dark") {
		t.Error("it is never dark")
	}
}

func TestLongStatusPagesAreCut(t *testing.T) {
	p := statusPrinter{lang: "en", room: 2}
	rows := make(policy.Rows, 5)
	m := p.message(&store.Message{States: map[policy.State]int{policy.StateHeld: 5}}, rows, nil)
	if len(m.Rows) != 2 || p.more != 3 {
		t.Errorf("%d rows, %d more", len(m.Rows), p.more)
	}
}

func TestStatusLanguages(t *testing.T) {
	for accepted, want := range map[string]string{
		"": "en", "zh": "zh-CN", "zh-TW": "zh-CN", "en-US,zh;q=0.5": "en", "zh-HK,en;q=0.9": "zh-CN", "de": "en", "%%%": "en", strings.Repeat("zh,", 1000): "en",
	} {
		if got := statusLanguage(accepted); got != want {
			t.Errorf("%.20q: %s", accepted, got)
		}
	}
}
