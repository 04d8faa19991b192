package main

import (
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
