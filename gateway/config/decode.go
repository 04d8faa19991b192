package config

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds the file. The parser takes quadratic time for some hostile inputs, yet less than
// a second for 20,000 identities, which are 2 MiB.
const maxFile = 4 << 20

// Decode reads a configuration file into the struct that into points to. What the file does not
// name keeps its value. The error joins one [*Fault] for everything wrong; the File is never nil,
// so that the faults of the parts can be located too. A type that has no form in YAML is a
// mistake of the program, not of the file: Decode panics.
func Decode(name string, data []byte, into any) (*File, error) {
	f := &File{name: name, places: map[string]place{}}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if root := f.parse(data); root != nil {
		f.value("", root, reflect.ValueOf(into).Elem())
	}
	return f, join(f.faults)
}

// parse gives the root of the only document, or nil when it is empty or broken.
func (f *File) parse(data []byte) ast.Node {
	start := place{1, 1}
	if len(data) > maxFile {
		f.broken = true
		f.add(start, "", nil, "the file has %d octets, more than %d", len(data), maxFile)
		return nil
	}
	if !utf8.Valid(data) {
		f.broken = true
		f.add(start, "", nil, "the file is not UTF-8: save it in that encoding")
		return nil
	}
	// Duplicates are found below, with all other faults.
	tree, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.syntax(err)
		return nil
	}
	var root ast.Node
	for _, document := range tree.Docs {
		if document.Body == nil {
			continue
		}
		if root != nil {
			f.add(placeOf(document.Body), "", nil, "a second document begins here: write everything into one")
			break
		}
		root = document.Body
	}
	return root
}

func (f *File) syntax(err error) {
	f.broken = true
	at, text := place{1, 1}, err.Error()
	var y yaml.Error
	if errors.As(err, &y) {
		text = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			at = place{t.Position.Line, t.Position.Column}
		}
	}
	f.add(at, "", nil, "this is not YAML: %s", text)
}

// value reads a node into v by the type of v.
func (f *File) value(path string, node ast.Node, v reflect.Value) {
	if _, ok := f.places[path]; !ok && path != "" {
		f.places[path] = placeOf(node)
	}
	switch node := node.(type) {
	case *ast.NullNode:
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		f.add(placeOf(node), path, nil, "anchors, aliases and tags are not used here: write the value itself")
		return
	}
	switch {
	case reflect.PointerTo(v.Type()).Implements(textType):
		f.scalar(path, node, v)
	case v.Kind() == reflect.Struct:
		f.section(path, node, v)
	case v.Kind() == reflect.Slice:
		f.list(path, node, v)
	case v.Kind() == reflect.Map:
		f.table(path, node, v)
	default:
		f.scalar(path, node, v)
	}
}

// section reads the keys of a struct.
func (f *File) section(path string, node ast.Node, v reflect.Value) {
	fields := fieldsOf(v.Type())
	for key := range f.keys(path, node, "a section") {
		i, ok := fields.index[key.name]
		if !ok {
			f.add(key.place, key.path, nil, "unknown key: %s", fields.suggest(key.name))
			continue
		}
		f.value(key.path, key.value, v.Field(i))
	}
}

// table reads a map with string keys. It replaces the default one.
func (f *File) table(path string, node ast.Node, v reflect.Value) {
	t := reflect.MakeMap(v.Type())
	for key := range f.keys(path, node, "a section") {
		item := reflect.New(v.Type().Elem()).Elem()
		f.value(key.path, key.value, item)
		t.SetMapIndex(reflect.ValueOf(key.name).Convert(v.Type().Key()), item)
	}
	v.Set(t)
}

// A Defaulter is an entry of a list whose keys have defaults other than zero. It fills itself with
// them before the file is read into it.
type Defaulter interface{ SetDefaults() }

// list reads a slice. It replaces the default one.
func (f *File) list(path string, node ast.Node, v reflect.Value) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		hint := "a list: one value on each line, after a dash"
		if text, plain := scalarText(node); plain {
			hint = "a list: [" + text + "]"
		}
		f.wrong(path, node, hint)
		return
	}
	items := reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values))
	for i, n := range sequence.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		if n.Type() == ast.NullType {
			f.add(placeOf(n), at, nil, "the entry is empty: fill it in or take the dash away")
			continue
		}
		if item, ok := items.Index(i).Addr().Interface().(Defaulter); ok {
			item.SetDefaults()
		}
		f.value(at, n, items.Index(i))
	}
	v.Set(items)
}

// A key is a line of a section.
type key struct {
	name, path string
	place      place
	value      ast.Node
}

// keys goes through a mapping, reports what is no mapping or stands there twice, and remembers
// where the sections stand: at their key, not at their first line.
func (f *File) keys(path string, node ast.Node, want string) func(func(key) bool) {
	return func(yield func(key) bool) {
		mapping, ok := node.(ast.MapNode)
		if !ok {
			f.wrong(path, node, want+": keys with values, one on each line")
			return
		}
		seen := map[string]int{}
		for it := mapping.MapRange(); it.Next(); {
			k := key{name: keyName(it.Key()), place: placeOf(it.Key()), value: it.Value()}
			k.path = strings.TrimPrefix(path+"."+k.name, ".")
			if it.Key().IsMergeKey() {
				f.add(k.place, k.path, nil, "merge keys are not used here: write the keys themselves")
				continue
			}
			if line := seen[k.name]; line != 0 {
				f.add(k.place, k.path, nil, "the key already stands in line %d: keep one of the two", line)
				continue
			}
			seen[k.name] = k.place.line
			if _, plain := scalarText(k.value); !plain {
				f.places[k.path] = k.place
			}
			if !yield(k) {
				return
			}
		}
	}
}

// wrong reports a value of the wrong form.
func (f *File) wrong(path string, node ast.Node, want string) {
	var found any
	switch text, plain := scalarText(node); {
	case plain:
		found = shorten(text)
	case node.Type() == ast.SequenceType:
		found = "a list"
	default:
		found = "a section"
	}
	f.add(placeOf(node), path, found, "write %s", want)
}

func keyName(node ast.MapKeyNode) string {
	if explicit, ok := node.(*ast.MappingKeyNode); ok && explicit.Value != nil {
		return explicit.Value.GetToken().Value
	}
	return node.GetToken().Value
}

// placeOf is where a node begins. A mapping's own token is its first colon; it begins at its first
// key.
func placeOf(node ast.Node) place {
	if m, ok := node.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			node = it.Key()
		}
	}
	p := node.GetToken().Position
	return place{p.Line, p.Column}
}
