package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/publicsuffix"

	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/policy/similar"
)

// A letter is a message of the corpus.
type letter struct {
	folder  string
	from    string // address in lower case
	thread  string // subject without "Re:", in lower case
	reply   bool   // by its header or subject
	answer  bool   // "Re:"
	html    bool
	text    string // visible
	chinese bool
	sig     similar.Signature
}

// readCorpus reads every file below a folder. What is no message, or shows no text, is left out.
func readCorpus(dir string, x *similar.Index) ([]*letter, error) {
	var letters []*letter
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if l := newLetter(filepath.Dir(path), raw, x); l != nil {
			letters = append(letters, l)
		}
		return nil
	})
	if err == nil && len(letters) == 0 {
		err = errors.New("no messages with text in " + dir)
	}
	return letters, err
}

func newLetter(folder string, raw []byte, x *similar.Index) *letter {
	c, hints := extract(raw)
	from := c.Header.Addresses("From")
	if len(from) == 0 || strings.TrimSpace(c.Text) == "" {
		return nil
	}
	thread, re := threadOf(hints.Subject)
	return &letter{
		folder: folder, from: strings.ToLower(from[0].Addr), thread: thread, reply: hints.Reply || re, answer: re,
		html: c.HTML, text: c.Text, chinese: ideographs(c.Text)*4 > len([]rune(c.Text)),
		sig: x.Signature(c.Text, hints),
	}
}

// extract reads a message as the gateway does. Reading memory does not fail.
func extract(raw []byte) (content.Content, similar.Hints) {
	c, _ := content.Read(bytes.NewReader(raw), content.DefaultLimits(), time.Now)
	h := similar.Hints{
		Subject: c.Header.Get("Subject"),
		Reply:   c.Header.Count("In-Reply-To")+c.Header.Count("References") > 0,
		Hosts:   linkHosts(c.Links),
	}
	for _, a := range c.Header.Addresses("To") {
		h.Names = append(h.Names, a.Name, a.Addr)
	}
	for _, a := range c.Attachments {
		if a.Size >= similar.MinAttachment && !a.Inline {
			h.Attachments = append(h.Attachments, a.SHA256)
		}
	}
	return c, h
}

// linkHosts gives the registered domains of web addresses.
func linkHosts(links []string) []string {
	var hosts []string
	for _, l := range links {
		u, err := url.Parse(l)
		if err != nil || u.Hostname() == "" {
			continue
		}
		if d, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname()); err == nil {
			hosts = append(hosts, d)
		}
	}
	return hosts
}

// threadOf takes "Re:" and its like off a subject, and reports whether there was one.
func threadOf(subject string) (thread string, reply bool) {
	s := strings.ToLower(strings.TrimSpace(subject))
	for {
		rest := s
		for _, p := range []string{"re:", "re：", "aw:", "回复:", "回复：", "答复:", "答复：", "回覆:", "回覆："} {
			rest = strings.TrimSpace(strings.TrimPrefix(rest, p))
		}
		if strings.HasPrefix(rest, "[") {
			if _, after, ok := strings.Cut(rest, "]"); ok {
				rest = strings.TrimSpace(after)
			}
		}
		if rest == s {
			return s, reply
		}
		reply = reply || !strings.HasPrefix(s, "[")
		s = rest
	}
}

func ideographs(s string) int {
	n := 0
	for _, r := range s {
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
			n++
		}
	}
	return n
}
