package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
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

var update = flag.Bool("update", false, "write the golden files")

// Tests print times in this zone, whatever the machine's is, and see no settings of the machine.
func TestMain(m *testing.M) {
	time.Local = time.FixedZone("CST", 8*3600)
	for _, name := range []string{"SENDGATE_SERVER", "SENDGATE_TOKEN", "LC_ALL", "LC_MESSAGES", "LANG"} {
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

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

func TestTablesInBothLanguages(t *testing.T) {
	for name, args := range map[string][]string{
		"messages": {"messages", "state:held"},
		"show":     {"show", first},
		"release":  {"release", first, second},
		"hold":     {"hold", first, "--for", "10m"},
		"cancel":   {"cancel", first, "--reason", "typo"},
		"recall":   {"recall", first, "--reason", "wrong file"},
		"recalls":  {"recalls"},
		"recalled": {"recalls", second},
		"groups":   {"show", second},
		"resend":   {"resend", second},
		"stats":    {"stats"},
		"tracking": {"tracking"},
		"import":   {"track", "--import", "-"},
	} {
		for _, lang := range []string{"en", "zh"} {
			t.Run(name+"."+lang, func(t *testing.T) {
				f := newFakeAPI(t)
				out, errs, err := f.sendgate(t, append(args, "--lang", lang)...)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+lang, out+errs)
			})
		}
	}
}

func TestWhatTheCommandsAskFor(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"search":          {[]string{"messages", "from:alice", "invoice", "--limit", "5", "--cursor", second}, []string{"GET /api/v1/messages?cursor=" + second + "&limit=5&q=from%3Aalice+invoice"}},
		"with a token":    {[]string{"messages", "--token", "demo"}, []string{"GET /api/v1/messages?limit=50 as Bearer demo"}},
		"five of an id":   {[]string{"show", "t0v1x"}, nil},
		"six of an id":    {[]string{"show", "8t0v1x"}, []string{"GET /api/v1/messages?limit=1000", "GET /api/v1/messages/" + first}},
		"hold until":      {[]string{"hold", first, "--until", "2026-11-21T12:10:00+08:00"}, []string{"POST /api/v1/messages/" + first + `/hold {"until":"2026-11-21T12:10:00+08:00"}`}},
		"hold for":        {[]string{"hold", first, "--for", "90s"}, []string{"POST /api/v1/messages/" + first + `/hold {"for":"1m30s"}`}},
		"cancel for some": {[]string{"cancel", first, "--reason", "x", "--recipient", "a@b.c", "--recipient", "d@e.f"}, []string{"POST /api/v1/messages/" + first + `/cancel {"reason":"x","recipients":["a@b.c","d@e.f"]}`}},
		"recall":          {[]string{"recall", first, "--query", "from:bob", "--message-id", "<m@x>", "--reason", "x", "--recipient", "a@b.c", "--dry-run", "--read-too", "--best-effort", "--notify", "read", "--correct", "8t0w2y"}, []string{"GET /api/v1/messages?limit=1000", "POST /api/v1/recalls " + `{"message_ids":["` + first + `"],"query":"from:bob","message_id_header":"\u003cm@x\u003e","recipients":["a@b.c"],"reason":"x","unread_only":false,"group_mode":"best_effort","notify":"read","correction":"` + second + `","dry_run":true}`}},
		"plain recall":    {[]string{"recall", first}, []string{"POST /api/v1/recalls " + `{"message_ids":["` + first + `"],"unread_only":true}`}},
		"resend":          {[]string{"resend", second}, []string{"POST /api/v1/messages/" + second + "/resend {}"}},
		"resend to some":  {[]string{"resend", second, "--recipient", "a@b.c", "--recipient", "d@e.f", "--reason", "x"}, []string{"POST /api/v1/messages/" + second + `/resend {"recipients":["a@b.c","d@e.f"],"reason":"x"}`}},
		"stats":           {[]string{"stats", "--hours", "2"}, []string{"GET /api/v1/stats?hours=2"}},
		"tracking":        {[]string{"tracking", "--token", "demo"}, []string{"GET /api/v1/tracking as Bearer demo"}},
		"recalls":         {[]string{"recalls", "--limit", "2", "--cursor", second}, []string{"GET /api/v1/recalls?cursor=" + second + "&limit=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeAPI(t)
			_, _, err := f.sendgate(t, tt.args...)
			if (err != nil) != (tt.want == nil) || !slices.Equal(f.asked, tt.want) {
				t.Errorf("asked %q (%v), want %q", f.asked, err, tt.want)
			}
		})
	}
}

func TestJSONIsTheAnswerAsItCame(t *testing.T) {
	for _, args := range [][]string{
		{"messages"}, {"show", first}, {"release", first}, {"hold", first, "--for", "10m"}, {"cancel", first, "--reason", "x"},
		{"recall", first, "--reason", "x"}, {"recalls"}, {"recalls", second},
		{"resend", second}, {"stats"}, {"tracking"}, {"track", "--import", "-"},
	} {
		f := newFakeAPI(t)
		for k := range f.answer {
			f.answer[k] = `{"newer":"field"}` + "\n"
		}
		out, _, err := f.sendgate(t, append(args, "--json")...)
		if err != nil || out != `{"newer":"field"}`+"\n" {
			t.Errorf("%v: %q %v", args, out, err)
		}
	}
}

func TestErrorsAndTheirExitCodes(t *testing.T) {
	f := newFakeAPI(t)
	invalid := &web.Problem{Code: "invalid_request"}
	invalid.Status, invalid.Detail = 422, "validation failed"
	invalid.Add(fmt.Errorf("expected number <= 1000"))
	invalid.Errors[0].Location = "query.limit"
	f.answer["GET /api/v1/recalls"] = invalid
	f.answer["GET /api/v1/recalls/"+first] = "<html>"
	noBody := &web.Problem{Code: "no_body"}
	noBody.Status, noBody.Detail = 409, "sendgate has no copy of this message (milter mode): send it again from the Sent folder"
	f.answer["POST /api/v1/messages/"+first+"/resend"] = noBody
	notAdmin := &web.Problem{Code: "permission_denied"}
	notAdmin.Status, notAdmin.Detail = 403, "this needs a token with the role admin"
	f.answer["POST /api/v1/tracking/import"] = notAdmin
	failed := recalled
	failed.Overall = "all_failed"
	closed := httptest.NewServer(nil)
	closed.Close()

	for name, tt := range map[string]struct {
		args []string
		exit int
		want string
	}{
		"a problem":            {[]string{"show", "01KJZ5V8QW3F7M2N4P6R8T0ZZZ"}, 1, "there is no such message"},
		"a problem of an act":  {[]string{"release", "01KJZ5V8QW3F7M2N4P6R8T0ZZZ"}, 1, "release 01KJZ5V8QW3F7M2N4P6R8T0ZZZ: there is no such message"},
		"details of a problem": {[]string{"recalls"}, 1, "validation failed; query.limit: expected number <= 1000"},
		"not our server":       {[]string{"recalls", first}, 1, f.URL + " does not answer like sendgate: invalid character '<' looking for beginning of value"},
		"ambiguous id":         {[]string{"show", "01KJZ5"}, 1, `"01KJZ5" is part of several ids: give more of it`},
		"no such id":           {[]string{"show", "ABCDEF"}, 1, `none of the newest thousand messages has "ABCDEF" at the end or the beginning of its id`},
		"id too short":         {[]string{"show", "01K"}, 2, `"01K": give at least six characters of the id`},
		"no id":                {[]string{"show"}, 2, "accepts 1 arg(s), received 0; usage: sendgate show ID [flags]"},
		"no such command":      {[]string{"delete"}, 2, `there is no command "delete": sendgate help lists what there is`},
		"no such flag":         {[]string{"show", "--frob"}, 2, "unknown flag: --frob"},
		"no such language":     {[]string{"messages", "--lang", "fr"}, 2, `--lang "fr": there are en and zh`},
		"hold without time":    {[]string{"hold", first}, 2, "say how long with --for 10m, or until when with --until TIME"},
		"hold with both times": {[]string{"hold", first, "--for", "1m", "--until", "x"}, 2, "say how long with --for 10m, or until when with --until TIME"},
		"hold until nonsense":  {[]string{"hold", first, "--until", "noon"}, 2, `--until "noon": write a time as 2026-11-21T10:31:05+08:00`},
		"recall of nothing":    {[]string{"recall", "--reason", "x"}, 2, "name messages by their ids, or find them with --message-id or --query"},
		"server and socket":    {[]string{"messages", "--socket", "/x"}, 2, "--server and --socket exclude each other"},
		"resend refused":       {[]string{"resend", first}, 1, "resend " + first + ": sendgate has no copy of this message (milter mode): send it again from the Sent folder"},
		"resend of nothing":    {[]string{"resend"}, 2, "accepts 1 arg(s), received 0; usage: sendgate resend ID [flags]"},
		"track nothing":        {[]string{"track"}, 2, "name the logs to read: --import FILE, and more of them"},
		"import nothing":       {[]string{"track", "--import"}, 2, "name the logs to read: --import FILE, and more of them"},
		"files without a verb": {[]string{"track", "mail.log"}, 2, "name the logs to read: --import FILE, and more of them"},
		"no such log":          {[]string{"track", "--import", "/no/such/mail.log"}, 1, "import /no/such/mail.log: open /no/such/mail.log: no such file or directory"},
		"import refused":       {[]string{"track", "--import", "-"}, 1, "import -: this needs a token with the role admin"},
		"token for no role":    {[]string{"token", "new", "ops", "--role", "king"}, 2, "role: king: not a role: use admin, operator, auditor, user"},
		"token for nobody":     {[]string{"token", "new", "a b"}, 2, "name: a b: a token needs a name without spaces: it is what people see in events"},
	} {
		t.Run(name, func(t *testing.T) {
			args := tt.args
			if args[0] != "token" && args[0] != "delete" {
				args = append(args, "--server", f.URL)
			}
			var out, errs bytes.Buffer
			err := run(t.Context(), args, nil, &out, &errs)
			if err == nil || err.Error() != tt.want || exitCode(err) != tt.exit {
				t.Errorf("got %v, want %q with exit code %d", err, tt.want, tt.exit)
			}
		})
	}
	t.Run("nothing taken back", func(t *testing.T) {
		f := newFakeAPI(t)
		f.answer["POST /api/v1/recalls"] = failed
		out, _, err := f.sendgate(t, "recall", first)
		if err == nil || err.Error() != "nothing could be taken back" || !strings.Contains(out, "has left for another server") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		err := run(t.Context(), []string{"messages", "--server", closed.URL}, nil, io.Discard, io.Discard)
		want := "cannot ask sendgate at " + closed.URL + " (is it running? see --server and --socket): "
		if err == nil || !strings.HasPrefix(err.Error(), want) || exitCode(err) != 1 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("bad server", func(t *testing.T) {
		err := run(t.Context(), []string{"messages", "--server", "localhost:8025"}, nil, io.Discard, io.Discard)
		if want := `--server "localhost:8025": write it as http://host:port or https://host:port`; err == nil || err.Error() != want || exitCode(err) != 2 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not even a problem", func(t *testing.T) {
		teapot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }))
		defer teapot.Close()
		err := run(t.Context(), []string{"messages", "--server", teapot.URL}, nil, io.Discard, io.Discard)
		if want := teapot.URL + " answers 418 I'm a teapot"; err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
	})
}

func TestEmptyLists(t *testing.T) {
	f := newFakeAPI(t)
	f.answer["GET /api/v1/messages"] = web.MessageList{}
	f.answer["GET /api/v1/recalls"] = web.RecallList{}
	f.answer["GET /api/v1/tracking"] = web.Tracking{}
	for command, want := range map[string]string{"messages": "没有邮件\n", "recalls": "没有撤回记录\n", "tracking": "未跟踪任何日志\n"} {
		if out, _, err := f.sendgate(t, command, "--lang", "zh"); err != nil || out != want {
			t.Errorf("%s: %q %v", command, out, err)
		}
	}
}

func TestDryRunSaysWhatWouldBe(t *testing.T) {
	f := newFakeAPI(t)
	dry := recalled
	dry.ID, dry.DryRun, dry.ApproveUntil = "", true, noon
	f.answer["POST /api/v1/recalls"] = dry
	out, _, err := f.sendgate(t, "recall", first, "--dry-run")
	if err != nil || !strings.HasSuffix(out, "1 of 3 can be taken back\nof 1 it cannot be told yet\na second person would have to approve it\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWhereTheTokenComesFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SENDGATE_TOKEN", "from-environment")
	for want, args := range map[string][]string{
		"from-environment": {"messages"},
		"from-file":        {"messages", "--token-file", file},
		"from-flag":        {"messages", "--token-file", file, "--token", "from-flag"},
	} {
		f := newFakeAPI(t)
		if _, _, err := f.sendgate(t, args...); err != nil || !strings.HasSuffix(f.asked[0], " as Bearer "+want) {
			t.Errorf("%v: %q %v", args, f.asked, err)
		}
	}
	f := newFakeAPI(t)
	if _, _, err := f.sendgate(t, "messages", "--token-file", file+".none"); err == nil || !strings.HasPrefix(err.Error(), "token file: open ") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestTheServerComesFromTheEnvironment(t *testing.T) {
	f := newFakeAPI(t)
	t.Setenv("SENDGATE_SERVER", f.URL)
	if err := run(t.Context(), []string{"messages"}, nil, io.Discard, io.Discard); err != nil || len(f.asked) != 1 {
		t.Errorf("asked %q, %v", f.asked, err)
	}
}

func TestOverTheSocket(t *testing.T) {
	f := newFakeAPI(t)
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(f.Config.Handler)
	s.Listener = l
	s.Start()
	defer s.Close()
	if err := run(t.Context(), []string{"messages", "--socket", path}, nil, io.Discard, io.Discard); err != nil || len(f.asked) != 1 {
		t.Errorf("asked %q, %v", f.asked, err)
	}
	t.Setenv("SENDGATE_SERVER", "http://127.0.0.1:1")
	if err := run(t.Context(), []string{"messages", "--socket", path}, nil, io.Discard, io.Discard); err != nil || len(f.asked) != 2 {
		t.Errorf("with SENDGATE_SERVER set: asked %q, %v", f.asked, err)
	}
	err = run(t.Context(), []string{"messages", "--socket", path + ".none"}, nil, io.Discard, io.Discard)
	if err == nil || !strings.HasPrefix(err.Error(), "cannot ask sendgate at "+path+".none ") {
		t.Errorf("no socket: %v", err)
	}
}

func TestLanguageComesFromTheLocale(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing":                   {nil, "en"},
		"LANG":                      {map[string]string{"LANG": "zh_CN.UTF-8"}, "zh"},
		"LC_ALL is above LANG":      {map[string]string{"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"},
		"LC_MESSAGES is above LANG": {map[string]string{"LC_MESSAGES": "zh_TW", "LANG": "en_US"}, "zh"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			if got, err := language(""); err != nil || got != tt.want {
				t.Errorf("got %q %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestEveryWordAndKindHasBothLanguages(t *testing.T) {
	for name, l := range words {
		if l.EN == "" || l.ZH == "" {
			t.Errorf("%s: %+v", name, l)
		}
		if strings.Count(l.EN, "%") != strings.Count(l.ZH, "%") {
			t.Errorf("%s has different places: %+v", name, l)
		}
	}
	for _, k := range policy.Kinds {
		if l := kinds[k]; l.EN == "" || l.ZH == "" {
			t.Errorf("%s has no name", k)
		}
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"version"}, nil, &out, io.Discard); err != nil || !strings.HasPrefix(out.String(), "sendgate ") {
		t.Errorf("%q %v", out.String(), err)
	}
	out.Reset()
	var v map[string]string
	if err := run(t.Context(), []string{"version", "--json"}, nil, &out, io.Discard); err != nil || json.Unmarshal(out.Bytes(), &v) != nil || v["version"] != version() {
		t.Errorf("%q %v", out.String(), err)
	}
}

func TestHelpWithoutACommand(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), nil, nil, &out, io.Discard); err != nil || !strings.Contains(out.String(), "messages") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if exitCode(errors.New("x")) != 1 {
		t.Error("exit code")
	}
}

func TestTailTakesUpWhereTheStreamBroke(t *testing.T) {
	record := web.LiveRecord{Batch: 7, ID: first, From: "alice@corp.example", Subject: "会议\x1b通知", RecipientCount: 2, State: policy.StateHeld, Events: []web.TimelineEntry{
		{Time: noon, Kind: policy.Accepted, Actor: "smtp"},
		{Time: noon, Kind: policy.Bounced, Recipients: []string{"bob@example.net"}, Reply: "550 no"},
	}}
	recall := web.LiveRecord{Batch: 8, ID: second, Events: []web.TimelineEntry{{Time: noon, Kind: policy.RecallRequested, Reason: "typo"}}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var resumed []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resumed = append(resumed, r.URL.RawQuery+" "+r.Header.Get("Last-Event-ID"))
		switch len(resumed) {
		case 1:
			b, _ := json.Marshal(record)
			fmt.Fprintf(w, ": connected\nretry: 2000\n\nid: 7.0\nevent: record\ndata: %s\n\n", b)
		default:
			b, _ := json.Marshal(recall)
			fmt.Fprintf(w, ": heartbeat\n\nid: 8.0\nevent: record\ndata: %s\n\n", b)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	out := &untilLine{line: []byte("typo"), seen: cancel}
	var errs bytes.Buffer
	if err := run(ctx, []string{"tail", "from:alice", "--server", s.URL}, nil, out, &errs); err != nil {
		t.Fatal(err)
	}
	if want := []string{"q=from%3Aalice ", "q=from%3Aalice 7.0"}; !slices.Equal(resumed, want) {
		t.Errorf("asked %q, want %q", resumed, want)
	}
	golden(t, "tail", out.String()+errs.String())
}

// untilLine takes output and calls seen when a text has come.
type untilLine struct {
	bytes.Buffer
	line []byte
	seen func()
}

func (u *untilLine) Write(b []byte) (int, error) {
	n, err := u.Buffer.Write(b)
	if bytes.Contains(u.Bytes(), u.line) {
		u.seen()
	}
	return n, err
}

func TestTailEndsWithAClearError(t *testing.T) {
	f := newFakeAPI(t)
	if _, _, err := f.sendgate(t, "tail"); err == nil || err.Error() != "there is no such message" {
		t.Errorf("a problem: %v", err)
	}
	f.answer["GET /api/v1/events"] = "data: {}\ndata: <html>\n\n"
	_, _, err := f.sendgate(t, "tail")
	if err == nil || err.Error() != f.URL+" does not speak like sendgate: invalid character '<' looking for beginning of value" {
		t.Errorf("nonsense: %v", err)
	}
	f.answer["GET /api/v1/events"] = "data: {\"newer\":1}\n\n"
	r, w := io.Pipe()
	_ = r.Close()
	if err := run(t.Context(), []string{"tail", "--json", "--server", f.URL}, nil, w, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed pipe: %v", err)
	}
}
