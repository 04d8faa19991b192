package notify

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// The real store is a Journal.
var _ Journal = (*store.Store)(nil)

func openStore(t *testing.T) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.Dir = t.TempDir()
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// stored puts the message of a report into a journal.
func stored(t *testing.T, st *store.Store, r *Report, text string) store.Message {
	t.Helper()
	id := st.NewID()
	body := st.NewBody(id)
	if _, err := io.WriteString(body, text); err != nil {
		t.Fatal(err)
	}
	e := r.Message.Envelope
	e.Front, e.Identity = policy.Relay, "ann"
	for _, rc := range r.Recipients {
		e.Recipients = append(e.Recipients, rc.Recipient)
	}
	_, err := st.Commit(t.Context(), store.Change{Message: id, Envelope: &e, Body: body, Events: []policy.Event{
		{Kind: policy.Accepted, Time: e.Received}, {Kind: policy.Released, Time: e.Received, Until: e.Received},
	}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAReportIsAReleasedMessageFromTheNullSender(t *testing.T) {
	st := openStore(t)
	r := report(func(r *Report) { r.Message.Envelope.Ret = "FULL" })
	m := stored(t, st, r, original)
	p := New("mail-gw.corp.example", 120*time.Hour, st, func() time.Time { return accepted.Add(time.Minute) })
	id, told, err := p.Failed(t.Context(), m, r.Recipients)
	if err != nil || !slices.Equal(told, []int{0}) {
		t.Fatalf("told %v, error %v", told, err)
	}
	dsn, err := st.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	e := dsn.Envelope
	if e.Sender != "" || e.Front != policy.Internal || e.Direction != policy.Outbound || e.Identity != "sendgate" || e.Body != "8BITMIME" || e.UTF8 {
		t.Errorf("envelope %+v", e)
	}
	if dsn.States[policy.StateQueued] != 1 || !dsn.Due.Equal(accepted.Add(time.Minute)) || dsn.BodySize != e.Size {
		t.Errorf("states %v, due %v, %d octets stored, %d announced", dsn.States, dsn.Due, dsn.BodySize, e.Size)
	}
	rcpts, err := st.Recipients(id)
	if err != nil || rcpts[0].Address != "ann@corp.example" {
		t.Errorf("recipients %v, error %v", rcpts, err)
	}
	body, err := st.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if parts := parse(t, text); len(parts) != 3 || parts[2].kind != "message/rfc822" || parts[2].body != original {
		t.Errorf("parts %q", parts)
	}
	timeline, err := st.Timeline(id)
	if err != nil || timeline[0].Events[0].Evidence != m.ID.String() || timeline[0].Events[0].Reason != "report: failed" {
		t.Errorf("timeline %+v, error %v", timeline, err)
	}
}

func TestWhoIsTold(t *testing.T) {
	tests := []struct {
		notify                   []string
		failed, delayed, relayed bool
	}{
		{nil, true, true, false},
		{[]string{"NEVER"}, false, false, false},
		{[]string{"FAILURE"}, true, false, false},
		{[]string{"DELAY"}, false, true, false},
		{[]string{"SUCCESS"}, false, false, true},
		{[]string{"SUCCESS", "FAILURE", "DELAY"}, true, true, true},
	}
	for _, tt := range tests {
		for word, want := range map[string]bool{"FAILURE": tt.failed, "DELAY": tt.delayed, "SUCCESS": tt.relayed} {
			if got := wants(tt.notify, word); got != want {
				t.Errorf("NOTIFY=%s, %s: %v", strings.Join(tt.notify, ","), word, got)
			}
		}
	}
}

// A deadJournal must not be asked, or cannot write.
type deadJournal struct {
	*store.Store
	err error
}

func (j *deadJournal) Commit(context.Context, store.Change) (uint64, error) { return 0, j.err }

func TestOnlyThoseWhoWantAreInTheReport(t *testing.T) {
	st := openStore(t)
	r := report(func(r *Report) {
		never, asked := r.Recipients[0], r.Recipients[0]
		never.Index, never.Notify = 1, []string{"NEVER"}
		asked.Index, asked.Address, asked.Notify = 2, "eve@partner.example", []string{"DELAY", "SUCCESS"}
		r.Recipients = append(r.Recipients, never, asked)
	})
	m := stored(t, st, r, original)
	p := New("mail-gw.corp.example", time.Hour, st, time.Now)
	for name, tt := range map[string]struct {
		send func(context.Context, store.Message, []store.Recipient) (policy.ID, []int, error)
		told []int
	}{"failed": {p.Failed, []int{0}}, "delayed": {p.Delayed, []int{0, 2}}, "relayed": {p.Relayed, []int{2}}} {
		id, told, err := tt.send(t.Context(), m, r.Recipients)
		if err != nil || !slices.Equal(told, tt.told) || id == (policy.ID{}) {
			t.Errorf("%s: told %v, error %v", name, told, err)
		}
	}
}

func TestNobodyIsTold(t *testing.T) {
	p := New("mail-gw.corp.example", time.Hour, &deadJournal{openStore(t), errors.New("was asked")}, time.Now)
	for name, change := range map[string]func(*Report){
		"null sender":          func(r *Report) { r.Message.Envelope.Sender = "" },
		"our own notice":       func(r *Report) { r.Message.Envelope.Front = policy.Internal },
		"nobody wants to know": func(r *Report) { r.Recipients[0].Notify = []string{"NEVER"} },
	} {
		r := report(change)
		id, told, err := p.Failed(t.Context(), r.Message, r.Recipients)
		if err != nil || told != nil || id != (policy.ID{}) {
			t.Errorf("%s: id %v, told %v, error %v", name, id, told, err)
		}
	}
}

func TestAJournalThatCannotWriteIsSaid(t *testing.T) {
	p := New("mail-gw.corp.example", time.Hour, &deadJournal{openStore(t), store.ErrFull}, time.Now)
	r := report(nil)
	_, _, err := p.Failed(t.Context(), r.Message, r.Recipients)
	if !errors.Is(err, store.ErrFull) || err.Error() != "commit report: the disk is nearly full" {
		t.Errorf("error %v", err)
	}
}

func TestAnOriginalThatIsGoneIsLeftOut(t *testing.T) {
	st := openStore(t)
	r := report(nil)
	p := New("mail-gw.corp.example", time.Hour, st, time.Now)
	id, _, err := p.Failed(t.Context(), r.Message, r.Recipients)
	if err != nil {
		t.Fatal(err)
	}
	body, err := st.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if parts := parse(t, text); len(parts) != 2 {
		t.Errorf("%d parts", len(parts))
	}
}
