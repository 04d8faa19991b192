package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestTriesThatFailedAlikeAreOne(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	try := func(reply string, to ...string) pastEvent {
		return pastEvent{TimelineEntry: TimelineEntry{Kind: policy.Deferred, Reply: reply, Recipients: to}}
	}
	held := pastEvent{TimelineEntry: TimelineEntry{Kind: policy.Held}}
	late := "451 4.7.1 try again in %d seconds"
	for outcome, tt := range map[string]struct {
		events []pastEvent
		want   string // the runs' lengths, 0 for an event by itself
	}{
		"nothing":                        {nil, ""},
		"two are shown":                  {[]pastEvent{try("451 a"), try("451 a")}, "0 0"},
		"three are one":                  {[]pastEvent{held, try("451 a"), try("451 a"), try("451 a"), held}, "0 3 0"},
		"numbers do not count":           {[]pastEvent{try(fmt.Sprintf(late, 300)), try(fmt.Sprintf(late, 200)), try(fmt.Sprintf(late, 9))}, "3"},
		"codes count":                    {[]pastEvent{try("451 4.7.1 no"), try("451 4.7.2 no"), try("450 4.7.1 no")}, "0 0 0"},
		"something else between":         {[]pastEvent{try("451 a"), try("451 a"), held, try("451 a")}, "0 0 0 0"},
		"two recipients by turns":        {[]pastEvent{try("451 a", "b@x"), try("451 a", "c@x"), try("451 a", "b@x"), try("451 a", "c@x"), try("451 a", "b@x"), try("451 a", "c@x")}, "3 3"},
		"another answer among the tries": {[]pastEvent{try("451 a"), try("421 b"), try("451 a"), try("451 a")}, "3 0"},
	} {
		t.Run(outcome, func(t *testing.T) {
			for i := range tt.events {
				tt.events[i].Time = at.Add(time.Duration(i) * time.Minute)
			}
			var got []string
			for _, e := range foldRuns(tt.events) {
				got = append(got, fmt.Sprint(len(e.Run)))
				if n := len(e.Run); n > 0 && (e.Time != e.Run[n-1].Time || !e.Run[0].Time.Before(e.Time)) {
					t.Errorf("%v is not the last of %v", e.Time, e.Run)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
}

func TestThePageOfAMessageFoldsItsTries(t *testing.T) {
	d := newDash(t)
	id := d.accept("alice@corp.example", "Report", "bob@example.net")
	for i := range 12 {
		if i > 0 {
			d.now = d.now.Add(time.Hour)
		}
		d.observe(id, policy.Event{Kind: policy.Deferred, Time: d.now, Reply: "451 4.7.1 wait", Evidence: fmt.Sprintf("line %d.", i), Upstream: "mx1"})
	}
	for lang, texts := range map[string][]string{
		"en": {"12 tries between", "2026-11-21 10:30:00</time> and", "2026-11-21 21:30:00", "Show each try"}, "zh-CN": {"共尝试 12 次，", "2026-11-21 10:30:00</time> 至", "查看每次尝试"},
	} {
		b := d.as("operator")
		b.language = lang
		b.sees("/messages/"+id, append(texts, "line 0.", "line 11.")...)
		if _, page := b.get("/messages/" + id); strings.Count(page, "451 4.7.1 wait") != 14 { // each try, what is said for all, and the recipient
			t.Errorf("%s: the reply stands there %d times", lang, strings.Count(page, "451 4.7.1 wait"))
		}
	}
}

func TestACancelWithABounce(t *testing.T) {
	d := newDash(t)
	say := map[string]string{"en": "The sender is told by a bounce.", "zh-CN": "并已向发件人退信说明"}
	for lang, said := range say {
		b := d.as("operator")
		b.language = lang
		id := d.accept("alice@corp.example", "Report", "bob@example.net")
		b.sees("/messages/"+id, `name="bounce"`)
		if _, page := b.post("/messages/"+id+"/cancel", "/messages/"+id, "reason", "old prices", "bounce", "1"); !strings.Contains(page, said) {
			t.Errorf("%s", inner(page))
		}
		if last := d.holder.told[len(d.holder.told)-1]; last != id+" old prices" {
			t.Errorf("told %q", d.holder.told)
		}
		if _, page := b.post("/messages/"+d.accept("alice@corp.example", "Two", "bob@example.net")+"/cancel", "/messages", "bounce", "1"); !strings.Contains(page, map[string]string{"en": "the sender reads the reason", "zh-CN": "发件人会在退信中看到"}[lang]) {
			t.Errorf("without a reason: %s", inner(page))
		}
	}
	told := len(d.holder.told)
	one, two := d.accept("alice@corp.example", "One", "bob@example.net"), d.nullSenderHeld()
	d.as("admin").post("/messages/act", "/messages", "act", "cancel", "bounce", "1", "reason", "old prices", "id", one, "id", two)
	if got := d.holder.told[told:]; len(got) != 1 || got[0] != one+" old prices" {
		t.Errorf("of two, one from the null sender: told %q", got)
	}
	d.as("admin").post("/messages/act", "/messages", "act", "cancel", "reason", "quietly", "id", d.accept("alice@corp.example", "Three", "bob@example.net"))
	if len(d.holder.told) != told+1 {
		t.Errorf("told %q", d.holder.told)
	}
	if got := post[MessageDetail](d.rig, "/api/v1/messages/"+d.accept("alice@corp.example", "Four", "bob@example.net")+"/cancel", `{"bounce":true,"reason":"x"}`).Bounce; got != BounceSent {
		t.Errorf("over the API: %q", got)
	}
	if err := (&CancelRequest{Bounce: true, Reason: "x"}).mayBounce("user"); err != errBounceOwn {
		t.Errorf("of one's own mail: %v", err)
	}
	if acts := d.audits("cancel"); !strings.Contains(strings.Join(acts, "\n"), "bounce: true") {
		t.Errorf("the audit log: %q", acts)
	}
}

// nullSenderHeld is a held message that has no return address.
func (d *dash) nullSenderHeld() string {
	id := d.nullSender("bob@example.net")
	d.observe(id, policy.Event{Kind: policy.Notified})
	return id
}

// audits are the details of the entries about an act.
func (d *dash) audits(act string) (details []string) {
	for _, e := range get[AuditList](d.rig, "/api/v1/audit?act="+act).Entries {
		details = append(details, e.Detail)
	}
	return details
}
