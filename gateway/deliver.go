package gateway

import (
	"context"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
)

// deliverer is the hold.Sender over the upstreams.
type deliverer struct{ routes *routes }

// Upstream names where mail for a recipient goes.
func (d deliverer) Upstream(_ *policy.Envelope, recipient policy.Address) string {
	return d.routes.Route(recipient).Name()
}

// Workers leaves the number to the configuration.
func (d deliverer) Workers(string) int { return 0 }

// Deliver tries once and says what the upstream's answers mean.
func (d deliverer) Deliver(ctx context.Context, attempt hold.Delivery) []hold.Outcome {
	u := d.routes.named(attempt.Upstream)
	recipients := make([]policy.Recipient, len(attempt.Recipients))
	for i := range recipients {
		recipients[i] = attempt.Recipients[i].Recipient
	}
	results := u.Deliver(ctx, upstream.Delivery{
		ID: attempt.ID, Envelope: attempt.Envelope, Recipients: recipients, Open: attempt.Open,
	})
	outcomes := make([]hold.Outcome, len(results))
	for i := range results {
		outcomes[i] = outcome(&results[i], u.Name(), u.Config().AcceptsFor)
	}
	return outcomes
}

func outcome(r *upstream.Result, name, acceptsFor string) hold.Outcome {
	o := hold.Outcome{
		Kind: policy.Deferred, Upstream: name, MayBeDuplicate: r.MayBeDuplicate, ReportsSuccess: !r.DSNDropped,
	}
	if r.Server != "" {
		o.Upstream = name + " " + r.Server
	}
	if r.Err != nil {
		o.Reply = r.Err.Error()
		return o
	}
	o.Reply = r.Reply.String()
	o.Evidence = o.Reply
	switch {
	case r.Reply.Code >= 500:
		o.Kind = policy.Bounced
	case r.Reply.Positive():
		o.Kind = accepted(acceptsFor)
		o.QueueID = r.Reply.QueueID()
	}
	return o
}

// accepted is what a 250 of an upstream means.
func accepted(acceptsFor string) policy.Kind {
	switch acceptsFor {
	case upstream.ForMailbox:
		return policy.DeliveredMailbox
	case upstream.ForRemote:
		return policy.RelayedRemote
	}
	return policy.HandedOver
}
