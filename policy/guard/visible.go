package guard

import (
	"net/mail"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// visibleIn counts the external addresses that every recipient can read.
func (f *facts) visibleIn(all *settings, s *policy.Submission) int64 {
	if f.visible >= 0 {
		return f.visible
	}
	f.visible = 0
	if s.Header == nil {
		return 0
	}
	e, next, seen := s.Envelope, 0, map[string]bool{}
	for _, name := range []string{"To", "Cc"} {
		for _, value := range s.Header(name) {
			for _, a := range addresses(value, e.Recipients[next:]...) {
				var key string
				var internal bool
				if next < len(e.Recipients) && a == e.Recipients[next].Address {
					key, internal = f.keysOf(e)[next], f.isInternal(all, e, next)
					next++
				} else {
					key, internal = a.Key(), all.isInternal(a)
				}
				if !internal && !seen[key] {
					seen[key] = true
					f.visible++
				}
			}
		}
	}
	return f.visible
}

// addresses reads an address field; of one that is broken, what looks like addresses. Mail programs mostly send to
// the same addresses in the same order: what is likely need not be read again.
func addresses(value string, likely ...policy.Recipient) (list []policy.Address) {
	if list, ok := plainAddresses(value, likely...); ok {
		return list
	}
	if parsed, err := mail.ParseAddressList(value); err == nil {
		for _, a := range parsed {
			if address, err := policy.ParseAddress(a.Address); err == nil {
				list = append(list, address)
			}
		}
		return list
	}
	words := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t\r\n,;<>\"()", r) })
	for _, w := range words {
		if address, err := policy.ParseAddress(w); err == nil && address.Domain() != "" {
			list = append(list, address)
		}
	}
	return list
}

// plainAddresses reads what most address fields are: names without quotes, and addresses that need none.
// It is false for all others.
func plainAddresses(value string, likely ...policy.Recipient) (list []policy.Address, ok bool) {
	if strings.ContainsAny(value, "\"()\\:;[]") {
		return nil, false
	}
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		if at := strings.IndexByte(part, '<'); at >= 0 {
			part, ok = strings.CutSuffix(part[at+1:], ">")
			if !ok {
				return nil, false
			}
		}
		if strings.ContainsAny(part, "<> \t\r\n") || strings.Count(part, "@") != 1 {
			return nil, false
		}
		if len(likely) > 0 && part == string(likely[0].Address) {
			list, likely = append(list, likely[0].Address), likely[1:]
			continue
		}
		address, err := policy.ParseAddress(part)
		if err != nil {
			return nil, false
		}
		list = append(list, address)
	}
	return list, true
}
