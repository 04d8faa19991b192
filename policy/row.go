package policy

import (
	"slices"
	"time"
)

// A Row is what is known of one recipient of a message. The first rows are the recipients of the
// envelope, in its order; [Rows.Apply] appends the members of groups and the attempts of a resend.
type Row struct {
	Index     int `cbor:"-"` // position among the rows of the message
	Recipient `cbor:"1,keyasint"`
	Fate      `cbor:"2,keyasint"`
	// Group is 1 + the index of the row that this one is a member of; 0 for none.
	Group int `cbor:"3,keyasint,omitempty"`
	// Attempt counts from 1, also where it is 0.
	Attempt int `cbor:"4,keyasint,omitempty"`
	// Superseded is true when other rows stand for this one: a later attempt, or the members of a group
	// that was a member itself.
	Superseded bool `cbor:"5,keyasint,omitempty"`
	// Recall is the latest that a recall has said about the recipient.
	Recall RecallNote `cbor:"6,keyasint,omitzero"`
}

// Counted reports whether the row is one of those that make up the state of the message: neither a
// group whose members are known nor an attempt that was repeated.
func (r *Row) Counted() bool { return !r.Superseded && r.State != StateExpanded }

// Failed reports whether a resend goes to the recipient when nobody is named.
func (r *Row) Failed() bool { return r.Counted() && r.State.Failed() }

// Rows are all rows of a message.
type Rows []Row

// Apply gives the rows after an event, and the indexes of those that it changed. The slice may be
// changed in place. As [Fate.Apply] it is total: what cannot be applied changes nothing.
//
//   - Recipients nil is every counted row; an index of a group whose members are known is these.
//   - With Member, the event is about that final address under the one row named. Its row is made
//     when it is first mentioned, and takes over what was known of the group.
//   - Resent makes a new row for each recipient that has come to an end.
func (rows Rows) Apply(e Event) (after Rows, changed []int) {
	switch {
	case e.Member != "":
		return rows.applyMember(e)
	case e.Kind == Resent:
		return rows.resend(e)
	}
	for _, i := range rows.concerned(e.Recipients) {
		if rows[i].apply(&e) {
			changed = append(changed, i)
		}
	}
	return rows, changed
}

// apply applies an event that is about the row, and reports whether that changed it.
func (r *Row) apply(e *Event) (changed bool) {
	if next := r.Fate.Apply(*e); next != r.Fate {
		r.Fate, changed = next, true
	}
	if e.Kind != RecallOutcome || e.Subject == "" {
		return changed
	}
	job, err := ParseID(e.Subject)
	if err != nil || e.Time.Before(r.Recall.Time) {
		return changed
	}
	r.Recall = RecallNote{Job: job, Code: RecallCode(e.Reason), Time: e.Time}
	return true
}

// Resolve gives the rows that a list of indexes means: nil is all that are counted, a group is its
// members, each one once. Indexes that do not exist are left out.
func (rows Rows) Resolve(indexes []int) []int {
	if indexes != nil {
		indexes = slices.DeleteFunc(rows.concerned(indexes), func(i int) bool { return !rows[i].Counted() })
		return indexes
	}
	return rows.concerned(nil)
}

// concerned is Resolve that keeps what is not counted when it is named.
func (rows Rows) concerned(indexes []int) []int {
	if indexes == nil {
		all := make([]int, 0, len(rows))
		for i := range rows {
			if rows[i].Counted() {
				all = append(all, i)
			}
		}
		return all
	}
	if len(indexes) == 1 { // the common case needs no set
		if i := indexes[0]; i >= 0 && i < len(rows) && rows[i].State != StateExpanded {
			return []int{i}
		}
	}
	done := make([]bool, len(rows))
	list := make([]int, 0, len(indexes))
	add := func(i int) {
		if !done[i] {
			done[i] = true
			list = append(list, i)
		}
	}
	for _, i := range indexes {
		switch {
		case i < 0 || i >= len(rows):
		case rows[i].State == StateExpanded:
			for _, j := range rows.Members(i) {
				add(j)
			}
		default:
			add(i)
		}
	}
	return list
}

// Members gives the rows of the members of group i that are counted.
func (rows Rows) Members(i int) (members []int) {
	for j := i + 1; j < len(rows); j++ {
		if rows[j].Group == i+1 && rows[j].Counted() {
			members = append(members, j)
		}
	}
	return members
}

// Aggregate gives state and label of row i: its own, or for a group those of its members together.
func (rows Rows) Aggregate(i int) (State, Label) {
	if rows[i].State != StateExpanded {
		return rows[i].State, rows[i].State.Label()
	}
	states := map[State]int{}
	for _, j := range rows.Members(i) {
		states[rows[j].State]++
	}
	return Aggregate(states)
}

// applyMember applies an event about a member of the one row that it names.
func (rows Rows) applyMember(e Event) (after Rows, changed []int) {
	if len(e.Recipients) != 1 || e.Recipients[0] < 0 || e.Recipients[0] >= len(rows) {
		return rows, nil
	}
	g := e.Recipients[0]
	attempt := rows[g].Attempt
	if rows[g].Group > 0 { // a group in a group: its members stand under the one that was written to
		if rows[g].Address.Key() != e.Member.Key() && !rows[g].Superseded {
			rows[g].Superseded = true
			changed = append(changed, g)
		}
		g = rows[g].Group - 1
	}
	if j := rows.member(g, e.Member, attempt); j >= 0 {
		if !rows[j].apply(&e) {
			return rows, changed
		}
		return rows, append(changed, j)
	}
	if _, ok := e.target(); !ok {
		return rows, changed
	}
	known := rows[g].Fate
	if known.State == StateExpanded {
		known = Fate{}
	} else {
		rows[g].Fate = Fate{State: StateExpanded, Since: e.Time, MayBeDuplicate: known.MayBeDuplicate}
		changed = append(changed, g)
	}
	r := Row{Index: len(rows), Recipient: rows[g].Recipient, Group: g + 1, Attempt: attempt, Fate: known.Apply(e)}
	r.Address = e.Member
	if e.Until.IsZero() { // who knows the members has the message: nothing is left of what we had to do for the group
		r.Due = time.Time{}
	}
	return append(rows, r), append(changed, r.Index)
}

// member gives the row of a member in one attempt; what is said late of the first is nothing of the second.
func (rows Rows) member(group int, a Address, attempt int) int {
	key := a.Key()
	found := -1
	for j := group + 1; j < len(rows); j++ {
		if rows[j].Group == group+1 && rows[j].Address.Key() == key && max(rows[j].Attempt, 1) == max(attempt, 1) {
			if !rows[j].Superseded {
				return j
			}
			found = j
		}
	}
	return found
}

// resend appends an attempt for every recipient named that has come to an end; nil is those that failed.
func (rows Rows) resend(e Event) (after Rows, changed []int) {
	named := e.Recipients
	if named == nil {
		for i := range rows {
			if rows[i].Failed() {
				named = append(named, i)
			}
		}
		if named == nil {
			return rows, nil
		}
	}
	for _, i := range rows.Resolve(named) {
		if !rows[i].State.Final() && rows[i].State != StateUnknown {
			continue
		}
		r := Row{
			Index: len(rows), Recipient: rows[i].Recipient, Group: rows[i].Group,
			Attempt: max(rows[i].Attempt, 1) + 1, Fate: Fate{}.Apply(e),
		}
		rows[i].Superseded = true
		rows = append(rows, r)
		changed = append(changed, i, r.Index)
	}
	return rows, changed
}
