package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

// "Delivering" alone does not say that a recipient's copy is still here.
func TestHeldRecipientsAreMarked(t *testing.T) {
	for lang, want := range map[string]string{"en": "on hold", "zh": "暂缓中"} {
		var out bytes.Buffer
		c := &client{out: &out, lang: lang}
		list := []web.Recipient{
			{Address: "bob@example.net", State: policy.StateHeld, Label: policy.LabelDelivering},
			{Address: "carol@example.net", State: policy.StateQueued, Label: policy.LabelDelivering},
		}
		if err := c.recipients(list).write(&out); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(out.String(), "\n")
		if !strings.HasSuffix(lines[1], want) || strings.Contains(lines[2], want) {
			t.Errorf("%s: %q", lang, lines)
		}
	}
}

func TestTimesOfEventsSayWhatTheyMean(t *testing.T) {
	c := &client{lang: "en"}
	for name, tt := range map[string]struct {
		event web.TimelineEntry
		want  string
	}{
		"a hold":                    {web.TimelineEntry{Kind: policy.Held, Until: noon.Add(63 * time.Second), RecallUntil: noon.Add(time.Minute)}, "recall until 2026-11-21 12:01:00, leaves at 12:01:03"},
		"a hold of an older server": {web.TimelineEntry{Kind: policy.HoldChanged, Until: noon.Add(time.Minute)}, "until 2026-11-21 12:01:00"},
		"a failed try":              {web.TimelineEntry{Kind: policy.Deferred, Until: noon.Add(time.Minute)}, "next try 2026-11-21 12:01:00"},
		"a release":                 {web.TimelineEntry{Kind: policy.Released, Until: noon}, ""},
		"no time":                   {web.TimelineEntry{Kind: policy.Accepted}, ""},
	} {
		if got := c.when(&tt.event); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestDemoNamesItsMilter(t *testing.T) {
	for address, want := range map[string]string{
		"":               "none",
		"127.0.0.1:7358": "127.0.0.1:7358   for main.cf: smtpd_milters = { inet:127.0.0.1:7358, default_action=accept }",
	} {
		if got := milterLine(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
