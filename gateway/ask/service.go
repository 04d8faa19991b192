package ask

import (
	"slices"
	"strings"
)

// maxIDs bounds how many messages one mail names.
const maxIDs = 20

// words begin a command.
var words = []string{"recall", "撤回", "召回"}

// toService reads a mail to the service address. An attached message says more than the command.
func (m *Mail) toService() *Instruction {
	subject, line := m.subject(), m.firstLine()
	in := &Instruction{Kind: Recall, Language: m.language(subject, line)}
	attached, ids := m.attached()
	if attached {
		in.MessageIDs = ids
	} else if c, ok := command(subject); ok {
		in.MessageIDs, in.Last = c.ids, c.last
		if c, ok := command(line); in.Last && ok && !c.last { // the subject says that, the text which
			in.MessageIDs, in.Last = c.ids, false
		}
	} else if c, ok := command(line); ok {
		in.MessageIDs, in.Last = c.ids, c.last
	}
	if !in.Last && len(in.MessageIDs) == 0 {
		in.Kind = Unclear
	}
	return in
}

// attached gives the Message-IDs of the messages in the mail, and whether there are any messages.
func (m *Mail) attached() (bool, []string) {
	found, ids := enclosed(m.Head)
	return found || m.Content != nil && m.Content.Forwarded != "", ids
}

// firstLine is the first line of the text that says something.
func (m *Mail) firstLine() string {
	if m.Content == nil {
		return ""
	}
	for line := range strings.SplitSeq(m.Content.Text, "\n") {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			return line
		}
	}
	return ""
}

// A said is what a command names.
type said struct {
	ids  []string
	last bool
}

// command reads RECALL, RECALL <id> <id> or RECALL Message-ID: <id>. Anything more is no command, but a
// sentence.
func command(line string) (said, bool) {
	rest, ok := cutWord(line)
	if !ok {
		return said{}, false
	}
	if rest == "" {
		return said{last: true}, true
	}
	if name := "message-id:"; len(rest) > len(name) && strings.EqualFold(rest[:len(name)], name) {
		rest = rest[len(name):]
	}
	var c said
	for word := range strings.FieldsFuncSeq(rest, func(r rune) bool { return r == ' ' || r == ',' }) {
		id, ok := messageID(word)
		if !ok {
			return said{}, false
		}
		c.ids = add(c.ids, id)
	}
	return c, len(c.ids) > 0
}

// cutWord takes the word of a command off, with a colon behind it.
func cutWord(line string) (rest string, ok bool) {
	line = strings.TrimSpace(line)
	for _, w := range words {
		if len(line) < len(w) || !strings.EqualFold(line[:len(w)], w) {
			continue
		}
		rest = line[len(w):]
		trimmed := strings.TrimLeft(rest, " \t:：\u00a0\u3000")
		if rest != "" && trimmed == rest && rest[0] != '<' { // "recalled"
			return "", false
		}
		return strings.TrimSpace(trimmed), true
	}
	return "", false
}

// messageID gives a Message-ID its angle brackets (RFC 5322 3.6.4).
func messageID(word string) (string, bool) {
	bare := strings.TrimSuffix(strings.TrimPrefix(word, "<"), ">")
	if at := strings.IndexByte(bare, '@'); at <= 0 || at == len(bare)-1 || len(bare) > 990 || strings.ContainsAny(bare, "<> \t\r\n") {
		return "", false
	}
	return "<" + bare + ">", true
}

// add appends what is not there yet.
func add(ids []string, id string) []string {
	if len(ids) >= maxIDs || slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}
