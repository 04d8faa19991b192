package anomaly

import "math"

// What is counted in five minutes.
const (
	external = iota // external recipients
	strangers
	freeMail // strangers at free-mail domains
	bare
	bounced
	unknown
	internal // recipients that a suspended account wrote to
	counts
)

const (
	slotSeconds = 300
	slots       = 12
	minutes10   = 3 // slots; the current one has just begun
)

// A slot holds the counts of five minutes.
type slot [counts]uint16

// hourly holds what is kept of an hour for a day.
type hourly struct {
	_         struct{} `cbor:",toarray"`
	External  uint16
	Strangers uint16
	Bounced   uint16
	Unheard   uint16 // external recipients that have not written to the account
}

// A window counts the last hour, the last day and the last week.
type window struct {
	_     struct{} `cbor:",toarray"`
	At    int64    // the slot up to which it was turned, since 1970
	Slots [slots]slot
	Hours [24]hourly // by the hour of the day
	Days  [7]uint16  // 1 + strangers, by the day since 1970; 0: no mail
}

// turn moves on to a time. day is called with each day that ends with mail, as days since 1970, before its hours
// are overwritten.
func (w *window) turn(unix int64, day func(day int64)) {
	to := unix / slotSeconds
	if to <= w.At {
		return
	}
	from := max(w.At+1, to-slots+1)
	for at := from; at <= to; at++ {
		w.Slots[at%slots] = slot{}
	}
	w.turnHours(w.At/slots, to/slots, day)
	today := to / slots / 24
	for d := max(w.At/slots/24+1, today-6); d <= today; d++ {
		w.Days[d%7] = 0
	}
	w.At = to
}

func (w *window) turnHours(last, now int64, day func(int64)) {
	for h := last + 1; h <= now; h++ {
		if h%24 == 0 && h/24 == last/24+1 {
			day(last / 24)
		}
		w.Hours[h%24] = hourly{}
		if h > last+48 {
			w.Hours = [24]hourly{}
			return
		}
	}
}

// add counts n of something.
func (w *window) add(what, n int) {
	saturate(&w.Slots[w.At%slots][what], n)
	h := &w.Hours[w.At/slots%24]
	today := &w.Days[w.At/slots/24%7]
	switch what {
	case external:
		saturate(&h.External, n)
		*today = max(*today, 1)
	case strangers:
		saturate(&h.Strangers, n)
		saturate(today, n)
	case bounced:
		saturate(&h.Bounced, n)
	}
}

func (w *window) addUnheard(n int) { saturate(&w.Hours[w.At/slots%24].Unheard, n) }

func saturate(to *uint16, n int) { *to = uint16(min(int(*to)+n, math.MaxUint16)) }

// sum counts over the latest slots.
func (w *window) sum(what, latest int) (n int) {
	for i := range int64(latest) {
		n += int(w.Slots[(w.At-i+slots)%slots][what])
	}
	return n
}

// hour counts over the last hour.
func (w *window) hour(what int) int { return w.sum(what, slots) }

// day adds up the last 24 hours.
func (w *window) day() (d struct{ external, strangers, bounced, unheard int }) {
	for _, h := range w.Hours {
		d.external += int(h.External)
		d.strangers += int(h.Strangers)
		d.bounced += int(h.Bounced)
		d.unheard += int(h.Unheard)
	}
	return d
}

// week adds up the strangers of today and the six days before, and on how many of them there was mail.
func (w *window) week() (strangers, days int) {
	for _, d := range w.Days {
		if d > 0 {
			strangers += int(d) - 1
			days++
		}
	}
	return strangers, days
}

// clear forgets what was counted, except for its time.
func (w *window) clear() { *w = window{At: w.At} }
