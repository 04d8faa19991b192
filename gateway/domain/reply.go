package domain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxChain bounds the aliases that are followed.
const maxChain = 16

// A reply is what an answer says to its question: records, or that there are none.
type reply struct {
	records  []dns.RR
	nxdomain bool // no name, rather than no records of this type
	ttl      time.Duration
}

// Errors of interpret.
var (
	errLame     = errors.New("the server neither recurses nor has authority")
	errReferral = errors.New("a referral instead of an answer")
	errChain    = errors.New("the aliases end nowhere")
)

// interpret reads a message. Its error means that nothing is known.
func interpret(m *dns.Msg, name string, qtype uint16) (reply, error) {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return reply{}, fmt.Errorf("answered %s", rcode(m.Rcode))
	}
	if !m.RecursionAvailable && !m.Authoritative {
		return reply{}, errLame
	}
	end, ttl, err := follow(m, name)
	if err != nil {
		return reply{}, err
	}
	r := reply{ttl: ttl}
	for _, rr := range m.Answer {
		// The library reads a record without data as one with empty data: an MX would seem to be a null MX.
		h := rr.Header()
		if h.Rrtype == qtype && h.Class == dns.ClassINET && h.Rdlength > 0 && strings.EqualFold(h.Name, end) {
			r.records = append(r.records, rr)
			r.ttl = min(r.ttl, seconds(h.Ttl))
		}
	}
	if len(r.records) > 0 {
		return r, nil
	}
	return r.nothing(m, !strings.EqualFold(end, name))
}

// nothing completes a negative reply (RFC 2308 2).
func (r reply) nothing(m *dns.Msg, aliased bool) (reply, error) {
	r.nxdomain = m.Rcode == dns.RcodeNameError // of the last alias, which stands for the name (RFC 5321 5.1)
	soa := find[*dns.SOA](m.Ns)
	switch {
	case soa != nil:
		r.ttl = min(r.ttl, seconds(soa.Hdr.Ttl), seconds(soa.Minttl))
		return r, nil
	case !r.nxdomain && find[*dns.NS](m.Ns) != nil:
		return reply{}, errReferral
	case !r.nxdomain && aliased && !m.RecursionAvailable:
		return reply{}, errChain
	}
	r.ttl = 0 // some resolvers leave the SOA out; the cache has a lower bound
	return r, nil
}

// follow goes along the aliases of a name to the last one, and gives the shortest time to live on
// the way; longer than any when there is none.
func follow(m *dns.Msg, name string) (string, time.Duration, error) {
	ttl := maxTTL
	for range maxChain {
		i := slices.IndexFunc(m.Answer, func(rr dns.RR) bool {
			_, alias := rr.(*dns.CNAME)
			return alias && strings.EqualFold(rr.Header().Name, name)
		})
		if i < 0 {
			return name, ttl, nil
		}
		alias := m.Answer[i].(*dns.CNAME)
		name, ttl = alias.Target, min(ttl, seconds(alias.Hdr.Ttl))
	}
	return "", 0, errChain
}

// hosts gives the mail servers by preference, then by name; none for a null MX (RFC 7505 3).
func (r reply) hosts() (hosts []string) {
	records := slices.Clone(r.records)
	slices.SortStableFunc(records, func(a, b dns.RR) int {
		x, y := a.(*dns.MX), b.(*dns.MX)
		if x.Preference != y.Preference {
			return int(x.Preference) - int(y.Preference)
		}
		return strings.Compare(strings.ToLower(x.Mx), strings.ToLower(y.Mx))
	})
	for _, rr := range records {
		if host := strings.ToLower(strings.TrimSuffix(rr.(*dns.MX).Mx, ".")); host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// maxTTL is longer than a record can be valid (RFC 2181 8).
const maxTTL = (1 << 31) * time.Second

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }

func find[T dns.RR](records []dns.RR) (found T) {
	for _, rr := range records {
		if t, ok := rr.(T); ok {
			return t
		}
	}
	return found
}

func rcode(code int) string {
	if s, ok := dns.RcodeToString[code]; ok {
		return s
	}
	return fmt.Sprintf("RCODE %d", code)
}
