package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// run listens and serves until the test ends.
func (r *rig) run(change func(*Config)) *Server {
	r.t.Helper()
	s := r.serverFor(r.store)
	s.config.Listen, s.config.Socket = "127.0.0.1:0", filepath.Join(r.t.TempDir(), "run", "api.sock")
	if change != nil {
		change(&s.config)
	}
	if err := s.Listen(); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	return s
}

func socketClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}
}

func TestTheSocketKnowsItsPeer(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	s := r.run(nil)
	info, err := os.Stat(s.config.Socket)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	resp, err := socketClient(s.config.Socket).Post("http://sendgate/api/v1/messages/"+id+"/release", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var m MessageDetail
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s %v", resp.Status, err)
	}
	if got, want := m.Timeline[len(m.Timeline)-1].Actor, "socket:uid "+strconv.Itoa(os.Getuid()); got != want {
		t.Errorf("actor %q, want %q", got, want)
	}
}

func TestAStrangersProcessIsRefusedOnTheSocket(t *testing.T) {
	r := newRig(t)
	for _, uid := range []int{-1, os.Getuid() + 1} {
		req := httptest.NewRequest(http.MethodGet, "/api/v1/messages", nil)
		req.Header.Set("Authorization", "Bearer secret-admin")
		req = req.WithContext(context.WithValue(req.Context(), peerKey, uid))
		w := httptest.NewRecorder()
		r.server.Handler().ServeHTTP(w, req)
		wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 403, "permission_denied", "this socket is for root and the user that sendgate runs as")
	}
}

func TestListenReplacesADeadSocketOnly(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := listenSocket(dead)
	if err != nil {
		t.Fatalf("a dead socket: %v", err)
	}
	defer again.Close()
	if _, err := listenSocket(dead); err == nil || err.Error() != dead+" is in use by another process" {
		t.Errorf("a live socket: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(file); err == nil || err.Error() != file+" is in the way: it is not a socket" {
		t.Errorf("a file: %v", err)
	}
}

func TestListenClosesWhatItOpenedOnAnError(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := r.serverFor(r.store)
	s.config.Listen, s.config.Socket = "127.0.0.1:0", file
	if err := s.Listen(); err == nil || !strings.HasPrefix(err.Error(), "listen for the API: ") {
		t.Errorf("got %v", err)
	}
	if s.Addr() != nil {
		t.Errorf("still listening on %v", s.Addr())
	}
}

func TestTLSUsesARenewedCertificate(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first := writeCertificate(t, cert, key, 1)
	s := r.run(func(c *Config) { c.Certificate, c.Key = cert, key })
	fetch := func(pool *x509.CertPool) (string, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
		defer client.CloseIdleConnections()
		resp, err := client.Get("https://" + s.Addr().String() + "/healthz")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.Proto + " " + string(body), err
	}
	if got, err := fetch(first); err != nil || got != "HTTP/2.0 ok\n" {
		t.Errorf("got %q %v", got, err)
	}
	second := writeCertificate(t, cert, key, 2)
	if got, err := fetch(second); err != nil || got != "HTTP/2.0 ok\n" {
		t.Errorf("after renewal got %q %v", got, err)
	}
	if _, err := fetch(first); err == nil {
		t.Error("the old certificate is still used")
	}
}

func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return pool
}

// Events must outlive the server's write timeout, over HTTP/2 too.
func TestEventsOverHTTP2(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := httptest.NewUnstartedServer(r.server.Handler())
	h.EnableHTTP2 = true
	h.Config.WriteTimeout = 4 * time.Second // the handshake has no longer, either
	r.server.heartbeat = 50 * time.Millisecond
	h.StartTLS()
	t.Cleanup(h.Close)
	t.Cleanup(r.server.close)
	s := follow(t, h, "", "")
	for start := time.Now(); time.Since(start) < 3*h.Config.WriteTimeout/2; {
		s.line()
	}
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	if _, got := s.record(); got.ID != id {
		t.Errorf("got %s, want %s", got.ID, id)
	}
}

func TestReadinessNamesItsParts(t *testing.T) {
	r := newRig(t)
	r.parts = []Part{{Name: "upstream mx", Detail: "connection refused"}}
	ask := func(s *Server) (int, string) {
		w := r.ask(s, "secret-auditor", http.MethodGet, "/readyz", "")
		return w.Code, w.Body.String()
	}
	code, body := ask(r.server)
	if want := `{"ready":true,"status":"degraded","reasons":["upstream mx: connection refused"],` +
		`"parts":[{"name":"store","ok":true,"decides":true},{"name":"upstream mx","ok":false,"detail":"connection refused"}]}` + "\n"; code != 200 || body != want {
		t.Errorf("upstream away: %d %s", code, body)
	}
	code, body = ask(r.serverFor(brokenJournal{r.store}))
	if want := `{"ready":false,"status":"not_ready","reasons":["store: the disk is nearly full","upstream mx: connection refused"],` +
		`"parts":[{"name":"store","ok":false,"decides":true,"detail":"the disk is nearly full"},{"name":"upstream mx","ok":false,"detail":"connection refused"}]}` + "\n"; code != 503 || body != want {
		t.Errorf("disk full: %d %s", code, body)
	}
	r.parts = []Part{{Name: "relay", Decides: true, Detail: "no more connections are taken"}, {Name: "milter", OK: true, Decides: true}}
	code, body = ask(r.server)
	if code != 503 || !strings.HasPrefix(body, `{"ready":false,"status":"not_ready","reasons":["relay: no more connections are taken"],`) {
		t.Errorf("a front is closed: %d %s", code, body)
	}
	r.parts = nil
	if code, body = ask(r.server); code != 200 || !strings.HasPrefix(body, `{"ready":true,"status":"ready","reasons":[],`) {
		t.Errorf("all is well: %d %s", code, body)
	}
	r.server.close()
	if code, body = ask(r.server); code != 503 || !strings.Contains(body, `{"name":"process","ok":false,"decides":true,"detail":"sendgate is shutting down"}`) {
		t.Errorf("draining: %d %s", code, body)
	}
}

func TestMetricsComeFromTheRegistry(t *testing.T) {
	r := newRig(t)
	w := r.ask(r.server, "secret-auditor", http.MethodGet, "/metrics", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "sendgate_test 7\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestFrontPageAndHeaders(t *testing.T) {
	r := newRig(t)
	w := r.ask(r.server, "", http.MethodGet, "/", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "/api/v1") || !strings.Contains(w.Body.String(), "接口") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "<script") || strings.Contains(w.Body.String(), "//") {
		t.Error("the page loads something")
	}
	for name, want := range map[string]string{
		"Cache-Control":           "no-store",
		"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Content-Type":            "text/html; charset=utf-8",
		"Referrer-Policy":         "no-referrer",
		"X-Content-Type-Options":  "nosniff",
		"X-Frame-Options":         "DENY",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestOpenAPIListsEveryOperation(t *testing.T) {
	r := newRig(t)
	w := r.ask(r.server, "", http.MethodGet, "/api/v1/openapi.json", "")
	var spec struct {
		Info  struct{ Title, Version string }
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref    string `json:"$ref"`
						Format string
					}
				}
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &spec); err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	want := map[string]string{
		"get /api/v1/messages":               "MessageList",
		"get /api/v1/messages/{id}":          "MessageDetail",
		"post /api/v1/messages/{id}/release": "MessageDetail",
		"post /api/v1/messages/{id}/hold":    "MessageDetail",
		"post /api/v1/messages/{id}/cancel":  "MessageDetail",
		"post /api/v1/messages/{id}/resend":  "MessageDetail",
		"get /api/v1/stats":                  "Stats",
		"get /api/v1/overview":               "Overview",

		"get /api/v1/me":                    "Me",
		"post /api/v1/me/password":          "",
		"get /api/v1/tokens":                "TokensOutputBody",
		"get /api/v1/sessions":              "SessionsOutputBody",
		"post /api/v1/sessions/{id}/revoke": "",
		"get /api/v1/config":                "EffectiveConfig",
		"post /api/v1/set-up-link":          "SetUpLink",
		"get /api/v1/users":                 "UsersOutputBody",
		"post /api/v1/users":                "User",
		"post /api/v1/users/{name}":         "User",
		"post /api/v1/users/{name}/remove":  "",
		"get /api/v1/approvals/batches":     "BatchList",

		"get /api/v1/audit":                  "AuditList",
		"get /api/v1/audit/verify":           "AuditVerdict",
		"get /api/v1/people/{person}":        "PersonSummary",
		"get /api/v1/people/{person}/export": "PersonLine",
		"post /api/v1/people/{person}/erase": "Erasure",
		"get /api/v1/messages/{id}/source":   "MessageSource",

		"get /api/v1/messages/{id}/explain":         "Explanation",
		"post /api/v1/messages/{id}/approve":        "MessageDetail",
		"get /api/v1/approvals":                     "ApprovalList",
		"post /api/v1/approvals/approve":            "BatchResult",
		"post /api/v1/approvals/cancel":             "BatchResult",
		"post /api/v1/approvals/{batch}/approve":    "BatchResult",
		"post /api/v1/approvals/{batch}/cancel":     "BatchResult",
		"get /api/v1/limits":                        "UsageList",
		"get /api/v1/senders":                       "SenderList",
		"get /api/v1/senders/{identity}":            "SenderDetail",
		"post /api/v1/senders/{identity}/boost":     "SenderDetail",
		"post /api/v1/senders/{identity}/override":  "SenderDetail",
		"post /api/v1/senders/{identity}/revoke":    "SenderDetail",
		"post /api/v1/senders/{identity}/reset":     "SenderDetail",
		"post /api/v1/senders/{identity}/suspend":   "SenderDetail",
		"post /api/v1/senders/{identity}/unsuspend": "SenderDetail",
		"get /api/v1/rules":                         "Rules",
		"post /api/v1/rules/test":                   "BackTest",
		"get /api/v1/alerts":                        "AlertList",
		"post /api/v1/alerts/{id}/acknowledge":      "Alert",

		"get /api/v1/campaigns":                "CampaignList",
		"get /api/v1/campaigns/{id}":           "CampaignDetail",
		"post /api/v1/campaigns/{id}/approve":  "CampaignResult",
		"post /api/v1/campaigns/{id}/cancel":   "CampaignResult",
		"post /api/v1/campaigns/{id}/slow":     "CampaignResult",
		"post /api/v1/campaigns/{id}/allow":    "CampaignResult",
		"post /api/v1/campaigns/{id}/withdraw": "CampaignResult",

		"get /api/v1/webhooks": "WebhookList", "post /api/v1/webhooks/{name}/test": "WebhookTest", "post /api/v1/webhooks/{name}/resume": "Webhook",
		"get /api/v1/me/limits": "MyLimits", "get /api/v1/me/sign-ins": "SignInsOutputBody", "get /api/v1/senders/{identity}/sign-ins": "SignInsOutputBody",
		"get /api/v1/store": "Storage", "post /api/v1/backup": "binary",
		"get /api/v1/bypass": "Bypass", "post /api/v1/bypass": "Bypass", "delete /api/v1/bypass": "Bypass",
		"get /api/v1/drain": "Drain", "post /api/v1/drain": "Drain", "delete /api/v1/drain": "Drain",
		"get /api/v1/tracking":         "Tracking",
		"post /api/v1/tracking/import": "ImportReport",
		"get /api/v1/recalls":          "RecallList",
		"post /api/v1/recalls":         "Recall",
		"get /api/v1/recalls/{id}":     "Recall",

		"post /api/v1/recalls/{id}/cancel":  "Recall",
		"post /api/v1/recalls/{id}/approve": "Recall",
		"post /api/v1/recalls/{id}/restore": "Recall",
		"get /api/v1/recalls/{id}/events":   "Recall",
		"get /api/v1/stats/recalls":         "RecallStats",

		"get /api/v1/events": "LiveRecord",
	}
	for path, methods := range spec.Paths {
		for method, op := range methods {
			name := method + " " + path
			schema, ok := want[name]
			if !ok {
				t.Errorf("%s is described, but not expected", name)
			}
			delete(want, name)
			for ct, content := range op.Responses["200"].Content {
				if got := content.Schema.Ref + content.Schema.Format; got != "#/components/schemas/"+schema && got != schema {
					t.Errorf("%s answers %s as %s, want %s", name, ct, content.Schema.Ref, schema)
				}
			}
			if got := op.Responses["default"].Content["application/problem+json"].Schema.Ref; got != "#/components/schemas/Problem" {
				t.Errorf("%s: problems are %q", name, got)
			}
		}
	}
	for name := range want {
		t.Errorf("%s is not described", name)
	}
	if spec.Info.Title != "sendgate" || spec.Info.Version != "1.2.3" {
		t.Errorf("info %+v", spec.Info)
	}
}

func TestExposureWithoutTLSIsWarnedAbout(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:8025": false, "[::1]:8025": false, "localhost:8025": false, "": false,
		":8025": true, "0.0.0.0:8025": true, "192.0.2.1:8025": true, "gw.corp.example:8025": true,
	} {
		if got := (&Config{Listen: listen}).exposed(); got != want {
			t.Errorf("%q: %v, want %v", listen, got, want)
		}
	}
	if (&Config{Listen: ":8025", Certificate: "c"}).exposed() {
		t.Error("with TLS it is exposed")
	}
	r := newRig(t)
	s := r.serverFor(r.store)
	s.config.Listen, s.config.Socket = "0.0.0.0:bad", ""
	core, logs := observer.New(zap.WarnLevel)
	s.log = zap.New(core)
	if err := s.Listen(); err == nil {
		t.Fatal("listened on a bad port")
	}
	if n := logs.FilterMessage("the API is reachable from other machines without TLS: tokens can be read on the way").Len(); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

func TestConfigFaultsAreReportedTogether(t *testing.T) {
	good := DefaultConfig()
	if err := good.Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	sum := strings.Repeat("ab", 32)
	bad := Config{
		Listen: "8025", Socket: "/" + strings.Repeat("x", 107), Certificate: "c.pem",
		Tokens: []Token{{"a", "admin", sum}, {"a", "root", "secret"}, {"b c", "user", sum}},
	}
	want := []string{
		"listen: 8025: write it as address:port, such as 127.0.0.1:8025",
		"socket: /" + strings.Repeat("x", 107) + ": the path of a socket is at most 107 octets long",
		"certificate: c.pem: certificate and key go together",
		"tokens[1].name: a: there is another token of this name",
		"tokens[1].role: root: not a role: use admin, operator, auditor, user",
		"tokens[1].sha256: write the SHA-256 of the token as 64 hexadecimal digits (sendgate token new prints it)",
		"tokens[2].name: b c: a token needs a name without spaces: it is what people see in events",
	}
	if got := fmt.Sprint(bad.Validate()); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if got := fmt.Sprint((&Config{}).Validate()); got != "listen: the API needs listen or socket" {
		t.Errorf("nothing: %s", got)
	}
}

// huma's own handler for the description encodes it without a lock, and its error type is a global:
// both are why this package does that itself. This shows that the second is still so.
func TestQuirkHumaRefusesWithItsOwnType(t *testing.T) {
	if _, ok := huma.Error422UnprocessableEntity("x").(*huma.ErrorModel); !ok {
		t.Error("huma's errors have another type: explain does not see them")
	}
	hc := humago.NewContext(&huma.Operation{}, httptest.NewRequest(http.MethodGet, "/api/v1/stats", nil), httptest.NewRecorder())
	got, err := explain(hc, "500", &huma.ErrorModel{Status: 500, Detail: "sector 7"})
	if err != nil || got != errInternal {
		t.Errorf("got %v %v", got, err)
	}
}
