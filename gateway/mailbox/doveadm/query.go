package doveadm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// unread are the search terms for what [mailbox.ReadFlag] calls unread.
var unread = []string{"UNSEEN", "NOT", "ANSWERED", "NOT", "KEYWORD", "$Forwarded", "NOT", "KEYWORD", "$MDNSent"}

// candidates is the query for what may be the message. OR stands between its terms, unlike in IMAP.
func candidates(m *mailbox.Match) []string {
	query := []string{"SINCE", strconv.FormatInt(m.Since().Unix(), 10), "("}
	if term := m.Term(); term != "" {
		query = append(query, "HEADER", "Message-ID", term)
	} else {
		query = append(query, unnamed(m)...)
	}
	if m.IDHeader != "" {
		query = append(query, "OR", "HEADER", m.IDHeader, m.ID.String())
	}
	if m.Gateway != "" {
		query = append(query, "OR", "HEADER", "Received", m.ID.String())
	}
	return append(query, ")")
}

// unnamed finds messages without Message-ID by author and size.
func unnamed(m *mailbox.Match) []string {
	query := []string{"(", "HEADER", "From", authorTerm(m.From)}
	if least, most := m.Sizes(); most > 0 {
		query = append(query, "NOT", "SMALLER", strconv.FormatInt(least, 10), "NOT", "LARGER", strconv.FormatInt(most, 10))
	}
	return append(query, ")")
}

// authorTerm is the longest piece of the address in a From field that no server folds or quotes.
func authorTerm(from string) string {
	if open := strings.LastIndexByte(from, '<'); open >= 0 {
		from, _, _ = strings.Cut(from[open+1:], ">")
	}
	longest := ""
	for _, piece := range strings.FieldsFunc(from, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"\()`, r)
	}) {
		if len(piece) > len(longest) {
			longest = piece
		}
	}
	return longest
}

// one is the query for one message.
func one(folderID string, uid uint32) []string {
	return []string{"mailbox-guid", folderID, "uid", strconv.FormatUint(uint64(uid), 10)}
}

// inStaging is the query for one message in the staging folder. It names the folder, too: without a name a search
// leaves out namespaces that are not listed.
func inStaging(folder, folderID string, uid uint32) []string {
	return append([]string{"mailbox", folder}, one(folderID, uid)...)
}

// lying is the query for what was taken, where it was put.
func lying(t policy.MailCopy) []string {
	if t.Mode == string(mailbox.Staging) {
		return inStaging(t.Staged, t.StagedID, t.UID)
	}
	return one(t.StagedID, t.UID)
}

func fetch(query []string, fields ...string) call {
	return call{"fetch", map[string]any{"field": fields, "query": query}}
}

func move(query []string, folder string) call {
	return call{"move", map[string]any{"destinationMailbox": folder, "query": query}}
}

// status of a folder. Its name is a mask to the server: look for the row of the right folder.
func status(folder string) call {
	return call{"mailboxStatus", map[string]any{"field": []string{"guid", "uidnext", "highestmodseq"}, "mailboxMask": []string{folder}}}
}

func create(folder string) call {
	return call{"mailboxCreate", map[string]any{"mailbox": []string{folder}}}
}

// specialUse asks for the use of a folder (RFC 6154), which is metadata to Dovecot.
func specialUse(folder string) call {
	return call{"mailboxMetadataGet", map[string]any{"mailbox": folder, "key": "/private/specialuse"}}
}

// String writes a call for evidence.
func (c call) String() string {
	words := []string{c.name}
	for _, name := range []string{"mailbox", "mailboxMask", "destinationMailbox", "flag", "query"} {
		if v, ok := c.params[name]; ok {
			words = append(words, fmt.Sprint(v))
		}
	}
	return strings.Join(words, " ")
}
