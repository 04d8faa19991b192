package content

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

const benchHeader = "Received: from a.example by b.example; Sat, 21 Nov 2026 10:31:05 +0800\r\n" +
	"From: Ann Lee <ann@corp.example>\r\nTo: bob@remote.example\r\nSubject: =?UTF-8?B?5L2g5aW9?=\r\n" +
	"Message-ID: <1@corp.example>\r\nMIME-Version: 1.0\r\n"

func benchPlain(size int) string {
	return benchHeader + "Content-Type: text/plain; charset=utf-8\r\n\r\n" +
		strings.Repeat("The quarterly figures are attached, see https://corp.example/q?id=47 for more.\r\n", size/80)
}

func benchHTML(size int) string {
	var b strings.Builder
	b.WriteString(benchHeader + "Content-Type: text/html; charset=utf-8\r\n\r\n<html><head><style>.x{color:#333} p.y{margin:0}</style></head><body>\r\n")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "<table width=600 cellpadding=0><tr><td class=\"x\" style=\"font-family:Arial,sans-serif;font-size:14px;color:#333333;padding:10px 0\">"+
			"Item %d &mdash; some words about what is for sale, <a href=\"https://shop.example/i/%d?u=1\" style=\"color:#0070f3\">buy&nbsp;it</a></td></tr></table>\r\n", i, i)
	}
	return b.String()
}

func benchmarkRead(b *testing.B, message string) {
	octets := []byte(message)
	b.SetBytes(int64(len(octets)))
	b.ReportAllocs()
	for b.Loop() {
		e := NewExtractor(DefaultLimits(), time.Now)
		e.Write(octets)
		if c := e.Close(); c.Text == "" && len(c.Attachments) == 0 {
			b.Fatal("nothing was read")
		}
	}
}

func BenchmarkPlain4K(b *testing.B)  { benchmarkRead(b, benchPlain(4<<10)) }
func BenchmarkPlain40K(b *testing.B) { benchmarkRead(b, benchPlain(40<<10)) }
func BenchmarkHTML4K(b *testing.B)   { benchmarkRead(b, benchHTML(4<<10)) }
func BenchmarkHTML40K(b *testing.B)  { benchmarkRead(b, benchHTML(40<<10)) }

func BenchmarkChinese4K(b *testing.B) {
	text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xc4\xe3\xba\xc3\xa3\xac\xca\xc0\xbd\xe7", 300)))
	benchmarkRead(b, benchHeader+"Content-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: base64\r\n\r\n"+text)
}

func BenchmarkAttachment10M(b *testing.B) {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	benchmarkRead(b, benchHeader+"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"+strings.Repeat(line, 10<<20/len(line)))
}
