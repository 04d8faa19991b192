package main

import (
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway"
)

// A key is one line of the reference.
type key struct {
	path     string // upstreams[].timeouts.data
	kind     string
	fallback string // what holds when it is left out; empty for none
	words    string // empty when the source says nothing
}

// keysOf lists every key of the configuration in its order.
func keysOf(root string) ([]key, error) {
	cfg := gateway.DefaultConfig()
	cfg.Hostname = "the machine's name"
	r := reader{comments: comments{root: root, read: map[string]map[string]string{}}}
	r.section(reflect.ValueOf(cfg), "")
	return r.keys, r.err
}

type reader struct {
	comments comments
	keys     []key
	err      error
}

// section reads the keys of a struct. A field without words of its own belongs to the one above it, when that
// one's words name it.
func (r *reader) section(v reflect.Value, at string) {
	t, above := v.Type(), ""
	names := namesIn(t)
	for i := range t.NumField() {
		f := t.Field(i)
		name := names[f.Name]
		if name == "" {
			continue
		}
		words, err := r.comments.of(t, f.Name)
		if err != nil && r.err == nil {
			r.err = err
		}
		switch {
		case words != "":
			above = words
		case mentions(above, f.Name):
			words = "See above."
		}
		r.key(v.Field(i), strings.TrimPrefix(at+"."+name, "."), inKeys(words, names))
	}
}

// key adds one key, and those below it.
func (r *reader) key(v reflect.Value, path, words string) {
	below := v
	for below.Kind() == reflect.Slice && below.Type().Elem().Kind() != reflect.Uint8 {
		path += "[]"
		below = reflect.Zero(below.Type().Elem())
	}
	k := key{path: strings.TrimSuffix(path, "[]"), kind: kindOf(v.Type()), fallback: valueOf(v), words: words}
	isSection := below.Kind() == reflect.Struct && hasKeys(below.Type())
	if isSection && words == "" {
		words, err := r.comments.of(below.Type(), "")
		if err != nil && r.err == nil {
			r.err = err
		}
		k.words = inKeys(withoutName(words, below.Type().Name()), namesIn(below.Type()))
	}
	r.keys = append(r.keys, k)
	if isSection {
		r.section(below, path)
	}
}

// withoutName takes the type's name from the front of what is said of it: "Config says where" is "Says where".
func withoutName(words, name string) string {
	rest, ok := strings.CutPrefix(words, name+" ")
	if !ok || rest == "" {
		return words
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

// namesIn are the keys of a struct's fields, by the name of the field.
func namesIn(t reflect.Type) map[string]string {
	names := map[string]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			names[f.Name] = name
		}
	}
	return names
}

func hasKeys(t reflect.Type) bool { return len(namesIn(t)) > 0 }

var identifier = regexp.MustCompile(`\b[A-Z][A-Za-z0-9]*\b`)

func mentions(text, field string) bool {
	for _, w := range identifier.FindAllString(text, -1) {
		if w == field {
			return true
		}
	}
	return false
}

// inKeys puts the keys in the place of the fields' names, as whoever writes the file knows them.
func inKeys(words string, names map[string]string) string {
	words = identifier.ReplaceAllStringFunc(words, func(w string) string {
		if name, ok := names[w]; ok {
			return "`" + name + "`"
		}
		return w
	})
	return strings.ReplaceAll(words, "|", `\|`)
}

// kindOf names a type as somebody writes it into the file.
func kindOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "time"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && hasKeys(t.Elem()):
		return "list of sections"
	case t.Kind() == reflect.Slice:
		return "list of " + strings.TrimSuffix(kindOf(t.Elem()), "s") + "s"
	case t.Kind() == reflect.Map:
		return "map"
	case t.Kind() == reflect.Struct && hasKeys(t):
		return "section"
	case t.Kind() == reflect.Struct:
		return "text"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "whole number"
	case reflect.Float64:
		return "number"
	}
	return "text"
}

// valueOf prints what holds by itself; nothing for empty values and for sections.
func valueOf(v reflect.Value) string {
	if v.IsZero() && v.Kind() != reflect.Bool && v.Kind() != reflect.Int && v.Type() != reflect.TypeFor[time.Duration]() {
		return ""
	}
	switch {
	case v.Kind() == reflect.Struct && hasKeys(v.Type()):
		return ""
	case v.Kind() == reflect.Slice:
		return listOf(v)
	case v.Kind() == reflect.Pointer:
		return valueOf(v.Elem())
	case v.Type() == reflect.TypeFor[time.Duration]():
		return short(v.Interface().(time.Duration))
	}
	return fmt.Sprint(v.Interface())
}

func listOf(v reflect.Value) string {
	if v.Type().Elem().Kind() == reflect.Struct && hasKeys(v.Type().Elem()) {
		return fmt.Sprintf("%d, see `sendgate check`", v.Len())
	}
	all := make([]string, v.Len())
	for i := range all {
		all[i] = valueOf(v.Index(i))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// short is a time without the zeros that Go prints.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

const configurationHead = `# Reference: the configuration

Made by ` + "`go run ./contrib/reference`" + ` from the source; a test holds it to that. ` + "`contrib/sendgate.yaml`" + ` has every key with an
example; ` + "`sendgate check`" + ` prints what is in effect. Times are written 60s, 5m, 72h. Unknown keys are errors.
`

// writeConfiguration writes a table for each section.
func writeConfiguration(w io.Writer, root string) error {
	keys, err := keysOf(root)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, configurationHead); err != nil {
		return err
	}
	section := ""
	for _, k := range keys {
		top, _, _ := strings.Cut(strings.ReplaceAll(k.path, "[]", ""), ".")
		if top != section {
			section = top
			if _, err := fmt.Fprintf(w, "\n## %s\n\n| key | kind | default | meaning |\n|---|---|---|---|\n", top); err != nil {
				return err
			}
		}
		fallback := k.fallback
		if fallback != "" && !strings.HasSuffix(fallback, "`") && fallback != "the machine's name" {
			fallback = "`" + fallback + "`"
		}
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", k.path, k.kind, fallback, k.words); err != nil {
			return err
		}
	}
	return nil
}
