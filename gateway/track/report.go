package track

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// What became of a delivery report, for the metric.
const (
	reportNone    = "not_a_report"
	reportForeign = "foreign" // about nothing of ours
	reportForged  = "forged"  // about a message of ours, and not fitting it
	reportEarly   = "early"   // about what sendgate itself still has
	reportKept    = "kept"
)

// actorDSN is who acts in the events of delivery reports.
const actorDSN = "dsn"

// idLength is that of our ids.
const idLength = 26

// arrivalSlack is how much earlier than our acceptance a reporter may claim to have got a message.
const arrivalSlack = time.Hour

// Report takes a message that comes from outside and, if it is a delivery report about one of ours,
// records what it says. It reads at most 1 MiB. The error is the journal's; everything else is foreign
// text that is believed or not.
func (t *Tracker) Report(ctx context.Context, r io.Reader) error {
	d, ok := readDSN(r)
	if !ok {
		t.metrics.reports.WithLabelValues(reportNone).Inc()
		return nil
	}
	for i := range d.recipients {
		result, err := t.reportOne(ctx, d, &d.recipients[i])
		if err != nil {
			return fmt.Errorf("delivery report: %w", err)
		}
		t.metrics.reports.WithLabelValues(result).Inc()
	}
	return nil
}

func (t *Tracker) reportOne(ctx context.Context, d *dsn, r *dsnRecipient) (result string, err error) {
	ids, err := t.reported(d)
	if err != nil {
		return "", err
	}
	result = reportForeign
	for _, id := range ids {
		m, err := t.journal.Message(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		rows, err := t.journal.Recipients(id)
		if err != nil {
			return "", err
		}
		began, err := t.attempts(id, rows)
		if err != nil {
			return "", err
		}
		row, member := reportedRow(rows, r, began, d.arrival)
		if row == nil || !d.agrees(&m) {
			result = reportForged
			continue
		}
		e, ok := d.event(r, row, inside(&m, row), t.now())
		e.Member = member
		if !ok {
			return reportEarly, nil
		}
		if e.Kind == "" {
			return reportKept, nil // it says nothing that is not known
		}
		if err := t.commitOne(ctx, &store.Change{Message: id, Events: []policy.Event{e}, Patient: true}); err != nil {
			return "", err
		}
		return reportKept, nil
	}
	if result == reportForged {
		t.log.Debug("a delivery report does not fit the message that it names",
			zap.String("envid", d.envID), zap.String("message_id", d.messageID), zap.String("recipient", r.final))
	}
	return result, nil
}

// reported gives the messages that a report may be about: the one that its envelope id names, else
// those with the Message-ID of what was returned.
func (t *Tracker) reported(d *dsn) ([]policy.ID, error) {
	if id, ok := ourID(d.envID); ok {
		return []policy.ID{id}, nil
	}
	if d.messageID == "" {
		return nil, nil
	}
	return t.journal.ByMessageID("<" + d.messageID + ">")
}

// ourID finds our id in an ENVID, alone or behind a prefix.
func ourID(envID string) (policy.ID, bool) {
	if len(envID) > idLength {
		envID = envID[len(envID)-idLength:]
	}
	id, err := policy.ParseID(envID)
	return id, err == nil
}

// agrees reports whether what the report says of the message is true.
func (d *dsn) agrees(m *store.Message) bool {
	if d.messageID != "" && m.Envelope.MessageID != "" && d.messageID != bareID(m.Envelope.MessageID) {
		return false
	}
	return d.arrival.IsZero() || !d.arrival.Before(m.Envelope.Received.Add(-arrivalSlack))
}

// reportedRow gives the row that a report is about: that of its original recipient, or else of its final
// one, in the attempt that the report is about; where the original one is a group, the final one is a
// member of it. began says when the attempts were made, arrival when the reporter got the message.
func reportedRow(rows policy.Rows, r *dsnRecipient, began map[int]time.Time, arrival time.Time) (row *policy.Row, member policy.Address) {
	final, original := bareAddress(r.final), bareAddress(r.original)
	for _, key := range []string{addressKey(original), addressKey(final)} {
		for i := len(rows) - 1; i >= 0 && key != ""; i-- {
			if row := &rows[i]; row.Counted() && (row.Address.Key() == key || addressKey(row.Original) == key) {
				return attemptAt(rows, row, began, arrival), ""
			}
		}
	}
	for i := range rows {
		if g := &rows[i]; g.State == policy.StateExpanded && original != "" && final != "" && g.Address.Key() == addressKey(original) {
			return g, parseAddress(final)
		}
	}
	return nil, ""
}

// attemptAt gives the newest attempt for the recipient of a row that began before a report's message
// arrived. Where the reporter does not say when that was, it is the first.
func attemptAt(rows policy.Rows, row *policy.Row, began map[int]time.Time, arrival time.Time) *policy.Row {
	first := row
	for i := row.Index; i >= 0; i-- {
		r := &rows[i]
		if r.Group != row.Group || r.State == policy.StateExpanded || r.Address.Key() != row.Address.Key() {
			continue
		}
		at, known := began[i]
		if r.Attempt > 1 && known && !arrival.IsZero() && !at.After(arrival) {
			return r
		}
		if r.Attempt < max(first.Attempt, 1) || r.Attempt <= 1 {
			first = r
		}
	}
	return first
}

// attempts says when the rows of later attempts were made.
func (t *Tracker) attempts(id policy.ID, rows policy.Rows) (map[int]time.Time, error) {
	if !slices.ContainsFunc(rows, func(r policy.Row) bool { return r.Attempt > 1 }) {
		return nil, nil
	}
	records, err := t.journal.Timeline(id)
	if err != nil {
		return nil, ignoreNotFound(err)
	}
	began := map[int]time.Time{}
	var replay policy.Rows // begins with the recipients of the envelope
	for i := 0; i < len(rows) && rows[i].Group == 0 && rows[i].Attempt <= 1; i++ {
		replay = append(replay, policy.Row{Index: i, Recipient: rows[i].Recipient})
	}
	for _, record := range records {
		for i := range record.Events {
			before := len(replay)
			replay, _ = replay.Apply(record.Events[i])
			for j := before; j < len(replay); j++ {
				began[j] = record.Events[i].Time
			}
		}
	}
	if len(replay) != len(rows) {
		return nil, nil // an older part of the timeline is gone
	}
	return began, nil
}

func bareAddress(s string) string { return strings.Trim(s, "<>") }

// event is what a report makes of a row. It is false where sendgate itself has the message for the
// recipient: nobody else can have failed with it. A kind of "" says nothing new.
func (d *dsn) event(r *dsnRecipient, row *policy.Row, inside bool, now time.Time) (policy.Event, bool) {
	if !row.Due.IsZero() || row.State == policy.StateHeld || row.State == policy.StateAccepted || row.State == policy.StateCanceled {
		return policy.Event{}, false
	}
	e := policy.Event{
		Kind: d.kind(r, row.State, inside), Time: now, Actor: actorDSN, Recipients: []int{row.Index},
		Reply: r.diagnostic, Upstream: cut(d.reporter, 255),
		Evidence: cut(fmt.Sprintf("delivery report of %s: %s, Action: %s, Status: %s", d.reporter, r.final, r.action, r.status), maxEvidence),
	}
	h := fnv.New64a()
	for _, s := range []string{d.reporter, r.action, r.status, r.diagnostic, r.final} {
		_, _ = h.Write([]byte(s + "\x00"))
	}
	e.Key = fmt.Sprintf("dsn %d %s %s %x", row.Index, cut(r.action, 20), cut(r.final, 255), h.Sum64())
	return e, true
}

// inside reports whether a recipient is of the sender's own domain.
func inside(m *store.Message, row *policy.Row) bool {
	_, from, ok := cutDomain(m.Envelope.Sender.Key())
	_, to, _ := cutDomain(row.Address.Key())
	return ok && from == to
}

// kind is the kind of event of an action (RFC 3464 2.3.3) upon a state. That something has arrived is
// believed only where nothing else is known of its end, and of other domains only that it was taken:
// anybody can write a report, and what a mailbox there did, we cannot check.
func (d *dsn) kind(r *dsnRecipient, s policy.State, inside bool) policy.Kind {
	switch r.action {
	case "failed":
		if s == policy.StateRelayedRemote || s == policy.StateDeliveredMailbox || s == policy.StateAsyncBounced {
			return policy.AsyncBounced
		}
		return policy.Bounced
	case "delayed":
		if !s.Final() {
			return policy.Deferred
		}
	case "delivered", "relayed":
		switch {
		case s.Final():
		case r.action == "delivered" && inside:
			return policy.DeliveredMailbox
		default:
			return policy.RelayedRemote
		}
	}
	return "" // expanded: its members report for themselves
}
