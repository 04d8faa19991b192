package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func codes(rs []RecallRecipient) (list []string) {
	for _, r := range rs {
		list = append(list, r.Address+" "+r.Status+" "+r.Code)
	}
	return list
}

func TestRecallTakesBackWhatIsHeldAndNamesTheRest(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "a@x.example", "b@x.example", "c@x.example", "d@x.example", "e@x.example", "f@x.example", "g@x.example")
	r.observe(id, policy.Event{Kind: policy.RelayedRemote, Recipients: []int{1}, Reply: "250 2.0.0 Ok"})
	r.observe(id, policy.Event{Kind: policy.Bounced, Recipients: []int{2}, Reply: "550 no"})
	r.observe(id, policy.Event{Kind: policy.Deferred, Recipients: []int{3}, Until: r.now.Add(time.Hour)})
	r.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{4}, Evidence: "stored"})
	r.observe(id, policy.Event{Kind: policy.Unknown, Recipients: []int{5}})
	r.observe(id, policy.Event{Kind: policy.HandedOver, Recipients: []int{6}})
	body := `{"message_ids":["` + id + `"],"reason":"wrong file"}`
	want := []string{
		"a@x.example success removed_from_hold",
		"b@x.example fail external_recipient",
		"c@x.example success never_delivered",
		"d@x.example success removed_from_queue",
		"e@x.example fail delivered_before_recall",
		"f@x.example fail unknown",
		"g@x.example fail external_recipient",
	}

	dry := post[Recall](r, "/api/v1/recalls", strings.Replace(body, "{", `{"dry_run":true,`, 1))
	if !slices.Equal(codes(dry.Recipients), want) || dry.ID != "" || !dry.DryRun {
		t.Errorf("dry run: %+v", dry)
	}
	if m := get[MessageDetail](r, "/api/v1/messages/"+id); m.Recipients[0].State != policy.StateHeld {
		t.Fatalf("the dry run acted: %+v", m.Recipients[0])
	}

	got := post[Recall](r, "/api/v1/recalls", body)
	if !slices.Equal(codes(got.Recipients), want) {
		t.Errorf("got %v\nwant %v", codes(got.Recipients), want)
	}
	if got.Status != "done" || got.Overall != "partial" || got.SuccessCount != 3 || got.FailureCount != 4 || got.ProcessingCount != 0 {
		t.Errorf("got %+v", got)
	}
	wantText := policy.Label{EN: "has left for another server (2026-11-21T10:30:00Z: 250 2.0.0 Ok)", ZH: "已离开本系统，到达其他服务器（2026-11-21T10:30:00Z: 250 2.0.0 Ok）"}
	if got.Recipients[1].Text != wantText {
		t.Errorf("text %+v", got.Recipients[1].Text)
	}
	if got.Actor != "api:admin" || got.Reason != "wrong file" || !got.Requested.Equal(r.now) {
		t.Errorf("facts of the request: %+v", got)
	}
	m := get[MessageDetail](r, "/api/v1/messages/"+id)
	if m.Recipients[0].State != policy.StateCanceled || m.Recipients[3].State != policy.StateCanceled {
		t.Errorf("states: %s, %s", m.Recipients[0].State, m.Recipients[3].State)
	}
}

func TestASecondRecallFindsItDone(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "a@x.example")
	body := `{"message_ids":["` + id + `","` + id + `"],"reason":"x"}`
	first := post[Recall](r, "/api/v1/recalls", body)
	second := post[Recall](r, "/api/v1/recalls", body)
	if !slices.Equal(codes(first.Recipients), []string{"a@x.example success removed_from_hold"}) {
		t.Errorf("first: %v", codes(first.Recipients))
	}
	if !slices.Equal(codes(second.Recipients), []string{"a@x.example success already_recalled"}) || second.Overall != "all_success" {
		t.Errorf("second: %+v", second)
	}
}

func TestRecallOfChosenRecipientsOfWhatAQueryFinds(t *testing.T) {
	r := newRig(t)
	one := r.accept("alice@corp.example", "Report one", "a@x.example", "b@x.example")
	two := r.accept("alice@corp.example", "Report two", "b@x.example")
	r.accept("dave@corp.example", "Report", "b@x.example")
	got := post[Recall](r, "/api/v1/recalls", `{"query":"from:alice","recipients":["B@x.example","zoe@x.example"],"reason":"x"}`)
	want := []string{
		"b@x.example success removed_from_hold", "b@x.example success removed_from_hold",
		"zoe@x.example fail invalid_address",
	}
	if !slices.Equal(codes(got.Recipients), want) || got.Overall != "partial" {
		t.Errorf("got %v, overall %s", codes(got.Recipients), got.Overall)
	}
	if got.Recipients[0].MessageID != two || got.Recipients[1].MessageID != one {
		t.Errorf("messages: %+v", got.Recipients)
	}
	if m := get[MessageDetail](r, "/api/v1/messages/"+one); m.Recipients[0].State != policy.StateHeld {
		t.Errorf("the recipient that was not chosen is %s", m.Recipients[0].State)
	}
}

func TestRecallsAreListedAndReadBack(t *testing.T) {
	r := newRig(t)
	var want []string
	for range 3 {
		id := r.accept("alice@corp.example", "Report", "a@x.example")
		want = append(want, post[Recall](r, "/api/v1/recalls", `{"message_ids":["`+id+`"],"reason":"x"}`).ID)
	}
	slices.Reverse(want)
	first := get[RecallList](r, "/api/v1/recalls?limit=2")
	rest := get[RecallList](r, "/api/v1/recalls?limit=2&cursor="+first.Next)
	var got []string
	for _, j := range append(first.Recalls, rest.Recalls...) {
		got = append(got, j.ID)
		if j.Overall != "all_success" || j.SuccessCount != 1 || j.Recipients != nil {
			t.Errorf("in the list: %+v", j)
		}
	}
	if !slices.Equal(got, want) || rest.Next != "" {
		t.Errorf("got %v then %q, want %v", got, rest.Next, want)
	}
	again := newServerOn(r)
	w := r.ask(again, "secret-auditor", http.MethodGet, "/api/v1/recalls/"+want[0], "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"code":"removed_from_hold"`) {
		t.Errorf("after a restart: %d %s", w.Code, w.Body)
	}
}

// newServerOn is a second process on the same journal.
func newServerOn(r *rig) *Server { return r.serverFor(r.store) }

func TestRecallsOfEarlierDaysAreListed(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "a@x.example")
	old := &recallJob{id: r.store.NewID(), requested: r.now, actor: "api:admin", recallRecord: recallRecord{
		Messages: []recallMessage{{ID: mustID(t, id), Codes: map[string][]int{codeExternal: {0}}}},
	}}
	if err := old.id.SetTime(uint64(r.now.AddDate(0, 0, -90).UnixMilli())); err != nil {
		t.Fatal(err)
	}
	if err := r.server.record(t.Context(), old, policy.RecallRequested); err != nil {
		t.Fatal(err)
	}
	list := get[RecallList](r, "/api/v1/recalls")
	if len(list.Recalls) != 1 || list.Recalls[0].ID != old.id.String() || list.Recalls[0].Overall != "all_failed" {
		t.Errorf("got %+v", list)
	}
}

func TestARecallInFlightIsCarriedOn(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "a@x.example", "b@x.example")
	r.holder.busy = map[string]bool{"a@x.example": true}
	got := post[Recall](r, "/api/v1/recalls", `{"message_ids":["`+id+`"],"reason":"x"}`)
	if got.Status != "in_progress" || got.Overall != "in_progress" || got.ProcessingCount != 1 || got.SuccessCount != 1 {
		t.Fatalf("while in flight: %+v", got)
	}
	r.observe(id, policy.Event{Kind: policy.RelayedRemote, Recipients: []int{0}, Reply: "250 Ok"})
	r.holder.busy = nil
	for _, job := range r.server.recalls.take() {
		r.server.carryOut(t.Context(), job)
	}
	got = get[Recall](r, "/api/v1/recalls/"+got.ID)
	want := []string{"a@x.example fail external_recipient", "b@x.example success removed_from_hold"}
	if !slices.Equal(codes(got.Recipients), want) || got.Overall != "partial" {
		t.Errorf("afterwards: %+v", got)
	}
	if open := r.server.recalls.take(); open != nil {
		t.Errorf("%d recalls are still open", len(open))
	}
}

func TestARecallThatACrashCutOffIsCarriedOut(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "a@x.example")
	ctx := context.WithValue(t.Context(), principalKey, principal{actor: "api:admin"})
	job, err := r.server.plan(ctx, &RecallRequest{MessageIDs: []string{id}, Reason: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.server.recordRequest(ctx, job); err != nil {
		t.Fatal(err)
	}
	// Here the process dies; the next one begins with what is open.
	r.server = newServerOn(r)
	r.server.recoverRecalls()
	for _, job := range r.server.recalls.take() {
		r.server.carryOut(t.Context(), job)
	}
	got := get[Recall](r, "/api/v1/recalls/"+job.id.String())
	if !slices.Equal(codes(got.Recipients), []string{"a@x.example success removed_from_hold"}) || got.Reason != "x" || got.Actor != "api:admin" {
		t.Errorf("got %+v", got)
	}
}

func TestARecallThatCannotActStaysOpen(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "a@x.example")
	r.holder.fail = store.ErrFull
	got := post[Recall](r, "/api/v1/recalls", `{"message_ids":["`+id+`"],"reason":"x"}`)
	if !slices.Equal(codes(got.Recipients), []string{"a@x.example processing retrying"}) || got.Status != "in_progress" {
		t.Errorf("got %+v", got)
	}
	r.holder.fail = nil
	for _, job := range r.server.recalls.take() {
		r.server.carryOut(t.Context(), job)
	}
	if got = get[Recall](r, "/api/v1/recalls/"+got.ID); got.Overall != "all_success" {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestRecallsAreBounded(t *testing.T) {
	r := newRig(t)
	large := make([]string, maxRecallRecipients/2+1)
	for i := range large {
		large[i] = "r" + itoa(i) + "@x.example"
	}
	r.accept("alice@corp.example", "Large", large...)
	r.accept("alice@corp.example", "Large", large...)
	w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/recalls", `{"query":"from:alice","reason":"x"}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "too_many_recipients", "a recall covers at most 20000 recipients: name fewer messages, or choose recipients")

	for range maxRecallMessages + 1 {
		r.accept("dave@corp.example", "Report", "a@x.example")
	}
	w = r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/recalls", `{"query":"from:dave","reason":"x"}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 422, "too_many_messages", "a recall covers at most 300 messages: name fewer, or narrow the query")
}

func TestJudgeKnowsEveryState(t *testing.T) {
	for _, state := range policy.States {
		code := judge(&store.Recipient{Fate: policy.Fate{State: state}})
		if state != policy.StateUnknown && code == codeUnknown {
			t.Errorf("%s has no code", state)
		}
	}
	for code, text := range outcomeTexts {
		if text.text.EN == "" || text.text.ZH == "" || text.status == "" {
			t.Errorf("%s: %+v", code, text)
		}
	}
	if got := known("from_a_newer_version"); got != outcomeTexts[codeUnknown] {
		t.Errorf("a strange code is %+v", got)
	}
}
