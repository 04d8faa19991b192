package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

const (
	first  = "01KJZ5V8QW3F7M2N4P6R8T0V1X"
	second = "01KJZ5V8QW3F7M2N4P6R8T0W2Y"
)

var (
	noon = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

	listed = web.MessageList{Next: second, Messages: []web.Message{
		{ID: first, From: "alice@corp.example", Subject: "关于第三季度销售情况的会议通知以及相关材料的补充说明", Received: noon, State: policy.StateHeld,
			Label: policy.LabelDelivering, Recipients: 2, HeldUntil: noon.Add(time.Minute)},
		{ID: second, From: "", Subject: "evil\x1b[2J\u202ename", Received: noon, State: policy.StateBounced, Label: policy.LabelReturned, Recipients: 1},
	}}

	shown = web.MessageDetail{
		ID: first, From: "alice@corp.example", Subject: "会议通知", Received: noon, Client: "192.0.2.1", Login: "alice",
		Identity: "alice", MessageID: "<m@corp.example>", Size: 4096, State: policy.StateDeferred,
		Label: policy.Label{EN: "Delivering (1/2)", ZH: "投递中 (1/2)"},
		Recipients: []web.Recipient{
			{Address: "bob@example.net", State: policy.StateRelayedRemote, Label: policy.LabelRemote, Since: noon.Add(63 * time.Second), Reply: "250 2.0.0 Ok: queued as 4bX"},
			{Address: "张伟@例子.中国", State: policy.StateDeferred, Label: policy.LabelDelivering, Since: noon.Add(64 * time.Second), Reply: "451 4.7.1 later",
				Reason: "greylisted", NextTry: noon.Add(6 * time.Minute), MayBeDuplicate: true},
		},
		Timeline: []web.TimelineEntry{
			{Time: noon, Kind: policy.Accepted, Actor: "smtp", Recipients: []string{"bob@example.net", "张伟@例子.中国"}},
			{Time: noon, Kind: policy.Held, Recipients: []string{"bob@example.net", "张伟@例子.中国"}, Until: noon.Add(63 * time.Second), RecallUntil: noon.Add(60 * time.Second), Rule: "default"},
			{Time: noon.Add(63 * time.Second), Kind: policy.Released, Actor: "hold", Recipients: []string{"bob@example.net", "张伟@例子.中国"}, Until: noon.Add(63 * time.Second)},
			{Time: noon.Add(64 * time.Second), Kind: policy.RelayedRemote, Recipients: []string{"bob@example.net"}, Reply: "250 2.0.0 Ok: queued as 4bX", QueueID: "4bX", Upstream: "mx"},
			{Time: noon.Add(64 * time.Second), Kind: policy.Deferred, Recipients: []string{"张伟@例子.中国"}, Until: noon.Add(6 * time.Minute), Reply: "451 4.7.1 later"},
			{Time: noon.Add(65 * time.Second), Kind: "newer_kind", Until: noon.Add(70 * time.Second), Recipients: []string{}, MayBeDuplicate: true},
		},
	}

	grouped = web.MessageDetail{
		ID: second, From: "alice@corp.example", Subject: "Report", Received: noon, Identity: "alice", Size: 4096,
		State: policy.StateDeferred, Label: policy.Label{EN: "Delivering (2/5)", ZH: "投递中 (2/5)"},
		Recipients: []web.Recipient{
			{Address: "team@corp.example", State: policy.StateDeferred, Label: policy.Label{EN: "Delivering (1/3)", ZH: "投递中 (1/3)"}, Since: noon, Members: 3},
			{Address: "ann@corp.example", Group: "team@corp.example", State: policy.StateDeliveredMailbox, Label: policy.LabelMailbox, Since: noon, Evidence: "maildir"},
			{Address: "eve@corp.example", Group: "team@corp.example", State: policy.StateBounced, Label: policy.LabelReturned, Since: noon, Superseded: true,
				Reply: "host mx.corp.example[192.0.2.5] said: 550-5.7.1 Our system has detected that this message is 550-5.7.1 likely unsolicited mail. 550 5.7.1 See the policy (in reply to end of DATA command)"},
			{Address: "eve@corp.example", Group: "team@corp.example", State: policy.StateDeliveredMailbox, Label: policy.LabelMailbox, Since: noon.Add(time.Hour), Attempt: 2, Reply: "250 2.0.0 Ok"},
			{Address: "张伟@corp.example", Group: "team@corp.example", State: policy.StateDeferred, Label: policy.LabelDelivering, Since: noon, Reply: "451 4.7.1 later", Attempts: 3, NextTry: noon.Add(6 * time.Minute)},
			{Address: "list@corp.example", State: policy.StateQueued, Label: policy.LabelDelivering, Since: noon, Members: 1},
			{Address: "bob@corp.example", Group: "list@corp.example", State: policy.StateQueued, Label: policy.LabelDelivering, Since: noon},
			{Address: "zoe@example.net", State: policy.StateAsyncBounced, Label: policy.LabelReturned, Since: noon, Evidence: "550-5.1.1 The account\r\n550 5.1.1 does not exist"},
		},
		Timeline: []web.TimelineEntry{
			{Time: noon, Kind: policy.Accepted, Actor: "smtp", Recipients: []string{"team@corp.example", "list@corp.example", "zoe@example.net"}},
			{Time: noon, Kind: policy.Expanded, Recipients: []string{"team@corp.example"}, Member: "ann@corp.example", QueueID: "4bX", Upstream: "mx1/postfix"},
			{Time: noon, Kind: policy.Bounced, Recipients: []string{"team@corp.example"}, Member: "eve@corp.example", Reply: "550-5.7.1 no\n550 5.7.1 never", QueueID: "4bX"},
			{Time: noon, Kind: policy.Deferred, Recipients: []string{"team@corp.example"}, Member: "张伟@corp.example", NextTry: noon.Add(6 * time.Minute), Reply: "451 4.7.1 later"},
			{Time: noon, Kind: policy.AsyncBounced, Recipients: []string{"zoe@example.net"}, Evidence: "550-5.1.1 The account\r\n550 5.1.1 does not exist"},
			{Time: noon, Kind: policy.Dequeued, Recipients: []string{"team@corp.example", "list@corp.example"}, QueueID: "4bX", Upstream: "mx1/postfix"},
			{Time: noon.Add(time.Hour), Kind: policy.Resent, Actor: "api:ops", Recipients: []string{"eve@corp.example"}, Until: noon.Add(time.Hour), Reason: "mailbox made"},
		},
	}

	sources = []web.Source{
		{Name: "mail.log", State: web.SourceCaughtUp, LastLine: noon},
		{Name: "journal", State: web.SourceFollowing, LagSeconds: 90, LastLine: noon.Add(-90 * time.Second),
			Gaps: []web.Gap{{From: noon.Add(-2 * time.Hour), To: noon.Add(-time.Hour), Reason: "rotated twice while sendgate was down"}}},
		{Name: "old.log", State: web.SourceError, Error: "open old.log: permission denied"},
		{Name: "newer", State: "paused"},
	}

	counted = web.Stats{
		Since: noon, Hours: 24, Recipients: 20000, UnknownRatio: 0.0005, Tracking: sources[:1],
		Labels: []web.LabelCount{{Label: policy.LabelDelivering, Recipients: 10}, {Label: policy.LabelRemote, Recipients: 19980}, {Label: policy.LabelUnknown, Recipients: 10}},
	}

	recalled = web.Recall{
		ID: second, Status: "in_progress", Overall: "in_progress", Requested: noon, MessageCount: 1, Percent: 66, Actor: "api:ops", Reason: "wrong file",
		SuccessCount: 1, FailureCount: 1, ProcessingCount: 1,
		Recipients: []web.RecallRecipient{
			{MessageID: first, Address: "bob@example.net", Status: "success", Code: policy.RemovedFromHold, Text: policy.Label{EN: "taken back before it was sent", ZH: "已在发出前撤回"}},
			{MessageID: first, Address: "carol@example.net", Status: "fail", Text: policy.Label{EN: "has left for another server", ZH: "已离开本系统，到达其他服务器"}},
			{MessageID: first, Address: "dave@example.net", Status: "processing", Code: policy.WaitingInFlight, Text: policy.Label{EN: "is being sent just now", ZH: "正在发送"}},
		},
	}
)

// A fakeAPI answers with what it is given and notes what it was asked.
type fakeAPI struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	answer map[string]any // by method and path
}

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	hold := shown
	hold.HeldUntil = noon.Add(10 * time.Minute)
	dry := recalled
	dry.ID, dry.DryRun, dry.ProcessingCount, dry.FailureCount = "", true, 0, 2
	f := &fakeAPI{answer: map[string]any{
		"GET /api/v1/messages":                         listed,
		"GET /api/v1/messages/" + first:                shown,
		"POST /api/v1/messages/" + first + "/release":  shown,
		"POST /api/v1/messages/" + second + "/release": shown,
		"POST /api/v1/messages/" + first + "/hold":     hold,
		"POST /api/v1/messages/" + first + "/cancel":   shown,
		"POST /api/v1/recalls":                         recalled,
		"GET /api/v1/recalls":                          web.RecallList{Recalls: []web.Recall{recalled}},
		"GET /api/v1/recalls/" + second:                recalled,
		"GET /api/v1/messages/" + second:               grouped,
		"POST /api/v1/messages/" + second + "/resend":  grouped,
		"GET /api/v1/stats":                            counted,
		"GET /api/v1/tracking":                         web.Tracking{Sources: sources},
		"POST /api/v1/tracking/import":                 web.ImportReport{Lines: 1000000, Entries: 4000, Events: 17},
	}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + r.URL.RequestURI()
	if len(body) > 0 {
		line += " " + string(body)
	}
	if a := r.Header.Get("Authorization"); a != "" {
		line += " as " + a
	}
	f.mu.Lock()
	f.asked = append(f.asked, line)
	f.mu.Unlock()
	answer, ok := f.answer[r.Method+" "+r.URL.Path]
	if p, refused := answer.(*web.Problem); refused || !ok {
		if !ok {
			p = &web.Problem{Code: "not_found"}
			p.Status, p.Detail = 404, "there is no such message"
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p)
		return
	}
	if text, ok := answer.(string); ok {
		_, _ = io.WriteString(w, text)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// sendgate runs the program against the fake.
func (f *fakeAPI) sendgate(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), append(args, "--server", f.URL), strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), err
}

// inBothLanguages holds what commands print against golden files.
func inBothLanguages(t *testing.T, api func(*testing.T) *fakeAPI, commands map[string][]string) {
	t.Helper()
	for name, args := range commands {
		for _, lang := range []string{"en", "zh"} {
			t.Run(name+"."+lang, func(t *testing.T) {
				out, errs, err := api(t).sendgate(t, append(args, "--lang", lang)...)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(out+errs, "\x1b") {
					t.Error("an escape reaches the terminal")
				}
				golden(t, name+"."+lang, out+errs)
			})
		}
	}
}

// asks are command lines with what they ask the API for, in this order; nothing where the command line is refused.
type asks map[string]struct{ args, want []string }

func (a asks) check(t *testing.T, api func(*testing.T) *fakeAPI) {
	t.Helper()
	for name, tt := range a {
		t.Run(name, func(t *testing.T) {
			f := api(t)
			_, _, err := f.sendgate(t, tt.args...)
			if (err != nil) != (tt.want == nil) || !slices.Equal(f.asked, tt.want) {
				t.Errorf("asked %q (%v), want %q", f.asked, err, tt.want)
			}
			if tt.want == nil && exitCode(err) != 2 {
				t.Errorf("%v: exit code %d", err, exitCode(err))
			}
		})
	}
}

// asItCame looks that commands print answers for programs as they came, and nothing else.
func asItCame(t *testing.T, api func(*testing.T) *fakeAPI, commands [][]string) {
	t.Helper()
	const answer = `{"newer":"field"}` + "\n"
	for _, args := range commands {
		f := api(t)
		for k := range f.answer {
			f.answer[k] = answer
		}
		out, errs, err := f.sendgate(t, append(args, "--json")...)
		if err != nil || out != answer || errs != "" {
			t.Errorf("%v: %q %q %v", args, out, errs, err)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
