package policy

import (
	"errors"
	"fmt"
)

// A Fault is one thing wrong in a configuration. Path names the key as in the file
// ("hold.rules[2].for"); who decodes the file adds line and column.
type Fault struct {
	Path  string
	Value any // what stands there; nil when something is missing
	Text  string
}

// Error names the key and says what to do.
func (f *Fault) Error() string {
	if f.Value == nil {
		return fmt.Sprintf("%s: %s", f.Path, f.Text)
	}
	return fmt.Sprintf("%s: %v: %s", f.Path, f.Value, f.Text)
}

// Faults gathers everything wrong with one part of a configuration, so that all of it is reported
// at once.
type Faults []error

// Add records a fault.
func (fs *Faults) Add(path string, value any, format string, args ...any) {
	*fs = append(*fs, &Fault{Path: path, Value: value, Text: fmt.Sprintf(format, args...)})
}

// In records the faults of a part under the key at which that part stands.
func (fs *Faults) In(prefix string, err error) {
	for _, e := range flatten(err) {
		var f *Fault
		if errors.As(e, &f) {
			f = &Fault{Path: join(prefix, f.Path), Value: f.Value, Text: f.Text}
			*fs = append(*fs, f)
			continue
		}
		fs.Add(prefix, nil, "%v", e)
	}
}

// Err is nil when nothing was recorded.
func (fs Faults) Err() error { return errors.Join(fs...) }

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range j.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

func join(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "", path[0] == '[':
		return prefix + path
	}
	return prefix + "." + path
}
