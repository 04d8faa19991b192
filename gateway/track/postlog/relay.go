package postlog

import "strings"

// A Relay is where a message went or was tried.
type Relay struct {
	Name   string // a host, "none", "local", "virtual", or the name of a pipe's service
	Addr   string // an IP address
	Port   int
	Socket string // a path instead of Addr and Port: "/run/lmtp", "private/dovecot-lmtp"
}

// relay reads "host[192.0.2.1]:25", "host[2001:db8::1]:25", "host[private/lmtp]", "none".
func relay(s string) Relay {
	name, addr, port := peer(s)
	switch {
	case strings.IndexByte(addr, '/') >= 0:
		return Relay{Name: name, Socket: addr}
	case addr == "" && strings.Count(name, ":") == 1: // host:25, as proxies log
		host, digits, _ := strings.Cut(name, ":")
		if n, rest, ok := cutNumber(digits); ok && rest == "" {
			return Relay{Name: host, Port: n}
		}
	}
	return Relay{Name: name, Addr: addr, Port: port}
}

// peer reads "name[address]" and "name[address]:port".
func peer(s string) (name, addr string, port int) {
	open, end := strings.IndexByte(s, '['), strings.LastIndexByte(s, ']')
	if open < 0 || end < open {
		return s, "", 0
	}
	if digits, ok := strings.CutPrefix(s[end+1:], ":"); ok {
		port, _, _ = cutNumber(digits)
	}
	return s[:open], strings.TrimPrefix(s[open+1:end], "IPv6:"), port
}

// cutPeer reads a peer that begins the text, up to where a mark follows its bracket.
func cutPeer(s, mark string) (name, addr, rest string, ok bool) {
	open := strings.IndexByte(s, '[')
	if open < 0 {
		return "", "", s, false
	}
	end := strings.IndexByte(s[open:], ']')
	if end < 0 {
		return "", "", s, false
	}
	after := s[open+end+1:]
	if digits, ok := strings.CutPrefix(after, ":"); ok {
		if _, behind, ok := cutNumber(digits); ok {
			after = behind
		}
	}
	rest, ok = strings.CutPrefix(after, mark)
	name, addr, _ = peer(s[:open+end+1])
	return name, addr, rest, ok
}

// reply reads "550 5.1.1 text" and "5.7.1 text": the SMTP code and the status code (RFC 3463 2) in front.
func reply(text string) (code int, dsn string) {
	n, rest, ok := cutNumber(text)
	if ok && n >= 200 && n <= 599 && len(text)-len(rest) == 3 {
		if rest == "" {
			return n, ""
		}
		if rest[0] != ' ' && rest[0] != '-' {
			return 0, ""
		}
		return n, statusCode(strings.TrimLeft(rest[1:], " "))
	}
	return 0, statusCode(text)
}

// statusCode reads an enhanced status code that begins the text.
func statusCode(s string) string {
	class, rest, ok := cutNumber(s)
	if !ok || class != 2 && class != 4 && class != 5 || !strings.HasPrefix(rest, ".") {
		return ""
	}
	_, rest, ok = cutNumber(rest[1:])
	if !ok || !strings.HasPrefix(rest, ".") {
		return ""
	}
	_, rest, ok = cutNumber(rest[1:])
	if n := len(s) - len(rest); ok && n <= 9 && (rest == "" || rest[0] == ' ' || rest[0] == ':') {
		return s[:n]
	}
	return ""
}
