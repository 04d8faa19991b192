package limit

import "time"

// Subs is the number of sub-windows of a window.
const Subs = 60

// MaxAmount is the most that one demand counts; larger ones count as this.
const MaxAmount = 1 << 40

// A slot is the amount of one sub-window: 16 bits of its number, 48 bits of amount. Eight octets each
// make a sparse window small and a full one no larger than a ring.
type slot uint64

const maxSlot = 1<<48 - 1

func newSlot(sub, n int64) slot { return slot(uint64(uint16(sub))<<48 | uint64(min(n, maxSlot))) }

func (s slot) amount() int64 { return int64(s & maxSlot) }

// A window counts what was taken under one rule for one key.
type window struct {
	rule  uint32
	width uint32 // of a sub-window, in ms
	last  int64  // number of the newest sub-window; all slots are within Subs of it
	total int64  // of all slots
	slots []slot // ascending, none empty
}

// subWidth is the length of a sub-window in milliseconds.
func subWidth(w time.Duration) uint32 {
	ms := (w.Milliseconds() + Subs - 1) / Subs
	return uint32(min(max(ms, 1), 1<<32-1))
}

// span is how long after the beginning of its sub-window an amount counts, in ms.
func span(width uint32) int64 { return (Subs + 1) * int64(width) }

func (w *window) subAt(ms int64) int64 { return ms / int64(w.width) }

// sub is the number of slot i. Only 16 bits are stored: no slot is older than Subs.
func (w *window) sub(i int) int64 {
	return w.last - int64(uint16(w.last)-uint16(w.slots[i]>>48))
}

// expired gives how many slots no longer count at a time, and their amount.
func (w *window) expired(ms int64) (n int, amount int64) {
	oldest := w.subAt(ms) - Subs
	for n < len(w.slots) && w.sub(n) < oldest {
		amount += w.slots[n].amount()
		n++
	}
	return n, amount
}

// used is what counts at a time. Amounts of a later time count too: clocks of two callers may differ.
func (w *window) used(ms int64) int64 {
	_, gone := w.expired(ms)
	return w.total - gone
}

// add counts n at a time. What lies more than the window before the newest sub-window is over.
func (w *window) add(ms, n int64) {
	sub := w.subAt(ms)
	if sub > w.last {
		w.advance(ms)
	}
	if sub < w.last-Subs {
		return
	}
	i := len(w.slots)
	for i > 0 && w.sub(i-1) > sub {
		i--
	}
	if i > 0 && w.sub(i-1) == sub {
		i--
		sum := min(w.slots[i].amount()+n, maxSlot)
		w.total += sum - w.slots[i].amount()
		w.slots[i] = newSlot(sub, sum)
		return
	}
	w.slots = append(w.slots, 0)
	copy(w.slots[i+1:], w.slots[i:])
	w.slots[i] = newSlot(sub, n)
	w.total += n
}

// advance makes a time the newest and drops what is over then.
func (w *window) advance(ms int64) {
	n, gone := w.expired(ms)
	w.slots = w.slots[:copy(w.slots, w.slots[n:])]
	w.total -= gone
	w.last = w.subAt(ms)
}

// giveBack takes n out of the sub-window of a time again. After a change of the width the amount may
// lie in a later one. What is over must not be given back.
func (w *window) giveBack(ms, n int64) {
	sub := w.subAt(ms)
	for i := 0; i < len(w.slots) && n > 0; i++ {
		if w.sub(i) < sub {
			continue
		}
		part := min(n, w.slots[i].amount())
		w.slots[i] -= slot(part)
		w.total -= part
		n -= part
	}
	kept := w.slots[:0]
	for _, s := range w.slots {
		if s.amount() > 0 {
			kept = append(kept, s)
		}
	}
	w.slots = kept
}

// free gives the time at which n more units fit into a limit, in ms: now or the end of the last
// sub-window that has to leave. n must not be larger than the limit.
func (w *window) free(ms, limit, n int64) int64 {
	i, gone := w.expired(ms)
	excess := w.total - gone + n - limit
	if excess <= 0 {
		return ms
	}
	for ; i < len(w.slots); i++ {
		excess -= w.slots[i].amount()
		if excess <= 0 {
			break
		}
	}
	return (w.sub(i) + Subs + 1) * int64(w.width)
}

// end is when what was taken at a time no longer counts.
func (w *window) end(ms int64) int64 { return (w.subAt(ms) + Subs + 1) * int64(w.width) }

// settle fits the window to a width and to a clock that was set back by more than the window.
func (w *window) settle(ms int64, width uint32) {
	if w.width != width {
		w.rebucket(ms, width)
	}
	sub := w.subAt(ms)
	if w.last <= sub+Subs {
		return
	}
	n := w.total
	*w = window{rule: w.rule, width: width, last: sub, slots: w.slots[:0]}
	if n > 0 {
		w.add(ms, n)
	}
}

// rebucket moves every amount to the latest moment at which it can have been taken.
func (w *window) rebucket(ms int64, width uint32) {
	old := *w
	*w = window{rule: old.rule, width: width}
	for i, s := range old.slots {
		end := (old.sub(i)+1)*int64(old.width) - 1
		w.add(min(end, max(ms, old.sub(i)*int64(old.width))), s.amount())
	}
}
