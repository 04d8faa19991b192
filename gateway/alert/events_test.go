package alert

import (
	"fmt"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func people(t *testing.T) People {
	t.Helper()
	d, err := policy.NewDirectory([]policy.Identity{
		{Login: "ann", Addresses: []string{"ann@corp.example", "sales@corp.example"}},
		{Login: "app@corp.example", Apart: true},
		{Login: "robot"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return People{Config: policy.Config{Internal: []string{"@corp.example"}}, Directory: d}
}

func TestMailboxes(t *testing.T) {
	p := people(t)
	for name, tt := range map[string]struct {
		e    policy.Envelope
		want policy.Address
	}{
		"an address of the identity":        {policy.Envelope{Identity: "ann", Sender: "sales@corp.example"}, "sales@corp.example"},
		"not the address of somebody else":  {policy.Envelope{Identity: "ann", Login: "ann", Sender: "bob@corp.example"}, "ann@corp.example"},
		"not an address from elsewhere":     {policy.Envelope{Identity: "ann", Login: "ann", Sender: "x@elsewhere.example"}, "ann@corp.example"},
		"a trusted network":                 {policy.Envelope{Identity: "bob@corp.example", Sender: "bob@corp.example"}, "bob@corp.example"},
		"with a detail":                     {policy.Envelope{Identity: "bob@corp.example", Sender: "bob+news@corp.example"}, "bob@corp.example"},
		"what is only forwarded":            {policy.Envelope{Identity: "x@elsewhere.example", Sender: "x@elsewhere.example"}, ""},
		"a login that nobody configured":    {policy.Envelope{Identity: "x@hosted.example", Login: "x@hosted.example", Sender: "x@hosted.example"}, "x@hosted.example"},
		"a bare login of the same name":     {policy.Envelope{Identity: "eve", Login: "eve", Sender: "eve@corp.example"}, "eve@corp.example"},
		"a bare login of another name":      {policy.Envelope{Identity: "eve", Login: "eve", Sender: "bob@corp.example"}, ""},
		"an application":                    {policy.Envelope{Identity: "app@corp.example#192.0.2.1", Sender: "app@corp.example"}, "app@corp.example"},
		"a client address":                  {policy.Envelope{Identity: "192.0.2.1", Sender: "x@elsewhere.example"}, ""},
		"an identity without an address":    {policy.Envelope{Identity: "robot", Login: "robot", Sender: "x@elsewhere.example"}, ""},
		"the null sender":                   {policy.Envelope{Identity: "ann"}, ""},
		"postmaster without a domain":       {policy.Envelope{Identity: "postmaster", Sender: "postmaster"}, ""},
		"what sendgate wrote":               {policy.Envelope{Identity: "ann", Sender: "ann@corp.example", Front: policy.Internal}, ""},
		"inbound mail":                      {policy.Envelope{Identity: "ann", Sender: "ann@corp.example", Direction: policy.Inbound}, ""},
		"an identity written in other case": {policy.Envelope{Identity: "ann", Sender: "ANN@Corp.Example"}, "ANN@Corp.Example"},
	} {
		if got := p.Mailbox(&tt.e); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// short is an occurrence in a line.
func (o Occurrence) short() string {
	s := fmt.Sprintf("%s of %s", o.Kind, o.Subject)
	if o.Rule != "" {
		s += " under " + o.Rule
	}
	if o.Outcome != policy.Pass {
		s += ": " + string(o.Outcome)
	}
	if o.Ends {
		s += " ends"
	}
	if !o.Until.IsZero() {
		s += " until " + o.Until.Format("15:04")
	}
	if o.Kind == ApprovalWaiting && o.Expiry == policy.Pass {
		s += ", then it goes"
	}
	if o.Mailbox != "" {
		s += " -> " + string(o.Mailbox)
	}
	return s
}

func TestWhatEventsTell(t *testing.T) {
	e := &policy.Envelope{Identity: "ann", Login: "ann", Sender: "ann@corp.example", Subject: "offer", Direction: policy.Outbound, Front: policy.Relay}
	limit := func(change func(*policy.Finding)) policy.Finding {
		f := policy.Finding{Rule: "external-hour", Kind: "limit", Key: "ann", Window: time.Hour, Asked: 1, Used: 300, Limit: 300, Action: policy.Hold}
		if change != nil {
			change(&f)
		}
		return f
	}
	over := func(a policy.Action) policy.Finding {
		return limit(func(f *policy.Finding) { f.Exceeded, f.Decided, f.Action = true, true, a })
	}
	soon := noon.Add(time.Hour)
	event := func(k policy.Kind, findings ...policy.Finding) []policy.Event {
		return []policy.Event{{Kind: k, Time: noon, Until: soon, Findings: findings}}
	}
	for name, tt := range map[string]struct {
		e      *policy.Envelope
		events []policy.Event
		want   []string
	}{
		"a message like any other":  {e, event(policy.Accepted, limit(nil)), nil},
		"a warning":                 {e, event(policy.Accepted, limit(func(f *policy.Finding) { f.Warn = true })), []string{"limit_warning of ann under external-hour: hold -> ann@corp.example"}},
		"held":                      {e, event(policy.Held, over(policy.Hold)), []string{"limit_exceeded of ann under external-hour: hold -> ann@corp.example"}},
		"put off":                   {e, event(policy.Refused, over(policy.Defer)), []string{"limit_exceeded of ann under external-hour: defer -> ann@corp.example"}},
		"refused":                   {e, event(policy.Refused, over(policy.Reject)), []string{"limit_exceeded of ann under external-hour: reject -> ann@corp.example"}},
		"said in two events":        {e, append(event(policy.Accepted, over(policy.Hold)), event(policy.Held, over(policy.Hold))...), []string{"limit_exceeded of ann under external-hour: hold -> ann@corp.example"}},
		"only logged":               {e, event(policy.Accepted, limit(func(f *policy.Finding) { f.Exceeded, f.Action = true, policy.Log })), []string{"limit_exceeded of ann under external-hour: log"}},
		"paced":                     {e, event(policy.Held, limit(func(f *policy.Finding) { f.Exceeded, f.Decided, f.Action = true, true, policy.Pass })), nil},
		"exceeded, another decided": {e, event(policy.Held, limit(func(f *policy.Finding) { f.Exceeded = true })), nil},
		"in shadow":                 {e, event(policy.Accepted, limit(func(f *policy.Finding) { f.Exceeded, f.Decided, f.Warn, f.Shadow = true, true, true, true })), nil},
		"let go":                    {e, event(policy.Released, limit(func(f *policy.Finding) { f.Warn = true }), over(policy.Hold), over(policy.Approval)), nil},
		"approval": {e, event(policy.ApprovalRequested, over(policy.Approval)), []string{
			"approval_waiting of ann under external-hour: approval until 13:00 -> ann@corp.example"}},
		"approval, said in two events": {e, append(
			[]policy.Event{{Kind: policy.Accepted, Time: noon, Findings: []policy.Finding{over(policy.Approval)}}},
			event(policy.ApprovalRequested, over(policy.Approval), policy.Finding{Rule: "external-hour", Kind: "approval", Action: policy.Pass})...), []string{
			"approval_waiting of ann under external-hour: approval until 13:00, then it goes -> ann@corp.example"}},
		"a shared limit": {e, event(policy.Held, limit(func(f *policy.Finding) { f.Exceeded, f.Decided, f.Key = true, true, "gateway:" })), []string{
			"limit_exceeded of gateway: under external-hour: hold -> ann@corp.example"}},
		"a wrong domain": {e, event(policy.Refused, policy.Finding{Rule: "domains", Kind: "domain", Key: "gmial.com", Decided: true, Action: policy.Reject}), []string{
			"domain_refused of ann under domains: reject -> ann@corp.example"}},
		"a domain that could not be looked up": {e, event(policy.Refused, policy.Finding{Rule: "domains", Kind: "domain", Decided: true, Action: policy.Defer}), nil},
		"refused while suspended": {e, event(policy.Refused, policy.Finding{Rule: "suspended", Kind: "suspension", Key: "ann", Decided: true, Action: policy.Defer, Next: soon}), []string{
			"suspended of ann: defer until 13:00"}},
		"pulled back": {e, event(policy.ApprovalRequested,
			policy.Finding{Rule: "pulled back", Kind: "pulled_back", Key: "ann", Source: "01KAHGZT7QX2Y8V4B6N3M5K9WC", Decided: true, Action: policy.Approval, Next: soon},
			policy.Finding{Rule: "pulled back", Kind: "approval", Action: policy.Reject, Next: soon}), []string{
			"pulled_back of ann under 01KAHGZT7QX2Y8V4B6N3M5K9WC: approval until 13:00"}},
		"the hold":             {e, event(policy.Held, policy.Finding{Rule: "default", Kind: "hold", Decided: true, Action: policy.Hold}), nil},
		"from the null sender": {&policy.Envelope{Identity: "ann"}, event(policy.Held, over(policy.Hold)), nil},
		"inbound":              {&policy.Envelope{Identity: "ann", Sender: "x@elsewhere.example", Direction: policy.Inbound}, event(policy.Held, over(policy.Hold)), nil},
		"our own notice":       {&policy.Envelope{Identity: "sendgate", Sender: "x@corp.example", Front: policy.Internal}, event(policy.Held, over(policy.Hold)), nil},
		"suspended":            {nil, []policy.Event{{Kind: policy.Suspended, Time: noon, Subject: "ann", Until: soon}}, []string{"suspended of ann until 13:00 -> ann@corp.example"}},
		"unsuspended":          {nil, []policy.Event{{Kind: policy.Unsuspended, Time: noon, Subject: "ann"}}, []string{"suspended of ann ends -> ann@corp.example", "unsuspended of ann -> ann@corp.example"}},
		"boosted":              {nil, []policy.Event{{Kind: policy.Boosted, Time: noon, Subject: "ann", Rule: "day", Amount: 500}}, []string{"boost_given of ann under day -> ann@corp.example"}},
		"overridden":           {nil, []policy.Event{{Kind: policy.Overridden, Time: noon, Subject: "from:elsewhere.example", Rule: "day"}}, []string{"boost_given of from:elsewhere.example under day"}},
		"a login":              {nil, []policy.Event{{Kind: policy.Login, Time: noon, Subject: "ann"}}, nil},
	} {
		var got []string
		for _, o := range people(t).Occurrences(message(1), tt.e, tt.events) {
			got = append(got, o.short())
			if tt.e != nil && (o.Sample != "offer" || o.Message != message(1) || !o.Time.Equal(noon)) {
				t.Errorf("%s: %+v", name, o)
			}
		}
		expect(t, name, got, tt.want...)
		if len(got) > 0 && !anyTelling(tt.events) {
			t.Errorf("%s is passed over", name)
		}
	}
}

func TestTextsOfActs(t *testing.T) {
	until := time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		ev   policy.Event
		want policy.Label
	}{
		{policy.Event{Kind: policy.Boosted, Rule: "day", Amount: 500, Until: until}, policy.Label{EN: "500 more under day until 2026-03-03 08:00", ZH: "day 临时增加 500，至 2026-03-03 08:00"}},
		{policy.Event{Kind: policy.Overridden, Rule: "day", Amount: 500}, policy.Label{EN: "500 under day", ZH: "day 调整为 500"}},
		{policy.Event{Kind: policy.Overridden, Rule: "day"}, policy.Label{EN: "As for everybody again under day", ZH: "day 恢复为默认限额"}},
		{policy.Event{Kind: policy.Suspended, Actor: "api:ops", Reason: "password leaked"}, policy.Label{EN: "Suspended by api:ops: password leaked", ZH: "由 api:ops 暂停：password leaked"}},
		{policy.Event{Kind: policy.Suspended, Actor: "anomaly", Reason: "60 strangers", Findings: []policy.Finding{{Detail: policy.Label{EN: "60 strangers", ZH: "60 个陌生收件人"}}}},
			policy.Label{EN: "Suspended automatically. 60 strangers", ZH: "系统自动暂停。60 个陌生收件人"}},
		{policy.Event{Kind: policy.Suspended, Actor: "anomaly"}, policy.Label{EN: "Suspended automatically", ZH: "系统自动暂停"}},
		{policy.Event{Kind: policy.Suspended, Actor: "api:ops"}, policy.Label{EN: "Suspended by api:ops", ZH: "由 api:ops 暂停"}},
	} {
		if got := people(t).Occurrences(policy.ID{}, nil, []policy.Event{tt.ev})[0].Text; got != tt.want {
			t.Errorf("%+v", got)
		}
	}
}
