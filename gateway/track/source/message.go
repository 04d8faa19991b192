package source

import (
	"bytes"
	"time"
)

// A reader of messages makes log lines of them, of whatever dialect.
type messageReader struct {
	stamper
	host string // of a message that does not name one
}

// raw gives false when there is nothing in the message.
func (r messageReader) raw(message []byte) (Raw, bool) {
	text := bytes.TrimLeft(pri(oneLine(trim(message))), " ")
	if len(text) == 0 {
		return Raw{}, false
	}
	if rest, ok := bytes.CutPrefix(text, []byte("1 ")); ok {
		if raw, ok := r.rfc5424(rest); ok {
			return raw, true
		}
	}
	t, rest := r.cut(text)
	switch {
	case t.IsZero(): // RFC 3164 4.3.3: whoever receives it adds time and host
		return Raw{Data: text, Time: r.now(), Host: r.host}, true
	case tagged(rest): // as syslog(3) writes to a local socket
		return Raw{Data: rest, Time: t, Host: r.host}, true
	}
	return Raw{Data: text}, true
}

// pri takes the priority away: "<22>". It says what the tag says, too.
func pri(p []byte) []byte {
	end := bytes.IndexByte(p[:min(len(p), 5)], '>')
	if end < 2 || p[0] != '<' {
		return p
	}
	for _, c := range p[1:end] {
		if c < '0' || c > '9' {
			return p
		}
	}
	return p[end+1:]
}

// tagged says whether a text begins with a tag, and not with a host.
func tagged(p []byte) bool {
	first, _, _ := bytes.Cut(p, []byte(" "))
	return bytes.HasSuffix(first, []byte(":"))
}

// rfc5424 reads what follows the version (RFC 5424 6): TIMESTAMP HOSTNAME APP-NAME PROCID MSGID
// STRUCTURED-DATA [MSG].
func (r messageReader) rfc5424(p []byte) (Raw, bool) {
	var field [5][]byte
	for i := range field {
		var ok bool
		if field[i], p, ok = bytes.Cut(p, []byte(" ")); !ok || len(field[i]) == 0 {
			return Raw{}, false
		}
	}
	text, ok := structured(p)
	if !ok {
		return Raw{}, false
	}
	raw := Raw{Time: r.now(), Host: r.host}
	if value := nilValue(field[0]); value != "" {
		t, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return Raw{}, false
		}
		raw.Time = t
	}
	if value := nilValue(field[1]); value != "" {
		raw.Host = value
	}
	raw.Data = append(raw.Data, nilValue(field[2])...)
	if value := nilValue(field[3]); value != "" {
		raw.Data = append(raw.Data, "["+value+"]"...)
	}
	text = bytes.TrimPrefix(bytes.TrimPrefix(text, []byte(" ")), []byte("\ufeff")) // BOM: UTF-8
	raw.Data = append(append(raw.Data, ": "...), bytes.TrimLeft(text, " ")...)
	return raw, true
}

// nilValue is empty for "-".
func nilValue(p []byte) string {
	if string(p) == "-" {
		return ""
	}
	return string(p)
}

// structured skips STRUCTURED-DATA: "-", or elements in brackets, in whose quoted values a backslash
// protects quote, bracket and itself (RFC 5424 6.3).
func structured(p []byte) (rest []byte, ok bool) {
	if len(p) > 0 && p[0] == '-' {
		return p[1:], true
	}
	open, quoted := false, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case quoted && c == '\\':
			i++
		case open && c == '"':
			quoted = !quoted
		case quoted:
		case !open && c == '[':
			open = true
		case open && c == ']':
			open = false
		case !open:
			return p[i:], i > 0
		}
	}
	return nil, len(p) > 0 && !open
}
