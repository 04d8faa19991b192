package similar

import (
	"bytes"
	"cmp"
	"container/list"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// maxLeaders bounds the campaigns of one sender that a message is compared with.
const maxLeaders = 256

// An Index knows the texts of the last day and the campaigns among them.
type Index struct {
	cfg     Config
	hash    hasher
	readers sync.Pool // of *reader

	mu        sync.Mutex
	campaigns map[policy.ID]*campaign
	numbers   map[uint32]*campaign
	next      uint32
	senders   map[string]*sender
	learners  map[string]*learner
	exact     map[uint64]*campaign // by the exact hash of a sample
	bands     *bands
	plain     *list.List // campaigns of no consequence, the oldest in front
	notable   *list.List // campaigns that were noticed or decided on
	taken     map[policy.ID]taken
	order     []counted // taken messages by time
	swept     int64     // day on which learners were last looked through
}

// A sender has his campaigns, the latest in front.
type sender struct{ leaders []*campaign }

// taken says where a message was counted: by its new text, by its full text, or by both.
type taken struct {
	campaigns []*campaign
	sender    string
}

type counted struct {
	_  struct{} `cbor:",toarray"`
	ID policy.ID
	At int64
}

// New makes an empty index. The error is the configuration's, or a seed of zeros.
func New(cfg Config) (*Index, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Seed == [16]byte{} {
		return nil, errors.New("similarity needs a secret seed")
	}
	x := &Index{cfg: cfg, hash: newHasher(cfg.Seed)}
	x.reset()
	return x, nil
}

func (x *Index) reset() {
	x.campaigns, x.numbers, x.next = map[policy.ID]*campaign{}, map[uint32]*campaign{}, 1
	x.senders, x.learners = map[string]*sender{}, map[string]*learner{}
	x.exact, x.bands = map[uint64]*campaign{}, newBands()
	x.plain, x.notable = list.New(), list.New()
	x.taken, x.order = map[policy.ID]taken{}, nil
}

// Signature reads a text. It holds no lock meanwhile, so messages are read side by side.
func (x *Index) Signature(text string, hints Hints) Signature {
	r, _ := x.readers.Get().(*reader)
	if r == nil {
		r = newReader(x.hash)
	}
	sig := r.sign(text, &hints, x.boilerplate(hints.Sender))
	if len(text) <= maxKept {
		x.readers.Put(r)
	}
	return sig
}

// boilerplate gives what a sender repeats; for one with little mail, what his domain does.
func (x *Index) boilerplate(sender string) *boilerplate {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.learners[sender]
	if l == nil || l.Messages < learnOwn {
		if d := x.learners[domainKey(sender)]; d != nil && d.known != nil {
			return d.known
		}
	}
	if l == nil {
		return nil
	}
	return l.known
}

// noDomain is the key of senders without a domain, whom nothing is learned for together.
const noDomain = "@"

// domainKey is the learner of a sender's domain.
func domainKey(sender string) string {
	if i := strings.LastIndexByte(sender, '@'); i >= 0 {
		return sender[i:]
	}
	return noDomain
}

// Look says what a message would be, and counts nothing. The recipients are those that count:
// external, not of the message's thread, not known correspondents.
func (x *Index) Look(now time.Time, sender string, sig Signature, recipients []policy.Address) Match {
	hashes := x.recipients(recipients)
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.judge(now, sender, &sig, x.find(sender, &sig), hashes)
}

// recipients gives distinct hashes, sorted.
func (x *Index) recipients(addresses []policy.Address) []uint64 {
	hashes := make([]uint64, 0, len(addresses))
	for _, a := range addresses {
		hashes = append(hashes, x.hash.bytes([]byte(a.Key())))
	}
	slices.Sort(hashes)
	return slices.Compact(hashes)
}

// Take counts a message that was accepted, and gives the same as Look just before. Taking an id again
// changes nothing. It is also how the journal's past is told again: with the time of then.
func (x *Index) Take(now time.Time, id policy.ID, sender string, sig Signature, recipients []policy.Address) Match {
	hashes := x.recipients(recipients)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.expire(now)
	f := x.find(sender, &sig)
	m := x.judge(now, sender, &sig, f, hashes)
	if _, again := x.taken[id]; again {
		return m
	}
	b := booking{now: now, id: id, sender: sender, signature: &sig, hashes: hashes}
	x.enter(b, f)
	if m.Campaign == (policy.ID{}) {
		m.Campaign = id
	}
	x.mark(m)
	if m.Level < Review {
		x.learn(now, sender, sig.shingles)
	}
	return m
}

// mark keeps the highest level that a campaign reached.
func (x *Index) mark(m Match) {
	if c := x.campaigns[m.Campaign]; c != nil {
		c.Level, c.Hijack = max(c.Level, m.Level), c.Hijack || m.Hijack
		x.age(c)
	}
}

// Undo takes back a message that was refused after all, or recalled. It reports whether the message
// was still counted.
func (x *Index) Undo(id policy.ID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	t, ok := x.taken[id]
	delete(x.taken, id)
	undone := false
	for _, c := range t.campaigns {
		undone = c.undo(id, t.sender) || undone
	}
	return ok && undone
}

// Campaigns gives the campaigns with at least so many messages, or that were noticed or decided on,
// the latest first.
func (x *Index) Campaigns(now time.Time, messages uint64) []Campaign {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []Campaign
	for _, c := range x.campaigns {
		if c.Messages >= messages || c.notable {
			all = append(all, c.view(now.UnixMilli()))
		}
	}
	slices.SortFunc(all, func(a, b Campaign) int {
		return cmp.Or(b.Last.Compare(a.Last), bytes.Compare(b.ID[:], a.ID[:]))
	})
	return all
}

// Campaign gives one campaign.
func (x *Index) Campaign(now time.Time, id policy.ID) (Campaign, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.campaigns[id]
	if c == nil {
		return Campaign{}, ErrUnknown
	}
	return c.view(now.UnixMilli()), nil
}

// Of gives the campaign of a message that was counted in the last day.
func (x *Index) Of(id policy.ID) (policy.ID, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t, ok := x.taken[id]
	if !ok {
		return policy.ID{}, false
	}
	return t.campaigns[0].ID, true
}
