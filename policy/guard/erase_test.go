package guard

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/policy/limit"
)

// withoutZoe is what takes the person "zoefield" out of texts in these tests.
func withoutZoe(s string) string { return strings.ReplaceAll(s, "zoefield", "x") }

// snapshots are all parts of a memory.
func snapshots(t *testing.T, g *Guard) string {
	t.Helper()
	var all bytes.Buffer
	for _, part := range Parts {
		if err := g.Save(part, &all, 1); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func TestAPersonIsErasedFromMemoryAndSnapshots(t *testing.T) {
	w := newWatched(t, func(s *Settings) {
		s.Config.Limits = []policy.LimitRule{{Name: "daily", Unit: policy.Recipients, Per: policy.Per(24 * time.Hour), Limit: 1000, Action: policy.Hold, Key: policy.ByIdentity}}
	})
	letter := func(identity string) {
		s := w.mail(w.strangers(3)...)
		s.Time, s.Envelope.Identity, s.Envelope.Login = w.now, identity, identity
		v := w.decide(s)
		s.Content, s.Stage = &content.Content{Text: offer}, policy.StageContent
		v = v.And(w.decide(s))
		w.tell(s.ID, s.Envelope, policy.Event{Kind: policy.Accepted, Charge: v.Charge, Findings: v.Findings})
	}
	letter("ann")
	letter("zoefield")
	tell := func(ev policy.Event) { ev.Time = w.now; w.g.Observe(w.now, policy.ID{}, nil, ev) }
	tell(policy.Event{Kind: policy.Boosted, Rule: "daily", Subject: "zoefield", Amount: 5, Until: w.now.Add(time.Hour), Actor: "user:bob", Reason: "asked"})
	tell(policy.Event{Kind: policy.Boosted, Rule: "daily", Subject: "ann", Amount: 5, Until: w.now.Add(time.Hour), Actor: "user:zoefield", Reason: "for zoefield"})
	tell(policy.Event{Kind: policy.Suspended, Subject: "ann", Until: w.now.Add(time.Hour), Actor: "user:zoefield", Reason: "zoefield says so"})
	tell(policy.Event{Kind: policy.Suspended, Subject: "zoefield", Until: w.now.Add(-time.Hour), Actor: "user:bob", Reason: "x"})
	w.g.people.Learn("ann", "zoefield@partner.example", w.now)
	w.g.people.Heard("zoefield", "carol@partner.example", w.now)
	if !strings.Contains(snapshots(t, w.g), "zoefield") {
		t.Fatal("nothing names the person")
	}
	used := w.used("ann")

	got := w.g.Erase(withoutZoe, "zoefield@partner.example")
	if got.Keys != 1 || got.Known < 2 || got.Accounts != 2 || got.Campaigns < 1 {
		t.Errorf("it came to %+v", got)
	}
	after := snapshots(t, w.g)
	if strings.Contains(after, "zoefield") {
		t.Errorf("a snapshot names the person")
	}
	if s, ok := w.g.Suspended(w.now, "ann"); !ok || s.Author != "user:x" || s.Reason != "x says so" {
		t.Errorf("the suspension of somebody else: %+v, %v", s, ok)
	}
	if g := w.g.Grants(w.now, "ann"); len(g) != 1 || g[0].Author != "user:x" {
		t.Errorf("the grant to somebody else: %+v", g)
	}
	if w.used("ann") != used || w.used("zoefield") != 0 {
		t.Errorf("used: ann %d of %d, the person %d", w.used("ann"), used, w.used("zoefield"))
	}
	for _, r := range w.g.people.Relations("ann", []string{"zoefield@partner.example"}) {
		if r != (limit.Relation{}) {
			t.Error("the person is a correspondent of somebody still")
		}
	}
	if again := w.g.Erase(withoutZoe, "zoefield@partner.example"); again != (Erased{}) {
		t.Errorf("once more: %+v", again)
	}
	// What was saved is whole, and the person begins anew.
	fresh := New(w.set)
	for _, part := range Parts {
		var b bytes.Buffer
		if err := w.g.Save(part, &b, 7); err != nil {
			t.Fatal(err)
		}
		if mark, err := fresh.Load(part, &b); err != nil || mark != 7 {
			t.Errorf("%s: mark %d, %v", part, mark, err)
		}
	}
	letter("zoefield")
	if w.used("zoefield") == 0 {
		t.Error("the person is not counted any more")
	}
}
