package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	heading = regexp.MustCompile(`(?m)^#+`)
	command = regexp.MustCompile(`(?m)^    ((?:sendgate|go|\./contrib|smtpd_milters|systemctl|apt|dpkg|install|postconf|curl)\b.*)$`)
	quoted  = regexp.MustCompile("`([^`\n]+)`")
)

// The README in Chinese has the headings, the commands and the names of the English one: who changes one of them
// changes the other.
func TestReadmesGoTogether(t *testing.T) {
	english, chinese := read(t, "../../README.md"), read(t, "../README.zh-CN.md")
	if !strings.Contains(first(english, 5), "contrib/README.zh-CN.md") || !strings.Contains(first(chinese, 5), "../README.md") {
		t.Error("the first lines do not lead from one to the other")
	}
	if a, b := heading.FindAllString(english, -1), heading.FindAllString(chinese, -1); !slices.Equal(a, b) {
		t.Errorf("%d headings in English, %d in Chinese, or of other levels", len(a), len(b))
	}
	for _, line := range missing(commands(english), commands(chinese)) {
		t.Errorf("the Chinese one lacks the command %s", line)
	}
	for _, line := range missing(commands(chinese), commands(english)) {
		t.Errorf("the English one lacks the command %s", line)
	}
	for _, name := range missing(quotes(english), quotes(chinese)) {
		t.Errorf("the Chinese one does not name `%s`", name)
	}
}

// commands are the lines of examples, without the words beside them.
func commands(text string) (all []string) {
	for _, m := range command.FindAllStringSubmatch(text, -1) {
		line, _, _ := strings.Cut(m[1], "   ")
		line, _, _ = strings.Cut(line, " #")
		all = append(all, strings.TrimSpace(line))
	}
	return all
}

// quotes are what stands between backquotes.
func quotes(text string) (all []string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// missing are those of a that are not in b.
func missing(a, b []string) (all []string) {
	for _, s := range a {
		if !slices.Contains(b, s) && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func first(text string, lines int) string {
	return strings.Join(strings.SplitN(text, "\n", lines+1)[:lines], "\n")
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
