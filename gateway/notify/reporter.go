package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// actor is who writes reports, in events.
const actor = "notify"

// A Journal is what a Reporter needs of the store.
type Journal interface {
	NewID() policy.ID
	NewBody(id policy.ID) *store.BodyWriter
	Body(id policy.ID) (io.ReadCloser, error)
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
}

// A Reporter writes reports into the journal.
type Reporter struct {
	hostname    string
	expireAfter time.Duration
	journal     Journal
	now         func() time.Time
}

// New makes a Reporter. hostname is the gateway's own name, expireAfter for how long delivery is tried.
func New(hostname string, expireAfter time.Duration, journal Journal, now func() time.Time) *Reporter {
	return &Reporter{hostname: hostname, expireAfter: expireAfter, journal: journal, now: now}
}

// Failed reports recipients that were refused or given up. It gives the id of the report and the
// indexes of the recipients in it; none when nobody is to be told. The report is durable when the
// error is nil. So with Delayed and Relayed.
func (p *Reporter) Failed(ctx context.Context, m store.Message, recipients []store.Recipient) (policy.ID, []int, error) {
	return p.report(ctx, Report{ID: p.journal.NewID(), Action: Failed}, "FAILURE", m, recipients)
}

// Stopped reports, as a failure, recipients to whom a person ended the sending, with what he says about it. The
// report has the id given, and is written once: a second time it gives the same.
func (p *Reporter) Stopped(ctx context.Context, id policy.ID, m store.Message, recipients []store.Recipient, reason string) (policy.ID, []int, error) {
	said := make([]store.Recipient, len(recipients))
	for i, r := range recipients {
		r.Reply, r.Upstream = "stopped by an administrator", "" // what a server said before has nothing to do with it
		said[i] = r
	}
	return p.report(ctx, Report{ID: id, Action: Failed, Stopped: true, Reason: reason}, "FAILURE", m, said)
}

// Delayed reports recipients that are still being tried.
func (p *Reporter) Delayed(ctx context.Context, m store.Message, recipients []store.Recipient) (policy.ID, []int, error) {
	return p.report(ctx, Report{ID: p.journal.NewID(), Action: Delayed}, "DELAY", m, recipients)
}

// Relayed reports recipients that were passed on, or delivered, by a hop that does not report.
func (p *Reporter) Relayed(ctx context.Context, m store.Message, recipients []store.Recipient) (policy.ID, []int, error) {
	return p.report(ctx, Report{ID: p.journal.NewID(), Action: Relayed}, "SUCCESS", m, recipients)
}

// report completes a report with those who want it, and commits it.
func (p *Reporter) report(ctx context.Context, r Report, word string, m store.Message, recipients []store.Recipient) (policy.ID, []int, error) {
	if m.Envelope.Sender == "" || m.Envelope.Front == policy.Internal {
		return policy.ID{}, nil, nil
	}
	var told []int
	var wanted []store.Recipient
	for _, r := range recipients {
		if wants(r.Notify, word) {
			told, wanted = append(told, r.Index), append(wanted, r)
		}
	}
	if len(told) == 0 {
		return policy.ID{}, nil, nil
	}
	r.Hostname, r.Time, r.Message, r.Recipients = p.hostname, p.now(), m, wanted
	r.RetryUntil = m.Envelope.Received.Add(p.expireAfter)
	if err := p.commit(ctx, &r); err != nil && !(r.Stopped && errors.Is(err, store.ErrConflict)) {
		return policy.ID{}, nil, err
	}
	return r.ID, told, nil
}

// wants reports whether a NOTIFY parameter asks for a kind of report (RFC 3461 4.1). Without one
// failures are reported; whether delays are is the caller's choice; successes are not.
func wants(notify []string, word string) bool {
	if notify == nil {
		return word != "SUCCESS"
	}
	return slices.Contains(notify, word)
}

// commit composes the report and puts it into the journal, released.
func (p *Reporter) commit(ctx context.Context, r *Report) error {
	var text bytes.Buffer
	if err := p.compose(&text, r); err != nil {
		return err
	}
	e := policy.Envelope{
		Received: r.Time, Front: policy.Internal, Direction: policy.Outbound, Identity: "sendgate",
		Recipients: []policy.Recipient{{Address: r.Message.Envelope.Sender}},
		Size:       int64(text.Len()), UTF8: r.utf8(), From: r.From(), Subject: r.Subject(), MessageID: r.MessageID(),
	}
	if !isASCII(text.Bytes()) {
		e.Body = "8BITMIME"
	}
	body := p.journal.NewBody(r.ID)
	if _, err := body.Write(text.Bytes()); err != nil {
		body.Discard()
		return fmt.Errorf("write report: %w", err)
	}
	_, err := p.journal.Commit(ctx, store.Change{Message: r.ID, Envelope: &e, Body: body, Events: []policy.Event{
		{Kind: policy.Accepted, Time: r.Time, Actor: actor, Reason: "report: " + string(r.Action), Evidence: r.Message.ID.String()},
		{Kind: policy.Released, Time: r.Time, Actor: actor, Until: r.Time},
	}})
	if err != nil {
		body.Discard()
		return fmt.Errorf("commit report: %w", err)
	}
	return nil
}

// compose adds what is still there of the original.
func (p *Reporter) compose(w io.Writer, r *Report) error {
	original, err := p.journal.Body(r.Message.ID)
	if err != nil {
		return Compose(w, r, nil)
	}
	defer original.Close()
	return Compose(w, r, original)
}
