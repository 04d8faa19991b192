package web

import (
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A family says how the rows of a message belong together. Each is made in one pass: an envelope has
// up to thousands of rows, and most of them may be aliases.
type family struct {
	rows    policy.Rows
	members [][]int // by row of the group: the first attempts of its members
	again   []int   // by row: the attempt that repeats it, 0 for none
	states  []map[policy.State]int
}

// A trial is one attempt for an address in a group.
type trial struct {
	group   int
	key     string
	attempt int
}

func newFamily(rows policy.Rows) *family {
	f := &family{
		rows: rows, members: make([][]int, len(rows)), again: make([]int, len(rows)), states: make([]map[policy.State]int, len(rows)),
	}
	repeated := map[trial][]int{} // superseded rows whose next attempt was not met yet
	for i := range rows {
		r := &rows[i]
		t := trial{r.Group, r.Address.Key(), max(r.Attempt, 1)}
		before := trial{t.group, t.key, t.attempt - 1}
		group := r.Group > 0 && r.Group <= i
		switch first := repeated[before]; {
		case r.Attempt > 1 && len(first) > 0: // twice in the envelope: each has attempts of its own
			f.again[first[0]], repeated[before] = i, first[1:]
		case group:
			f.members[r.Group-1] = append(f.members[r.Group-1], i)
		}
		if r.Superseded {
			repeated[t] = append(repeated[t], i)
		}
		if group && r.Counted() {
			if f.states[r.Group-1] == nil {
				f.states[r.Group-1] = map[policy.State]int{}
			}
			f.states[r.Group-1][r.State]++
		}
	}
	return f
}

// recipientViews shows the rows of a message: each group followed by its members, each attempt by
// the one that repeats it.
func recipientViews(rows policy.Rows) []Recipient {
	f := newFamily(rows)
	views := make([]Recipient, 0, len(rows))
	later := map[int]bool{} // shown where they belong
	for i := range rows {
		for _, m := range f.members[i] {
			later[m] = true
		}
		if next := f.again[i]; next > 0 {
			later[next] = true
		}
	}
	for i := range rows {
		if !later[i] {
			views = f.show(views, i)
		}
	}
	return views
}

func (f *family) show(views []Recipient, i int) []Recipient {
	for {
		views = append(views, f.view(i))
		for _, m := range f.members[i] {
			views = f.show(views, m)
		}
		if f.again[i] == 0 {
			return views
		}
		i = f.again[i]
	}
}

func (f *family) view(i int) Recipient {
	v := recipientView(&f.rows[i])
	if g := f.rows[i].Group; g > 0 && g <= len(f.rows) {
		v.Group = string(f.rows[g-1].Address)
		v.OriginalAddress = v.Group
	}
	if f.rows[i].State == policy.StateExpanded {
		v.State, v.Label = policy.Aggregate(f.states[i])
		for _, n := range f.states[i] {
			v.Members += n
		}
	}
	return v
}

func recipientView(r *store.Recipient) Recipient {
	v := Recipient{
		Address: string(r.Address), OriginalAddress: r.Original, Superseded: r.Superseded, State: r.State, Label: r.State.Label(),
		Since: r.Since.UTC(), Reply: r.Reply, Evidence: r.Evidence, Reason: r.Reason, Attempts: r.Attempts,
		QueueID: r.QueueID, Upstream: r.Upstream, MayBeDuplicate: r.MayBeDuplicate, Recall: recallState(r.Recall),
	}
	if r.Attempt > 1 {
		v.Attempt = r.Attempt
	}
	switch {
	case r.Due.IsZero():
		v.NextTry = r.NextTry.UTC()
	case r.State == policy.StateDeferred, r.State == policy.StateQueued:
		v.NextTry = r.Due.UTC()
	}
	return v
}

// addressesOfRows gives the address of each row, as events name them by index.
func addressesOfRows(rows policy.Rows) rowAddresses {
	a := rowAddresses{all: make([]string, len(rows))}
	for i := range rows {
		a.all[i] = string(rows[i].Address)
		if rows[i].Group == 0 && rows[i].Attempt <= 1 {
			a.envelope = a.all[:i+1]
		}
	}
	return a
}

// rowAddresses are the addresses of the rows of a message; those of the envelope are the first.
type rowAddresses struct{ all, envelope []string }

// of names the recipients that an event is about.
func (a rowAddresses) of(e *policy.Event) []string {
	if e.Recipients == nil {
		return a.envelope
	}
	named := make([]string, 0, len(e.Recipients))
	for _, i := range e.Recipients {
		if i >= 0 && i < len(a.all) {
			named = append(named, a.all[i])
		}
	}
	return named
}
