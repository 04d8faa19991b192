package track

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/track/postlog"
	"github.com/sendgate/sendgate/policy"
)

// Names of who acts in events: us, and the milter where it takes a message.
const (
	actor       = "postfix log"
	milterActor = "smtp"
)

// Reasons of events by which edges are known again after a restart.
const (
	reasonHop       = "passed on to the next queue"
	reasonForwarded = "forwarded by an alias"
	// reasonByHand is that of a removal by postsuper, reasonDropped of one by cleanup.
	reasonByHand   = "deleted by hand in Postfix"
	reasonDropped  = "discarded by Postfix"
	reasonAborted  = "not accepted by Postfix"
	reasonMilter   = "stopped by a milter of Postfix"
	reasonHeld     = "placed on hold by hand in Postfix"
	reasonReleased = "released from hold by hand in Postfix"
)

// ingest takes one statement into the graph, and what follows from it into the work.
func (t *Tracker) ingest(w *work, e *postlog.Entry, m *mark, now time.Time) {
	t.metrics.entries.WithLabelValues(string(e.Kind)).Inc()
	if e.QueueID == "" || isProbe(e) {
		return
	}
	n := t.graph.node(e, m, now)
	if n.link == nil {
		t.wait(w, n, e, m, now)
		return
	}
	if n.mistaken(e) {
		t.graph.detach(n)
		t.graph.revive(n, m, now)
		w.ask(n)
		return
	}
	if speaks(e.Kind) && !t.apply(w, n, e, false) {
		t.graph.delay(n, e)
		t.graph.revive(n, m, now)
	}
}

// wait keeps a statement about a queue file whose message is not known, and asks for it.
func (t *Tracker) wait(w *work, n *node, e *postlog.Entry, m *mark, now time.Time) {
	if _, waits := t.graph.waiting[n]; !waits {
		if e.Kind != postlog.Active || n.revived {
			return // foreign mail
		}
		// A client may take longer over a message than anybody waits for it, and ours is known to the
		// journal only at its end.
		n.revived = true
		t.graph.revive(n, m, now)
	}
	t.graph.hold(n, m)
	if speaks(e.Kind) {
		t.graph.delay(n, e)
	}
	for _, edge := range t.graph.edges[n.queueID] {
		t.follow(w, n, edge)
	}
	if n.link == nil && !n.next.After(now) {
		w.ask(n)
	}
}

// isProbe reports whether a line is about an address verification or a bounce of a bounce.
func isProbe(e *postlog.Entry) bool {
	return e.Kind == postlog.Status &&
		(e.Status == postlog.Deliverable || e.Status == postlog.Undeliverable || strings.HasPrefix(e.To, "double-bounce@"))
}

// apply turns a statement about a linked queue file into events. It is false when the recipient it is
// about may become known later.
func (t *Tracker) apply(w *work, n *node, e *postlog.Entry, eager bool) bool {
	if !eager && wholeFile(e.Kind) && n.link.leaving() {
		return false
	}
	switch e.Kind {
	case postlog.Status:
		return t.status(w, n, e, eager)
	case postlog.Removed:
		t.dequeue(w, n, e)
	case postlog.Expired:
		for _, l := range n.link.open() {
			l.final = true
			w.addWhole(n, t.about(n, l, e, policy.Event{Kind: policy.Expired, Reply: e.Text}))
		}
	case postlog.Held:
		t.note(w, n, e, reasonHeld)
	case postlog.Unheld:
		if n.held { // else we have let go what our milter had held, and the keeper says so
			n.held = false
			t.note(w, n, e, reasonReleased)
		}
	case postlog.MilterAct:
		t.milterAct(w, n, e)
	case postlog.Ambiguous:
		n.ambiguous = e.PID
	}
	return true
}

// status is the line that decides a recipient's fate, or says where it goes on.
func (t *Tracker) status(w *work, n *node, e *postlog.Entry, eager bool) bool {
	tg, member, ok := n.link.match(e.To, e.OrigTo, eager, n.nrcpt == 1)
	if !ok {
		if !eager && (n.link.partial || n.nrcpt == 0 && e.OrigTo != "") {
			return false
		}
		t.metrics.unmatched.Inc()
		return true
	}
	v, ok := t.judge(e, func(queueID string) bool { return t.inLogs(n, queueID) })
	if !ok {
		return true
	}
	l := tg.leaf
	n.link.seen[l] = true
	if member != "" && !v.whole {
		l = t.member(w, n, tg, member, e)
		n.link.seen[l] = true
	}
	ev := policy.Event{Kind: v.kind, Reason: v.reason, Reply: replyOf(e.Text)}
	if v.kind == policy.Deferred {
		ev.NextTry = nextTry(e.Time, e.Delay)
	}
	if v.kind == policy.Bounced && l.remote { // the queue that had it was taken for somebody else's
		ev.Kind = policy.AsyncBounced
	}
	if ambiguous(n, e) {
		ev.MayBeDuplicate, n.ambiguous = true, 0
	}
	ev = t.about(n, l, e, ev)
	if v.whole {
		ev.Member = l.member // the members are in the next queue file
	}
	l.saw(ev.Kind)
	if v.next != "" {
		ev = t.lead(w, n, l, v, ev)
	}
	w.add(n, ev)
	return true
}

// ambiguous reports whether the server may have taken a message although the connection broke.
func ambiguous(n *node, e *postlog.Entry) bool {
	return e.MayBeDuplicate || n.ambiguous != 0 && n.ambiguous == e.PID
}

// saw keeps what an event means for those that follow.
func (l *leaf) saw(k policy.Kind) {
	switch k {
	case policy.DeliveredMailbox, policy.RelayedRemote, policy.Bounced, policy.AsyncBounced, policy.Expired, policy.Blocked:
		l.final, l.remote = true, k == policy.RelayedRemote
	}
}

// member gives the leaf of a member of a group. What was said about the group's own address before it
// was known to be a group is said again about the member of that address.
func (t *Tracker) member(w *work, n *node, tg target, address policy.Address, e *postlog.Entry) *leaf {
	g := tg.leaf
	l := n.link.below(g, address)
	n.link.carry(target{leaf: l})
	if g.member != "" && !g.group {
		w.nested = append(w.nested, nesting{n.link.id, g, t.about(n, l, e, policy.Event{Kind: policy.Expanded})})
	}
	if g.member == "" && !g.group && g.direct != nil {
		again := *g.direct
		again.Member, again.Key = g.address, again.Key+" self"
		w.add(n, again)
	}
	g.group = true
	return l
}

// dequeue notes that the queue file is gone, and who has removed it.
func (t *Tracker) dequeue(w *work, n *node, e *postlog.Entry) {
	ev := policy.Event{Kind: policy.Dequeued}
	switch {
	case e.Service == "postsuper":
		ev.Reason = reasonByHand
	case e.Canceled && strings.Contains(e.Line.Text, "discarded"):
		ev.Reason = reasonDropped
	case e.Canceled:
		ev.Reason = reasonAborted
	}
	ev = t.event(n, e, ev)
	ev.Recipients = n.link.indexes()
	w.add(n, ev)
	t.watch(n, e.Time)
}

// note puts what somebody did to the queue file into the timeline of those who wait in it.
func (t *Tracker) note(w *work, n *node, e *postlog.Entry, reason string) {
	for _, l := range n.link.open() {
		w.addWhole(n, t.about(n, l, e, policy.Event{Kind: policy.Queued, Reason: reason}))
	}
}

// milterAct is another milter's word. In our own SMTP dialogue we have heard it ourselves.
func (t *Tracker) milterAct(w *work, n *node, e *postlog.Entry) {
	ev := policy.Event{Reason: reasonMilter, Reply: e.Text}
	switch {
	case e.Action == "discard":
		ev.Kind = policy.Blocked
	case e.Action != "reject" || n.link.front != policy.Milter:
		return
	case e.Code/100 == 4 || strings.HasPrefix(e.DSN, "4"):
		ev.Kind, ev.Reason = policy.NeverQueued, reasonAborted
	default:
		ev.Kind = policy.Blocked
	}
	for _, l := range n.link.open() {
		if e.To == "" || l.key == addressKey(e.To) {
			l.final = true
			w.addWhole(n, t.about(n, l, e, ev))
		}
	}
}

// wholeFile reports whether a line is about a queue file rather than one recipient in it.
func wholeFile(k postlog.Kind) bool {
	switch k {
	case postlog.Expired, postlog.Held, postlog.Unheld, postlog.MilterAct:
		return true
	}
	return false
}

// leaving reports whether sendgate may be about to say which recipients it has handed over: the line
// of their queue file was quicker than the journal.
func (l *link) leaving() bool {
	return l.front != policy.Milter && slices.ContainsFunc(l.targets, func(tg target) bool { return tg.ours && !tg.final })
}

// mistaken reports whether a line shows that the queue file is of another message than its short
// queue id had said.
func (n *node) mistaken(e *postlog.Entry) bool {
	if e.Kind != postlog.Message || !n.link.early || e.Resent {
		return false
	}
	n.link.early = false
	return n.link.messageID != "" && n.messageID != n.link.messageID
}

// open gives the leaves that are in a queue file and have not come to an end.
func (l *link) open() (open []*leaf) {
	for _, t := range l.targets {
		if !t.final && !t.group && !(t.old && t.member != "") && (!l.unsure || l.seen[t.leaf]) {
			open = append(open, t.leaf)
		}
	}
	return open
}

// indexes gives the rows of a queue file.
func (l *link) indexes() []int {
	list := make([]int, 0, len(l.targets))
	for _, t := range l.targets {
		if t.member == "" && (!l.unsure || l.seen[t.leaf]) {
			list = append(list, t.index)
		}
	}
	if len(list) == 0 {
		for _, t := range l.targets {
			list = append(list, t.index)
		}
		slices.Sort(list)
		list = slices.Compact(list)
	}
	return list
}

// about completes an event about a row.
func (t *Tracker) about(n *node, l *leaf, e *postlog.Entry, ev policy.Event) policy.Event {
	ev = t.event(n, e, ev)
	ev.Recipients, ev.Member = []int{l.index}, l.member
	ev.Key += " " + strconv.Itoa(l.index) + " " + l.key
	switch {
	case l.member != "":
	case l.group: // it is a member of itself
		ev.Member = l.address
	case ev.Kind != policy.Queued:
		direct := ev
		l.direct = &direct
	}
	return ev
}

// event completes an event about a queue file. Its key is made of what the line says, so that the line
// read again, from another copy of the log too, is known.
func (t *Tracker) event(n *node, e *postlog.Entry, ev policy.Event) policy.Event {
	ev.Time, ev.Actor = e.Time, actor
	ev.QueueID, ev.Upstream = n.queueID, n.upstream()
	ev.Evidence = evidence(e)
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Line.Text))
	var b strings.Builder
	for _, s := range []string{"log ", string(ev.Kind), " ", shortHost(n.host), "/", n.instance, " ", n.queueID, " "} {
		b.WriteString(s)
	}
	b.WriteString(strconv.FormatInt(e.Time.Unix(), 36))
	b.WriteByte(' ')
	b.WriteString(strconv.FormatUint(h.Sum64(), 36))
	ev.Key = b.String()
	return ev
}

// maxEvidence bounds the log line that an event keeps.
const maxEvidence = 2000

// evidence is the line without its time.
func evidence(e *postlog.Entry) string {
	s := e.Tag + "[" + strconv.Itoa(e.PID) + "]: " + e.Line.Text
	if e.Host != "" {
		s = e.Host + " " + s
	}
	if len(s) > maxEvidence {
		s = s[:maxEvidence]
	}
	return s
}
