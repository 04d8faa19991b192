package store

import (
	"strings"
	"unicode"

	"github.com/sendgate/sendgate/policy"
	"golang.org/x/text/unicode/norm"
)

// indexEntries gives the keys by which a new message is found, and its due entry.
func indexEntries(m *Message, rows []Recipient) [][]byte {
	e := &m.Envelope
	keys := make([][]byte, 0, 12+2*len(rows))
	add := func(kind byte, term string) { keys = append(keys, indexKey(kind, term, m.ID)) }
	add(indexSender, term(e.Sender.Key()))
	if d := e.Sender.Domain(); d != "" {
		add(indexSenderDomain, term(d))
	}
	if e.Identity != "" {
		add(indexIdentity, term(strings.ToLower(e.Identity)))
	}
	keys = append(keys, recipientEntries(m.ID, rows)...)
	if receivedFar(m.ID, e.Received) {
		add(indexFar, "")
	}
	if e.MessageID != "" {
		add(indexMessageID, term(e.MessageID))
	}
	for _, id := range e.References {
		add(indexReference, term(id))
	}
	if e.QueueID != "" {
		add(indexQueueID, term(e.QueueID))
	}
	for s := range m.States {
		add(indexState, string(s))
	}
	for _, w := range words(e.Subject) {
		add(indexWord, w)
	}
	if !m.Due.IsZero() {
		keys = append(keys, timeKey(keyDue, m.Due, m.ID))
	}
	if !m.Ended.IsZero() && m.BodySize > 0 {
		keys = append(keys, timeKey(keyFinal, m.Ended, m.ID))
	}
	return keys
}

// recipientEntries gives the keys by which a message is found from its recipients.
func recipientEntries(id policy.ID, rows []Recipient) (keys [][]byte) {
	domains := make(map[string]bool, 1)
	for i := range rows {
		keys = append(keys, indexKey(indexRecipient, term(rows[i].Address.Key()), id))
		if d := rows[i].Address.Domain(); d != "" && !domains[d] {
			domains[d] = true
			keys = append(keys, indexKey(indexRecipientDomain, term(d), id))
		}
	}
	return keys
}

// term makes a string fit for an index key: no 0 octet, bounded.
func term(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > maxTerm {
		s = s[:maxTerm]
	}
	return s
}

// maxWords bounds the index entries of one subject.
const maxWords = 64

// words splits a subject into the terms of the index, without repetition: words of letters and
// digits, folded by NFKC and lower case; runs of CJK characters as overlapping pairs, and the last
// character of a run by itself, so that every single character begins some term.
func words(s string) []string {
	var terms []string
	seen := map[string]bool{}
	add := func(w string) {
		if w = term(w); w != "" && !seen[w] && len(terms) < maxWords {
			seen[w] = true
			terms = append(terms, w)
		}
	}
	eachRun(s, func(run []rune, cjk bool) {
		if !cjk {
			add(string(run))
			return
		}
		for i := range len(run) - 1 {
			add(string(run[i : i+2]))
		}
		add(string(run[len(run)-1:]))
	})
	return terms
}

// eachRun calls fn for every maximal run of CJK characters and every word of other letters and digits.
func eachRun(s string, fn func(run []rune, cjk bool)) {
	var run []rune
	cjk := false
	flush := func() {
		if len(run) > 0 {
			fn(run, cjk)
		}
		run = run[:0]
	}
	for _, r := range strings.ToLower(norm.NFKC.String(s)) {
		switch c := isCJK(r); {
		case !c && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r):
			flush()
		case c != cjk:
			flush()
			cjk = c
			run = append(run, r)
		default:
			run = append(run, r)
		}
	}
	flush()
}

func isCJK(r rune) bool {
	return r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul)
}

// stateTerms gives the states that a word of a query means: all states under a label, or a state by its
// name. "recalled" is both, and means what people see under it.
func stateTerms(word string) []policy.State {
	word = strings.ToLower(word)
	var states []policy.State
	for _, s := range policy.States {
		l := s.Label()
		if word == l.ZH || word == labelWord(l.EN) {
			states = append(states, s)
		}
	}
	if states != nil {
		return states
	}
	for _, s := range policy.States {
		if string(s) == word {
			return []policy.State{s}
		}
	}
	return nil
}

// labelWord is the first word of a label: delivering, failed, blocked, unknown, recalled; the two
// kinds of delivery are told apart as mailbox and remote.
func labelWord(en string) string {
	switch en {
	case policy.LabelMailbox.EN:
		return "mailbox"
	case policy.LabelRemote.EN:
		return "remote"
	case policy.LabelReturned.EN:
		return "failed"
	}
	first, _, _ := strings.Cut(strings.ToLower(en), " ")
	return first
}
