package limit

import (
	"bytes"
	"testing"
	"time"
)

// TestWhatIsGivenBackToNobody releases a message whose subject is no more: another one at its place keeps all of its
// own, and a snapshot leaves out what nobody can have back.
func TestWhatIsGivenBackToNobody(t *testing.T) {
	c := New(DefaultConfig())
	if !c.Take(noon, id(1), Fingerprint{}, []Demand{{Rule: "day", Key: "anna", Window: 24 * time.Hour, Limit: 10, Amount: 3, Hard: true}}).Fits {
		t.Fatal("does not fit")
	}
	c.Commit(id(1))
	sh := c.shard(c.bit("anna"))
	anna := sh.subjects["anna"]
	sh.remove(anna)
	ben := sh.add("ben")
	ben.window(c.rules.id("day"), subWidth(24*time.Hour)).add(noon.UnixMilli(), 5)
	if ben.place != anna.place || c.find(anna.ref) != nil || c.find(ben.ref) != ben {
		t.Errorf("%+v, %+v: found %v, %v", anna.ref, ben.ref, c.find(anna.ref), c.find(ben.ref))
	}
	if next := sh.add("carol"); next.place == ben.place || next.shard() != ben.shard() || c.find(next.ref) != next {
		t.Errorf("%+v after %+v", next.ref, ben.ref)
	}
	var saved bytes.Buffer
	if err := c.Snapshot(&saved, 1); err != nil {
		t.Fatal(err)
	}
	if !c.Release(noon, id(1)) || ben.find(c.rules.id("day")).used(noon.UnixMilli()) != 5 {
		t.Errorf("ben has %+v", ben.windows)
	}
	restored, _, err := Restore(&saved, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if h := restored.message(id(1)); h == nil || len(h.items) != 0 {
		t.Errorf("restored: %+v", h)
	}
}
