package config

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// scalarText is the text of a single value as written, without its quotes.
func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// scalar reads a single value. What cannot be read leaves v as it is.
func (f *File) scalar(path string, node ast.Node, v reflect.Value) {
	text, ok := scalarText(node)
	if !ok {
		f.wrong(path, node, expected(v.Type()))
		return
	}
	read := reflect.New(v.Type())
	var unreadable *textError
	switch err := set(read, text); {
	case err == nil:
		v.Set(read.Elem())
	case errors.As(err, &unreadable) && expected(v.Type()) == anyValue:
		f.add(placeOf(node), path, shorten(text), "%v", unreadable.err)
	default:
		f.wrong(path, node, expected(v.Type()))
	}
}

// A textError is what a type with a text form of its own says about a value.
type textError struct{ err error }

func (e *textError) Error() string { return e.err.Error() }

// set parses text into what p points to.
func set(p reflect.Value, text string) (err error) {
	if u, ok := p.Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return &textError{err}
		}
		return nil
	}
	switch v := p.Elem(); {
	case v.Type() == durationType:
		var d time.Duration
		d, err = parseDuration(text)
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			err = strconv.ErrSyntax
		}
		v.SetBool(text == "true")
	case v.CanInt():
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
	case v.CanUint():
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
	case v.CanFloat():
		var x float64
		x, err = strconv.ParseFloat(text, v.Type().Bits())
		v.SetFloat(x)
	default:
		panic(fmt.Sprintf("config: the type %v has no form in YAML", v.Type()))
	}
	return err
}

// anyValue is what is expected of a type of which nothing more is known here.
const anyValue = "a single value"

// expected says what to write for a type.
func expected(t reflect.Type) string {
	switch t {
	case durationType:
		return "a duration with its unit, such as 60s, 5m, 4h or 5d"
	case reflect.TypeFor[netip.Prefix]():
		return "a network, such as 192.0.2.0/24 or 2001:db8::/32"
	case reflect.TypeFor[netip.Addr]():
		return "an IP address, such as 192.0.2.1 or 2001:db8::1"
	case reflect.TypeFor[netip.AddrPort]():
		return "an IP address with a port, such as 127.0.0.1:2525 or [::1]:2525"
	}
	switch zero := reflect.Zero(t); {
	case reflect.PointerTo(t).Implements(textType):
		return anyValue
	case t.Kind() == reflect.Bool:
		return "true or false"
	case zero.CanInt() && t.Bits() > 16, zero.CanUint() && t.Bits() > 16:
		return "a whole number"
	case zero.CanUint():
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
	case zero.CanInt():
		return fmt.Sprintf("a whole number from %d to %d", int64(-1)<<(t.Bits()-1), int64(1)<<(t.Bits()-1)-1)
	case zero.CanFloat():
		return "a number, such as 0.8"
	}
	return anyValue
}

// shorten keeps a long or multi-line value from filling the report.
func shorten(s string) string {
	const longest = 60
	if utf8.RuneCountInString(s) <= longest {
		return s
	}
	return string([]rune(s)[:longest]) + "…"
}
