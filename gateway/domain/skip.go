package domain

import (
	"strings"

	"github.com/miekg/dns"
)

// reserved are top-level names that are used without the DNS, or inside one organisation.
// home, corp and lan are in wide private use and will not be delegated (RFC 6762 appendix G).
var reserved = map[string]bool{
	"test": true, "localhost": true, "example": true, // RFC 6761
	"local":    true, // RFC 6762
	"onion":    true, // RFC 7686
	"alt":      true, // RFC 9476
	"internal": true, "intranet": true, "private": true, "corp": true, "home": true, "lan": true,
}

// A skipList holds folded domains, with a dot before them where all below is meant too.
type skipList map[string]bool

func newSkipList(patterns []string) skipList {
	l := skipList{}
	for _, p := range patterns {
		if name, ok := parsePattern(p); ok { // the others are not in a valid configuration
			l[name] = true
		}
	}
	return l
}

// has reports whether the list names the domain or, with a dot, one above it.
func (l skipList) has(domain string) bool {
	if l[domain] {
		return true
	}
	for d, ok := domain, true; ok; _, d, ok = strings.Cut(d, ".") {
		if l["."+d] {
			return true
		}
	}
	return false
}

// notAsked says why a domain is not looked up; empty when it is.
func (l skipList) notAsked(domain string) string {
	switch {
	case domain == "":
		return "no domain"
	case strings.HasPrefix(domain, "["):
		return "an address literal"
	case !strings.Contains(domain, "."):
		return "a name of one label"
	case reserved[domain[strings.LastIndexByte(domain, '.')+1:]], strings.HasSuffix("."+domain, ".home.arpa"): // RFC 8375
		return "a reserved name"
	case l.has(domain):
		return "in the skip list"
	case !isName(domain):
		return "no name that could be asked for"
	}
	return ""
}

// isName reports whether a folded domain can be asked for: ASCII, and within the bounds of RFC 1035 2.3.4.
func isName(domain string) bool {
	for i := range len(domain) {
		if c := domain[i]; c <= ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	_, ok := dns.IsDomainName(domain)
	return ok
}
