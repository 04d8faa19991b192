package relay

import (
	"context"
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A spy is an engine that remembers what it was asked and what it was to forget.
type spy struct {
	rcpt    func(policy.Submission) policy.Verdict // nil lets pass; so with the others
	end     func(policy.Submission) policy.Verdict
	content func(policy.Submission) policy.Verdict

	mu        sync.Mutex
	asked     []policy.Submission
	forgotten []policy.ID
}

func (s *spy) Decide(_ context.Context, about policy.Submission) policy.Verdict {
	s.mu.Lock()
	s.asked = append(s.asked, about)
	s.mu.Unlock()
	switch {
	case about.Stage == policy.StageRcpt && s.rcpt != nil:
		return s.rcpt(about)
	case about.Stage == policy.StageEnd && s.end != nil:
		return s.end(about)
	case about.Stage == policy.StageContent && s.content != nil:
		return s.content(about)
	}
	return policy.Verdict{}
}

func (s *spy) Forget(_ time.Time, id policy.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = append(s.forgotten, id)
}

// last gives the id of the message that was decided on last.
func (s *spy) last() policy.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1].ID
}

func (s *spy) forgot() []policy.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forgotten
}

// always gives the same verdict.
func always(v policy.Verdict) func(policy.Submission) policy.Verdict {
	return func(policy.Submission) policy.Verdict { return v }
}

var (
	charge   = &policy.Charge{At: 1, Amounts: []policy.Amount{{Rule: "hour", Key: "alice", Window: time.Hour, Units: 1}}}
	looked   = policy.Finding{Rule: "day", Kind: "limit", Key: "alice", Asked: 1, Limit: 1000}
	decided  = policy.Finding{Rule: "hour", Kind: "limit", Key: "alice", Asked: 1, Used: 300, Limit: 300, Exceeded: true, Decided: true, Action: policy.Hold}
	findings = []policy.Finding{looked, decided}
)

// events gives everything that the journal knows of a message.
func events(t testing.TB, id policy.ID) (all []policy.Event) {
	t.Helper()
	records, err := journal.Timeline(id)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		all = append(all, r.Events...)
	}
	return all
}

func TestTheRulesAreToldHowFarItIs(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	engine := &spy{}
	l.settings.Engine = engine
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example", "eve@remote.example")
	c.sendLetter("250 2.0.0 Ok")
	engine.mu.Lock()
	defer engine.mu.Unlock()
	if len(engine.asked) != 4 {
		t.Fatalf("asked %d times", len(engine.asked))
	}
	for i, want := range []struct {
		stage               policy.Stage
		recipients, already int
	}{{policy.StageMail, 0, 0}, {policy.StageRcpt, 1, 0}, {policy.StageRcpt, 1, 1}, {policy.StageEnd, 2, 0}} {
		got := engine.asked[i]
		if i > 0 && i < 3 && len(got.Envelope.Recipients) != want.recipients || got.Stage != want.stage || got.Already != want.already {
			t.Errorf("question %d: %+v", i, got)
		}
		end := want.stage == policy.StageEnd
		if (got.ID != policy.ID{}) != end || (got.Header != nil) != end || got.Digest != [16]byte{} || !got.Trusted || got.Time.IsZero() {
			t.Errorf("question %d: %+v", i, got)
		}
	}
	if got := kinds(t, engine.asked[3].ID); len(got) == 0 || got[0] != policy.Offered {
		t.Errorf("the id that was asked about has %v", got)
	}
}

func TestRefusalsOfRecipientsAreSaidWordForWord(t *testing.T) {
	for _, tt := range []struct {
		action policy.Action
		code   int
		status string
		text   string
		want   string
	}{
		{policy.Reject, 550, "5.1.2", "The domain gmial.com does not exist; did you mean gmail.com?", "550 5.1.2 The domain gmial.com does not exist; did you mean gmail.com?"},
		{policy.Reject, 550, "5.1.10", "The domain example.com takes no mail (null MX)", "550 5.1.10 The domain example.com takes no mail (null MX)"},
		{policy.Defer, 452, "4.5.3", "Too many recipients in one message (limit 500); send the rest in another message", "452 4.5.3 Too many recipients in one message (limit 500); send the rest in another message"},
		{policy.Defer, 451, "4.7.1", "This account is suspended from sending to other organisations until 14:32", "451 4.7.1 This account is suspended from sending to other organisations until 14:32"},
		{policy.Reject, 550, "5.7.13", "This account is suspended from sending to other organisations; contact IT 100%", "550 5.7.13 This account is suspended from sending to other organisations; contact IT 100%"},
		{policy.Defer, 0, "", "Later", "451 Later"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			l := newLab(t, newBackend(t, nil))
			l.settings.Engine = &spy{rcpt: func(s policy.Submission) policy.Verdict {
				if s.Envelope.Recipients[0].Address != "bad@remote.example" {
					return policy.Verdict{}
				}
				return policy.Verdict{Action: tt.action, Code: tt.code, Status: tt.status, Text: policy.Label{EN: tt.text, ZH: "中文"}, Reason: "secret"}
			}}
			c := l.start().hello()
			c.say("MAIL FROM:<alice@corp.example>", "250")
			c.say("RCPT TO:<good@remote.example>", "250")
			if got := c.say("RCPT TO:<bad@remote.example>", tt.want); got != tt.want {
				t.Errorf("%q", got)
			}
			c.say("DATA", "354")
			c.sendLetter("250 2.0.0 Ok")
			if got := l.backend.received()[0].to; !slices.Equal(got, []string{"good@remote.example"}) {
				t.Errorf("went to %v", got)
			}
			if slices.Contains(l.backend.questions(), "bad@remote.example") {
				t.Error("the upstream was asked")
			}
		})
	}
}

func TestChargeAndFindingsStandInTheFirstEvent(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name    string
		verdict policy.Verdict
		lmtp    bool
		first   policy.Kind
		second  policy.Kind
		want    []policy.Finding // in the second
		answer  string
	}{
		{"handed through", policy.Verdict{}, false, policy.Offered, policy.HandedOver, nil, "250 2.0.0 Ok"},
		{"through the journal", policy.Verdict{}, true, policy.Accepted, policy.Released, nil, "250 2.0.0 Queued as"},
		{"held by a rule", policy.Verdict{Action: policy.Hold, Rule: "hour", Until: until}, false, policy.Accepted, policy.Held, []policy.Finding{decided}, "250 2.0.0 Held as"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBackend(t, func(b *backend) { b.server.LMTP = tt.lmtp })
			l := newLab(t, b)
			if tt.lmtp {
				l.settings.Router = routes{first: newUpstream(t, b.address(), func(c *upstream.Config) { c.Protocol = upstream.LMTP })}
			}
			v := tt.verdict
			v.Charge, v.Findings = charge, findings
			engine := &spy{end: always(v)}
			l.settings.Engine = engine
			c := l.start().hello()
			c.mail("alice@corp.example", "bob@remote.example")
			c.sendLetter(tt.answer)
			got := events(t, engine.last())
			if len(got) != 2 || got[0].Kind != tt.first || got[1].Kind != tt.second {
				t.Fatalf("%+v", got)
			}
			if !reflect.DeepEqual(got[0].Charge, charge) || !reflect.DeepEqual(got[0].Findings, findings) {
				t.Errorf("first %+v", got[0])
			}
			if got[1].Charge != nil || !reflect.DeepEqual(got[1].Findings, tt.want) {
				t.Errorf("second %+v", got[1])
			}
			if len(engine.forgot()) != 0 {
				t.Error("what was accepted was given back")
			}
		})
	}
}

func TestARefusalKeepsItsFindings(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	engine := &spy{end: always(policy.Verdict{
		Action: policy.Reject, Rule: "huge", Code: 550, Status: "5.5.3", Findings: findings,
		Text: policy.Label{EN: "Sending limit reached: 812 recipients in one message, the limit is 500"},
	})}
	l.settings.Engine = engine
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example")
	c.sendLetter("550 5.5.3 Sending limit reached: 812 recipients in one message, the limit is 500")
	if got := events(t, engine.last()); len(got) != 1 || got[0].Kind != policy.Refused || !reflect.DeepEqual(got[0].Findings, findings) {
		t.Errorf("%+v", got)
	}
}

func TestWhatNeedsApprovalWaits(t *testing.T) {
	until := time.Now().Add(72 * time.Hour).Truncate(time.Microsecond)
	l := newLab(t, newBackend(t, nil))
	l.settings.Engine = &spy{end: always(policy.Verdict{
		Action: policy.Approval, Rule: "large", Until: until, Expiry: policy.Reject, Reason: "limit large: too many", Findings: findings,
	})}
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example")
	answer := c.sendLetter("250 2.0.0 Waits for approval as ")
	id := idIn(t, answer)
	if answer != "250 2.0.0 Waits for approval as "+id.String() {
		t.Errorf("%q", answer)
	}
	m, body := stored(t, id)
	if m.State() != policy.StateApprovalPending || !m.Due.Equal(until) || !strings.HasSuffix(body, letterText) {
		t.Errorf("state %s, due %v, body %q", m.State(), m.Due, body)
	}
	got := events(t, id)
	if len(got) != 2 || got[0].Kind != policy.Accepted || !reflect.DeepEqual(got[0].Findings, findings) {
		t.Fatalf("%+v", got)
	}
	outcome := policy.Finding{Rule: "large", Kind: "approval", Action: policy.Reject, Next: got[1].Findings[1].Next}
	if e := got[1]; e.Kind != policy.ApprovalRequested || e.Rule != "large" || e.Reason != "limit large: too many" || e.Actor != "smtp" ||
		!reflect.DeepEqual(e.Findings, []policy.Finding{decided, outcome}) || outcome.Next.IsZero() {
		t.Errorf("%+v", e)
	}
	lines := l.log.FilterMessage("approval_requested").All()
	if len(lines) != 1 || lines[0].ContextMap()["rule"] != "large" || lines[0].ContextMap()["id"] != id.String() {
		t.Errorf("log %v", lines)
	}
	if len(l.backend.received()) != 0 {
		t.Error("it has left")
	}
}

// What is not accepted after all has taken nothing.
func TestWhatIsNotAcceptedIsForgotten(t *testing.T) {
	hold := policy.Verdict{Action: policy.Hold, Until: time.Now().Add(time.Minute), Charge: charge}
	answering := func(code int) func(b *backend) {
		return func(b *backend) {
			b.done = func(*smtp.Conn) error {
				return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 7, 1}, Message: "Said"}
			}
		}
	}
	boom := errors.New("boom")
	for _, tt := range []struct {
		name    string
		backend func(*backend)
		journal error // of each commit
		verdict policy.Verdict
		answer  string
		forgets bool
	}{
		{"passed", nil, nil, policy.Verdict{Charge: charge}, "250", false},
		{"held", nil, nil, hold, "250", false},
		{"waits for approval", nil, nil, policy.Verdict{Action: policy.Approval, Until: time.Now().Add(time.Hour)}, "250", false},
		{"refused by the rules", nil, nil, policy.Verdict{Action: policy.Reject}, "550", false},
		{"refused by the upstream", answering(554), nil, policy.Verdict{Charge: charge}, "554 5.7.1 Said", true},
		{"put off by the upstream", answering(451), nil, policy.Verdict{Charge: charge}, "451 4.7.1 Said", true},
		{"the upstream is lost after the final dot", func(b *backend) {
			b.done = func(c *smtp.Conn) error { c.Conn().Close(); return nil }
		}, nil, policy.Verdict{Charge: charge}, "451 4.4.2", false}, // it may have it
		{"an offer cannot be noted", nil, boom, policy.Verdict{Charge: charge}, "451 4.3.0", true},
		{"what is held cannot be kept", nil, boom, hold, "451 4.3.0", true},
		{"an approval cannot be kept", nil, boom, policy.Verdict{Action: policy.Approval}, "451 4.3.0", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, newBackend(t, tt.backend))
			engine := &spy{end: always(tt.verdict)}
			l.settings.Engine = engine
			if tt.journal != nil {
				l.journal = failing{journal, tt.journal}
			}
			c := l.start().hello()
			c.mail("alice@corp.example", "bob@remote.example")
			c.sendLetter(tt.answer)
			want := []policy.ID(nil)
			if tt.forgets {
				want = []policy.ID{engine.last()}
			}
			if got := engine.forgot(); !slices.Equal(got, want) {
				t.Errorf("forgot %v, want %v", got, want)
			}
		})
	}
}

func TestAMessageThatBreaksOffIsForgotten(t *testing.T) {
	for name, v := range map[string]policy.Verdict{
		"held":           {Action: policy.Hold, Until: time.Now().Add(time.Minute)},
		"handed through": {},
		"approval":       {Action: policy.Approval, Until: time.Now().Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, newBackend(t, nil))
			asked := make(chan bool, 1)
			engine := &spy{end: func(policy.Submission) policy.Verdict { asked <- true; return v }}
			l.settings.Engine = engine
			c := l.start().hello()
			c.mail("alice@corp.example", "bob@remote.example")
			c.send(letterText + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 2*bodyBuffer/80)) // more than is read at once
			<-asked
			c.Conn.(*net.TCPConn).CloseWrite()
			c.closed()
			waitFor(t, func() bool { return l.relay.shell.Open() == 0 })
			if got := engine.forgot(); !slices.Equal(got, []policy.ID{engine.last()}) {
				t.Errorf("forgot %v", got)
			}
		})
	}
}

func TestAMessageIsForgottenWhenTheUpstreamHasGone(t *testing.T) {
	l := newLab(t, newBackend(t, nil))
	engine := &spy{end: func(policy.Submission) policy.Verdict {
		l.backend.server.Close()
		return policy.Verdict{}
	}}
	l.settings.Engine = engine
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example")
	c.sendLetter("451 4.4.1 The next mail server cannot be reached, try again later")
	if got := engine.forgot(); !slices.Equal(got, []policy.ID{engine.last()}) {
		t.Errorf("forgot %v", got)
	}
}

// A route is a fact of the message: whoever delivers it, now or after a hold, goes by it.
func TestARoutedMessageGoesThroughTheJournal(t *testing.T) {
	for _, tt := range []struct {
		name   string
		action policy.Action
		answer string
		state  policy.State
	}{
		{"not held", policy.Pass, "250 2.0.0 Queued as", policy.StateQueued},
		{"held", policy.Hold, "250 2.0.0 Held as", policy.StateHeld},
		{"waits for approval", policy.Approval, "250 2.0.0 Waits for approval as", policy.StateApprovalPending},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, newBackend(t, nil))
			l.settings.Engine = &spy{end: always(policy.Verdict{
				Action: tt.action, Until: time.Now().Add(time.Hour), Upstream: "bulk", Charge: charge, Findings: findings,
			})}
			c := l.start().hello()
			c.mail("alice@corp.example", "bob@remote.example", "eve@remote.example")
			id := idIn(t, c.sendLetter(tt.answer))
			m, _ := stored(t, id)
			if m.Envelope.Route != "bulk" || m.State() != tt.state {
				t.Errorf("route %q, state %s", m.Envelope.Route, m.State())
			}
			e := events(t, id)
			if !reflect.DeepEqual(e[0].Charge, charge) {
				t.Errorf("%+v", e[0])
			}
			if tt.action == policy.Pass && e[1].Reason != "a rule sends it over the upstream bulk" {
				t.Errorf("%+v", e[1])
			}
			if len(l.backend.received()) != 0 {
				t.Error("it went the usual way")
			}
		})
	}
}

func TestFieldsOfTheRulesStandBelowReceived(t *testing.T) {
	tags := []policy.Field{
		{Name: "X-Sendgate-Limit", Value: "many"},
		{Name: "X-Why", Value: "超过上限"},
		{Name: "X-Lines", Value: "a\r\nBcc: evil@x.example"},
		{Name: "no name", Value: "x"},
		{Name: "no:name", Value: "x"},
		{Name: "", Value: "x"},
	}
	const want = "X-Sendgate-Limit: many\r\nX-Why: =?utf-8?q?=E8=B6=85=E8=BF=87=E4=B8=8A=E9=99=90?=\r\n" +
		"X-Lines: =?utf-8?q?a=0D=0ABcc:_evil@x.example?=\r\n"
	for name, action := range map[string]policy.Action{"held": policy.Hold, "handed through": policy.Pass} {
		for _, trace := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				l := newLab(t, newBackend(t, nil))
				l.settings.Config.ReceivedHeader = trace
				l.settings.Engine = &spy{end: always(policy.Verdict{Action: action, Until: time.Now().Add(time.Hour), Tags: tags})}
				c := l.start().hello()
				c.mail("alice@corp.example", "bob@remote.example")
				answer := c.sendLetter("250")
				var body string
				if action == policy.Hold {
					var m store.Message
					if m, body = stored(t, idIn(t, answer)); m.Envelope.Size != int64(len(body)) {
						t.Errorf("size %d of %d", m.Envelope.Size, len(body))
					}
				} else {
					body = l.backend.received()[0].body
				}
				before, ok := strings.CutSuffix(body, want+letterText)
				if !ok || trace != strings.HasPrefix(before, "Received: from ") || !trace && before != "" {
					t.Errorf("%q", body)
				}
			})
		}
	}
}

func TestTheAnswerSaysWhatIsExceeded(t *testing.T) {
	for _, action := range []policy.Action{policy.Hold, policy.Approval} {
		l := newLab(t, newBackend(t, nil))
		l.settings.Engine = fixed(func(s policy.Submission) policy.Verdict {
			if s.Stage != policy.StageEnd {
				return policy.Verdict{}
			}
			return policy.Verdict{
				Action: action, Rule: "hour", Until: s.Time.Add(time.Hour), Shown: s.Time.Add(time.Hour),
				Text:     policy.Label{EN: "Held for the sending limit: 3 of 3 used"},
				Findings: []policy.Finding{{Rule: "hour", Kind: "limit", Decided: true, Exceeded: true, Action: action}},
			}
		})
		c := l.start().hello()
		c.mail("alice@corp.example", "bob@remote.example")
		c.send("Subject: x\r\n\r\nx\r\n.\r\n")
		if got := c.expect("250"); !strings.HasSuffix(strings.TrimSpace(got), "; Held for the sending limit: 3 of 3 used") {
			t.Errorf("%s: %q", action, got)
		}
	}
}
