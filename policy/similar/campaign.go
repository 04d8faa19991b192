package similar

import (
	"container/list"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Bounds of a campaign.
const (
	maxSamples = 6
	maxMembers = 64
	maxHours   = 72
)

// A campaign is a set of near-duplicates; most have one message. Its id is that of its first message.
type campaign struct {
	ID         policy.ID `cbor:"1,keyasint"`
	Number     uint32    `cbor:"2,keyasint"`
	First      int64     `cbor:"3,keyasint"`
	Last       int64     `cbor:"4,keyasint"`
	Messages   uint64    `cbor:"5,keyasint"`
	Recipients uint64    `cbor:"6,keyasint"` // of all messages, one by one
	Samples    []sample  `cbor:"7,keyasint"`
	Members    []*member `cbor:"8,keyasint"`
	Hours      []Hourly  `cbor:"9,keyasint,omitempty"`
	Level      Level     `cbor:"10,keyasint,omitempty"` // the highest it reached
	Hijack     bool      `cbor:"11,keyasint,omitempty"`
	Decision   Decision  `cbor:"12,keyasint,omitzero"`

	place   *list.Element // in the order of age
	notable bool          // which of the orders
}

// A sample stands for the copies that resemble it.
type sample struct {
	_          struct{} `cbor:",toarray"`
	ID         policy.ID
	Sender     string
	At         int64
	Similarity float64 // to the sample it was found by; 1 for the first
	Signature  Signature
}

// Hourly is what a campaign sent in one hour.
type Hourly struct {
	Hour       int64  `cbor:"1,keyasint"` // hours since 1970
	Messages   uint32 `cbor:"2,keyasint"`
	Recipients uint32 `cbor:"3,keyasint"`
}

// Start gives the beginning of the hour.
func (h Hourly) Start() time.Time { return time.Unix(h.Hour*3600, 0).UTC() }

func (c *campaign) member(sender string) *member {
	for _, m := range c.Members {
		if m.Sender == sender {
			return m
		}
	}
	return nil
}

// join gives the sender's part, making room for it when there are too many.
func (c *campaign) join(sender string, at int64) (m, evicted *member) {
	if m = c.member(sender); m != nil {
		return m, nil
	}
	if len(c.Members) >= maxMembers {
		oldest := slices.MinFunc(c.Members, func(a, b *member) int { return int(a.Last - b.Last) })
		evicted = oldest
		c.Members = slices.DeleteFunc(c.Members, func(m *member) bool { return m == oldest })
	}
	m = &member{Sender: sender, First: at, Last: at}
	c.Members = append(c.Members, m)
	return m, evicted
}

// record counts a message in the campaign's history.
func (c *campaign) record(at int64, recipients int) {
	c.First, c.Last = min(c.First, at), max(c.Last, at)
	c.Messages++
	c.Recipients += uint64(recipients)
	h := at / hour.Milliseconds()
	i, ok := slices.BinarySearchFunc(c.Hours, h, func(x Hourly, h int64) int { return int(x.Hour - h) })
	if !ok {
		c.Hours = slices.Insert(c.Hours, i, Hourly{Hour: h})
	}
	c.Hours[i].Messages++
	c.Hours[i].Recipients += uint32(recipients)
	if len(c.Hours) > maxHours {
		c.Hours = slices.Delete(c.Hours, 0, 1)
	}
}

// unrecord takes a message out of the history.
func (c *campaign) unrecord(at int64, recipients int) {
	c.Messages--
	c.Recipients -= uint64(recipients)
	for i := range c.Hours {
		if c.Hours[i].Hour == at/hour.Milliseconds() {
			c.Hours[i].Messages--
			c.Hours[i].Recipients -= uint32(recipients)
		}
	}
}

// A Campaign is a view of near-duplicates, at one moment.
type Campaign struct {
	ID          policy.ID
	First, Last time.Time
	Messages    uint64
	Recipients  uint64   // of all messages, one by one
	Distinct    Distinct // recipients of all senders together
	Senders     []Sender // in the order in which they joined
	Samples     []Sample // up to six that differ; the first is the first message
	Hours       []Hourly // the last 72 with mail
	Level       Level    // the highest it reached
	Hijack      bool     // the same text came from several accounts
	Decision    Decision
}

// A Sender is one account's part in a campaign.
type Sender struct {
	Name        string
	First, Last time.Time
	Messages    uint64
	Distinct    Distinct
}

// A Sample is a message that stands for others. Its text is the store's; [Diff] shows how two differ.
type Sample struct {
	ID         policy.ID
	Sender     string
	At         time.Time
	Similarity float64
}

// view copies what people see.
func (c *campaign) view(now int64) Campaign {
	v := Campaign{
		ID: c.ID, First: instant(c.First), Last: instant(c.Last), Messages: c.Messages, Recipients: c.Recipients,
		Hours: slices.Clone(c.Hours), Level: c.Level, Hijack: c.Hijack, Decision: c.Decision.clone(),
	}
	var all tally
	for _, m := range c.Members {
		t := m.reach()
		v.Senders = append(v.Senders, Sender{m.Sender, instant(m.First), instant(m.Last), m.Messages, t.count(now, nil)})
		for _, s := range t {
			all.add([]uint64{s.Hash}, s.At)
		}
	}
	v.Distinct = all.count(now, nil)
	for _, s := range c.Samples {
		v.Samples = append(v.Samples, Sample{s.ID, s.Sender, instant(s.At), s.Similarity})
	}
	return v
}

// reach gives everybody who got a copy.
func (m *member) reach() tally {
	if len(m.Wide) > 0 {
		return m.Wide
	}
	return m.Text
}

func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
