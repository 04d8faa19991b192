package content

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stream repeats a line for so many octets, without holding them.
type stream struct {
	line string
	left int
	at   int
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && s.left > 0 {
		took := copy(p[n:], s.line[s.at:])
		s.at = (s.at + took) % len(s.line)
		n += took
		s.left -= took
	}
	return n, nil
}

// peak reads a message and gives the most memory that was in use between two pieces of it, above
// what was before, and all that was ever asked for, which bounds what was in use within a piece.
func peak(t *testing.T, r io.Reader, l Limits) (c Content, most, total int64) {
	t.Helper()
	runtime.GC()
	var before, during runtime.MemStats
	runtime.ReadMemStats(&before)
	e := NewExtractor(l, time.Now)
	measure := func() {
		runtime.GC()
		runtime.ReadMemStats(&during)
		most = max(most, int64(during.HeapAlloc)-int64(before.HeapAlloc))
		total = int64(during.TotalAlloc) - int64(before.TotalAlloc)
	}
	piece := make([]byte, 64<<10)
	for i := 0; ; i++ {
		n, err := r.Read(piece)
		e.Write(piece[:n])
		if i%256 == 255 {
			measure()
		}
		if err != nil {
			break
		}
	}
	measure()
	c = e.Close()
	measure()
	return c, most, total
}

func TestBombsStaySmall(t *testing.T) {
	const megabyte = 1 << 20
	large := 50 * megabyte
	if testing.Short() {
		large = 5 * megabyte
	}
	base64Line := strings.Repeat("QUJD", 19) + "\r\n"
	head := func(fields string) io.Reader { return strings.NewReader(fields + "\r\n\r\n") }
	repeat := func(line string, octets int) io.Reader { return &stream{line: line, left: octets} }
	nest := func(depth int) string {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		return b.String() + "\r\ninnermost\r\n"
	}
	nestMessages := strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 10_000)
	for _, c := range []struct {
		outcome string
		message io.Reader
		problem string
	}{
		{"a large attachment is hashed", io.MultiReader(head("Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64"), repeat(base64Line, large)), ""},
		{"one line of base64 without an end", io.MultiReader(head("Content-Type: application/zip\r\nContent-Transfer-Encoding: base64"), repeat("QUJD", large)), ""},
		{"one line of quoted-printable without an end", io.MultiReader(head("Content-Type: application/zip\r\nContent-Transfer-Encoding: quoted-printable"), repeat("=41=4", large)), ""},
		{"a large text is cut", io.MultiReader(head("Content-Type: text/plain"), repeat("some words of text\r\n", large)), "more text parts than are looked at"},
		{"a large HTML text is cut", io.MultiReader(head("Content-Type: text/html"), repeat("<p>some words of text</p>\r\n", large)), "more text parts than are looked at"},
		{"a text that grows when decoded", io.MultiReader(head("Content-Type: text/plain; charset=gbk"), repeat("\xd6\xd0\xce\xc4", large)), "more text parts than are looked at"},
		{"endless header", repeat("X-Field: value\r\n", large), "a header is longer than is kept"},
		{"an endless field", repeat("X-Field: value\r\n"+strings.Repeat(" more\r\n", 1000), large), "a header is longer than is kept"},
		{"a field without an end", io.MultiReader(strings.NewReader("Subject: "), repeat("endless ", large)), "a header is longer than is kept"},
		{"10,000 nested parts", strings.NewReader(nest(10_000)), "nested deeper than is looked at"},
		{"10,000 nested messages", strings.NewReader(nestMessages), "nested deeper than is looked at"},
		{"parts without end", io.MultiReader(head("Content-Type: multipart/mixed; boundary=b"), repeat("--b\r\n\r\nx\r\n", large)), "more parts than are looked at"},
		{"parts with long headers", io.MultiReader(head("Content-Type: multipart/mixed; boundary=b"), repeat("--b\r\n"+strings.Repeat("X-F: value\r\n", 2000)+"\r\nx\r\n", large)), "more parts than are looked at"},
		{"attachments without end", io.MultiReader(head("Content-Type: multipart/mixed; boundary=b"), repeat("--b\r\nContent-Type: a/b\r\n\r\nx\r\n", large)), "more attachments than are listed"},
		{"deep HTML", io.MultiReader(head("Content-Type: text/html"), repeat("<div><b>", large)), "more text parts than are looked at"},
		{"a tag without an end", io.MultiReader(head("Content-Type: text/html\r\n\r\n<a "), repeat("style='color:red' ", large)), "more text parts than are looked at"},
		{"entities", io.MultiReader(head("Content-Type: text/html"), repeat("&lt;&NotEqualTilde;&#x4e2d;", large)), "more text than is looked at"},
		{"rules without end", io.MultiReader(head("Content-Type: text/html\r\n\r\n<style>"), repeat(".a,.b.c{display:none}@x;", large)), "more text parts than are looked at"},
		{"at-rules that open nothing", io.MultiReader(head("Content-Type: text/html\r\n\r\n<style>"), repeat("@a;", large)), "more text parts than are looked at"},
		{"links without end", io.MultiReader(head("Content-Type: text/plain"), repeat("www. http://a :// ", large)), "more text parts than are looked at"},
		{"images without end", io.MultiReader(head("Content-Type: text/html"), repeat("<img alt='"+strings.Repeat("alt", 100)+"'><a href=http://x>y</a>", large)), "more text parts than are looked at"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			l := DefaultLimits()
			l.Time = time.Minute // the machine may be busy
			start := time.Now()
			got, memory, total := peak(t, c.message, l)
			if memory > 4*megabyte || total > 24*megabyte {
				t.Errorf("%.1f MB of memory at once, %.1f MB in all", float64(memory)/megabyte, float64(total)/megabyte)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			} else {
				t.Logf("%s, %.1f MB at once, %.1f MB in all", took.Round(time.Millisecond), float64(memory)/megabyte, float64(total)/megabyte)
			}
			if c.problem == "" && (got.Truncated || len(got.Problems) > 0) {
				t.Errorf("problems %q", got.Problems)
			}
			if c.problem != "" && (!got.Truncated || !slices.Contains(got.Problems, c.problem)) {
				t.Errorf("truncated %v, problems %q", got.Truncated, got.Problems)
			}
			if int64(len(got.Text)) > l.TextBytes || len(got.Links) > maxLinks || len(got.Alts) > maxAlts || len(got.Attachments) > l.Attachments {
				t.Errorf("%d octets of text, %d links, %d alternative texts, %d attachments", len(got.Text), len(got.Links), len(got.Alts), len(got.Attachments))
			}
		})
	}
}

func TestHostileAddressesAndWordsCostLittle(t *testing.T) {
	for _, piece := range []string{"=?a?b?", "=?utf-8?q?x", "=?,", `"`, `\"`, "(", "<", "<a@b", "a@b,", ":;", "=?utf-8?q?a?=,"} {
		t.Run(piece, func(t *testing.T) {
			var h Header
			h.add("To", strings.Repeat(piece, maxHeader/len(piece)-1))
			start := time.Now()
			h.Addresses("To")
			h.Get("To")
			h.IDs("To")
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestAttachmentAfterALimitIsStillHashed(t *testing.T) {
	l := DefaultLimits()
	l.Bytes = 10
	c := read(t, "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n0123456789abc\n--b\nContent-Type: a/b\n\nxyz\n--b--\n", l)
	if c.Text != "0123456789" || !c.Truncated || len(c.Attachments) != 1 || c.Attachments[0].Size != 3 {
		t.Errorf("%+v", c)
	}
}

func TestTextIsCutBetweenCharacters(t *testing.T) {
	for kind, body := range map[string]string{"plain": "中文字", "html": "<p>中文字</p>"} {
		l := DefaultLimits()
		l.TextBytes = 7
		c := read(t, "Content-Type: text/"+kind+"; charset=utf-8\n\n"+body+"\n", l)
		if c.Text != "中文" || !slices.Contains(c.Problems, "more text than is looked at") {
			t.Errorf("%s: %q, %q", kind, c.Text, c.Problems)
		}
	}
	l := DefaultLimits()
	l.TextBytes = 7
	c := read(t, "Content-Type: message/rfc822\n\nSubject: x\n\n123456789\n", l)
	if c.Forwarded != "1234567" {
		t.Errorf("forwarded %q", c.Forwarded)
	}
}

// A clock that runs while text is read stands for a part that takes long.
func TestTextStopsWhenTimeIsUp(t *testing.T) {
	at := time.Unix(0, 0)
	now := func() time.Time { at = at.Add(10 * time.Millisecond); return at }
	l := DefaultLimits()
	l.Time = 55 * time.Millisecond
	message := "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n" + strings.Repeat("<b>x</b>", 2000) +
		"\n--b\n\nplain\n--b\nContent-Type: a/b\n\nxyz\n--b--\n"
	c, err := Read(strings.NewReader(message), l, now)
	if err != nil || !slices.Contains(c.Problems, "out of time for text") || !c.Truncated {
		t.Errorf("%q, %v", c.Problems, err)
	}
	if n := len(c.Text); n < 100 || n > 1500 || strings.Contains(c.Text, "plain") {
		t.Errorf("%d octets of text", n)
	}
	if len(c.Attachments) != 1 || c.Attachments[0].Size != 3 {
		t.Errorf("attachments %v", c.Attachments)
	}
}
