package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"go.uber.org/zap"
)

// A principal is who makes a request.
type principal struct {
	actor string // as it stands in events: "api:NAME", "socket:uid 0"
	role  string
	// identity is whose mail a user sees, domains bound what others see; see owns.
	identity string
	domains  []string
	session  *signin.Session // nil for tokens and the socket
}

type contextKey int

const (
	principalKey contextKey = iota // of the request
	peerKey                        // of the connection, on the unix socket
	togetherKey                    // of acts that are one entry of the audit log
)

// actor names who makes the request; the gate let nobody through without a name.
func actor(ctx context.Context) string {
	p, _ := ctx.Value(principalKey).(principal)
	return p.actor
}

// role gives what the maker of the request may do.
func role(ctx context.Context) string {
	p, _ := ctx.Value(principalKey).(principal)
	return p.role
}

// A settings value is what a reload may change.
type settings struct {
	tokens         []knownToken
	statusNetworks []netip.Prefix
	proxies        []netip.Prefix
	reasonRequired bool
}

type knownToken struct {
	principal
	sum [sha256.Size]byte
}

func newSettings(c *Config) *settings {
	s := &settings{statusNetworks: c.StatusNetworks, proxies: c.TrustedProxies, reasonRequired: c.ReasonRequired}
	for _, t := range c.Tokens {
		k := knownToken{principal: principal{actor: "api:" + t.Name, role: t.Role}}
		if n, err := hex.Decode(k.sum[:], []byte(t.SHA256)); err == nil && n == sha256.Size {
			s.tokens = append(s.tokens, k)
		}
	}
	return s
}

// find compares with every token, so that the time taken tells nothing about which one it was like.
func (s *settings) find(token string) (found knownToken, ok bool) {
	sum := sha256.Sum256([]byte(token))
	for _, t := range s.tokens {
		if subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 {
			found, ok = t, true
		}
	}
	return found, ok
}

// identify says who makes the request: the peer of the socket, or the owner of the token.
func (s *Server) identify(r *http.Request) (principal, *Problem) {
	if peer, ok := r.Context().Value(peerKey).(int); ok {
		if peer != 0 && peer != os.Getuid() {
			return principal{}, errPeer
		}
		return principal{actor: "socket:uid " + strconv.Itoa(peer), role: "admin"}, nil
	}
	// RFC 6750 2.1; the scheme's name is without case (RFC 9110 11.1).
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		if session := s.sessionOf(r); session != nil {
			return principalOf(session), nil
		}
		return principal{}, errUnauthorized
	}
	t, ok := s.settings.Load().find(strings.TrimSpace(token))
	if !ok {
		return principal{}, errUnauthorized
	}
	s.uses.note(&t, s.now().UTC(), r.RemoteAddr)
	return t.principal, nil
}

// stillIs reports whether a request that is being answered would be let through now, for the same person with the
// same reach. A stream goes on for days: meanwhile sessions end, tokens are withdrawn, and roles change.
func (s *Server) stillIs(r *http.Request) bool {
	was := whoIs(r.Context())
	now, refused := s.identify(r)
	return refused == nil && now.actor == was.actor && now.role == was.role && now.identity == was.identity && slices.Equal(now.domains, was.domains)
}

// gate lets through whom a token, a session or the socket names. What they may do is in the table of access.
func (s *Server) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, refused := s.identify(r)
		if refused != nil {
			s.log.Warn("request refused", zap.String("client", r.RemoteAddr), zap.String("actor", who.actor),
				zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.String("code", refused.Code))
			if refused.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="sendgate"`) // RFC 6750 3
			}
			writeProblem(w, r, refused)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey, who)))
	})
}

// probeGate lets monitors through by address, everybody else by token.
func (s *Server) probeGate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.fromStatusNetwork(r.RemoteAddr) {
			if who, refused := s.identify(r); refused != nil || reachOf[who.role]&lookers == 0 {
				writeProblem(w, r, errStatusNetwork)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) fromStatusNetwork(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false // the unix socket, where the peer is known instead
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, n := range s.settings.Load().statusNetworks {
		if n.Contains(addr.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}
