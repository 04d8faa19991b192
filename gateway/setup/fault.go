package setup

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// A Fault is an error with words in both languages. What programs and the system said stands in it as they said it.
type Fault struct {
	words policy.Label // formats of args
	args  []any        // texts, and errors that are Faults themselves or foreign
}

// NewFault makes one of formats with %s for each of the texts and errors.
func NewFault(en, zh string, args ...any) *Fault { return &Fault{policy.Label{EN: en, ZH: zh}, args} }

func (f *Fault) Error() string { return f.in("en") }

// Unwrap gives the errors in it.
func (f *Fault) Unwrap() (errs []error) {
	for _, a := range f.args {
		if err, ok := a.(error); ok {
			errs = append(errs, err)
		}
	}
	return errs
}

func (f *Fault) in(lang string) string {
	args := make([]any, len(f.args))
	for i, a := range f.args {
		if err, ok := a.(error); ok {
			a = Words(err, lang)
		}
		args[i] = a
	}
	return fmt.Sprintf(f.words.In(lang), args...)
}

// A worded error says itself in a language.
type worded interface{ in(lang string) string }

// Words gives an error of this package in a language, as far as the words are its own.
func Words(err error, lang string) string {
	if w, ok := err.(worded); ok {
		return w.in(lang)
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var said, lines []string
		for _, one := range all.Unwrap() {
			said, lines = append(said, one.Error()), append(lines, Words(one, lang))
		}
		if err.Error() == strings.Join(said, "\n") { // by errors.Join; else there are words between them
			return strings.Join(lines, "\n")
		}
		return err.Error()
	}
	if inner := errors.Unwrap(err); inner != nil {
		return strings.Replace(err.Error(), inner.Error(), Words(inner, lang), 1)
	}
	return err.Error()
}
