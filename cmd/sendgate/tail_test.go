package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

func TestTailTakesUpWhereTheStreamBroke(t *testing.T) {
	record := web.LiveRecord{Batch: 7, ID: first, From: "alice@corp.example", Subject: "会议\x1b通知", RecipientCount: 2, State: policy.StateHeld, Events: []web.TimelineEntry{
		{Time: noon, Kind: policy.Accepted, Actor: "smtp"},
		{Time: noon, Kind: policy.Bounced, Recipients: []string{"bob@example.net"}, Reply: "550 no"},
	}}
	recall := web.LiveRecord{Batch: 8, ID: second, Events: []web.TimelineEntry{{Time: noon, Kind: policy.RecallRequested, Reason: "typo"}}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var resumed []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resumed = append(resumed, r.URL.RawQuery+" "+r.Header.Get("Last-Event-ID"))
		switch len(resumed) {
		case 1:
			b, _ := json.Marshal(record)
			fmt.Fprintf(w, ": connected\nretry: 2000\n\nid: 7.0\nevent: record\ndata: %s\n\n", b)
		default:
			b, _ := json.Marshal(recall)
			fmt.Fprintf(w, ": heartbeat\n\nid: 8.0\nevent: record\ndata: %s\n\n", b)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	out := &untilLine{line: []byte("typo"), seen: cancel}
	var errs bytes.Buffer
	if err := run(ctx, []string{"tail", "from:alice", "--server", s.URL}, nil, out, &errs); err != nil {
		t.Fatal(err)
	}
	if want := []string{"q=from%3Aalice ", "q=from%3Aalice 7.0"}; !slices.Equal(resumed, want) {
		t.Errorf("asked %q, want %q", resumed, want)
	}
	golden(t, "tail", out.String()+errs.String())
}

// untilLine takes output and calls seen when a text has come.
type untilLine struct {
	bytes.Buffer
	line []byte
	seen func()
}

func (u *untilLine) Write(b []byte) (int, error) {
	n, err := u.Buffer.Write(b)
	if bytes.Contains(u.Bytes(), u.line) {
		u.seen()
	}
	return n, err
}

func TestTailEndsWithAClearError(t *testing.T) {
	f := newFakeAPI(t)
	if _, _, err := f.sendgate(t, "tail"); err == nil || err.Error() != "there is no such message" {
		t.Errorf("a problem: %v", err)
	}
	f.answer["GET /api/v1/events"] = "data: {}\ndata: <html>\n\n"
	_, _, err := f.sendgate(t, "tail")
	if err == nil || err.Error() != f.URL+" does not speak like sendgate: invalid character '<' looking for beginning of value" {
		t.Errorf("nonsense: %v", err)
	}
	f.answer["GET /api/v1/events"] = "data: {\"newer\":1}\n\n"
	r, w := io.Pipe()
	_ = r.Close()
	if err := run(t.Context(), []string{"tail", "--json", "--server", f.URL}, nil, w, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed pipe: %v", err)
	}
}
