package domain

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"
)

// wellKnown are the domains of mail providers, by their size as mistyped names go.
var wellKnown = []string{
	"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "qq.com", "163.com", "126.com",
	"sina.com", "foxmail.com", "aliyun.com", "139.com", "189.cn", "sohu.com", "yeah.net", "sina.cn",
	"live.com", "msn.com", "me.com", "mac.com", "aol.com", "googlemail.com", "protonmail.com", "proton.me",
	"gmx.com", "gmx.de", "gmx.net", "web.de", "t-online.de", "freenet.de", "mail.com", "mail.ru", "yandex.ru",
	"yandex.com", "naver.com", "daum.net", "hanmail.net", "yahoo.co.jp", "docomo.ne.jp", "ezweb.ne.jp",
	"softbank.ne.jp", "yahoo.co.uk", "hotmail.co.uk", "outlook.fr", "hotmail.fr", "yahoo.fr", "orange.fr",
	"free.fr", "wanadoo.fr", "laposte.net", "libero.it", "comcast.net", "verizon.net", "btinternet.com",
	"vip.qq.com", "vip.163.com", "tom.com", "21cn.com", "wo.cn", "yahoo.com.cn", "yahoo.com.hk", "yahoo.com.tw",
	"hotmail.de", "outlook.de", "yahoo.de", "hotmail.it", "hotmail.es", "zoho.com", "fastmail.com", "rediffmail.com",
}

// slips are last labels as fingers write them. Some exist (.co, .cm, .om, .ne): only a domain that
// does not, or takes no mail, is ever looked up here.
var slips = map[string]string{
	"con": "com", "cmo": "com", "ocm": "com", "comm": "com", "coom": "com", "ccom": "com", "cm": "com", "co": "com",
	"om": "com", "vom": "com", "xom": "com", "dom": "com", "cim": "com", "cpm": "com", "clm": "com", "c0m": "com",
	"cok": "com", "coj": "com", "copm": "com", "coim": "com", "comn": "com",
	"nte": "net", "ent": "net", "ney": "net", "nrt": "net", "bet": "net", "met": "net", "ne": "net",
	"ogr": "org", "rog": "org", "prg": "org", "orgg": "org", "or": "org",
	"nc": "cn", "xn": "cn", "cnn": "cn", "vn": "cn", "ch": "cn",
}

// Bounds of what is compared and asked for.
const (
	maxCompared   = 64     // octets of a name
	maxHistory    = 20_000 // domains
	maxCandidates = 3
	verifyFor     = 500 * time.Millisecond // as New sets it
	longName      = 9                      // from here on two slips are forgiven
)

// A candidate is a domain that may have been meant.
type candidate struct {
	domain string
	known  bool // to have taken mail
	rank   int  // the smaller the nearer
}

// candidates gives the domains nearest to one that does not exist, the best first.
func candidates(domain string, history iter.Seq[string]) (found []candidate) {
	add := func(name string) {
		if rank, near := nearness(domain, name); near {
			found = append(found, candidate{domain: name, known: true, rank: rank})
		}
	}
	for _, name := range wellKnown {
		add(name)
	}
	n := 0
	for name := range history {
		if n++; n > maxHistory {
			break
		}
		add(name)
	}
	if name, ok := repaired(domain); ok {
		found = append(found, candidate{domain: name, rank: 5}) // after all that are known
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	seen := map[string]bool{}
	found = slices.DeleteFunc(found, func(c candidate) bool {
		again := seen[c.domain]
		seen[c.domain] = true
		return again
	})
	return found[:min(len(found), maxCandidates)]
}

// repaired replaces a mistyped last label.
func repaired(domain string) (string, bool) {
	dot := strings.LastIndexByte(domain, '.')
	if last, ok := slips[domain[dot+1:]]; ok && dot > 0 {
		return domain[:dot+1] + last, true
	}
	return "", false
}

// nearness reports whether a typed name is one slip from another, or two when both are long. The
// rank counts slips twice, those of neighbouring keys less. Names that are punycode have no slips
// that could be counted.
func nearness(typed, name string) (rank int, near bool) {
	allowed := 1
	if len(typed) >= longName && len(name) >= longName {
		allowed = 2
	}
	if d := len(typed) - len(name); d > allowed || -d > allowed || typed == name ||
		strings.Contains(typed, "xn--") || strings.Contains(name, "xn--") {
		return 0, false
	}
	d := distance(typed, name, allowed)
	if d > allowed {
		return 0, false
	}
	if d == 1 && likely(typed, name) {
		return 1, true
	}
	return 2 * d, true
}

// distance is the number of octets to insert, delete, replace or swap with their neighbour that makes
// b of a (optimal string alignment); limit+1 stands for everything above limit, and for names of
// more than 64 octets.
func distance(a, b string, limit int) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return limit + 1
	}
	var rows [3][maxCompared + 1]int
	two, one, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		best := row[0]
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
			best = min(best, row[j])
		}
		// A swap reaches two rows back, but never below the best of the row between.
		if best > limit {
			return limit + 1
		}
		two, one, row = one, row, two
	}
	return min(one[len(b)], limit+1)
}

// keyboard has the letters that lie side by side on a QWERTY keyboard.
var keyboard = []string{
	"1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm",
	"1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik", "9ol",
}

// likely reports whether a single slip is one that fingers make: two letters swapped, one struck
// twice or once too few, the key beside.
func likely(typed, name string) bool {
	i := 0
	for i < len(typed) && i < len(name) && typed[i] == name[i] {
		i++
	}
	if len(typed) != len(name) {
		long := typed
		if len(name) > len(typed) {
			long = name
		}
		return i > 0 && long[i-1] == long[i]
	}
	if typed[i+1:] != name[i+1:] {
		return true // swapped
	}
	return slices.ContainsFunc(keyboard, func(row string) bool {
		x, y := strings.IndexByte(row, typed[i]), strings.IndexByte(row, name[i])
		return x >= 0 && y >= 0 && (x-y == 1 || y-x == 1)
	})
}

// suggest gives the nearest domain that takes mail; one that is known to have done so also when that
// cannot be asked now.
func (r *Resolver) suggest(ctx context.Context, domain string) string {
	ctx, cancel := context.WithTimeout(ctx, r.verifyFor)
	defer cancel()
	for _, c := range candidates(domain, r.history()) {
		switch r.verify(ctx, c.domain) {
		case Exists:
			return c.domain
		case Unknown, NotChecked:
			if c.known {
				return c.domain
			}
		}
	}
	return ""
}

// verify finds out about a candidate without a flight of its own: flights that wait for flights could
// wait for each other.
func (r *Resolver) verify(ctx context.Context, domain string) State {
	if r.skip.notAsked(domain) != "" {
		return NotChecked
	}
	r.mu.Lock()
	e := r.cache.get(domain)
	known := e != nil && r.now().Before(e.fresh)
	r.mu.Unlock()
	if known {
		return e.answer.State
	}
	found := r.ask(ctx, domain)
	if found.state != Exists { // what is refused is stored with its own suggestion only
		return found.state
	}
	return r.settle(found.answer(domain), found.kept()).State
}
