package content

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

func TestParameters(t *testing.T) {
	for _, c := range []struct{ outcome, in, kind, name string }{
		{"none", "text/plain", "text/plain", ""},
		{"plain", "Text/Plain; name=a.txt", "text/plain", "a.txt"},
		{"quoted", `a/b; name="a;b \"c\".txt"`, "a/b", `a;b "c".txt`},
		{"a Windows path", `a/b; name="C:\dir\a.txt"`, "a/b", `C:\dir\a.txt`},
		{"spaces without quotes", "a/b; name = my file.txt ; x=y", "a/b", "my file.txt"},
		{"a comment after the type", "a/b (why); name=x", "a/b", "x"},
		{"no end of the quotes", `a/b; name="x; y=z`, "a/b", "x"},
		{"empty parameters", "a/b;;; =;name=x", "a/b", "x"},
		{"encoded words", "a/b; name=\"=?utf-8?B?5L2g?= =?utf-8?B?5aW9?=.txt\"", "a/b", "你好.txt"},
		{"raw GBK", "a/b; name=\"\xc4\xe3\xba\xc3.txt\"", "a/b", "你好.txt"},
		{"extended", "a/b; name*=UTF-8''%e4%bd%a0.txt", "a/b", "你.txt"},
		{"extended with a language", "a/b; name*=iso-8859-1'de'%e4.txt", "a/b", "ä.txt"},
		{"extended without a charset", "a/b; name*=%e4%bd%a0", "a/b", "你"},
		{"extended wins", "a/b; name=x; name*=utf-8''y", "a/b", "y"},
		{"continued", `a/b; name*0="a b"; name*1=c; name*3=lost`, "a/b", "a bc"},
		{"continued, a character in two pieces", "a/b; name*1*=%a0; name*0*=utf-8''%e4%bd", "a/b", "你"},
		{"broken percent signs", "a/b; name*=utf-8''100%zz%4", "a/b", "100%zz%4"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			m := parseMedia(c.in)
			if got := m.text("name"); m.kind != c.kind || got != c.name {
				t.Errorf("%q, name %q; want %q, %q", m.kind, got, c.kind, c.name)
			}
		})
	}
}

func TestTransfer(t *testing.T) {
	for _, c := range []struct{ outcome, encoding, in, want string }{
		{"none", "", "a\r\nb\r\n", "a\r\nb\r\n"},
		{"7bit", " 7BIT ", "a\n", "a\n"},
		{"base64", "base64", "SGVs\r\nbG8=\r\n", "Hello"},
		{"base64 in any case, with a comment", "BASE64; x", "SGVsbG8=", "Hello"},
		{"base64 cut within a quantum of a line", "base64", "SG\nVsb\nG8", "Hello"},
		{"base64 with junk", "base64", "SG!Vs b\tG8=", "Hello"},
		{"base64 without padding", "base64", "SGVsbG8", "Hello"},
		{"base64 for URLs", "base64", "-_-_", "\xfb\xff\xbf"},
		{"two base64 texts", "base64", "SGVsbG8=\nIHlvdQ==\n", "Hello you"},
		{"base64 with a digit too many", "base64", "SGVsbG8=A", "Hello"},
		{"quoted-printable", "Quoted-Printable", "caf=C3=A9 =\r\nau lait\r\n", "café au lait\r\n"},
		{"quoted-printable in lower case", "quoted-printable", "=c3=a9", "é"},
		{"spaces at a line's end", "quoted-printable", "a  \t\nb=20 \nc= \nd", "a\nb \ncd"},
		{"broken codes stay", "quoted-printable", "1=2 =ZZ =4", "1=2 =ZZ =4"},
		{"an equals sign at the end", "quoted-printable", "a=", "a="},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			for _, size := range []int{1, 3, 1000} {
				if got := decodeInPieces(t, c.encoding, c.in, size); got != c.want {
					t.Errorf("in pieces of %d: %q, want %q", size, got, c.want)
				}
			}
		})
	}
	if _, known := newTransfer("x-uuencode"); known {
		t.Error("uuencode is not known")
	}
}

// decodeInPieces cuts long lines as the extractor does.
func decodeInPieces(t *testing.T, encoding, in string, size int) string {
	tr, known := newTransfer(encoding)
	if !known {
		t.Fatalf("%q is not known", encoding)
	}
	var out []byte
	for line := range strings.Lines(in) {
		text, eol := line, ""
		for _, end := range []string{"\r\n", "\n"} {
			if strings.HasSuffix(line, end) {
				text, eol = strings.TrimSuffix(line, end), end
				break
			}
		}
		for tr.kind != quotedTransfer && len(text) > size { // white space may be cut from its line's end
			out = tr.line(out, []byte(text[:size]), "")
			text = text[size:]
		}
		out = tr.line(out, []byte(text), eol)
	}
	return string(tr.end(out, false))
}

func TestQuotedPrintableCodesMayBeCut(t *testing.T) {
	tr := transfer{kind: quotedTransfer}
	var out []byte
	for _, piece := range []string{"a=", "C3", "=A", "9", "b=2", "0=3D"} {
		out = tr.line(out, []byte(piece), "")
	}
	if got := string(tr.end(out, false)); got != "aéb =" {
		t.Errorf("%q", got)
	}
}

func TestTheLineEndBeforeABoundaryBelongsToIt(t *testing.T) {
	c := read(t, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\nxyz\r\n\r\n--b--\r\n", DefaultLimits())
	if len(c.Attachments) != 1 || c.Attachments[0].Size != 5 {
		t.Errorf("%+v", c.Attachments)
	}
}

func TestCharsets(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		known          bool
	}{
		{"", "plain", "plain", true},
		{"us-ascii", "\xc4\xe3\xba\xc3", "你好", true},
		{"utf-8", "caf\xe9", "café", true},
		{"\"UTF-8\"", "你", "你", true},
		{"gb2312", "\xe9\x46", "镕", true},
		{"GB18030", "\x81\x39\xee\x39", "㐀", true},
		{"x-gbk", "\x80", "€", true},
		{"hz-gb-2312", "~{Dc:C~}", "你好", true},
		{"big5", "\xa7\x41", "你", true},
		{"cp950", "\xa7\x41", "你", true},
		{"big5-hkscs", "\xa7\x41", "你", true},
		{"iso-2022-jp", "\x1b$B;3\x1b(B", "山", true},
		{"shift_jis", "\x8e\x52", "山", true},
		{"cp932", "\x8e\x52", "山", true},
		{"euc-jp", "\xbb\xb3", "山", true},
		{"ks_c_5601-1987", "\xb0\xa1", "가", true},
		{"cp949", "\xb0\xa1", "가", true},
		{"iso-8859-1", "\x80\xe9", "€é", true},
		{"iso-8859-15", "\xa4", "€", true},
		{"cp1251", "\xcf", "П", true},
		{"koi8-r", "\xf0", "П", true},
		{"ibm850", "\x82", "é", true},
		{"cp437", "\x82", "é", true},
		{"macintosh", "\x8e", "é", true},
		{"tis-620", "\xa1", "ก", true},
		{"ansi", "\xe9", "é", true},
		{"utf-16", "\x4f\x60", "你", true},
		{"utf-16", "a\x00b\x00", "ab", true},
		{"utf-16le", "\x60\x4f", "你", true},
		{"utf-8", "\xff\xfe\x60\x4f", "你", true},
		{"utf-8", "\xfe\xff\x4f\x60", "你", true},
		{"iso-8859-1", "\xef\xbb\xbf你", "你", true},
		{"utf-7", "1 +- 2 +T2BZfQ-!+AOk", "1 + 2 你好!é", true},
		{"utf-7", "+", "+", true},
		{"utf-7", "+2AA-x", "\uFFFDx", true},
		{"iso-2022-kr", "plain", "plain", false},
		{"x-none", "caf\xe9", "café", false},
		{"replacement", "x", "x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, known := decodeCharset(c.name, []byte(c.in)); string(got) != c.want || known != c.known {
				t.Errorf("%q is %q, known %v; want %q", c.in, got, known, c.want)
			}
		})
	}
}

// Quirk: htmlindex answers HZ and ISO-2022-KR with an encoding that decodes to one replacement
// character, because browsers must not support them.
func TestHTMLIndexReplacesWhatBrowsersDoNotSupport(t *testing.T) {
	for _, name := range []string{"hz-gb-2312", "iso-2022-kr"} {
		if e, err := htmlindex.Get(name); err != nil || e != encoding.Replacement {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

func TestPicturesWithinHTMLAreTakenOut(t *testing.T) {
	for _, c := range []struct{ outcome, in, want string }{
		{"none", "a;b;base6;base64 x", "a;b;base6;base64 x"},
		{"one", `a<img src="data:image/png;base64,iVBO+/8=">b`, `a<img src="data:image/png;base64,">b`},
		{"folded", "x;BASE64,aaaa\r\nbbbb= c", "x;BASE64, c"},
		{"two", ";base64,aa';base64,bb'", ";base64,';base64,'"},
		{"a mark that begins twice", ";bas;base64,aa ", ";bas;base64, "},
		{"no end", ";base64,aaaa", ";base64,"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			for _, size := range []int{1, 3, 1000} {
				var d dataURIs
				got := ""
				for rest := []byte(c.in); len(rest) > 0; {
					n := min(size, len(rest))
					got += string(d.strip(rest[:n:n]))
					rest = rest[n:]
				}
				if got != c.want {
					t.Errorf("in pieces of %d: %q, want %q", size, got, c.want)
				}
			}
		})
	}
	l := DefaultLimits()
	l.Bytes = 200
	c := read(t, "Content-Type: text/html\n\n<img src=\"data:image/png;base64,"+strings.Repeat("QUJD", 1000)+"\"><p>after</p>\n", l)
	if c.Text != "after" || c.Truncated {
		t.Errorf("%q, %q", c.Text, c.Problems)
	}
}

func TestFlowed(t *testing.T) {
	for _, c := range []struct {
		outcome, in, want string
		flowed, delsp     bool
	}{
		{"fixed", "a \nb\r\n", "a \nb\n", false, false},
		{"flows", "a \nb \nc\nd\n", "a b c\nd\n", true, false},
		{"DelSp", "你 \n好\n", "你好\n", true, true},
		{"quotation flows within its depth", "> a \n> b\n", "> a b\n", true, false},
		{"depth changes", "> a \n>> b \nc\n", "> a \n>> b \nc\n", true, false},
		{"stuffed", " >no quotation\n From me\n", ">no quotation\nFrom me\n", true, false},
		{"a signature never flows", "a \n-- \nb\n", "a \n-- \nb\n", true, false},
		{"no end", "a \nb ", "a b \n", true, false},
		{"nothing", "", "", true, true},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := string(plainLines([]byte(c.in), c.flowed, c.delsp)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func FuzzCharset(f *testing.F) {
	for _, name := range []string{"utf-7", "gb2312", "hz-gb-2312", "iso-2022-jp", "utf-16", "big5", "x-none", "ibm037"} {
		f.Add(name, []byte("+T2BZfQ- \xc4\xe3~{Dc~}\x1b$B;3\x1b(B"))
	}
	f.Fuzz(func(t *testing.T, name string, in []byte) {
		keep := bytes.Clone(in)
		if got, _ := decodeCharset(name, in); !utf8.Valid(got) {
			t.Errorf("%q", got)
		}
		if !bytes.Equal(in, keep) {
			t.Error("the input was changed")
		}
	})
}

func FuzzBase64(f *testing.F) {
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, in []byte) {
		tr := transfer{kind: base64Transfer}
		got := tr.end(tr.line(nil, []byte(base64.StdEncoding.EncodeToString(in)), ""), true)
		if !bytes.Equal(got, in) {
			t.Errorf("%q became %q", in, got)
		}
	})
}
