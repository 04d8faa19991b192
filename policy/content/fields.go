package content

import (
	"strings"
	"unicode/utf8"
)

// Fields are the fields of a header in their order (RFC 5322 2.2), as they are written.
type Fields []Field

// A Field is a name and what stands behind its colon, with or without its folds, not decoded.
type Field struct{ Name, Value string }

// maxText is how many octets First keeps of a decoded field.
const maxText = 2048

// Count is how many fields of a name there are.
func (f Fields) Count(name string) int {
	n := 0
	for range f.of(name) {
		n++
	}
	return n
}

// Values gives the fields of a name, unfolded and decoded to UTF-8.
func (f Fields) Values(name string) (all []string) {
	for value := range f.of(name) {
		all = append(all, Decode(value))
	}
	return all
}

// Written gives the first field of a name as it is written; empty when there is none.
func (f Fields) Written(name string) string {
	for value := range f.of(name) {
		return value
	}
	return ""
}

// First gives the first field of a name decoded, at most 2,048 octets of it.
func (f Fields) First(name string) string { return Cut(Decode(f.Written(name)), maxText) }

// of visits what the fields of a name say. Names are compared without regard to case.
func (f Fields) of(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := range f {
			if strings.EqualFold(f[i].Name, name) && !yield(f[i].Value) {
				return
			}
		}
	}
}

// Cut shortens a text to at most so many octets, between characters.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
