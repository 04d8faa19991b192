package anomaly

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// Bounds of what is remembered of an account's surroundings.
const (
	maxNetworks = 16
	maxAgents   = 4
)

// A sighting is a network or a mail program that an account used.
type sighting struct {
	_           struct{} `cbor:",toarray"`
	Key         uint32   // hash
	Country     uint16   // of a network, two letters; 0 is not known
	Days        uint8    // days on which mail was accepted from it, at most 2
	First, Last uint32   // minutes since 1970
	Day         uint32   // the latest of Days, since 1970
}

const minutesOfDay = 24 * 60

// familiar reports whether it was used on two days, the second at least a day after the first sight.
func (s *sighting) familiar() bool { return s.Days >= 2 }

// sightings are those of one account.
type sightings []sighting

func (list sightings) find(key uint32) *sighting {
	for i := range list {
		if list[i].Key == key {
			return &list[i]
		}
	}
	return nil
}

// see notes a sighting. used is true when mail was accepted that nobody has to look at.
func (list *sightings) see(key uint32, country uint16, minute uint32, used bool, most int) {
	s := list.find(key)
	if s == nil {
		s = list.room(most)
		*s = sighting{Key: key, Country: country, First: minute}
	}
	s.Last = max(s.Last, minute)
	day := minute / minutesOfDay
	switch {
	case !used || s.familiar():
	case s.Days == 0:
		s.Days, s.Day = 1, day
	case day != s.Day && minute >= s.First+minutesOfDay:
		s.Days, s.Day = 2, day
	}
}

// room makes place for one more: the unfamiliar go first, then those seen longest ago.
func (list *sightings) room(most int) *sighting {
	if len(*list) < most {
		*list = append(slices.Grow(*list, 1), sighting{})
		return &(*list)[len(*list)-1]
	}
	oldest := &(*list)[0]
	for i := range *list {
		s := &(*list)[i]
		if s.familiar() != oldest.familiar() {
			if oldest.familiar() {
				oldest = s
			}
		} else if s.Last < oldest.Last {
			oldest = s
		}
	}
	return oldest
}

// recent counts the sightings and their countries from a minute on, and one more that is not noted yet.
func (list sightings) recent(from, key uint32, country uint16) (n, countries int) {
	var room [maxNetworks + 1]uint16
	seen := room[:0]
	visit := func(c uint16) {
		n++
		if c != 0 && !slices.Contains(seen, c) {
			seen = append(seen, c)
		}
	}
	if s := list.find(key); key != 0 && (s == nil || s.Last < from) {
		visit(country)
	}
	for i := range list {
		if list[i].Last >= from {
			visit(list[i].Country)
		}
	}
	return n, len(seen)
}

// knows reports whether a country is that of a familiar network.
func (list sightings) knows(country uint16) bool {
	return slices.ContainsFunc(list, func(s sighting) bool { return s.familiar() && s.Country == country })
}

func (list sightings) anyFamiliar() bool {
	return slices.ContainsFunc(list, func(s sighting) bool { return s.familiar() })
}

// Prefix is the network of an address as far as anybody can tell without asking: /24 of IPv4, /48 of IPv6.
func Prefix(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); !a.IsValid() {
		return ""
	}
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // never too long
	return p.String()
}

// key hashes a name; 0 only for none.
func key(name string) uint32 {
	if name == "" {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return max(h.Sum32(), 1)
}

// agentKey hashes a program without its version.
func agentKey(agent string) uint32 {
	return key(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, agent))
}

// countryKey packs a code of two letters (ISO 3166-1 alpha-2).
func countryKey(code string) uint16 {
	if len(code) != 2 {
		return 0
	}
	code = strings.ToUpper(code)
	return uint16(code[0])<<8 | uint16(code[1])
}
