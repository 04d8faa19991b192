package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sendgate/sendgate/gateway/web"
)

// Of what two texts share, so much is shown around a difference.
const (
	sharedShown = 12
	sharedMost  = 2*sharedShown + 4
)

// printSample prints a message of a campaign, and below it how its text differs from the first's.
func (c *client) printSample(s *web.CampaignSample, first bool) error {
	line := strings.Join([]string{s.ID, clock(s.Time), s.Identity}, "  ")
	if s.Subject != "" {
		line += "  " + cut(s.Subject, subjectCells)
	}
	if !first {
		line += "  " + c.say("alike", int(100*s.Similarity))
	}
	text := diffText(s.Edits, !first)
	switch {
	case s.Gone:
		text = c.say("text gone")
	case text == "":
		text = c.say("no text")
	}
	_, err := fmt.Fprintf(c.out, "\n%s\n  %s\n", clean(line), clean(text))
	return err
}

// diffText writes edits as wdiff does: [-old-]{+new+}. What is the same for long is shortened when asked.
func diffText(edits []web.Edit, shorten bool) string {
	var b strings.Builder
	last := "" // the token before
	for i, e := range edits {
		tokens := e.Tokens
		if len(tokens) == 0 {
			continue
		}
		if shorten && e.Op == "same" {
			tokens = shortened(tokens, i > 0, i < len(edits)-1)
		}
		replaced := e.Op == "added" && i > 0 && edits[i-1].Op == "removed"
		if last != "" && !replaced && apart(last, tokens[0]) {
			b.WriteByte(' ')
		}
		before, after := marks(e.Op)
		b.WriteString(before + joined(tokens) + after)
		last = tokens[len(tokens)-1]
	}
	return b.String()
}

func marks(op string) (before, after string) {
	switch op {
	case "removed":
		return "[-", "-]"
	case "added":
		return "{+", "+}"
	}
	return "", ""
}

// shortened leaves out the middle, or what no difference stands next to.
func shortened(tokens []string, before, after bool) []string {
	if len(tokens) <= sharedMost {
		return tokens
	}
	var out []string
	if before || !after {
		out = append(out, tokens[:sharedShown]...)
	}
	out = append(out, "…")
	if after {
		out = append(out, tokens[len(tokens)-sharedShown:]...)
	}
	return out
}

// joined writes words with blanks between them, and ideographs without.
func joined(tokens []string) string {
	var b strings.Builder
	for i, t := range tokens {
		if i > 0 && apart(tokens[i-1], t) {
			b.WriteByte(' ')
		}
		b.WriteString(t)
	}
	return b.String()
}

func apart(a, b string) bool {
	last, _ := utf8.DecodeLastRuneInString(a)
	first, _ := utf8.DecodeRuneInString(b)
	return runeCells(last) < 2 || runeCells(first) < 2
}
