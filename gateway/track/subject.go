package track

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A subject is one of our messages as far as matching needs it. The queue files that carry the
// message share it.
type subject struct {
	id        policy.ID
	front     policy.Front
	received  time.Time
	messageID string
	sender    string // key
	leaves    []*leaf
	index     map[leafKey]*leaf
	nodes     int // queue files that refer to it
}

type leafKey struct {
	index  int
	key    string
	member bool
}

// A leaf is a row of a message: a recipient of the envelope, an attempt, or a member of a group.
type leaf struct {
	index  int            // of the row that events name; for a member that of its group
	member policy.Address // empty for a row that is named by its index
	// address is where the row's mail goes, original what ORCPT said; key is the address's.
	address  policy.Address
	key      string
	original string
	group    bool // it has members
	final    bool // it came to an end
	remote   bool // the end is that a remote server took it
	attempt  int
	old      bool   // superseded by a later attempt
	ours     bool   // sendgate itself has to act on it
	queueID  string // under which the row was last known
	// direct is the last event about the address of a group itself, before it was known to be one.
	direct *policy.Event
}

// newSubject takes what is needed from the rows.
func newSubject(m *store.Message, rows policy.Rows) *subject {
	s := &subject{
		id: m.ID, front: m.Envelope.Front, received: m.Envelope.Received,
		messageID: bareID(m.Envelope.MessageID), sender: m.Envelope.Sender.Key(),
		leaves: make([]*leaf, 0, len(rows)), index: make(map[leafKey]*leaf, len(rows)),
	}
	for i := range rows {
		r := &rows[i]
		l := &leaf{
			index: i, address: r.Address, key: r.Address.Key(), original: addressKey(r.Original),
			group: r.State == policy.StateExpanded, final: r.State.Final(),
			remote: r.State == policy.StateRelayedRemote, attempt: max(r.Attempt, 1), old: r.Superseded, ours: !r.Due.IsZero(), queueID: r.QueueID,
		}
		if r.Group > 0 && l.attempt == max(rows[r.Group-1].Attempt, 1) {
			l.index, l.member, l.original = r.Group-1, r.Address, ""
		} else {
			l.direct = directOf(r)
		}
		s.add(l)
	}
	return s
}

// ended reports whether every recipient has come to an end.
func (s *subject) ended() bool {
	return !slices.ContainsFunc(s.leaves, func(l *leaf) bool { return !l.final && !l.group && !l.old })
}

// directOf is the event that a log had about a recipient of the envelope before a restart.
func directOf(r *policy.Row) *policy.Event {
	kinds := map[policy.State]policy.Kind{
		policy.StateDeferred: policy.Deferred, policy.StateDeliveredMailbox: policy.DeliveredMailbox,
		policy.StateRelayedRemote: policy.RelayedRemote, policy.StateBounced: policy.Bounced,
		policy.StateHandedOver: policy.HandedOver, policy.StateBlocked: policy.Blocked,
	}
	kind, ok := kinds[r.State]
	if !ok || !byLog(r) {
		return nil
	}
	return &policy.Event{
		Kind: kind, Time: r.Since, Actor: actor, Recipients: []int{r.Index}, Reply: r.Reply, Evidence: r.Evidence,
		QueueID: r.QueueID, Upstream: r.Upstream, Reason: r.Reason, NextTry: r.NextTry,
		Key: fmt.Sprint("log ", kind, " ", r.QueueID, " ", r.Index),
	}
}

// byLog reports whether the state of a row comes from a log: the upstream is then a queue.
func byLog(r *policy.Row) bool {
	return strings.Contains(r.Upstream, "/") && !strings.Contains(r.Upstream, " ")
}

// add keeps a leaf, or gives the one there is.
func (s *subject) add(l *leaf) (kept *leaf, made bool) {
	k := leafKey{l.index, l.key, l.member != ""}
	if known := s.index[k]; known != nil {
		return known, false
	}
	s.index[k] = l
	s.leaves = append(s.leaves, l)
	return l, true
}

// below gives the leaf of a member of a row, made where it is new.
func (s *subject) below(group *leaf, member policy.Address) *leaf {
	l, _ := s.add(&leaf{index: group.index, member: member, address: member, key: member.Key(), attempt: group.attempt})
	return l
}

// merge takes over what has happened since a subject was read, such as a resend.
func (s *subject) merge(newer *subject) {
	for _, l := range newer.leaves {
		if known, made := s.add(l); !made {
			known.old, known.group, known.final = known.old || l.old, known.group || l.group, known.final || l.final
			known.remote, known.ours, known.queueID = known.remote || l.remote, l.ours, l.queueID
		}
	}
}

// A target is a row that a queue file carries.
type target struct {
	*leaf
	// whole says that the queue file was made for the members of this row only ("forwarded as").
	whole bool
}

// A link says which rows of which message a queue file carries.
type link struct {
	*subject
	targets []target
	at      map[*leaf]int
	byKey   map[string]int // the first target with an address
	// partial is true where more targets may become known: the edges that lead here come one by one.
	partial bool
	// unsure is true where the message's rows are known, and not which of them the queue file carries:
	// what is said of the whole file then means those alone of whom a line spoke, the seen ones.
	unsure bool
	seen   map[*leaf]bool
	// early is true where no line had named the Message-ID yet.
	early bool
}

func newLink(s *subject) *link {
	return &link{subject: s, at: map[*leaf]int{}, byKey: map[string]int{}, seen: map[*leaf]bool{}}
}

// carry adds a target once.
func (l *link) carry(t target) {
	if i, known := l.at[t.leaf]; known {
		l.targets[i].whole = l.targets[i].whole || t.whole
		return
	}
	l.at[t.leaf] = len(l.targets)
	if _, known := l.byKey[t.key]; !known {
		l.byKey[t.key] = len(l.targets)
	}
	l.targets = append(l.targets, t)
}

// carryRows adds the rows with the indexes that an event names, and the members below them; nil is
// the recipients of the envelope.
func (l *link) carryRows(indexes []int) {
	for _, f := range l.leaves {
		if indexes == nil && f.attempt == 1 || indexes != nil && slices.Contains(indexes, f.index) {
			l.carry(target{leaf: f})
		}
	}
}

// carryNewest adds for each recipient the last attempt.
func (l *link) carryNewest() {
	for _, f := range l.leaves {
		if !f.old {
			l.carry(target{leaf: f})
		}
	}
}

// find gives the target with an address: by itself, by its ORCPT, or by its local part where one of
// the two has no domain (Postfix appends $myorigin).
func (l *link) find(address string) (target, bool) {
	if address == "" {
		return target{}, false
	}
	key := addressKey(address)
	if i, ok := l.byKey[key]; ok {
		return l.targets[i], true
	}
	local, _, whole := cutDomain(key)
	found := -1
	for i, t := range l.targets {
		if t.original == key {
			return t, true
		}
		if other, _, has := cutDomain(t.key); other == local && whole != has && t.member == "" {
			if found >= 0 {
				return target{}, false
			}
			found = i
		}
	}
	if found < 0 {
		return target{}, false
	}
	return l.targets[found], true
}

// match gives the target that a status line is about and, where its address is another one, the
// member it names. eager takes also what only one row can be meant by; that
// is sure where the queue file has no second recipient, such as a copy, and alone says so.
func (l *link) match(to, origTo string, eager, alone bool) (t target, member policy.Address, ok bool) {
	if origTo != "" {
		if t, ok = l.find(origTo); ok {
			return t, memberOf(t, to), true
		}
	}
	if t, ok = l.find(to); ok {
		return t, "", true
	}
	for _, t := range l.targets {
		if t.whole {
			return t, memberOf(t, to), true
		}
	}
	// An address that is neither the recipient's nor said to come from it is a copy that Postfix made
	// (always_bcc and the like): nobody asked for it.
	if origTo != "" && alone && (eager || !l.partial) {
		if t, ok = l.only(); ok {
			return t, memberOf(t, to), true
		}
	}
	return target{}, "", false
}

// only gives the one row that the queue file carries.
func (l *link) only() (target, bool) {
	found := -1
	for i := range l.targets {
		if l.targets[i].member != "" {
			continue
		}
		if found >= 0 {
			return target{}, false
		}
		found = i
	}
	if found < 0 {
		return target{}, false
	}
	return l.targets[found], true
}

// memberOf is the address as a member's, empty when it is the target's own.
func memberOf(t target, to string) policy.Address {
	a := parseAddress(to)
	if a.Key() == t.key {
		return ""
	}
	if local, _, whole := cutDomain(a.Key()); whole && local == t.key { // postmaster
		return ""
	}
	return a
}

// parseAddress reads an address as logged, quoted or not; what is none stays as it is.
func parseAddress(s string) policy.Address {
	if a, err := policy.ParseAddress(s); err == nil {
		return a
	}
	return policy.Address(s)
}

func addressKey(s string) string {
	if s == "" {
		return ""
	}
	return parseAddress(s).Key()
}

func cutDomain(key string) (local, domain string, whole bool) {
	if i := strings.LastIndexByte(key, '@'); i >= 0 {
		return key[:i], key[i+1:], true
	}
	return key, "", false
}

// bareID gives a Message-ID as it is compared: without brackets and what stands around them.
func bareID(s string) string {
	if i := strings.IndexByte(s, '<'); i >= 0 {
		if j := strings.IndexByte(s[i:], '>'); j > 0 {
			return s[i+1 : i+j]
		}
	}
	return strings.Trim(strings.TrimSpace(s), "<>")
}
