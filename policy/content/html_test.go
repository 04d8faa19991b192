package content

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// see gives what is seen of an HTML fragment, as one line.
func see(t *testing.T, fragment string) string {
	t.Helper()
	c := read(t, "Content-Type: text/html; charset=utf-8\n\n"+fragment, DefaultLimits())
	return strings.ReplaceAll(c.Text, "\n", "|")
}

func TestHiddenTextIsNotRead(t *testing.T) {
	for _, c := range []struct{ outcome, in string }{
		{"display", `<p style="display: NONE ;">x</p>`},
		{"display, important", `<p style="display:none!important;display:block">x</p>`},
		{"visibility", `<p style="visibility:hidden">x</p>`},
		{"visibility within", `<p style="visibility:hidden"><b>x</b></p>`},
		{"no font", `<p style="font-size:0">x</p>`},
		{"a font of a pixel", `<p style="font-size:1px">x</p>`},
		{"a font of a point", `<p style="font-size:1pt">x</p>`},
		{"a font of nothing, doubled", `<p style="font-size:0"><b style="font-size:200%">x</b></p>`},
		{"the font shorthand", `<p style="font:bold 0px/0 Arial">x</p>`},
		{"the font shorthand with a weight", `<p style="font:700 1px Arial">x</p>`},
		{"opacity", `<p style="opacity:0.0">x</p>`},
		{"opacity, undone within", `<p style="opacity:0"><b style="opacity:1">x</b></p>`},
		{"no height", `<p style="height:0;overflow:hidden">x</p>`},
		{"no largest height", `<p style="max-height:0px;overflow:hidden">x</p>`},
		{"no width", `<p style="width:0px;overflow:hidden">x</p>`},
		{"no largest width", `<p style="overflow:hidden;max-width:0">x</p>`},
		{"indented away", `<p style="text-indent:-9999px">x</p>`},
		{"indented far away in em", `<p style="text-indent:-99em">x</p>`},
		{"placed away", `<p style="position:absolute;left:-9999px">x</p>`},
		{"placed above", `<p style="position:fixed;top:-1000px">x</p>`},
		{"the hidden attribute", `<p hidden>x</p>`},
		{"white on white", `<p style="color:#FFF">x</p>`},
		{"nearly white on white", `<font color="#fefefe">x</font>`},
		{"rgb", `<p style="color:rgb(255, 255, 255)">x</p>`},
		{"a transparent colour", `<p style="color:transparent">x</p>`},
		{"an alpha of nothing", `<p style="color:rgba(0,0,0,0)">x</p><p style="color:#00000000">x</p><p style="color:#0000">x</p>`},
		{"black on black", `<table bgcolor="#000000"><tr><td>x</table>`},
		{"black on a black background", `<div style="background:#000 none">x</div>`},
		{"a class", `<style>.a{display:none}</style><p class="b a">x</p>`},
		{"an id", `<style>#a{display:none}</style><p id=a>x</p>`},
		{"a name", `<style>u, b{display:none}</style><b>x</b>`},
		{"a name with a class", `<style><!-- /* c */ p.a{display:none} --></style><p class=a>x</p>`},
		{"an important class over the element's own", `<style>.a{display:none!important}</style><p class=a style="display:block">x</p>`},
		{"a name in upper case", `<STYLE>P.a{DISPLAY:NONE}</STYLE><p class=a>x</p>`},
		{"a later style element", `<style>.a{}</style><style>.a{visibility:hidden}</style><p class=a>x</p>`},
		{"a script", `<script>x</script>`},
		{"a title", `<title>x</title>`},
		{"a template", `<template>x</template>`},
		{"a comment", `<!-- x --><!--[if mso]>x<![endif]-->`},
		{"a cell that the next one ends", `<table><tr><td style="display:none">x</table>`},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := see(t, c.in+"<div style='color:black;background:white'>seen</div>"); got != "seen" {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestVisibleTextIsRead(t *testing.T) {
	for _, c := range []struct{ outcome, in string }{
		{"visible within hidden", `<p style="visibility:hidden"><b style="visibility:visible">x</b></p>`},
		{"a font within no font", `<td style="font-size:0"><div style="font-size:14px">x</div></td>`},
		{"a named size within no font", `<td style="font-size:0"><font style="font-size:small">x</font></td>`},
		{"a font of two centimetres", `<p style="font-size:1cm">x</p>`},
		{"a broken size", `<p style="font-size:0foo">x</p>`},
		{"a broken opacity", `<p style="opacity:0px">x</p>`},
		{"an opacity in between", `<p style="opacity:.5">x</p>`},
		{"no height, but it flows over", `<p style="max-height:0;height:0;width:0">x</p>`},
		{"a height in percent of nothing", `<p style="height:0%;overflow:hidden">x</p>`},
		{"moved a little", `<p style="position:absolute;left:-10px;text-indent:-18pt">x</p>`},
		{"not placed at all", `<p style="left:-9999px">x</p>`},
		{"hidden from Outlook only", `<p style="mso-hide:all">x</p>`},
		{"the hidden attribute, undone", `<p hidden style="display:block">x</p>`},
		{"the first of two attributes", `<p style="color:red" style="display:none">x</p>`},
		{"important first", `<p style="display:block!important;display:none">x</p>`},
		{"an important class", `<style>.a{display:block!important}</style><p class=a style="display:none">x</p>`},
		{"white on dark", `<div style="background-color:#222222"><p style="color:white">x</p></div>`},
		{"white on a dark cell", `<table><tr><td bgcolor=navy><font color=white>x</font></table>`},
		{"white on a picture", `<table background="a.png"><tr><td style="color:#fff">x</table>`},
		{"white on a gradient", `<div style="background:linear-gradient(red,blue)"><p style="color:#fff">x</p></div>`},
		{"white on a background image", `<div style="background-image:url(a)"><p style="color:#fff">x</p></div>`},
		{"white on a ground of a simple rule", `<style>.a{background:#000}</style><p class=a style="color:#fff">x</p>`},
		{"white on a ground of a difficult rule", `<style>body td.a:hover{background:#000}</style><table><tr><td class=a><p style="color:#fff">x</p></table>`},
		{"white on a ground of a rule for all", `<style>div > *{background:#000}</style><p style="color:#fff">x</p>`},
		{"a transparent background changes nothing", `<p style="background:transparent;color:#333">x</p>`},
		{"a link on the colour of the ground", `<div style="color:#fff"><a href=x>x</a></div>`},
		{"rules for small screens", `<style>@media (max-width:600px){.a{display:none}}</style><p class=a>x</p>`},
		{"a rule that is undone for small screens", `<style>.a{display:none}@media (max-width:600px){.a{display:block}}</style><p class=a>x</p>`},
		{"a rule that is undone by a difficult one", `<style>.a{display:none} div .a{display:block}</style><p class=a>x</p>`},
		{"a difficult rule", `<style>div p.a b{display:none}</style><p class=a>x</p>`},
		{"a comment in a rule", `<style>/* .a{display:none} */</style><p class=a>x</p>`},
		{"an import before", `<style>@import url(x); @charset "x";.b{display:none}</style><p class=a>x</p>`},
		{"a script that is not run", `<noscript>x</noscript>`},
		{"text between conditional comments", `<![if !mso]>x<![endif]>`},
		{"hidden elements that are closed", `<div style="display:none"><p><b></div>x`},
		{"a hidden paragraph that ends by itself", `<p style="display:none"><p>x`},
		{"a hidden item that ends by itself", `<ul><li style="display:none"><li>x</ul>`},
		{"a hidden row that ends by itself", `<table><tr style="display:none"><tr><td>x</table>`},
		{"a hidden definition that ends by itself", `<dl><dt style="display:none"><dd>x</dl>`},
		{"end tags of nothing", `</div></p></b>x</body></html>`},
		{"deeper than is remembered", strings.Repeat("<div>", maxOpen+10) + "<b style='display:none'></b>x"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := see(t, c.in); got != "x" {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestHTMLBecomesLines(t *testing.T) {
	for _, c := range []struct{ outcome, in, want string }{
		{"white space", " a \n\t b&nbsp;&nbsp;c ", "a b c"},
		{"words in pieces", "fr<b>e</b>e", "free"},
		{"divisions", "<div>a</div><div>b</div>", "a|b"},
		{"paragraphs", "<p>a</p><p>b</p>", "a||b"},
		{"line breaks", "a<br>b<br><br><br><br>c", "a|b||c"},
		{"cells", "<table><tr><td>a<td>b<tr><td>c</table>d", "a b|c|d"},
		{"lists", "<ul><li>a</li><li>b</li></ul>", "a|b"},
		{"a line", "a<hr>b", "a|b"},
		{"preformatted", "<pre>a\n  b\n\n\nc</pre>d", "a|  b||c||d"},
		{"entities", "&lt;&amp;&#x4e2d;&#20013;&euro;&copy&nosuch;", "<&中中€©&nosuch;"},
		{"forbidden entities", "a&#0;&#xD800;&#x110000;b", "a\uFFFD\uFFFD\uFFFDb"},
		{"a quotation", "<div>a</div><blockquote>b<br>c<div>d</div></blockquote>e", "a|> b|> c|> d|e"},
		{"a quotation of Gmail", `a<div class="x gmail_quote">b</div>`, "a|> b"},
		{"a quotation of NetEase", `a<div id="isReplyContent">b</div>`, "a|> b"},
		{"a quotation of Outlook", `a<hr><div id="divRplyFwdMsg">From: x</div><div>b</div>`, "a|> From: x|> b"},
		{"broken tags", "a < b <c", "a < b"},
		{"no end of a tag", "a<b", "a"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := see(t, c.in); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		outcome, in string
		want        []string
	}{
		{"none", "nothing", nil},
		{"behind text", `<a href="https://x.example/?a=1&amp;b=2">here</a>`, []string{"https://x.example/?a=1&b=2"}},
		{"behind a map", `<map><area href="http://x.example"></map>`, []string{"http://x.example"}},
		{"in text", "see HTTP://x.example/a, (https://y.example/b). www.z.example!", []string{"HTTP://x.example/a", "https://y.example/b", "http://www.z.example"}},
		{"before Chinese", "请访问https://x.example/a，谢谢", []string{"https://x.example/a"}},
		{"each once", `<a href="http://x.example">http://x.example</a> http://y.example http://x.example`, []string{"http://x.example", "http://y.example"}},
		{"other schemes are none", `<a href="mailto:a@x.example">a</a><a href="#x">b</a><a href="javascript:x()">c</a> ftp://x.example ://y http://`, nil},
		{"hidden ones are none", `<a style="display:none" href="http://x.example">x</a>`, nil},
		{"without a scheme", `<a href="//x.example/a">x</a>`, []string{"https://x.example/a"}},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			got := read(t, "Content-Type: text/html; charset=utf-8\n\n"+c.in, DefaultLimits()).Links
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func FuzzHTML(f *testing.F) {
	f.Add(`<style>.a{display:none}@media x{.b{color:red}}</style><p class=a style="font:1px x;color:rgb(1,2,3)">x<td>y</table><pre> z`)
	f.Add(`<blockquote><a href=" http://x ">y</a><img alt=z>&#0;</blockquote`)
	f.Fuzz(func(t *testing.T, in string) {
		decoded, _ := decodeCharset("", []byte(in))
		b := budget{now: still, start: still(), time: 1, octets: 200}
		v := readHTML(decoded, &b)
		if len(v.text) > 200 || b.full && len(v.text) < 190 {
			t.Errorf("%d octets, full %v", len(v.text), b.full)
		}
		if !utf8.Valid(v.text) || bytes.HasPrefix(v.text, []byte("\n")) || bytes.Contains(v.text, []byte("\n\n\n")) {
			t.Errorf("%q", v.text)
		}
	})
}
