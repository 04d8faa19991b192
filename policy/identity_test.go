package policy

import (
	"slices"
	"testing"
)

func directory(t *testing.T, identities ...Identity) *Directory {
	t.Helper()
	d, err := NewDirectory(identities)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func people(t *testing.T) *Directory {
	return directory(t,
		Identity{
			Login: "Ann", Addresses: []string{"ann@corp.example", "Sales@Corp.Example", "<ann@bücher.example>"},
			Groups: []string{"sales", "staff"}, Roles: []string{"admin", "operator", "auditor", "user"},
		},
		Identity{Login: "bob@corp.example"},
		Identity{Login: "Wang@bücher.example", Groups: []string{"staff"}},
	)
}

func TestCanonical(t *testing.T) {
	d := people(t)
	for _, c := range []struct {
		outcome, login string
		sender         Address
		client, want   string
	}{
		{"the login of an identity", "ann", "x@y.example", "192.0.2.1", "ann"},
		{"in any case", "ANN", "", "", "ann"},
		{"an address as login is merged", "sales@corp.example", "", "", "ann"},
		{"the sender's address is merged", "", "SALES@corp.example", "192.0.2.1", "ann"},
		{"an address under an IDN is merged", "", "ann@xn--bcher-kva.example", "", "ann"},
		{"an IDN as login is merged", "ann@BÜCHER.example", "", "", "ann"},
		{"a login under an IDN is found by its sender", "", "wang@xn--bcher-kva.example", "", "wang@bücher.example"},
		{"a login that is an address", "", "Bob@corp.example", "", "bob@corp.example"},
		{"an unknown login stays, in lower case", "Eve", "ann@corp.example", "192.0.2.1", "eve"},
		{"an unknown login under an IDN has the key of its address", "Eve@BÜCHER.example", "", "", "eve@xn--bcher-kva.example"},
		{"an unknown sender stays", "", "Eve@X.Example", "192.0.2.1", "eve@x.example"},
		{"the client where there is no name", "", "", "192.0.2.1", "192.0.2.1"},
		{"nothing is known", "", "", "", "unknown"},
		{"a login of no use is not empty", "@.", "", "", "@"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := d.Canonical(c.login, c.sender, c.client); got != c.want {
				t.Errorf("Canonical(%q, %q, %q) = %q", c.login, c.sender, c.client, got)
			}
		})
	}
}

func TestCanonicalIsStableAndNeverEmpty(t *testing.T) {
	d := people(t)
	logins := []string{"", "ann", "ANN", "eve", "@", "@.", "eve@", "eve@BÜCHER.example", "wang@bücher.example", " "}
	for _, login := range logins {
		for _, sender := range []Address{"", "ann@corp.example", "postmaster", "x@y.example"} {
			for _, client := range []string{"", "192.0.2.1"} {
				got := d.Canonical(login, sender, client)
				if got == "" || d.Canonical(got, "", "") != got {
					t.Errorf("Canonical(%q, %q, %q) = %q, of that %q", login, sender, client, got, d.Canonical(got, "", ""))
				}
			}
		}
	}
}

func TestFindAndGroups(t *testing.T) {
	d := people(t)
	for _, name := range []string{"ann", "Ann", "sales@corp.example", "ann@bücher.example", "ANN@xn--bcher-kva.example"} {
		if id := d.Find(name); id == nil || id.Login != "Ann" {
			t.Errorf("Find(%q) = %+v", name, id)
		}
		if got := d.Groups(name); !slices.Equal(got, []string{"sales", "staff"}) {
			t.Errorf("Groups(%q) = %q", name, got)
		}
	}
	for _, name := range []string{"", "eve", "ann@", "corp.example"} {
		if id := d.Find(name); id != nil || d.Groups(name) != nil {
			t.Errorf("Find(%q) = %+v", name, id)
		}
	}
}

func TestOwns(t *testing.T) {
	d := people(t)
	for _, c := range []struct {
		outcome, identity string
		address           Address
		want              bool
	}{
		{"a listed address", "ann", "ann@corp.example", true},
		{"in any case", "ANN", "Ann@CORP.example", true},
		{"under an IDN", "ann", "ann@xn--bcher-kva.example", true},
		{"by one of the addresses", "sales@corp.example", "ann@corp.example", true},
		{"the login itself", "bob@corp.example", "BOB@corp.example", true},
		{"the login itself under an IDN", "wang@bücher.example", "wang@xn--bcher-kva.example", true},
		{"an identity that nobody configured owns its own address", "eve@x.example", "Eve@x.example", true},
		{"that address under an IDN", "eve@BÜCHER.example", "eve@bücher.example", true},
		{"not another's address", "bob@corp.example", "ann@corp.example", false},
		{"not another's login", "ann", "bob@corp.example", false},
		{"not an address of nobody", "ann", "eve@x.example", false},
		{"not what only begins alike", "ann", "ann@evil.example", false},
		{"nobody owns the null sender", "ann", "", false},
		{"nobody owns nothing", "", "", false},
		{"the empty identity owns nothing", "", "ann@corp.example", false},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if got := d.Owns(c.identity, c.address); got != c.want {
				t.Errorf("Owns(%q, %q) = %v", c.identity, c.address, got)
			}
		})
	}
}

func TestNewDirectoryRefuses(t *testing.T) {
	for _, c := range []struct {
		outcome    string
		identities []Identity
		want       string
	}{
		{"no login", []Identity{{Login: "a"}, {Login: " \t"}}, "[1].login: an identity needs a login"},
		{"a login twice", []Identity{{Login: "Ann"}, {Login: "ann"}}, `[1].login: ann: already belongs to the identity "Ann"`},
		{"an address twice", []Identity{{Login: "a", Addresses: []string{"x@y.example"}}, {Login: "b", Addresses: []string{"z@y.example", "X@Y.example"}}},
			`[1].addresses[1]: x@y.example: already belongs to the identity "a"`},
		{"an address that is another's login", []Identity{{Login: "x@bücher.example"}, {Login: "b", Addresses: []string{"x@xn--bcher-kva.example"}}},
			`[1].addresses[0]: x@xn--bcher-kva.example: already belongs to the identity "x@bücher.example"`},
		{"a login that is another's address", []Identity{{Login: "a", Addresses: []string{"x@y.example"}}, {Login: "x@y.example"}},
			`[1].login: x@y.example: already belongs to the identity "a"`},
		{"an address without a domain", []Identity{{Login: "a", Addresses: []string{"ann"}}},
			"[0].addresses[0]: ann: the address has no domain: write it as name@example.com"},
		{"an unknown role", []Identity{{Login: "a", Roles: []string{"user", "root"}}},
			"[0].roles[1]: root: not a role: use admin, operator, auditor, user"},
		{"everything at once", []Identity{{}, {Login: "b", Addresses: []string{"<>"}, Roles: []string{""}}},
			"[0].login: an identity needs a login\n[1].addresses[0]: <>: the address is empty\n[1].roles[0]: : not a role: use admin, operator, auditor, user"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			if _, err := NewDirectory(c.identities); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAnIdentityMayRepeatItself(t *testing.T) {
	d := directory(t, Identity{Login: "ann@corp.example", Addresses: []string{"ann@corp.example", "Ann@Corp.example"}})
	if !d.Owns("ann@corp.example", "ann@corp.example") {
		t.Error("it does not own its address")
	}
	if d := directory(t); d.Find("ann") != nil || d.Canonical("", "", "") != "unknown" {
		t.Error("an empty directory knows somebody")
	}
}
