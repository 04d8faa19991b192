package relay

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// loginReaders find the login in a client's first message, for the mechanisms that are passed
// through.
var loginReaders = map[string]func(string) string{
	"PLAIN":         plainLogin,
	"LOGIN":         func(message string) string { return message },
	"SCRAM-SHA-1":   scramLogin,
	"SCRAM-SHA-256": scramLogin,
	"OAUTHBEARER":   bearerLogin,
	"XOAUTH2":       xoauthLogin,
}

// readable gives those of an upstream's mechanisms that can be passed through, in its order.
func readable(offered []string) []string {
	return slices.DeleteFunc(slices.Clone(offered), func(m string) bool { return loginReaders[m] == nil })
}

// maxLogin bounds what is taken for a login.
const maxLogin = 998

// loginOf reads the login from a client's first message; empty when there is none that could be
// shown.
func loginOf(mechanism string, message []byte) string {
	login := loginReaders[mechanism](string(message))
	if len(login) > maxLogin || !utf8.ValidString(login) || strings.ContainsFunc(login, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	return login
}

// plainLogin reads [authzid] NUL authcid NUL passwd (RFC 4616 2).
func plainLogin(message string) string {
	parts := strings.Split(message, "\x00")
	if len(parts) != 3 {
		return ""
	}
	return parts[1]
}

// scramLogin reads gs2-cbind-flag "," [authzid] "," "n=" saslname ... (RFC 5802 7). A client that
// binds to the channel (p=) cannot succeed: its channel ends here.
func scramLogin(message string) string {
	parts := strings.Split(message, ",")
	if len(parts) < 4 || parts[0] != "n" && parts[0] != "y" {
		return ""
	}
	name, ok := strings.CutPrefix(parts[2], "n=")
	if !ok {
		return ""
	}
	return saslName(name)
}

// bearerLogin reads "n,a=" saslname "," kvsep ... (RFC 7628 3.1).
func bearerLogin(message string) string {
	header, _, _ := strings.Cut(message, "\x01")
	parts := strings.Split(header, ",")
	if len(parts) < 2 {
		return ""
	}
	name, ok := strings.CutPrefix(parts[1], "a=")
	if !ok {
		return ""
	}
	return saslName(name)
}

// xoauthLogin reads "user=" name kvsep "auth=Bearer " ...
func xoauthLogin(message string) string {
	first, _, _ := strings.Cut(message, "\x01")
	name, _ := strings.CutPrefix(first, "user=")
	if name == first {
		return ""
	}
	return name
}

// saslName undoes the escapes of RFC 5801 4.
func saslName(s string) string { return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s) }
