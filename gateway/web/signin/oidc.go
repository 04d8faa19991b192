package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"golang.org/x/oauth2"
)

// Errors of a sign-in by OpenID Connect.
var (
	ErrProvider = errors.New("provider")  // it does not answer, or not usefully
	ErrNoRole   = errors.New("no_role")   // no group of the user has a role
	ErrExpired  = errors.New("oidc_over") // the sign-in was not begun here, or too long ago
)

const (
	oidcCookie = "sendgate_oidc"
	oidcFor    = 10 * time.Minute
	oidcWait   = 15 * time.Second
)

// Offered reports whether there is single sign-on.
func (d *Desk) Offered() bool { return d.config().OIDC.Issuer != "" }

// TakesMailUsers reports whether people may sign in with their mailbox.
func (d *Desk) TakesMailUsers() bool { return d.checker != nil && d.config().MailUsers }

// Leave sends a browser to the provider.
func (d *Desk) Leave(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), oidcWait)
	defer cancel()
	_, client, err := d.provider(ctx)
	if err != nil {
		return err
	}
	state, nonce, proof := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	http.SetCookie(w, journey(r, state+"."+nonce+"."+proof, int(oidcFor/time.Second)))
	http.Redirect(w, r, client.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(proof)), http.StatusFound)
	return nil
}

// journey is the cookie of who is on the way to the provider and back. Whoever could plant it would sign others in as
// somebody else: over TLS it is this host's alone, and such a cookie has no path.
func journey(r *http.Request, value string, age int) *http.Cookie {
	c := cookie(r, oidcCookie, value, age)
	if r.TLS == nil {
		c.Path = "/oidc/"
	}
	return c
}

// provider asks for the provider's keys and addresses.
func (d *Desk) provider(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	c := d.config().OIDC
	p, err := oidc.NewProvider(ctx, c.Issuer)
	if err != nil {
		return nil, nil, errors.Join(ErrProvider, err)
	}
	var secret []byte
	if c.SecretFile != "" {
		if secret, err = os.ReadFile(c.SecretFile); err != nil {
			return nil, nil, errors.Join(ErrProvider, err)
		}
	}
	return p, &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: strings.TrimSpace(string(secret)), Endpoint: p.Endpoint(),
		RedirectURL: strings.TrimRight(d.config().URL, "/") + "/oidc/back", Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}, nil
}

// Back takes a browser that comes from the provider, and begins a session.
func (d *Desk) Back(w http.ResponseWriter, r *http.Request) (session *Session, err error) {
	defer func() { d.count(bySSO, err) }()
	begun, err := r.Cookie(nameFor(r, oidcCookie))
	if err != nil {
		return nil, ErrExpired
	}
	http.SetCookie(w, journey(r, "", -1))
	parts := strings.Split(begun.Value, ".")
	if len(parts) != 3 || subtle.ConstantTimeCompare([]byte(parts[0]), []byte(r.URL.Query().Get("state"))) != 1 {
		return nil, ErrExpired
	}
	ctx, cancel := context.WithTimeout(r.Context(), oidcWait)
	defer cancel()
	claims, err := d.claims(ctx, r.URL.Query().Get("code"), parts[1], parts[2])
	if err != nil {
		return nil, err
	}
	s, err := d.config().OIDC.session(claims)
	if err != nil {
		return nil, err
	}
	if _, err := d.user(s.User); !errors.Is(err, ErrNoUser) {
		s.User += " (oidc)" // not to be taken for the local user of this name, in events least of all
	}
	if d.checker != nil && s.Identity != "" {
		s.Identity, _ = d.checker.Who(s.Identity)
	}
	d.log.Info("signed in", zap.String("user", s.User), zap.String("kind", s.Kind), zap.String("role", s.Role), zap.String("client", clientOf(r)))
	return d.begin(w, r, *s)
}

// claims redeems the code.
func (d *Desk) claims(ctx context.Context, code, nonce, proof string) (map[string]any, error) {
	p, client, err := d.provider(ctx)
	if err != nil {
		return nil, err
	}
	token, err := client.Exchange(ctx, code, oauth2.VerifierOption(proof))
	if err != nil {
		return nil, errors.Join(ErrProvider, err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, fmt.Errorf("%w: no id_token in the answer", ErrProvider)
	}
	id, err := p.Verifier(&oidc.Config{ClientID: client.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, errors.Join(ErrProvider, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return nil, ErrExpired
	}
	var claims map[string]any
	return claims, id.Claims(&claims)
}

// session makes of claims who it is.
func (o *OIDC) session(claims map[string]any) (*Session, error) {
	s := &Session{Kind: SSO, Role: o.role(claims[o.Groups])}
	if s.Role == "" {
		return nil, ErrNoRole
	}
	for _, name := range []string{"preferred_username", "email", "sub"} {
		if v, ok := claims[name].(string); ok && v != "" {
			s.User = v
			break
		}
	}
	if s.User == "" {
		return nil, fmt.Errorf("%w: it names nobody", ErrProvider)
	}
	if login, ok := claims[o.Login].(string); ok && o.vouches(claims) {
		s.Identity = fold(login)
	}
	if s.Role == "user" && s.Identity == "" {
		return nil, ErrNoRole
	}
	return s, nil
}

// vouches reports whether the provider stands for the login: an address that it calls unverified may be
// anybody's (OpenID Connect Core 5.1).
func (o *OIDC) vouches(claims map[string]any) bool {
	verified, said := claims["email_verified"]
	return o.Login != "email" || !said || verified == true || verified == "true"
}

// role is the strongest that a group of the user has.
func (o *OIDC) role(groups any) string {
	list, _ := groups.([]any)
	for _, role := range policy.Roles { // the strongest first
		if slices.ContainsFunc(list, func(g any) bool { name, ok := g.(string); return ok && o.Roles[name] == role }) {
			return role
		}
	}
	return ""
}
