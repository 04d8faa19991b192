package similar

import (
	"slices"
	"time"
)

// Rules of learning: a shingle is boilerplate when a tenth of the mail of a sender has it, at least
// three messages on three days, all older than a day.
const (
	learnShare   = 10 // one in
	learnTimes   = 3
	learnDays    = 3
	learnDaily   = 24   // messages of a day that teach
	learnEntries = 2048 // shingles known of a sender
	learnHalf    = 30   // days until everything counts half
	learnKeep    = 60   // days without mail until a sender is forgotten
	learnOwn     = 30   // messages from which a sender is known by himself
)

// boilerplate is what a sender writes again and again. It is never changed once made; nil is empty.
type boilerplate struct {
	bloom  [64]uint64
	prints []uint32 // sorted
}

func newBoilerplate(prints []uint32) *boilerplate {
	if len(prints) == 0 {
		return nil
	}
	b := &boilerplate{prints: prints}
	for _, p := range prints {
		b.bloom[p>>6&63] |= 1 << (p & 63)
	}
	return b
}

func (b *boilerplate) has(print uint32) bool {
	if b == nil || b.bloom[print>>6&63]&(1<<(print&63)) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(b.prints, print)
	return ok
}

// A learner counts in how many messages of a sender each shingle stands.
type learner struct {
	Messages uint32     `cbor:"1,keyasint"`
	Entries  []repeated `cbor:"2,keyasint,omitempty"` // sorted by print
	Pending  []day      `cbor:"3,keyasint,omitempty"` // not yet old enough
	Decayed  int64      `cbor:"4,keyasint,omitempty"` // day of the last halving
	Seen     int64      `cbor:"5,keyasint"`           // day of the last message

	known *boilerplate
}

// repeated is a shingle with the messages and days that had it.
type repeated struct {
	_     struct{} `cbor:",toarray"`
	Print uint32
	Times uint16
	Days  uint8
}

// day holds the shingles of the messages of one day; each message's are distinct.
type day struct {
	Day      int64    `cbor:"1,keyasint"`
	Messages uint32   `cbor:"2,keyasint"`
	Prints   []uint32 `cbor:"3,keyasint"`
}

func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// add takes the shingles of a message sent now.
func (l *learner) add(now time.Time, prints []uint32) {
	today := dayOf(now)
	l.advance(today)
	l.Seen = today
	if n := len(l.Pending); n == 0 || l.Pending[n-1].Day != today {
		l.Pending = append(l.Pending, day{Day: today})
	}
	d := &l.Pending[len(l.Pending)-1]
	if d.Messages >= learnDaily {
		return
	}
	d.Messages++
	prints = slices.Clone(prints)
	slices.Sort(prints)
	d.Prints = append(d.Prints, slices.Compact(prints)...)
}

// advance learns the days that ended a day ago or earlier.
func (l *learner) advance(today int64) {
	done := 0
	for done < len(l.Pending) && l.Pending[done].Day <= today-2 {
		l.learn(&l.Pending[done])
		done++
	}
	if done == 0 {
		return
	}
	l.Pending = slices.Delete(l.Pending, 0, done)
	l.decay(today)
	l.settle()
}

// learn merges one day.
func (l *learner) learn(d *day) {
	l.Messages += d.Messages
	slices.Sort(d.Prints)
	merged := make([]repeated, 0, len(l.Entries)+len(d.Prints))
	i := 0
	for p := d.Prints; len(p) > 0; {
		n := 1
		for n < len(p) && p[n] == p[0] {
			n++
		}
		for i < len(l.Entries) && l.Entries[i].Print < p[0] {
			merged = append(merged, l.Entries[i])
			i++
		}
		e := repeated{Print: p[0]}
		if i < len(l.Entries) && l.Entries[i].Print == p[0] {
			e = l.Entries[i]
			i++
		}
		e.Times = uint16(min(int(e.Times)+n, 1<<16-1))
		e.Days = uint8(min(int(e.Days)+1, 255))
		merged = append(merged, e)
		p = p[n:]
	}
	l.Entries = bounded(append(merged, l.Entries[i:]...))
}

// bounded keeps the most frequent entries.
func bounded(entries []repeated) []repeated {
	if len(entries) <= learnEntries {
		return entries
	}
	slices.SortFunc(entries, func(a, b repeated) int {
		return int(b.Times) - int(a.Times) + 8*(int(b.Days)-int(a.Days))
	})
	entries = slices.Clone(entries[:learnEntries])
	slices.SortFunc(entries, byPrint)
	return entries
}

func byPrint(a, b repeated) int {
	if a.Print < b.Print {
		return -1
	}
	if a.Print > b.Print {
		return 1
	}
	return 0
}

// decay halves all counts every 30 days.
func (l *learner) decay(today int64) {
	if l.Decayed == 0 {
		l.Decayed = today
	}
	for ; today-l.Decayed >= learnHalf && l.Messages > 0; l.Decayed += learnHalf {
		l.Messages /= 2
		for i := range l.Entries {
			l.Entries[i].Times /= 2
		}
		l.Entries = slices.DeleteFunc(l.Entries, func(e repeated) bool { return e.Times == 0 })
	}
	l.Decayed = max(l.Decayed, today-learnHalf)
}

// settle makes the set that signatures leave out.
func (l *learner) settle() {
	var prints []uint32
	least := max(learnTimes, int(l.Messages+learnShare-1)/learnShare)
	for _, e := range l.Entries {
		if int(e.Times) >= least && e.Days >= learnDays {
			prints = append(prints, e.Print)
		}
	}
	l.known = newBoilerplate(prints)
}
