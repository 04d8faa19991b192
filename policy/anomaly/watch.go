package anomaly

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const shards = 64

// A Locator names the network and the country of an address, as far as it knows: an AS number or
// operator, and two letters (ISO 3166-1). Empty names are not known; the network is then [Prefix].
type Locator func(netip.Addr) (network, country string)

// A Watch knows what is usual for each account. See the package comment.
type Watch struct {
	locate Locator
	terms  atomic.Pointer[terms]
	begun  atomic.Int64 // when the first message was learned, seconds since 1970; 0: none was
	shards [shards]shard
}

// terms are the configuration with what is made of it.
type terms struct {
	Config
	always map[string]bool // addresses that suspended accounts may write to
	free   map[string]bool // domains
}

type shard struct {
	sync.Mutex
	accounts map[string]*account
}

// New makes a Watch that knows nobody. locate may be nil. The error is the configuration's.
func New(cfg Config, locate Locator) (*Watch, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &Watch{locate: locate}
	w.take(cfg)
	for i := range w.shards {
		w.shards[i].accounts = map[string]*account{}
	}
	return w, nil
}

// Reload takes over another configuration. What is known of the accounts stays. The error is the
// configuration's; then nothing has changed.
func (w *Watch) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	w.take(cfg)
	return nil
}

// take puts a valid configuration in force.
func (w *Watch) take(cfg Config) {
	t := &terms{Config: cfg, always: map[string]bool{}, free: map[string]bool{}}
	for _, a := range cfg.Suspension.Always {
		if address, err := policy.ParseAddress(a); err == nil { // validated
			t.always[address.Key()] = true
		}
	}
	for _, d := range cfg.FreeMail {
		t.free[strings.ToLower(d)] = true
	}
	w.terms.Store(t)
}

// cfg is the configuration that is in force.
func (w *Watch) cfg() *terms { return w.terms.Load() }

// shard is the same in every process: what is forgotten first must not depend on chance.
func (w *Watch) shard(identity string) *shard {
	h := fnv.New32a()
	h.Write([]byte(identity))
	return &w.shards[h.Sum32()%shards]
}

// touch gives the account of an identity as of a time, a new one if need be. The shard is locked.
func (w *Watch) touch(s *shard, now time.Time, identity string) *account {
	a := s.accounts[identity]
	if a == nil {
		a = newAccount(now)
		if w.old(now) {
			a.Woke = now.Unix()
		}
		s.accounts[strings.Clone(identity)] = a
		s.bound(now, max(w.cfg().Identities/shards, 1))
	}
	a.turn(now)
	return a
}

// bound forgets an eighth of the accounts when there are too many: those seen longest ago.
func (s *shard) bound(now time.Time, most int) {
	if len(s.accounts) <= most {
		return
	}
	names := make([]string, 0, len(s.accounts))
	for name, a := range s.accounts {
		if !a.Barred.holds(now) && a.Last < now.Unix() {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(s.accounts[x].Last, s.accounts[y].Last), cmp.Compare(x, y))
	})
	for _, name := range names[:min(len(names), len(s.accounts)-most+most/8)] {
		delete(s.accounts, name)
	}
}

// Look judges a message without counting it.
func (w *Watch) Look(now time.Time, f Facts) Verdict {
	s := w.shard(f.Identity)
	s.Lock()
	defer s.Unlock()
	a := s.accounts[f.Identity]
	if a == nil {
		a = newAccount(now)
		if w.old(now) {
			a.Woke = now.Unix()
		}
	}
	a.turn(now)
	v, _ := w.judge(a, now, &f)
	return v
}

// Learn counts a message that was accepted, be it held or not, and gives the same as Look just before. What
// was refused is not told. Telling an id again changes nothing.
func (w *Watch) Learn(now time.Time, f Facts) Verdict {
	w.begun.CompareAndSwap(0, now.Unix())
	s := w.shard(f.Identity)
	s.Lock()
	defer s.Unlock()
	a := w.touch(s, now, f.Identity)
	v, reached := w.judge(a, now, &f)
	if a.told(f.ID, "") {
		return v
	}
	if a.Barred.holds(now) {
		a.Window.add(internal, f.Internal+len(f.External))
		a.Last = max(a.Last, now.Unix())
		return v
	}
	if since, idle := a.woke(now, &w.cfg().Ramp); since != a.Woke && since != 0 {
		a.Woke, a.Idle, a.Heard = since, uint16(min(idle, 1<<16-1)), 0
	}
	a.Last = max(a.Last, now.Unix())
	w.see(a, now, f.Client, !f.Held)
	if agent := agentKey(f.Agent); agent != 0 {
		a.Agents.see(agent, 0, minute(now), !f.Held, maxAgents)
	}
	if f.Allowed || len(f.External) == 0 {
		return v
	}
	a.count(&f, w.isFree)
	w.keep(a, now, reached)
	return v
}

// keep remembers the stage that the score reached.
func (w *Watch) keep(a *account, now time.Time, reached Stage) {
	if reached >= w.kept(a, now) {
		a.Stage, a.StageAt = reached, now.Unix()
	}
	if reached >= Pace {
		a.Tainted = a.Window.At / slots / 24
	}
}

// kept gives the stage that the account still has from before.
func (w *Watch) kept(a *account, now time.Time) Stage {
	if a.Stage < Pace || now.Unix()-a.StageAt >= int64(w.cfg().Calm/time.Second) {
		return Pass
	}
	return min(a.Stage, Hold)
}

// SignIn tells of a sign-in. Failed ones are nobody's: they change nothing.
func (w *Watch) SignIn(now time.Time, identity string, client netip.Addr, ok bool) {
	if !ok {
		return
	}
	s := w.shard(identity)
	s.Lock()
	defer s.Unlock()
	w.see(w.touch(s, now, identity), now, client, false)
}

// Bounce tells that a message of an account came back for good from a recipient. Telling it again changes
// nothing.
func (w *Watch) Bounce(now time.Time, id policy.ID, identity string, why Failure, recipient policy.Address) {
	s := w.shard(identity)
	s.Lock()
	defer s.Unlock()
	if s.accounts[identity] == nil {
		return
	}
	a := w.touch(s, now, identity)
	if a.told(id, recipient.Key()) {
		return
	}
	a.Window.add(bounced, 1)
	if why == NoSuchUser {
		a.Window.add(unknown, 1)
	}
}

// see notes where an account was used from.
func (w *Watch) see(a *account, now time.Time, client netip.Addr, used bool) {
	if network, country := w.place(client); network != 0 {
		a.Networks.see(network, country, minute(now), used, maxNetworks)
	}
}

// place names the network and the country of an address.
func (w *Watch) place(client netip.Addr) (network uint32, country uint16) {
	if !client.IsValid() {
		return 0, 0
	}
	name, code := "", ""
	if w.locate != nil {
		name, code = w.locate(client)
	}
	if name == "" {
		name = Prefix(client)
	}
	return key(name), countryKey(code)
}

func (w *Watch) isFree(a policy.Address) bool { return w.cfg().free[a.Domain()] }

// old reports whether the Watch has seen enough to know who is new.
func (w *Watch) old(now time.Time) bool {
	begun := w.begun.Load()
	return begun != 0 && now.Unix()-begun >= int64(w.cfg().Learning/time.Second)
}

// Len is how many accounts are known.
func (w *Watch) Len() (n int) {
	for i := range w.shards {
		w.shards[i].Lock()
		n += len(w.shards[i].accounts)
		w.shards[i].Unlock()
	}
	return n
}
