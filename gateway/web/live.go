package web

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxLive is how many live pages one connection serves; live.js asks for no more.
const maxLive = 32

// liveAll sends what several live pages would send, each asked for by its path in "of", as one stream. A browser
// opens six connections to a host (HTTP/1.1), and every tab that is live would take one of them for itself.
//
// Each event is called "part"; its first line is the number of the page in the request and the name of the part.
func (s *Server) liveAll(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.sessionOf(r) == nil {
			w.WriteHeader(http.StatusNoContent) // tells an EventSource not to come again
			return
		}
		w.Header().Set("Content-Type", eventStream)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no") // nginx would keep the events back
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		all := &sharedStream{out: &eventWriter{w: w, control: http.NewResponseController(w)}, cancel: cancel}
		if all.send([]byte(": connected\n\n")) != nil {
			return
		}
		asked := r.URL.Query()["of"]
		var group sync.WaitGroup
		for number, of := range asked[:min(len(asked), maxLive)] {
			if one := livePart(mux, r.WithContext(ctx), of); one != nil {
				group.Go(func() { mux.ServeHTTP(&channel{stream: all, number: number, header: http.Header{}}, one) })
			}
		}
		group.Wait()
	})
}

// livePart makes the request for one of the pages, nil when there is no such.
func livePart(mux *http.ServeMux, r *http.Request, of string) *http.Request {
	u, err := url.ParseRequestURI(of)
	if err != nil || localPath(of) != of || u.Path == r.URL.Path {
		return nil
	}
	one := r.Clone(r.Context())
	one.URL, one.RequestURI, one.Form = u, of, nil
	if _, pattern := mux.Handler(one); !strings.HasPrefix(pattern, "GET ") || !strings.HasSuffix(pattern, "/live") {
		return nil
	}
	return one
}

// A sharedStream is the one connection. When it cannot be written to, all pages on it end.
type sharedStream struct {
	mu     sync.Mutex
	out    *eventWriter
	cancel context.CancelFunc
}

func (s *sharedStream) send(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.out.write(frame)
	if err != nil {
		s.cancel()
	}
	return err
}

// A channel is the place of one page on the connection: an [http.ResponseWriter] that takes whole frames.
type channel struct {
	stream *sharedStream
	number int
	header http.Header
}

func (c *channel) Header() http.Header { return c.header }
func (c *channel) WriteHeader(int)     {} // the connection has its own
func (c *channel) Flush()              {} // each frame is sent at once

// SetWriteDeadline does nothing: each frame has a deadline of its own.
func (c *channel) SetWriteDeadline(time.Time) error { return nil }

// Write sends frames under the number of the channel.
func (c *channel) Write(frames []byte) (int, error) {
	var out bytes.Buffer
	for line := range bytes.Lines(frames) {
		if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			out.WriteString("event: part\ndata: " + strconv.Itoa(c.number) + " ")
			line = name
		}
		out.Write(line)
	}
	if err := c.stream.send(out.Bytes()); err != nil {
		return 0, err
	}
	return len(frames), nil
}
