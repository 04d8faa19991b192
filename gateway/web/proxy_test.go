package web

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/store"
)

func TestWhoMadeARequest(t *testing.T) {
	s := newSettings(&Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}})
	for outcome, c := range map[string]struct {
		remote, proto string
		chain         []string
		client        string
		overTLS       bool
	}{
		"without a proxy":                  {"192.0.2.1:99", "", nil, "", false},
		"a stranger who says much":         {"192.0.2.1:99", "https", []string{"127.0.0.1"}, "", false},
		"behind a proxy":                   {"10.0.0.1:99", "https", []string{"192.0.2.7"}, "192.0.2.7:0", true},
		"behind a proxy, in clear text":    {"10.0.0.1:99", "http", []string{"192.0.2.7"}, "192.0.2.7:0", false},
		"a client who lies to the proxy":   {"10.0.0.1:99", "https", []string{"127.0.0.1, 10.9.9.9, 192.0.2.7"}, "192.0.2.7:0", true},
		"behind two proxies":               {"[2001:db8:1::1]:99", "HTTPS, http", []string{"evil, 192.0.2.7", "10.0.0.2"}, "192.0.2.7:0", true},
		"IPv6, mapped, with a port":        {"[::ffff:10.0.0.1]:99", "", []string{"[2001:db8:2::7]:4711"}, "[2001:db8:2::7]:0", false},
		"IPv6 in brackets":                 {"10.0.0.1:99", "", []string{"[2001:db8:2::7]"}, "[2001:db8:2::7]:0", false},
		"a proxy that asks by itself":      {"10.0.0.1:99", "", []string{"10.0.0.9"}, "10.0.0.9:0", false},
		"a proxy that does not say":        {"10.0.0.1:99", "", nil, "", false},
		"nonsense before the proxy's word": {"10.0.0.1:99", "", []string{"unknown, 10.0.0.2"}, "10.0.0.2:0", false},
		"nonsense only":                    {"10.0.0.1:99", "ftp", []string{"unknown"}, "", false},
		"the socket":                       {"@", "https", []string{"192.0.2.7"}, "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		r.Header.Set(forwardedProto, c.proto)
		for _, one := range c.chain {
			r.Header.Add(forwardedFor, one)
		}
		if client, overTLS := s.origin(r); client != c.client || overTLS != c.overTLS {
			t.Errorf("%s: %q, %v", outcome, client, overTLS)
		}
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add("192.0.2.7, 10.0.0.2", "https")
	f.Add("[2001:db8::1]:80,,unknown", "http, https")
	s := newSettings(&Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	f.Fuzz(func(t *testing.T, chain, proto string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "10.0.0.1:99"
		r.Header[forwardedFor], r.Header[forwardedProto] = []string{chain}, []string{proto}
		if client, _ := s.origin(r); client != "" {
			if _, err := netip.ParseAddrPort(client); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTrustedProxiesAreNotEverybody(t *testing.T) {
	c := DefaultConfig()
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("0.0.0.0/0")}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "trusted_proxies[1]: 0.0.0.0/0: that is everybody: name the addresses of your own proxies") {
		t.Error(err)
	}
}

// behindProxy is a dashboard that a proxy on 10.0.0.1 serves to the world.
func behindProxy(t *testing.T, url string) *dash {
	d := newDash(t)
	c := DefaultConfig()
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	d.server.url = url
	d.server.Reload(c)
	d.handler = d.server.routes()
	return d
}

func (d *dash) signInFrom(remote, client, proto, name, secret string) *http.Response {
	r := form("/sign-in", "name", name, "password", secret)
	r.RemoteAddr = remote
	r.Header.Set(forwardedFor, client)
	r.Header.Set(forwardedProto, proto)
	return d.answer(r)
}

func TestCookiesBehindAProxy(t *testing.T) {
	for outcome, c := range map[string]struct {
		url, remote, proto string
		secure             bool
	}{
		"by the proxy's word":           {"http://127.0.0.1:8025", "10.0.0.1:9", "https", true},
		"by the address people open":    {"https://gw.corp.example", "192.0.2.1:9", "", true},
		"in clear text":                 {"http://127.0.0.1:8025", "10.0.0.1:9", "http", false},
		"by the word of nobody we know": {"http://127.0.0.1:8025", "192.0.2.1:9", "https", false},
	} {
		t.Run(outcome, func(t *testing.T) {
			d := behindProxy(t, c.url)
			res := d.signInFrom(c.remote, "198.51.100.7", c.proto, "admin", password)
			var session *http.Cookie
			for _, one := range res.Cookies() {
				if strings.HasSuffix(one.Name, "sendgate_session") {
					session = one
				}
			}
			if session == nil || session.Secure != c.secure || strings.HasPrefix(session.Name, "__Host-") != c.secure {
				t.Fatalf("%+v", session)
			}
			if hsts := res.Header.Get("Strict-Transport-Security") != ""; hsts != c.secure {
				t.Errorf("Strict-Transport-Security: %v", hsts)
			}
			r := httptest.NewRequest(http.MethodGet, "/overview", nil)
			r.RemoteAddr = c.remote
			r.Header.Set(forwardedProto, c.proto)
			r.AddCookie(session)
			if got := d.answer(r).StatusCode; got != http.StatusOK {
				t.Errorf("with the cookie: %d", got)
			}
		})
	}
}

func TestClientsBehindAProxyHaveTheirOwnTries(t *testing.T) {
	d := behindProxy(t, "https://gw.corp.example")
	for i := range 8 {
		d.signInFrom("10.0.0.1:9", "198.51.100.7", "https", "nobody"+string(rune('a'+i)), "guess")
	}
	if got := d.signInFrom("10.0.0.1:9", "198.51.100.7", "https", "admin", password).StatusCode; got != http.StatusTooManyRequests {
		t.Errorf("who has tried often: %d", got)
	}
	if got := d.signInFrom("10.0.0.1:9", "198.51.100.8", "https", "admin", password).StatusCode; got != http.StatusSeeOther {
		t.Errorf("another client of the same proxy: %d", got)
	}
	entries, err := d.store.AuditLog(0, 1, func(e *store.AuditEntry) bool { return e.Act == actSignIn })
	if err != nil || len(entries) != 1 || !strings.Contains(auditView(&entries[0]).Detail, "client: 198.51.100.8") {
		t.Errorf("%+v, %v", entries, err)
	}
	if !slices.ContainsFunc(d.desk.Sessions(nil), func(s signin.Session) bool { return s.Address == "198.51.100.8" }) {
		t.Error("no session of the client's own address")
	}
}

// A proxy on this machine would else open what is for this machine only to the whole world.
func TestStatusIsNotForTheClientsOfAProxy(t *testing.T) {
	d := behindProxy(t, "https://gw.corp.example")
	c := DefaultConfig()
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	d.server.Reload(c)
	for client, want := range map[string]int{"": http.StatusOK, "127.0.0.1": http.StatusOK, "198.51.100.7": http.StatusForbidden} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.RemoteAddr = "127.0.0.1:9"
		if client != "" {
			r.Header.Set(forwardedFor, client)
		}
		if got := d.answer(r).StatusCode; got != want {
			t.Errorf("%q: %d", client, got)
		}
	}
}

func TestARequestOverTLSStaysOne(t *testing.T) {
	d := behindProxy(t, "http://127.0.0.1:8025")
	r := form("/sign-in", "name", "admin", "password", password)
	r.TLS = &tls.ConnectionState{ServerName: "gw"}
	if c := d.answer(r).Cookies(); len(c) == 0 || !c[0].Secure {
		t.Errorf("%+v", c)
	}
	if r.RemoteAddr != "192.0.2.1:1234" || r.TLS.ServerName != "gw" {
		t.Error("the request was changed")
	}
}
