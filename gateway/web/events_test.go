package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// A stream is a client of the events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	stop  context.CancelFunc
}

// follow opens a stream and waits until it is subscribed.
func follow(t *testing.T, base *httptest.Server, q, lastID string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.URL+"/api/v1/events?q="+url.QueryEscape(q), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer secret-auditor")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := base.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %s %s", resp.Status, resp.Header)
	}
	s := &stream{t: t, lines: bufio.NewScanner(resp.Body), stop: cancel}
	if got := s.line(); got != ": connected" {
		t.Fatalf("first line %q", got)
	}
	return s
}

func (s *stream) line() string {
	s.t.Helper()
	if !s.lines.Scan() {
		s.t.Fatalf("the stream ended: %v", s.lines.Err())
	}
	return s.lines.Text()
}

// record reads to the next record.
func (s *stream) record() (id string, v LiveRecord) {
	s.t.Helper()
	for {
		switch name, value, _ := strings.Cut(s.line(), ": "); name {
		case "id":
			id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				s.t.Fatal(err)
			}
			return id, v
		}
	}
}

func serve(t *testing.T, r *rig) *httptest.Server {
	t.Helper()
	h := httptest.NewServer(r.server.Handler())
	t.Cleanup(h.Close)
	t.Cleanup(r.server.close)
	return h
}

func TestEventsShowWhatHappens(t *testing.T) {
	r := newRig(t)
	s := follow(t, serve(t, r), "", "")
	id := r.accept("alice@corp.example", "会议 <b>", "bob@example.net", "carol@example.net")
	r.observe(id, policy.Event{Kind: policy.Bounced, Recipients: []int{1}, Reply: "550 no"})

	_, accepted := s.record()
	if accepted.ID != id || accepted.From != "alice@corp.example" || accepted.Subject != "会议 <b>" || accepted.RecipientCount != 2 {
		t.Errorf("accepted: %+v", accepted)
	}
	if len(accepted.Events) != 2 || accepted.Events[0].Kind != policy.Accepted || accepted.Events[0].Recipients != nil {
		t.Errorf("events: %+v", accepted.Events)
	}
	_, bounced := s.record()
	if bounced.Label.EN != "Delivering (1/2)" || !slices.Equal(bounced.Events[0].Recipients, []string{"carol@example.net"}) {
		t.Errorf("bounced: %+v", bounced)
	}
}

func TestEventsResumeAfterTheLastOneSeen(t *testing.T) {
	r := newRig(t)
	h := serve(t, r)
	var ids []string
	for range 3 {
		ids = append(ids, r.accept("alice@corp.example", "Report", "bob@example.net"))
	}
	first := r.batchOf(ids[0])
	for name, tt := range map[string]struct{ last, want string }{
		"by the id of an event":    {strconv.FormatUint(first, 10) + ".0", ids[1]},
		"by the number of a batch": {strconv.FormatUint(first+1, 10), ids[2]},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := follow(t, h, "", tt.last).record(); got.ID != tt.want {
				t.Errorf("got %s, want %s", got.ID, tt.want)
			}
		})
	}
}

func (r *rig) batchOf(id string) uint64 {
	r.t.Helper()
	records, err := r.store.Timeline(mustID(r.t, id))
	if err != nil {
		r.t.Fatal(err)
	}
	return records[0].Batch
}

func TestEventsOfAQueryOnly(t *testing.T) {
	r := newRig(t)
	s := follow(t, serve(t, r), "from:dave", "")
	r.accept("alice@corp.example", "Report", "bob@example.net")
	want := r.accept("dave@corp.example", "Report", "bob@example.net")
	if _, got := s.record(); got.ID != want {
		t.Errorf("got %s, want %s", got.ID, want)
	}
}

func TestAQuietStreamBeats(t *testing.T) {
	r := newRig(t)
	r.server.heartbeat = time.Millisecond
	s := follow(t, serve(t, r), "", "")
	for {
		if line := s.line(); line == ": heartbeat" {
			break
		}
	}
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	if _, got := s.record(); got.ID != id {
		t.Errorf("after a heartbeat got %s, want %s", got.ID, id)
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	r := newRig(t)
	s := follow(t, serve(t, r), "", "")
	r.server.close()
	for s.lines.Scan() {
	}
	if err := s.lines.Err(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestRecallsAppearInTheStream(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	s := follow(t, serve(t, r), "", "")
	recall := r.store.NewID()
	r.observe(recall.String(), policy.Event{Kind: policy.RecallRequested, Actor: "api:admin", Reason: "wrong file"})
	_, asked := s.record()
	if asked.ID != recall.String() || asked.State != "" || asked.Events[0].Kind != policy.RecallRequested || asked.Events[0].Reason != "wrong file" {
		t.Errorf("got %+v", asked)
	}
	r.observe(id, policy.Event{Kind: policy.RecallOutcome, Recipients: []int{0}, Subject: recall.String(), Reason: "already_read", Evidence: "FLAGS (\\Seen)"})
	_, got := s.record()
	if e := got.Events[0]; got.ID != id || e.Recall != recall.String() || e.Reason != "already_read" || !slices.Equal(e.Recipients, []string{"bob@example.net"}) {
		t.Errorf("got %+v", got)
	}
}

func TestEventIDs(t *testing.T) {
	for text, want := range map[string]struct {
		id        eventID
		subscribe uint64
	}{
		"":    {eventID{}, 0},
		"7":   {eventID{7, -1}, 7},
		"7.0": {eventID{7, 0}, 6},
		"7.3": {eventID{7, 3}, 6},
		"1.2": {eventID{1, 2}, 1}, // 0 would mean "from now on"
	} {
		got, err := parseEventID(text)
		if err != nil || got != want.id || got.subscribe() != want.subscribe {
			t.Errorf("%q: got %+v after %d (%v), want %+v after %d", text, got, got.subscribe(), err, want.id, want.subscribe)
		}
	}
	const detail = "Last-Event-ID is not one of ours: it is the number of a batch, or BATCH.POSITION"
	for _, text := range []string{"x", "0", "-1", "7.", "7.-1", "7.x", "99999999999999999999", "1.2.3"} {
		if _, err := parseEventID(text); err == nil || err.Error() != detail {
			t.Errorf("%q: got %v", text, err)
		}
	}
	e := eventID{7, 3}
	for _, tt := range []struct {
		r    store.Record
		want bool
	}{{store.Record{Batch: 7, Position: 3}, true}, {store.Record{Batch: 7, Position: 4}, false}, {store.Record{Batch: 8}, false}} {
		if got := e.covers(tt.r); got != tt.want {
			t.Errorf("%d.%d: %v", tt.r.Batch, tt.r.Position, got)
		}
	}
}

func FuzzEventID(f *testing.F) {
	for _, s := range []string{"", "7", "7.3", "1.0", "x.y", "7.-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parseEventID(s)
		if err != nil {
			return
		}
		if (id.batch == 0) != (s == "") || id.position < -1 || id.batch > 0 && id.subscribe() == 0 {
			t.Errorf("%q: %+v", s, id)
		}
	})
}
