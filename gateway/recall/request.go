package recall

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Bounds of one recall.
const (
	maxMessages   = 20000
	maxRecipients = 20000
)

// A work is what is done about one message of a recall, with the message as it was read for it.
type work struct {
	*part
	message store.Message
	rows    policy.Rows
	past    *past // of the timeline; nil until it is wanted
	// again marks rows that the recall was done with before later evidence came.
	again map[int]bool
}

// normalise fills in what a request leaves open, and keeps those who may not take back what was read from it.
func normalise(req policy.RecallRequest, cfg *Config) policy.RecallRequest {
	if req.GroupMode == "" {
		req.GroupMode = cfg.GroupMode
	}
	if req.Notify == "" {
		req.Notify = cfg.Notify
	}
	if !slices.Contains(cfg.ReadToo, req.Requester.Role) {
		req.UnreadOnly = true
	}
	return req
}

// resolve reads the messages of a request and finds its recipients in them. Messages without one are left out.
func (e *Engine) resolve(req *policy.RecallRequest) (works []*work, missing []string, err error) {
	if len(req.Messages) > maxMessages {
		return nil, nil, refuseSize()
	}
	wanted := policy.NewSelection(req.Recipients)
	seen := map[policy.ID]bool{}
	for _, id := range req.Messages {
		if seen[id] {
			continue
		}
		seen[id] = true
		w, err := e.read(&part{target: target{Message: id}})
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil, refuseUnknown(id)
		}
		if err != nil {
			return nil, nil, err
		}
		w.Rows, w.Chosen = len(w.rows), wanted.Of(w.rows)
		w.Received = w.message.Envelope.Received
		if len(w.indexes()) > 0 {
			works = append(works, w)
		}
	}
	if len(works) == 0 {
		return nil, nil, refuseNothing()
	}
	return works, wanted.Missing(), nil
}

// read reads a message and its rows.
func (e *Engine) read(p *part) (*work, error) {
	m, err := e.Journal.Message(p.Message)
	if err != nil {
		return nil, fmt.Errorf("read message %s: %w", p.Message, err)
	}
	rows, err := e.Journal.Recipients(p.Message)
	if err != nil {
		return nil, fmt.Errorf("read recipients of %s: %w", p.Message, err)
	}
	return &work{part: p, message: m, rows: rows}, nil
}
