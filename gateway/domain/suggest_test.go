package domain

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestCandidates(t *testing.T) {
	history := []string{"partner-gmbh.de", "zulieferer.com.cn", "abc.cn", "xn--bcher-kva.de"}
	for _, c := range []struct {
		outcome, domain string
		want            []string
	}{
		{"letters swapped", "gmial.com", []string{"gmail.com"}},
		{"a letter left out", "gmal.com", []string{"gmail.com"}},
		{"a letter struck twice", "gmaill.com", []string{"gmail.com"}},
		{"the last label", "gmail.con", []string{"gmail.com"}},
		{"the last letter", "hotmail.co", []string{"hotmail.com", "hotmail.fr", "hotmail.de"}},
		{"two slips in a long name", "hotmial.con", []string{"hotmail.com", "hotmial.com"}},
		{"a Chinese provider", "foxmial.com", []string{"foxmail.com"}},
		{"one slip in a short name", "qq.con", []string{"qq.com"}},
		{"digits", "1163.com", []string{"163.com"}},
		{"a domain that was mailed before", "partner-gmhb.de", []string{"partner-gmbh.de"}},
		{"two slips in a domain that was mailed before", "zulifeerer.com.c", []string{"zulieferer.com.cn"}},
		{"two slips in a short name are another name", "abd.cm", []string{"abd.com"}},
		{"an unknown domain with a mistyped last label", "unheard-of-company.cmo", []string{"unheard-of-company.com"}},
		{"an unknown domain with a label that may be right", "unheard-of-company.co", []string{"unheard-of-company.com"}},
		{"nothing near", "nothing-like-it.org", nil},
		{"punycode has no slips", "xn--bcher-kvb.de", nil},
		{"a very long name", strings.Repeat("a", 63) + ".org", nil},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			var got []string
			for _, f := range candidates(c.domain, slices.Values(history)) {
				got = append(got, f.domain)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.domain, got, c.want)
			}
		})
	}
}

func TestSuggestion(t *testing.T) {
	s := newAuthority(t,
		"gmail.com. 300 IN MX 10 mx.gmail.com.",
		"hotmail.com. 300 IN MX 0 .",
		"partner-company.com. 300 IN A 192.0.2.1",
		"outlok.com. 300 IN MX 0 .",
		"gmale.com. 300 IN TXT parked",
		"yaho.com. 300 IN MX 10 mx.squatter.org.",
	)
	s.set("outlook.com.", fails(dns.RcodeServerFailure))
	b := newBench(t, func(c *Config) { c.Skip = []string{"@headquarters.org"} }, []string{"closed-down.org", "headquarters.org", "gmail.com"}, s)
	for _, c := range []struct {
		outcome, domain, want string
		state                 State
	}{
		{"what exists", "gmial.com", "gmail.com", NoDomain},
		{"not what takes no mail", "hotmial.com", "", NoDomain},
		{"not what exists no more", "closed-donw.org", "", NoDomain},
		{"a well-known name though the DNS fails", "outlok.com", "outlook.com", NullMX},
		{"a repaired name that exists", "partner-company.con", "partner-company.com", NoDomain},
		{"not a repaired name that does not", "unheard-of-company.con", "", NoDomain},
		{"for a domain without mail server", "gmale.com", "gmail.com", NoMail},
		{"a name of ours that is not checked", "headquartesr.org", "headquarters.org", NoDomain},
		{"none for what takes mail", "yaho.com", "", Exists},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if a := b.look(t, c.domain); a.State != c.state || a.Suggestion != c.want {
				t.Errorf("%+v, want %q", a, c.want)
			}
		})
	}
	if s.count("MX gmail.com.") != 1 {
		t.Errorf("asked %d times for one suggestion", s.count("MX gmail.com."))
	}
}

// What is suggested was asked for without its own suggestion: a later lookup must find one.
func TestCandidateThatIsRefusedHasItsOwnSuggestion(t *testing.T) {
	s := newAuthority(t, "gmail.com. 300 IN MX 10 mx.gmail.com.")
	b := newBench(t, nil, []string{"gmaill.com"}, s)
	b.look(t, "gmailll.com")
	if a := b.look(t, "gmaill.com"); a.Suggestion != "gmail.com" {
		t.Errorf("%+v", a)
	}
}

// Suggestions cost half a second at most.
func TestSuggestionDoesNotWait(t *testing.T) {
	s := newAuthority(t)
	s.set("gmail.com.", silent)
	b := newBench(t, nil, nil, s)
	b.verifyFor = verifyFor
	within(t, b.config.Timeout, func() {
		if a := b.look(t, "gmial.com"); a.Suggestion != "gmail.com" || a.State != NoDomain {
			t.Errorf("%+v", a)
		}
	})
	if aside := b.servers[0].aside.Load(); aside != 0 {
		t.Error("the resolver was set aside for our own haste")
	}
}

// reference is the distance by its definition, over whole matrices.
func reference(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 0
			if a[i-1] != b[j-1] {
				cost = 1
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// FuzzDistance compares the bounded distance with its definition, and holds its properties.
func FuzzDistance(f *testing.F) {
	f.Add("gmail.com", "gmial.com", 2)
	f.Add("", "a", 1)
	f.Add("abcdef", "badcfe", 2)
	f.Fuzz(func(t *testing.T, a, b string, limit int) {
		a, b = a[:min(len(a), maxCompared)], b[:min(len(b), maxCompared)]
		limit = min(max(limit, 0), 3)
		got := distance(a, b, limit)
		if want := min(reference(a, b), limit+1); got != want {
			t.Errorf("%q, %q within %d: %d, want %d", a, b, limit, got, want)
		}
		if back := distance(b, a, limit); back != got {
			t.Errorf("%q, %q: %d there and %d back", a, b, got, back)
		}
	})
}

// One random slip in a well-known name leads back to it, or to another name as near.
func TestEverySlipIsForgiven(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	none := slices.Values([]string(nil))
	for range 3000 {
		name := wellKnown[random.IntN(len(wellKnown))]
		typed := slip(random, name)
		if slices.Contains(wellKnown, typed) {
			continue
		}
		if rank, near := nearness(typed, name); !near || rank > 2 {
			t.Errorf("%q is not near %q (%d)", typed, name, rank)
		}
		found := candidates(typed, none)
		if len(found) == 0 || len(found) > maxCandidates || found[0].rank > 2 {
			t.Errorf("%q for %q: %+v", typed, name, found)
		}
		if !slices.IsSortedFunc(found, func(a, b candidate) int { return a.rank - b.rank }) {
			t.Errorf("%q: not in order: %+v", typed, found)
		}
	}
}

// slip makes one mistake in a name.
func slip(random *rand.Rand, name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-."
	b := []byte(name)
	i := random.IntN(len(b) - 1)
	letter := letters[random.IntN(len(letters))]
	switch random.IntN(4) {
	case 0:
		b[i], b[i+1] = b[i+1], b[i]
	case 1:
		b = slices.Delete(b, i, i+1)
	case 2:
		b = slices.Insert(b, i, letter)
	default:
		b[i] = letter
	}
	return string(b)
}

func TestRanks(t *testing.T) {
	for _, c := range []struct {
		outcome, typed, name string
		rank                 int
	}{
		{"swapped", "gmial.com", "gmail.com", 1},
		{"struck twice", "gmaail.com", "gmail.com", 1},
		{"struck once too few", "yaho.com", "yahoo.com", 1},
		{"the key beside", "gmsil.com", "gmail.com", 1},
		{"the key below", "aliy7n.com", "aliyun.com", 1},
		{"any other letter", "gmpil.com", "gmail.com", 2},
		{"a letter more", "gmaxil.com", "gmail.com", 2},
		{"two slips", "gmsil.con", "gmail.com", 4},
	} {
		if rank, near := nearness(c.typed, c.name); !near || rank != c.rank {
			t.Errorf("%s: %v %d", c.outcome, near, rank)
		}
	}
}

// The history is read up to its bound only.
func TestHistoryIsBounded(t *testing.T) {
	n := 0
	candidates("dead.org", func(yield func(string) bool) {
		for {
			n++
			if !yield("some-domain.org") {
				return
			}
		}
	})
	if n != maxHistory+1 {
		t.Errorf("read %d", n)
	}
}

func BenchmarkCandidates(b *testing.B) {
	history := make([]string, maxHistory)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range history {
		history[i] = slip(random, slip(random, wellKnown[i%len(wellKnown)]))
	}
	for b.Loop() {
		candidates("partner-company.con", slices.Values(history))
	}
}
