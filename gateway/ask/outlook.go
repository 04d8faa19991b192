package ask

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
)

// recallClass is the message class of a request.
const recallClass = "IPM.Outlook.Recall"

// prefixes are the words that Outlook puts before the subject, in lower case: those that were seen in mail or
// are documented, of the languages that many people here have it in. Where the evidence is certain any other
// word will do.
var prefixes = []string{
	"recall",   // English
	"撤回", "召回", // Chinese, simplified
	"回收",                        // Chinese, traditional
	"rückruf",                   // German
	"rappel",                    // French
	"recuperar", "recuperación", // Spanish, Portuguese
	"richiamo", "richiama", // Italian
	"取り消し", "リコール", // Japanese
	"회수", "메시지 회수", // Korean
	"intrekken", // Dutch
	"отзыв",     // Russian
}

// fromOutlook recognises a request of Outlook.
func (m *Mail) fromOutlook() *Instruction {
	word, rest, ok := cutPrefix(m.subject())
	if !ok {
		return nil
	}
	in := &Instruction{
		Kind: Outlook, Subject: rest, Thread: Thread(m.field("Thread-Index")), Certain: m.certain(), Language: m.language(word, rest),
	}
	if !in.Certain && (in.Thread == nil || !known(word)) {
		return nil
	}
	return in
}

// MayAsk reports whether a message with this subject could be a request of Outlook: it has a word and a colon
// in front.
func MayAsk(subject string) bool {
	word, _, ok := cutPrefix(oneLine(subject))
	return ok && known(word)
}

// cutPrefix takes the word and its colon off the subject. French has a space before the colon, Chinese
// sometimes a wide one.
func cutPrefix(subject string) (word, rest string, ok bool) {
	i := strings.IndexAny(subject, ":：")
	if i <= 0 || i > 60 {
		return "", "", false
	}
	rest = strings.TrimPrefix(strings.TrimPrefix(subject[i:], ":"), "：")
	return strings.TrimSpace(subject[:i]), strings.TrimSpace(rest), true
}

func known(word string) bool {
	word = strings.ToLower(strings.TrimRight(word, " \u00a0"))
	for _, p := range prefixes {
		if word == p {
			return true
		}
	}
	return false
}

// certain looks for what only a request has.
func (m *Mail) certain() bool {
	class := strings.ToLower(strings.TrimSpace(m.field("Content-Class")))
	if class == "urn:content-classes:recallmessage" || strings.HasSuffix(class, strings.ToLower(recallClass)) {
		return true
	}
	if strings.TrimSpace(m.field("X-CallingTelephoneNumber")) == "IPM.Note" {
		return true
	}
	for _, v := range m.Header("X-MS-TrafficTypeDiagnostic") {
		if strings.Contains(v, ":EE_LegacyOutlookRecall") || strings.Contains(v, ":EE_MessageRecallEmail") {
			return true
		}
	}
	return m.hasWinmail() && m.recallInWinmail()
}

// hasWinmail spares mail without TNEF the walk.
func (m *Mail) hasWinmail() bool {
	if m.Content == nil {
		return true
	}
	for i := range m.Content.Attachments {
		a := &m.Content.Attachments[i]
		if isWinmail(a.Type, a.Name) {
			return true
		}
	}
	return false
}

func isWinmail(kind, name string) bool {
	return kind == "application/ms-tnef" || kind == "application/vnd.ms-tnef" || strings.EqualFold(name, "winmail.dat")
}

// TNEF as far as it is needed: MS-OXTNEF 2.1.
const (
	tnefSignature = "\x78\x9f\x3e\x22"
	// tnefClass is attMessageClass at the level of the message; length and value follow.
	tnefClass = "\x01\x08\x80\x07\x00"
	maxTNEF   = 4 << 10
)

// recallInWinmail looks for the class among the first attributes.
func (m *Mail) recallInWinmail() (found bool) {
	w := walk{visit: func(kind, name string, body io.Reader) {
		if found || !isWinmail(kind, name) {
			return
		}
		octets, _ := io.ReadAll(io.LimitReader(body, maxTNEF)) // what came before an error counts
		found = isRecallTNEF(octets)
	}}
	w.message(m.Head)
	return found
}

func isRecallTNEF(octets []byte) bool {
	if !bytes.HasPrefix(octets, []byte(tnefSignature)) {
		return false
	}
	_, after, ok := bytes.Cut(octets, []byte(tnefClass))
	if !ok || len(after) < 4 {
		return false
	}
	value := after[4:]
	return len(value) > len(recallClass) && string(value[:len(recallClass)]) == recallClass && value[len(recallClass)] == 0
}

// Thread decodes a Thread-Index; nil when it is none. It is a header of 22 octets, of which the last 16 are a
// GUID that all messages of a conversation share, and 5 octets for each answer (MS-OXOMSG 2.2.1.3).
func Thread(field string) []byte {
	field = strings.Join(strings.Fields(field), "")
	if len(field) > 1024 {
		return nil
	}
	index, err := base64.StdEncoding.DecodeString(field)
	if err != nil || len(index) < threadHead || (len(index)-threadHead)%5 != 0 || index[0] != 1 {
		return nil
	}
	return index
}

const (
	threadTime = 6 // octets of the reserved one and the time
	threadHead = 22
)

// SameThread reports whether two Thread-Indexes are of one conversation, and whether the request follows
// directly on the original: its index is the original's, with at most one answer more.
func SameThread(request, original []byte) (same, direct bool) {
	if len(request) < threadHead || len(original) < threadHead {
		return false, false
	}
	same = bytes.Equal(request[threadTime:threadHead], original[threadTime:threadHead])
	return same, same && bytes.HasPrefix(request, original) && len(request)-len(original) <= 5
}
