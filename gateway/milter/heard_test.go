package milter

import (
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

// gossip gathers what it is told.
type gossip struct {
	mu    sync.Mutex
	all   []string
	panic bool
}

func (g *gossip) Heard(_ time.Time, to, from policy.Address) {
	g.add(string(to) + " from " + string(from))
}

func (g *gossip) signedIn(one policy.SignIn) {
	g.add(strings.TrimSpace(one.Identity + " at " + one.Client.String() + " " + one.Mechanism))
}

func (g *gossip) add(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, what)
	if g.panic {
		panic("gossip")
	}
}

func (g *gossip) told() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.all)
}

func TestInboundMailIsHeard(t *testing.T) {
	many := make([]string, maxHeard+1)
	for i := range many {
		many[i] = "alice@corp.example"
	}
	for _, tt := range []struct {
		name   string
		client string
		from   string
		to     []string
		want   []string
	}{
		{"from outside", "198.51.100.7", "bob@remote.example", []string{"alice@corp.example", "eve@corp.example"},
			[]string{"alice@corp.example from bob@remote.example", "eve@corp.example from bob@remote.example"}},
		{"outbound", "192.0.2.7", "alice@corp.example", []string{"bob@remote.example"}, nil},
		{"the null sender", "198.51.100.7", "", []string{"alice@corp.example"}, nil},
		{"no address", "198.51.100.7", "@@", []string{"alice@corp.example"}, nil},
		{"one recipient is no address", "198.51.100.7", "bob@remote.example", []string{"@@", "alice@corp.example"}, []string{"alice@corp.example from bob@remote.example"}},
		{"too many", "198.51.100.7", "bob@remote.example", many, slices.Repeat([]string{"alice@corp.example from bob@remote.example"}, maxHeard)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t).passing()
			g := &gossip{}
			l.settings.Hearer = g
			p := l.start().dial().client(tt.client)
			p.want("c", p.message("4ZHeard", tt.from, tt.to...)[0])
			if got := g.told(); !slices.Equal(got, tt.want) {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnfinishedInboundMailIsNotHeard(t *testing.T) {
	l := newLab(t)
	g := &gossip{}
	l.settings.Hearer = g
	p := l.start().dial().client("198.51.100.7")
	p.want("c", p.mail("bob@remote.example"))
	p.want("c", p.rcpt("alice@corp.example"))
	p.abort()
	p.want("c", p.message("4ZHeardNext", "eve@remote.example", "alice@corp.example")[0])
	if got := g.told(); !slices.Equal(got, []string{"alice@corp.example from eve@remote.example"}) {
		t.Errorf("told %q", got)
	}
}

func TestAPanicOfTheHearerIsNotInTheWay(t *testing.T) {
	l := newLab(t)
	l.settings.Hearer = &gossip{panic: true}
	p := l.start().dial().client("198.51.100.7")
	p.want("c", p.message("4ZHeardPanic", "bob@remote.example", "alice@corp.example")[0])
	if len(l.verbs("panic")) != 1 {
		t.Error("nothing was logged")
	}
}

func TestLoginsAreTold(t *testing.T) {
	l := newLab(t).passing()
	g := &gossip{}
	l.settings.SignedIn = g.signedIn
	p := l.start().dial().client("198.51.100.7")
	for _, login := range []string{"Alice@corp.example", "", "mallory"} {
		var macros []string
		if login != "" {
			macros = []string{"{auth_authen}", login, "{auth_type}", map[string]string{"mallory": "login"}[login]}
		}
		p.want("c", p.mail("alice@corp.example", macros...))
		p.abort()
	}
	p.want("c", p.message("4ZLogins", "alice@corp.example", "bob@remote.example")[0])
	if got := g.told(); !slices.Equal(got, []string{"alice at 198.51.100.7", "mallory at 198.51.100.7 LOGIN"}) {
		t.Errorf("told %q", got)
	}
}

// An instruction is accepted and goes nowhere.
func TestInstructionsGoNowhere(t *testing.T) {
	instruction := policy.Verdict{
		Action: policy.Discard, Rule: "recall by mail", Reason: "alice asks to take 01J back", Findings: findings, Charge: charge,
		Tags: []policy.Field{{Name: "X-Tag", Value: "none"}},
	}
	l := newLab(t)
	l.settings.Engine = &spy{end: always(instruction)}
	l.settings.Needs.Fields = true
	p := l.start().dial().client("192.0.2.7")
	if got := p.message("4ZDiscard", "alice@corp.example", "recall@corp.example"); !slices.Equal(got, []string{"d"}) {
		t.Fatalf("answered %q", got)
	}
	c := l.committed("4ZDiscard") // before the answer
	if len(c.Events) != 2 || c.Events[0].Kind != policy.Accepted || !reflect.DeepEqual(c.Events[0].Charge, charge) ||
		c.Events[1].Kind != policy.Canceled || c.Events[1].Rule != instruction.Rule || c.Events[1].Reason != instruction.Reason {
		t.Errorf("%+v", c.Events)
	}
	if m := stored(t, c.Message); m.State() != policy.StateCanceled {
		t.Errorf("state %s", m.State())
	}
	if lines := l.verbs("discarded"); len(lines) != 1 || lines[0].ContextMap()["rule"] != instruction.Rule {
		t.Errorf("log %v", lines)
	}
	p.abort() // the session goes on
	p.want("d", p.message("4ZDiscardNext", "alice@corp.example", "recall@corp.example")[0])
}

func TestAnInstructionThatCannotBeKeptIsNotTaken(t *testing.T) {
	for on, want := range map[OnError]string{OnErrorTempfail: "452 4.3.1 Insufficient system storage, try again later", OnErrorAccept: "c"} {
		l := newLab(t)
		engine := &spy{end: always(policy.Verdict{Action: policy.Discard})}
		l.settings.Engine, l.settings.Config.OnError = engine, on
		l.journal.fail = func(store.Change) error { return errors.Join(store.ErrFull) }
		p := l.start().dial().client("192.0.2.7")
		p.want(want, p.message("4ZDiscardFull", "alice@corp.example", "recall@corp.example")[0])
		if len(engine.forgot()) != 1 {
			t.Errorf("%s: forgot %v", on, engine.forgot())
		}
	}
}
