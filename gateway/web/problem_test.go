package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

const stranger = "01M7YTFR2000000000000000ZZ" // a valid id that nothing has

func TestProblems(t *testing.T) {
	r := newRig(t)
	held := r.accept("alice@corp.example", "Report", "bob@example.net")
	gone := r.accept("alice@corp.example", "Gone", "bob@example.net")
	post[MessageDetail](r, "/api/v1/messages/"+gone+"/release", "")
	r.observe(gone, policy.Event{Kind: policy.RelayedRemote, Reply: "250 Ok"})
	r.holder.limit = 3600e9
	many := `"a@x"` + strings.Repeat(`,"a@x"`, 20000)

	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		code, detail       string
	}{
		"unknown path":           {"GET", "/api/v1/mail", "", 404, "not_found", "there is nothing at this path: /api/v1/openapi.json lists what there is"},
		"unknown path outside":   {"GET", "/admin", "", 404, "not_found", "there is nothing at this path: /api/v1/openapi.json lists what there is"},
		"wrong method":           {"DELETE", "/api/v1/messages/" + held, "", 405, "method_not_allowed", "this path does not know that method: see the Allow header"},
		"not an id":              {"GET", "/api/v1/messages/17", "", 404, "not_found", "that is not the id of a message: an id has 26 letters and digits"},
		"unknown message":        {"GET", "/api/v1/messages/" + stranger, "", 404, "not_found", "there is no such message, or it is older than events are kept"},
		"release of unknown":     {"POST", "/api/v1/messages/" + stranger + "/release", "", 404, "not_found", "there is no such message, or it is older than events are kept"},
		"release of gone":        {"POST", "/api/v1/messages/" + gone + "/release", "", 409, "not_held", "the message is not held"},
		"bad query":              {"GET", "/api/v1/messages?q=sender:x", "", 422, "invalid_query", "sender: is not a field of a query; use from: to: subject: identity: campaign: id: queue: state: before: after: or plain words of the subject"},
		"bad cursor":             {"GET", "/api/v1/messages?cursor=5", "", 422, "invalid_cursor", "the cursor is not one of ours: use next of the page before"},
		"bad cursor of recalls":  {"GET", "/api/v1/recalls?cursor=5", "", 422, "invalid_cursor", "the cursor is not one of ours: use next of the page before"},
		"limit too high":         {"GET", "/api/v1/messages?limit=5000", "", 422, "invalid_request", "validation failed"},
		"unknown parameter":      {"GET", "/api/v1/messages?sort=size", "", 422, "invalid_request", "validation failed"},
		"unknown key":            {"POST", "/api/v1/recalls", `{"message_id":"x"}`, 422, "invalid_request", "validation failed"},
		"not JSON":               {"POST", "/api/v1/recalls", `{`, 400, "invalid_request", "validation failed"},
		"hold without time":      {"POST", "/api/v1/messages/" + held + "/hold", `{}`, 422, "invalid_time", `say how long with "for" ("10m", from now) or until when with "until", not both and not neither`},
		"hold with two times":    {"POST", "/api/v1/messages/" + held + "/hold", `{"for":"1m","until":"2026-11-21T11:00:00Z"}`, 422, "invalid_time", `say how long with "for" ("10m", from now) or until when with "until", not both and not neither`},
		"hold for nonsense":      {"POST", "/api/v1/messages/" + held + "/hold", `{"for":"-1m"}`, 422, "invalid_time", `"for" is a duration above zero, such as 90s, 10m or 1h30m`},
		"hold until past":        {"POST", "/api/v1/messages/" + held + "/hold", `{"until":"2026-11-21T10:00:00Z"}`, 422, "invalid_time", `"until" is in the past: release the message instead`},
		"hold too long":          {"POST", "/api/v1/messages/" + held + "/hold", `{"for":"2h"}`, 409, "hold_too_long", "a hold ends at most 1h from now"},
		"cancel without reason":  {"POST", "/api/v1/messages/" + held + "/cancel", `{}`, 422, "reason_required", "say why, in reason: it is kept with the message"},
		"bounce without reason":  {"POST", "/api/v1/messages/" + held + "/cancel", `{"bounce":true,"reason":" "}`, 422, "bounce_reason_required", "say why, in reason: the sender reads it in the bounce"},
		"a bad campaign":         {"GET", "/api/v1/messages?q=campaign:x", "", 422, "invalid_query", `campaign:x: is not the id of a campaign (26 letters and digits); "sendgate campaigns" lists them`},
		"cancel for a stranger":  {"POST", "/api/v1/messages/" + held + "/cancel", `{"reason":"x","recipients":["zoe@example.net"]}`, 422, "invalid_address", "the message has no such recipient"},
		"cancel of gone":         {"POST", "/api/v1/messages/" + gone + "/cancel", `{"reason":"x"}`, 409, "not_cancelled", "nothing could be taken back: has left for another organisation's server: it cannot be taken back"},
		"recall of nothing":      {"POST", "/api/v1/recalls", `{"reason":"x"}`, 422, "invalid_request", "name messages in message_ids or message_id_header, or find them with query"},
		"recall finds nothing":   {"POST", "/api/v1/recalls", `{"query":"from:zoe","reason":"x"}`, 404, "not_found", "the query finds no message"},
		"recall of unknown":      {"POST", "/api/v1/recalls", `{"message_ids":["` + stranger + `"]}`, 404, "not_found", "there is no such message, or it is older than events are kept"},
		"recall by no header":    {"POST", "/api/v1/recalls", `{"message_id_header":"<none@corp.example>","reason":"x"}`, 404, "not_found", "no message has this Message-ID"},
		"recall by a bad header": {"POST", "/api/v1/recalls", `{"message_id_header":"x@y from:bob","reason":"x"}`, 422, "invalid_request", "message_id_header is what stands in the field Message-ID, such as <x@corp.example>"},
		"recall by a bare word":  {"POST", "/api/v1/recalls", `{"message_id_header":"report","reason":"x"}`, 422, "invalid_request", "message_id_header is what stands in the field Message-ID, such as <x@corp.example>"},
		"correction by nothing":  {"POST", "/api/v1/recalls", `{"message_ids":["` + held + `"],"correction":"` + stranger + `"}`, 404, "not_found", "there is no such message, or it is older than events are kept"},
		"correction by nonsense": {"POST", "/api/v1/recalls", `{"message_ids":["` + held + `"],"correction":"17"}`, 404, "not_found", "that is not the id of a message: an id has 26 letters and digits"},
		"notice to strangers":    {"POST", "/api/v1/recalls", `{"message_ids":["` + held + `"],"notify":"some"}`, 422, "invalid_request", "validation failed"},
		"stats of a wrong time":  {"GET", "/api/v1/stats/recalls?from=yesterday", "", 422, "invalid_request", "validation failed"},
		"stats backwards":        {"GET", "/api/v1/stats/recalls?from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", "", 422, "invalid_time", `"from" is before "to"`},
		"events of no recall":    {"GET", "/api/v1/recalls/" + stranger + "/events", "", 404, "not_found", "there is no such recall"},
		"events of a bad recall": {"GET", "/api/v1/recalls/17/events", "", 404, "not_found", "there is no such recall"},
		"cancel no recall":       {"POST", "/api/v1/recalls/" + stranger + "/cancel", "", 404, "not_found", "there is no such recall"},
		"approve no recall":      {"POST", "/api/v1/recalls/" + stranger + "/approve", "", 404, "not_found", "there is no such recall"},
		"restore no recall":      {"POST", "/api/v1/recalls/" + stranger + "/restore", "", 404, "not_found", "there is no such recall"},
		"restore of a bad id":    {"POST", "/api/v1/recalls/17/restore", "", 404, "not_found", "there is no such recall"},
		"recall with bad query":  {"POST", "/api/v1/recalls", `{"query":"state:x","reason":"x"}`, 422, "invalid_query", ""},
		"recall from too many":   {"POST", "/api/v1/recalls", `{"message_ids":["` + held + `"],"recipients":[` + many + `]}`, 422, "invalid_request", "validation failed"},
		"recall in strange mode": {"POST", "/api/v1/recalls", `{"message_ids":["` + held + `"],"group_mode":"some"}`, 422, "invalid_request", "validation failed"},
		"unknown recall":         {"GET", "/api/v1/recalls/" + stranger, "", 404, "not_found", "there is no such recall"},
		"not an id of a recall":  {"GET", "/api/v1/recalls/17", "", 404, "not_found", "there is no such recall"},
		"events of a bad query":  {"GET", "/api/v1/events?q=state:x", "", 422, "invalid_query", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.ask(r.server, "secret-admin", tt.method, tt.path, tt.body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
		})
	}
}

// wantProblem checks a problem; an empty detail stands for any.
func wantProblem(t *testing.T, status int, header http.Header, body []byte, wantStatus int, code, detail string) {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if status != wantStatus || p.Status != wantStatus || p.Code != code || detail != "" && p.Detail != detail || p.Detail == "" {
		t.Errorf("got %d %s %q, want %d %s %q", status, p.Code, p.Detail, wantStatus, code, detail)
	}
	if ct := header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q", ct)
	}
	if p.Title != http.StatusText(wantStatus) {
		t.Errorf("title %q", p.Title)
	}
}

func TestWrongMethodNamesTheRightOnes(t *testing.T) {
	r := newRig(t)
	w := r.ask(r.server, "secret-admin", http.MethodDelete, "/api/v1/recalls", "")
	if got := w.Header().Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", got)
	}
}

func TestErrorsOfTheHolderAreExplainedWithoutInternals(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	for name, tt := range map[string]struct {
		err          error
		status       int
		code, detail string
	}{
		"conflict": {fmt.Errorf("release: %w", store.ErrConflict), 409, "conflict", "the message has changed meanwhile: look at it again"},
		"full":     {store.ErrFull, 503, "store_full", "the disk is nearly full: nothing can be written until space is free"},
		"closed":   {store.ErrClosed, 503, "shutting_down", "sendgate is shutting down"},
		"broken":   {errBroken, 500, "internal", "something went wrong here: the log of sendgate says what"},
	} {
		t.Run(name, func(t *testing.T) {
			r.holder.fail = tt.err
			for _, act := range []string{"release", "hold", "cancel"} {
				body := map[string]string{"hold": `{"for":"1m"}`, "cancel": `{"reason":"x"}`}[act]
				w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/messages/"+id+"/"+act, body)
				wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
				if strings.Contains(w.Body.String(), "sector") {
					t.Errorf("an internal text went out: %s", w.Body)
				}
			}
		})
	}
	if n := len(r.logs.FilterMessage("request").All()); n != 3 {
		t.Errorf("%d lines in the log about what broke, want 3", n)
	}
}

// brokenJournal cannot be read.
type brokenJournal struct{ *store.Store }

func (brokenJournal) Recipients(policy.ID) (policy.Rows, error) { return nil, errBroken }
func (brokenJournal) Ready() error                              { return store.ErrFull }

func TestABrokenJournalIsAnInternalProblem(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	s := r.serverFor(brokenJournal{r.store})
	w := r.ask(s, "secret-admin", http.MethodGet, "/api/v1/messages/"+id, "")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 500, "internal", "something went wrong here: the log of sendgate says what")
}

func TestLargeBodiesAreRefused(t *testing.T) {
	r := newRig(t)
	body := `{"reason":"` + strings.Repeat("x", maxBody) + `"}`
	w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/recalls", body)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestRefusalIsItsDetail(t *testing.T) {
	var err error = &Refusal{Code: "not_held", Detail: "the message is not held"}
	if got := fmt.Errorf("release: %w", err).Error(); got != "release: the message is not held" {
		t.Errorf("got %q", got)
	}
	if !errors.As(err, new(*Refusal)) {
		t.Error("not found again")
	}
}

func TestProblemsInChinese(t *testing.T) {
	r := newRig(t)
	held := r.accept("alice@corp.example", "Report", "bob@example.net")
	for name, tt := range map[string]struct {
		method, path, body, title, detail, original string
		status                                      int
	}{
		"outside of the API":  {"GET", "/admin", "", "未找到", "对象不存在，或已超过保存期", errNoRoute.Detail, 404},
		"a bad query":         {"GET", "/api/v1/messages?q=sender:x", "", "请求无法处理", "无法识别该搜索条件，详见 detail_en", "sender: is not a field of a query", 422},
		"what huma refuses":   {"GET", "/api/v1/messages?limit=5000", "", "请求无法处理", "请求格式不正确，详见 detail_en 与 errors", "validation failed", 422},
		"a reason is missing": {"POST", "/api/v1/messages/" + held + "/cancel", `{}`, "请求无法处理", "请填写原因", errReason.Detail, 422},
	} {
		t.Run(name, func(t *testing.T) {
			for accept, chinese := range map[string]bool{"zh-CN,zh;q=0.9": true, "zh": true, "en-GB": false, "": false, "de": false} {
				req := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
				req.Header.Set("Authorization", "Bearer secret-admin")
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Accept-Language", accept)
				w := httptest.NewRecorder()
				r.server.handler.ServeHTTP(w, req)
				var p Problem
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
					t.Fatal(err)
				}
				if w.Code != tt.status || !strings.Contains(w.Header().Get("Vary"), "Accept-Language") || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") {
					t.Errorf("%q: %d %v", accept, w.Code, w.Header())
				}
				switch {
				case chinese && (p.Title != tt.title || p.Detail != tt.detail || !strings.HasPrefix(p.Original, tt.original) || w.Header().Get("Content-Language") != "zh-CN"):
					t.Errorf("%q: %+v", accept, p)
				case !chinese && (!strings.HasPrefix(p.Detail, tt.original) || p.Original != "" || w.Header().Get("Content-Language") != "en"):
					t.Errorf("%q: %+v", accept, p)
				}
			}
		})
	}
	if p, _ := (&Problem{Code: "x", chinese: "撤回"}).in("zh"); p.Detail != "撤回" {
		t.Errorf("the words of the cause: %+v", p)
	}
}

// TestEveryProblemHasChineseWords looks at the source: a new code needs a line in chineseDetails.
func TestEveryProblemHasChineseWords(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	call := regexp.MustCompile(`problem\((?:http\.Status)?\w+(?:\.\w+)?, *"([a-z_]+)"`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range call.FindAllSubmatch(text, -1) {
			codes[string(m[1])] = true
		}
	}
	if len(codes) < 40 {
		t.Fatalf("only %d codes", len(codes))
	}
	for code := range codes {
		if chineseDetails[code] == "" {
			t.Errorf("%s has no words in Chinese: problemtext.go", code)
		}
	}
	for code, text := range chineseDetails {
		if !strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			t.Errorf("%s: %s", code, text)
		}
	}
}
