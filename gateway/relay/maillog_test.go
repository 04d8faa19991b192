package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestMetrics(t *testing.T) {
	l := newLab(t, newBackend(t, particular))
	l.start()
	registry := prometheus.NewRegistry()
	registry.MustRegister(l.relay.Collectors()...)
	c := l.hello()
	c.say("MAIL FROM:<a@corp.example>", "250")
	c.say("RCPT TO:<unknown@remote.example>", "550")
	c.say("RSET", "250")
	c.mail("a@corp.example", "b@remote.example")
	m, _ := stored(t, idIn(t, c.sendLetter("250")))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			name := f.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"sendgate_relay_sessions_total": 1, "sendgate_relay_open_sessions": 1, "sendgate_relay_messages_total held": 1,
		"sendgate_relay_refused_total 550": 1, "sendgate_relay_received_bytes_total": float64(m.Envelope.Size),
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
}

func TestMailLogHoldsNeitherSubjectsNorBodies(t *testing.T) {
	l := newLab(t, newBackend(t, particular)).start()
	c := l.hello()
	c.mail("alice@corp.example", "bob@remote.example")
	c.send("Subject: confidential\r\n\r\nprivate\r\n")
	id := idIn(t, c.say(".", "250"))
	held := l.log.FilterMessage("held").All()
	if len(held) != 1 {
		t.Fatalf("%d lines", len(held))
	}
	f := held[0].ContextMap()
	if f["id"] != id.String() || f["sender"] != "alice@corp.example" || f["recipients"] != int64(1) || f["client"] != "127.0.0.1" {
		t.Errorf("%v", f)
	}
	for _, e := range l.log.All() {
		if s := fmt.Sprint(e.ContextMap()); strings.Contains(s, "confidential") || strings.Contains(s, "private") {
			t.Errorf("%s %s", e.Message, s)
		}
	}
}

// The log of a refusal holds what the operator may know, the answer does not.
func TestMailLogTellsWhyItWasRefused(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	l.settings.Engine = fixed(refusing)
	c := l.start().hello()
	c.say("MAIL FROM:<blocked@corp.example>", "550 5.7.1 You are suspended")
	refused := l.log.FilterMessage("refused").All()
	if len(refused) != 1 {
		t.Fatalf("%d lines", len(refused))
	}
	if f := refused[0].ContextMap(); f["reason"] != "secret" || f["sender"] != "blocked@corp.example" || f["reply"] != "550 5.7.1 You are suspended" || f["at"] != "MAIL" {
		t.Errorf("%v", f)
	}
}

// One recipient who is no longer taken gets the upstream's answer, not a bounce.
func TestOnlyRecipientRefusedAtTheEnd(t *testing.T) {
	b := newBackend(t, particular)
	l := newLab(t, b)
	l.settings.Engine = passAll
	l.settings.Config.RecipientCache = time.Minute
	c := l.start().hello()
	c.mail("a@corp.example", "b@remote.example")
	c.sendLetter("250 2.0.0 Ok")
	b.rcpt = func(string) error {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "Gone"}
	}
	c.mail("a@corp.example", "b@remote.example")
	c.sendLetter("550 5.1.1 Gone")
	c.say("MAIL FROM:<a@corp.example>", "250")
	c.say("RCPT TO:<b@remote.example>", "550 5.1.1 Gone")
}

func TestUpstreamRefusesTheOffer(t *testing.T) {
	b := newBackend(t, particular)
	l := newLab(t, b)
	l.settings.Engine = passAll
	l.settings.Config.RecipientCache = time.Minute
	c := l.start().hello()
	c.mail("a@corp.example", "b@remote.example")
	c.sendLetter("250 2.0.0 Ok")
	b.mailed = func(string) error {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Sender locked"}
	}
	c.mail("a@corp.example", "b@remote.example")
	c.sendLetter("550 5.7.1 Sender locked")
}
