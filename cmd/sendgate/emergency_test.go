package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/store"
)

// An emergency answers for a gateway: each path from a list, the last one again and again.
type emergency struct {
	mu      sync.Mutex
	answers map[string][]any // by method and path
	asked   []string         // with what was sent
}

func (e *emergency) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	e.asked = append(e.asked, strings.TrimSpace(r.Method+" "+strings.TrimPrefix(r.URL.String(), "/api/v1")+" "+string(body)))
	key := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v1")
	list := e.answers[key]
	if len(list) == 0 {
		hijacked, _, err := w.(http.Hijacker).Hijack() // the process is gone
		if err == nil {
			_ = hijacked.Close()
		}
		return
	}
	e.answers[key] = list[1:]
	_ = json.NewEncoder(w).Encode(list[0])
}

// sendgate runs a command against the gateway.
func (e *emergency) sendgate(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	server := httptest.NewServer(e)
	defer server.Close()
	var out bytes.Buffer
	err = run(t.Context(), append(args, "--server", server.URL, "--token", "t"), nil, &out, io.Discard)
	return out.String(), err
}

func TestBypassCommand(t *testing.T) {
	on := web.Bypass{On: true, Until: time.Now().Add(time.Hour), Author: "api:ops", Reason: "limits misfire", Suspensions: true}
	for _, test := range []struct {
		args         []string
		answer       any
		asked, says  string
		wrong, fails string
	}{
		{args: []string{"bypass", "--reason", "r", "--for", "2h", "--suspensions"}, answer: on, asked: `POST /bypass {"for":"2h","reason":"r","suspensions":true}`, says: "left) by api:ops: limits misfire; suspended accounts may send, too"},
		{args: []string{"bypass", "--reason", "r"}, answer: on, asked: `POST /bypass {"reason":"r"}`, says: "the rules are bypassed until "},
		{args: []string{"bypass", "status", "--lang", "zh"}, answer: on, asked: "GET /bypass", says: "，操作人 api:ops：limits misfire；被暂停的账号也可发送"},
		{args: []string{"bypass", "status"}, answer: web.Bypass{}, asked: "GET /bypass", says: "the rules apply\n"},
		{args: []string{"bypass", "status", "--json"}, answer: web.Bypass{}, asked: "GET /bypass", says: `{"on":false}`},
		{args: []string{"bypass", "--end", "--reason", "it is mended"}, answer: web.Bypass{}, asked: "DELETE /bypass?reason=it+is+mended", says: "the rules apply\n"},
		{args: []string{"bypass"}, fails: "say why with --reason TEXT"},
		{args: []string{"bypass", "--reason", "r", "--for", "soon"}, fails: `--for "soon": write a duration`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			method, path, _ := strings.Cut(test.asked, " ")
			path, _, _ = strings.Cut(path, " ")
			path, _, _ = strings.Cut(path, "?")
			e := &emergency{answers: map[string][]any{method + " " + path: {test.answer}}}
			out, err := e.sendgate(t, test.args...)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || exitCode(err) != 2 || len(e.asked) > 0 {
					t.Errorf("%v, asked %q", err, e.asked)
				}
				return
			}
			if err != nil || !strings.Contains(out, test.says) || strings.Join(e.asked, ", ") != test.asked {
				t.Errorf("%q %v, asked %q", out, err, e.asked)
			}
		})
	}
}

func TestDrainCommand(t *testing.T) {
	at := func(state string, released, left int, stays ...web.Staying) web.Drain {
		return web.Drain{State: state, Released: released, Left: left, Staying: len(stays), Stays: append([]web.Staying{}, stays...)}
	}
	stays := []web.Staying{{ID: first, Sender: "ann@corp.example", Why: "approval"}, {ID: second, Sender: "eve@corp.example", Why: "suspended"}, {ID: "X", Sender: "<>", Why: "time"}}
	for _, test := range []struct {
		name    string
		args    []string
		answers map[string][]any
		says    string
		err     string
	}{
		{"to its end", []string{"drain", "--timeout", "5m"}, map[string][]any{
			"POST /drain": {at(web.DrainOn, 0, 3)}, "GET /drain": {at(web.DrainOn, 2, 1), at(web.DrainEnded, 3, 0)},
		}, "draining: 0 let go, 3 left, 0 stay\ndraining: 2 let go, 1 left, 0 stay\ndrained; the process ends: 3 let go, 0 left, 0 stay\n", ""},
		{"the process is gone when it is asked again", []string{"drain", "--lang", "zh"}, map[string][]any{
			"POST /drain": {at(web.DrainOn, 0, 1)}, "GET /drain": {at(web.DrainClosing, 1, 0)},
		}, "正在排空：已放行 0，剩余 1，保留 0\n正在关闭：已放行 1，剩余 0，保留 0\n已排空，进程即将结束：已放行 1，剩余 0，保留 0\n", ""},
		{"what stays is named", []string{"drain"}, map[string][]any{
			"POST /drain": {at(web.DrainOn, 0, 0)}, "GET /drain": {at(web.DrainEnded, 0, 0, stays...)},
		}, first + "  ann@corp.example  waits for approval\n" + second + "  eve@corp.example  its account is suspended\nX", "not all mail could leave"},
		{"somebody stops it", []string{"drain"}, map[string][]any{
			"POST /drain": {at(web.DrainOn, 0, 1)}, "GET /drain": {at(web.DrainOff, 0, 0)},
		}, "the gateway takes mail\n", ""},
		{"it breaks off before its end", []string{"drain"}, map[string][]any{"POST /drain": {at(web.DrainOn, 0, 1)}}, "", "cannot ask sendgate"},
		{"status", []string{"drain", "status"}, map[string][]any{"GET /drain": {at(web.DrainOn, 1, 2, stays[0])}}, "draining: 1 let go, 2 left, 1 stay\n" + first, ""},
		{"stop", []string{"drain", "--stop"}, map[string][]any{"DELETE /drain": {at(web.DrainOff, 0, 0)}}, "the gateway takes mail\n", ""},
		{"json", []string{"drain", "--json"}, map[string][]any{"POST /drain": {at(web.DrainOn, 0, 1)}}, `"state":"draining"`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := &emergency{answers: test.answers}
			out, err := e.sendgate(t, test.args...)
			if !strings.Contains(out, test.says) || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

func TestExportHeldCommand(t *testing.T) {
	cfg := store.DefaultConfig()
	cfg.Dir = t.TempDir()
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	export := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"export-held"}, args...), nil, &out, io.Discard)
		return out.String(), err
	}
	if out, err := export(filepath.Join(t.TempDir(), "mail"), "--data", cfg.Dir); err != nil || !strings.Contains(out, ": 0, each as ID.eml") {
		t.Errorf("%q %v", out, err)
	}
	if _, err := export("x", "--data", "y", "--config", "z"); err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), "exclude each other") {
		t.Error(err)
	}
	if _, err := export("x", "--config", filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "--data DIR needs no configuration") {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(cfg.Dir, "journal", "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	if out, err := export(filepath.Join(t.TempDir(), "mail"), "--data", cfg.Dir); err == nil || err.Error() != "not everything could be read" || !strings.Contains(out, "damaged: MANIFEST") {
		t.Errorf("%q %v", out, err)
	}
}
