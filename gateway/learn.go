package gateway

import (
	"context"
	"io"
	"time"

	"github.com/sendgate/sendgate/gateway/track/postlog"
	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
)

// maxOpen bounds the queue files that are open at a time in a log of the past.
const maxOpen = 100_000

// A learner reads from old logs whom our senders have written to, so that a new installation does not take
// everybody for a stranger.
type learner struct {
	directory *policy.Directory
	internal  func(policy.Address) bool
	learn     func(identity string, recipient policy.Address, at time.Time)
	open      map[string]*logged // by host and queue id
}

// logged is what a log has said of a queue file.
type logged struct {
	login  string
	client string
	sender policy.Address
}

// read takes a log, plain or compressed. A part that cannot be read teaches nothing.
func (l *learner) read(ctx context.Context, name string, r io.Reader) error {
	parser := postlog.NewParser(time.Local, time.Now)
	return source.Read(ctx, name, r, func(_ context.Context, b source.Batch) error {
		for i := range b.Lines {
			line, _, err := parser.Parse(b.Lines[i].Data)
			if err != nil {
				continue
			}
			if e, ok := line.Entry(); ok {
				l.take(&e)
			}
		}
		return nil
	})
}

func (l *learner) take(e *postlog.Entry) {
	if e.QueueID == "" {
		return
	}
	key := e.Host + " " + e.QueueID
	switch e.Kind {
	case postlog.Opened:
		l.at(key).login, l.at(key).client = e.SASLUser, e.ClientAddr
	case postlog.Active:
		l.at(key).sender, _ = policy.ParseAddress(e.From) // a broken one is nobody's
	case postlog.Removed:
		delete(l.open, key)
	case postlog.Status:
		if e.Status == postlog.Sent {
			l.sent(l.open[key], e)
		}
	}
}

func (l *learner) at(key string) *logged {
	if l.open[key] == nil {
		if len(l.open) >= maxOpen {
			clear(l.open) // a log without "removed": what is open now is not learned
		}
		l.open[key] = &logged{}
	}
	return l.open[key]
}

// sent learns from a delivery to the outside, of mail that was ours to send.
func (l *learner) sent(m *logged, e *postlog.Entry) {
	if m == nil || m.sender == "" || m.login == "" && !l.internal(m.sender) {
		return
	}
	to := e.OrigTo
	if to == "" {
		to = e.To
	}
	a, err := policy.ParseAddress(to)
	if err != nil || a.Domain() == "" || l.internal(a) {
		return
	}
	l.learn(l.directory.Canonical(m.login, m.sender, m.client), a, e.Time)
}
