package content

import "bytes"

// A sheet is the rules of a document's style elements, as far as they are understood: selectors of
// one name, class or id. Others, and those for some media only, do not hide. What they set otherwise
// is noted under the last of their names, and keeps simpler rules from hiding by it.
type sheet struct {
	rules map[string]style // by selector: p, .x, p.x, #x
	key   []byte           // scratch
}

// read takes the text of a style element.
func (s *sheet) read(css []byte) {
	for len(css) > 0 {
		css = skipComments(css)
		if len(css) == 0 || css[0] != '@' {
			css = s.rule(css, true)
			continue
		}
		size := atRuleSize(css)
		_, block, _ := bytes.Cut(css[:size], []byte("{"))
		for len(block) > 0 {
			block = s.rule(block, false)
		}
		css = css[size:]
	}
}

// rule takes a rule, which holds always or for some media only, and gives what follows it.
func (s *sheet) rule(css []byte, always bool) (rest []byte) {
	selectors, rest, _ := bytes.Cut(css, []byte("{"))
	declarations, rest, _ := bytes.Cut(rest, []byte("}"))
	var declared style
	declared.read(declarations)
	if declared.set == 0 {
		return rest
	}
	perhaps := style{shown: declared.set &^ declared.hides}
	for selector := range bytes.SplitSeq(selectors, []byte(",")) {
		selector = lowerName(bytes.TrimSpace(selector))
		if always && isSimple(selector) {
			s.note(selector, &declared)
		} else {
			s.note(lastName(selector), &perhaps)
		}
	}
	return rest
}

func (s *sheet) note(key []byte, declared *style) {
	if s.rules == nil {
		s.rules = map[string]style{}
	}
	rule, known := s.rules[string(key)]
	if known || len(s.rules) < maxRules {
		rule.merge(declared)
		s.rules[string(key)] = rule
	}
}

// lowerName puts the name of an element into lower case; classes and ids keep theirs.
func lowerName(selector []byte) []byte {
	end := bytes.IndexAny(selector, ".#")
	if end < 0 {
		end = len(selector)
	}
	lower(selector[:end])
	return selector
}

// lastName gives the class, the id or else the name that a selector ends with; nothing stands for
// all elements.
func lastName(selector []byte) []byte {
	if i := bytes.LastIndexAny(selector, " >+~\n\t\r}"); i >= 0 {
		selector = selector[i+1:]
	}
	if i := bytes.IndexAny(selector, ":[*"); i >= 0 {
		selector = selector[:i]
	}
	if i := bytes.LastIndexAny(selector, ".#"); i > 0 {
		selector = selector[i:]
	}
	return selector[:min(len(selector), 128)]
}

// apply puts the rules for an element over each other, the more special ones last.
func (s *sheet) apply(to *style, tag []byte, a *attributes) {
	if s.rules == nil {
		return
	}
	s.one(to, nil, 0, nil)
	s.one(to, tag, 0, nil)
	for class := range bytes.FieldsSeq(a.class) {
		s.one(to, nil, '.', class)
	}
	for class := range bytes.FieldsSeq(a.class) {
		s.one(to, tag, '.', class)
	}
	if len(a.id) > 0 {
		s.one(to, nil, '#', a.id)
		s.one(to, tag, '#', a.id)
	}
	to.hides &^= to.shown
}

func (s *sheet) one(to *style, tag []byte, mark byte, name []byte) {
	s.key = append(s.key[:0], tag...)
	if mark != 0 {
		s.key = append(append(s.key, mark), name...)
	}
	if rule, ok := s.rules[string(s.key)]; ok {
		to.merge(&rule)
	}
}

// isSimple holds for a name, a class or an id, or a name with one of them.
func isSimple(selector []byte) bool {
	marks := 0
	for _, c := range selector {
		switch {
		case c == '.' || c == '#':
			marks++
		case c == '-' || c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return len(selector) > 0 && len(selector) <= 128 && marks <= 1
}

// skipComments skips comments, and the marks that hide a style from programs of 1996.
func skipComments(css []byte) []byte {
	for {
		css = bytes.TrimLeft(css, " \t\r\n\f")
		switch {
		case bytes.HasPrefix(css, []byte("/*")):
			_, css, _ = bytes.Cut(css, []byte("*/"))
		case bytes.HasPrefix(css, []byte("<!--")), bytes.HasPrefix(css, []byte("-->")):
			css = bytes.TrimLeft(css, "<!->")
		default:
			return css
		}
	}
}

// atRuleSize is how long an at-rule is, with its block.
func atRuleSize(css []byte) int {
	depth := 0
	for i, c := range css {
		switch c {
		case ';':
			if depth == 0 {
				return i + 1
			}
		case '{':
			depth++
		case '}':
			if depth--; depth <= 0 {
				return i + 1
			}
		}
	}
	return len(css)
}
