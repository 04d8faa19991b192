package track

import (
	"maps"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// edgeSlack is how far the first line of a queue file may lie before the line that names it, or after.
const edgeSlack = time.Hour

// An edge leads from a recipient in one queue file to the next queue file.
type edge struct {
	queueID string
	at      time.Time
	subject *subject
	leaf    *leaf
	whole   bool
	// maybe is set where the next server is none of ours by configuration: the edge counts when its
	// queue file shows up in our logs with the same Message-ID. said is the event that tells of it then.
	maybe     bool
	messageID string // as logged with the queue file before, which may have been given one there
	said      policy.Event
}

// lead makes the edge that a status line speaks of, and completes the event about it.
func (t *Tracker) lead(w *work, n *node, l *leaf, v verdict, ev policy.Event) policy.Event {
	e := &edge{queueID: v.next, at: ev.Time, subject: n.link.subject, leaf: l, whole: v.whole,
		maybe: v.kind != policy.Queued, messageID: n.messageID}
	next := t.graph.byQueue[v.next]
	if e.maybe {
		e.said = ev
		e.said.Kind, e.said.Reason, e.said.QueueID, e.said.Upstream, e.said.Key = policy.Queued, reasonHop, v.next, "", ev.Key+" hop"
	} else {
		ev.QueueID, ev.Upstream = v.next, ""
		for _, child := range next {
			if e.fits(child, n) {
				ev.Upstream = child.upstream()
			}
		}
	}
	t.graph.keepEdge(e)
	for _, child := range next {
		if child != n {
			t.follow(w, child, e)
		}
	}
	return ev
}

// fits reports whether a queue file can be the one that an edge leads to.
func (e *edge) fits(child, parent *node) bool {
	if child == parent {
		return false
	}
	if d := child.first.Sub(e.at); d < -edgeSlack || d > edgeSlack {
		return false
	}
	return !e.maybe || child.messageID != "" && (child.messageID == e.subject.messageID || child.messageID == e.messageID)
}

// follow links a queue file by an edge.
func (t *Tracker) follow(w *work, child *node, e *edge) {
	if !e.fits(child, nil) {
		return
	}
	if child.link != nil && child.link.id != e.subject.id {
		return
	}
	s := t.graph.shared(e.subject)
	fresh := child.link == nil
	l := t.graph.attach(child, s)
	l.partial = l.partial || fresh
	kept, _ := s.add(e.leaf)
	l.carry(target{leaf: kept, whole: e.whole})
	l.seen[kept] = true
	if e.maybe {
		said := e.said
		said.Upstream = child.upstream()
		w.add(child, said)
	}
	w.said = append(w.said, child) // with the event of the edge
	t.retry(w, child, false)
}

// retry applies what has waited for a link, or for more targets of it.
func (t *Tracker) retry(w *work, n *node, eager bool) {
	if n.link == nil {
		return
	}
	waited := n.pending
	if len(waited) > 0 {
		w.hold(n.holds)
	}
	t.graph.lines -= len(waited)
	n.pending = nil
	for i := range waited {
		if !t.apply(w, n, &waited[i], eager) {
			t.graph.delay(n, &waited[i])
		}
	}
}

// inLogs reports whether a server that is none of ours by configuration has given a message a queue
// id that stands in our logs with the same Message-ID.
func (t *Tracker) inLogs(n *node, queueID string) bool {
	for _, child := range t.graph.byQueue[queueID] {
		same := child.messageID != "" && (child.messageID == n.link.messageID || child.messageID == n.messageID)
		if child != n && same && child.last.Sub(n.last).Abs() < edgeSlack {
			return true
		}
	}
	return false
}

// inherit links a queue file to the message of the one it came from.
func (t *Tracker) inherit(w *work, n *node) {
	for _, p := range t.graph.byQueue[n.parent] {
		if p == n || p.link == nil || n.requeued && (p.host != n.host || p.instance != n.instance) {
			continue
		}
		l := t.graph.attach(n, p.link.subject)
		l.partial, l.unsure, l.seen = p.link.partial, p.link.unsure, maps.Clone(p.link.seen)
		for _, tg := range p.link.targets {
			l.carry(tg)
		}
		t.sayLink(w, n, "came from queue id "+n.parent)
		t.retry(w, n, false)
		return
	}
}

// sayLink records how a queue file was found to carry a message. What sendgate itself still has to
// act on is not touched.
func (t *Tracker) sayLink(w *work, n *node, how string) {
	for _, l := range n.link.open() {
		if l.ours {
			continue
		}
		w.addWhole(n, policy.Event{
			Kind: policy.Queued, Time: n.first, Actor: actor, Recipients: []int{l.index}, Member: l.member,
			QueueID: n.queueID, Upstream: n.upstream(), Evidence: n.queueID + ": " + how,
			Key: "link " + n.upstream() + " " + n.queueID + " " + l.key,
		})
	}
}

// keepEdge remembers an edge for a queue file that shows up later, for a bounded number of them.
func (g *graph) keepEdge(e *edge) {
	g.edges[e.queueID] = append(g.edges[e.queueID], e)
	g.edgeAge = append(g.edgeAge, e)
	for len(g.edgeAge) > maxEdges {
		old := g.edgeAge[0]
		g.edgeAge[0] = nil
		g.edgeAge = g.edgeAge[1:]
		if rest := g.edges[old.queueID][1:]; len(rest) > 0 {
			g.edges[old.queueID] = rest
		} else {
			delete(g.edges, old.queueID)
		}
	}
}
