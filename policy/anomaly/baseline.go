package anomaly

import (
	"math"
	"time"
)

const hoursOfWeek = 168

// Smallest weights of a new value.
const (
	cellWeight = 1.0 / 4
	hourWeight = 1.0 / 100
	dayWeight  = 1.0 / 20
)

// Most a value may stand above the mean when it is learned, in standard deviations.
const outlier = 4

// A moment is a mean with its variance.
type moment struct {
	_        struct{} `cbor:",toarray"`
	Mean     float32
	Variance float32
}

func (m moment) spread() float64 { return math.Sqrt(float64(m.Variance)) }

// learn moves the moment (Finch 2009, section 9). The first value is the mean.
func (m *moment) learn(x, weight float64) {
	if weight < 1 {
		x = min(x, float64(m.Mean)+outlier*max(m.spread(), math.Sqrt(float64(m.Mean)), 1))
	}
	d := x - float64(m.Mean)
	m.Mean += float32(weight * d)
	m.Variance = float32((1 - weight) * (float64(m.Variance) + weight*d*d))
}

// A cell is one hour of the week in four octets.
type cell [4]level

// learn moves the cell by what was sent in the hour.
func (c cell) learn(external, strangers, weight float64) cell {
	e, s := c.external(), c.strangers()
	e.learn(external, weight)
	s.learn(strangers, weight)
	return cell{quantise(float64(e.Mean)), quantise(e.spread()), quantise(float64(s.Mean)), quantise(s.spread())}
}

func (c cell) external() moment  { return dequantise(c[0], c[1]) }
func (c cell) strangers() moment { return dequantise(c[2], c[3]) }

func dequantise(mean, spread level) moment {
	s := value(spread)
	return moment{Mean: float32(value(mean)), Variance: float32(s * s)}
}

// A baseline is what is usual for an account.
type baseline struct {
	_     struct{} `cbor:",toarray"`
	Cells [hoursOfWeek * 4]byte
	// Of hours and days with mail, external recipients and strangers.
	HourExternal, HourStrangers moment
	DayExternal, DayStrangers   moment
	Hours, Days                 uint16 // how many were learned, at most 65,535
}

func (b *baseline) cell(h int) cell {
	h = (h + hoursOfWeek) % hoursOfWeek
	return cell(b.Cells[h*4 : h*4+4])
}

// learn takes a day over: the counts of its 24 hours. week is the number of weeks the account is known.
func (b *baseline) learn(weekday time.Weekday, hours *[24]hourly, week int) {
	external, strangers := 0.0, 0.0
	weight := max(cellWeight, 1/float64(week+1))
	for h := range hours {
		e, s := float64(hours[h].External), float64(hours[h].Strangers)
		at := int(weekday)*24 + h
		c := b.cell(at).learn(e, s, weight)
		copy(b.Cells[at*4:], c[:])
		external, strangers = external+e, strangers+s
		if e > 0 {
			w := max(hourWeight, 1/float64(b.Hours+1))
			b.HourExternal.learn(e, w)
			b.HourStrangers.learn(s, w)
			b.Hours += min(1, math.MaxUint16-b.Hours)
		}
	}
	w := max(dayWeight, 1/float64(b.Days+1))
	b.DayExternal.learn(external, w)
	b.DayStrangers.learn(strangers, w)
	b.Days += min(1, math.MaxUint16-b.Days)
}

// expect gives what is usual in an hour of the week: mean and standard deviation.
func (b *baseline) expect(h int, of func(cell) moment, overall moment) (mean, spread float64) {
	mean, spread = float64(overall.Mean), overall.spread()
	for _, near := range []int{h - 1, h, h + 1} {
		m := of(b.cell(near))
		mean, spread = max(mean, float64(m.Mean)), max(spread, m.spread())
	}
	return mean, floorSpread(mean, spread)
}

// floorSpread keeps a deviation from being smaller than that of a count.
func floorSpread(mean, spread float64) float64 { return max(spread, math.Sqrt(mean), 1) }

// inHours reports whether the account sends at this hour: in this hour of the week or near it, or at
// this time of the day on other days.
func (b *baseline) inHours(h int) bool {
	all, near := 0.0, 0.0
	for i := range hoursOfWeek {
		x := value(b.Cells[i*4])
		all += x
		if d := ((i-h)%24 + 24) % 24; d <= 1 || d == 23 {
			near += x
		}
	}
	return near >= 0.01*all
}
