package similar

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// image is what a snapshot holds: everything that cannot be derived from the rest.
type image struct {
	Version   int         `cbor:"1,keyasint"`
	Seed      uint64      `cbor:"2,keyasint"` // tells seeds apart, without showing them
	Next      uint32      `cbor:"3,keyasint"`
	Campaigns []*campaign `cbor:"4,keyasint"` // in the order of age
	Senders   []portrait  `cbor:"5,keyasint"`
	Learners  []schooling `cbor:"6,keyasint"`
	Order     []counted   `cbor:"7,keyasint"`
	Swept     int64       `cbor:"8,keyasint"`
}

// portrait is a sender with the numbers of his campaigns.
type portrait struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Leaders []uint32
}

type schooling struct {
	_       struct{} `cbor:",toarray"`
	Key     string
	Learner *learner
}

const imageVersion = 1

// seedCheck is a hash that only this seed gives.
func (x *Index) seedCheck() uint64 { return x.hash.bytes([]byte("similarity snapshot")) }

// Snapshot writes everything the index knows. Two indexes that know the same write the same octets.
// The index is locked meanwhile.
func (x *Index) Snapshot(w io.Writer) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	im := image{Version: imageVersion, Seed: x.seedCheck(), Next: x.next, Order: x.order, Swept: x.swept}
	for _, l := range []*list.List{x.plain, x.notable} {
		for e := l.Front(); e != nil; e = e.Next() {
			im.Campaigns = append(im.Campaigns, e.Value.(*campaign))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.senders)) {
		p := portrait{Name: name}
		for _, c := range x.senders[name].leaders {
			p.Leaders = append(p.Leaders, c.Number)
		}
		im.Senders = append(im.Senders, p)
	}
	for _, key := range slices.Sorted(maps.Keys(x.learners)) {
		im.Learners = append(im.Learners, schooling{Key: key, Learner: x.learners[key]})
	}
	mode, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err == nil {
		err = mode.NewEncoder(w).Encode(im)
	}
	if err != nil {
		return fmt.Errorf("write similarity snapshot: %w", err)
	}
	return nil
}

// ErrSeed is returned for a snapshot that another seed made: nothing in it could be compared.
var ErrSeed = errors.New("similarity snapshot of another seed")

// Restore replaces everything the index knows by a snapshot. After an error it knows nothing.
func (x *Index) Restore(r io.Reader) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reset()
	mode, err := cbor.DecOptions{MaxArrayElements: 1 << 27, MaxMapPairs: 1 << 27}.DecMode()
	if err != nil {
		return fmt.Errorf("read similarity snapshot: %w", err)
	}
	var im image
	if err := mode.NewDecoder(r).Decode(&im); err != nil {
		return fmt.Errorf("read similarity snapshot: %w", err)
	}
	if im.Version != imageVersion {
		return fmt.Errorf("read similarity snapshot: version %d", im.Version)
	}
	if im.Seed != x.seedCheck() {
		return ErrSeed
	}
	x.adopt(&im)
	return nil
}

// retake enters the messages of a campaign in the books, those by new text or those by full text: the
// campaign by new text is the first of a message.
func (x *Index) retake(c *campaign, full bool) {
	for _, m := range c.Members {
		for _, k := range m.Takes {
			if k.Full == full {
				x.taken[k.ID] = taken{append(x.taken[k.ID].campaigns, c), m.Sender}
			}
		}
	}
}

// adopt builds the index from an image.
func (x *Index) adopt(im *image) {
	x.next, x.order, x.swept = im.Next, im.Order, im.Swept
	for _, c := range im.Campaigns {
		x.campaigns[c.ID], x.numbers[c.Number] = c, c
		x.age(c)
	}
	byNumber := slices.SortedFunc(slices.Values(im.Campaigns), func(a, b *campaign) int { return cmp.Compare(a.Number, b.Number) })
	for _, c := range byNumber {
		for i := range c.Samples {
			x.index(c, &c.Samples[i].Signature)
		}
	}
	for _, full := range []bool{false, true} {
		for _, c := range byNumber {
			x.retake(c, full)
		}
	}
	for _, p := range im.Senders {
		s := &sender{}
		for _, n := range p.Leaders {
			if c := x.numbers[n]; c != nil {
				s.leaders = append(s.leaders, c)
			}
		}
		x.senders[p.Name] = s
	}
	for _, l := range im.Learners {
		l.Learner.settle()
		x.learners[l.Key] = l.Learner
	}
}
