package web

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

func TestUntilWhenAMessageCanBeTakenBack(t *testing.T) {
	r := newRig(t)
	message := func(age time.Duration, states ...policy.State) *store.Message {
		m := &store.Message{Envelope: policy.Envelope{Received: r.now.Add(-age), Front: policy.Relay, Direction: policy.Outbound}, States: map[policy.State]int{}}
		for _, s := range states {
			m.States[s]++
		}
		return m
	}
	const hour, week = time.Hour, 7 * 24 * time.Hour
	internal := message(0, policy.StateQueued)
	internal.Envelope.Front = policy.Internal
	inbound := message(0, policy.StateDeliveredMailbox)
	inbound.Envelope.Direction = policy.Inbound
	for name, tt := range map[string]struct {
		m     *store.Message
		role  string
		until time.Duration // from now
		ok    bool
		code  string
		en    string
		zh    string
	}{
		"just held":           {message(0, policy.StateHeld), "admin", week, true, "", "", ""},
		"to the last moment":  {message(week, policy.StateDeliveredMailbox), "admin", 0, true, "", "", ""},
		"partly taken back":   {message(hour, policy.StateRecalled, policy.StateDeliveredMailbox), "admin", week - hour, true, "", "", ""},
		"gone":                {message(hour, policy.StateRelayedRemote), "operator", week - hour, true, "", "", ""},
		"old, but waiting":    {message(week+hour, policy.StateDeferred, policy.StateDeliveredMailbox), "admin", 0, true, "", "", ""},
		"too old":             {message(week+hour, policy.StateDeliveredMailbox), "admin", 0, false, "window_expired", "a message can be taken back for 7d, and this one is 169h old", "发出后 7d 内可以撤回，该邮件已发出 169h"},
		"too old for another": {message(25*hour, policy.StateDeliveredMailbox), "auditor", 0, false, "window_expired", "a message can be taken back for 24h, and this one is 25h old", "发出后 24h 内可以撤回，该邮件已发出 25h"},
		"taken back":          {message(0, policy.StateRecalled, policy.StateCanceled), "admin", 0, false, "already_recalled", "it has been taken back", "邮件已撤回"},
		"a notice of ours":    {internal, "admin", 0, false, "channel_not_allowed", "what sendgate writes itself is not taken back", "系统自动发出的邮件不支持撤回"},
		"from outside":        {inbound, "admin", 0, false, "channel_not_allowed", "what came from outside is not taken back", "外部来信不支持撤回"},
		"switched off":        {message(0, policy.StateHeld), "user", 0, false, "recall_disabled", "recalls are switched off", "撤回功能未开启"},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.server.recallable(tt.m, tt.role)
			if got.Available != tt.ok || (got.Restriction == nil) != tt.ok {
				t.Fatalf("got %+v %+v", got, got.Restriction)
			}
			if tt.code != "" && *got.Restriction != (Restriction{tt.code, policy.Label{EN: tt.en, ZH: tt.zh}}) {
				t.Errorf("restricted by %+v", got.Restriction)
			}
			forever := tt.m.States[policy.StateDeferred] > 0
			if want := r.now.Add(tt.until); tt.ok && !forever && !got.Until.Equal(want) || forever && !got.Until.IsZero() {
				t.Errorf("until %v", got.Until)
			}
		})
	}
}

func TestAMessageShowsWhatRecallsSay(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@corp.example", "carol@corp.example")
	recall := r.store.NewID()
	r.observe(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0, 1}})
	r.observe(id, policy.Event{Kind: policy.RecallOutcome, Recipients: []int{0}, Subject: recall.String(), Reason: string(policy.RemovedFromMailbox), Actor: "api:ops", Evidence: "OK MOVE"})
	got := get[MessageDetail](r, "/api/v1/messages/"+id)
	bob, carol := got.Recipients[0], got.Recipients[1]
	if want := (RecallState{recall.String(), policy.RemovedFromMailbox, policy.RecallSuccess, policy.RemovedFromMailbox.Label(), r.now}); bob.Recall == nil || *bob.Recall != want {
		t.Errorf("bob: %+v", bob.Recall)
	}
	if bob.State != policy.StateRecalled || bob.Label != policy.LabelRecalled || carol.Recall != nil {
		t.Errorf("bob %s, carol %+v", bob.State, carol.Recall)
	}
	if !got.Recall.Available || !got.Recall.Until.Equal(r.now.Add(7*24*time.Hour)) || got.Recall.Restriction != nil {
		t.Errorf("recall %+v", got.Recall)
	}
	last := got.Timeline[len(got.Timeline)-1]
	if last.Kind != policy.RecallOutcome || last.Recall != recall.String() || last.Reason != "removed_from_mailbox" || last.Evidence != "OK MOVE" {
		t.Errorf("timeline ends with %+v", last)
	}
	r.observe(id, policy.Event{Kind: policy.Restored, Recipients: []int{0}, Subject: recall.String(), Actor: "api:ops"})
	got = get[MessageDetail](r, "/api/v1/messages/"+id)
	if last := got.Timeline[len(got.Timeline)-1]; got.Recipients[0].State != policy.StateDeliveredMailbox || last.Recall != recall.String() {
		t.Errorf("restored: %s, %+v", got.Recipients[0].State, last)
	}
	var v MessageDetail // as the auditor sees it, the window is another
	w := r.ask(r.server, "secret-auditor", http.MethodGet, "/api/v1/messages/"+id, "")
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || !v.Recall.Until.Equal(r.now.Add(24*time.Hour)) {
		t.Errorf("%v: %+v", err, v.Recall)
	}
}
