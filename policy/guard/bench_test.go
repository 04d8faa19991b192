package guard

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
)

// BenchmarkDecide is one decision of the default limits and one for each recipient domain, accepted.
func BenchmarkDecide(b *testing.B) { decide(b, anomaly.Config{}) }

// BenchmarkDecideWatched is the same with a watch on all accounts.
func BenchmarkDecideWatched(b *testing.B) { decide(b, anomaly.DefaultConfig()) }

func decide(b *testing.B, watch anomaly.Config) {
	directory, err := policy.NewDirectory(nil)
	if err != nil {
		b.Fatal(err)
	}
	c := policy.DefaultConfig()
	c.Internal = []string{"@corp.example", "@.corp.example", "partner@customers.example"}
	c.Limits = append(c.Limits, rule(func(l *policy.LimitRule) {
		l.Key, l.Unit, l.Limit = policy.ByRecipientDomain, policy.Recipients, 1<<40
	}))
	g := New(Settings{Config: c, Directory: directory, Anomaly: watch})
	at := noon
	header := func(name string) []string {
		if name == "To" {
			return []string{"Customer <customer@customers.example>"}
		}
		return nil
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		at = at.Add(20 * time.Microsecond)
		e := &policy.Envelope{
			Front: policy.Relay, Sender: "ann@corp.example", Identity: fmt.Sprint("user", n%100_000), Client: netip.MustParseAddr("192.0.2.1"),
			MessageID: fmt.Sprint(n), Recipients: []policy.Recipient{{Address: "customer@customers.example"}},
		}
		s := policy.Submission{Time: at, Envelope: e, Trusted: true, Header: header}
		binary.BigEndian.PutUint64(s.ID[8:], uint64(n)+1)
		v := g.Decide(context.Background(), s)
		if v.Action != policy.Hold || v.Charge == nil {
			b.Fatal(v)
		}
		g.Observe(at, s.ID, e, policy.Event{Kind: policy.Accepted, Time: at, Charge: v.Charge})
	}
}
