package guard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/policy/limit"
)

// The parts of the memory of a Guard, each with a snapshot of its own.
const (
	PartCounters       = "counters"
	PartCorrespondents = "correspondents"
	PartSuspensions    = "suspensions"
	PartCampaigns      = "campaigns"
	PartAccounts       = "accounts"
)

// Parts lists them.
var Parts = []string{PartCounters, PartCorrespondents, PartSuspensions, PartCampaigns, PartAccounts}

// Save writes a snapshot of a part. mark is the number of the journal's batch up to which events were
// observed; from there on they are to be observed again after Load.
func (g *Guard) Save(part string, w io.Writer, mark uint64) error {
	switch part {
	case PartCounters:
		return g.counters.Snapshot(w, mark)
	case PartCorrespondents:
		return g.people.Snapshot(w, mark)
	case PartSuspensions:
		return g.saveSuspensions(w, mark)
	case PartCampaigns:
		if err := cbor.NewEncoder(w).Encode(mark); err != nil || g.index == nil {
			return err
		}
		return g.index.Snapshot(w)
	case PartAccounts:
		if err := cbor.NewEncoder(w).Encode(mark); err != nil || g.watch == nil {
			return err
		}
		return g.watch.Snapshot(w, mark)
	}
	return fmt.Errorf("%q is no part of the memory", part)
}

func (g *Guard) saveSuspensions(w io.Writer, mark uint64) error {
	exact, err := cbor.EncOptions{Time: cbor.TimeRFC3339NanoUTC}.EncMode() // the usual one cuts times to seconds
	if err != nil {
		return err
	}
	g.mu.Lock()
	s := suspensionRecord{Mark: mark, All: make([]Suspension, 0, len(g.suspended))}
	for _, one := range g.suspended {
		s.All = append(s.All, one)
	}
	g.mu.Unlock()
	return exact.NewEncoder(w).Encode(s)
}

// Resume ends the replay of the journal after a restart: what was reserved and never accepted is given
// back.
func (g *Guard) Resume(now time.Time) {
	g.counters.ReleaseReserved(now)
	for _, c := range g.Campaigns(now, math.MaxUint64) { // of those with a decision
		g.pardon(&c)
	}
}

type suspensionRecord struct {
	Mark uint64       `cbor:"1,keyasint"`
	All  []Suspension `cbor:"2,keyasint"`
}

// Load reads a snapshot of a part into a Guard that nobody uses yet, and gives its mark. A damaged one
// is an error and changes nothing: the journal has it all, unless it was pruned.
func (g *Guard) Load(part string, r io.Reader) (mark uint64, err error) {
	switch part {
	case PartCounters:
		c, mark, err := limit.Restore(r, limit.DefaultConfig())
		if err != nil {
			return 0, err
		}
		g.counters = c
		return mark, nil
	case PartCorrespondents:
		p, mark, err := limit.RestoreCorrespondents(r, limit.DefaultCorrespondentsConfig())
		if err != nil {
			return 0, err
		}
		g.people = p
		return mark, nil
	case PartSuspensions:
		var s suspensionRecord
		if err := cbor.NewDecoder(io.LimitReader(r, 64<<20)).Decode(&s); err != nil {
			return 0, errors.Join(limit.ErrDamaged, err)
		}
		for _, one := range s.All {
			g.suspended[one.Identity] = one
		}
		return s.Mark, nil
	case PartCampaigns:
		d := cbor.NewDecoder(r)
		if err := d.Decode(&mark); err != nil {
			return 0, errors.Join(limit.ErrDamaged, err)
		}
		if g.index == nil {
			return mark, nil
		}
		return mark, g.index.Restore(io.MultiReader(d.Buffered(), r))
	case PartAccounts:
		return g.loadAccounts(r)
	}
	return 0, fmt.Errorf("%q is no part of the memory", part)
}

// loadAccounts reads what is known of accounts. Where nobody watched them nothing is.
func (g *Guard) loadAccounts(r io.Reader) (mark uint64, err error) {
	d := cbor.NewDecoder(r)
	if err := d.Decode(&mark); err != nil {
		return 0, errors.Join(limit.ErrDamaged, err)
	}
	rest := bufio.NewReader(io.MultiReader(d.Buffered(), r))
	if _, err := rest.Peek(1); g.watch == nil || errors.Is(err, io.EOF) {
		return mark, nil
	}
	w, _, err := anomaly.Restore(rest, g.settings.Load().Anomaly, nil)
	if err != nil {
		return 0, err
	}
	g.watch = w
	return mark, nil
}
