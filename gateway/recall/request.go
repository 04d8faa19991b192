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
	wanted := newSelection(req.Recipients)
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
		w.Rows, w.Chosen = len(w.rows), wanted.of(w.rows)
		w.Received = w.message.Envelope.Received
		if len(w.indexes()) > 0 {
			works = append(works, w)
		}
	}
	if len(works) == 0 {
		return nil, nil, refuseNothing()
	}
	return works, wanted.missing(), nil
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

// A selection finds recipients by address, as it stands in the envelope or was given in ORCPT. The empty
// selection finds all.
type selection struct {
	given []string
	seen  map[string]bool // by key
}

func newSelection(addresses []string) *selection {
	s := &selection{given: addresses, seen: map[string]bool{}}
	for _, a := range addresses {
		s.seen[addressKey(a)] = false
	}
	return s
}

func addressKey(text string) string {
	a, err := policy.ParseAddress(text)
	if err != nil {
		return text
	}
	return a.Key()
}

// of gives the indexes of the recipients that are selected; nil stands for all.
func (s *selection) of(rows policy.Rows) []int {
	if len(s.given) == 0 {
		return nil
	}
	indexes := make([]int, 0, len(s.given))
	for i := range rows {
		if s.has(rows[i].Address.Key()) || rows[i].Original != "" && s.has(addressKey(rows[i].Original)) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (s *selection) has(key string) bool {
	_, ok := s.seen[key]
	if ok {
		s.seen[key] = true
	}
	return ok
}

// missing lists the addresses that no row had.
func (s *selection) missing() (addresses []string) {
	for _, a := range s.given {
		if !s.seen[addressKey(a)] {
			addresses = append(addresses, a)
		}
	}
	return addresses
}
