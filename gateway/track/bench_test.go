package track

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// BenchmarkJournal reads the log of messages that the journal has, six lines each, and reports how
// many lines a second come into the journal.
func BenchmarkJournal(b *testing.B) {
	cfg := store.DefaultConfig()
	now := func() time.Time { return at("10:00:30") }
	cfg.Dir, cfg.Node, cfg.Now, cfg.Log = b.TempDir(), "test", now, zap.NewNop()
	journal, err := store.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	messages := b.N
	var group errgroup.Group
	group.SetLimit(committing)
	for i := range messages {
		group.Go(func() error {
			queueID := longID(i)
			_, err := journal.Commit(context.Background(), store.Change{Message: journal.NewID(), Patient: true,
				Envelope: &policy.Envelope{
					Received: at("10:00:00"), Front: policy.Milter, Sender: "sender@corp.example", Identity: "sender", QueueID: queueID,
					MessageID: "<" + queueID + "@corp.example>", Recipients: []policy.Recipient{{Address: "x@far.example"}},
				},
				Events: []policy.Event{
					{Kind: policy.Accepted, Time: at("10:00:00"), QueueID: queueID, Upstream: "mx1"},
					{Kind: policy.Queued, Time: at("10:00:00"), QueueID: queueID, Upstream: "mx1"},
				}})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	tracker := newTracker(DefaultConfig(), journal, nil, now, zap.NewNop())
	if err := tracker.addFeed(logfile{}, time.UTC); err != nil {
		b.Fatal(err)
	}
	var batches []*source.Batch
	batch, lines := &source.Batch{}, 0
	for i := range messages {
		for line := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(benchLog), "QID", longID(i)), "\n") {
			batch.Lines = append(batch.Lines, source.Raw{Data: []byte(rfc3339(strings.TrimSpace(line)))})
			lines++
			if len(batch.Lines) == source.MaxLines {
				batches = append(batches, batch)
				batch = &source.Batch{}
			}
		}
	}
	batches = append(batches, batch)
	b.ResetTimer()
	for _, batch := range batches {
		if err := tracker.take(context.Background(), tracker.feeds[0], batch); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
	if got := journal.Counts(at("00:00:00").Add(-200*24*time.Hour), time.Now().Add(time.Hour))[policy.StateRelayedRemote]; got != int64(messages) {
		b.Errorf("%d of %d messages have their end", got, messages)
	}
}

// longID gives a queue id of the long form.
func longID(i int) string {
	const digits = "BCDFGHJKLMNPQRSTVWXYbcdfghjklmnpqrstvwxy"
	id := []byte("4X0000000z1BcDf")
	for at := 8; i > 0; at-- {
		id[at] = digits[i%len(digits)]
		i /= len(digits)
	}
	for at := 2; at < 9; at++ {
		if id[at] == '0' {
			id[at] = 'B'
		}
	}
	return string(id)
}

const benchLog = `
	10:00:01 postfix/smtpd: QID: client=pc.corp.example[192.0.2.7], sasl_method=PLAIN, sasl_username=sender
	10:00:01 postfix/cleanup: QID: message-id=<QID@corp.example>
	10:00:01 postfix/qmgr: QID: from=<sender@corp.example>, size=1500, nrcpt=1 (queue active)
	10:00:02 postfix/smtp: QID: to=<x@far.example>, relay=mx.far.example[198.51.100.1]:25, delay=1.2, delays=0.1/0/0.4/0.7, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 77AA88BB99)
	10:00:02 postfix/smtp: QID: disconnect from nowhere
	10:00:02 postfix/qmgr: QID: removed`
