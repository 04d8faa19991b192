package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestAQueryIsNarrowedToSomebody(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	send := func(identity, sender string) policy.ID {
		id := s.NewID()
		e := &policy.Envelope{Received: at, Identity: identity, Sender: policy.Address(sender), Recipients: []policy.Recipient{{Address: "b@example.org"}}}
		if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted}}}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	long := strings.Repeat("l", maxTerm)
	ann, news := send("Ann", "ann@corp.example"), send("ann", "news@Other.example")
	bob, one, two := send("bob", "ann@corp.example"), send(long+"1", "l@corp.example"), send(long+"2", "")
	from, err := ParseQuery("from:ann@corp.example", at)
	if err != nil {
		t.Fatal(err)
	}
	for outcome, c := range map[string]struct {
		query Query
		want  []policy.ID
	}{
		"all that is counted for one, in either case":    {Query{}.OfIdentity("ann"), []policy.ID{news, ann}},
		"one address of two people":                      {from.OfIdentity("bob"), []policy.ID{bob}},
		"the query before is as it was":                  {from, []policy.ID{bob, ann}},
		"nothing is nobody's":                            {Query{}.OfIdentity(""), nil},
		"a name longer than a term is compared as whole": {Query{}.OfIdentity(long + "1"), []policy.ID{one}},
		"a domain":                {Query{}.OfDomains([]string{"OTHER.example"}), []policy.ID{news}},
		"two domains":             {Query{}.OfDomains([]string{"other.example", "corp.example"}), []policy.ID{one, bob, news, ann}},
		"no domain":               {Query{}.OfDomains(nil), nil},
		"a domain that has none":  {Query{}.OfDomains([]string{"example"}), nil},
		"somebody in one domain":  {Query{}.OfIdentity("ann").OfDomains([]string{"corp.example"}), []policy.ID{ann}},
		"who has the null sender": {Query{}.OfIdentity(long + "2"), []policy.ID{two}},
	} {
		page, err := s.Search(t.Context(), c.query, 10, "")
		if err != nil {
			t.Fatal(err)
		}
		var got []policy.ID
		for _, m := range page.Messages {
			got = append(got, m.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", outcome, got, c.want)
		}
	}
}
