package limit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"
)

// strangers tells whom an identity has neither written to nor heard from.
func strangers(c *Correspondents, identity string, addresses ...string) (list []bool) {
	for _, r := range c.Relations(identity, addresses) {
		list = append(list, !r.Sent && !r.Heard)
	}
	return list
}

func TestFirstTime(t *testing.T) {
	c := NewCorrespondents(DefaultCorrespondentsConfig())
	c.Learn("anna", "x@else.example", noon)
	c.Heard("anna", "y@else.example", noon)
	c.Learn("anna", "z@else.example", noon)
	c.Heard("anna", "z@else.example", noon.Add(-time.Hour))
	c.Learn("ben", "n@else.example", noon)
	all := []string{"x@else.example", "y@else.example", "z@else.example", "n@else.example"}
	if got := strangers(c, "anna", all...); !slices.Equal(got, []bool{false, false, false, true}) {
		t.Errorf("first time: %v", got)
	}
	want := []Relation{{Sent: true}, {Heard: true}, {Sent: true, Heard: true}, {}}
	if got := c.Relations("anna", all); !slices.Equal(got, want) {
		t.Errorf("relations: %v", got)
	}
	if got := strangers(c, "nobody", all...); slices.Contains(got, false) {
		t.Errorf("nobody knows %v", got)
	}
	before := c.Len()
	c.Learn("anna", "x@else.example", noon)
	if c.Len() != before || before != 4 {
		t.Errorf("%d are known, then %d", before, c.Len())
	}
}

func TestCorrespondentsAreBounded(t *testing.T) {
	cfg := CorrespondentsConfig{PerIdentity: 100, Total: 64 * 500, Age: 48 * time.Hour}
	c := NewCorrespondents(cfg)
	name := func(i int) string { return fmt.Sprintf("r%d@else.example", i) }
	for i := range 1000 {
		c.Learn("anna", name(i), noon.Add(time.Duration(i)*time.Hour))
	}
	if n := c.Len(); n > 100 || n < 80 {
		t.Errorf("anna knows %d", n)
	}
	if got := strangers(c, "anna", name(999), name(930), name(0), name(880)); !slices.Equal(got, []bool{false, false, true, true}) {
		t.Errorf("the oldest should go first: %v", got)
	}
	c.Sweep(noon.Add(999*time.Hour + 24*time.Hour))
	if n := c.Len(); n != 25 {
		t.Errorf("after the sweep anna knows %d", n)
	}
	c.Sweep(noon.Add(2000 * time.Hour))
	if n := c.Len(); n != 0 {
		t.Errorf("later anna knows %d", n)
	}
	for i := range 100_000 { // all in the same hour
		c.Learn(fmt.Sprint("user", i%5000), name(i), noon)
	}
	if n := c.Len(); n > cfg.Total || n < cfg.Total*3/4 {
		t.Errorf("%d are known in all, the limit is %d", n, cfg.Total)
	}
}

func TestCorrespondentsSnapshot(t *testing.T) {
	c := NewCorrespondents(DefaultCorrespondentsConfig())
	for i := range 5000 {
		c.Learn(fmt.Sprint("user", i%700), fmt.Sprint("r", i), noon.Add(time.Duration(i)*time.Minute))
		c.Heard(fmt.Sprint("user", i%600), fmt.Sprint("r", i), noon)
	}
	var b bytes.Buffer
	if err := c.Snapshot(&b, 77); err != nil {
		t.Fatal(err)
	}
	whole := slices.Clone(b.Bytes())
	d, mark, err := RestoreCorrespondents(&b, DefaultCorrespondentsConfig())
	if err != nil || mark != 77 || d.Len() != c.Len() {
		t.Fatalf("mark %d, %d of %d: %v", mark, d.Len(), c.Len(), err)
	}
	for i := range 700 {
		identity := fmt.Sprint("user", i)
		if got, want := d.circle(identity).known[identity], c.circle(identity).known[identity]; !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", identity, got, want)
		}
	}
	for cut := 0; cut < len(whole); cut += 501 {
		if _, _, err := RestoreCorrespondents(bytes.NewReader(whole[:cut]), DefaultCorrespondentsConfig()); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	if _, _, err := Restore(bytes.NewReader(whole), DefaultConfig()); err == nil || err.Error() != "the snapshot is damaged: frame 1: not a snapshot of limits" {
		t.Errorf("read as limits: %v", err)
	}
}

func TestCorrespondentsConfig(t *testing.T) {
	if err := DefaultCorrespondentsConfig().Validate(); err != nil {
		t.Error(err)
	}
	want := "correspondents: per_identity at least 1, total at least 64, age at least 1h"
	if err := (CorrespondentsConfig{PerIdentity: 1, Total: 64}).Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestCorrespondentsConcurrently(t *testing.T) {
	c := NewCorrespondents(DefaultCorrespondentsConfig())
	var wait sync.WaitGroup
	for i := range 10 {
		wait.Go(func() {
			for n := range 2000 {
				who, other := fmt.Sprint("user", n%100), fmt.Sprint("r", n+i)
				c.Learn(who, other, noon)
				if strangers(c, who, other)[0] {
					t.Errorf("%s has just written to %s", who, other)
				}
				if n%500 == 0 {
					c.Sweep(noon)
					if err := c.Snapshot(io.Discard, 1); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	if n := c.Len(); n != 2000*10 { // 10 correspondents are new with each n
		t.Errorf("%d are known", n)
	}
}
