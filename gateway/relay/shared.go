package relay

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// validate wants networks that are trusted, since all others authenticate, and a field with values.
func (n *Shared) validate(trusted []netip.Prefix) error {
	var faults policy.Faults
	if len(n.Networks) == 0 {
		faults.Add("networks", nil, "name the networks that are shared with others")
	}
	for _, p := range n.Networks {
		if !slices.ContainsFunc(trusted, func(t netip.Prefix) bool { return t.Bits() <= p.Bits() && t.Contains(p.Addr()) }) {
			faults.Add("networks", p, "is not in relay.networks: its clients authenticate, and nothing is shared")
		}
	}
	if n.Field == "" || strings.ContainsFunc(n.Field, notInName) || strings.Contains(n.Field, ":") {
		faults.Add("field", n.Field, "name the field that tells whose mail it is, such as X-MS-Exchange-CrossTenant-Id")
	}
	if len(n.Values) == 0 || slices.Contains(n.Values, "") {
		faults.Add("values", nil, "write what the field says in your own mail, such as the id of your tenant")
	}
	return faults.Err()
}

// stranger refuses mail that somebody else sends from a network that is trusted because of us. A field that
// stands there twice proves nothing: one of them was written by the sender.
func (s *session) stranger(h *header) error {
	if !s.trusted || s.login != "" {
		return nil
	}
	for _, n := range s.settings.Config.Shared {
		if !slices.ContainsFunc(n.Networks, func(p netip.Prefix) bool { return p.Contains(s.peer.client) }) {
			continue
		}
		value := strings.TrimSpace(h.Written(n.Field))
		if h.Count(n.Field) != 1 || !slices.ContainsFunc(n.Values, func(v string) bool { return strings.EqualFold(v, value) }) {
			return errStranger
		}
	}
	return nil
}
