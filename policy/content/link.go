package content

import (
	"bytes"
	"slices"
)

// appendLink adds the address of a link, if it leads to the web. It always gets a scheme.
func appendLink(links []string, href []byte) []string {
	href = bytes.TrimSpace(href)
	if len(links) == maxLinks || !isWeb(href) {
		return links
	}
	link := cutText(clean(string(href)), maxLink)
	switch link[0] {
	case '/':
		link = "https:" + link
	case 'w', 'W':
		link = "http://" + link
	}
	if len(links) > 0 && links[len(links)-1] == link {
		return links
	}
	return append(links, link)
}

// isWeb holds for http, https, and addresses without a scheme that programs take for it.
func isWeb(link []byte) bool {
	for _, prefix := range []string{"http://", "https://", "//", "www."} {
		if len(link) > len(prefix) && bytes.EqualFold(link[:len(prefix)], []byte(prefix)) {
			return true
		}
	}
	return false
}

// findLinks gives the distinct ones of links and of those in the text.
func findLinks(links []string, text []byte) []string {
	s := linkSearch{text: text, scheme: -1, www: -1}
	for at := 0; len(links) < maxLinks; {
		if at = s.next(at); at < 0 {
			break
		}
		end := at + linkLength(text[at:])
		links = appendLink(links, text[at:end])
		at = max(end, at+1)
	}
	if len(links) < 2 {
		return links
	}
	seen := make(map[string]bool, len(links))
	return slices.DeleteFunc(links, func(link string) bool {
		known := seen[link]
		seen[link] = true
		return known
	})
}

// A linkSearch remembers what it has found ahead, so that the text is looked through once.
type linkSearch struct {
	text        []byte
	scheme, www int // where the next :// and www. are; -1 if that is not known
}

// next gives where an address may begin, from at on, -1 if nowhere.
func (s *linkSearch) next(at int) int {
	s.scheme = s.find(s.scheme, at, "://")
	s.www = s.find(s.www, at, "www.")
	if s.scheme == len(s.text) && s.www == len(s.text) {
		return -1
	}
	if s.www < s.scheme {
		return s.www
	}
	for _, name := range []string{"https", "http"} {
		start := s.scheme - len(name)
		if start >= at && bytes.EqualFold(s.text[start:s.scheme], []byte(name)) {
			return start
		}
	}
	return s.scheme
}

// find looks from at on, unless what was found lies there; len(text) means that there is none.
func (s *linkSearch) find(found, at int, what string) int {
	if found >= at {
		return found
	}
	if i := bytes.Index(s.text[at:], []byte(what)); i >= 0 {
		return at + i
	}
	return len(s.text)
}

// linkLength is how far an address goes: to white space, a bracket, a quote or anything that is not
// ASCII; Chinese text goes on without a space. Punctuation at its end is not part of it.
func linkLength(text []byte) int {
	end := bytes.IndexFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || r == '<' || r == '>' || r == '"' || r == '`' || r == '|' || r == ')' || r == ']' || r == '}'
	})
	if end < 0 {
		end = len(text)
	}
	return len(bytes.TrimRight(text[:end], ".,;:!?'*"))
}
