package signin

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

// A provider is an OpenID provider made from the standard (OpenID Connect Core 1.0, Discovery 1.0, RFC 7636).
type provider struct {
	*httptest.Server
	t      *testing.T
	key    *rsa.PrivateKey
	claims map[string]any // over those that every token has
	codes  map[string]url.Values
}

func newProvider(t *testing.T) *provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, claims: map[string]any{}, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

// consent is what the provider does when the person agrees: it gives a code for the address that asked.
func (p *provider) consent(asked string) (code, state string) {
	u, err := url.Parse(asked)
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" || q.Get("redirect_uri") != "https://gw.corp.example/oidc/back" {
		p.t.Errorf("asked with %v", q)
	}
	code = rand.Text()
	p.codes[code] = q
	return code, q.Get("state")
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	asked, ok := p.codes[r.FormValue("code")]
	id, secret, _ := r.BasicAuth()
	if !ok || oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != asked.Get("code_challenge") || id != "sendgate" || secret != "hush" {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]string{"error": "invalid_grant"})
		return
	}
	delete(p.codes, r.FormValue("code"))
	claims := map[string]any{
		"iss": p.URL, "aud": "sendgate", "sub": "42", "nonce": asked.Get("nonce"), "preferred_username": "carol",
		"email": "Carol@corp.example", "groups": []string{"mail-admins"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	maps.Copy(claims, p.claims)
	p.answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.sign(claims)})
}

func (p *provider) sign(claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k"}}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// use has a world ask the provider.
func (p *provider) use(w *world, secretFile string) {
	c := DefaultConfig()
	c.OIDC.Issuer, c.OIDC.ClientID, c.OIDC.SecretFile, c.URL = p.URL, "sendgate", secretFile, "https://gw.corp.example/"
	c.OIDC.Roles = map[string]string{"mail-admins": "admin", "staff": "user"}
	w.desk.Reload(c)
}

// leave begins a sign-in: it gives the cookie and where the browser is sent.
func (w *world) leave() (cookie *http.Cookie, to string) {
	w.t.Helper()
	out := httptest.NewRecorder()
	if err := w.desk.Leave(out, httptest.NewRequest(http.MethodGet, "/oidc/leave", nil)); err != nil {
		w.t.Fatal(err)
	}
	return out.Result().Cookies()[0], out.Result().Header.Get("Location")
}

func (w *world) back(code, state string, cookies ...*http.Cookie) (*Session, error) {
	r := httptest.NewRequest(http.MethodGet, "/oidc/back?"+url.Values{"code": {code}, "state": {state}}.Encode(), nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return w.desk.Back(httptest.NewRecorder(), r)
}

func TestSingleSignOn(t *testing.T) {
	secret := t.TempDir() + "/secret"
	writeFile(t, secret, "hush\n")
	other := newProvider(t)
	for _, c := range []struct {
		outcome string
		claims  map[string]any
		change  func(p *provider)
		spoil   func(cookie *http.Cookie, code, state *string)
		err     error
		user    string
		role    string
	}{
		{outcome: "an administrator by group", user: "carol", role: "admin"},
		{outcome: "a user with mail", claims: map[string]any{"groups": []string{"staff"}}, user: "carol", role: "user"},
		{outcome: "named like a local user", claims: map[string]any{"preferred_username": "Admin"}, user: "Admin (oidc)", role: "admin"},
		{outcome: "a user whose address nobody vouches for", claims: map[string]any{"groups": []string{"staff"}, "email_verified": false}, err: ErrNoRole},
		{outcome: "no group", claims: map[string]any{"groups": []string{}}, err: ErrNoRole},
		{outcome: "another nonce", claims: map[string]any{"nonce": "replayed"}, err: ErrExpired},
		{outcome: "for another client", claims: map[string]any{"aud": "other"}, err: ErrProvider},
		{outcome: "from another issuer", claims: map[string]any{"iss": "https://evil.example"}, err: ErrProvider},
		{outcome: "too old", claims: map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, err: ErrProvider},
		{outcome: "signed with another key", change: func(p *provider) { p.key = other.key }, err: ErrProvider},
		{outcome: "a code of nobody", spoil: func(_ *http.Cookie, code, _ *string) { *code = "guess" }, err: ErrProvider},
		{outcome: "another state", spoil: func(_ *http.Cookie, _, state *string) { *state = "guess" }, err: ErrExpired},
		{outcome: "no state", spoil: func(c *http.Cookie, _, state *string) { c.Value, *state = "..", "" }, err: ErrProvider},
		{outcome: "a cookie of another form", spoil: func(c *http.Cookie, _, _ *string) { c.Value = "x" }, err: ErrExpired},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			w, p := newWorld(t, mailServer{}), newProvider(t)
			w.add("admin", "correct horse", "admin")
			p.use(w, secret)
			maps.Copy(p.claims, c.claims)
			cookie, to := w.leave()
			if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/oidc/" {
				t.Errorf("cookie %+v", cookie)
			}
			code, state := p.consent(to)
			if c.change != nil {
				served := p.key.PublicKey
				c.change(p)
				other := p.key
				p.Config.Handler = keysOf(p, &served)
				p.key = other
			}
			if c.spoil != nil {
				c.spoil(cookie, &code, &state)
			}
			s, err := w.back(code, state, cookie)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatal(err)
			}
			if err == nil && (s.User != c.user || s.Role != c.role || s.Kind != SSO || s.Identity != "carol@corp.example") {
				t.Errorf("%+v", s)
			}
			if _, err := w.back(code, state, cookie); err == nil {
				t.Error("the code is good twice")
			}
		})
	}
}

// keysOf serves the provider with the keys of before.
func keysOf(p *provider, served *rsa.PublicKey) http.Handler {
	before := p.Config.Handler
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: served, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
			return
		}
		before.ServeHTTP(w, r)
	})
}

func TestSingleSignOnBegunElsewhere(t *testing.T) {
	w, p := newWorld(t, nil), newProvider(t)
	p.use(w, "")
	_, to := w.leave()
	code, state := p.consent(to)
	if _, err := w.back(code, state); !errors.Is(err, ErrExpired) {
		t.Errorf("without the cookie: %v", err)
	}
	p.Close()
	if err := w.desk.Leave(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/oidc/leave", nil)); !errors.Is(err, ErrProvider) {
		t.Errorf("with the provider away: %v", err)
	}
}

func TestSingleSignOnEndsWithItsConfiguration(t *testing.T) {
	secret := t.TempDir() + "/secret"
	writeFile(t, secret, "hush")
	w, p := newWorld(t, nil), newProvider(t)
	p.use(w, secret)
	cookie, to := w.leave()
	code, state := p.consent(to)
	r := httptest.NewRequest(http.MethodGet, "/oidc/back?"+url.Values{"code": {code}, "state": {state}}.Encode(), nil)
	r.AddCookie(cookie)
	out := httptest.NewRecorder()
	if _, err := w.desk.Back(out, r); err != nil {
		t.Fatal(err)
	}
	next := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range out.Result().Cookies() {
		next.AddCookie(c)
	}
	if w.desk.Session(next) == nil {
		t.Fatal("not signed in")
	}
	if token, err := w.desk.SetUp(); token != "" || err != nil || w.desk.Empty() {
		t.Errorf("a set-up link beside single sign-on: %q, %v", token, err)
	}
	if w.desk.Reload(DefaultConfig()); w.desk.Session(next) != nil || w.desk.Offered() {
		t.Error("signed in without single sign-on")
	}
}

// TestTheLibraryChecksNoNonce holds what oidc.go relies on not to be there.
func TestTheLibraryChecksNoNonce(t *testing.T) {
	p := newProvider(t)
	found, err := oidc.NewProvider(t.Context(), p.URL)
	if err != nil {
		t.Fatal(err)
	}
	raw := p.sign(map[string]any{"iss": p.URL, "aud": "sendgate", "sub": "42", "nonce": "any", "exp": time.Now().Add(time.Minute).Unix()})
	if id, err := found.Verifier(&oidc.Config{ClientID: "sendgate"}).Verify(t.Context(), raw); err != nil || !strings.EqualFold(id.Nonce, "any") {
		t.Errorf("%+v, %v", id, err)
	}
}

// Over TLS a cookie that somebody on the way has planted is not that of who has left for the provider.
func TestTheWayToTheProviderOverTLSIsThisHostsAlone(t *testing.T) {
	w, p := newWorld(t, mailServer{}), newProvider(t)
	secret := t.TempDir() + "/secret"
	writeFile(t, secret, "hush")
	p.use(w, secret)
	out := httptest.NewRecorder()
	if err := w.desk.Leave(out, httptest.NewRequest(http.MethodGet, "https://gw.corp.example/oidc/leave", nil)); err != nil {
		t.Fatal(err)
	}
	own := out.Result().Cookies()[0]
	if own.Name != "__Host-sendgate_oidc" || !own.Secure || !own.HttpOnly || own.Path != "/" || own.Domain != "" {
		t.Fatalf("the cookie is %+v", own)
	}
	planted := *own
	planted.Name = "sendgate_oidc"
	code, state := p.consent(out.Result().Header.Get("Location"))
	for _, c := range []*http.Cookie{&planted, own} {
		r := httptest.NewRequest(http.MethodGet, "https://gw.corp.example/oidc/back?"+url.Values{"code": {code}, "state": {state}}.Encode(), nil)
		r.AddCookie(c)
		back := httptest.NewRecorder()
		_, err := w.desk.Back(back, r)
		if c == own && err != nil || c != own && !errors.Is(err, ErrExpired) {
			t.Errorf("with %s: %v", c.Name, err)
		}
		if gone := back.Result().Cookies(); c == own && (gone[0].Name != own.Name || gone[0].MaxAge >= 0 || gone[0].Path != "/") {
			t.Errorf("after it: %+v", gone)
		}
	}
}
