package store

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestWhatIsRedactedIsGoneAndTheRestIsWhole(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	at := time.Now().UTC().Truncate(time.Hour)
	put := func(subject string, end policy.Kind) policy.ID {
		id := s.NewID()
		body := s.NewBody(id)
		if _, err := body.Write([]byte("secret text")); err != nil {
			t.Fatal(err)
		}
		e := &policy.Envelope{
			Received: at, Identity: "ann", Sender: "ann@corp.example", Subject: subject, MessageID: "<m@corp.example>",
			Recipients: []policy.Recipient{{Address: "b@example.org"}, {Address: "c@example.org"}},
		}
		if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Body: body, Events: []policy.Event{
			{Kind: policy.Accepted, Time: at}, {Kind: policy.Held, Time: at, Until: at.Add(time.Hour)},
		}}); err != nil {
			t.Fatal(err)
		}
		if end != "" {
			if _, err := s.Commit(t.Context(), Change{Message: id, Events: []policy.Event{{Kind: end, Time: at.Add(time.Second), Reply: "250 ann", QueueID: "Q1", Key: "ann's"}}}); err != nil {
				t.Fatal(err)
			}
		}
		return id
	}
	over, other, open := put("Secret plan", policy.RelayedRemote), put("Secret other", policy.Bounced), put("Secret open", "")
	rewrite := func(m *Stored) error {
		m.Message.Envelope.Sender, m.Message.Envelope.Identity, m.Message.Envelope.Subject, m.Message.Envelope.MessageID = "x@erased.invalid", "x", "", ""
		m.Rows[0].Address, m.Rows[0].Reply = "y@erased.invalid", ""
		for _, r := range m.Records {
			for i := range r.Events {
				r.Events[i].Reply, r.Events[i].Key = "", ""
			}
		}
		return nil
	}
	refused := errors.New("not this one")
	if err := s.Redact(over, func(m *Stored) error { _ = rewrite(m); return refused }); !errors.Is(err, refused) || finds(t, s, "from:ann@corp.example") != 3 {
		t.Errorf("refused by fn: %v", err)
	}
	if err := s.Redact(over, rewrite); err != nil {
		t.Fatal(err)
	}
	if err := s.Redact(open, rewrite); !errors.Is(err, ErrUnfinished) {
		t.Errorf("what is still ours: %v", err)
	}
	if err := s.Redact(s.NewID(), rewrite); !errors.Is(err, ErrNotFound) {
		t.Errorf("what there is not: %v", err)
	}
	counts := s.Counts(at, at.Add(time.Hour))
	check := func() {
		t.Helper()
		for q, want := range map[string]int{
			"from:ann@corp.example": 2, "subject:secret": 2, "identity:ann": 2, "to:b@example.org": 2, "id:<m@corp.example>": 2,
			"to:c@example.org": 3, "queue:Q1": 2, "from:x@erased.invalid": 1, "to:y@erased.invalid": 1, "identity:x": 1, "state:relayed_remote": 1, "": 3,
		} {
			if got := finds(t, s, q); got != want {
				t.Errorf("%q finds %d, want %d", q, got, want)
			}
		}
		if _, err := s.Body(over); !errors.Is(err, ErrNotFound) {
			t.Errorf("the body: %v", err)
		}
		r, err := s.Body(other)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || string(text) != "secret text" {
			t.Errorf("another's body: %q, %v", text, err)
		}
		_ = r.Close()
		if after := s.Counts(at, at.Add(time.Hour)); after[policy.StateRelayedRemote] != counts[policy.StateRelayedRemote] || after[policy.StateRelayedRemote] != 2 {
			t.Errorf("counts %v", after)
		}
		records, err := s.Timeline(over)
		if err != nil || len(records) != 2 || strings.Contains(records[1].Events[0].Reply, "ann") {
			t.Errorf("timeline %+v, %v", records, err)
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir) // it verifies every batch
	defer s.Close()
	check()
	if err := s.retain(t.Context(), at.Add(1000*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := finds(t, s, "from:x@erased.invalid") + finds(t, s, "to:c@example.org"); n != 1 { // what is open stays
		t.Errorf("retention leaves %d", n)
	}
}

func finds(t *testing.T, s *Store, text string) int {
	t.Helper()
	q, err := ParseQuery(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.Search(t.Context(), q, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Messages)
}

func TestMessagesOfACampaignAreFound(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer s.Close()
	campaign := s.NewID()
	put := func(identity string, findings ...policy.Finding) policy.ID {
		id := s.NewID()
		e := &policy.Envelope{Received: time.Now(), Identity: identity, Sender: "a@corp.example", Recipients: []policy.Recipient{{Address: "b@example.org"}}}
		if _, err := s.Commit(t.Context(), Change{Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted, Findings: findings}}}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	of := policy.Finding{Rule: "similar", Kind: policy.FoundSimilar, Key: campaign.String()}
	put("ann", of)
	put("bob", of)
	put("ann", policy.Finding{Kind: "limit", Key: campaign.String()}, policy.Finding{Kind: policy.FoundSimilar, Key: "no id"})
	later := put("carl")
	if _, err := s.Commit(t.Context(), Change{Message: later, Events: []policy.Event{{Kind: policy.Notified, Findings: []policy.Finding{of}}}}); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]int{
		"campaign:" + campaign.String(): 3, "campaign:" + strings.ToLower(campaign.String()): 3, "campaign:" + campaign.String() + " identity:ANN": 1,
		"campaign:" + s.NewID().String(): 0, "identity:ann": 2, "identity:ann identity:bob": 0,
	} {
		if got := finds(t, s, q); got != want {
			t.Errorf("%s finds %d, want %d", q, got, want)
		}
	}
	for _, q := range []string{"campaign:x", "campaign:"} {
		if _, err := ParseQuery(q, time.Now()); err == nil || !strings.Contains(err.Error(), "campaign:") {
			t.Errorf("%s: %v", q, err)
		}
	}
	own, err := ParseQuery("identity:bob", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if page, err := s.Search(t.Context(), own.OfIdentity("ann"), 10, ""); err != nil || len(page.Messages) != 0 {
		t.Errorf("who is narrowed to own mail finds that of others: %v, %v", page.Messages, err)
	}
}
