package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// as gives a context of somebody.
func as(t *testing.T, role, identity string, domains ...string) context.Context {
	return context.WithValue(t.Context(), principalKey, principal{actor: "user:" + identity, role: role, identity: identity, domains: domains})
}

// piece waits for what a viewer is handed.
func (v *viewer) piece(t *testing.T) string {
	t.Helper()
	select {
	case p, ok := <-v.pieces:
		if !ok {
			t.Fatal("the viewer was dropped")
		}
		return string(p)
	case <-time.After(60 * time.Second):
		t.Fatal("nothing came")
	}
	return ""
}

func TestARecordIsEncodedOnceForAllWhoSeeIt(t *testing.T) {
	r := newRig(t)
	t.Cleanup(r.server.close)
	f := r.server.feed
	everything := []*viewer{f.join(as(t, "admin", "x"), ""), f.join(as(t, "auditor", "y"), "")}
	own := f.join(as(t, "user", "alice@corp.example"), "")
	others := f.join(as(t, "user", "dave@corp.example"), "")
	domain := f.join(as(t, "admin", "z", "corp.example"), "")
	elsewhere := f.join(as(t, "admin", "z", "elsewhere.example"), "")
	asked := f.join(as(t, "admin", "x"), "to:bob")
	if len(f.audiences) != 6 {
		t.Errorf("%d audiences: two of those who see everything are not one, or others are", len(f.audiences))
	}
	first := r.accept("alice@corp.example", "Report", "bob@example.net")
	second := r.accept("dave@corp.example", "Plan", "carol@example.net")
	collect := func(v *viewer, last string) (all string) {
		for all = ""; !strings.Contains(all, last); {
			all += v.piece(t)
		}
		return all
	}
	for name, tt := range map[string]struct {
		v             *viewer
		first, second bool
	}{
		"everything": {everything[0], true, true}, "everything too": {everything[1], true, true}, "own": {own, true, false},
		"somebody else's own": {others, false, true}, "a domain": {domain, true, true}, "a query": {asked, true, false},
	} {
		last := first
		if tt.second {
			last = second
		}
		if got := collect(tt.v, last); strings.Contains(got, first) != tt.first || strings.Contains(got, second) != tt.second {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if len(elsewhere.pieces) != 0 {
		t.Errorf("another domain's people are told: %s", <-elsewhere.pieces)
	}
	frames := r.server.newFrames([]store.Record{{Batch: 1, Message: mustID(t, first), Events: []policy.Event{{Kind: policy.Bounced}}}})
	if one, again := frames.of(0), frames.of(0); &one[0] != &again[0] {
		t.Error("a record is encoded again")
	}
}

func TestASlowViewerIsDroppedAndOthersAreNot(t *testing.T) {
	r := newRig(t)
	t.Cleanup(r.server.close)
	f := r.server.feed
	slow, quick := f.join(as(t, "admin", "x"), ""), f.join(as(t, "admin", "x"), "")
	f.mu.Lock()
	a := f.audiences[slow.key]
	for i := 0; i <= viewerPieces; i++ {
		f.hand(a, []byte(fmt.Sprint("piece ", i)))
		quick.waiting.Add(-int64(len(<-quick.pieces)))
	}
	f.mu.Unlock()
	if !slow.slow || quick.slow || len(a.viewers) != 1 {
		t.Errorf("slow dropped: %v, quick dropped: %v, %d left", slow.slow, quick.slow, len(a.viewers))
	}
	w := httptest.NewRecorder()
	err := r.server.pass(t.Context(), &eventWriter{w: w, control: http.NewResponseController(w)}, slow)
	if err == nil || !errors.Is(err, errSlow) && !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("the stream ended with %v", err)
	}
	f.leave(slow) // once more: the handler does
	big := f.join(as(t, "admin", "x"), "")
	f.mu.Lock()
	f.hand(a, make([]byte, viewerOctets+1)) // one piece is always taken
	f.hand(a, []byte("more"))
	f.mu.Unlock()
	if !big.slow {
		t.Error("octets are not bounded")
	}
}

// patientRecorder lets a recorder take deadlines, as a connection does.
type patientRecorder struct{ *httptest.ResponseRecorder }

func (patientRecorder) SetWriteDeadline(time.Time) error { return nil }

func TestADroppedViewerIsToldSo(t *testing.T) {
	r := newRig(t)
	t.Cleanup(r.server.close)
	v := &viewer{pieces: make(chan []byte, 1), slow: true}
	v.pieces <- []byte("the last piece\n\n")
	close(v.pieces)
	w := patientRecorder{httptest.NewRecorder()}
	err := r.server.pass(t.Context(), &eventWriter{w: w, control: http.NewResponseController(w)}, v)
	const want = "the last piece\n\nevent: dropped\n" +
		`data: {"code":"too_slow","detail":"this stream did not keep up and is ended: connect again with the id of the last event to go on there"}` + "\n\n"
	if got := w.Body.String(); got != want || !errors.Is(err, errSlow) || err.Error() != "the client does not keep up" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestNobodyFollowsTheJournalWhenAllHaveLeft(t *testing.T) {
	r := newRig(t)
	f := r.server.feed
	v := f.join(as(t, "admin", "x"), "")
	f.leave(v)
	f.loops.Wait()
	again := f.join(as(t, "admin", "x"), "")
	id := r.accept("alice@corp.example", "Report", "bob@example.net")
	if got := again.piece(t); !strings.Contains(got, id) {
		t.Errorf("who comes later is told %s", got)
	}
	r.server.close()
	f.loops.Wait()
}

func TestLivePagesAreMadeOnceForAllWhoLookAtTheSame(t *testing.T) {
	l := newLooks()
	visitOf := func(path, lang, role, identity string, domains ...string) *visit {
		return &visit{ctx: as(t, role, identity, domains...), r: httptest.NewRequest(http.MethodGet, path, nil), lang: lang}
	}
	p := &livePage{name: "overview", shared: true}
	made := 0
	render := func() (map[string]string, bool) { made++; return map[string]string{"a": "1"}, false }
	first, left := l.at(p, visitOf("/overview/live", "en", "admin", "x"))
	same, leftToo := l.at(p, visitOf("/overview/live", "en", "admin", "y"))
	first.renewed(render)
	if texts, over := same.renewed(render); made != 1 || texts["a"] != "1" || over {
		t.Errorf("made %d times: %v, %v", made, texts, over)
	}
	for name, v := range map[string]*visit{
		"language": visitOf("/overview/live", "zh-CN", "admin", "x"), "role": visitOf("/overview/live", "en", "auditor", "x"),
		"query": visitOf("/overview/live?q=a", "en", "admin", "x"), "reach": visitOf("/overview/live", "en", "admin", "x", "corp.example"),
	} {
		if other, gone := l.at(p, v); other == first {
			t.Errorf("another %s is shown the same", name)
		} else {
			gone()
		}
	}
	if own, _ := l.at(&livePage{name: "overview"}, visitOf("/overview/live", "en", "admin", "x")); own == first {
		t.Error("what is not shared is")
	}
	left()
	leftToo()
	if len(l.open) != 0 {
		t.Errorf("%d are kept after all have left", len(l.open))
	}
}

func TestApprovalReasonsAreReadAgainAfterADecision(t *testing.T) {
	w := newApprovalReasons()
	m := &store.Message{ID: policy.ID{1}, Revision: 3}
	if _, known := w.get(m); known {
		t.Error("known before it was read")
	}
	w.put(m, ApprovalRequest{Rule: "r"})
	if v, known := w.get(m); !known || v.Rule != "r" {
		t.Errorf("%+v, %v", v, known)
	}
	if _, known := w.get(&store.Message{ID: policy.ID{1}, Revision: 4}); known {
		t.Error("after a decision it is taken for the same")
	}
	for i := range maxReasons {
		w.put(&store.Message{ID: policy.ID{2, byte(i >> 16), byte(i >> 8), byte(i)}}, ApprovalRequest{})
	}
	if len(w.all) > maxReasons {
		t.Errorf("%d are remembered", len(w.all))
	}
}

// Who comes back while the feed is behind the journal gets each record once: from what was missed, or from the feed.
func TestWhoComesBackIsToldEachRecordOnce(t *testing.T) {
	r := newRig(t)
	t.Cleanup(r.server.close)
	r.accept("alice@corp.example", "Seen before", "bob@example.net")
	from := eventID{r.store.LastBatch(), -1}
	for _, subject := range []string{"One", "Two", "Three", "Four"} {
		r.accept("alice@corp.example", subject, "bob@example.net")
	}
	var records []store.Record
	for all, more := r.store.Subscribe(from.batch), true; more; {
		record, ok, err := all.NextUpTo(t.Context(), r.store.LastBatch())
		if err != nil {
			t.Fatal(err)
		}
		if more = ok; ok {
			records = append(records, record)
		}
	}
	if len(records) < 4 {
		t.Fatalf("%d records", len(records))
	}
	w := patientRecorder{httptest.NewRecorder()}
	out, sub := &eventWriter{w: w, control: http.NewResponseController(w)}, r.store.Subscribe(from.subscribe())
	f, ctx := r.server.feed, as(t, "admin", "x")
	f.audiences["others"] = &audience{} // nobody follows: the feed is as far as it is set to be
	for _, reached := range []int{1, 1, 2, len(records) - 1} {
		f.told = eventID{records[reached].Batch, records[reached].Position}
		if err := r.server.catchUp(ctx, out, sub, "", from, f.reached()); err != nil {
			t.Fatal(err)
		}
		for i := range records {
			want := 0
			if i <= reached {
				want = 1
			}
			if id := fmt.Sprintf("id: %d.%d\n", records[i].Batch, records[i].Position); strings.Count(w.Body.String(), id) != want {
				t.Errorf("with the feed at %d: record %d is told %d times", reached, i, strings.Count(w.Body.String(), id))
			}
		}
	}
}

// A blindJournal finds nothing out.
type blindJournal struct{ *store.Store }

func (blindJournal) Search(context.Context, store.Query, int, string) (store.Page, error) {
	return store.Page{}, errBroken
}

// What cannot be looked up is not passed over in silence: the viewers come back and ask for what they have missed.
func TestViewersAreSentAwayWhenNobodyKnowsWhatTheySee(t *testing.T) {
	r := newRig(t)
	s := r.serverFor(blindJournal{r.store})
	t.Cleanup(s.close)
	bounded, all := s.feed.join(as(t, "admin", "z", "corp.example"), ""), s.feed.join(as(t, "admin", "x"), "")
	s.feed.tell(t.Context(), []store.Record{{Batch: 9, Message: policy.ID{1}, Events: []policy.Event{{Kind: policy.Bounced}}}})
	if _, ok := <-bounded.pieces; ok || bounded.slow {
		t.Error("a viewer stays who is told nothing")
	}
	if got := all.piece(t); !strings.Contains(got, "id: 9.0") {
		t.Errorf("others are told %q", got)
	}
}

// A body of a request for a page in common would be a form that is in nobody's address.
func TestNobodyPutsAFormIntoAPageInCommon(t *testing.T) {
	v := &visit{ctx: as(t, "admin", "x"), r: httptest.NewRequest(http.MethodGet, "/messages/live", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nsubject:x\r\n--b--\r\n")), lang: "en"}
	v.r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	_, left := newLooks().at(&livePage{name: "messages", shared: true}, v)
	defer left()
	if got := v.form("q"); got != "" {
		t.Errorf("the page is asked for %q", got)
	}
}
