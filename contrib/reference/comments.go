package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// module is the path of ours; packages beyond it have no comments here.
const module = "github.com/sendgate/sendgate/"

// comments finds the words above types and fields in the source.
type comments struct {
	root string
	read map[string]map[string]string // by package path, then "Type" or "Type.Field"
}

// of gives what stands above a type, or above one of its fields.
func (c *comments) of(t reflect.Type, field string) (string, error) {
	words, err := c.pkg(t.PkgPath())
	if err != nil {
		return "", err
	}
	name := t.Name()
	if field != "" {
		name += "." + field
	}
	return words[name], nil
}

// pkg reads a package once.
func (c *comments) pkg(path string) (map[string]string, error) {
	if words, ok := c.read[path]; ok {
		return words, nil
	}
	words := map[string]string{}
	c.read[path] = words
	under, ours := strings.CutPrefix(path, module)
	if !ours {
		return words, nil
	}
	dir := filepath.Join(c.root, under)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			collect(f, words)
		}
	}
	return words, nil
}

// collect notes what a file says about its types and their fields.
func collect(f *ast.File, words map[string]string) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, spec := range g.Specs {
			t := spec.(*ast.TypeSpec)
			words[t.Name.Name] = oneOf(t.Doc, g.Doc)
			s, ok := t.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range s.Fields.List {
				for _, n := range field.Names {
					words[t.Name.Name+"."+n.Name] = oneOf(field.Doc, field.Comment)
				}
			}
		}
	}
}

// oneOf is the text of the first comment that says something, in one line.
func oneOf(all ...*ast.CommentGroup) string {
	for _, g := range all {
		if text := strings.Join(strings.Fields(g.Text()), " "); text != "" {
			return text
		}
	}
	return ""
}
