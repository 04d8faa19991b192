package relay

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// splitCommand reads a command line as go-smtp does.
func splitCommand(line string) (verb, arg string) {
	line = strings.TrimRight(line, "\r\n")
	if len(line) >= 8 && strings.EqualFold(line[:8], "STARTTLS") {
		return "STARTTLS", ""
	}
	if len(line) < 6 || line[4] != ' ' {
		return strings.ToUpper(line), ""
	}
	return strings.ToUpper(line[:4]), strings.TrimSpace(line[5:])
}

// chunkSize reads the argument of BDAT exactly as go-smtp does: a size that one of the two does not
// see would put them out of step.
func chunkSize(arg string) (int64, bool) {
	args := strings.Fields(arg)
	if len(args) == 0 || len(args) > 2 || len(args) == 2 && !strings.EqualFold(args[1], "LAST") {
		return 0, false
	}
	n, err := strconv.ParseUint(args[0], 10, 32)
	return int64(n), err == nil
}

// cutPostmaster gives what follows TO:<postmaster>.
func cutPostmaster(arg string) (rest string, ok bool) {
	const path = "TO:<postmaster>"
	if len(arg) < 3 || !strings.EqualFold(arg[:3], path[:3]) {
		return "", false
	}
	arg = strings.TrimSpace(arg[3:])
	n := len(path) - 3
	if len(arg) < n || !strings.EqualFold(arg[:n], path[3:]) {
		return "", false
	}
	return arg[n:], true
}

var original = regexp.MustCompile(`(?i) ORCPT=rfc822;([!-~]+)`)

// mendOriginal rewrites the ORCPT that Postfix gives a UTF-8 address, octets above 127 in the xtext
// of type rfc822, in the form of RFC 6533 3, type utf-8: go-smtp refuses the former (quirk test
// TestQuirkOriginalRecipient), and Postfix would return the message to its sender.
func mendOriginal(line string) string {
	at := original.FindStringSubmatchIndex(line)
	if at == nil {
		return line
	}
	address, ok := decodeXtext(line[at[2]:at[3]])
	if !ok || isASCII(address) {
		return line
	}
	var b strings.Builder
	for _, r := range address {
		if r > 0x20 && r < 0x7f && r != '+' && r != '=' && r != '\\' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%02X}`, r)
		}
	}
	return line[:at[0]] + " ORCPT=utf-8;" + b.String() + line[at[1]:]
}

// decodeXtext decodes xtext (RFC 3461 4) into UTF-8 without control characters; else it is not ok.
func decodeXtext(s string) (string, bool) {
	var b []byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+3 > len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(n), i+2
		}
		if c < 0x20 || c == 0x7f {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), utf8.Valid(b)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
