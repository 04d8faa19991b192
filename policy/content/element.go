package content

import (
	"bytes"
	"hash/fnv"

	"golang.org/x/net/html/atom"
)

// What elements do to the line they stand in.
const (
	inlineElement = iota
	blockElement
	paragraphElement // with an empty line around
	cellElement
	voidElement // without content
)

func kindOf(name atom.Atom) int {
	switch name {
	case atom.Div, atom.Table, atom.Tr, atom.Tbody, atom.Thead, atom.Tfoot, atom.Caption, atom.Ul, atom.Ol,
		atom.Li, atom.Dl, atom.Dt, atom.Dd, atom.Blockquote, atom.Center, atom.Address, atom.Article,
		atom.Section, atom.Header, atom.Footer, atom.Main, atom.Nav, atom.Aside, atom.Figure,
		atom.Figcaption, atom.Form, atom.Fieldset, atom.Legend, atom.Option, atom.Details, atom.Summary,
		atom.Body, atom.Html, atom.Dir, atom.Menu:
		return blockElement
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Pre:
		return paragraphElement
	case atom.Td, atom.Th:
		return cellElement
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link,
		atom.Meta, atom.Param, atom.Source, atom.Track, atom.Wbr:
		return voidElement
	}
	return inlineElement
}

// isDropped holds for elements whose text nobody sees. Noscript, object and the like are seen: mail
// programs run no scripts and play nothing.
func isDropped(name atom.Atom) bool {
	switch name {
	case atom.Script, atom.Style, atom.Title, atom.Template, atom.Iframe, atom.Noembed, atom.Noframes,
		atom.Datalist:
		return true
	}
	return false
}

// isQuotation knows how mail programs mark the message they answer.
func isQuotation(name atom.Atom, a *attributes) bool {
	if name == atom.Blockquote {
		return true
	}
	for _, mark := range []string{"gmail_quote", "yahoo_quoted", "protonmail_quote", "zmail_extra", "ntes-mailmaster-quote"} {
		if bytes.Contains(a.class, []byte(mark)) {
			return true
		}
	}
	return string(a.id) == "isReplyContent" // NetEase
}

// nameKey tells names apart, also those that HTML does not know, such as o:p.
func nameKey(name atom.Atom, tag []byte) uint32 {
	if name != 0 {
		return uint32(name)
	}
	h := fnv.New32a()
	h.Write(tag)
	return h.Sum32() | 1<<31 // no atom has this bit
}
