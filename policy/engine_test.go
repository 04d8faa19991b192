package policy

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

// rules makes an engine that holds for a minute, with ann in the group sales.
func rules(t *testing.T, list ...Rule) *Rules {
	t.Helper()
	directory, err := NewDirectory([]Identity{{Login: "ann", Addresses: []string{"ann@corp.example"}, Groups: []string{"sales"}}})
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	for i := range list {
		list[i].Action = Hold
	}
	c.Rules = list
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return NewRules(c, directory)
}

func submission(recipients ...Address) Submission {
	e := envelope()
	e.Recipients = nil
	for _, a := range recipients {
		e.Recipients = append(e.Recipients, Recipient{Address: a})
	}
	return Submission{Time: noon, Envelope: e, Trusted: true}
}

// held is how long a verdict says, in seconds; 0 is at once.
func held(t *testing.T, v Verdict) int {
	t.Helper()
	if v.Action == Pass {
		if !v.Until.IsZero() || !v.Shown.IsZero() || v.Text != (Label{}) {
			t.Errorf("a pass speaks of a hold: %+v", v)
		}
		return 0
	}
	if v.Action != Hold || v.Until.Sub(v.Shown) != 3*time.Second {
		t.Errorf("%s until %v, shown %v", v.Action, v.Until, v.Shown)
	}
	return int(v.Shown.Sub(noon) / time.Second)
}

func to(patterns ...string) Match { return Match{Recipients: patterns} }

func TestDecide(t *testing.T) {
	const bob, cat, dan = Address("bob@far.example"), Address("cat@near.example"), Address("dan@otp.example")
	list := func() []Rule {
		return []Rule{
			{Name: "none to otp", For: 0, Match: to("@otp.example")},
			{Name: "long to near", For: 300 * time.Second, Match: to("@.near.example")},
			{Name: "short to cat", For: 10 * time.Second, Match: to(string(cat), "eve@y.example")},
		}
	}
	for _, c := range []struct {
		outcome    string
		rules      []Rule
		recipients []Address
		want       int
		rule       string
	}{
		{"the default without rules", nil, []Address{bob}, 60, ""},
		{"the default where no rule matches", list(), []Address{bob}, 60, ""},
		{"the first rule that matches decides", list(), []Address{cat}, 300, "long to near"},
		{"a later rule for another", list(), []Address{"eve@y.example"}, 10, "short to cat"},
		{"a shorter rule undercuts the default", list(), []Address{"eve@y.example", dan}, 10, "short to cat"},
		{"no hold for one kind of recipient", list(), []Address{dan}, 0, "none to otp"},
		{"no hold only if it is so for all", list(), []Address{dan, bob}, 60, ""},
		{"no hold for all of them", list(), []Address{dan, "eva@otp.example"}, 0, "none to otp"},
		{"the longest recipient decides", list(), []Address{bob, cat, dan}, 300, "long to near"},
		{"the order of recipients does not matter", list(), []Address{cat, dan, bob}, 300, "long to near"},
		{"nobody is named yet", list(), nil, 0, ""},
		{"a rule for a group", []Rule{{Name: "g", For: 5 * time.Second, Match: Match{Groups: []string{"sales"}}}}, []Address{bob}, 5, "g"},
		{"a rule for another group", []Rule{{Name: "g", For: 5 * time.Second, Match: Match{Groups: []string{"it"}}}}, []Address{bob}, 60, ""},
		{"a rule for another sender", []Rule{{Name: "s", For: 0, Match: Match{Senders: []string{"@x.example"}}}}, []Address{bob}, 60, ""},
		{"a rule for a network", []Rule{{Name: "n", For: 0, Match: Match{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}}, []Address{bob}, 0, "n"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			v := rules(t, c.rules...).Decide(t.Context(), submission(c.recipients...))
			if got := held(t, v); got != c.want || v.Rule != c.rule || v.Shadow != nil {
				t.Errorf("%d s by %q, shadow %q; want %d s by %q", got, v.Rule, v.Shadow, c.want, c.rule)
			}
		})
	}
}

func TestAHoldIsToldAsShownAndEndsLater(t *testing.T) {
	got := rules(t).Decide(t.Context(), submission("bob@far.example"))
	want := Verdict{
		Action: Hold, Shown: noon.Add(60 * time.Second), Until: noon.Add(63 * time.Second),
		Text: Label{"held for 1m0s, recall until then", "暂缓发送 1m0s，期间可撤回"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWhatIsNeverHeld(t *testing.T) {
	for outcome, change := range map[string]func(*Envelope){
		"inbound mail":                func(e *Envelope) { e.Direction = Inbound },
		"mail from the null sender":   func(e *Envelope) { e.Sender = "" },
		"what sendgate wrote itself":  func(e *Envelope) { e.Front = Internal },
		"a notice to an outer person": func(e *Envelope) { e.Front, e.Sender = Internal, "" },
	} {
		t.Run(outcome, func(t *testing.T) {
			s := submission("bob@far.example")
			s.Header = header(map[string][]string{"X-Sendgate-Hold": {"300"}})
			change(s.Envelope)
			engine := rules(t, Rule{Name: "all", For: time.Minute}, Rule{Name: "shadow", For: time.Minute, Shadow: true})
			if v := engine.Decide(t.Context(), s); !reflect.DeepEqual(v, Verdict{}) {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestHoldAskedForInTheHeader(t *testing.T) {
	const fromHeader = "header X-Sendgate-Hold"
	for _, c := range []struct {
		outcome string
		values  []string
		want    int
		rule    string
	}{
		{"seconds", []string{"5"}, 5, fromHeader},
		{"with space around", []string{" 5\t"}, 5, fromHeader},
		{"none", []string{"0"}, 0, fromHeader},
		{"the maximum", []string{"900"}, 900, fromHeader},
		{"more than the maximum", []string{"901"}, 900, fromHeader},
		{"so many seconds that nanoseconds overflow", []string{"10000000000"}, 900, fromHeader},
		{"so many that they overflow to a small number", []string{"18446744074"}, 900, fromHeader},
		{"the largest number there is", []string{"9223372036854775807"}, 900, fromHeader},
		{"the first of two", []string{"7", "8"}, 7, fromHeader},
		{"the first good one", []string{"soon", "8"}, 8, fromHeader},
		{"no field", nil, 30, "r"},
		{"an empty field", []string{""}, 30, "r"},
		{"a negative number", []string{"-1"}, 30, "r"},
		{"a fraction", []string{"1.5"}, 30, "r"},
		{"a unit", []string{"5s"}, 30, "r"},
		{"no number at all", []string{"99999999999999999999"}, 30, "r"},
		{"hexadecimal", []string{"0x10"}, 30, "r"},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			s := submission("bob@far.example")
			s.Header = header(map[string][]string{"X-Sendgate-Hold": c.values})
			v := rules(t, Rule{Name: "r", For: 30 * time.Second}).Decide(t.Context(), s)
			if got := held(t, v); got != c.want || v.Rule != c.rule {
				t.Errorf("%q: %d s by %q", c.values, got, v.Rule)
			}
		})
	}
}

func TestTheHeaderIsBelievedOnlyFromTrustedClients(t *testing.T) {
	s := submission("bob@far.example")
	s.Header = header(map[string][]string{"X-Sendgate-Hold": {"0"}, "": {"0"}})
	s.Trusted = false
	if got := held(t, rules(t).Decide(t.Context(), s)); got != 60 {
		t.Errorf("a stranger's header holds for %d s", got)
	}
	s.Trusted = true
	engine := rules(t)
	engine.config.Hold.Header = ""
	if got := held(t, engine.Decide(t.Context(), s)); got != 60 {
		t.Errorf("a header that is switched off holds for %d s", got)
	}
	engine = rules(t)
	engine.config.Hold.Max = 1500 * time.Millisecond
	s.Header = header(map[string][]string{"X-Sendgate-Hold": {"2"}})
	if v := engine.Decide(t.Context(), s); !v.Shown.Equal(noon.Add(1500 * time.Millisecond)) {
		t.Errorf("shown %v", v.Shown)
	}
}

func TestARuleInShadowOnlySays(t *testing.T) {
	for _, c := range []struct {
		outcome    string
		rules      []Rule
		recipients []Address
		want       int
		shadow     []string
	}{
		{"it changes nothing", []Rule{{Name: "s", For: 5 * time.Minute, Shadow: true}}, []Address{"a@x.example"}, 60, []string{"s: hold 5m0s"}},
		{"it is said once for all recipients", []Rule{{Name: "s", For: 0, Shadow: true}}, []Address{"a@x.example", "b@x.example"}, 60, []string{"s: hold 0s"}},
		{"a live rule behind it decides", []Rule{{Name: "s", For: 0, Shadow: true}, {Name: "r", For: 5 * time.Second}}, []Address{"a@x.example"}, 5, []string{"s: hold 0s"}},
		{"it would have come too late", []Rule{{Name: "r", For: 5 * time.Second}, {Name: "s", For: 0, Shadow: true}}, []Address{"a@x.example"}, 5, nil},
		{"it names nobody here", []Rule{{Name: "s", For: 0, Shadow: true, Match: to("@y.example")}}, []Address{"a@x.example"}, 60, nil},
		{"it names another sender", []Rule{{Name: "s", For: 0, Shadow: true, Match: Match{Senders: []string{"<>"}}}}, []Address{"a@x.example"}, 60, nil},
		{"it names one of two", []Rule{
			{Name: "r", For: 0, Match: to("@x.example")}, {Name: "s", For: time.Second, Shadow: true},
		}, []Address{"a@x.example", "b@y.example"}, 60, []string{"s: hold 1s"}},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			v := rules(t, c.rules...).Decide(t.Context(), submission(c.recipients...))
			if got := held(t, v); got != c.want || !slices.Equal(v.Shadow, c.shadow) {
				t.Errorf("%d s, shadow %q", got, v.Shadow)
			}
		})
	}
}

// The same input gives the same verdict, from many goroutines at once.
func TestDecideIsDeterministic(t *testing.T) {
	engine := rules(t,
		Rule{Name: "s1", For: time.Second, Shadow: true, Match: to("@x.example")},
		Rule{Name: "s2", For: time.Second, Shadow: true},
		Rule{Name: "a", For: 90 * time.Second, Match: Match{Headers: map[string]string{"A": "*", "B": "*", "C": "*"}, Recipients: []string{"@x.example"}}},
		Rule{Name: "b", For: 90 * time.Second},
	)
	s := submission("u@y.example", "v@x.example", "w@x.example")
	s.Header = header(map[string][]string{"A": {"1"}, "B": {"1"}, "C": {"1"}})
	want := engine.Decide(t.Context(), s)
	if held(t, want) != 90 || want.Rule != "b" || !slices.Equal(want.Shadow, []string{"s1: hold 1s", "s2: hold 1s"}) {
		t.Fatalf("%+v", want)
	}
	for i := range 4 {
		t.Run(fmt.Sprint("goroutine ", i), func(t *testing.T) {
			t.Parallel()
			for range 50 {
				if got := engine.Decide(t.Context(), s); !reflect.DeepEqual(got, want) {
					t.Fatalf("got  %+v\nwant %+v", got, want)
				}
			}
		})
	}
}
