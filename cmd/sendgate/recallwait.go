package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/sendgate/sendgate/gateway/web"
)

// waitForRecall shows on the error output how a recall gets on until it has ended, and gives what it has come
// to. An interrupt ends the waiting and not the recall.
func (c *client) waitForRecall(ctx context.Context, id string, r *web.Recall) (raw []byte, err error) {
	path := "/recalls/" + url.PathEscape(id)
	shown := ""
	err = c.follow(ctx, path+"/events", true, func(data []byte) error { return c.showProgress(data, &shown) })
	switch {
	case err == nil:
		return c.get(ctx, path, nil, r)
	case ctx.Err() != nil:
		return nil, errors.New(c.say("goes on", id))
	}
	return nil, err
}

// showProgress prints where a recall is, unless that was shown already, until it has ended.
func (c *client) showProgress(data []byte, shown *string) error {
	var r web.Recall
	if err := json.Unmarshal(data, &r); err != nil {
		return outputError{fmt.Errorf("%s does not speak like sendgate: %w", c.where, err)}
	}
	if line := c.progress(&r); line != *shown {
		*shown = line
		if _, err := fmt.Fprintln(c.err, clean(line)); err != nil {
			return outputError{err}
		}
	}
	if !r.Ended.IsZero() {
		return errStreamEnded
	}
	return nil
}

// progress is one line about a recall under way.
func (c *client) progress(r *web.Recall) string {
	if r.Overall == overallApproval {
		return c.say("approve it", clock(r.ApproveUntil), r.ID)
	}
	return c.say("progress", r.Percent, r.SuccessCount, r.FailureCount, r.ProcessingCount)
}
