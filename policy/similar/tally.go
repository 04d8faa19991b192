package similar

import (
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// window is how far back recipients count; hour is the shorter one.
const (
	window = 24 * time.Hour
	hour   = time.Hour
)

// maxSeen bounds the recipients of one sender's campaign that are told apart; beyond, counts say
// "at least". It is far above every threshold.
const maxSeen = 8192

// seen is a recipient and when the last copy went there.
type seen struct {
	_    struct{} `cbor:",toarray"`
	Hash uint64
	At   int64 // Unix milliseconds
}

// A tally holds distinct recipients, sorted by hash. A recipient was reached within a window if and only
// if the last copy to him was: so exact sliding windows need one time each.
type tally []seen

func (t tally) find(hash uint64) (int, bool) {
	return slices.BinarySearchFunc(t, hash, func(s seen, h uint64) int {
		switch {
		case s.Hash < h:
			return -1
		case s.Hash > h:
			return 1
		}
		return 0
	})
}

// add notes copies at a time.
func (t *tally) add(hashes []uint64, at int64) {
	for _, h := range hashes {
		i, ok := t.find(h)
		switch {
		case ok:
			(*t)[i].At = max((*t)[i].At, at)
		case len(*t) < maxSeen:
			*t = slices.Insert(*t, i, seen{Hash: h, At: at})
		}
	}
}

// prune forgets whom the window has left.
func (t *tally) prune(now int64) {
	since := now - window.Milliseconds()
	*t = slices.DeleteFunc(*t, func(s seen) bool { return s.At <= since })
}

// Distinct counts recipients of one sender's campaign.
type Distinct struct {
	Hour int // in the last hour
	Day  int // in the last 24 hours
}

// count gives the distinct recipients in both windows, as if a copy went to the hashes now as well.
// The hashes are distinct.
func (t tally) count(now int64, hashes []uint64) Distinct {
	day, hr := now-window.Milliseconds(), now-hour.Milliseconds()
	d := Distinct{len(hashes), len(hashes)}
	for _, s := range t {
		if s.At <= day {
			continue
		}
		if _, ok := slices.BinarySearch(hashes, s.Hash); ok {
			continue
		}
		d.Day++
		if s.At > hr {
			d.Hour++
		}
	}
	return d
}

// A take is one counted message, kept for the window so that it can be undone.
type take struct {
	_      struct{} `cbor:",toarray"`
	ID     policy.ID
	At     int64
	Full   bool // it belongs by its full text only
	Hashes []uint64
}

// A member is one sender's part in a campaign.
type member struct {
	Sender   string `cbor:"1,keyasint"`
	First    int64  `cbor:"2,keyasint"`
	Last     int64  `cbor:"3,keyasint"`
	Messages uint64 `cbor:"4,keyasint"`
	Text     tally  `cbor:"5,keyasint,omitempty"` // by new text
	Wide     tally  `cbor:"6,keyasint,omitempty"` // by full text as well; empty when there were none
	Takes    []take `cbor:"7,keyasint,omitempty"`
}

// maxTakes bounds the messages of a member that can be undone.
const maxTakes = 4096

func (m *member) add(k take) {
	m.prune(k.At)
	m.Messages++
	m.First, m.Last = min(m.First, k.At), max(m.Last, k.At)
	if len(m.Takes) >= maxTakes {
		m.Takes = slices.Delete(m.Takes, 0, 1)
	}
	m.Takes = append(m.Takes, k)
	m.count(k)
}

func (m *member) count(k take) {
	if k.Full && len(m.Wide) == 0 {
		m.Wide = slices.Clone(m.Text)
	}
	if k.Full || len(m.Wide) > 0 {
		m.Wide.add(k.Hashes, k.At)
	}
	if !k.Full {
		m.Text.add(k.Hashes, k.At)
	}
}

// prune forgets what the window has left, about once an hour: counting passes over it anyway.
func (m *member) prune(now int64) {
	since := now - window.Milliseconds()
	if len(m.Takes) > 0 && m.Takes[0].At <= since-hour.Milliseconds() {
		m.Takes = slices.DeleteFunc(m.Takes, func(k take) bool { return k.At <= since })
		m.Text.prune(now)
		m.Wide.prune(now)
	}
}

// undo takes a message back and counts anew what is left.
func (m *member) undo(id policy.ID) (gone take, ok bool) {
	i := slices.IndexFunc(m.Takes, func(k take) bool { return k.ID == id })
	if i < 0 {
		return take{}, false
	}
	gone = m.Takes[i]
	m.Takes = slices.Delete(m.Takes, i, i+1)
	m.Messages--
	text, wide := map[uint64]int64{}, map[uint64]int64{}
	for _, k := range m.Takes {
		for _, h := range k.Hashes {
			wide[h] = max(wide[h], k.At)
			if !k.Full {
				text[h] = max(text[h], k.At)
			}
		}
	}
	m.Text.retract(gone.Hashes, text)
	m.Wide.retract(gone.Hashes, wide)
	return gone, true
}

// retract sets recipients to the last copy that remains, or forgets them.
func (t *tally) retract(gone []uint64, last map[uint64]int64) {
	for _, h := range gone {
		i, ok := t.find(h)
		if !ok {
			continue
		}
		if at := last[h]; at != 0 {
			(*t)[i].At = at
		} else {
			*t = slices.Delete(*t, i, i+1)
		}
	}
}
