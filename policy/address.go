package policy

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Address is a mailbox as it stands in an SMTP path without its angle brackets: local-part@domain,
// the local part quoted where RFC 5321 4.1.2 wants it so. The empty Address is the null sender "<>".
// Postmaster without a domain (RFC 5321 4.5.1) is a valid recipient.
type Address string

// Limits of RFC 5321 4.5.3.1. Local parts may be longer in practice (VERP, SRS): only the whole
// path is bounded.
const maxAddress = 998

// Errors of ParseAddress; their texts are for the person who typed the address.
var (
	errAddressEmpty   = errors.New("the address is empty")
	errAddressLong    = errors.New("the address is longer than 998 octets")
	errAddressDomain  = errors.New("the address has no domain: write it as name@example.com")
	errAddressControl = errors.New("the address contains a control character or a broken UTF-8 sequence")
)

// NewAddress makes an Address from a local part without quotes and a domain. The local part is
// quoted when it is not a dot-atom, so that nothing in it can end the path or start a parameter.
func NewAddress(local, domain string) (Address, error) {
	if whole := local + "@" + domain; strings.ContainsFunc(whole, unicode.IsControl) || !utf8.ValidString(whole) {
		return "", errAddressControl
	}
	if !isDotAtom(local) {
		local = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
	}
	if len(local)+len(domain)+len("<@>") > maxAddress {
		return "", errAddressLong
	}
	if domain == "" {
		if strings.EqualFold(local, "postmaster") {
			return Address(local), nil
		}
		return "", errAddressDomain
	}
	if !isDomain(domain) {
		return "", errAddressDomain
	}
	return Address(local + "@" + domain), nil
}

// ParseAddress reads a bare address as people and configuration files write it: name@domain, in
// angle brackets or not, the local part quoted or not. It is not a parser for header fields.
func ParseAddress(s string) (Address, error) {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '<' && s[len(s)-1] == '>' {
		s = s[1 : len(s)-1]
	}
	if s == "" {
		return "", errAddressEmpty
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return NewAddress(unquote(s), "")
	}
	if at == 0 {
		return "", errAddressEmpty
	}
	return NewAddress(unquote(s[:at]), s[at+1:])
}

// Local is the part before the @, still quoted where it was quoted.
func (a Address) Local() string {
	if at := strings.LastIndexByte(string(a), '@'); at >= 0 {
		return string(a[:at])
	}
	return string(a)
}

// Domain is the part after the last @ in lower case, as A-label where it is an internationalised
// name; empty for the null sender and for postmaster.
func (a Address) Domain() string {
	at := strings.LastIndexByte(string(a), '@')
	if at < 0 {
		return ""
	}
	return foldDomain(string(a[at+1:]))
}

// Key is the form under which addresses are compared, counted and indexed: the local part in lower
// case and the folded domain. Local parts are case-sensitive by the letter of RFC 5321 2.4; no
// mailbox system in use treats them so.
func (a Address) Key() string {
	if a == "" {
		return ""
	}
	local, d := strings.ToLower(a.Local()), a.Domain()
	switch {
	case d == "":
		return local
	case len(local)+len("@")+len(d) == len(a) && string(a[:len(local)]) == local && string(a[len(local)+1:]) == d:
		return string(a) // as nearly always
	}
	return local + "@" + d
}

// String gives the address as it stands in a path, "<>" for the null sender.
func (a Address) String() string {
	if a == "" {
		return "<>"
	}
	return string(a)
}

// IsASCII reports whether the address can be sent without SMTPUTF8 (RFC 6531).
func (a Address) IsASCII() bool {
	for i := range len(a) {
		if a[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// foldDomain lower-cases a domain and turns it into A-labels where that is possible; what IDNA
// refuses (underscores, address literals) stays as it is, in lower case.
func foldDomain(d string) string {
	d = strings.ToLower(strings.TrimRight(d, "."))
	ascii := true
	for i := range len(d) {
		ascii = ascii && d[i] < utf8.RuneSelf
	}
	if ascii {
		return d
	}
	if a, err := idna.Lookup.ToASCII(d); err == nil {
		return strings.TrimRight(a, ".") // of a full stop that IDNA maps to a dot
	}
	return d
}

// isDomain reports whether a domain can stand in a path and is still one after folding. It does not
// look up or judge names.
func isDomain(d string) bool {
	return !strings.ContainsAny(d, "<>@\"") && !strings.ContainsFunc(d, unicode.IsSpace) &&
		strings.Trim(foldDomain(d), ".") != ""
}

func unquote(local string) string {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return local
	}
	var b strings.Builder
	escaped := false
	for _, c := range []byte(local[1 : len(local)-1]) { // octets: broken UTF-8 must stay what it is
		if c == '\\' && !escaped {
			escaped = true
			continue
		}
		escaped = false
		b.WriteByte(c)
	}
	return b.String()
}

// isDotAtom reports whether a local part needs no quotes: RFC 5322 3.2.3 atext and dots, and any
// non-ASCII character but spaces (RFC 6532 3.2). Leading, trailing and double dots exist in the wild
// (docomo.ne.jp) and are safe in a path; they pass as they are.
func isDotAtom(local string) bool {
	if local == "" {
		return false
	}
	for _, r := range local {
		switch {
		case r >= utf8.RuneSelf && !unicode.IsSpace(r), 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		case strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r):
		default:
			return false
		}
	}
	return true
}
