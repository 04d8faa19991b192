package similar

import (
	"bufio"
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// A snapshot is a sequence of CBOR items (RFC 8742): a heading, and then so many items of each kind as that says. Item by
// item neither writing nor reading one needs memory for the whole.
type heading struct {
	Version   int    `cbor:"1,keyasint"`
	Seed      uint64 `cbor:"2,keyasint"` // tells seeds apart, without showing them
	Next      uint32 `cbor:"3,keyasint"`
	Swept     int64  `cbor:"8,keyasint"`
	Campaigns int    `cbor:"9,keyasint"`
	Senders   int    `cbor:"10,keyasint"`
	Learners  int    `cbor:"11,keyasint"`
	Order     int    `cbor:"12,keyasint"`
}

// image is what a snapshot holds: everything that cannot be derived from the rest.
type image struct {
	heading
	Campaigns []*campaign // in the order of age
	Senders   []portrait
	Learners  []schooling
	Order     []counted
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

const imageVersion = 2

// seedCheck is a hash that only this seed gives.
func (x *Index) seedCheck() uint64 { return x.hash.bytes([]byte("similarity snapshot")) }

// Snapshot writes everything the index knows. Two indexes that know the same write the same octets.
// The index is locked meanwhile.
func (x *Index) Snapshot(w io.Writer) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	im := x.image()
	mode, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		return fmt.Errorf("write similarity snapshot: %w", err)
	}
	to := bufio.NewWriter(w)
	e := mode.NewEncoder(to)
	err = e.Encode(im.heading)
	err = writeItems(e, err, im.Campaigns)
	err = writeItems(e, err, im.Senders)
	err = writeItems(e, err, im.Learners)
	err = writeItems(e, err, im.Order)
	if err == nil {
		err = to.Flush()
	}
	if err != nil {
		return fmt.Errorf("write similarity snapshot: %w", err)
	}
	return nil
}

// image lists what there is.
func (x *Index) image() *image {
	im := &image{Order: x.order}
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
	im.heading = heading{
		Version: imageVersion, Seed: x.seedCheck(), Next: x.next, Swept: x.swept,
		Campaigns: len(im.Campaigns), Senders: len(im.Senders), Learners: len(im.Learners), Order: len(im.Order),
	}
	return im
}

// writeItems writes items, unless there was an error before.
func writeItems[T any](e *cbor.Encoder, err error, items []T) error {
	for i := range items {
		if err == nil {
			err = e.Encode(&items[i])
		}
	}
	return err
}

// readItems reads so many items, unless there was an error before.
func readItems[T any](d *cbor.Decoder, err error, n int) ([]T, error) {
	var items []T // no more memory than really comes
	for range n {
		var one T
		if err == nil {
			err = d.Decode(&one)
		}
		if err != nil {
			return nil, err
		}
		items = append(items, one)
	}
	return items, err
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
	d := mode.NewDecoder(r)
	if err := d.Decode(&im.heading); err != nil {
		return fmt.Errorf("read similarity snapshot: %w", err)
	}
	if im.Version != imageVersion {
		return fmt.Errorf("read similarity snapshot: version %d", im.Version)
	}
	if im.Seed != x.seedCheck() {
		return ErrSeed
	}
	im.Campaigns, err = readItems[*campaign](d, err, im.heading.Campaigns)
	im.Senders, err = readItems[portrait](d, err, im.heading.Senders)
	im.Learners, err = readItems[schooling](d, err, im.heading.Learners)
	im.Order, err = readItems[counted](d, err, im.heading.Order)
	if err == nil && !im.whole() {
		err = errors.New("a part of it is empty")
	}
	if err != nil {
		return fmt.Errorf("read similarity snapshot: %w", err)
	}
	x.adopt(&im)
	return nil
}

// whole reports whether everything is there that is pointed to: in a damaged file it may be null.
func (im *image) whole() bool {
	for _, c := range im.Campaigns {
		if c == nil || slices.Contains(c.Members, nil) {
			return false
		}
	}
	return !slices.ContainsFunc(im.Learners, func(l schooling) bool { return l.Learner == nil })
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
