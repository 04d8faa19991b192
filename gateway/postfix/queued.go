package postfix

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Queued is a message in Postfix's queue as postqueue -j lists it.
type Queued struct {
	Queue   string    // hold, incoming, active, deferred or maildrop
	ID      string    // the queue id
	Arrival time.Time // whole seconds, UTC
	Size    int64     // octets of the content
	Sender  policy.Address
	// Expired is set when the message will go back to its sender at the next attempt.
	Expired bool
	// Recipients are those that still wait.
	Recipients []Waiting
}

// Waiting is a recipient that Postfix is not done with.
type Waiting struct {
	Address policy.Address
	Reason  string // why the last attempt failed; empty before the first
}

// nullSender is how postqueue writes the sender "<>".
const nullSender = "MAILER-DAEMON"

var errListedID = errors.New("has no valid queue id")

// ParseQueued reads a line of postqueue -j. Members that it does not know are left alone, as
// postqueue(1) demands.
func ParseQueued(line []byte) (Queued, error) {
	var listed struct {
		Queue      string `json:"queue_name"`
		ID         string `json:"queue_id"`
		Arrival    int64  `json:"arrival_time"`
		Size       int64  `json:"message_size"`
		Expired    bool   `json:"forced_expire"`
		Sender     string `json:"sender"`
		Recipients []struct {
			Address      string `json:"address"`
			DelayReason  string `json:"delay_reason"`
			BounceReason string `json:"bounce_reason"`
		} `json:"recipients"`
	}
	if err := json.Unmarshal(line, &listed); err != nil {
		return Queued{}, fmt.Errorf("line of the queue listing: %w", err)
	}
	if !ValidID(listed.ID) {
		return Queued{}, fmt.Errorf("line of the queue listing: %q: %w", listed.ID, errListedID)
	}
	q := Queued{
		Queue: listed.Queue, ID: listed.ID, Arrival: time.Unix(listed.Arrival, 0).UTC(), Size: listed.Size,
		Expired: listed.Expired, Sender: policy.Address(listed.Sender),
	}
	if listed.Sender == nullSender {
		q.Sender = ""
	}
	for _, r := range listed.Recipients {
		reason := r.DelayReason
		if reason == "" {
			reason = r.BounceReason
		}
		q.Recipients = append(q.Recipients, Waiting{Address: policy.Address(r.Address), Reason: reason})
	}
	return q, nil
}
