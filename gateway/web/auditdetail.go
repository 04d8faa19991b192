package web

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// What an act was done with is kept in the detail of its entry by names and values, so that a page can say it in the
// language of its reader and no reason can pretend to be another value: each name follows a record separator, its
// value a unit separator (ECMA-48 8.2.10). Entries of earlier versions have a text instead, which never begins
// with one of these.
const (
	nameMark  = "\x1e"
	valueMark = "\x1f"
)

// maxDetail bounds the detail of an entry, in octets. It is less than what the store cuts off, so that an address is
// in an entry as a whole, where it can be erased, or not at all.
const maxDetail = 1900

// An AuditParameter is one of the things that an act was done with.
type AuditParameter struct {
	Name  string `json:"name" example:"reason"`
	Value string `json:"value" doc:"a time as in RFC 3339, everything else as it was given"`
}

// auditDetail keeps the fields of a log line that say something.
func auditDetail(fields []zap.Field) string {
	var b strings.Builder
	for _, f := range fields {
		if text := oneLine(fieldText(f)); text != "" {
			b.WriteString(nameMark + f.Key + valueMark + text)
		}
	}
	return cutDetail(b.String())
}

// fieldText writes the value of a field; that of a time that is not set is empty.
func fieldText(f zap.Field) string {
	values := zapcore.NewMapObjectEncoder()
	f.AddTo(values)
	switch v := values.Fields[f.Key].(type) {
	case nil:
		return ""
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	default:
		return fmt.Sprint(v)
	}
}

var noMarks = strings.NewReplacer(nameMark, " ", valueMark, " ")

// oneLine makes one line of a text, without the marks of a detail.
func oneLine(text string) string {
	return strings.Join(strings.Fields(noMarks.Replace(strings.ToValidUTF8(text, "\uFFFD"))), " ")
}

// cutDetail cuts a text that is too long, but no word of it.
func cutDetail(text string) string {
	if len(text) <= maxDetail {
		return text
	}
	cut := strings.ToValidUTF8(text[:maxDetail], "")
	return strings.TrimRight(strings.TrimRightFunc(cut, partOfName), " "+nameMark) + " …"
}

// auditText is a text as it stands in an entry.
func auditText(text string) string { return cutDetail(oneLine(text)) }

// parametersOf reads what auditDetail keeps; nil for the text that an entry of before has.
func parametersOf(detail string) (list []AuditParameter) {
	rest, ok := strings.CutPrefix(detail, nameMark)
	if !ok {
		return nil
	}
	for one := range strings.SplitSeq(rest, nameMark) {
		name, value, _ := strings.Cut(one, valueMark)
		list = append(list, AuditParameter{name, value})
	}
	return list
}

// detailText writes parameters in one line; the text of an entry of before is one.
func detailText(detail string, list []AuditParameter) string {
	if list == nil {
		return detail
	}
	parts := make([]string, len(list))
	for i, p := range list {
		parts[i] = p.Name + ": " + p.Value
	}
	return strings.Join(parts, "; ")
}
