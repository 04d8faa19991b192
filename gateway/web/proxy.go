package web

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Header fields of a proxy that ends TLS in front of us.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedProto = "X-Forwarded-Proto"
)

// throughProxies shows every request as it was before the proxies of the configuration passed it on: with the
// address of who made it, and as one over TLS when it was. All others may write into these fields what they like.
//
// Where people find the dashboard at https://, what comes in clear text has passed a proxy that does not say so.
// http.Request.TLS is what everything else goes by: whether cookies are Secure, and HSTS is sent.
func (s *Server) throughProxies(next http.Handler) http.Handler {
	https := strings.HasPrefix(s.url, "https://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, overTLS := s.settings.Load().origin(r)
		if overTLS = overTLS || https; client != "" || overTLS && r.TLS == nil {
			r = r.WithContext(r.Context()) // a handler does not change the request of another
			if client != "" {
				r.RemoteAddr = client
			}
			if overTLS && r.TLS == nil {
				r.TLS = &tls.ConnectionState{}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// origin gives the address of who made a request, empty when that is who sent it to us, and whether it was
// made over TLS as far as a trusted proxy says.
func (s *settings) origin(r *http.Request) (client string, overTLS bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !s.trusts(from.Addr()) {
		return "", false // the unix socket has no address
	}
	// The first word is that of the proxy nearest to the client, which knows.
	proto, _, _ := strings.Cut(r.Header.Get(forwardedProto), ",")
	overTLS = strings.EqualFold(strings.TrimSpace(proto), "https")
	chain := strings.Split(strings.Join(r.Header.Values(forwardedFor), ","), ",")
	for _, one := range slices.Backward(chain) {
		addr, ok := parseHop(one)
		if !ok {
			break // written by nobody we trust
		}
		client = net.JoinHostPort(addr.String(), "0")
		if !s.trusts(addr) {
			break // what stands before it is this one's word
		}
	}
	return client, overTLS
}

func (s *settings) trusts(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseHop reads an address as proxies write it: some add a port, some write IPv6 in brackets.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if both, err := netip.ParseAddrPort(text); err == nil {
		return both.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return addr.Unmap().WithZone(""), err == nil
}
