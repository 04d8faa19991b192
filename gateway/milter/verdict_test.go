package milter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A spy is an engine that remembers what it was asked and what it was to forget.
type spy struct {
	rcpt func(policy.Submission) policy.Verdict // nil lets pass; so with end
	end  func(policy.Submission) policy.Verdict

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
	}
	return policy.Verdict{}
}

func (s *spy) Forget(_ time.Time, id policy.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = append(s.forgotten, id)
}

func (s *spy) questions() []policy.Submission {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
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

func TestTheRulesAreToldHowFarItIs(t *testing.T) {
	for _, body := range []bool{true, false} {
		l := newLab(t)
		engine := &spy{}
		l.settings.Engine = engine
		l.settings.Needs = Needs{Envelope: true, Body: body}
		l.start()
		queueID := map[bool]string{true: "4ZStage1", false: "4ZStage2"}[body]
		p := l.dial().client("192.0.2.7")
		p.want("c", p.mail("alice@corp.example"))
		p.want("c", p.rcpt("bob@remote.example"))
		p.want("c", p.rcpt("eve@remote.example"))
		p.header("Subject", "hello")
		p.body("one\r\n")
		if body {
			p.body("two\r\n")
		}
		p.want("c", p.end(queueID)[0])
		asked := engine.questions()
		if len(asked) != 4 {
			t.Fatalf("asked %d times", len(asked))
		}
		for i, want := range []struct {
			stage   policy.Stage
			already int
		}{{policy.StageMail, 0}, {policy.StageRcpt, 0}, {policy.StageRcpt, 1}, {policy.StageEnd, 0}} {
			got := asked[i]
			end := want.stage == policy.StageEnd
			if got.Stage != want.stage || got.Already != want.already || (got.ID != policy.ID{}) != end || !got.Trusted || got.Time.IsZero() {
				t.Errorf("question %d: %+v", i, got)
			}
			if want.stage == policy.StageRcpt && len(got.Envelope.Recipients) != 1 {
				t.Errorf("question %d: recipients %v", i, got.Envelope.Recipients)
			}
		}
		last := asked[3]
		if c := l.committed(queueID); c.Message != last.ID {
			t.Errorf("accepted as %s, asked about %s", c.Message, last.ID)
		}
		var digest [16]byte
		if sum := sha256.Sum256([]byte("one\r\ntwo\r\n")); body {
			copy(digest[:], sum[:])
		}
		if !bytes.Equal(last.Digest[:], digest[:]) {
			t.Errorf("digest %x, want %x", last.Digest, digest)
		}
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
		{policy.Reject, 550, "5.7.13", "This account is suspended from sending to other organisations; contact IT", "550 5.7.13 This account is suspended from sending to other organisations; contact IT"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			l := newLab(t)
			l.settings.Needs.Envelope = true
			l.settings.Engine = &spy{rcpt: func(s policy.Submission) policy.Verdict {
				if s.Envelope.Recipients[0].Address != "bad@remote.example" {
					return policy.Verdict{}
				}
				return policy.Verdict{Action: tt.action, Code: tt.code, Status: tt.status, Text: policy.Label{EN: tt.text, ZH: "中文"}, Reason: "secret"}
			}}
			l.start()
			p := l.dial().client("192.0.2.7")
			p.want("c", p.mail("alice@corp.example"))
			p.want("c", p.rcpt("good@remote.example"))
			p.want(tt.want, p.rcpt("bad@remote.example"))
			p.body("x\r\n")
			queueID := "4ZWord" + strings.ReplaceAll(tt.status, ".", "")
			p.want("c", p.end(queueID)[0])
			if to := l.committed(queueID).Envelope.Recipients; len(to) != 1 || to[0].Address != "good@remote.example" {
				t.Errorf("recipients %v", to)
			}
		})
	}
}

func TestChargeAndFindingsStandInTheFirstEvent(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name          string
		verdict       policy.Verdict
		first, second policy.Kind
		want          []policy.Finding // in the second
	}{
		{"passes", policy.Verdict{}, policy.Accepted, policy.Queued, nil},
		{"held by a rule", policy.Verdict{Action: policy.Hold, Rule: "hour", Until: until}, policy.Accepted, policy.Held, []policy.Finding{decided}},
		{"refused", policy.Verdict{Action: policy.Reject}, policy.Refused, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.verdict
			v.Findings = findings
			if v.Action != policy.Reject {
				v.Charge = charge
			}
			l := newLab(t)
			engine := &spy{end: always(v)}
			l.settings.Engine = engine
			l.start()
			queueID := "4ZFind" + strings.ReplaceAll(tt.name, " ", "")
			l.dial().client("192.0.2.7").message(queueID, "alice@corp.example", "bob@remote.example")
			got := l.committed(queueID).Events
			if got[0].Kind != tt.first || !reflect.DeepEqual(got[0].Charge, v.Charge) || !reflect.DeepEqual(got[0].Findings, findings) {
				t.Errorf("first %+v", got[0])
			}
			if tt.second != "" && (len(got) != 2 || got[1].Kind != tt.second || got[1].Charge != nil || !reflect.DeepEqual(got[1].Findings, tt.want)) {
				t.Errorf("%+v", got)
			}
			if len(engine.forgot()) != 0 {
				t.Error("something was given back")
			}
		})
	}
}

func TestWhatNeedsApprovalWaitsInPostfix(t *testing.T) {
	until := time.Now().Add(72 * time.Hour)
	l := newLab(t)
	l.settings.Engine = &spy{end: always(policy.Verdict{
		Action: policy.Approval, Rule: "large", Until: until, Expiry: policy.Pass, Reason: "limit large: too many", Findings: findings,
	})}
	l.start()
	answers := l.dial().client("192.0.2.7").message("4ZAppr1", "alice@corp.example", "bob@remote.example")
	c := l.committed("4ZAppr1")
	if want := []string{"q sendgate " + c.Message.String() + " waits for approval", "c"}; !slices.Equal(answers, want) {
		t.Errorf("answers %q, want %q", answers, want)
	}
	outcome := policy.Finding{Rule: "large", Kind: "approval", Action: policy.Pass, Next: until}
	if len(c.Events) != 2 || c.Events[0].Kind != policy.Accepted || !reflect.DeepEqual(c.Events[0].Findings, findings) {
		t.Fatalf("%+v", c.Events)
	}
	if e := c.Events[1]; e.Kind != policy.ApprovalRequested || !e.Until.Equal(until) || e.Rule != "large" || e.Reason != "limit large: too many" ||
		!reflect.DeepEqual(e.Findings, []policy.Finding{decided, outcome}) {
		t.Errorf("%+v", e)
	}
	if m := stored(t, c.Message); m.State() != policy.StateApprovalPending || m.Envelope.QueueID != "4ZAppr1" {
		t.Errorf("state %s", m.State())
	}
	lines := l.verbs("approval_requested")
	if len(lines) != 1 || lines[0].ContextMap()["rule"] != "large" {
		t.Errorf("log %v", lines)
	}
}

// What is not accepted after all has taken nothing.
func TestWhatIsNotAcceptedIsForgotten(t *testing.T) {
	hold := policy.Verdict{Action: policy.Hold, Until: time.Now().Add(time.Minute), Charge: charge}
	approval := policy.Verdict{Action: policy.Approval, Until: time.Now().Add(time.Hour)}
	for _, tt := range []struct {
		name    string
		verdict func(policy.Submission) policy.Verdict
		queueID string
		actions uint32
		journal error
		forgets bool
	}{
		{"held", always(hold), "4ZForget1", postfixActions, nil, false},
		{"passed", always(policy.Verdict{}), "4ZForget2", postfixActions, nil, false},
		{"refused", always(policy.Verdict{Action: policy.Defer}), "4ZForget3", postfixActions, nil, false},
		{"waits for approval", always(approval), "4ZForget4", postfixActions, nil, false},
		{"the journal fails", always(hold), "4ZForget5", postfixActions, store.ErrFull, true},
		{"the journal fails with an approval", always(approval), "4ZForget6", postfixActions, errors.New("boom"), true},
		{"no queue id", always(hold), "", postfixActions, nil, true},
		{"no quarantine", always(approval), "4ZForget7", 0x1f, nil, true},
		{"a rule panics", func(policy.Submission) policy.Verdict { panic("broken rule") }, "4ZForget8", postfixActions, nil, true},
	} {
		for _, way := range []OnError{OnErrorTempfail, OnErrorAccept} {
			t.Run(tt.name+", "+string(way), func(t *testing.T) {
				l := newLab(t)
				l.settings.Config.OnError = way
				engine := &spy{end: tt.verdict}
				l.settings.Engine = engine
				if tt.journal != nil {
					l.journal.fail = func(store.Change) error { return tt.journal }
				}
				l.start()
				p := l.connect()
				p.negotiate(tt.actions, postfixProtocol)
				p.client("192.0.2.7").message(tt.queueID, "alice@corp.example", "bob@remote.example")
				var want []policy.ID
				if asked := engine.questions(); tt.forgets {
					want = []policy.ID{asked[len(asked)-1].ID}
				}
				if got := engine.forgot(); !slices.Equal(got, want) {
					t.Errorf("forgot %v, want %v", got, want)
				}
			})
		}
	}
}

// What was not decided on has nothing to be forgotten, least of all under the id of another message.
func TestWhatTheRulesHaveNotSeenIsNotForgotten(t *testing.T) {
	l := newLab(t)
	engine := &spy{}
	l.settings.Engine = engine
	l.start()
	l.dial().client("192.0.2.7").message("4ZUnseen", "alice@corp.example", "x\x01@y")
	if len(engine.questions()) != 0 || len(engine.forgot()) != 0 {
		t.Errorf("asked %v, forgot %v", engine.questions(), engine.forgot())
	}
}

// Postfix knows one way for a message; the check of the configuration refuses such a rule.
func TestWhatIsRoutedElsewhereIsHeld(t *testing.T) {
	l := newLab(t)
	now := time.Now().Truncate(time.Second)
	l.now = func() time.Time { return now }
	l.settings.Engine = &spy{end: always(policy.Verdict{Upstream: "bulk", Rule: "many", Charge: charge})}
	l.start()
	answers := l.dial().client("192.0.2.7").message("4ZRoute1", "alice@corp.example", "bob@remote.example")
	c := l.committed("4ZRoute1")
	until := now.Add(15 * time.Minute)
	if want := []string{"q sendgate " + c.Message.String() + " holds until " + until.UTC().Format(time.RFC3339), "c"}; !slices.Equal(answers, want) {
		t.Errorf("answers %q, want %q", answers, want)
	}
	if e := c.Events[1]; e.Kind != policy.Held || !e.Until.Equal(until) || e.Rule != "many" || c.Envelope.Route != "" {
		t.Errorf("%+v, route %q", e, c.Envelope.Route)
	}
}

func TestFieldsOfTheRulesAreAdded(t *testing.T) {
	tags := []policy.Field{
		{Name: "X-Sendgate-Limit", Value: "many"}, {Name: "X-Why", Value: "超过上限"},
		{Name: "X-Lines", Value: "a\r\nBcc: evil@x.example"}, {Name: "no name", Value: "x"}, {Name: "", Value: "x"},
	}
	for name, action := range map[string]policy.Action{"4ZTag1": policy.Pass, "4ZTag2": policy.Hold, "4ZTag3": policy.Approval} {
		for _, agreed := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				l := newLab(t)
				l.settings.Needs.Fields = agreed
				l.settings.Engine = &spy{end: always(policy.Verdict{Action: action, Until: time.Now().Add(time.Hour), Tags: tags})}
				l.start()
				var fields []string
				for _, a := range l.dial().client("192.0.2.7").message(name, "alice@corp.example", "bob@remote.example") {
					if field, ok := strings.CutPrefix(a, "h "); ok {
						fields = append(fields, field)
					}
				}
				var want []string
				if agreed {
					want = []string{"X-Sendgate-Limit: many", "X-Why: =?utf-8?q?=E8=B6=85=E8=BF=87=E4=B8=8A=E9=99=90?=",
						"X-Lines: =?utf-8?q?a=0D=0ABcc:_evil@x.example?="}
				}
				if !slices.Equal(fields, want) {
					t.Errorf("fields %q", fields)
				}
			})
		}
	}
}
