package postconf

import (
	"strings"
	"unicode"
)

// Shown is foreign text as it may be shown: on one line, and so that it does not steer a terminal.
func Shown(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// Quoted is a word of a command for a shell, which people are shown.
func Quoted(s string) string { return "'" + strings.ReplaceAll(Shown(s), "'", `'\''`) + "'" }
