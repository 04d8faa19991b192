package postfix

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestParseLayout(t *testing.T) {
	text := "command_directory = /usr/sbin\nqueue_directory = /var/spool/postfix\nhash_queue_names = deferred, defer\nhash_queue_depth = 1\n"
	l, err := parseLayout(text)
	if err != nil || l.commands != "/usr/sbin" || l.queue != "/var/spool/postfix" || l.depth != 1 ||
		!slices.Equal(l.hashed, []string{"deferred", "defer"}) {
		t.Errorf("%+v, %v", l, err)
	}
	for change, want := range map[string]string{
		"/usr/sbin\n":            `directory "" of Postfix is not an absolute path`,
		"/var/spool/postfix":     `directory "" of Postfix is not an absolute path`,
		"hash_queue_depth = 1":   `hash_queue_depth "" of Postfix is not a number`,
		"hash_queue_depth = 1\n": `hash_queue_depth "" of Postfix is not a number`,
	} {
		if _, err := parseLayout(strings.Replace(text, change, "\n", 1)); err == nil || err.Error() != want {
			t.Errorf("without %q: %v, want %s", change, err, want)
		}
	}
}

func TestDealtWith(t *testing.T) {
	said := "postsuper: 4jX1HT6PPwz1SGbB: removed\npostsuper: ABCDEF: released from hold\npostsuper: warning: invalid mail queue id: a/b\n" +
		"postsuper: Deleted: 1 message\npostsuper: E6D7E984EB1: removed\npostsuper: evil: removed\n: : \n"
	got := slices.Sorted(maps.Keys(dealtWith(said, "-d")))
	if want := []string{"4jX1HT6PPwz1SGbB", "E6D7E984EB1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func FuzzDealtWith(f *testing.F) {
	f.Add("postsuper: ABCDEF: removed\n")
	f.Fuzz(func(t *testing.T, said string) {
		for id := range dealtWith(said, "-d") {
			if !ValidID(id) {
				t.Errorf("%q", id)
			}
		}
	})
}

func TestProgramsRunInACleanEnvironment(t *testing.T) {
	t.Setenv("MAIL_DEBUG", "secret")
	var out strings.Builder
	p := programs{config: "/c"}
	script := `pwd; env | sort | grep -v -e ^_ -e PWD -e SHLVL; echo "$@"`
	said, err := p.run(t.Context(), nil, &out, fakeProgram(t, script), "-x")
	want := "/\nLC_ALL=C\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nTZ=UTC\n-c /c -x\n"
	if err != nil || out.String() != want {
		t.Errorf("%q, %v, %s", out.String(), err, said)
	}
}

func TestWhatProgramsSayIsBounded(t *testing.T) {
	p := programs{}
	said, err := p.run(t.Context(), nil, nil, fakeProgram(t, fmt.Sprintf("head -c %d /dev/zero >&2", maxSaid+1000)))
	if err != nil || len(said) != maxSaid {
		t.Errorf("%d octets, %v", len(said), err)
	}
}
