package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// restorable is how long a recall can put back what it has taken out of a mailbox: until then it has to know
// whose mailbox that was.
const restorable = 31 * 24 * time.Hour

// errRestorable is why a message is left as it is.
var errRestorable = errors.New("a recall of it can still be put back")

// An eraser takes a person out of messages. In the person's place stands a digest whose salt nobody keeps: it is
// the same in all messages of one erasure, so that they can still be counted together, and leads to nobody.
type eraser struct {
	person string
	key    string // of the address
	mark   string // for a name
	names  *regexp.Regexp
	now    time.Time

	foreign  bool     // what is looked at is not theirs: see text
	hits     int      // how often text has found the person
	subjects []string // of messages that were erased with their subjects

	looked map[policy.ID]bool // their own messages and timelines, whatever that came to

	logins []string // under which they alone have sent, in lower case
	shared []string // under which others have sent, too
}

func newEraser(person string, now time.Time) *eraser {
	salt := make([]byte, sha256.Size)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	h := hmac.New(sha256.New, salt)
	h.Write([]byte(strings.ToLower(person)))
	return &eraser{
		person: person, key: policy.Address(person).Key(), mark: "erased-" + hex.EncodeToString(h.Sum(nil)[:8]),
		names: regexp.MustCompile("(?i)" + regexp.QuoteMeta(person)), now: now, looked: map[policy.ID]bool{},
	}
}

func (e *eraser) address() policy.Address { return policy.Address(e.mark + "@erased.invalid") }

// isAddress reports whether a text is the person's address.
func (e *eraser) isAddress(text string) bool {
	return text != "" && (strings.EqualFold(text, e.person) || strings.Contains(e.person, "@") && policy.Address(text).Key() == e.key)
}

// text puts the mark in the place of the person's name, where it stands as a whole (see namesPerson). In what is not
// theirs an identity that is no address has to stand alone, as in "user:sales" and as a string of JSON: in the subject
// of somebody else's mail "sales" is a word. Another name of theirs has to be the whole text.
func (e *eraser) text(s string) string {
	if !e.foreign && e.isLogin(s) {
		e.hits++
		return e.mark
	}
	var b strings.Builder
	at := 0
	for _, m := range e.names.FindAllStringIndex(s, -1) {
		before, after := s[:m[0]], s[m[1]:]
		if before != strings.TrimRightFunc(before, partOfName) || !ends(after) || e.foreign && !e.standsAlone(before, after) {
			continue
		}
		b.WriteString(s[at:m[0]] + e.mark)
		at = m[1]
		e.hits++
	}
	return b.String() + s[at:]
}

func (e *eraser) standsAlone(before, after string) bool {
	if strings.Contains(e.person, "@") {
		return true
	}
	return (before == "" || strings.HasSuffix(before, ":") || strings.HasSuffix(before, `"`)) && (after == "" || strings.HasPrefix(after, `"`))
}

var replyCodes = regexp.MustCompile(`^[245][0-9]{2}(?:[ -][245]\.[0-9]{1,3}\.[0-9]{1,3})?`)

// codes leaves of a reply what names nobody.
func codes(reply string) string { return replyCodes.FindString(reply) }

// erase is for [store.Store.Redact]. What the person sent loses all that is theirs; what the person received loses
// their address, and its subject when nobody else received it.
func (e *eraser) erase(m *store.Stored) error {
	if !e.foreign && e.restores(m) {
		return errRestorable
	}
	env := &m.Message.Envelope
	p := &part{eraser: e, mine: e.rowsOf(m.Rows), identity: env.Identity, gone: map[string]bool{}}
	p.sent = strings.EqualFold(env.Identity, e.person) || e.isAddress(string(env.Sender))
	switch alone := len(p.mine) == countedRows(m.Rows, p.mine); {
	case e.foreign:
		env.Subject, env.From, env.Identity, env.Login, env.EnvID = e.text(env.Subject), e.text(env.From), e.text(env.Identity), e.text(env.Login), e.text(env.EnvID)
	case p.sent:
		e.sender(env)
	case alone:
		env.Subject, env.From, env.MessageID, env.References = "", e.text(env.From), "", nil
	default:
		env.Subject, env.From = e.text(env.Subject), e.text(env.From)
	}
	for _, r := range m.Records {
		for i := range r.Events {
			p.event(&r.Events[i])
		}
	}
	for i := range m.Rows {
		p.row(&m.Rows[i])
	}
	return nil
}

// restores reports whether a recall can still put back what it has taken.
func (e *eraser) restores(m *store.Stored) bool {
	for _, r := range m.Records {
		for _, ev := range r.Events {
			if len(ev.Copies) > 0 && e.now.Sub(ev.Time) < restorable {
				return true
			}
		}
	}
	return false
}

// A part is what a person has in one message.
type part struct {
	*eraser
	mine     map[int]bool // the rows of the person
	sent     bool
	identity string          // as it was
	gone     map[string]bool // evidence that was taken out of events
}

// sender takes out of an envelope what is about who sent it.
func (e *eraser) sender(env *policy.Envelope) {
	if env.Sender != "" {
		env.Sender = e.address()
	}
	env.Identity, env.Login, env.Helo, env.Client = e.mark, "", "", netip.Addr{}
	env.From, env.Subject, env.MessageID, env.EnvID, env.References = "", "", "", "", nil
}

// rowsOf gives the rows that are the person's.
func (e *eraser) rowsOf(rows policy.Rows) map[int]bool {
	mine := map[int]bool{}
	for i := range rows {
		if e.isAddress(string(rows[i].Address)) || e.isAddress(rows[i].Original) {
			mine[i] = true
		}
	}
	return mine
}

// row takes the person out of a recipient, after the events.
func (p *part) row(r *policy.Row) {
	r.Reason = p.text(r.Reason)
	if p.mine[r.Index] {
		r.Address, r.Original = p.address(), ""
	}
	if p.mine[r.Index] || p.sent || p.gone[r.Evidence] || p.gone[r.Reply] {
		r.Reply, r.Evidence = codes(r.Reply), ""
	}
	r.Original, r.Reply, r.Evidence = p.text(r.Original), p.text(r.Reply), p.text(r.Evidence)
}

// countedRows counts the recipients: the person's, and the others who count.
func countedRows(rows policy.Rows, mine map[int]bool) (n int) {
	for i := range rows {
		if mine[i] || rows[i].Counted() {
			n++
		}
	}
	return n
}

// event takes the person out of an event. The evidence of what is about them goes as a whole: it may name them in
// ways that nobody foresees.
func (p *part) event(ev *policy.Event) {
	about := p.about(ev)
	ev.Actor, ev.Reason, ev.Subject, ev.Key = p.text(ev.Actor), p.text(ev.Reason), p.text(ev.Subject), p.text(ev.Key)
	if p.isAddress(string(ev.Member)) {
		ev.Member = p.address()
		p.hits++
	}
	if about {
		p.gone[ev.Evidence], p.gone[ev.Reply] = ev.Evidence != "", ev.Reply != ""
		ev.Reply, ev.Evidence, ev.Copies = codes(ev.Reply), evidenceID(ev.Evidence), nil
	}
	ev.Reply, ev.Evidence = p.text(ev.Reply), p.text(ev.Evidence)
	for i := range ev.Findings {
		p.finding(&ev.Findings[i])
	}
	if p.sent {
		ev.Charge = nil // what it took, and the signature of its text
	}
	if c := ev.Charge; c != nil {
		for i := range c.Amounts {
			c.Amounts[i].Key = p.text(c.Amounts[i].Key)
		}
		for i := range c.Paces {
			c.Paces[i].Key = p.text(c.Paces[i].Key)
		}
	}
}

// about reports whether an event is about the person.
func (p *part) about(ev *policy.Event) bool {
	if p.sent || ev.Recipients == nil && len(p.mine) > 0 || p.isAddress(string(ev.Member)) {
		return true
	}
	for _, i := range ev.Recipients {
		if p.mine[i] {
			return true
		}
	}
	return false
}

func (p *part) finding(f *policy.Finding) {
	if f.Key = p.text(f.Key); p.sent && strings.EqualFold(f.Key, p.identity) {
		f.Key = p.mark
	}
	f.Detail.EN, f.Detail.ZH = p.text(f.Detail.EN), p.text(f.Detail.ZH)
}

// evidenceID keeps an evidence that is the id of another message or of a recall, and nothing else.
func evidenceID(evidence string) string {
	if id, err := policy.ParseID(evidence); err == nil && utf8.RuneCountInString(evidence) == len(id.String()) {
		return evidence
	}
	return ""
}
