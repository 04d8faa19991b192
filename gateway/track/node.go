package track

import (
	"container/list"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/track/postlog"
	"github.com/sendgate/sendgate/policy"
)

// A nodeKey names a queue: several programs of one instance log about the same queue file.
type nodeKey struct{ host, instance, queueID string }

// keyOf gives the queue of a line: "postfix/submission/smtpd" and "postfix/qmgr" share one.
func keyOf(e *postlog.Entry) nodeKey {
	return nodeKey{strings.ToLower(e.Host), queueOf(e.Instance), e.QueueID}
}

// queueOf is the first part of the tag: master.cf gives services names of their own below it.
func queueOf(instance string) string {
	first, _, _ := strings.Cut(instance, "/")
	return first
}

// sameHost compares host names: logs have the first label only, or the whole name, as macro j does.
// An unknown one is any.
func sameHost(a, b string) bool {
	if a == "" || b == "" {
		return true
	}
	if strings.Contains(a, ".") && strings.Contains(b, ".") {
		return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
	}
	return shortHost(a) == shortHost(b)
}

func shortHost(host string) string {
	first, _, _ := strings.Cut(strings.ToLower(host), ".")
	return first
}

// upstream is the queue as events name it.
func (k nodeKey) upstream() string { return k.host + "/" + k.instance }

// long reports whether the queue id is of the long form, which is never given twice.
func (k nodeKey) long() bool {
	return len(k.queueID) >= 12 && strings.ContainsAny(k.queueID, "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ")
}

// A node is what is known of one queue file between two uses of its queue id.
type node struct {
	nodeKey
	first, last time.Time // of its lines
	opened      time.Time // of the line that made it; zero when not seen
	removed     time.Time // of the line that removed it; zero when not seen

	messageID string
	sender    string // key, known with the first line of qmgr
	active    bool
	nrcpt     int       // the most recipients that qmgr counted
	resent    bool      // messageID is a Resent-Message-ID
	ident     policy.ID // ours, by XFORWARD
	parent    string    // the queue id it came from: requeued, or by XFORWARD of a Postfix
	requeued  bool      // parent is of the same queue
	held      bool      // by hand
	revived   bool      // it was given up once and waits again
	// ambiguous is the process that may have sent it without hearing the answer.
	ambiguous int

	link    *link
	pending []postlog.Entry // what waits for the link, or for more of its targets
	// said is true when an event with the queue id was committed: the link survives a restart.
	said bool

	holds []*mark   // the batches of what is not settled
	since time.Time // when it began to wait, by our clock
	next  time.Time // when to ask the journal again
	tries int
	prev  *node // the file that had the queue id before
	place *list.Element
	touch time.Time // when a line was about it, by our clock
	gone  bool      // not in the graph any more
}

// maxPending bounds what one queue file keeps waiting; the recipients of a message have a line each.
const maxPending = 5000

// note takes from a line what it says about the queue file itself.
func (n *node) note(e *postlog.Entry) {
	if n.first.IsZero() || e.Time.Before(n.first) {
		n.first = e.Time
	}
	if e.Time.After(n.last) {
		n.last = e.Time
	}
	switch e.Kind {
	case postlog.Opened:
		n.opened = e.Time
		if id, err := policy.ParseID(e.OrigQueueID); err == nil {
			n.ident = id
		} else if e.OrigQueueID != "" && n.parent == "" {
			n.parent = e.OrigQueueID
		}
	case postlog.PickedUp:
		n.opened = e.Time
		if e.OrigID != "" {
			n.parent, n.requeued = e.OrigID, true
		}
	case postlog.Message:
		if n.messageID == "" || !e.Resent {
			n.messageID, n.resent = bareID(e.MessageID), e.Resent
		}
	case postlog.Active:
		n.active, n.sender, n.nrcpt = true, addressKey(e.From), max(n.nrcpt, e.Recipients)
	case postlog.Removed:
		n.removed = e.Time
	case postlog.Held:
		n.held = true
	}
}

// opens reports whether a line begins a queue file rather than continuing this one.
func (n *node) opens(e *postlog.Entry) bool {
	if e.Kind != postlog.Opened && e.Kind != postlog.PickedUp {
		return false
	}
	switch {
	case n.opened.IsZero() && !n.removed.IsZero(): // its first line may come last, and be of the same second
		return e.Time.After(n.first) && !e.Time.Before(n.removed)
	case !n.removed.IsZero():
		return !n.opened.Equal(e.Time) && !e.Time.Before(n.removed)
	case !n.opened.IsZero(): // its removal was not seen
		return e.Time.Sub(n.opened) > reuseAfter
	}
	return e.Time.Sub(n.first) > reuseAfter
}

// reuseAfter is how much later a line that makes a queue file is one of another file.
const reuseAfter = 5 * time.Second

// speaks reports whether a line has something to say about a message.
func speaks(k postlog.Kind) bool {
	switch k {
	case postlog.Status, postlog.Removed, postlog.Expired, postlog.Held, postlog.Unheld, postlog.MilterAct, postlog.Ambiguous:
		return true
	}
	return false
}
