package content

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

// still is a clock that stands.
func still() time.Time { return time.Unix(1795228265, 0) }

// read reads what cannot fail to be read.
func read(t testing.TB, message string, l Limits) Content {
	t.Helper()
	c, err := Read(strings.NewReader(message), l, still)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMessagesAreReadAsPeopleSeeThem(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".eml"), func(t *testing.T) {
			message, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(read(t, string(message), DefaultLimits()))
			golden := strings.TrimSuffix(file, ".eml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// describe writes down all of a content.
func describe(c Content) string {
	var b strings.Builder
	h := &c.Header
	fmt.Fprintf(&b, "subject: %q\nfrom: %q\nto: %q\ncc: %q\nid: %q\nthread: %q\nlist: %q\n",
		h.Get("Subject"), h.Addresses("From"), h.Addresses("To"), h.Addresses("Cc"),
		h.IDs("Message-ID"), h.Thread(), h.Get("List-Id"))
	fmt.Fprintf(&b, "html: %v\nalts: %q\nlinks: %q\ntruncated: %v\nproblems: %q\n", c.HTML, c.Alts, c.Links, c.Truncated, c.Problems)
	for _, a := range c.Attachments {
		fmt.Fprintf(&b, "attachment: %q %s inline=%v %d %x\n", a.Name, a.Type, a.Inline, a.Size, a.SHA256[:4])
	}
	fmt.Fprintf(&b, "\n%s\n", c.Text)
	if c.Forwarded != "" {
		fmt.Fprintf(&b, "\nforwarded:\n%s\n", c.Forwarded)
	}
	return b.String()
}

// Fronts deliver lines with CR LF, in pieces of any size.
func TestPiecesAndLineEndsMakeNoDifference(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			message, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			crlf := strings.ReplaceAll(string(message), "\n", "\r\n")
			want := describe(read(t, crlf, DefaultLimits()))
			for _, size := range []int{1, 2, 7, 64, 1000} {
				e := NewExtractor(DefaultLimits(), still)
				for rest := []byte(crlf); len(rest) > 0; {
					n := min(size, len(rest))
					if took, err := e.Write(rest[:n]); took != n || err != nil {
						t.Fatalf("Write took %d of %d, %v", took, n, err)
					}
					rest = rest[n:]
				}
				if got := describe(e.Close()); got != want {
					t.Fatalf("in pieces of %d:\n%s\nwant:\n%s", size, got, want)
				}
			}
			unix := read(t, string(message), DefaultLimits())
			if dos := read(t, crlf, DefaultLimits()); dos.Text != unix.Text || dos.Forwarded != unix.Forwarded {
				t.Errorf("with CR LF %q, with LF %q", dos.Text, unix.Text)
			}
		})
	}
}

func TestBrokenStructureIsReadAllTheSame(t *testing.T) {
	for _, c := range []struct{ outcome, in, text, forwarded string }{
		{"no header at all", "\nHello\n", "Hello", ""},
		{"text without a header", "Hello there\nSubject: x\n", "Hello there\nSubject: x", ""},
		{"header only", "Subject: x", "", ""},
		{"an mbox line", "From a Sat\nSubject: x\n\nHello", "Hello", ""},
		{"a type of nonsense", "Content-Type: text\n\nHello", "Hello", ""},
		{"an unknown text type", "Content-Type: text/x-web\n\nHello", "Hello", ""},
		{"no end of the multipart", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo", "one\ntwo", ""},
		{"an outer boundary ends the inner multipart", "Content-Type: multipart/mixed; boundary=a\n\n--a\n" +
			"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--a\n\ntwo\n--a--\n", "one\ntwo", ""},
		{"a boundary that begins like the outer one", "Content-Type: multipart/mixed; boundary=b\n\n--b\n" +
			"Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--\n", "one\ntwo", ""},
		{"a part after the end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\nnothing\n--b\n\ntwo\n", "one\ntwo", ""},
		{"a boundary in the middle of a line", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none --b\n--bx\n--b--\n", "one --b\n--bx", ""},
		{"a part that is all header", "Content-Type: multipart/mixed; boundary=b\n\n--b\nX: y\n--b\n\ntwo\n--b--\n", "two", ""},
		{"an inner boundary that never comes", "Content-Type: multipart/mixed; boundary=a\n\n--a\n" +
			"Content-Type: multipart/mixed; boundary=b\n\none\n--a\n\ntwo\n--a--\n", "one\ntwo", ""},
		{"HTML wins over plain", "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>html\n--b\n\nplain\n--b--\n", "html", ""},
		{"HTML that hides all does not", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\nContent-Type: text/html\n\n<p hidden>html\n--b--\n", "plain", ""},
		{"the later of equals", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n", "two", ""},
		{"related within alternative", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\n" +
			"Content-Type: multipart/related; boundary=c\n\n--c\nContent-Type: text/html\n\n<p>html\n--c--\n--b--\n", "html", ""},
		{"a multipart called message", "Content-Type: multipart/message; boundary=b\n\n--b\n\none\n--b--\n", "one", ""},
		{"a named first text", "Content-Type: text/plain; name=body.txt\n\nHello", "Hello", ""},
		{"a message without a header", "Content-Type: message/rfc822\n\nHello there\n", "", "Hello there"},
		{"a message within a message", "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: x\n\nHello\n", "", "Hello"},
		{"an encoded message is an attachment", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nSGVsbG8=\n", "", ""},
		{"a boundary of 8 KiB", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 8000) + "\n\nHello\n", "Hello", ""},
		{"a line of 20 KiB", "Subject: x\n\n" + strings.Repeat("x", 20000) + "\n", strings.Repeat("x", 20000), ""},
		{"bare CR", "Subject: x\n\na\rb\r\r\nc", "a\rb\nc", ""},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := read(t, c.in, DefaultLimits()); got.Text != c.text || got.Forwarded != c.forwarded {
				t.Errorf("%q, forwarded %q", got.Text, got.Forwarded)
			}
		})
	}
}

func TestReadGivesTheReadersErrorAndWhatCameBefore(t *testing.T) {
	gone := errors.New("gone")
	c, err := Read(io.MultiReader(strings.NewReader("Subject: x\r\n\r\nHello"), iotest.ErrReader(gone)), DefaultLimits(), still)
	if !errors.Is(err, gone) || c.Text != "Hello" || c.Header.Get("subject") != "x" {
		t.Errorf("%q, %q, %v", c.Header.Get("subject"), c.Text, err)
	}
}

func TestCloseEndsTheMessage(t *testing.T) {
	e := NewExtractor(DefaultLimits(), still)
	fmt.Fprint(e, "Subject: x\r\n\r\nHello")
	first := e.Close()
	if n, err := e.Write([]byte(" more")); n != 5 || err != nil {
		t.Errorf("a write after Close took %d, %v", n, err)
	}
	if second := e.Close(); first.Text != "Hello" || second.Text != first.Text {
		t.Errorf("%q, then %q", first.Text, second.Text)
	}
	if empty := NewExtractor(DefaultLimits(), still).Close(); describe(empty) != describe(Content{}) {
		t.Errorf("of nothing: %s", describe(empty))
	}
}

// FuzzRead checks what readers rely on, whatever comes in.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.eml")
	for _, file := range files {
		if message, err := os.ReadFile(file); err == nil {
			f.Add(message, 100)
		}
	}
	limits := Limits{Depth: 3, Parts: 8, Attachments: 4, HeaderBytes: 2000, TextBytes: 500, Bytes: 2000, Time: time.Second}
	f.Fuzz(func(t *testing.T, message []byte, size int) {
		whole, _ := Read(bytes.NewReader(message), limits, still)
		for _, s := range append([]string{whole.Text, whole.Forwarded, whole.Header.Get("Subject")}, append(whole.Links, whole.Alts...)...) {
			if !utf8.ValidString(s) {
				t.Errorf("broken text %q", s)
			}
		}
		if len(whole.Text) > 502 || len(whole.Forwarded) > 502 || len(whole.Attachments) > 4 || len(whole.Problems) > maxProblems {
			t.Errorf("over a limit: %d octets, %d forwarded, %d attachments", len(whole.Text), len(whole.Forwarded), len(whole.Attachments))
		}
		for _, a := range append(whole.Header.Addresses("To"), whole.Header.Addresses("From")...) {
			if !utf8.ValidString(a.Name+a.Addr) || strings.ContainsAny(a.Name+a.Addr, "\r\n\x00") || !strings.Contains(a.Addr, "@") {
				t.Errorf("address %q", a)
			}
		}
		e := NewExtractor(limits, still)
		for rest := message; len(rest) > 0; {
			n := min(max(1, size%97), len(rest))
			e.Write(rest[:n])
			rest = rest[n:]
		}
		if pieces := describe(e.Close()); pieces != describe(whole) {
			t.Errorf("in pieces:\n%s\nas a whole:\n%s", pieces, describe(whole))
		}
	})
}
