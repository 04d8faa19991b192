package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// reconnectPause is how long a stream that broke off is let alone before it is taken up again.
	reconnectPause = 2 * time.Second
	maxFrame       = 16 << 20
)

// An outputError is our own output failing, as when a pipe is closed, or a stream that says nothing we know: to
// connect again helps neither.
type outputError struct{ error }

func (e outputError) Unwrap() error { return e.error }

// errStreamEnded is what shows the last of a stream.
var errStreamEnded = errors.New("the stream has come to its end")

// follow shows the data of a stream of server-sent events until show gives errStreamEnded or ctx ends. A stream that
// breaks off is taken up where it broke; sure says that it is there, so that this goes for the first time, too.
func (c *client) follow(ctx context.Context, path string, sure bool, show func(data []byte) error) error {
	last := ""
	for {
		header := http.Header{"Accept": {"text/event-stream"}}
		if last != "" {
			header.Set("Last-Event-ID", last)
		}
		resp, err := c.request(ctx, http.MethodGet, path, nil, header)
		if err == nil {
			sure = true
			err = readFrames(resp.Body, &last, show)
			_ = resp.Body.Close() // only read
		}
		switch {
		case errors.Is(err, errStreamEnded):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !sure, errors.As(err, new(refusedError)), errors.As(err, new(outputError)):
			return err
		}
		fmt.Fprintln(c.err, c.say("reconnecting"))
		select {
		case <-time.After(reconnectPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readFrames shows the frames of one connection and keeps the id of the last.
func readFrames(stream io.Reader, last *string, show func(data []byte) error) error {
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
			if err := show([]byte(value)); err != nil {
				return err
			}
			*last = id
		}
	}
	return lines.Err()
}
