package webhook

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// speak answers each request with this text, or with silence.
func speak(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil || text[:min(3, len(text))] == "220" {
					_, _ = io.WriteString(c, text)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// TestWhatAServerSendsIsInNoError has servers that send back what they were sent: the path is the password of a hook.
func TestWhatAServerSendsIsInNoError(t *testing.T) {
	strange := httptest.NewTLSServer(http.NotFoundHandler())
	defer strange.Close()
	plain := strings.Replace(speak(t, "220 /0123456789abcdef\r\n"), "http:", "https:", 1)
	refused := speak(t, "")
	for _, tt := range []struct{ outcome, url, want string }{
		{"no HTTP", speak(t, "/0123456789abcdef is unknown\r\n\r\n"), "its answer cannot be read as HTTP"},
		{"a strange field of the header", speak(t, "HTTP/1.1 200 OK\r\n/0123456789abcdef\r\n\r\n"), "its answer cannot be read as HTTP"},
		{"a strange length", speak(t, "HTTP/1.1 200 OK\r\nContent-Length: /0123456789abcdef\r\n\r\n"), "its answer cannot be read as HTTP"},
		{"a header without an end", speak(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("0123456789abcdef", 1<<20)), "its answer cannot be read as HTTP"},
		{"nothing", refused, "EOF"},
		{"no TLS", plain, "it does not speak TLS"},
		{"a strange certificate", strange.URL, "its certificate is not accepted: x509: certificate signed by unknown authority"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			c := subscriber()
			c.URL, c.Private = Secret(tt.url+"/0123456789abcdef"), true
			s, err := NewSubscribers([]SubscriberConfig{c}, "mx", newLedger(), someone{}, nil, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Test(t.Context(), "crm"); err == nil || err.Error() != tt.want {
				t.Errorf("%.300v", err)
			}
		})
	}
}

// TestAnAnswerWithoutEnd is a success after its status, and is not read for ever.
func TestAnAnswerWithoutEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, maxReply)); err != nil {
				return // the client has had enough
			}
		}
	}))
	defer server.Close()
	c := subscriber()
	c.URL, c.Private, c.Timeout = Secret(server.URL), true, time.Minute
	s, err := NewSubscribers([]SubscriberConfig{c}, "mx", newLedger(), someone{}, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := s.Test(t.Context(), "crm"); err != nil || time.Since(begun) > c.Timeout/2 {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
}

// TestARedirectIsNotFollowed leads to a service that takes orders from this machine only.
func TestARedirectIsNotFollowed(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("an inner service got %s with %v", r.Method, r.Header)
	}))
	defer inner.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(inner.URL, status))
		c := subscriber()
		c.URL, c.Private = Secret(server.URL), true
		s, err := NewSubscribers([]SubscriberConfig{c}, "mx", newLedger(), someone{}, nil, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Test(t.Context(), "crm"); err == nil || !strings.HasPrefix(err.Error(), "HTTP status 30") {
			t.Errorf("%d: %v", status, err)
		}
		server.Close()
	}
}
