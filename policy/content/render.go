package content

import (
	"bytes"
	"time"
)

// render turns a text part into what is seen of it, within the budgets.
func (e *Extractor) render(p *part) view {
	if len(p.raw) == 0 {
		return view{}
	}
	b := budget{now: e.now, start: e.now(), time: e.limits.Time - e.spent, octets: e.room()}
	var got view
	if p.html {
		got = e.renderHTML(p, &b)
	} else {
		got = e.renderPlain(p, &b)
	}
	e.spent += b.now().Sub(b.start)
	switch {
	case b.late:
		e.cut("out of time for text")
	case b.full:
		e.cut("more text than is looked at")
	}
	got.links = findLinks(got.links, got.text)
	return got
}

// A budget is what the text of a part may still cost.
type budget struct {
	now    func() time.Time
	start  time.Time
	time   time.Duration
	octets int
	late   bool
	full   bool
	steps  int
}

// over is asked at each step and looks at the clock now and then.
func (b *budget) over() bool {
	if b.steps++; b.steps%256 == 1 && !b.late {
		b.late = b.now().Sub(b.start) > b.time
	}
	return b.late || b.full
}

// room is how much text may be added: what the message keeps, less what its open levels already
// have. An alternative's own text may still be replaced.
func (e *Extractor) room() int {
	room := e.limits.TextBytes
	for _, l := range e.levels {
		if l.kind != "alternative" {
			room -= int64(len(l.got.text))
		}
	}
	return int(max(0, room))
}

// renderPlain decodes plain text; only as much of it as can be kept, since no charset has more than
// four octets for a character.
func (e *Extractor) renderPlain(p *part, b *budget) view {
	if b.over() {
		return view{}
	}
	raw := p.raw[:min(len(p.raw), 4*b.octets)]
	text, known := decodeCharset(p.charset, raw)
	if !known {
		e.problem("unknown charset " + cutText(clean(p.charset), 64))
	}
	text = plainLines(text, p.flowed, p.joined)
	if len(text) > b.octets {
		text = []byte(cutText(string(text), b.octets))
		b.full = true
	}
	return view{text: text}
}

// renderHTML decodes HTML; a charset that the part does not name may stand in its beginning.
func (e *Extractor) renderHTML(p *part, b *budget) view {
	charset := p.charset
	if charset == "" {
		charset = metaCharset(p.raw)
	}
	text, known := decodeCharset(charset, p.raw)
	if !known {
		e.problem("unknown charset " + cutText(clean(charset), 64))
	}
	return readHTML(text, b)
}

// metaCharset finds the charset that HTML names for itself in its first 2 KiB.
func metaCharset(raw []byte) string {
	head := bytes.ToLower(raw[:min(len(raw), 2048)])
	for {
		i := bytes.Index(head, []byte("<meta"))
		if i < 0 {
			return ""
		}
		head = head[i+len("<meta"):]
		tag, _, _ := bytes.Cut(head, []byte(">"))
		if _, value, ok := bytes.Cut(tag, []byte("charset=")); ok {
			value = bytes.TrimLeft(value, `"' `)
			if end := bytes.IndexAny(value, "\"' ;/"); end >= 0 {
				value = value[:end]
			}
			return string(value)
		}
	}
}
