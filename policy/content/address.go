package content

import "strings"

// An Address is a mailbox of a header field.
type Address struct {
	Name string // display name or comment, decoded
	Addr string // local-part@domain as it stands there; not checked
}

const maxAddr = 998 // octets, as in policy.Address

// parseAddresses reads an address list as leniently as possible (RFC 5322 3.4 and 4.4): groups give
// their members, semicolons separate as commas do, broken quotes and brackets are text. What has no
// @ is no address.
func parseAddresses(value string) []Address {
	p := addressParser{rest: guessString(unfold(value))}
	for len(p.rest) > 0 {
		p.step()
	}
	p.emit()
	return p.all
}

type addressParser struct {
	rest    string
	all     []Address
	phrase  strings.Builder // as read, with its quotes: an address if there are no brackets
	name    strings.Builder // without them
	comment string
	angle   string
	// What was searched for in vain is not searched for again.
	noQuote, noBracket, noComment bool
}

// step takes what is next: a separator, a quotation, a comment, a path or plain text.
func (p *addressParser) step() {
	i := strings.IndexAny(p.rest, `,;:"(<`)
	if i < 0 {
		i = len(p.rest)
	}
	if j := strings.Index(p.rest[:i], "=?"); j >= 0 { // a word may hold a bare comma
		if w, ok := parseWord(p.rest[j:]); ok {
			i = j + w.size
			p.text(p.rest[:i], p.rest[:i])
			p.rest = p.rest[i:]
			return
		}
	}
	p.text(p.rest[:i], p.rest[:i])
	p.rest = p.rest[i:]
	if p.rest == "" {
		return
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	switch c {
	case ',', ';':
		p.emit()
	case ':':
		p.group()
	case '"':
		p.quotation()
	case '(':
		p.parentheses()
	case '<':
		p.path()
	}
}

func (p *addressParser) text(raw, plain string) {
	p.phrase.WriteString(raw)
	p.name.WriteString(plain)
}

// group forgets the name of a group.
func (p *addressParser) group() {
	if strings.Contains(p.phrase.String(), "@") {
		p.text(":", ":")
		return
	}
	p.reset()
}

func (p *addressParser) quotation() {
	end := -1
	if !p.noQuote {
		end = endQuote(p.rest)
	}
	if end < 0 {
		p.noQuote = true
		p.text(`"`, "")
		return
	}
	p.text(`"`+p.rest[:end]+`"`, unescape(p.rest[:end]))
	p.rest = p.rest[end+1:]
}

func (p *addressParser) parentheses() {
	end := -1
	if !p.noComment {
		end = endComment(p.rest)
	}
	if end < 0 {
		p.noComment = true
		p.text("(", "(")
		return
	}
	p.comment = unescape(p.rest[:end])
	p.rest = p.rest[end+1:]
}

func (p *addressParser) path() {
	end := -1
	if !p.noBracket {
		end = strings.IndexByte(p.rest, '>')
	}
	if end < 0 {
		p.noBracket = true
		end = strings.IndexAny(p.rest, ",;")
	}
	if end < 0 {
		end = len(p.rest)
	}
	p.angle = p.rest[:end]
	p.rest = strings.TrimPrefix(p.rest[end:], ">")
}

// emit ends an address.
func (p *addressParser) emit() {
	a := Address{Name: p.name.String(), Addr: p.angle}
	if p.angle == "" {
		a = Address{Name: p.comment, Addr: p.phrase.String()}
	} else if strings.TrimSpace(a.Name) == "" {
		a.Name = p.comment
	}
	if strings.HasPrefix(a.Addr, "@") { // the route of RFC 5322 4.4
		a.Addr = a.Addr[strings.LastIndexByte(a.Addr, ':')+1:]
	}
	a.Addr = cutText(clean(strings.TrimSpace(decodeWords(cutText(a.Addr, maxField)))), maxAddr)
	if strings.Contains(a.Addr, "@") {
		a.Name = cutText(strings.TrimSpace(Decode(a.Name)), maxValue)
		p.all = append(p.all, a)
	}
	p.reset()
}

func (p *addressParser) reset() {
	p.phrase.Reset()
	p.name.Reset()
	p.comment, p.angle = "", ""
}

// endQuote finds the quote that ends a quotation, -1 if there is none.
func endQuote(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// endComment finds the parenthesis that ends a comment; comments nest.
func endComment(s string) int {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// unescape undoes the quoted pairs of RFC 5322 3.2.1.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
