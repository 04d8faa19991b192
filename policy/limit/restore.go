package limit

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sendgate/sendgate/policy"
)

// Restore reads a snapshot. It gives the counters and the mark from which on the journal is to be
// replayed. Content that is damaged is [ErrDamaged], and nothing of it is used.
func Restore(r io.Reader, cfg Config) (*Counters, uint64, error) {
	in, err := newFrameReader(r)
	if err != nil {
		return nil, 0, err
	}
	h, err := in.head(countersContent)
	if err != nil {
		return nil, 0, err
	}
	l := loader{c: newCounters(cfg, min(max(h.Keys, 0), maxRoom)), holdings: map[policy.ID]*holding{}}
	for i, name := range h.Rules {
		if l.c.rules.id(name) != uint32(i) {
			return nil, 0, fmt.Errorf("%w: rule %q is listed twice", ErrDamaged, name)
		}
	}
	if err := in.chunks(l.chunk); err != nil {
		return nil, 0, err
	}
	l.finish()
	return l.c, h.Mark, nil
}

// maxRoom bounds the room that is made for what a header promises.
const maxRoom = 1 << 20

// A loader fills counters from chunks. Nobody else knows the counters yet.
type loader struct {
	c        *Counters
	holdings map[policy.ID]*holding // by the message that took them
	retries  []retryRecord
	chunkBuf chunk
}

func (l *loader) chunk(decode func(any) error) error {
	l.chunkBuf = chunk{}
	if err := decode(&l.chunkBuf); err != nil {
		return err
	}
	for i := range l.chunkBuf.Subjects {
		if err := l.subject(&l.chunkBuf.Subjects[i]); err != nil {
			return fmt.Errorf("key %q: %w", l.chunkBuf.Subjects[i].Key, err)
		}
	}
	for i := range l.chunkBuf.Messages {
		if err := l.message(&l.chunkBuf.Messages[i]); err != nil {
			return fmt.Errorf("message %s: %w", l.chunkBuf.Messages[i].ID, err)
		}
	}
	l.retries = append(l.retries, l.chunkBuf.Retries...)
	return nil
}

var (
	errRule   = errors.New("unknown rule")
	errWindow = errors.New("impossible window")
	errTwice  = errors.New("listed twice")
	errAmount = errors.New("impossible amount")
)

func (l *loader) known(rule uint32) bool { return int(rule) < len(l.c.rules.list()) }

func (l *loader) subject(r *subjectRecord) error {
	s := l.c.subject(r.Key)
	if s.windows != nil || s.more != nil {
		return errTwice
	}
	v := &varints{r.Windows, false}
	for len(v.b) > 0 {
		w, ok := v.window()
		if !ok {
			return errWindow
		}
		if !l.known(w.rule) {
			return errRule
		}
		if s.find(w.rule) != nil {
			return errTwice
		}
		s.windows = append(s.windows, w)
	}
	if r.More == nil {
		return nil
	}
	return l.extra(s, r.More)
}

// varints reads numbers; after the first that is not there, all are 0.
type varints struct {
	b      []byte
	failed bool
}

func (v *varints) next(most uint64) uint64 {
	n, size := binary.Uvarint(v.b)
	if size <= 0 || n > most {
		v.b, v.failed = nil, true
		return 0
	}
	v.b = v.b[size:]
	return n
}

// window checks and rebuilds what appendWindow wrote.
func (v *varints) window() (window, bool) {
	w := window{rule: uint32(v.next(1<<32 - 1)), width: uint32(v.next(1<<32 - 1)), last: int64(v.next(1 << 62))}
	slots := int(v.next(Subs + 1))
	w.slots = make([]slot, 0, slots)
	previous := uint64(Subs + 1)
	for range slots {
		age, amount := v.next(Subs), v.next(maxSlot)
		if age >= previous || amount == 0 {
			return w, false
		}
		previous = age
		w.slots = append(w.slots, newSlot(w.last-int64(age), int64(amount)))
		w.total += int64(amount)
	}
	return w, !v.failed && w.width > 0
}

func (l *loader) extra(s *subject, r *extraRecord) error {
	for _, g := range r.Grants {
		if !l.known(g.Rule) {
			return errRule
		}
		s.grant(grant{g.Rule, g.Boost, g.Amount, g.Given, g.Until, g.Reason, g.Author})
	}
	for _, p := range r.Paces {
		if !l.known(p.Rule) {
			return errRule
		}
		m := s.extra()
		m.paces = append(m.paces, pace{p.Rule, p.TAT})
	}
	for _, x := range r.Resets {
		if x.Rule != allRules && !l.known(x.Rule) {
			return errRule
		}
		m := s.extra()
		m.resets = append(m.resets, reset{x.Rule, x.At})
	}
	return nil
}

func (l *loader) message(r *messageRecord) error {
	if l.c.shard(l.c.idBit(r.ID)).messages[r.ID] != nil {
		return errTwice
	}
	h := l.holdings[r.First]
	if h == nil {
		h = &holding{
			first: [1]policy.ID{r.First}, at: r.At, lease: r.Lease, forget: r.Forget,
			mask: l.c.idBit(r.First), refunds: r.Refunds, items: make([]item, 0, len(r.Items)),
		}
		if err := l.items(h, r.Items); err != nil {
			return err
		}
		l.holdings[r.First] = h
	}
	h.ids = append(h.ids, r.ID)
	h.mask |= l.c.idBit(r.ID)
	l.c.shard(l.c.idBit(r.ID)).messages[r.ID] = h
	return nil
}

func (l *loader) items(h *holding, records []itemRecord) error {
	for _, it := range records {
		if !l.known(it.Rule) {
			return errRule
		}
		if it.Amount < 0 || it.Amount > MaxAmount {
			return errAmount
		}
		s := l.c.subject(it.Key)
		h.items = append(h.items, item{s, it.Rule, it.Amount})
		h.mask |= s.bit
	}
	return nil
}

// finish ties fingerprints to what was taken, and puts open reservations under their lease.
func (l *loader) finish() {
	for _, r := range l.retries {
		h := l.holdings[r.First]
		if h == nil { // its windows have passed
			h = &holding{first: [1]policy.ID{r.First}, at: r.At, mask: l.c.idBit(r.First)}
			h.ids = h.first[:]
			l.holdings[r.First] = h
		}
		h.mask |= l.c.retryBit(r.Retry)
		l.c.shard(l.c.retryBit(r.Retry)).retries[r.Retry] = h
	}
	var open []*holding
	for _, h := range l.holdings {
		if h.lease > 0 {
			open = append(open, h)
		}
	}
	slices.SortFunc(open, func(a, b *holding) int { return cmp.Compare(a.lease, b.lease) })
	for _, h := range open {
		l.c.open(h, h.lease)
	}
}
