package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/web"
)

// Files go as they are, in their order; the table is of those that went well.
func TestImportSendsFilesAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	old, recent := filepath.Join(dir, "mail.log.2.gz"), filepath.Join(dir, "mail.log.1")
	for name, content := range map[string]string{old: "\x1f\x8b raw", recent: "a line\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := newFakeAPI(t)
	var out bytes.Buffer
	err := run(t.Context(), []string{"track", "--import", old, recent, "-", filepath.Join(dir, "none"), "--server", f.URL}, strings.NewReader("from stdin\n"), &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "none: no such file or directory") || exitCode(err) != 1 {
		t.Errorf("error %v", err)
	}
	want := []string{
		"POST /api/v1/tracking/import?name=mail.log.2.gz \x1f\x8b raw", "POST /api/v1/tracking/import?name=mail.log.1 a line\n",
		"POST /api/v1/tracking/import?name=stdin from stdin\n",
	}
	if !slices.Equal(f.asked, want) {
		t.Errorf("asked %q", f.asked)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 4 || !strings.Contains(out.String(), old+"  1000000  4000") {
		t.Errorf("printed\n%s", out.String())
	}
}

// Who is refused has sent nothing: the octets wait for 100 Continue.
func TestImportWaitsForTheServersWord(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(403)
		_, _ = io.WriteString(w, `{"status":403,"code":"permission_denied","detail":"this needs a token with the role admin"}`)
	}))
	defer s.Close()
	log := &countingReader{}
	err := run(t.Context(), []string{"track", "--import", "-", "--server", s.URL}, log, io.Discard, io.Discard)
	if err == nil || err.Error() != "import -: this needs a token with the role admin" {
		t.Errorf("error %v", err)
	}
	if log.octets > 0 {
		t.Errorf("%d octets were read", log.octets)
	}
}

// A countingReader never ends.
type countingReader struct{ octets int }

func (r *countingReader) Read(p []byte) (int, error) {
	r.octets += len(p)
	return len(p), nil
}

func TestStatsWithoutTracking(t *testing.T) {
	f := newFakeAPI(t)
	f.answer["GET /api/v1/stats"] = web.Stats{Since: noon, Hours: 24}
	out, _, err := f.sendgate(t, "stats")
	if want := "STATE  RECIPIENTS\n0 recipients since 2026-11-21 12:00:00, 0.000% unknown\n"; err != nil || out != want {
		t.Errorf("%q %v", out, err)
	}
}

func TestReplyLines(t *testing.T) {
	for text, want := range map[string][]string{
		"":                         nil,
		"250 2.0.0 Ok":             {"250 2.0.0 Ok"},
		"550-a\r\n550 b":           {"550-a", "550 b"},
		"550-a\n\n550 b\n":         {"550-a", "550 b"},
		"550-a 550-b 550 c 550 d":  {"550-a", "550-b", "550 c 550 d"},
		"said: 550-a 550-b":        {"said: 550-a", "550-b"},
		"550-a 451 b":              {"550-a 451 b"},
		"550 sent 550 550-":        {"550 sent 550 550-"},
		"see rfc2550-3 550 x":      {"see rfc2550-3 550 x"},
		"timeout after 300-second": {"timeout after 300-second"},
	} {
		if got := replyLines(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzReplyLinesLoseNothing(f *testing.F) {
	f.Add("host x said: 550-5.7.1 a 550-5.7.1 b 550 5.7.1 c")
	f.Add("550-\r\n 550 ")
	f.Fuzz(func(t *testing.T, text string) {
		plain := func(s string) string {
			return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \r\n", r) }), "")
		}
		if got := strings.Join(replyLines(text), ""); plain(got) != plain(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
