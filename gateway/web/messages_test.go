package web

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestListShowsAHeldMessage(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "会议 通知", "bob@example.net", "carol@example.net")

	got := get[MessageList](r, "/api/v1/messages")
	want := Message{
		ID: id, From: "alice@corp.example", Subject: "会议 通知", Received: r.now, State: policy.StateHeld,
		Label: policy.LabelDelivering, Recipients: 2, To: []string{"bob@example.net", "carol@example.net"}, Size: 4096, HeldUntil: r.now.Add(time.Minute),
		Identity: "alice@corp.example", MessageID: "<m@corp.example>",
	}
	if len(got.Messages) != 1 || !reflect.DeepEqual(got.Messages[0], want) || got.Next != "" {
		t.Errorf("got %+v\nwant one message %+v", got, want)
	}
}

func TestListOfNothingIsAnEmptyArray(t *testing.T) {
	r := newRig(t)
	w := r.ask(r.server, "secret-auditor", http.MethodGet, "/api/v1/messages", "")
	if got, want := w.Body.String(), "{\"messages\":[]}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestListPagesWithoutGapOrRepeat(t *testing.T) {
	r := newRig(t)
	var want []string
	for i := range 7 {
		want = append(want, r.accept("alice@corp.example", fmt.Sprint("n", i), "bob@example.net"))
	}
	slices.Reverse(want)
	var got []string
	pages := 0
	for cursor := ""; ; pages++ {
		list := get[MessageList](r, "/api/v1/messages?limit=3&cursor="+cursor)
		for _, m := range list.Messages {
			got = append(got, m.ID)
		}
		if cursor = list.Next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) || pages != 2 {
		t.Errorf("after %d cursors got %v, want %v", pages, got, want)
	}
}

func TestSearchSelects(t *testing.T) {
	r := newRig(t)
	invoice := r.accept("alice@corp.example", "Invoice 17", "bob@example.net")
	notice := r.accept("dave@corp.example", "会议通知", "bob@example.net")
	for q, want := range map[string][]string{
		"from:alice":    {invoice},
		"subject:会议":    {notice},
		"to:bob":        {notice, invoice},
		"state:bounced": nil,
	} {
		var got []string
		for _, m := range get[MessageList](r, "/api/v1/messages?q="+url.QueryEscape(q)).Messages {
			got = append(got, m.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", q, got, want)
		}
	}
}

// A local part that stands at very many domains cannot be looked up; the person has to say more.
func TestAQueryTooBroadIsTheAskersFault(t *testing.T) {
	r := newRig(t)
	var everywhere []string
	for i := range 501 {
		everywhere = append(everywhere, fmt.Sprintf("info@d%d.example", i))
	}
	r.accept("alice@corp.example", "News", everywhere...)
	for _, ask := range [][3]string{
		{http.MethodGet, "/api/v1/messages?q=to:info"},
		{http.MethodGet, "/api/v1/events?q=to:info"},
		{http.MethodPost, "/api/v1/recalls", `{"query":"to:info","reason":"x"}`},
	} {
		var p Problem
		code := r.do(ask[0], ask[1], ask[2], &p)
		if code != http.StatusUnprocessableEntity || p.Code != "query_too_broad" || p.Detail != "too many different values begin like this: type more of it" {
			t.Errorf("%v: %d %+v", ask, code, p)
		}
	}
	if n := len(get[MessageList](r, "/api/v1/messages?q=to:info@d7.example").Messages); n != 1 {
		t.Errorf("the whole address finds %d messages", n)
	}
}

func TestDetailTellsEachRecipientsStory(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net", "carol@example.net")
	m := get[MessageDetail](r, "/api/v1/messages/"+id)
	post[MessageDetail](r, "/api/v1/messages/"+id+"/release", "")
	retry := r.now.Add(5 * time.Minute)
	r.observe(id, policy.Event{Kind: policy.RelayedRemote, Recipients: []int{0}, Reply: "250 2.0.0 Ok: queued as 4bX", QueueID: "4bX", Upstream: "mx"})
	r.observe(id, policy.Event{Kind: policy.Deferred, Recipients: []int{1}, Reply: "451 4.7.1 later", Until: retry, MayBeDuplicate: true})

	got := get[MessageDetail](r, "/api/v1/messages/"+id)
	if got.Client != "192.0.2.1" || got.Login != "alice" || got.FromHeader != "Alice <alice@corp.example>" || got.Front != policy.Relay {
		t.Errorf("facts: %+v", got)
	}
	if m.Revision != 1 || got.Revision != 2 || m.HeldUntil.IsZero() || !got.HeldUntil.IsZero() {
		t.Errorf("before: revision %d held until %v; after: revision %d held until %v", m.Revision, m.HeldUntil, got.Revision, got.HeldUntil)
	}
	if want := "Delivering (1/2)"; got.Label.EN != want {
		t.Errorf("label %q, want %q", got.Label.EN, want)
	}
	sent, waiting := got.Recipients[0], got.Recipients[1]
	if sent.State != policy.StateRelayedRemote || sent.Label != policy.LabelRemote || sent.QueueID != "4bX" || !sent.NextTry.IsZero() {
		t.Errorf("relayed recipient: %+v", sent)
	}
	if waiting.State != policy.StateDeferred || !waiting.NextTry.Equal(retry) || waiting.Attempts != 1 || !waiting.MayBeDuplicate {
		t.Errorf("deferred recipient: %+v", waiting)
	}
	var kinds []policy.Kind
	for _, e := range got.Timeline {
		kinds = append(kinds, e.Kind)
	}
	want := []policy.Kind{policy.Accepted, policy.Held, policy.Released, policy.RelayedRemote, policy.Deferred}
	if !slices.Equal(kinds, want) {
		t.Errorf("timeline %v, want %v", kinds, want)
	}
	held, deferred := got.Timeline[1], got.Timeline[4]
	if !held.Until.Equal(r.now.Add(time.Minute+margin)) || !held.RecallUntil.Equal(m.HeldUntil) || !deferred.RecallUntil.IsZero() {
		t.Errorf("the hold is let go at %v, shown %v; the failed try shows %v", held.Until, held.RecallUntil, deferred.RecallUntil)
	}
	if all, one := got.Timeline[0].Recipients, got.Timeline[3].Recipients; len(all) != 2 || !slices.Equal(one, []string{"bob@example.net"}) {
		t.Errorf("recipients of accepted %v, of relayed %v", all, one)
	}
}

func TestReleaseIsInTheNameOfTheToken(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	got := post[MessageDetail](r, "/api/v1/messages/"+id+"/release", "")
	last := got.Timeline[len(got.Timeline)-1]
	if got.State != policy.StateQueued || last.Kind != policy.Released || last.Actor != "api:admin" {
		t.Errorf("state %s, last event %+v", got.State, last)
	}
	acts := r.logs.FilterMessage("act").All()
	if len(acts) != 1 || acts[0].ContextMap()["actor"] != "api:admin" || acts[0].ContextMap()["verb"] != "release" {
		t.Errorf("audit lines: %v", acts)
	}
}

func TestHoldEndsTheMarginAfterWhatIsShown(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want time.Duration // from now, as shown
	}{
		"for ten minutes": {`{"for":"10m"}`, 10 * time.Minute},
		"until a time":    {`{"until":"2026-11-21T18:35:00+08:00"}`, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			id := r.accept("alice@corp.example", "Report", "bob@example.net")
			got := post[MessageDetail](r, "/api/v1/messages/"+id+"/hold", tt.body)
			if want := r.now.Add(tt.want); !got.HeldUntil.Equal(want) {
				t.Errorf("shown %v, want %v", got.HeldUntil, want)
			}
			if want := r.now.Add(tt.want + margin); !r.holder.until.Equal(want) {
				t.Errorf("let go at %v, want %v", r.holder.until, want)
			}
		})
	}
}

func TestCancelTakesBackTheChosen(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net", "carol@example.net")
	got := post[MessageDetail](r, "/api/v1/messages/"+id+"/cancel", `{"reason":"typo","recipients":["Bob@Example.NET"]}`)
	if got.Recipients[0].State != policy.StateCanceled || got.Recipients[1].State != policy.StateHeld {
		t.Errorf("states %s and %s, want canceled and held", got.Recipients[0].State, got.Recipients[1].State)
	}
	if got.Recipients[0].Reason != "typo" || got.Recipients[0].Label != policy.LabelRecalled {
		t.Errorf("recipient %+v", got.Recipients[0])
	}
}
