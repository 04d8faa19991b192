package similar

import (
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// A damaged snapshot must not keep the program from starting: what it had is read from the journal.
func TestSnapshotsWithEmptyPartsAreRefused(t *testing.T) {
	x := newIndex(t)
	for name, c := range map[string]struct {
		head heading
		item any
	}{
		"campaign": {heading{Campaigns: 1}, nil},
		"member":   {heading{Campaigns: 1}, &campaign{Members: []*member{nil}}},
		"learner":  {heading{Learners: 1}, &schooling{Key: "a"}},
	} {
		c.head.Version, c.head.Seed = imageVersion, x.seedCheck()
		var b bytes.Buffer
		e := cbor.NewEncoder(&b)
		for _, v := range []any{&c.head, c.item} {
			if err := e.Encode(v); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Restore(&b); err == nil || err.Error() != "read similarity snapshot: a part of it is empty" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
