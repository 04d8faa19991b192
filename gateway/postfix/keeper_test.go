package postfix

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"golang.org/x/text/transform"
)

func TestReady(t *testing.T) {
	k := startKeeping(t)
	if err := k.Ready(); err == nil || err.Error() != "the queue was not listed yet" {
		t.Errorf("before the first round: %v", err)
	}
	run := func(away error) error {
		k.shelf.away = away
		k.report(k.round(t.Context()))
		return k.Ready()
	}
	if err := run(nil); err != nil {
		t.Errorf("after a round: %v", err)
	}
	for range 2 {
		if err := run(errDial); !errors.Is(err, ErrAway) || err.Error() != "the postfix helper is away: dial unix: no such file" {
			t.Errorf("without the helper: %v", err)
		}
	}
	if err := run(nil); err != nil {
		t.Errorf("with the helper again: %v", err)
	}
	var lines []string
	for _, l := range k.lines.All() {
		lines = append(lines, l.Message)
	}
	want := []string{
		"Postfix's queue can be looked at", "Postfix's queue cannot be looked at; what is held there waits", "Postfix's queue can be looked at",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the log: %q", lines)
	}
}

func TestReadyBetweenRounds(t *testing.T) {
	for name, ask := range map[string]func(k *keeping, id policy.ID, e *policy.Envelope) error{
		"release": func(k *keeping, id policy.ID, e *policy.Envelope) error {
			_, err := k.Release(context.Background(), id, e, false)
			return err
		},
		"delete": func(k *keeping, id policy.ID, e *policy.Envelope) error {
			_, err := k.Delete(context.Background(), id, e)
			return err
		},
		"held": func(k *keeping, _ policy.ID, e *policy.Envelope) error {
			_, err := k.Held(context.Background(), e)
			return err
		},
		"read": func(k *keeping, _ policy.ID, e *policy.Envelope) error {
			_, _, err := k.Read(context.Background(), e)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.hold(t, queueID)
			k.report(k.round(t.Context()))
			k.shelf.away = errDial
			if err := ask(k, id, new(k.message(t, id).Envelope)); !errors.Is(err, ErrAway) {
				t.Errorf("the error is %v", err)
			}
			if err := k.Ready(); !errors.Is(err, ErrAway) {
				t.Errorf("ready: %v", err)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	k := startKeeping(t)
	k.shelf.away = errDial
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	eventually(t, "a round was tried", func() bool { return errors.Is(k.Ready(), ErrAway) })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := k.batcher.Release(t.Context(), Identity{ID: queueID}); !errors.Is(err, ErrClosed) {
		t.Errorf("the batcher goes on: %v", err)
	}
}

func TestDelete(t *testing.T) {
	tests := []struct {
		name  string
		run   func(k *keeping)
		want  Outcome // "" for an error
		err   string
		queue string
	}{
		{"from the hold queue", func(k *keeping) { k.file(queueID, holdQueue, time.Hour) }, Removed, "", ""},
		{"not there", func(*keeping) {}, NotFound, "", ""},
		{"a newer message has its queue id", func(k *keeping) {
			k.shelf.put(Envelope{ID: queueID, Queue: holdQueue, Arrival: k.clock().Add(time.Minute), Sender: sender})
		}, NotFound, "", holdQueue},
		{"under delivery", func(k *keeping) {
			k.file(queueID, "active", 0)
			k.shelf.busy[queueID] = true
		}, "", "delete " + queueID + ": in_flight ", holdQueue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := startKeeping(t)
			id := k.hold(t, queueID)
			tt.run(k)
			outcome, err := k.Delete(t.Context(), id, new(k.message(t, id).Envelope))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("the error is %v", err)
				}
			} else if err != nil || outcome != tt.want {
				t.Errorf("%s, %v", outcome, err)
			}
			if at := k.shelf.where(queueID); at != tt.queue {
				t.Errorf("the queue file is in %q", at)
			}
			recorded := slices.Contains(k.timeline(t, id), "recall_outcome: removed_from_queue")
			if recorded != (tt.want == Removed) {
				t.Errorf("the timeline is %q", k.timeline(t, id))
			}
		})
	}
}

func TestReadGivesLinesAsInSMTP(t *testing.T) {
	k := startKeeping(t)
	id := k.hold(t, queueID)
	e := k.message(t, id).Envelope
	if _, _, err := k.Read(t.Context(), &e); !errors.Is(err, ErrNotFound) {
		t.Errorf("without a queue file: %v", err)
	}
	k.file(queueID, holdQueue, 0)
	k.shelf.content = "Subject: x\n\n.\n\nlast\n"
	got, r, err := k.Read(t.Context(), &e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil || string(text) != "Subject: x\r\n\r\n.\r\n\r\nlast\r\n" || got.Queue != holdQueue {
		t.Errorf("%q in %q, %v", text, got.Queue, err)
	}
	if held, err := k.Held(t.Context(), &e); !held || err != nil {
		t.Errorf("held: %v, %v", held, err)
	}
}

func TestLineEndsFitAnywhere(t *testing.T) {
	long := strings.Repeat("\nx", 10_000) + "\n"
	got, _, err := transform.String(lineEnds{}, long)
	if err != nil || got != strings.ReplaceAll(long, "\n", "\r\n") {
		t.Errorf("%d octets, %v", len(got), err)
	}
}

func TestAMessageWithoutAQueueIDIsNowhere(t *testing.T) {
	k := startKeeping(t)
	if held, err := k.Held(t.Context(), &policy.Envelope{QueueID: "../../etc"}); held || err != nil || k.shelf.asked != nil {
		t.Errorf("held: %v, %v, asked %q", held, err, k.shelf.asked)
	}
}
