package limit

import (
	"encoding/binary"
	"io"
	"slices"

	"github.com/sendgate/sendgate/policy"
)

const countersContent = "limits"

// chunkSize is how many subjects or messages are in a frame.
const chunkSize = 512

// A chunk is a part of a shard. See chunk.append for how it is written.
type chunk struct {
	Subjects []subjectRecord
	Keys     []string // that items name by their index
	Messages []messageRecord
	Retries  []retryRecord
}

type subjectRecord struct {
	Key     string
	Windows []byte // see appendWindow
	More    *extraRecord
}

type extraRecord struct {
	_      struct{} `cbor:",toarray"`
	Grants []grantRecord
	Paces  []paceRecord
	Resets []resetRecord
}

type grantRecord struct {
	_            struct{} `cbor:",toarray"`
	Rule         uint32
	Boost        bool
	Amount       int64
	Given, Until int64
	Reason       string
	Author       string
}

type paceRecord struct {
	_    struct{} `cbor:",toarray"`
	Rule uint32
	TAT  int64
}

type resetRecord struct {
	_    struct{} `cbor:",toarray"`
	Rule uint32
	At   int64
}

// A messageRecord is one message with what it took. Messages that share it have the same First.
type messageRecord struct {
	ID      policy.ID
	First   policy.ID
	At      int64
	Lease   int64
	Forget  int64
	Items   []byte // see appendItem
	Refunds []string
}

type retryRecord struct {
	Retry Fingerprint
	First policy.ID
	At    int64
}

// Snapshot writes everything as it is at one moment during the call. The mark is the position of the
// journal from which on the events are to be replayed after [Restore]: everything before it has to be
// applied when Snapshot is called. Others go on meanwhile; a shard is locked while it is encoded.
func (c *Counters) Snapshot(w io.Writer, mark uint64) error {
	c.snapshot.Lock()
	defer c.snapshot.Unlock()
	c.lock(^uint64(0))
	keys, messages, all := 0, 0, &roster{}
	for i := range c.shards {
		c.shards[i].pending, c.shards[i].all = true, all
		all[i] = slices.Clone(c.shards[i].roster)
		keys += len(c.shards[i].subjects)
		messages += len(c.shards[i].messages)
	}
	rules := slices.Clone(c.rules.list())
	c.unlock(^uint64(0))

	out := frameWriter{w: w}
	err := out.write(headFrame, header{countersContent, snapshotVersion, mark, rules, keys, messages})
	for i := range c.shards {
		saved, failed := c.shards[i].take(err == nil)
		if err == nil {
			err = failed
		}
		if err == nil {
			err = out.raw(saved)
		}
	}
	if err != nil {
		return err
	}
	return out.end()
}

// take gives a shard as it was when the snapshot began, and ends the snapshot for it.
func (s *shard) take(wanted bool) ([]byte, error) {
	s.Lock()
	defer s.Unlock()
	if s.pending && wanted {
		s.save()
	}
	b, err := s.saved, s.failed
	s.pending, s.all, s.saved, s.failed = false, nil, nil, nil
	return b, err
}

// save encodes the shard for the snapshot that waits for it.
func (s *shard) save() {
	s.pending = false
	s.saved, s.failed = s.encode()
}

// encode writes a shard as frames.
func (s *shard) encode() ([]byte, error) {
	e := encoder{all: s.all, keys: map[ref]uint64{}}
	for _, subject := range s.subjects {
		e.Subjects = append(e.Subjects, subject.record())
		e.flush(chunkSize)
	}
	for id, h := range s.messages {
		e.Messages = append(e.Messages, e.message(id, h))
		e.flush(chunkSize)
	}
	for f, h := range s.retries {
		if len(h.ids) == 0 || len(h.refunds) > 0 {
			continue // not reusable any more
		}
		e.Retries = append(e.Retries, retryRecord{Retry: f, First: h.first[0], At: h.at})
		e.flush(chunkSize)
	}
	e.flush(1)
	return e.out, e.err
}

// An encoder writes chunks as frames.
type encoder struct {
	chunk
	all   *roster
	keys  map[ref]uint64 // indexes of chunk.Keys
	items []byte         // of all messages of the chunk
	out   []byte
	err   error
}

// flush writes the chunk when it is full.
func (e *encoder) flush(full int) {
	if n := len(e.Subjects) + len(e.Messages) + len(e.Retries); n < full || e.err != nil {
		return
	}
	at := len(e.out)
	out, err := e.append(append(e.out, make([]byte, frameHeader)...))
	seal(out[at:], chunkFrame)
	e.out, e.err = out, err
	e.chunk = chunk{Subjects: e.Subjects[:0], Keys: e.Keys[:0], Messages: e.Messages[:0], Retries: e.Retries[:0]}
	clear(e.keys)
	e.items = e.items[:0]
}

// message gives the record of a message.
func (e *encoder) message(id policy.ID, h *holding) messageRecord {
	at := len(e.items)
	for i := range h.items {
		if s := e.all.find(h.items[i].subject); s != nil {
			e.items = appendItem(e.items, h.items[i].rule, e.key(s), h.items[i].amount)
		}
	}
	return messageRecord{
		ID: id, First: h.first[0], At: h.at, Lease: h.lease, Forget: h.forget, Items: e.items[at:len(e.items):len(e.items)], Refunds: h.refunds,
	}
}

// key gives the index of a subject's key in the chunk.
func (e *encoder) key(s *subject) uint64 {
	n, ok := e.keys[s.ref]
	if !ok {
		n = uint64(len(e.Keys))
		e.keys[s.ref] = n
		e.Keys = append(e.Keys, s.key)
	}
	return n
}

func (s *subject) record() subjectRecord {
	r := subjectRecord{Key: s.key, Windows: make([]byte, 0, 32*len(s.windows))}
	for i := range s.windows {
		r.Windows = appendWindow(r.Windows, &s.windows[i])
	}
	if m := s.more; m != nil {
		r.More = &extraRecord{}
		for _, g := range m.grants {
			r.More.Grants = append(r.More.Grants, grantRecord{
				Rule: g.rule, Boost: g.boost, Amount: g.amount, Given: g.given, Until: g.until,
				Reason: g.reason, Author: g.author,
			})
		}
		for _, p := range m.paces {
			r.More.Paces = append(r.More.Paces, paceRecord{Rule: p.rule, TAT: p.tat})
		}
		for _, x := range m.resets {
			r.More.Resets = append(r.More.Resets, resetRecord{Rule: x.rule, At: x.at})
		}
	}
	return r
}

// appendWindow writes a window as varints: rule, width, newest sub-window, number of slots, and of each
// slot its age in sub-windows and its amount.
func appendWindow(b []byte, w *window) []byte {
	b = binary.AppendUvarint(b, uint64(w.rule))
	b = binary.AppendUvarint(b, uint64(w.width))
	b = binary.AppendUvarint(b, uint64(w.last))
	b = binary.AppendUvarint(b, uint64(len(w.slots)))
	for i, s := range w.slots {
		b = binary.AppendUvarint(b, uint64(w.last-w.sub(i)))
		b = binary.AppendUvarint(b, uint64(s.amount()))
	}
	return b
}
