package alert

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/sendgate/sendgate/policy"
)

// withoutAnn is what takes ann out of texts in these tests.
func withoutAnn(s string) string {
	return strings.ReplaceAll(s, "ann@corp.example", "x")
}

// everything is what a desk has of incidents and notices, in memory and kept.
func everything(t *testing.T, d *Desk) string {
	t.Helper()
	value, err := d.journal.Kept(name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := unpack(value)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []any{k, d.book.list(false), d.book.outbox, d.book.receivers}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for k := range d.book.open {
		text = append(text, fmt.Sprintf("%+v", k)...)
	}
	return string(text)
}

func TestAPersonIsErasedFromIncidentsAndNotices(t *testing.T) {
	journal := newMemory()
	s := settings()
	s.HourlyMax, s.Hooks = 4, true // so that some notices wait
	d, err := New(s, people(t), journal, nil, func() time.Time { return noon }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		o := exceeded(i, noon)
		o.Rule = fmt.Sprint("rule", i)
		d.Raise(o)
	}
	d.Raise(Occurrence{Kind: Campaign, Subject: "01M7", Name: "Salary of ann (erp)", Time: noon, Message: message(20), Sample: "Salary of ann", Text: policy.Label{EN: "to 40", ZH: "40"}})
	d.Raise(Occurrence{Kind: BoostGiven, Subject: "ann@corp.example", Rule: "day", Time: noon, Text: policy.Label{EN: "5 more, says ann@corp.example", ZH: "增加 5，ann@corp.example"}})
	d.Raise(Occurrence{Kind: DiskLow, Subject: "store", Time: noon})
	if err := d.Acknowledge(d.List(true)[0].ID, "user:ann@corp.example"); err != nil {
		t.Fatal(err)
	}
	before := everything(t, d)
	if !strings.Contains(before, "ann@corp.example") || !strings.Contains(before, "Salary of ann") || len(d.book.receivers["ann@corp.example"].Waiting) == 0 {
		t.Fatalf("nothing names the person: %s", before)
	}
	incidents := len(d.List(false))

	n, err := d.Erase(withoutAnn, []string{"Salary of ann", ""})
	if err != nil || n == 0 {
		t.Errorf("%d, %v", n, err)
	}
	after := everything(t, d)
	for _, word := range []string{"ann@corp.example", "Salary of ann", "offer 1"} {
		if strings.Contains(after, word) {
			t.Errorf("%q is there still: %s", word, after)
		}
	}
	if len(d.List(false)) != incidents || !strings.Contains(after, "Sending limit reached: x") || !strings.Contains(after, "store") {
		t.Errorf("incidents are lost: %s", after)
	}
	if n, err := d.Erase(withoutAnn, nil); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
	again, err := New(s, people(t), journal, nil, func() time.Time { return noon }, zap.NewNop())
	if err != nil || strings.Contains(everything(t, again), "ann@corp.example") {
		t.Errorf("after a restart: %v", err)
	}
	if !d.Reached(0) || d.Reached(1) {
		t.Error("the place in the journal")
	}
}

// A notice goes to several receivers, and may be under way or be written down at the moment: who has it keeps what he
// has, and all that stay in the book lose the same.
func TestErasingChangesNoNoticeThatSomebodyHas(t *testing.T) {
	s := settings()
	s.Hooks = true
	d, err := New(s, people(t), newMemory(), nil, func() time.Time { return noon }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	d.Raise(exceeded(1, noon))
	d.Raise(Occurrence{Kind: Suspended, Subject: "张三@corp.example", Time: noon})
	text := func(v any) string {
		t.Helper()
		all, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(all)
	}
	sending, writing := d.ready(), d.book.keep()
	before := text([]any{sending, writing})
	for _, name := range []string{"ann@corp.example", "张三@corp.example"} {
		if _, err := d.Erase(func(s string) string { return strings.ReplaceAll(s, name, "x") }, nil); err != nil {
			t.Fatal(err)
		}
	}
	if after := text([]any{sending, writing}); after != before {
		t.Errorf("what was on its way has changed:\n%s\n%s", before, after)
	}
	left := map[string][]string{}
	for _, p := range d.book.outbox {
		left[p.Notice.Incident] = append(left[p.Notice.Incident], text(p.Notice))
		for _, f := range p.Notice.Facts {
			if f.Value == "" || f.Name.EN == "Page" {
				t.Errorf("%s is left with %+v", p.To, p.Notice.Facts)
			}
		}
	}
	for _, notices := range left {
		if len(notices) != 2 || notices[0] != notices[1] {
			t.Errorf("administrators and hooks are told %s", notices)
		}
	}
	if len(left) != 2 {
		t.Errorf("%d incidents are told", len(left))
	}
}

// What is on the disk is written anew also when nothing in memory names the person any more.
func TestErasingReachesWhatWasKeptBefore(t *testing.T) {
	journal := newMemory()
	s := settings()
	d, err := New(s, people(t), journal, nil, func() time.Time { return noon }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	d.Raise(exceeded(1, noon))
	if err := d.keep(); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.book = newBook(s, journal.NewID) // as if all of it had gone out and been closed since
	d.dirty = true
	d.mu.Unlock()
	if _, err := d.Erase(withoutAnn, nil); err != nil {
		t.Fatal(err)
	}
	if text := everything(t, d); strings.Contains(text, "ann@corp.example") {
		t.Errorf("it is kept still: %s", text)
	}
}
