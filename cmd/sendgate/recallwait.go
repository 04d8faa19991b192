package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
)

// waitForRecall shows on the error output how a recall gets on until it has ended, and gives what it has come
// to. An interrupt ends the waiting and not the recall.
func (c *client) waitForRecall(ctx context.Context, id string, r *web.Recall) (raw []byte, err error) {
	path := "/recalls/" + url.PathEscape(id)
	for ended := false; !ended; {
		resp, err := c.request(ctx, http.MethodGet, path+"/events", nil, http.Header{"Accept": {"text/event-stream"}})
		if err == nil {
			ended, err = c.followRecall(resp.Body)
			_ = resp.Body.Close() // only read
		}
		switch {
		case ended:
		case ctx.Err() != nil:
			return nil, errors.New(c.say("goes on", id))
		case errors.As(err, new(refusedError)), errors.As(err, new(outputError)):
			return nil, err
		default:
			fmt.Fprintln(c.err, c.say("reconnecting"))
			select {
			case <-time.After(tailPause):
			case <-ctx.Done():
			}
		}
	}
	return c.get(ctx, path, nil, r)
}

// followRecall prints the events of one connection; ended is true when the recall has.
func (c *client) followRecall(stream io.Reader) (ended bool, err error) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxFrame)
	shown := ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name != "data" {
			continue
		}
		var r web.Recall
		if err := json.Unmarshal([]byte(value), &r); err != nil {
			return false, outputError{fmt.Errorf("%s does not speak like sendgate: %w", c.where, err)}
		}
		if line := c.progress(&r); line != shown {
			shown = line
			if _, err := fmt.Fprintln(c.err, clean(line)); err != nil {
				return false, outputError{err}
			}
		}
		if !r.Ended.IsZero() {
			return true, nil
		}
	}
	return false, lines.Err()
}

// progress is one line about a recall under way.
func (c *client) progress(r *web.Recall) string {
	if r.Overall == overallApproval {
		return c.say("approve it", clock(r.ApproveUntil), r.ID)
	}
	return c.say("progress", r.Percent, r.SuccessCount, r.FailureCount, r.ProcessingCount)
}
