package pages

import (
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// funcs are what templates of a language may call.
func (r *Renderer) funcs(lang string) template.FuncMap {
	numbers := message.NewPrinter(language.Make(lang))
	return template.FuncMap{
		"t":          func(key string, args ...any) string { return r.texts.text(lang, key, args...) },
		"l":          func(l policy.Label) string { return l.In(lang) },
		"lang":       func() string { return lang },
		"other":      func() string { return otherLanguage(lang) },
		"asset":      func(name string) (string, error) { return r.assets.url(name) },
		"num":        func(n any) string { return numbers.Sprint(n) },
		"size":       func(n int64) string { return size(numbers, n) },
		"span":       func(d any) (string, error) { return r.span(lang, d) },
		"iso":        func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"zero":       func(t time.Time) bool { return t.IsZero() },
		"q":          url.QueryEscape,
		"seg":        url.PathEscape, // of a path
		"link":       link,
		"json":       jsonText,
		"dict":       dict,
		"labelclass": labelClass,
		"list":       func(v ...any) []any { return v },
		"sum":        sum,
		"add":        func(a, b int) int { return a + b },
		"first":      func(n int, list any) any { return part(list, 0, n) },
		"rest":       func(n int, list any) any { return part(list, n, math.MaxInt) },
		"has":        func(s, prefix string) bool { return s == prefix || strings.HasPrefix(s, prefix+"/") },
		"join":       func(s []string) string { return strings.Join(s, ", ") },
	}
}

// part is a list from one place to another, or to its end.
func part(list any, from, to int) any {
	v := reflect.ValueOf(list)
	return v.Slice(min(from, v.Len()), min(to, v.Len())).Interface()
}

// sum adds sizes up.
func sum(n ...int64) (total int64) {
	for _, m := range n {
		total += m
	}
	return total
}

// labelClass is the colour of a label of a state.
func labelClass(l policy.Label) string {
	switch l {
	case policy.LabelMailbox:
		return "mailbox"
	case policy.LabelRemote:
		return "remote"
	case policy.LabelReturned:
		return "failed"
	case policy.LabelBlocked:
		return "blocked"
	case policy.LabelRecalled:
		return "recalled"
	case policy.LabelUnknown:
		return "unknown"
	}
	if strings.HasPrefix(l.EN, policy.LabelDelivering.EN) { // "Delivering (2/3)"
		return "delivering"
	}
	return "" // of several
}

func otherLanguage(lang string) string {
	for _, l := range Languages {
		if l != lang {
			return l
		}
	}
	return lang
}

func (a *assets) url(name string) (string, error) {
	served, ok := a.names[name]
	if !ok {
		return "", fmt.Errorf("static file %q: there is none", name)
	}
	return AssetPath + served, nil
}

// size writes octets: "1.2 MB".
func size(p *message.Printer, n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v /= 1000
		i++
	}
	if i == 0 || v >= 100 {
		return p.Sprintf("%.0f %s", v, units[i])
	}
	return p.Sprintf("%.1f %s", v, units[i])
}

// span writes a duration of which the two largest units are enough: "2 h 5 min".
func (r *Renderer) span(lang string, v any) (string, error) {
	var d time.Duration
	switch v := v.(type) {
	case time.Duration:
		d = v
	case interface{ Duration() time.Duration }:
		d = v.Duration()
	case int:
		d = time.Duration(v) * time.Second
	default:
		return "", fmt.Errorf("span: a %T is no duration", v)
	}
	if d < 0 {
		return "-" + r.span2(lang, -d), nil
	}
	return r.span2(lang, d), nil
}

func (r *Renderer) span2(lang string, d time.Duration) string {
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	var parts []string
	for _, u := range []struct {
		key  string
		unit time.Duration
	}{{"unit.day", 24 * time.Hour}, {"unit.hour", time.Hour}, {"unit.minute", time.Minute}, {"unit.second", time.Second}} {
		if n := d / u.unit; n > 0 && len(parts) < 2 {
			parts = append(parts, r.texts.text(lang, u.key, int64(n)))
			d -= n * u.unit
		} else if len(parts) == 1 {
			break
		}
	}
	return strings.Join(parts, " ")
}

// link makes a URL of a path and pairs of names and values; empty values are left out.
func link(path string, pairs ...string) (string, error) {
	if len(pairs)%2 != 0 {
		return "", fmt.Errorf("link %s: names and values go in pairs", path)
	}
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return path, nil
	}
	return path + "?" + v.Encode(), nil
}

// jsonText writes a value for a data attribute.
func jsonText(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// dict makes a map for a part: names and values in turns.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: names and values go in pairs")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
