package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"math/rand/v2"
	"mime"
	"mime/quotedprintable"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// A draft is a message before it is written down.
type draft struct {
	text    string
	subject string
	to      string // display name of the recipient
	html    bool
	both    bool // text and HTML
	reply   bool
	noise   bool   // markup that shows nothing
	quoted  string // shown as a quotation below the text
	size    int    // words of what is new in the text, without what it quotes
}

// write makes a message with fresh ids, boundary, charset and transfer encoding.
func (d *draft) write(r *rand.Rand) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Sales <sales%d@sender.example>\r\n", r.IntN(1000))
	fmt.Fprintf(&b, "To: %s <user%d@domain%d.example>\r\n", mime.BEncoding.Encode("utf-8", d.to), r.IntN(1e6), r.IntN(1000))
	fmt.Fprintf(&b, "Subject: %s\r\n", mime.BEncoding.Encode("utf-8", d.subject))
	fmt.Fprintf(&b, "Message-ID: <%x@sender.example>\r\nMIME-Version: 1.0\r\n", r.Uint64())
	if d.reply {
		fmt.Fprintf(&b, "In-Reply-To: <%x@domain.example>\r\n", r.Uint64())
	}
	switch {
	case d.both:
		boundary := fmt.Sprintf("=_%x", r.Uint64())
		fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=%q\r\n\r\n--%s\r\n", boundary, boundary)
		d.part(&b, r, "text/plain", d.plain())
		fmt.Fprintf(&b, "\r\n--%s\r\n", boundary)
		d.part(&b, r, "text/html", d.markup(r))
		fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	case d.html:
		d.part(&b, r, "text/html", d.markup(r))
	default:
		d.part(&b, r, "text/plain", d.plain())
	}
	return b.Bytes()
}

// part writes one part in a charset that can say it.
func (d *draft) part(b *bytes.Buffer, r *rand.Rand, kind, text string) {
	charset, raw := encodeText(text, r)
	fmt.Fprintf(b, "Content-Type: %s; charset=%s\r\n", kind, charset)
	if r.IntN(2) == 0 {
		b.WriteString("Content-Transfer-Encoding: base64\r\n\r\n")
		s := base64.StdEncoding.EncodeToString(raw)
		for ; len(s) > 76; s = s[76:] {
			b.WriteString(s[:76] + "\r\n")
		}
		b.WriteString(s + "\r\n")
		return
	}
	b.WriteString("Content-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(b)
	w.Write(raw)
	w.Close()
	b.WriteString("\r\n")
}

func encodeText(text string, r *rand.Rand) (charset string, raw []byte) {
	charsets := []struct {
		name string
		enc  encoding.Encoding
	}{
		{"utf-8", encoding.Nop}, {"gb18030", simplifiedchinese.GB18030}, {"gbk", simplifiedchinese.GBK},
		{"gb2312", simplifiedchinese.GBK}, {"iso-8859-1", charmap.ISO8859_1}, {"windows-1252", charmap.Windows1252},
	}
	for range 3 {
		c := charsets[r.IntN(len(charsets))]
		if raw, err := c.enc.NewEncoder().Bytes([]byte(text)); err == nil {
			return c.name, raw
		}
	}
	return "utf-8", []byte(text)
}

func (d *draft) plain() string {
	if d.quoted == "" {
		return strings.ReplaceAll(d.text, "\n", "\r\n")
	}
	return strings.ReplaceAll(d.text+"\n\nOn Monday somebody wrote:\n> "+strings.ReplaceAll(d.quoted, "\n", "\n> "), "\n", "\r\n")
}

// markup writes the text as HTML: a paragraph for each, lines with <br>.
func (d *draft) markup(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("<html><head><style>p{margin:1em}</style></head><body>\r\n")
	d.paragraphs(&b, r, d.text)
	if d.quoted != "" {
		b.WriteString(`<div class="gmail_quote"><blockquote>`)
		d.paragraphs(&b, r, d.quoted)
		b.WriteString("</blockquote></div>")
	}
	b.WriteString("</body></html>\r\n")
	return b.String()
}

func (d *draft) paragraphs(b *strings.Builder, r *rand.Rand, text string) {
	for p := range strings.SplitSeq(text, "\n\n") {
		attributes := ""
		if d.noise {
			attributes = fmt.Sprintf(` id="p%d" style="color:#%06x; line-height:1.%d"`, r.IntN(1e6), r.IntN(0x333333), r.IntN(9))
		}
		fmt.Fprintf(b, "<p%s>", attributes)
		for i, l := range strings.Split(p, "\n") {
			if i > 0 {
				b.WriteString("<br>\r\n")
			}
			d.line(b, r, l)
		}
		b.WriteString("</p>\r\n")
		if d.noise && r.IntN(3) == 0 {
			fmt.Fprintf(b, `<div style="display:none">%d %s</div><!-- %d -->`, r.IntN(1e6), englishWords[r.IntN(len(englishWords))], r.IntN(1e6))
		}
	}
}

// line writes the words of a line; noise goes between and into them.
func (d *draft) line(b *strings.Builder, r *rand.Rand, l string) {
	if !d.noise {
		b.WriteString(html.EscapeString(l))
		return
	}
	for i, w := range strings.Split(l, " ") {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", 1+r.IntN(3)))
		}
		half := len([]rune(w)) / 2
		left, right := string([]rune(w)[:half]), string([]rune(w)[half:])
		switch r.IntN(8) {
		case 0:
			fmt.Fprintf(b, "%s<!-- %x -->%s", html.EscapeString(left), r.Uint32(), html.EscapeString(right))
		case 1:
			fmt.Fprintf(b, `%s<span class="c%d"></span>%s`, html.EscapeString(left), r.IntN(999), html.EscapeString(right))
		case 2:
			fmt.Fprintf(b, `%s<span style="font-size:0">%d</span>%s`, html.EscapeString(left), r.IntN(9999), html.EscapeString(right))
		default:
			b.WriteString(html.EscapeString(w))
		}
	}
}
