package track

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/track/postlog"
	"github.com/sendgate/sendgate/policy"
)

// Postfix's defaults for the pause between two tries: the age of the message, within these bounds
// (minimal_backoff_time, maximal_backoff_time).
const (
	minimalBackoff = 300 * time.Second
	maximalBackoff = 4000 * time.Second
)

// reasonNoQueueID is that of what nobody can follow.
const reasonNoQueueID = "taken by a relay of ours that named no queue id"

// A verdict is what a status line means for its recipient.
type verdict struct {
	kind   policy.Kind
	reason string
	next   string // the queue id under which it goes on
	whole  bool   // that queue file holds the members of this recipient and nothing else
}

// judge says what a status line means. known reports whether a queue file is one of our logs'.
func (t *Tracker) judge(e *postlog.Entry, known func(queueID string) bool) (verdict, bool) {
	switch e.Status {
	case postlog.Deferred, postlog.SoftBounce:
		return verdict{kind: policy.Deferred}, true
	case postlog.Bounced:
		return verdict{kind: policy.Bounced}, true
	case postlog.Sent:
		return t.judgeSent(e, known), true
	}
	return verdict{}, false // verify(8) probes: deliverable, undeliverable
}

func (t *Tracker) judgeSent(e *postlog.Entry, known func(string) bool) verdict {
	switch e.Service {
	case "local":
		return t.judgeLocal(e)
	case "virtual":
		return verdict{kind: policy.DeliveredMailbox}
	case "discard":
		return verdict{kind: policy.Blocked, reason: "discarded by Postfix's discard transport"}
	case "pipe":
		if t.mailboxTransport(e.Relay.Name) {
			return verdict{kind: policy.DeliveredMailbox}
		}
		return program(e.Relay.Name)
	}
	ours := t.relays.has(e.Relay.Name, e.Relay.Addr, e.Relay.Port)
	switch {
	case e.QueuedAs != "" && (ours || known(e.QueuedAs)):
		return verdict{kind: policy.Queued, reason: reasonHop, next: e.QueuedAs}
	case t.relays.exactly(e.Relay.Name, e.Relay.Addr, e.Relay.Port): // a filter that speaks LMTP is no mailbox
		return verdict{kind: policy.HandedOver, reason: reasonNoQueueID}
	case e.Service == "lmtp" || t.mailboxTransport(e.Relay.Name):
		return verdict{kind: policy.DeliveredMailbox}
	case ours:
		return verdict{kind: policy.HandedOver, reason: reasonNoQueueID}
	}
	return verdict{kind: policy.RelayedRemote, next: e.QueuedAs}
}

// judgeLocal reads what local(8) says it has done.
func (t *Tracker) judgeLocal(e *postlog.Entry) verdict {
	what, name, _ := strings.Cut(e.Action, ": ")
	switch {
	case e.ForwardedAs != "":
		return verdict{kind: policy.Queued, reason: reasonForwarded, next: e.ForwardedAs, whole: true}
	case what == "mailbox", what == "maildir":
		return verdict{kind: policy.DeliveredMailbox}
	case what == "discarded", what == "file" && name == "/dev/null":
		return verdict{kind: policy.Blocked, reason: "discarded by an alias"}
	case what == "file":
		return verdict{kind: policy.HandedOver, reason: "appended to the file " + name}
	case what == "command":
		command := strings.Trim(name, `"|`)
		words := strings.Fields(command)
		if len(words) > 0 && t.mailboxTransport(path.Base(words[0])) {
			return verdict{kind: policy.DeliveredMailbox}
		}
		return program(command)
	}
	return verdict{kind: policy.HandedOver, reason: e.Text}
}

func program(name string) verdict {
	return verdict{kind: policy.HandedOver, reason: "given to the program " + name + ": what it does is not known"}
}

func (t *Tracker) mailboxTransport(name string) bool {
	return name != "" && slices.Contains(t.cfg.MailboxTransports, name)
}

// nextTry estimates when Postfix tries again a message that has been there so long: it waits as long
// again, within bounds.
func nextTry(at time.Time, age time.Duration) time.Time {
	return at.Add(min(max(age, minimalBackoff), maximalBackoff))
}

// replyOf gives the server's reply of a status text: "host H[ip] said: 550 5.1.1 ... (in reply to RCPT
// TO command)" holds one, what Postfix says by itself is given as it is.
func replyOf(text string) string {
	if strings.HasPrefix(text, "host ") {
		if _, said, ok := strings.Cut(text, " said: "); ok {
			if i := strings.LastIndex(said, " (in reply to "); i >= 0 {
				said = said[:i]
			}
			return said
		}
	}
	return text
}
