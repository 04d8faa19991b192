package recall

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// recordVersion marks the timelines of recalls; there are others with an event of the same kind.
const recordVersion = 2

// A record is what the journal keeps of a request, in the evidence of RecallRequested.
type record struct {
	Version      int                  `json:"version"`
	Request      policy.RecallRequest `json:"request"`
	Targets      []target             `json:"targets"`
	Missing      []string             `json:"missing,omitempty"`
	ApproveUntil time.Time            `json:"approve_until,omitzero"`
}

// A summary is what the journal keeps of an end, in the evidence of RecallEnded.
type summary struct {
	Overall  string              `json:"overall"`
	Counts   policy.RecallCounts `json:"counts"`
	Messages []share             `json:"messages"`
	// Corrected is true when somebody was told something else before.
	Corrected bool `json:"corrected,omitempty"`
}

// A share is one message of a summary, without its recipients.
type share struct {
	Age   time.Duration             `json:"age"` // from its acceptance to the request
	Codes map[policy.RecallCode]int `json:"codes"`
}

// Reasons of the events in a recall's own timeline that are neither request nor end. They have the kind
// recall_outcome, as what a recall did.
const (
	reasonReopened = "reopened" // later evidence: something is to be done again
	reasonStopped  = "stopped"  // somebody cancelled it
	reasonPurged   = "purged"   // what it took was removed from staging for good
)

// say records something in the timeline of a recall itself.
func (e *Engine) say(ctx context.Context, id policy.ID, ev policy.Event, evidence any) error {
	if evidence != nil {
		text, err := json.Marshal(evidence)
		if err != nil {
			return fmt.Errorf("encode %s: %w", ev.Kind, err)
		}
		ev.Evidence = string(text)
	}
	if _, err := e.Journal.Commit(ctx, store.Change{Message: id, Events: []policy.Event{ev}}); err != nil {
		return fmt.Errorf("record %s of recall %s: %w", ev.Kind, id, err)
	}
	return nil
}

// summarise gives the summary of a job as it is. The caller has the lock.
func (j *job) summarise(overall string) summary {
	s := summary{Overall: overall, Counts: j.counts()}
	for _, p := range j.parts {
		sh := share{Age: max(0, j.requested.Sub(p.Received)), Codes: map[policy.RecallCode]int{}}
		for _, n := range p.codes() {
			sh.Codes[n.code] = n.n
		}
		s.Messages = append(s.Messages, sh)
	}
	return s
}
