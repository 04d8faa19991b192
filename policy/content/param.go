package content

import (
	"strconv"
	"strings"
)

// A media is the value of Content-Type or Content-Disposition: a word in lower case and its
// parameters.
type media struct {
	kind   string
	params []param
}

type param struct{ name, value string }

// parseMedia reads what it can.
func parseMedia(value string) media {
	value = guessString(unfold(cutText(value, maxField)))
	kind, rest, _ := strings.Cut(value, ";")
	m := media{kind: strings.ToLower(token(kind))}
	for rest != "" && len(m.params) < maxParams {
		var p param
		p, rest = parseParam(rest)
		if p.name != "" {
			m.params = append(m.params, p)
		}
	}
	return m
}

// parseParam reads a parameter and gives what follows its semicolon.
func parseParam(s string) (p param, rest string) {
	end := strings.IndexAny(s, "=;")
	if end < 0 {
		return param{}, ""
	}
	if s[end] == ';' {
		return param{}, s[end+1:]
	}
	p.name = strings.ToLower(strings.TrimSpace(s[:end]))
	s = strings.TrimLeft(s[end+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		if end := endQuote(s[1:]); end >= 0 {
			p.value = unescapeName(s[1 : end+1])
			_, rest, _ = strings.Cut(s[end+2:], ";")
			return p, rest
		}
		s = s[1:]
	}
	p.value, rest, _ = strings.Cut(s, ";")
	p.value = strings.TrimSpace(p.value)
	return p, rest
}

// unescapeName undoes quoted pairs, but leaves the backslashes of a Windows path alone.
func unescapeName(s string) string {
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s)
}

// raw gives a parameter as it stands.
func (m *media) raw(name string) (string, bool) {
	for _, p := range m.params {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// word gives a parameter that is a single word in lower case, such as a charset.
func (m *media) word(name string) string { return strings.ToLower(token(m.text(name))) }

// text gives a parameter decoded: RFC 2231, or RFC 2047, which is forbidden and common here.
func (m *media) text(name string) string {
	if v, ok := m.raw(name + "*"); ok {
		return extended(v)
	}
	if v, ok := m.continued(name); ok {
		return v
	}
	v, _ := m.raw(name)
	return Decode(v)
}

// continued puts the pieces of RFC 2231 3 and 4.1 together.
func (m *media) continued(name string) (string, bool) {
	charset := ""
	var octets []byte
	found, coded := false, false
	for i := range maxParams {
		key := name + "*" + strconv.Itoa(i)
		v, ok := m.raw(key + "*")
		if ok {
			if i == 0 {
				charset, v = splitCharset(v)
			}
			octets, found, coded = append(octets, percent(v)...), true, true
			continue
		}
		if v, ok = m.raw(key); !ok {
			break
		}
		octets, found = append(octets, v...), true
	}
	if !coded {
		return Decode(string(octets)), found
	}
	decoded, _ := decodeCharset(charset, octets)
	return clean(string(decoded)), found
}

// extended decodes charset'language'text.
func extended(v string) string {
	charset, text := splitCharset(v)
	decoded, _ := decodeCharset(charset, percent(text))
	return clean(string(decoded))
}

func splitCharset(v string) (charset, text string) {
	parts := strings.SplitN(v, "'", 3)
	if len(parts) < 3 {
		return "", v
	}
	return parts[0], parts[2]
}

// percent undoes the percent encoding; what is no code stands for itself.
func percent(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

// token gives the first word; a comment may follow it.
func token(s string) string {
	s = strings.Trim(s, " \t\"'")
	if i := strings.IndexAny(s, " \t(\""); i >= 0 {
		s = s[:i]
	}
	return s
}
