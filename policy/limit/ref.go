package limit

import "strings"

// A ref names a subject, for messages that outlive it. It is no pointer: the collector would follow half a million
// messages to everything that they took.
type ref struct {
	place  uint32 // in the list of its shard, times shards, and which shard
	serial uint32 // a later subject may have the same place
}

// shard is where a subject is, as a set.
func (r ref) shard() uint64 { return 1 << (r.place % shards) }

// A roster is the subjects of all shards by their place. Where there is none, or none any more, is nil.
type roster [shards][]*subject

// find gives a subject, or nil when it is no more.
func (r *roster) find(of ref) *subject { return find(r[of.place%shards], of) }

// find gives a subject, or nil when it is no more. Its shard is locked.
func (c *Counters) find(of ref) *subject { return find(c.shards[of.place%shards].roster, of) }

func find(list []*subject, of ref) *subject {
	if i := int(of.place / shards); i < len(list) && list[i] != nil && list[i].serial == of.serial {
		return list[i]
	}
	return nil
}

// add makes the subject of a key.
func (s *shard) add(key string) *subject {
	s.serial++
	n := &subject{key: strings.Clone(key), ref: ref{s.index, s.serial}}
	if last := len(s.free) - 1; last >= 0 {
		n.place, s.free = s.free[last], s.free[:last]
		s.roster[n.place/shards] = n
	} else {
		n.place += uint32(len(s.roster)) * shards
		s.roster = append(s.roster, n)
	}
	s.subjects[n.key] = n
	return n
}

// remove forgets a subject.
func (s *shard) remove(n *subject) {
	delete(s.subjects, n.key)
	s.roster[n.place/shards] = nil
	s.free = append(s.free, n.place)
}
