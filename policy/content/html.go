package content

import (
	"bytes"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// readHTML gives what is seen of an HTML document.
func readHTML(document []byte, b *budget) view {
	r := htmlReader{
		z:    html.NewTokenizer(bytes.NewReader(document)),
		out:  lines{most: b.octets, text: make([]byte, 0, min(b.octets, len(document)/4))},
		base: element{ink: black, ground: white},
	}
	for !b.over() {
		switch r.z.Next() {
		case html.ErrorToken:
			return r.view()
		case html.TextToken:
			r.text(r.z.Text())
		case html.StartTagToken, html.SelfClosingTagToken:
			r.start()
		case html.EndTagToken:
			r.end()
		}
		b.full = r.out.full
	}
	return r.view()
}

// An htmlReader walks through the tokens of a document, without building a tree of it.
type htmlReader struct {
	z     *html.Tokenizer
	out   lines
	base  element
	open  []element // innermost last
	more  int       // elements that are open beyond those
	sheet sheet
	reply bool // all that follows is a quoted message
	links []string
	alts  []string
}

// An element is open; what it says of its text is inherited by those within.
type element struct {
	name    uint32
	dropped bool   // whatever is within
	hidden  uint16 // inherited properties that hide, unless an inner element sets them again
	quoted  bool
	pre     bool
	style   bool
	ink     colour
	ground  colour
}

// shown reports whether text within the element is seen.
func (e *element) shown() bool {
	return !e.dropped && e.hidden == 0 && !same(e.ink, e.ground)
}

func (r *htmlReader) view() view {
	return view{text: r.out.text, html: true, links: r.links, alts: r.alts}
}

// top is the innermost open element.
func (r *htmlReader) top() *element {
	if len(r.open) == 0 {
		return &r.base
	}
	return &r.open[len(r.open)-1]
}

func (r *htmlReader) text(text []byte) {
	top := r.top()
	if top.style {
		r.sheet.read(text)
		return
	}
	if !top.shown() {
		return
	}
	r.out.quoted = top.quoted || r.reply
	if top.pre {
		r.out.keep(text)
	} else {
		r.out.flow(text)
	}
}

// attributes are those that matter; nil is what an element does not have.
type attributes struct {
	style, class, id, href, alt, colour, ground, picture, hidden []byte
}

// start takes a start tag.
func (r *htmlReader) start() {
	tag, more := r.z.TagName()
	name := atom.Lookup(tag)
	var a attributes
	if more {
		a = r.attributes()
	}
	r.imply(name)
	el := r.inherit(name, tag, &a)
	el.name = nameKey(name, tag)
	switch kindOf(name) {
	case blockElement:
		r.out.end(1)
	case paragraphElement:
		r.out.end(2)
	case cellElement:
		r.out.space = true
	case voidElement:
		r.void(name, &el, &a)
		return
	}
	if name == atom.A && el.shown() {
		r.links = appendLink(r.links, a.href)
	}
	if string(a.id) == "divRplyFwdMsg" || string(a.id) == "mail-editor-reference-message-container" {
		r.reply = true // Outlook: the answered message follows as siblings
	}
	if len(r.open) < maxOpen {
		r.open = append(r.open, el)
	} else {
		r.more++
	}
}

func (r *htmlReader) attributes() attributes {
	var a attributes
	for more := true; more; {
		var key, value []byte
		key, value, more = r.z.TagAttr()
		if value == nil { // of an attribute without one, but it is there
			value = []byte{}
		}
		if slot := a.slot(key); slot != nil && *slot == nil { // of several, the first counts
			*slot = value
		}
	}
	return a
}

// slot is where an attribute is kept, nil for all others.
func (a *attributes) slot(key []byte) *[]byte {
	switch string(key) {
	case "style":
		return &a.style
	case "class":
		return &a.class
	case "id":
		return &a.id
	case "href":
		return &a.href
	case "alt":
		return &a.alt
	case "color":
		return &a.colour
	case "bgcolor":
		return &a.ground
	case "background":
		return &a.picture
	case "hidden":
		return &a.hidden
	}
	return nil
}

// inherit makes an element out of what surrounds it and what it says itself.
func (r *htmlReader) inherit(name atom.Atom, tag []byte, a *attributes) element {
	el := *r.top()
	el.style = name == atom.Style
	el.dropped = el.dropped || isDropped(name)
	el.pre = el.pre || name == atom.Pre
	el.quoted = el.quoted || isQuotation(name, a)
	if name == atom.A {
		el.ink = unknown // that of links
	}
	if a.colour != nil {
		el.ink = parseColour(lower(a.colour))
	}
	if a.ground != nil {
		el.ground = parseColour(lower(a.ground))
	}
	if a.picture != nil {
		el.ground = unknown
	}
	var s style
	if a.hidden != nil {
		s.note(propDisplay, true) // a default that any display replaces
	}
	r.sheet.apply(&s, tag, a)
	if a.style != nil {
		s.read(a.style)
	}
	s.apply(&el)
	if s.shown&propGround != 0 {
		el.ground = unknown
	}
	return el
}

// void takes an element without content.
func (r *htmlReader) void(name atom.Atom, el *element, a *attributes) {
	switch name {
	case atom.Br:
		r.out.lineBreak()
	case atom.Hr:
		r.out.end(1)
	case atom.Img:
		if alt := bytes.TrimSpace(a.alt); len(alt) > 0 && len(r.alts) < maxAlts && !el.dropped {
			r.alts = append(r.alts, cutText(clean(string(alt)), maxAlt))
		}
	case atom.Area:
		r.links = appendLink(r.links, a.href)
	}
}

// end takes an end tag: it closes the nearest element of its name and all within.
func (r *htmlReader) end() {
	tag, _ := r.z.TagName()
	name := atom.Lookup(tag)
	switch kindOf(name) {
	case blockElement:
		r.out.end(1)
	case paragraphElement:
		r.out.end(2)
	}
	if r.more > 0 {
		r.more--
		return
	}
	if name == atom.Body || name == atom.Html {
		return // what follows is still part of it
	}
	key := nameKey(name, tag)
	for i := len(r.open) - 1; i >= 0; i-- {
		if r.open[i].name == key {
			r.open = r.open[:i]
			return
		}
	}
}

// imply closes the element that a start tag ends without saying so.
func (r *htmlReader) imply(name atom.Atom) {
	var closes, stops [3]atom.Atom
	switch name {
	case atom.Li:
		closes, stops = [3]atom.Atom{atom.Li}, [3]atom.Atom{atom.Ul, atom.Ol, atom.Table}
	case atom.Td, atom.Th:
		closes, stops = [3]atom.Atom{atom.Td, atom.Th}, [3]atom.Atom{atom.Tr, atom.Table}
	case atom.Tr:
		closes, stops = [3]atom.Atom{atom.Tr}, [3]atom.Atom{atom.Table}
	case atom.Dt, atom.Dd:
		closes, stops = [3]atom.Atom{atom.Dt, atom.Dd}, [3]atom.Atom{atom.Dl, atom.Table}
	default:
		if k := kindOf(name); k != blockElement && k != paragraphElement {
			return
		}
		closes, stops = [3]atom.Atom{atom.P}, [3]atom.Atom{atom.Td, atom.Table, atom.Div}
	}
	for i := len(r.open) - 1; i >= 0 && r.more == 0; i-- {
		switch open := atom.Atom(r.open[i].name); {
		case open == 0:
		case open == closes[0] || open == closes[1]:
			r.open = r.open[:i]
			return
		case open == stops[0] || open == stops[1] || open == stops[2]:
			return
		}
	}
}
