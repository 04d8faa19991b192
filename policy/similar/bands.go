package similar

import "math/bits"

// Bands of a sketch: 42 of 3 slots. Two sketches meet in at least one with probability
// 1-(1-J^3)^42: 0.998 at J=0.5 (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive
// Datasets, 3.4).
const (
	bandCount = 42
	bandRows  = 3
)

// maxBucket bounds how many texts share a band; a band that everybody shares tells nothing.
const maxBucket = 32

// bands finds sketches that have a band in common: an open-addressed table of owners.
type bands struct {
	slots []bandSlot
	live  int
	dead  int
}

// owner 0 is an empty slot; buried is one that was emptied.
type bandSlot struct{ tag, owner uint32 }

const buried = ^uint32(0)

const minBandSlots = 1 << 12

func newBands() *bands { return &bands{slots: make([]bandSlot, minBandSlots)} }

// keys gives the band values of a sketch. Identical keys in different bands differ.
func (a *sketch) keys(h hasher) (keys [bandCount]uint64) {
	for b := range keys {
		v := uint64(b)
		for r := range bandRows {
			v = v<<16 | uint64(a.slot(b*bandRows+r))
		}
		keys[b] = h.pair(v, mixC)
	}
	return keys
}

func (t *bands) insert(keys *[bandCount]uint64, owner uint32) {
	if (t.live+t.dead+bandCount)*3 > len(t.slots)*2 {
		t.rebuild()
	}
	for _, k := range keys {
		t.put(uint32(k), owner)
	}
}

// The home of an entry is derived from its tag, so that the table can be rebuilt without its keys.
func (t *bands) home(tag uint32) int {
	hi, _ := bits.Mul64(uint64(tag)*mixA, uint64(len(t.slots)))
	return int(hi)
}

func (t *bands) put(tag, owner uint32) {
	same := 0
	for i := t.home(tag); ; i = t.after(i) {
		s := &t.slots[i]
		if s.owner == 0 || s.owner == buried {
			if s.owner == buried {
				t.dead--
			}
			*s = bandSlot{tag, owner}
			t.live++
			return
		}
		if s.tag == tag {
			if same++; same >= maxBucket {
				return
			}
		}
	}
}

func (t *bands) after(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

func (t *bands) remove(keys *[bandCount]uint64, owner uint32) {
	for _, k := range keys {
		tag := uint32(k)
		for i := t.home(tag); t.slots[i].owner != 0; i = t.after(i) {
			if t.slots[i] == (bandSlot{tag, owner}) {
				t.slots[i].owner = buried
				t.live--
				t.dead++
				break
			}
		}
	}
}

// rebuild drops the buried and doubles when the living need it.
func (t *bands) rebuild() {
	old := t.slots
	size := len(old)
	for (t.live+bandCount)*2 > size {
		size *= 2
	}
	*t = bands{slots: make([]bandSlot, size)}
	for _, s := range old {
		if s.owner != 0 && s.owner != buried {
			t.put(s.tag, s.owner)
		}
	}
}

// each gives the owners that share a band, some of them more than once.
func (t *bands) each(keys *[bandCount]uint64, give func(owner uint32)) {
	for _, k := range keys {
		tag := uint32(k)
		for i := t.home(tag); t.slots[i].owner != 0; i = t.after(i) {
			if t.slots[i].tag == tag && t.slots[i].owner != buried {
				give(t.slots[i].owner)
			}
		}
	}
}
