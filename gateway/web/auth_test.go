package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestRolesDecideWhatATokenMayDo(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	const (
		noToken = "this needs a valid token: send it as Authorization: Bearer TOKEN"
		auditor = "an auditor may look, but not change anything"
		user    = "the role user is for people with mail of their own: this account or token has none"
	)
	for name, tt := range map[string]struct {
		token, method, path string
		status              int
		detail              string
	}{
		"nobody looks":      {"", "GET", "/api/v1/messages", 401, noToken},
		"a guess looks":     {"secret-root", "GET", "/api/v1/messages", 401, noToken},
		"user looks":        {"secret-user", "GET", "/api/v1/messages", 403, user},
		"user acts":         {"secret-user", "POST", "/api/v1/messages/" + id + "/release", 403, user},
		"auditor looks":     {"secret-auditor", "GET", "/api/v1/messages", 200, ""},
		"auditor asks":      {"secret-auditor", "HEAD", "/api/v1/messages", 200, ""},
		"auditor acts":      {"secret-auditor", "POST", "/api/v1/messages/" + id + "/release", 403, auditor},
		"auditor recalls":   {"secret-auditor", "POST", "/api/v1/recalls", 403, auditor},
		"auditor restores":  {"secret-auditor", "POST", "/api/v1/recalls/" + id + "/restore", 403, auditor},
		"operator approves": {"secret-operator", "POST", "/api/v1/recalls/" + id + "/approve", 403, "this needs a token with the role admin"},
		"auditor resends":   {"secret-auditor", "POST", "/api/v1/messages/" + id + "/resend", 403, auditor},
		"auditor counts":    {"secret-auditor", "GET", "/api/v1/stats", 200, ""},
		"auditor tracks":    {"secret-auditor", "GET", "/api/v1/tracking", 200, ""},
		"user counts":       {"secret-user", "GET", "/api/v1/stats", 403, user},
		"operator acts":     {"secret-operator", "POST", "/api/v1/messages/" + id + "/release", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.ask(r.server, tt.token, tt.method, tt.path, "")
			if w.Code != tt.status {
				t.Fatalf("got %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if tt.detail != "" {
				code := map[int]string{401: "unauthorized", 403: "permission_denied"}[tt.status]
				wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, code, tt.detail)
			}
			if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (tt.status == 401) {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
		})
	}
}

func TestAuthorizationHeader(t *testing.T) {
	r := newRig(t)
	for header, want := range map[string]int{
		"Bearer secret-admin":        200,
		"bearer  secret-admin ":      200,
		"Basic secret-admin":         401,
		"secret-admin":               401,
		"Bearer":                     401,
		"Bearer secret-admin, other": 401,
	} {
		req := httptest.NewRequest(http.MethodGet, "/api/v1/messages", nil)
		req.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		r.server.Handler().ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%q: got %d, want %d", header, w.Code, want)
		}
	}
}

func TestProbesAreForStatusNetworksAndTokens(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		for name, tt := range map[string]struct {
			remote, token string
			want          int
		}{
			"from loopback":             {"127.0.0.1:4711", "", 200},
			"from loopback by IPv6":     {"[::1]:4711", "", 200},
			"from mapped loopback":      {"[::ffff:127.0.0.1]:4711", "", 200},
			"from elsewhere":            {"192.0.2.7:4711", "", 403},
			"from elsewhere with token": {"192.0.2.7:4711", "secret-auditor", 200},
			"from elsewhere as user":    {"192.0.2.7:4711", "secret-user", 403},
			"from a socket's name":      {"@", "", 403},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				req := httptest.NewRequest(http.MethodGet, path, nil)
				req.RemoteAddr = tt.remote
				if tt.token != "" {
					req.Header.Set("Authorization", "Bearer "+tt.token)
				}
				w := httptest.NewRecorder()
				r.server.Handler().ServeHTTP(w, req)
				if w.Code != tt.want {
					t.Errorf("got %d, want %d", w.Code, tt.want)
				}
				if tt.want == 403 {
					wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 403, "permission_denied", "this needs a token, or an address in status_networks")
				}
			})
		}
	}
}

func TestReloadChangesTokensAndNetworks(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	cfg := r.server.config
	cfg.Tokens = cfg.Tokens[1:2] // only the operator's
	cfg.StatusNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	cfg.ReasonRequired = false
	r.server.Reload(cfg)
	if w := r.ask(r.server, "secret-admin", http.MethodGet, "/api/v1/messages", ""); w.Code != 401 {
		t.Errorf("the removed token: %d", w.Code)
	}
	if w := r.ask(r.server, "secret-operator", http.MethodPost, "/api/v1/messages/"+id+"/cancel", `{}`); w.Code != 200 {
		t.Errorf("a cancel without a reason: %d %s", w.Code, w.Body)
	}
	// httptest's own address is 192.0.2.1.
	if w := r.ask(r.server, "", http.MethodGet, "/healthz", ""); w.Code != 200 {
		t.Errorf("the new network: %d", w.Code)
	}
}
