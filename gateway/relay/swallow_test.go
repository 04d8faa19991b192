package relay

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

var instruction = policy.Verdict{
	Action: policy.Discard, Rule: "recall by mail", Reason: "alice asks to take 01J back", Findings: findings,
	Text: policy.Label{EN: "sendgate reports soon"},
}

// An instruction is accepted and goes nowhere, whenever the rules say that it is one.
func TestInstructionsGoNowhere(t *testing.T) {
	soon := time.Now().Add(time.Minute)
	hold := policy.Verdict{Action: policy.Hold, Until: soon, Shown: soon, Rule: "hold", Charge: charge}
	for _, tt := range []struct {
		name            string
		header, content policy.Verdict
	}{
		{"known by its header", instruction, policy.Verdict{}},
		{"held at the header", hold, instruction},
		{"handed through at the header", policy.Verdict{Charge: charge}, instruction},
		{"refused by its content", instruction, policy.Verdict{Action: policy.Reject, Code: 550}},
		{"routed at the header", policy.Verdict{Upstream: "bulk"}, instruction},
	} {
		t.Run(tt.name, func(t *testing.T) {
			engine := &spy{end: always(tt.header), content: always(tt.content)}
			l := newReader(t, engine).start()
			c := l.hello()
			c.mail("alice@corp.example", "recall@corp.example")
			answer := c.sendLetter("250 2.0.0 Taken as ")
			id := idIn(t, answer)
			if !strings.HasSuffix(answer, id.String()+"; sendgate reports soon") || id != engine.last() {
				t.Errorf("answer %q", answer)
			}
			got := events(t, id)
			if !slices.Equal(kinds(t, id), []policy.Kind{policy.Accepted, policy.Canceled}) {
				t.Fatalf("%+v", got)
			}
			if !reflect.DeepEqual(got[0].Charge, tt.header.Charge) || got[1].Rule != instruction.Rule || got[1].Reason != instruction.Reason || got[1].Actor != actor {
				t.Errorf("%+v", got)
			}
			m, err := journal.Message(id)
			if err != nil || m.State() != policy.StateCanceled || m.Envelope.Size <= int64(len(letterText)) {
				t.Errorf("%+v, %v", m, err)
			}
			if _, err := journal.Body(id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("body: %v", err)
			}
			c.say("NOOP", "250")
			if n := len(l.backend.received()); n != 0 || len(engine.forgot()) != 0 {
				t.Errorf("%d letters at the upstream, forgot %v", n, engine.forgot())
			}
			if lines := l.log.FilterMessage("discarded").All(); len(lines) != 1 || lines[0].ContextMap()["rule"] != instruction.Rule {
				t.Errorf("log %v", lines)
			}
		})
	}
}

// The upstream does not know the addresses that instructions are written to.
func TestTheAddressOfInstructionsIsNotAskedFor(t *testing.T) {
	b := newBackend(t, func(b *backend) {
		b.rcpt = func(to string) error {
			if strings.HasPrefix(to, "recall@") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
			}
			return nil
		}
	})
	l := newLab(t, b)
	engine := &spy{
		rcpt: func(s policy.Submission) policy.Verdict {
			if s.Envelope.Recipients[0].Address == "recall@corp.example" {
				return policy.Verdict{Action: policy.Discard}
			}
			return policy.Verdict{}
		},
		end: always(instruction),
	}
	l.settings.Engine = engine
	c := l.start().hello()
	c.mail("alice@corp.example", "recall@corp.example")
	c.sendLetter("250 2.0.0 Taken as ")

	// Where it turns out to be none, the address is as unknown as it is.
	engine.end = nil
	c.mail("alice@corp.example", "recall@corp.example")
	c.sendLetter("550 5.1.1 User unknown")
}

func TestAnInstructionThatCannotBeKeptIsNotTaken(t *testing.T) {
	for name, header := range map[string]policy.Verdict{"known by its header": instruction, "handed through": {}} {
		t.Run(name, func(t *testing.T) {
			engine := &spy{end: always(header), content: always(instruction)}
			l := newReader(t, engine)
			l.journal = failing{journal, store.ErrFull}
			c := l.start().hello()
			c.mail("alice@corp.example", "recall@corp.example")
			c.sendLetter("452 4.3.1 Insufficient system storage")
			if !slices.Equal(engine.forgot(), []policy.ID{engine.last()}) {
				t.Errorf("forgot %v", engine.forgot())
			}
			if n := len(l.backend.received()); n != 0 {
				t.Errorf("%d letters at the upstream", n)
			}
		})
	}
}
