package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
)

// A Page is one page of a search.
type Page struct {
	Messages []Message
	Next     string // cursor of the next page; empty at the end
}

// MaxPage bounds the messages of one page.
const MaxPage = 1000

// maxPrefixTerms bounds how many terms a beginning may stand for ("from:a" in a big organisation).
const maxPrefixTerms = 500

// ErrTooBroad asks for more of a word.
var ErrTooBroad = errors.New("too many different values begin like this: type more of it")

// Search gives the messages that a query selects, newest first, limit of them (at most MaxPage)
// from the cursor on, which is empty or Page.Next of the page before.
//
// Every part of a query is a list of ids in order of time; the search walks them together from the
// newest, each list jumping to where the others are (a zigzag join), so that its cost follows the
// rarest part and the page, not the number of messages.
func (s *Store) Search(ctx context.Context, q Query, limit int, cursor string) (page Page, err error) {
	limit = max(1, min(limit, MaxPage))
	top := lastPossible
	if cursor != "" {
		id, err := policy.ParseID(cursor)
		if err != nil {
			return page, fmt.Errorf("cursor %q: not one of ours", cursor)
		}
		if id == (policy.ID{}) {
			return page, nil
		}
		top = previous(id)
	}
	states := q.waiting()
	before := s.waiting.view(states)
	err = s.view(func(txn *badger.Txn) error {
		lists, err := q.lists(txn, before, s.waiting.view(states))
		defer func() {
			for _, l := range lists {
				l.close()
			}
		}()
		if err != nil {
			return err
		}
		page, err = collect(ctx, txn, q, lists, top, limit)
		return err
	})
	return page, err
}

func collect(ctx context.Context, txn *badger.Txn, q Query, lists []list, top policy.ID, limit int) (page Page, err error) {
	top, bottom := q.bounds(top)
	for at := top; ; {
		if err := ctx.Err(); err != nil {
			return page, err
		}
		id, ok := align(lists, at)
		if !ok || id.Compare(bottom) < 0 {
			return page, nil
		}
		m, err := readMessage(txn, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return page, err
		}
		if err == nil && q.contains(&m) {
			if len(page.Messages) == limit {
				page.Next = page.Messages[limit-1].ID.String()
				return page, nil
			}
			page.Messages = append(page.Messages, m)
		}
		if id == (policy.ID{}) {
			return page, nil
		}
		at = previous(id)
	}
}

// align finds the newest id not above at that is in all lists.
func align(lists []list, at policy.ID) (policy.ID, bool) {
	for {
		agreed := true
		for _, l := range lists {
			id, ok := l.seek(at)
			if !ok {
				return at, false
			}
			if id != at {
				at, agreed = id, false
			}
		}
		if agreed {
			return at, true
		}
	}
}

// maxReceiving bounds how far the time in an id, made when a message began to come in, is from the
// time at which it was received.
const maxReceiving = 2 * time.Hour

// farReceiving is how far that time may be without an entry in an index of its own (see window).
const farReceiving = 2 * time.Second

// receivedFar reports whether a message was received at another time than its id says.
func receivedFar(id policy.ID, received time.Time) bool {
	return received.Sub(id.Timestamp()).Abs() > farReceiving
}

// bounds narrows the walk to ids about the times asked for; window and contains do the rest.
func (q *Query) bounds(top policy.ID) (policy.ID, policy.ID) {
	var bottom policy.ID
	if !q.after.IsZero() {
		_ = bottom.SetTime(unixMilli(q.after.Add(-maxReceiving)))
	}
	if !q.before.IsZero() {
		last := lastPossible
		_ = last.SetTime(unixMilli(q.before.Add(maxReceiving)))
		if last.Compare(top) < 0 {
			top = last
		}
	}
	return top, bottom
}

func unixMilli(t time.Time) uint64 {
	return uint64(max(0, min(t.UnixMilli(), int64(ulid.MaxTime()))))
}

func (q *Query) contains(m *Message) bool {
	t := m.Envelope.Received
	return q.hasStates(m) && (q.after.IsZero() || !t.Before(q.after)) && (q.before.IsZero() || t.Before(q.before)) &&
		!slices.ContainsFunc(q.identities, func(who string) bool { return !strings.EqualFold(m.Envelope.Identity, who) }) // terms may have been cut
}

// lastPossible sorts after every id.
var lastPossible = policy.ID(bytes.Repeat([]byte{0xff}, idSize))

// previous is the next lower id; that of the zero id is the last possible one.
func previous(id policy.ID) policy.ID {
	for i := idSize - 1; i >= 0; i-- {
		id[i]--
		if id[i] != math.MaxUint8 {
			break
		}
	}
	return id
}

// A list walks ids downwards.
type list interface {
	// seek gives the newest id not above at. Calls come with falling ids.
	seek(at policy.ID) (policy.ID, bool)
	close()
}

// lists gives what the search walks. before and after are what waited before and after the transaction was opened.
func (q *Query) lists(txn *badger.Txn, before, after waitingView) (lists []list, err error) {
	for _, id := range q.ids {
		lists = append(lists, fixedList{id})
	}
	if q.among != nil {
		lists = append(lists, *q.among)
	}
	for _, c := range q.clauses {
		var u union
		for _, t := range c {
			if t.waits() {
				u = append(u, before[policy.State(t.term)], after[policy.State(t.term)])
				continue
			}
			terms := [][]byte{termPrefix(t.kind, t.term)}
			if t.prefix {
				if terms, err = expand(txn, t); err != nil {
					return lists, err
				}
			}
			for _, p := range terms {
				u = append(u, newPostings(txn, p))
			}
		}
		lists = append(lists, u)
	}
	if len(lists) == 0 {
		lists = append(lists, newPostings(txn, []byte{keyMessage}))
	}
	if !q.after.IsZero() || !q.before.IsZero() {
		lists = append(lists, newWindow(txn, q.after, q.before))
	}
	return lists, nil
}

// waits reports whether a term is a state in which messages wait: their list is in memory.
func (t *clauseTerm) waits() bool { return t.kind == indexState && waits(policy.State(t.term)) }

// waiting gives the states in which messages wait that the query names.
func (q *Query) waiting() (states []policy.State) {
	for _, c := range q.clauses {
		for i := range c {
			if c[i].waits() {
				states = append(states, policy.State(c[i].term))
			}
		}
	}
	return states
}

// hasStates reports whether the row has the states that the query asks for; lists in memory may be ahead of it.
func (q *Query) hasStates(m *Message) bool {
	return !slices.ContainsFunc(q.clauses, func(c clause) bool {
		return len(c) > 0 && c[0].kind == indexState &&
			!slices.ContainsFunc(c, func(t clauseTerm) bool { return m.States[policy.State(t.term)] > 0 })
	})
}

// expand lists the term prefixes of an index that begin with a term, jumping over their ids.
func expand(txn *badger.Txn, t clauseTerm) (prefixes [][]byte, err error) {
	start := append([]byte{keyIndex, t.kind}, t.term...)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: start})
	defer it.Close()
	for it.Seek(start); it.Valid(); {
		k := it.Item().KeyCopy(nil)
		p := k[:len(k)-idSize]
		if len(prefixes) == maxPrefixTerms {
			return nil, ErrTooBroad
		}
		prefixes = append(prefixes, p)
		it.Seek(append(bytes.Clone(p), bytes.Repeat([]byte{0xff}, idSize+1)...))
	}
	return prefixes, nil
}

// postings is the list of one index term, or of all messages.
type postings struct {
	prefix  []byte
	it      *badger.Iterator
	key     []byte
	started bool
}

func newPostings(txn *badger.Txn, prefix []byte) *postings {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
	return &postings{prefix: prefix, it: it}
}

func (p *postings) seek(at policy.ID) (policy.ID, bool) {
	p.key = append(append(p.key[:0], p.prefix...), at[:]...)
	if p.above() {
		p.it.Next() // mostly the next one is wanted, and a step is cheaper than a search
		if p.above() {
			p.it.Seek(p.key)
		}
	}
	if !p.started {
		p.started = true
		p.it.Seek(p.key)
	}
	if !p.it.Valid() {
		return policy.ID{}, false
	}
	return lastID(p.it.Item().Key()), true
}

// above reports whether the iterator stands on an id newer than the one sought.
func (p *postings) above() bool {
	return p.it.Valid() && bytes.Compare(p.it.Item().Key(), p.key) > 0
}

func (p *postings) close() { p.it.Close() }

// union is the disjunction of lists.
type union []list

func (u union) seek(at policy.ID) (best policy.ID, found bool) {
	for _, l := range u {
		if id, ok := l.seek(at); ok && (!found || id.Compare(best) > 0) {
			best, found = id, true
		}
	}
	return best, found
}

func (u union) close() {
	for _, l := range u {
		l.close()
	}
}

// A window is the list of what may have been received in a span of time, by the ids: everything in it, and about it
// only what was received at another time than its id says. Without that a search would have to read all
// messages of two hours to know that they are none of those asked for.
type window struct {
	txn         *badger.Txn
	first, last policy.ID // between them any message may be meant
	far         *postings // made when the walk is outside
}

func newWindow(txn *badger.Txn, after, before time.Time) *window {
	w := &window{txn: txn, last: lastPossible}
	if !after.IsZero() {
		_ = w.first.SetTime(unixMilli(after.Add(-farReceiving)))
	}
	if !before.IsZero() {
		_ = w.last.SetTime(unixMilli(before.Add(farReceiving)))
	}
	return w
}

func (w *window) seek(at policy.ID) (policy.ID, bool) {
	if at.Compare(w.last) > 0 {
		if id, ok := w.seekFar(at); ok && id.Compare(w.last) > 0 {
			return id, true
		}
		at = w.last
	}
	if at.Compare(w.first) >= 0 {
		return at, true
	}
	return w.seekFar(at)
}

func (w *window) seekFar(at policy.ID) (policy.ID, bool) {
	if w.far == nil {
		w.far = newPostings(w.txn, termPrefix(indexFar, ""))
	}
	return w.far.seek(at)
}

func (w *window) close() {
	if w.far != nil {
		w.far.close()
	}
}

// fixedList are some ids, the oldest first.
type fixedList []policy.ID

func (f fixedList) seek(at policy.ID) (policy.ID, bool) {
	i, found := slices.BinarySearchFunc(f, at, policy.ID.Compare)
	switch {
	case found:
		return at, true
	case i == 0:
		return policy.ID{}, false
	}
	return f[i-1], true
}

func (fixedList) close() {}
