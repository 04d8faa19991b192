package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// chats receives webhooks, each kind under its own path, and answers as the services do.
type chats struct {
	url string
	mu  sync.Mutex
	got map[string][][]byte // bodies by kind
}

// chatAnswers are what the services say when they have taken a message.
var chatAnswers = map[string]string{
	"json":     "",
	"wecom":    `{"errcode":0,"errmsg":"ok"}`,
	"dingtalk": `{"errcode":0,"errmsg":"ok"}`,
	"feishu":   `{"code":0,"msg":"success","data":{}}`,
	"slack":    "ok",
	"teams":    "",
}

// startChats serves until the test ends.
func startChats(t *testing.T) *chats {
	t.Helper()
	c := &chats{got: map[string][][]byte{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := strings.TrimPrefix(r.URL.Path, "/")
		answer, known := chatAnswers[kind]
		body, err := io.ReadAll(r.Body)
		if !known || err != nil || r.Method != http.MethodPost || !json.Valid(body) {
			t.Errorf("%s %s: %v\n%s", r.Method, r.URL, err, body)
		}
		c.mu.Lock()
		c.got[kind] = append(c.got[kind], body)
		c.mu.Unlock()
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// hooks is the list of webhooks in the section of notices.
func (c *chats) hooks() string {
	var b strings.Builder
	for kind := range chatAnswers {
		fmt.Fprintf(&b, "    - {name: %s, kind: %s, url: \"%s/%s\", private: true}\n", kind, kind, c.url, kind)
	}
	return b.String()
}

// told is what the tests read of a notice for programs.
type told struct {
	Kind, Severity string
	Title          struct{ EN, ZH string }
	Lines          []struct{ EN, ZH string }
	Facts          []struct{ Value string }
	IncidentID     string `json:"incident_id"`
	Update         bool
}

// notices gives what programs were told so far.
func (c *chats) notices(t *testing.T) (all []told) {
	t.Helper()
	for _, body := range c.bodies("json") {
		var n told
		if err := json.Unmarshal([]byte(body), &n); err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
		all = append(all, n)
	}
	return all
}

// bodies gives what came for a kind of hook so far.
func (c *chats) bodies(kind string) (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, body := range c.got[kind] {
		all = append(all, string(body))
	}
	return all
}
