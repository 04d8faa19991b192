package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSetUpLinkIsPrinted(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/set-up-link" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		_, _ = w.Write([]byte(`{"url": "http://127.0.0.1:8025/set-up?token=x", "until": "2026-11-22T00:00:00Z"}`))
	}))
	defer srv.Close()
	for lang, want := range map[string]string{
		"en": "Open this link within a day; it makes one administrator of the dashboard:\n\n  http://127.0.0.1:8025/set-up?token=x\n",
		"zh": "请在一天内打开此链接，创建一位仪表盘管理员：\n\n  http://127.0.0.1:8025/set-up?token=x\n",
	} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"setup-link", "--another", "--server", srv.URL, "--lang", lang}, nil, &out, &out); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", lang, out.String(), err)
		}
	}
}
