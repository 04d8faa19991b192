package notify

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A drawer keeps values in memory.
type drawer struct {
	values map[string][]byte
	err    error
}

func (d *drawer) Kept(name string) ([]byte, error) { return d.values[name], d.err }

func (d *drawer) Keep(name string, value []byte) error {
	if d.values == nil {
		d.values = map[string][]byte{}
	}
	d.values[name] = bytes.Clone(value)
	return nil
}

func links(t *testing.T, d *drawer, base string) *Links {
	t.Helper()
	l, err := OpenLinks(d, func() string { return base }, func() time.Time { return accepted })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSignedLinks(t *testing.T) {
	d := &drawer{}
	id := policy.ID{1, 2, 3}
	l := links(t, d, "https://mail.corp.example/")
	token, ok := strings.CutPrefix(l.URL(id), "https://mail.corp.example/s/")
	if !ok || strings.ContainsAny(token, "/+=.") {
		t.Fatalf("%s", l.URL(id))
	}
	for name, l := range map[string]*Links{"at once": l, "after a restart": links(t, d, "")} {
		got, ends, ok := l.Verify(token)
		if got != id || !ok || !ends.Equal(accepted.Add(30*24*time.Hour)) {
			t.Errorf("%s: %v, %v, %v", name, got, ends, ok)
		}
	}
	if u := links(t, d, "").URL(id); u != "" {
		t.Errorf("a link to nowhere: %q", u)
	}
	if _, _, ok := links(t, &drawer{}, "").Verify(token); ok {
		t.Error("another gateway's link is valid")
	}
}

func TestForgedLinks(t *testing.T) {
	l := links(t, &drawer{}, "")
	token := l.Sign(policy.ID{1})
	octets, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range octets {
		forged := bytes.Clone(octets)
		forged[i] ^= 1
		if _, _, ok := l.Verify(base64.RawURLEncoding.EncodeToString(forged)); ok {
			t.Errorf("octet %d may be changed", i)
		}
	}
	for _, s := range []string{"", "x", token + "A", token[:len(token)-1], token + "=", strings.Repeat("A", 75), " " + token} {
		if _, _, ok := l.Verify(s); ok {
			t.Errorf("%q is valid", s)
		}
	}
}

func TestAKeyThatCannotBeReadIsSaid(t *testing.T) {
	_, err := OpenLinks(&drawer{err: errors.New("no disk")}, nil, nil)
	if err == nil || err.Error() != "read the key of status links: no disk" {
		t.Errorf("%v", err)
	}
}

func FuzzLink(f *testing.F) {
	l, err := OpenLinks(&drawer{}, func() string { return "" }, func() time.Time { return accepted })
	if err != nil {
		f.Fatal(err)
	}
	genuine := l.Sign(policy.ID{1})
	f.Add("")
	f.Add(strings.ToUpper(genuine))
	f.Fuzz(func(t *testing.T, token string) {
		if _, _, ok := l.Verify(token); ok && token != genuine {
			t.Errorf("%q", token)
		}
	})
}
