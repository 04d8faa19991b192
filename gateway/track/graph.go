package track

import (
	"container/list"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/track/postlog"
	"github.com/sendgate/sendgate/policy"
)

const (
	// maxNodes bounds the queue files that are remembered; the longest untouched goes first.
	maxNodes = 40_000
	// restAfter is how long a queue file is remembered of which no line speaks, when its message has come to its end.
	// Another line finds the message in the journal again, as after a restart.
	restAfter = 2 * time.Minute
	// maxWaiting bounds the lines that wait for a link, of all queue files together.
	maxWaiting = 200_000
	// maxEdges bounds the edges to queue files that were not seen yet.
	maxEdges = 20_000
)

// A graph is the queue files that the logs speak of, and how they follow from each other. It is used
// under the tracker's lock.
type graph struct {
	most     int // nodes
	nodes    map[nodeKey]*node
	byQueue  map[string][]*node // by queue id, on all hosts
	recent   *list.List         // of *node, the last touched in front
	waiting  map[*node]struct{} // those that hold a mark
	subjects map[policy.ID]*subject
	edges    map[string][]*edge // by the queue id they lead to
	edgeAge  []*edge            // in the order of their making
	lines    int                // entries that wait
	dropped  int                // entries and nodes given up to make room
}

func newGraph() *graph {
	return &graph{
		most:  maxNodes,
		nodes: map[nodeKey]*node{}, byQueue: map[string][]*node{}, recent: list.New(),
		waiting: map[*node]struct{}{}, subjects: map[policy.ID]*subject{}, edges: map[string][]*edge{},
	}
}

// node gives the queue file that a line is about, new where the line begins one.
func (g *graph) node(e *postlog.Entry, m *mark, now time.Time) *node {
	key := keyOf(e)
	n := g.nodes[key]
	switch {
	case n == nil:
		n = g.add(key, nil, m, now)
	case n.opens(e):
		g.settle(n)
		n.prev = nil
		n = g.add(key, n, m, now)
	case n.prev != nil && !n.opened.IsZero() && e.Time.Before(n.opened):
		n = n.prev // a late line
	}
	if n.place != nil {
		g.recent.MoveToFront(n.place)
	}
	n.touch = now
	n.note(e)
	return n
}

func (g *graph) add(key nodeKey, prev *node, m *mark, now time.Time) *node {
	key = nodeKey{strings.Clone(key.host), strings.Clone(key.instance), strings.Clone(key.queueID)} // not the whole line
	n := &node{nodeKey: key, prev: prev, since: now, next: now}
	if prev != nil {
		g.forget(prev)
	}
	g.nodes[key] = n
	g.byQueue[key.queueID] = append(g.byQueue[key.queueID], n)
	n.place = g.recent.PushFront(n)
	g.hold(n, m)
	for len(g.nodes) > g.most {
		g.evict(g.recent.Back().Value.(*node))
	}
	return n
}

// hold lets the cursor stay at a batch until the node is settled. Each source has a cursor of its own.
func (g *graph) hold(n *node, m *mark) {
	if m != nil && !slices.Contains(n.holds, m) {
		n.holds = append(n.holds, m)
		m.open++
	}
	g.waiting[n] = struct{}{}
}

// revive lets a node that was given up wait again.
func (g *graph) revive(n *node, m *mark, now time.Time) {
	if _, waits := g.waiting[n]; !waits {
		n.since, n.next, n.tries = now, now, 0
	}
	g.hold(n, m)
}

// evict drops a node to make room.
func (g *graph) evict(n *node) {
	if _, waits := g.waiting[n]; waits && len(n.pending) > 0 {
		g.dropped++
	}
	g.settle(n)
	g.forget(n)
	delete(g.nodes, n.nodeKey)
}

// rest forgets the queue files of which nothing was heard since a time, when their message has
// come to its end. Of all others it is known here only that they were seen.
func (g *graph) rest(since time.Time) {
	for at := g.recent.Back(); at != nil; {
		n, newer := at.Value.(*node), at.Prev()
		if n.touch.After(since) {
			return
		}
		if _, waits := g.waiting[n]; !waits && n.link != nil && n.link.subject.ended() {
			g.evict(n)
		}
		at = newer
	}
}

// forget takes a node out of the lists; who still has it may use it.
func (g *graph) forget(n *node) {
	n.gone = true
	if n.place != nil {
		g.recent.Remove(n.place)
		n.place = nil
	}
	same := g.byQueue[n.queueID]
	for i := range same {
		if same[i] == n {
			same = append(same[:i:i], same[i+1:]...)
			break
		}
	}
	if len(same) == 0 {
		delete(g.byQueue, n.queueID)
	} else {
		g.byQueue[n.queueID] = same
	}
	if n.link != nil {
		g.release(n.link.subject)
	}
}

// detach takes a link back.
func (g *graph) detach(n *node) {
	if !n.gone {
		g.release(n.link.subject)
	}
	n.link, n.said = nil, false
}

func (g *graph) release(s *subject) {
	if s.nodes--; s.nodes <= 0 {
		delete(g.subjects, s.id)
	}
}

// settle lets the cursors pass a node. What still waits for a link is dropped.
func (g *graph) settle(n *node) {
	for _, m := range n.holds {
		m.open--
	}
	n.holds = nil
	g.lines -= len(n.pending)
	n.pending = nil
	delete(g.waiting, n)
}

// delay keeps a line until the node's link is known.
func (g *graph) delay(n *node, e *postlog.Entry) {
	if len(n.pending) >= maxPending || g.lines >= maxWaiting {
		g.dropped++
		return
	}
	n.pending = append(n.pending, *e)
	g.lines++
}

// shared gives the one subject of a message for all its queue files.
func (g *graph) shared(s *subject) *subject {
	if known := g.subjects[s.id]; known != nil {
		known.merge(s)
		return known
	}
	g.subjects[s.id] = s
	return s
}

// attach links a node to a message and gives the link.
func (g *graph) attach(n *node, s *subject) *link {
	if n.link != nil {
		return n.link
	}
	n.link = newLink(s)
	switch {
	case !n.gone:
		s.nodes++
	case s.nodes == 0: // nobody else has it
		delete(g.subjects, s.id)
	}
	return n.link
}
