package anomaly

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

const imageVersion = 1

// ErrDamaged is returned for a snapshot that cannot be used.
var ErrDamaged = errors.New("damaged snapshot of baselines")

// head stands before the accounts of a snapshot.
type head struct {
	_        struct{} `cbor:",toarray"`
	Version  int
	Mark     uint64
	Begun    int64
	Accounts int
}

// entry is one account. Entries are a sequence (RFC 8742): there may be many.
type entry struct {
	_        struct{} `cbor:",toarray"`
	Identity string
	Account  *account
}

// Snapshot writes everything that is known. mark is the number of the journal's batch up to which events were
// told; from there on they are to be told again after [Restore]. A Watch that knows the same writes
// the same octets. A part of the accounts is locked while it is copied, the others go on meanwhile.
func (w *Watch) Snapshot(out io.Writer, mark uint64) error {
	encoder := cbor.NewEncoder(out)
	var copies [shards][]entry
	h := head{Version: imageVersion, Mark: mark, Begun: w.begun.Load()}
	for i := range w.shards {
		copies[i] = w.shards[i].copy()
		h.Accounts += len(copies[i])
	}
	err := encoder.Encode(h)
	for i := range copies {
		for j := range copies[i] {
			if err == nil {
				err = encoder.Encode(copies[i][j])
			}
		}
	}
	if err != nil {
		return fmt.Errorf("write snapshot of baselines: %w", err)
	}
	return nil
}

// copy gives the accounts of a shard, by name.
func (s *shard) copy() []entry {
	s.Lock()
	defer s.Unlock()
	list := make([]entry, 0, len(s.accounts))
	for _, name := range slices.Sorted(maps.Keys(s.accounts)) {
		a := *s.accounts[name]
		a.Networks, a.Agents = slices.Clone(a.Networks), slices.Clone(a.Agents)
		list = append(list, entry{Identity: name, Account: &a})
	}
	return list
}

// Restore reads a snapshot and gives its mark. A damaged one is [ErrDamaged]; the journal has it all,
// unless it was pruned.
func Restore(in io.Reader, cfg Config, locate Locator) (*Watch, uint64, error) {
	w, err := New(cfg, locate)
	if err != nil {
		return nil, 0, err
	}
	decoder := cbor.NewDecoder(in)
	var h head
	if err := decoder.Decode(&h); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if h.Version != imageVersion || h.Accounts < 0 {
		return nil, 0, fmt.Errorf("%w: version %d", ErrDamaged, h.Version)
	}
	w.begun.Store(h.Begun)
	for range h.Accounts {
		var e entry
		if err := decoder.Decode(&e); err != nil {
			return nil, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if e.Account == nil || !e.Account.sound() {
			return nil, 0, fmt.Errorf("%w: account %q", ErrDamaged, e.Identity)
		}
		w.shard(e.Identity).accounts[e.Identity] = e.Account
	}
	return w, h.Mark, nil
}

// sound reports whether an account can be used as it is: nothing indexes out of its arrays.
func (a *account) sound() bool {
	return a.Window.At >= 0 && len(a.Networks) <= maxNetworks && len(a.Agents) <= maxAgents && a.Stage <= Suspend
}
