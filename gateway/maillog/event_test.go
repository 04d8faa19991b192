package maillog

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// at is the time of everything in these tests.
var at = time.Date(2026, 3, 1, 9, 0, 0, 120394000, time.UTC)

var anID = ulid.MustParse("01M7000000000000000000000A")

// known answers for the store.
type known struct {
	envelope *policy.Envelope
	to       []policy.Address
	err      error
}

func (k known) Envelope(*store.Record) (*policy.Envelope, error) { return k.envelope, k.err }

func (k known) Addresses(_ *store.Record, indexes []int, most int) (all []policy.Address, err error) {
	if indexes == nil {
		return k.to[:min(most, len(k.to))], k.err
	}
	for _, i := range indexes {
		all = append(all, k.to[i])
	}
	return all[:min(most, len(all))], k.err
}

// alice has written to bob and carol.
var alice = known{
	envelope: &policy.Envelope{
		Sender: "alice@corp.example", QueueID: "4XyZ", Identity: "alice", Login: "alice", Client: netip.MustParseAddr("192.0.2.7"),
		Helo: "pc 7", Front: policy.Milter, Protocol: "ESMTPSA", MessageID: "<1@corp.example>", Size: 1200, Subject: "secret plans",
	},
	to: []policy.Address{"bob@x.example", "carol@y.example"},
}

func TestEventsAsLines(t *testing.T) {
	until := stamp(at.Add(time.Minute))
	for _, tt := range []struct {
		outcome string
		facts   known
		events  []policy.Event
		want    []string
	}{
		{
			"a message comes and is held", alice,
			[]policy.Event{{Kind: policy.Accepted, Actor: "smtp"}, {Kind: policy.Held, Actor: "smtp", Rule: "default", Until: at.Add(time.Minute)}},
			[]string{
				`accepted id=I queue_id=4XyZ sender=<alice@corp.example> rule=- recipients=<bob@x.example>,<carol@y.example> client=192.0.2.7 ` +
					`helo="pc 7" login=alice identity=alice front=milter protocol=ESMTPSA message_id=<1@corp.example> size=1200 actor=smtp`,
				`held id=I queue_id=4XyZ sender=<alice@corp.example> rule=default actor=smtp until=` + until,
			},
		},
		{
			"one recipient bounces", alice,
			[]policy.Event{{
				Kind: policy.Bounced, Recipients: []int{1}, Actor: "log", Reply: `550 5.1.1 no "carol"`, QueueID: "NEXT", Upstream: "hub", MayBeDuplicate: true,
			}},
			[]string{`bounced id=I queue_id=4XyZ sender=<alice@corp.example> rule=- recipients=<carol@y.example> actor=log upstream=hub ` +
				`next_queue_id=NEXT reply="550 5.1.1 no \"carol\"" may_be_duplicate=true`},
		},
		{
			"what Postfix does with its own file has one queue id", alice,
			[]policy.Event{{Kind: policy.Released, Actor: "hold", QueueID: "4XyZ"}},
			[]string{"released id=I queue_id=4XyZ sender=<alice@corp.example> rule=- actor=hold"},
		},
		{
			"a refusal is said by the front", alice, []policy.Event{{Kind: policy.Refused, Reply: "550 no"}}, nil,
		},
		{
			"an account is suspended", known{},
			[]policy.Event{{Kind: policy.Suspended, Subject: "alice@corp.example", Amount: 2, Reason: "strangers", Until: at.Add(time.Minute)}},
			[]string{"suspended id=I queue_id=- sender=- rule=- about=alice@corp.example until=" + until + " reason=strangers amount=2"},
		},
		{
			"the null sender", known{envelope: &policy.Envelope{}}, []policy.Event{{Kind: policy.Queued}},
			[]string{"queued id=I queue_id=- sender=<> rule=-"},
		},
		{
			"the message cannot be read", known{envelope: alice.envelope, err: errors.New("disk")},
			[]policy.Event{{Kind: policy.Deferred, Recipients: []int{0}, NextTry: at.Add(time.Minute), Member: "x@y.example"}},
			[]string{"deferred id=I queue_id=- sender=- rule=- member=x@y.example next_try=" + until},
		},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			for i := range tt.events {
				tt.events[i].Time = at
			}
			r := store.Record{Message: anID, Events: tt.events}
			var got []string
			for _, l := range lines(&r, tt.facts) {
				if !l.Time.Equal(at) {
					t.Errorf("%s at %v", l.Verb, l.Time)
				}
				got = append(got, strings.ReplaceAll(l.Text(), anID.String(), "I"))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if strings.Contains(strings.Join(got, ""), "secret") {
				t.Error("a subject is in the log")
			}
		})
	}
}

func TestALongListOfRecipientsIsCut(t *testing.T) {
	k := known{envelope: alice.envelope}
	for i := range 30 {
		k.to = append(k.to, policy.Address(fmt.Sprintf("u%d@x.example", i)))
	}
	r := store.Record{Message: anID, Events: []policy.Event{{Kind: policy.Accepted}}}
	i := slices.IndexFunc(lines(&r, k)[0].More, func(f Field) bool { return f.Name == "recipients" })
	got := lines(&r, k)[0].More[i].Value
	if n := strings.Count(got, "@"); n != maxRecipients || !strings.HasSuffix(got, "<u19@x.example>,...") {
		t.Errorf("%d recipients: %s", n, got)
	}
}
