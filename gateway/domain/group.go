package domain

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// providers name those whose mail servers stand under other domains than their own.
var providers = map[string]string{
	"googlemail.com": "google.com",
	"mx.microsoft":   "outlook.com", // Exchange Online with DNSSEC
	"office365.us":   "outlook.com",
	"yahoodns.net":   "yahoo.com",
	"mxhichina.com":  "aliyun.com",
	"ppe-hosted.com": "pphosted.com",
}

// group names the destination of a domain with these mail servers.
func group(domain string, mx []string) string {
	if len(mx) == 0 {
		return registered(domain)
	}
	r := registered(mx[0])
	if p, ok := providers[r]; ok {
		return p
	}
	return r
}

// registered gives the part of a name that somebody registered: one label below what the registries
// offer. Suffixes that companies offer (the private part of the public suffix list) do not count:
// mail servers in different regions of a cloud are one provider's.
func registered(name string) string {
	if strings.HasPrefix(name, "[") { // an address literal
		return name
	}
	suffix, registry := publicsuffix.PublicSuffix(name)
	for !registry {
		_, parent, ok := strings.Cut(suffix, ".")
		if !ok {
			break
		}
		suffix, registry = publicsuffix.PublicSuffix(parent)
	}
	if len(name) <= len(suffix)+1 {
		return name
	}
	rest := name[:len(name)-len(suffix)-1]
	return name[strings.LastIndexByte(rest, '.')+1:]
}
