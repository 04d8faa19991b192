package gateway

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sendgate/sendgate/gateway/hold"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// postfixLane is where mail goes that Postfix holds for us. The space keeps it apart from the names
// of upstreams.
const postfixLane = "postfix hold queue"

// postfixWorkers is how many releases may wait for the helper at a time; it batches them.
const postfixWorkers = 2000

// deliverer is the hold.Sender: our own mail goes over the upstreams, mail that Postfix holds is let
// go there.
type deliverer struct {
	routes *routes
	keeper *postfix.Keeper // nil without the milter
	log    *zap.Logger
}

// sameTrouble is how many lines of the same trouble are written in a minute.
const sameTrouble = 10

// sparing is a log for a deliverer: while the helper is away each message that Postfix holds is tried every few seconds,
// and thousands may wait.
func sparing(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, time.Minute, sameTrouble, 0)
	}))
}

// Upstream names where a message for a recipient goes.
func (d deliverer) Upstream(e *policy.Envelope, recipient policy.Address) string {
	if e.Front == policy.Milter {
		return postfixLane
	}
	if e.Route != "" {
		return d.routes.named(e.Route).Name()
	}
	return d.routes.Route(recipient).Name()
}

// Workers leaves the number to the configuration, except for the batches of the helper.
func (d deliverer) Workers(upstream string) int {
	if upstream == postfixLane {
		return postfixWorkers
	}
	return 0
}

// Deliver tries once and says what the answers mean.
func (d deliverer) Deliver(ctx context.Context, attempt hold.Delivery) []hold.Outcome {
	switch {
	case attempt.Upstream != postfixLane:
		return d.send(ctx, d.routes.named(attempt.Upstream), attempt.ID, attempt.Envelope, recipientsOf(attempt.Recipients), attempt.Open)
	case d.keeper == nil: // the milter was switched off while Postfix held mail
		d.log.Warn("a message waits in Postfix's hold queue, but no milter is configured", zap.Stringer("id", attempt.ID))
		return nil
	case attempt.Partial:
		return d.sendRest(ctx, attempt)
	}
	return d.release(ctx, attempt)
}

// send hands a message to an upstream.
func (d deliverer) send(ctx context.Context, u *upstream.Upstream, id policy.ID, e *policy.Envelope, to []policy.Recipient, open func() (io.ReadCloser, error)) []hold.Outcome {
	results := u.Deliver(ctx, upstream.Delivery{ID: id, Envelope: e, Recipients: to, Open: open})
	outcomes := make([]hold.Outcome, len(results))
	for i := range results {
		outcomes[i] = outcome(&results[i], u.Name(), u.Config().AcceptsFor)
	}
	return outcomes
}

// release lets Postfix go on with a message.
func (d deliverer) release(ctx context.Context, attempt hold.Delivery) []hold.Outcome {
	r, err := d.keeper.Release(ctx, attempt.ID, attempt.Envelope, attempt.MayBeDuplicate)
	if err != nil {
		d.log.Warn("a release waits for the postfix helper", zap.Stringer("id", attempt.ID), zap.Error(err))
		return nil
	}
	switch r.Outcome {
	case postfix.Released:
		return forAll(attempt, atPostfix(policy.Queued, r.ID, "postsuper -H "+r.ID+": released from hold"))
	case postfix.NotHeld:
		return forAll(attempt, letGo(r.ID))
	case postfix.NeverListed:
		return forAll(attempt, atPostfix(policy.NeverQueued, r.ID,
			"no queue file of "+r.ID+": Postfix did not keep the message; its client was not told that it was accepted"))
	}
	return forAll(attempt, lost(r.ID))
}

// atPostfix is an outcome of what Postfix holds. Reports of success are Postfix's own duty.
func atPostfix(kind policy.Kind, queueID, evidence string) hold.Outcome {
	return hold.Outcome{Kind: kind, QueueID: queueID, Upstream: "postfix", Evidence: evidence, ReportsSuccess: true}
}

// letGo is the outcome of a message with which Postfix has gone on before.
func letGo(queueID string) hold.Outcome {
	return atPostfix(policy.Queued, queueID, queueID+" is not in the hold queue any more: it was released before")
}

// lost is the outcome of a message that Postfix does not have any more.
func lost(queueID string) hold.Outcome {
	return atPostfix(policy.Unknown, queueID, "no queue file of "+queueID+": released or deleted by hand")
}

func forAll(attempt hold.Delivery, o hold.Outcome) []hold.Outcome {
	outcomes := make([]hold.Outcome, len(attempt.Recipients))
	for i := range outcomes {
		outcomes[i] = o
	}
	return outcomes
}

// sendRest sends a message that was taken back from some of its recipients to the others: postsuper
// knows whole messages only. The queue file is read, the message is sent with the parameters that
// Postfix keeps in it, and the file is deleted when nobody is left. When that fails, the keeper
// deletes it later.
func (d deliverer) sendRest(ctx context.Context, attempt hold.Delivery) []hold.Outcome {
	queued, content, err := d.keeper.Read(ctx, attempt.Envelope)
	switch {
	case errors.Is(err, postfix.ErrNotFound) && attempt.MayBeDuplicate: // it is deleted when it was sent
		return forAll(attempt, letGo(attempt.Envelope.QueueID))
	case errors.Is(err, postfix.ErrNotFound):
		return forAll(attempt, lost(attempt.Envelope.QueueID))
	case err != nil:
		d.log.Warn("a message in Postfix's hold queue cannot be read yet", zap.Stringer("id", attempt.ID), zap.Error(err))
		return nil
	}
	_ = content.Close() // only the envelope was wanted; Open reads it again for each server tried
	switch queued.Queue {
	case "hold":
	case "incoming": // Postfix is still receiving it
		return nil
	default:
		return forAll(attempt, letGo(queued.ID))
	}
	e := *attempt.Envelope
	e.Body, e.UTF8, e.Ret, e.EnvID, e.Size = queued.Body, queued.UTF8, queued.Ret, queued.EnvID, queued.Size
	open := func() (io.ReadCloser, error) {
		_, r, err := d.keeper.Read(ctx, attempt.Envelope)
		return r, err
	}
	outcomes := make([]hold.Outcome, len(attempt.Recipients))
	for u, indexes := range d.byUpstream(attempt.Recipients) {
		to := make([]policy.Recipient, len(indexes))
		for n, i := range indexes {
			to[n] = parameters(attempt.Recipients[i].Recipient, queued.Recipients)
		}
		for n, o := range d.send(ctx, u, attempt.ID, &e, to, open) {
			outcomes[indexes[n]] = o
		}
	}
	for _, o := range outcomes {
		if o.Kind == policy.Deferred {
			return outcomes
		}
	}
	if _, err := d.keeper.Delete(ctx, attempt.ID, attempt.Envelope); err != nil {
		d.log.Warn("a queue file that was sent on is deleted later", zap.Stringer("id", attempt.ID), zap.Error(err))
	}
	return outcomes
}

func (d deliverer) byUpstream(all []store.Recipient) map[*upstream.Upstream][]int {
	groups := map[*upstream.Upstream][]int{}
	for i := range all {
		u := d.routes.Route(all[i].Address)
		groups[u] = append(groups[u], i)
	}
	return groups
}

// parameters gives a recipient with the DSN parameters of its queue file.
func parameters(r policy.Recipient, queued []postfix.Recipient) policy.Recipient {
	for _, q := range queued {
		if q.Before.Key() == r.Address.Key() || q.Address.Key() == r.Address.Key() {
			r.Original, r.OriginalType, r.Notify = q.Original, q.OriginalType, q.Notify
			break
		}
	}
	return r
}

func recipientsOf(all []store.Recipient) []policy.Recipient {
	recipients := make([]policy.Recipient, len(all))
	for i := range recipients {
		recipients[i] = all[i].Recipient
	}
	return recipients
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
