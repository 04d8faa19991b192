package limit

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

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
	l := loader{
		c: newCounters(cfg, min(max(h.Keys, 0), maxRoom), min(max(h.Messages, 0), maxRoom)), decode: in.decode.Unmarshal,
		shared: map[policy.ID]*holding{},
	}
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
	c       *Counters
	decode  func([]byte, any) error
	shared  map[policy.ID]*holding // by the message that took them, where that is not among the messages yet
	open    []*holding
	retries []retryRecord

	chunkBuf chunk
	keys     []*subject // of chunkBuf.Keys
	windows  []window
	slots    []slot
}

func (l *loader) chunk(payload []byte) error {
	if err := l.chunkBuf.read(payload, l.decode); err != nil {
		return err
	}
	for i := range l.chunkBuf.Subjects {
		if err := l.subject(&l.chunkBuf.Subjects[i]); err != nil {
			return fmt.Errorf("key %q: %w", l.chunkBuf.Subjects[i].Key, err)
		}
	}
	l.keys = l.keys[:0]
	for _, key := range l.chunkBuf.Keys {
		l.keys = append(l.keys, l.c.subject(key))
	}
	for i := range l.chunkBuf.Messages {
		if err := l.message(&l.chunkBuf.Messages[i]); err != nil {
			return fmt.Errorf("message %s: %w", l.chunkBuf.Messages[i].ID, err)
		}
	}
	for i := range l.chunkBuf.Retries {
		if l.chunkBuf.Retries[i].Retry == (Fingerprint{}) {
			return errRetry
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
	errRetry  = errors.New("a retry without a fingerprint")
)

func (l *loader) known(rule uint32) bool { return int(rule) < len(l.c.rules.list()) }

func (l *loader) subject(r *subjectRecord) error {
	s := l.c.subject(r.Key)
	if s.windows != nil || s.more != nil {
		return errTwice
	}
	if err := l.readWindows(r.Windows); err != nil {
		return err
	}
	if len(l.windows) > 0 {
		s.windows = slices.Clone(l.windows)
		rest := slices.Clone(l.slots)
		for i := range s.windows {
			n := len(s.windows[i].slots)
			s.windows[i].slots, rest = rest[:n:n], rest[n:]
		}
	}
	if r.More == nil {
		return nil
	}
	return l.extra(s, r.More)
}

// readWindows fills the lists that serve for every subject.
func (l *loader) readWindows(b []byte) error {
	l.windows, l.slots = l.windows[:0], l.slots[:0]
	v := &varints{b, false}
	for len(v.b) > 0 {
		w, ok := v.window(&l.slots)
		if !ok {
			return errWindow
		}
		if !l.known(w.rule) {
			return errRule
		}
		for i := range l.windows {
			if l.windows[i].rule == w.rule {
				return errTwice
			}
		}
		l.windows = append(l.windows, w)
	}
	return nil
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

// window checks and rebuilds what appendWindow wrote. It appends the slots to a list.
func (v *varints) window(slots *[]slot) (window, bool) {
	w := window{rule: uint32(v.next(1<<32 - 1)), width: uint32(v.next(1<<32 - 1)), last: int64(v.next(1 << 62))}
	n, from := int(v.next(Subs+1)), len(*slots)
	previous := uint64(Subs + 1)
	for range n {
		age, amount := v.next(Subs), v.next(maxSlot)
		if age >= previous || amount == 0 {
			return w, false
		}
		previous = age
		*slots = append(*slots, newSlot(w.last-int64(age), int64(amount)))
		w.total += int64(amount)
	}
	w.slots = (*slots)[from:]
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
	messages := l.c.shard(l.c.idBit(r.ID)).messages
	h, err := l.holding(r)
	if err != nil {
		return err
	}
	n := len(messages)
	if messages[r.ID] = h; len(messages) == n {
		return errTwice
	}
	if r.ID == r.First && len(h.ids) == 0 {
		h.ids = h.first[:]
	} else {
		h.ids = append(h.ids, r.ID)
	}
	h.mask |= l.c.idBit(r.ID)
	return nil
}

// holding gives what a message shares, or makes it.
func (l *loader) holding(r *messageRecord) (*holding, error) {
	if h := l.taken(r.First, r.ID); h != nil {
		return h, nil
	}
	h := &holding{
		first: [1]policy.ID{r.First}, at: r.At, lease: r.Lease, forget: r.Forget, mask: l.c.idBit(r.First),
	}
	for _, key := range r.Refunds {
		h.refunds = append(h.refunds, strings.Clone(key))
	}
	if err := l.items(h, r.Items); err != nil {
		return nil, err
	}
	if r.ID != r.First {
		l.shared[r.First] = h
	}
	if h.lease > 0 {
		l.open = append(l.open, h)
	}
	return h, nil
}

// taken gives what a message took that was read before, as the first one of those that share it. Whoever
// asks is not looked for among the messages: it is not there yet.
func (l *loader) taken(first, asking policy.ID) *holding {
	if first != asking {
		if h := l.c.message(first); h != nil && h.first[0] == first {
			return h
		}
	}
	if len(l.shared) == 0 {
		return nil
	}
	return l.shared[first]
}

// items reads what appendItem wrote.
func (l *loader) items(h *holding, b []byte) error {
	n := 0
	for _, c := range b { // the last octet of a number is below 128
		if c < 0x80 {
			n++
		}
	}
	h.items = make([]item, 0, n/3)
	for v := (varints{b, false}); len(v.b) > 0; {
		rule, key, amount := v.next(1<<32-1), v.next(1<<32-1), v.next(MaxAmount)
		switch {
		case v.failed || key >= uint64(len(l.keys)):
			return errAmount
		case !l.known(uint32(rule)):
			return errRule
		}
		s := l.keys[key]
		h.items = append(h.items, item{s.ref, uint32(rule), int64(amount)})
		h.mask |= s.shard()
	}
	return nil
}

// finish ties fingerprints to what was taken, and puts open reservations under their lease.
func (l *loader) finish() {
	for _, r := range l.retries {
		h := l.taken(r.First, policy.ID{})
		if h == nil { // its windows have passed
			h = &holding{first: [1]policy.ID{r.First}, at: r.At, mask: l.c.idBit(r.First)}
			h.ids = h.first[:]
			l.shared[r.First] = h
		}
		h.mask |= l.c.retryBit(r.Retry)
		l.c.shard(l.c.retryBit(r.Retry)).retries[r.Retry] = h
	}
	slices.SortFunc(l.open, func(a, b *holding) int { return cmp.Compare(a.lease, b.lease) })
	for _, h := range l.open {
		l.c.open(h, h.lease)
	}
}
