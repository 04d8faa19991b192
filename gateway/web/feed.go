package web

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// Bounds of a feed.
const (
	// feedPause is the least time between two pieces: what happens meanwhile is written together.
	feedPause = 100 * time.Millisecond
	// feedRecords bounds the records of one piece.
	feedRecords = 500
	// Bounds of what waits for one viewer. All of an audience share the octets of a piece.
	viewerPieces = 128
	viewerOctets = 4 << 20
)

// A feed tells everybody who looks on what happens. The journal is followed once for all of them, as long as there
// is anybody: a record is read and encoded once, and a query is asked once for all who have it open.
type feed struct {
	server *Server
	loops  sync.WaitGroup

	mu        sync.Mutex
	audiences map[string]*audience // by what they see; while there is none, nobody follows the journal
	stop      context.CancelFunc   // ends who follows
	told      eventID              // the last record that was told, or that lay before all of them
}

// An audience are the viewers who see the same.
type audience struct {
	ctx     context.Context // with the reach of each of them
	q       string
	viewers map[*viewer]bool
}

// A viewer is one stream. Its pieces end when it is dropped, or when the journal cannot be followed any more.
type viewer struct {
	key     string  // of its audience
	after   eventID // its pieces begin behind this record
	pieces  chan []byte
	waiting atomic.Int64 // octets
	slow    bool         // why it was dropped; written before the pieces end
}

func newFeed(s *Server) *feed { return &feed{server: s, audiences: map[string]*audience{}} }

// join adds a viewer with the reach of who makes the request.
func (f *feed) join(ctx context.Context, q string) *viewer {
	who := *whoIs(ctx)
	key := reachKey(&who) + "\x00" + q
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.audiences) == 0 {
		f.begin()
	}
	a := f.audiences[key]
	if a == nil {
		a = &audience{ctx: context.WithValue(f.server.closing, principalKey, who), q: q, viewers: map[*viewer]bool{}}
		f.audiences[key] = a
	}
	v := &viewer{key: key, after: f.told, pieces: make(chan []byte, viewerPieces)}
	a.viewers[v] = true
	return v
}

// begin follows the journal from now on.
func (f *feed) begin() {
	f.told = eventID{batch: f.server.journal.LastBatch(), position: -1}
	sub := f.server.journal.Subscribe(f.told.batch)
	var ctx context.Context
	ctx, f.stop = context.WithCancel(f.server.closing)
	f.loops.Go(func() { f.follow(ctx, sub) })
}

// reached is the last record that somebody who joins from now on may not be told.
func (f *feed) reached() eventID {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.audiences) == 0 {
		return eventID{batch: f.server.journal.LastBatch(), position: -1}
	}
	return f.told
}

// reachKey is the same for people within whose reach is the same.
func reachKey(who *principal) string {
	if !who.bounded() {
		return ""
	}
	return strings.Join(append([]string{who.role, who.identity}, who.domains...), "\x00")
}

// leave forgets a viewer; that it was dropped before does not matter.
func (f *feed) leave(v *viewer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(v)
}

func (f *feed) drop(v *viewer) {
	a := f.audiences[v.key]
	if a == nil || !a.viewers[v] {
		return
	}
	close(v.pieces)
	delete(a.viewers, v)
	if len(a.viewers) == 0 {
		delete(f.audiences, v.key)
	}
	if len(f.audiences) == 0 {
		f.stop()
	}
}

// follow tells what happens until ctx ends, or the journal cannot be read: then all viewers are sent away.
func (f *feed) follow(ctx context.Context, sub *store.Subscription) {
	for ctx.Err() == nil {
		records, err := f.gather(ctx, sub)
		f.tell(ctx, records)
		if err != nil {
			f.end(ctx, err)
			return
		}
		select {
		case <-time.After(feedPause):
		case <-ctx.Done():
		}
	}
}

// gather waits for a record and takes what else is there.
func (f *feed) gather(ctx context.Context, sub *store.Subscription) (records []store.Record, err error) {
	r, err := sub.Next(ctx)
	last := f.server.journal.LastBatch()
	for more := true; more && err == nil; {
		if records = append(records, r); len(records) == feedRecords {
			break
		}
		r, more, err = sub.NextUpTo(ctx, last)
	}
	return records, err
}

// tell hands records to all who see them.
func (f *feed) tell(ctx context.Context, records []store.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil || len(records) == 0 { // everybody has left, and others may have come since
		return
	}
	frames := f.server.newFrames(records)
	for _, a := range f.audiences {
		var piece bytes.Buffer
		sees, err := f.server.selection(a, records)
		if err != nil {
			f.server.log.Warn("viewers cannot be told what happens, and are sent away", zap.Error(err))
			f.sendAway(a)
			continue
		}
		for i := range records {
			if sees(records[i].Message) {
				piece.Write(frames.of(i))
			}
		}
		if piece.Len() > 0 {
			f.hand(a, piece.Bytes())
		}
	}
	last := &records[len(records)-1]
	f.told = eventID{last.Batch, last.Position}
}

// hand puts a piece where each viewer will find it. Who does not keep up is dropped.
func (f *feed) hand(a *audience, piece []byte) {
	for v := range a.viewers {
		before := v.waiting.Add(int64(len(piece))) - int64(len(piece))
		if len(v.pieces) == cap(v.pieces) || before > 0 && before+int64(len(piece)) > viewerOctets {
			v.slow = true
			f.drop(v)
			continue
		}
		v.pieces <- piece
	}
}

// end sends all viewers away; they come back.
func (f *feed) end(ctx context.Context, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	f.server.log.Warn("the journal cannot be followed", zap.Error(why))
	for _, a := range f.audiences {
		f.sendAway(a)
	}
}

// sendAway ends the streams of an audience. Their clients come back, and go on where they were.
func (f *feed) sendAway(a *audience) {
	for v := range a.viewers {
		f.drop(v)
	}
}

// selection finds which of the messages that records are about an audience sees.
func (s *Server) selection(a *audience, records []store.Record) (sees func(policy.ID) bool, err error) {
	if a.q == "" && !whoIs(a.ctx).bounded() {
		return func(policy.ID) bool { return true }, nil
	}
	found := map[policy.ID]bool{}
	ids := make([]policy.ID, len(records))
	for i := range records {
		ids[i] = records[i].Message
	}
	q, err := s.query(a.q) // was parsed before; times are relative to now
	if err != nil {
		return nil, err
	}
	page, err := s.search(a.ctx, q.Among(ids), store.MaxPage, "")
	for i := range page.Messages {
		found[page.Messages[i].ID] = true
	}
	return func(id policy.ID) bool { return found[id] }, err
}

// frames are records as the stream shows them, each read and encoded when it is first asked for.
type frames struct {
	server  *Server
	records []store.Record
	encoded [][]byte
	dressed map[policy.ID]*dress
}

func (s *Server) newFrames(records []store.Record) *frames {
	return &frames{server: s, records: records, encoded: make([][]byte, len(records)), dressed: map[policy.ID]*dress{}}
}

func (f *frames) of(i int) []byte {
	if f.encoded[i] == nil {
		r := &f.records[i]
		d := f.dressed[r.Message]
		if d == nil {
			d = f.server.dress(r.Message)
			f.dressed[r.Message] = d
		}
		f.encoded[i] = must(recordFrame(f.server.live(r, d))) // our own types always encode
	}
	return f.encoded[i]
}
