package maillog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// Tap wraps the core of the logger that fronts and timers have for mail. What they say of single mails goes into
// this log, or is dropped where the journal has an event for it. Everything else passes.
func (l *Log) Tap(core zapcore.Core) zapcore.Core { return tap{Core: core, log: l} }

// A tap stands before a core.
type tap struct {
	zapcore.Core
	log  *Log
	with []zapcore.Field
}

// With keeps the fields for both ways.
func (t tap) With(fields []zapcore.Field) zapcore.Core {
	return tap{t.Core.With(fields), t.log, append(slices.Clip(t.with), fields...)}
}

// Enabled lets everything come to Check: the level of the program's log is not that of the mail log.
func (t tap) Enabled(zapcore.Level) bool { return true }

// Check takes what is of the mail log.
func (t tap) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if said[e.Message] == "" && !journaled[e.Message] {
		return t.Core.Check(e, c)
	}
	return c.AddCore(e, t)
}

// Write never fails: mail does not wait for its log.
func (t tap) Write(e zapcore.Entry, fields []zapcore.Field) error {
	fields = append(slices.Clip(t.with), fields...)
	if said[e.Message] == "" && !slices.ContainsFunc(fields, isShadow) {
		return nil // the journal has all of it
	}
	l := lineOf(e.Time, said[e.Message], fields)
	shadow := l.take("shadow")
	if l.Verb != "" {
		t.log.say(l)
	}
	if shadow != "" {
		t.log.say(Line{Time: e.Time, Verb: Shadow, ID: l.ID, QueueID: l.QueueID, Sender: l.Sender, Rule: l.Rule, More: []Field{{"would", shadow}}})
	}
	return nil
}

func isShadow(f zapcore.Field) bool { return f.Key == "shadow" && valueOf(f) != "" }

// lineOf makes a line of an entry.
func lineOf(at time.Time, verb Verb, fields []zapcore.Field) Line {
	l := Line{Time: at, Verb: verb}
	for _, f := range fields {
		value := valueOf(f)
		switch f.Key {
		case "id":
			l.ID = value
		case "queue_id":
			l.QueueID = value
		case "sender":
			l.Sender = "<" + strings.Trim(value, "<>") + ">"
		case "rule":
			l.Rule = value
		default:
			l.add(f.Key, value)
		}
	}
	return l
}

// valueOf is the value of a field in words.
func valueOf(f zapcore.Field) string {
	m := zapcore.NewMapObjectEncoder()
	f.AddTo(m)
	switch v := m.Fields[f.Key].(type) {
	case nil:
		return ""
	case string:
		return v
	case time.Time:
		return stamp(v)
	case []any:
		texts := make([]string, len(v))
		for i := range v {
			texts[i] = fmt.Sprint(v[i])
		}
		return strings.Join(texts, "; ")
	default:
		return fmt.Sprint(v)
	}
}

// take removes a field and gives its value.
func (l *Line) take(name string) string {
	i := slices.IndexFunc(l.More, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return ""
	}
	value := l.More[i].Value
	l.More = slices.Delete(l.More, i, i+1)
	return value
}
