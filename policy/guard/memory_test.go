package guard

import (
	"bytes"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// saved gives what is known of the accounts.
func saved(t *testing.T, g *Guard) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := g.Save(PartAccounts, &b, 7); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAccountsSurviveARestart(t *testing.T) {
	w := newWatched(t, nil)
	parts := map[string]*bytes.Buffer{}
	for _, p := range Parts {
		parts[p] = &bytes.Buffer{}
		if err := w.g.Save(p, parts[p], 7); err != nil {
			t.Fatal(err)
		}
	}
	tail := len(w.journal)
	held := w.mail(w.strangers(30)...)
	w.send(held)
	w.tell(held.ID, held.Envelope, policy.Event{Kind: policy.Bounced, Recipients: []int{3}, Reply: "550 5.1.1 unknown"})
	w.now = w.now.Add(time.Minute)
	w.tell(policy.ID{}, nil, policy.Event{Kind: policy.Login, Subject: "ann", Evidence: "203.0.113.5"})
	w.send(w.mail(w.strangers(60)...))
	w.commit()
	replay := func(g *Guard, from int) {
		for _, one := range w.journal[from:] {
			g.Observe(w.now, one.id, one.e, one.ev)
		}
		g.Resume(w.now)
	}
	for name, start := range map[string]func() *Guard{
		"from the journal": func() *Guard {
			g := New(w.set)
			replay(g, 0)
			return g
		},
		"from the snapshots and the tail": func() *Guard {
			g := New(w.set)
			for _, p := range Parts {
				if mark, err := g.Load(p, bytes.NewReader(parts[p].Bytes())); err != nil || mark != 7 {
					t.Fatal(p, mark, err)
				}
			}
			replay(g, tail)
			return g
		},
		"from a snapshot of now": func() *Guard {
			g := New(w.set)
			for _, p := range Parts {
				var b bytes.Buffer
				if err := w.g.Save(p, &b, 7); err != nil {
					t.Fatal(err)
				}
				if _, err := g.Load(p, &b); err != nil {
					t.Fatal(p, err)
				}
			}
			return g
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := start()
			for range 3 { // what waits is looked for after each start
				for _, one := range w.journal {
					if one.id == held.ID {
						g.Recollect(w.now, one.id, one.e, one.ev)
					}
				}
			}
			if !bytes.Equal(saved(t, g), saved(t, w.g)) {
				t.Error("the accounts differ")
			}
			if s, ok := g.Suspended(w.now, "ann"); !ok || s.Nth != 1 || len(s.Findings) != 3 || s.Findings[0].Detail.ZH == "" {
				t.Errorf("%+v", s)
			}
			g.Observe(w.now, held.ID, held.Envelope, policy.Event{Kind: policy.Approved, Time: w.now.Add(time.Second)})
			if s := w.mail("r0@partner.example"); g.Decide(t.Context(), s).Action != policy.Defer {
				t.Error("approved mail does not end a suspension")
			}
		})
	}
}

func TestASnapshotOfNobodyIsNoFault(t *testing.T) {
	off := newWatched(t, func(s *Settings) { s.Anomaly.Enabled = false })
	on := newWatched(t, nil)
	if mark, err := on.g.Load(PartAccounts, bytes.NewReader(saved(t, off.g))); err != nil || mark != 7 {
		t.Errorf("watched since: %d, %v", mark, err)
	}
	if mark, err := off.g.Load(PartAccounts, bytes.NewReader(saved(t, on.g))); err != nil || mark != 7 {
		t.Errorf("not watched any more: %d, %v", mark, err)
	}
	whole := saved(t, on.g)
	for _, cut := range []int{0, 4, len(whole) - 1} {
		if _, err := on.g.Load(PartAccounts, bytes.NewReader(whole[:cut])); err == nil {
			t.Errorf("cut at %d", cut)
		}
	}
}
