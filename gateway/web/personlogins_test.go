package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
)

// record writes a timeline that is no message.
func (e *erasing) record(events ...policy.Event) policy.ID {
	e.t.Helper()
	id := e.store.NewID()
	if _, err := e.store.Commit(e.t.Context(), store.Change{Message: id, Events: events}); err != nil {
		e.t.Fatal(err)
	}
	return id
}

// told is what the journal has of a timeline.
func (e *erasing) told(id policy.ID) string {
	e.t.Helper()
	records, err := e.store.Timeline(id)
	if err != nil {
		e.t.Fatal(err)
	}
	text, err := json.Marshal(records)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(text)
}

// Sign-ins are noted under the login. The mail says whose that is.
func TestOtherNamesOfAPersonAreErased(t *testing.T) {
	e := newErasing(t) // ann@ has sent under ann and erp
	e.put("joint", "ann@corp.example", "shop", "Order", "bob@example.net")
	e.put("others", "bob@corp.example", "shop", "Order", "bob@example.net")
	signIn := func(identity string) policy.ID {
		return e.record(policy.Event{Kind: policy.Login, Time: e.now, Subject: identity, Evidence: "192.0.2.7", Program: "laptop of " + identity})
	}
	theirs := []policy.ID{
		signIn("ann"), signIn("ann"), signIn("erp"),
		e.record(policy.Event{Kind: policy.Suspended, Time: e.now, Actor: "user:bob", Subject: "ann", Reason: "too much"}),
	}
	left := []policy.ID{signIn("shop"), signIn("joann"), e.record(policy.Event{Kind: policy.Boosted, Time: e.now, Subject: "joann", Reason: "ann"})}
	var before []string
	for _, id := range append(slices.Clone(theirs), left...) {
		before = append(before, e.told(id))
	}
	plan := e.erase(`{"dry_run":true}`)
	for i, id := range append(slices.Clone(theirs), left...) {
		if e.told(id) != before[i] {
			t.Errorf("a dry run has changed %s", e.told(id))
		}
	}
	done := e.erase(`{}`)
	for _, v := range []Erasure{plan, done} {
		if !slices.Equal(v.Logins, []string{"ann", "erp"}) || !slices.Equal(v.Shared, []string{"shop"}) || v.Elsewhere.SignIns != 3 || v.Elsewhere.Decisions != 1 {
			t.Errorf("%+v", v)
		}
		for _, want := range []string{"because nobody else has sent under it: the login ann, erp. Left as they are: sign-ins and limits under the login shop, under which others have sent, too."} {
			if !strings.Contains(v.Text.EN, want) || !strings.Contains(v.Text.ZH, "一并处理：ann, erp。") || !strings.Contains(v.Text.ZH, "保持不变：shop。") {
				t.Errorf("said %+v", v.Text)
			}
		}
	}
	for _, id := range theirs {
		text := strings.ToLower(e.told(id))
		for _, word := range []string{`"ann"`, `"erp"`, "laptop", "192.0.2.7"} {
			if strings.Contains(text, word) {
				t.Errorf("%q is left in %s", word, text)
			}
		}
		if !strings.Contains(text, "erased-") {
			t.Errorf("nothing was erased: %s", text)
		}
	}
	for i, id := range left {
		if text := e.told(id); text != before[len(theirs)+i] {
			t.Errorf("somebody else's was changed: %s", text)
		}
	}
	if again := e.erase(`{}`); !slices.Equal(again.Logins, []string{"ann"}) || again.Elsewhere.SignIns != 0 { // what is on the way is still theirs
		t.Errorf("once more: %+v", again)
	}
}

// Nothing is forgotten of who is suspended under another name.
func TestWhoIsSuspendedUnderAnotherNameIsNotErased(t *testing.T) {
	e := newErasing(t)
	limits := &suspending{Limits: e.server.limits, identity: "erp"}
	e.server.limits = limits
	w := e.ask(e.server, "secret-admin", http.MethodPost, "/api/v1/people/ann%40corp.example/erase", `{}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 409, "suspended", errSuspended.Detail)
	if !strings.Contains(e.everything("sent"), "ann@corp.example") {
		t.Error("something was erased")
	}
}

// suspending has one suspended account.
type suspending struct {
	Limits
	identity string
}

func (s *suspending) Suspension(identity string) (guard.Suspension, bool) {
	return guard.Suspension{}, identity == s.identity
}

// What cannot be searched in a damaged store is said; the rest is erased.
func TestAnErasureSaysWhatItCannotSearch(t *testing.T) {
	e := newErasing(t)
	e.server.journal = damagedJournal{e.store}
	done := e.erase(`{}`)
	if !done.Elsewhere.Unread || done.Elsewhere.Named == 0 || !strings.Contains(done.Text.EN, "Parts of the store are damaged: what names them there was not found, and is left.") || !strings.Contains(done.Text.ZH, "部分存储已损坏") {
		t.Errorf("%+v", done)
	}
}

type damagedJournal struct{ *store.Store }

func (j damagedJournal) Naming(ctx context.Context, text string) ([]policy.ID, error) {
	ids, err := j.Store.Naming(ctx, text)
	return ids, errors.Join(err, store.ErrDamaged)
}
