package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sendgate/sendgate/policy"
)

// A Fault is one thing wrong with a file, and where.
type Fault struct {
	File         string
	Line, Column int // from 1
	policy.Fault
}

// Error gives the fault on one line as file:line:column: key: value: what to do.
func (f *Fault) Error() string {
	fault := f.Fault
	if fault.Value == "" {
		fault.Value = nil // an empty value says nothing
	}
	text := fault.Error()
	if fault.Path == "" {
		text = fault.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, oneLine(text))
}

// A File knows where each of its keys stands.
type File struct {
	name   string
	places map[string]place // by path: of the value, or of the key where the value is a section
	faults []*Fault
	broken bool // no YAML, not UTF-8, or too large
}

// Readable reports whether the file could be read as YAML, with whatever faults in its keys.
func (f *File) Readable() bool { return !f.broken }

type place struct{ line, column int }

// Locate gives the faults in err, which carry paths of keys, the places where those keys stand;
// for a key that is absent, the place of the section in which it would stand. A fault of a key
// that Decode has already reported is left out. Other errors keep their text and get the name of
// the file. The result is nil when nothing is left.
func (f *File) Locate(err error) error {
	var located []*Fault
	for _, e := range flatten(err) {
		var fault *policy.Fault
		if !errors.As(e, &fault) {
			fault = &policy.Fault{Text: e.Error()}
		}
		if !f.reported(fault.Path) {
			located = append(located, f.at(f.nearest(fault.Path), *fault))
		}
	}
	return join(located)
}

// add records a fault found by the decoder.
func (f *File) add(p place, path string, value any, format string, args ...any) {
	f.faults = append(f.faults, f.at(p, policy.Fault{Path: path, Value: value, Text: fmt.Sprintf(format, args...)}))
}

func (f *File) at(p place, fault policy.Fault) *Fault {
	return &Fault{File: f.name, Line: p.line, Column: p.column, Fault: fault}
}

func (f *File) reported(path string) bool {
	return path != "" && slices.ContainsFunc(f.faults, func(fault *Fault) bool { return fault.Path == path })
}

// nearest is the place of a path, or of the closest section around it that exists.
func (f *File) nearest(path string) place {
	for path != "" {
		if p, ok := f.places[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return place{1, 1}
}

// join makes one error of faults, in the order of the file.
func join(faults []*Fault) error {
	slices.SortStableFunc(faults, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := make([]error, len(faults))
	for i, f := range faults {
		all[i] = f
	}
	return errors.Join(all...)
}

// flatten gives the single errors of joined ones.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

// oneLine keeps control characters of the file from breaking up the report or steering a terminal.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
