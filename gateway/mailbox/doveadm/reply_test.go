package doveadm

import (
	"strings"
	"testing"
)

func TestUndisturbed(t *testing.T) {
	state := func(n text) *row { return &row{Highest: n} }
	changed := func(n ...text) result {
		var r result
		for _, m := range n {
			r.rows = append(r.rows, row{ModSeq: m})
		}
		return r
	}
	for name, c := range map[string]struct {
		before, after *row
		changed       result
		want          bool
	}{
		"the removal alone":                {state("5"), state("6"), changed(), true},
		"another message arrived":          {state("5"), state("7"), changed("6"), true},
		"something else happened":          {state("5"), state("7"), changed(), false},
		"another message arrived long ago": {state("5"), state("7"), changed("5"), false},
		"two others changed at once":       {state("5"), state("7"), changed("6", "6"), true},
		"the removal is not counted":       {state("5"), state("6"), changed("6"), false},
		"a server that does not count":     {state("1"), state("1"), changed(), true},
		"the state before is not known":    {nil, state("6"), changed(), false},
		"the state after is not known":     {state("5"), nil, changed(), false},
		"what else changed is not known":   {state("5"), state("6"), result{kind: "exitCode", code: 75}, false},
		"the count went down":              {state("6"), state("5"), changed(), false},
	} {
		if got := undisturbed(c.before, c.after, c.changed); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzReply holds that a reply is read to an error or to as many results as there were commands.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		`[["doveadmResponse",[{"mailbox":"INBOX","uid":"1","flags":"\\Seen \\Recent"}],"0"],["error",{"type":"exitCode", "exitCode":68},"1"]]`,
		`[["doveadmResponse",[{"uid":7,"date.received.unixtime":-1}],"0"],["doveadmResponse",[],"1"]]`,
		`[["doveadmResponse",[null,{}],"0"]`, `[[[[[`, `{}`, ``,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		results, err := parse(strings.NewReader(reply), 2)
		if (err == nil) != (len(results) == 2) {
			t.Fatalf("%d results, error %v", len(results), err)
		}
		for _, r := range results {
			_ = r.String()
			if len(r.rows) > maxRows {
				t.Fatalf("%d rows", len(r.rows))
			}
			for _, m := range r.rows {
				if c, err := m.copy(); err == nil && (c.UID == 0 || len(c.FolderID) != 32 || c.Folder == "" || c.Size < 0) {
					t.Fatalf("believed %+v", c)
				}
			}
		}
	})
}
