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
	"github.com/spf13/cobra"
)

const (
	// tailPause is how long tail waits before it connects again.
	tailPause = 2 * time.Second
	maxFrame  = 16 << 20
)

func newTailCommand() *cobra.Command {
	return newClientCommand("tail [QUERY...]", "Show what happens, while it happens", cobra.ArbitraryArgs,
		func(ctx context.Context, c *client, args []string) error {
			return c.tail(ctx, strings.Join(args, " "))
		})
}

// tail follows the stream until it is interrupted. A stream that breaks off is taken up where it broke.
func (c *client) tail(ctx context.Context, q string) error {
	path := "/events"
	if q != "" {
		path += "?" + url.Values{"q": {q}}.Encode()
	}
	last, connected := "", false
	for {
		header := http.Header{"Accept": {"text/event-stream"}}
		if last != "" {
			header.Set("Last-Event-ID", last)
		}
		resp, err := c.request(ctx, http.MethodGet, path, nil, header)
		if err == nil {
			connected = true
			err = c.follow(resp.Body, &last)
			_ = resp.Body.Close() // only read
		}
		switch {
		case ctx.Err() != nil:
			return nil // interrupted: that is how it ends
		case !connected, errors.As(err, new(refusedError)), errors.As(err, new(outputError)):
			return err
		}
		fmt.Fprintln(c.err, c.say("reconnecting"))
		select {
		case <-time.After(tailPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// An outputError is our own output failing, as when a pipe is closed.
type outputError struct{ error }

func (e outputError) Unwrap() error { return e.error }

// follow prints the frames of one connection and keeps the id of the last.
func (c *client) follow(stream io.Reader, last *string) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxFrame)
	id, kind := "", ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "": // the end of a frame
			kind = ""
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			if kind == "dropped" { // the stream ends, and is taken up again
				continue
			}
			if err := c.printRecord([]byte(value)); err != nil {
				return outputError{err}
			}
			*last = id
		}
	}
	return lines.Err()
}

func (c *client) printRecord(data []byte) error {
	if c.json {
		_, err := fmt.Fprintf(c.out, "%s\n", data)
		return err
	}
	var r web.LiveRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s does not speak like sendgate: %w", c.where, err)
	}
	for i := range r.Events {
		if _, err := fmt.Fprintln(c.out, clean(c.liveLine(&r, &r.Events[i]))); err != nil {
			return err
		}
	}
	return nil
}

// liveLine is one event in one line.
func (c *client) liveLine(r *web.LiveRecord, e *web.TimelineEntry) string {
	parts := []string{clock(e.Time), r.ID, c.kind(e.Kind)}
	if r.State != "" { // else it is about no message
		parts = append(parts, c.sender(r.From), "->", c.about(e, r.RecipientCount))
		if r.Subject != "" {
			parts = append(parts, fmt.Sprintf("%q", cut(r.Subject, subjectCells)))
		}
	}
	if more := strings.Join(c.more(e), " "); more != "" {
		parts = append(parts, more)
	}
	return strings.Join(parts, " ")
}
