package guard

import (
	"net/mail"
	"slices"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

// TestAddresses holds what is read of To and Cc, and which fields go the short way.
func TestAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		want  []policy.Address
		plain bool
	}{
		"bare":               {"a@b.example", []policy.Address{"a@b.example"}, true},
		"named":              {"Ann Lee <a@b.example>", []policy.Address{"a@b.example"}, true},
		"several":            {"Ann <a@b.example>, c@d.example,\r\n\t李 <e@f.example>", []policy.Address{"a@b.example", "c@d.example", "e@f.example"}, true},
		"encoded name":       {"=?utf-8?B?5p2O?= <a@b.example>", []policy.Address{"a@b.example"}, true},
		"quoted name":        {`"Lee, Ann" <a@b.example>`, []policy.Address{"a@b.example"}, false},
		"comma in the name":  {"Lee, Ann <a@b.example>", []policy.Address{"a@b.example"}, false},
		"group":              {"friends: a@b.example, c@d.example;", []policy.Address{"a@b.example", "c@d.example"}, false},
		"undisclosed":        {"undisclosed-recipients:;", nil, false},
		"comment":            {"a@b.example (Ann)", []policy.Address{"a@b.example"}, false},
		"quoted local part":  {`"a b"@c.example`, []policy.Address{`"a b"@c.example`}, false},
		"unclosed":           {"Ann <a@b.example", []policy.Address{"a@b.example"}, false},
		"two in one":         {"a@b.example c@d.example", []policy.Address{"a@b.example", "c@d.example"}, false},
		"address as a name":  {"x@y.example <a@b.example>", []policy.Address{"a@b.example"}, true},
		"nothing":            {"", nil, false},
		"an address literal": {"a@[192.0.2.1]", []policy.Address{"a@[192.0.2.1]"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if list, plain := plainAddresses(c.value); plain != c.plain {
				t.Errorf("plain: %v, %q", plain, list)
			}
			var all []policy.Recipient
			for _, a := range c.want {
				all = append(all, policy.Recipient{Address: a})
			}
			other := policy.Recipient{Address: "z@z.example"}
			for likely, list := range map[string][]policy.Recipient{
				"none": nil, "the same": all, "more": append(all, other), "another first": append([]policy.Recipient{other}, all...),
			} {
				if got := addresses(c.value, list...); !slices.Equal(got, c.want) {
					t.Errorf("%s likely: got %q", likely, got)
				}
			}
		})
	}
}

// FuzzPlainAddresses compares the short way with net/mail, wherever that reads the field.
func FuzzPlainAddresses(f *testing.F) {
	for _, s := range []string{"a@b.example", "Ann <a@b.example>, c@d.example", "x@y <a@b>", "a@b.example, ", "Ann <>", "=?utf-8?Q?a=2C?= <a@b>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, ok := plainAddresses(s)
		parsed, err := mail.ParseAddressList(s)
		if !ok || err != nil {
			return
		}
		if len(list) != len(parsed) {
			t.Fatalf("%q: %q, net/mail reads %v", s, list, parsed)
		}
		for i, a := range parsed {
			if want, err := policy.ParseAddress(a.Address); err == nil && want.Key() != list[i].Key() {
				t.Errorf("%q: %q, net/mail reads %q", s, list[i], want)
			}
		}
	})
}
