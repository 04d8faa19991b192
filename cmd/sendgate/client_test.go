package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
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

func TestTablesInBothLanguages(t *testing.T) {
	inBothLanguages(t, newFakeAPI, map[string][]string{
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
	})
}

func TestWhatTheCommandsAskFor(t *testing.T) {
	asks{
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
	}.check(t, newFakeAPI)
}

func TestJSONIsTheAnswerAsItCame(t *testing.T) {
	asItCame(t, newFakeAPI, [][]string{
		{"messages"}, {"show", first}, {"release", first}, {"hold", first, "--for", "10m"}, {"cancel", first, "--reason", "x"},
		{"recall", first, "--reason", "x"}, {"recalls"}, {"recalls", second},
		{"resend", second}, {"stats"}, {"tracking"}, {"track", "--import", "-"},
	})
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
	noToken := &web.Problem{Code: "unauthorized"}
	noToken.Status, noToken.Detail = 401, "this needs a valid token: send it as Authorization: Bearer TOKEN"
	f.answer["GET /api/v1/tracking"] = noToken
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
		"no token":             {[]string{"tracking"}, 1, f.URL + " wants a token: give one with --token-file or SENDGATE_TOKEN (sendgate token new makes one)"},
		"unknown token":        {[]string{"tracking", "--token", "old"}, 1, f.URL + " does not know this token; its configuration lists those that it knows (api.tokens, see sendgate token new)"},
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
	t.Run("not allowed", func(t *testing.T) {
		err := (&client{where: "/run/sendgate/api.sock"}).unreachable(&url.Error{Err: fs.ErrPermission})
		if want := "cannot ask sendgate at /run/sendgate/api.sock (only root may: name --server with a token otherwise): permission denied"; err.Error() != want {
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
