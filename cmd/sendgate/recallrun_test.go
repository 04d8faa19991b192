package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/web"
)

// A transcript is what a program has printed so far.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	printed chan struct{}
}

// Write notes what is printed.
func (p *transcript) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.text.Write(b)
	select {
	case p.printed <- struct{}{}:
	default:
	}
	return n, err
}

// find waits for a text of some form and gives its first group.
func (p *transcript) find(t *testing.T, form string) string {
	t.Helper()
	r := regexp.MustCompile(form)
	late := time.After(time.Minute)
	for {
		p.mu.Lock()
		m := r.FindStringSubmatch(p.text.String())
		p.mu.Unlock()
		if m != nil {
			return m[1]
		}
		select {
		case <-p.printed:
		case <-late:
			t.Fatalf("%s is not printed", form)
		}
	}
}

// runningDemo runs the demo until the test ends and gives the address of its API, when its mail has been sent.
func runningDemo(t *testing.T) (server string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out := &transcript{printed: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	data := t.TempDir() // is removed after the demo has ended
	go func() {
		ended <- runDemo(ctx, demoAddresses{smtp: "127.0.0.1:0", http: "127.0.0.1:0", imap: "127.0.0.1:0"}, data, out)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	server = "http://" + out.find(t, `HTTP +http://(\S+)`)
	out.find(t, `\n  (alice@corp.example)`)
	return server
}

// The commands against a gateway as it runs, from the request to the timeline.
func TestRecallOnARunningGateway(t *testing.T) {
	server := runningDemo(t)
	ask := func(args ...string) (stdout string, err error) {
		var out, errs bytes.Buffer
		err = run(t.Context(), append(args, "--server", server, "--token", gateway.DemoToken, "--lang", "en"), nil, &out, &errs)
		return out.String() + errs.String(), err
	}
	read := func(v any, args ...string) {
		t.Helper()
		out, err := ask(append(args, "--json")...)
		if err != nil || json.Unmarshal([]byte(out), v) != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	var held web.MessageList
	read(&held, "messages", "state:held")
	if len(held.Messages) == 0 {
		t.Fatal("nothing is held")
	}
	m := held.Messages[0]

	if out, err := ask("recall", m.ID[20:]); err == nil || err.Error() != "say why: the reason is kept with the message" || out != "" {
		t.Errorf("without a reason: %v\n%s", err, out)
	}
	plan, err := ask("recall", m.ID, "--reason", "wrong file", "--dry-run")
	if err != nil || !strings.Contains(plan, "can be taken back") {
		t.Errorf("dry run: %v\n%s", err, plan)
	}
	var shown web.MessageDetail
	if read(&shown, "show", m.ID); shown.State != m.State || !shown.Recall.Available {
		t.Errorf("after the dry run it is %s, %+v", shown.State, shown.Recall)
	}
	out, err := ask("recall", m.ID, "--reason", "wrong file", "--wait")
	if err != nil || !strings.Contains(out, "taken back before it was sent") {
		t.Fatalf("recall: %v\n%s", err, out)
	}
	read(&shown, "show", m.ID)
	if r := shown.Recipients[0].Recall; r == nil || r.Code != "removed_from_hold" || shown.State != "canceled" || shown.Recall.Available {
		t.Errorf("after the recall: %s, %+v, %+v", shown.State, r, shown.Recall)
	}
	if out, err := ask("recall", m.ID, "--reason", "again"); err == nil || !strings.HasPrefix(err.Error(), "it has been taken back already: sendgate recalls ") {
		t.Errorf("again: %v\n%s", err, out)
	}
	var list web.RecallList
	if read(&list, "recalls"); len(list.Recalls) != 1 || list.Recalls[0].Overall != "all_success" || list.Recalls[0].Reason != "wrong file" {
		t.Errorf("recalls: %+v", list.Recalls)
	}
	if out, err := ask("recalls", list.Recalls[0].ID, "--evidence"); err != nil || !strings.Contains(out, "RESULT  taken back") {
		t.Errorf("the recall: %v\n%s", err, out)
	}
	for _, verb := range []string{"approve", "cancel", "restore"} {
		if out, err := ask("recalls", verb, list.Recalls[0].ID); err == nil {
			t.Errorf("%s of an ended recall: %s", verb, out)
		}
	}
	if out, err := ask("recalls", "stats"); err != nil || !strings.Contains(out, "wrong file") {
		t.Errorf("stats: %v\n%s", err, out)
	}
}

// What has been delivered is taken out of the demo's real mailbox, unread, and put back.
func TestRecallOutOfTheDemosMailbox(t *testing.T) {
	server := runningDemo(t)
	ask := func(v any, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if err := run(t.Context(), append(args, "--server", server, "--token", gateway.DemoToken, "--lang", "en"), nil, &out, &errs); err != nil {
			t.Fatalf("%v: %v\n%s%s", args, err, &out, &errs)
		}
		if v != nil {
			if err := json.Unmarshal(out.Bytes(), v); err != nil {
				t.Fatalf("%v: %v\n%s", args, err, &out)
			}
		}
		return out.String()
	}
	var held web.MessageList
	ask(&held, "messages", "state:held", "to:@corp.example", "--json")
	if len(held.Messages) == 0 {
		t.Fatal("no internal mail is held")
	}
	id := held.Messages[0].ID
	shown := func(state string) (m web.MessageDetail) {
		t.Helper()
		late := time.After(time.Minute)
		for {
			m = web.MessageDetail{}
			ask(&m, "show", id, "--json")
			if slices.ContainsFunc(m.Recipients, func(r web.Recipient) bool { return string(r.State) == state }) {
				return m
			}
			select {
			case <-late:
				t.Fatalf("no recipient is %s: %+v", state, m.Recipients)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	ask(nil, "release", id)
	shown("delivered_mailbox")
	if out := ask(nil, "recall", id, "--reason", "wrong file", "--wait"); !strings.Contains(out, "taken out of the mailbox") {
		t.Fatalf("recall: %s", out)
	}
	shown("recalled")
	var list web.RecallList
	ask(&list, "recalls", "--json")
	ask(nil, "recalls", "restore", list.Recalls[0].ID)
	shown("delivered_mailbox")
}
