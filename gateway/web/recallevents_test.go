package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A progress is a client of the events of a recall.
type progress struct {
	t     *testing.T
	lines *bufio.Scanner
}

func followOne(t *testing.T, base *httptest.Server, id string) *progress {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.URL+"/api/v1/recalls/"+id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer secret-auditor")
	resp, err := base.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %s %s", resp.Status, resp.Header)
	}
	return &progress{t, bufio.NewScanner(resp.Body)}
}

// next reads an event; ok is false at the end of the stream.
func (p *progress) next() (v Recall, ok bool) {
	p.t.Helper()
	for p.lines.Scan() {
		switch name, value, _ := strings.Cut(p.lines.Text(), ": "); name {
		case "event":
			if value != "recall" {
				p.t.Errorf("an event of the type %q", value)
			}
		case "data":
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				p.t.Fatal(err)
			}
			return v, true
		}
	}
	if err := p.lines.Err(); err != nil {
		p.t.Fatal(err)
	}
	return v, false
}

func TestARecallIsFollowedToItsEnd(t *testing.T) {
	r := newRig(t)
	begun, _ := r.recalls.Start(t.Context(), policy.RecallRequest{Reason: "x"})
	p := followOne(t, serve(t, r), begun.ID.String())
	first, _ := p.next()
	if first.ID != begun.ID.String() || first.Overall != "in_progress" || first.ProcessingCount != 1 || first.Percent != 0 {
		t.Errorf("at first %+v", first)
	}
	r.recalls.set(func(v *policy.RecallReport) {
		v.Counts = policy.RecallCounts{Success: 1, Processing: 1}
		v.Lines = []policy.RecallLine{{Address: "bob@example.net"}}
	})
	second, _ := p.next()
	if second.Percent != 50 || second.SuccessCount != 1 || second.Recipients != nil || !second.Ended.IsZero() {
		t.Errorf("then %+v", second)
	}
	r.recalls.set(func(v *policy.RecallReport) {
		v.Counts, v.Overall, v.Ended = policy.RecallCounts{Success: 1, Fail: 1}, policy.RecallPartial, r.now
	})
	last, _ := p.next()
	if last.Overall != "partial" || last.Status != "done" || !last.Ended.Equal(r.now) {
		t.Errorf("at last %+v", last)
	}
	if v, more := p.next(); more {
		t.Errorf("after the end comes %+v", v)
	}
}

func TestAnEndedRecallIsOneEvent(t *testing.T) {
	r := newRig(t)
	ended := *allBack
	ended.ID = r.store.NewID()
	r.recalls.put(&ended)
	p := followOne(t, serve(t, r), ended.ID.String())
	if v, ok := p.next(); !ok || v.Overall != "all_success" {
		t.Errorf("got %+v", v)
	}
	if _, more := p.next(); more {
		t.Error("the stream goes on")
	}
}

// A client that missed a change sees it at the next beat.
func TestAQuietRecallBeats(t *testing.T) {
	r := newRig(t)
	r.server.heartbeat = time.Millisecond
	begun, _ := r.recalls.Start(t.Context(), policy.RecallRequest{})
	p := followOne(t, serve(t, r), begun.ID.String())
	for range 2 {
		if v, ok := p.next(); !ok || v.ID != begun.ID.String() {
			t.Errorf("got %+v %v", v, ok)
		}
	}
}

func TestShutdownEndsTheEventsOfARecall(t *testing.T) {
	r := newRig(t)
	begun, _ := r.recalls.Start(t.Context(), policy.RecallRequest{})
	p := followOne(t, serve(t, r), begun.ID.String())
	p.next()
	r.server.close()
	if v, more := p.next(); more {
		t.Errorf("got %+v", v)
	}
}

// A slowRecalls takes two seconds to read a recall that is under way.
type slowRecalls struct{ *fakeRecalls }

func (slowRecalls) Report(_ context.Context, id policy.ID) (*policy.RecallReport, error) {
	time.Sleep(2 * time.Second)
	return &policy.RecallReport{ID: id, Overall: policy.RecallInProgress}, nil
}

// TestALargeRecallIsReadSeldom holds that a viewer has us read for a small share of the time only.
func TestALargeRecallIsReadSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{recalls: slowRecalls{newFakeRecalls(time.Now())}, heartbeat: time.Millisecond}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var seen []time.Duration
		begun := time.Now()
		_ = s.followRecall(ctx, policy.ID{1}, func(*policy.RecallReport) error {
			seen = append(seen, time.Since(begun).Round(time.Second))
			return nil
		})
		if want := []time.Duration{2 * time.Second, 24 * time.Second, 46 * time.Second}; !slices.Equal(seen, want) {
			t.Errorf("read at %v, want %v", seen, want)
		}
	})
}
