package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// Bounds of a stream.
const (
	endOfBatch   = 1 << 16 // the position behind every record of a batch
	chunkEvents  = 64      // events in memory
	chunkRecords = 1000    // records that are read for them
	lanes        = 8       // messages whose events are posted at the same time
	streamPause  = time.Second
	streamMost   = 5 * time.Minute
	streamAsked  = time.Hour // what a receiver may ask us to wait
	keepPlace    = time.Second
	// Behind is how long a receiver may fail before people are told.
	Behind = 15 * time.Minute
)

// A place is how far a subscriber was told, as it is kept.
type place struct {
	Batch    uint64 `json:"batch"`
	Position int    `json:"position"`
	// Disabled is why nothing more is posted until somebody says so; empty while it is.
	Disabled string `json:"disabled,omitempty"`
}

// A stream posts events to one subscriber.
type stream struct {
	config  SubscriberConfig
	target  target
	host    string
	client  *http.Client
	journal Journal
	facts   Facts
	tell    func(Condition)
	log     *zap.Logger
	events  *prometheus.CounterVec // by outcome
	kick    chan struct{}          // holds a token when somebody has changed something

	keeping sync.Mutex // held while the place is written

	mu        sync.Mutex
	place     place
	kept      place
	keptAt    time.Time
	skip      bool      // give up what waits
	delivered uint64    // since the start
	last      time.Time // of the last success
	failing   time.Time // since when every try has failed; zero when the last one did not
	retries   int       // tries that have failed since then
	err       string    // of the last failure
	errAt     time.Time
	next      time.Time // of the next try, while it fails
	oldest    time.Time // of the oldest event that is being posted
	told      bool      // that it is behind
}

// An item is an event that is to be posted, with its record.
type item struct {
	record *store.Record
	index  int
}

// run posts until ctx ends. Its error is that of the journal.
func (s *stream) run(ctx context.Context) error {
	defer s.keep(true)
	feed, err := s.subscribe()
	for ctx.Err() == nil && err == nil {
		if s.disabled() {
			s.wait(ctx, 0)
			continue
		}
		if s.skipped() {
			if feed, err = s.subscribe(); err != nil {
				break
			}
		}
		var items []item
		var end place
		if items, end, err = s.read(ctx, feed); err != nil {
			break
		}
		if s.deliver(ctx, items) {
			s.moved(end)
		} else if ctx.Err() == nil {
			feed, err = s.subscribe() // disabled or skipped: it begins where the place is
		}
	}
	return err
}

// subscribe reads the journal from the place on. The batch of the place may not be complete.
func (s *stream) subscribe() (Feed, error) {
	s.mu.Lock()
	anew := s.place.Batch == 0 && s.place.Position == 0 || s.place.Batch > s.journal.LastBatch()
	if anew { // the first time, or of another journal: from now on
		s.place.Batch, s.place.Position = s.journal.LastBatch(), endOfBatch
	}
	from := max(s.place.Batch, 1)
	s.mu.Unlock()
	if anew {
		s.keep(true) // what comes before the first answer is not lost when the process is
	}
	return s.journal.Follow(from)
}

// read waits for a record and takes what is there behind it, up to the bounds of a chunk.
func (s *stream) read(ctx context.Context, feed Feed) (items []item, end place, err error) {
	end = s.at()
	last := uint64(1<<64 - 1) // the first is waited for
	for n := 0; n < chunkRecords && len(items) < chunkEvents; n++ {
		waiting, cancel := s.whileUnchanged(ctx, n == 0)
		r, ok, err := feed.NextUpTo(waiting, last)
		changed := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		if err != nil && changed {
			return items, end, nil
		}
		if err != nil {
			return nil, end, err
		}
		if !ok {
			break
		}
		last = s.journal.LastBatch()
		if r.Batch < end.Batch || r.Batch == end.Batch && r.Position <= end.Position {
			continue
		}
		end.Batch, end.Position = r.Batch, r.Position
		for i := range r.Events {
			if len(s.config.Events) == 0 || slices.Contains(s.config.Events, r.Events[i].Kind) {
				items = append(items, item{&r, i})
			}
		}
	}
	return items, end, nil
}

// whileUnchanged is a context that also ends when somebody changes something, if it is for a wait. Where nothing
// comes for a while, the place is kept meanwhile.
func (s *stream) whileUnchanged(ctx context.Context, wait bool) (context.Context, context.CancelFunc) {
	if !wait {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		idle := time.NewTimer(keepPlace)
		defer idle.Stop()
		for {
			select {
			case <-idle.C:
				s.keep(true)
			case <-s.kick:
				cancel()
				return
			case <-done:
				return
			}
		}
	})
	return ctx, func() { close(done); watch.Wait(); cancel() }
}

// deliver posts items until the receiver has all of them; false when it was disabled, told to skip them, or
// ctx ended.
func (s *stream) deliver(ctx context.Context, items []item) bool {
	for pause := streamPause; len(items) > 0; pause = min(2*pause, streamMost) {
		s.begin(items[0].record.Events[items[0].index].Time)
		rest, after, err := s.round(ctx, items)
		if ctx.Err() != nil {
			return false
		}
		if len(rest) < len(items) {
			pause = streamPause
		}
		items = rest
		if err == nil {
			continue
		}
		var f *failure
		if errors.As(err, &f) && f.final {
			s.disable(f.text)
			return false
		}
		wait := max(pause, min(after, streamAsked))
		s.failed(err, wait)
		s.keep(false)
		if !s.interrupted() {
			s.wait(ctx, wait)
		}
		if s.interrupted() {
			return false
		}
	}
	s.begin(time.Time{})
	return true
}

// round posts each item once, those of one message in their order, and gives those that are left with the
// failure that is to be looked at. Where all that is tried first fails nothing more is.
func (s *stream) round(ctx context.Context, items []item) (rest []item, after time.Duration, err error) {
	groups := byMessage(items)
	next := make(chan int, len(groups))
	for i := range groups {
		next <- i
	}
	close(next)
	var mu sync.Mutex
	failures, successes := 0, 0
	var workers sync.WaitGroup
	for range min(lanes, len(groups)) {
		workers.Go(func() {
			for i := range next {
				mu.Lock()
				hopeless := failures >= min(lanes, len(groups)) && successes == 0
				mu.Unlock()
				if hopeless || ctx.Err() != nil {
					return
				}
				done, failed := s.postGroup(ctx, groups[i])
				mu.Lock()
				groups[i], successes = groups[i][done:], successes+done
				if failed != nil {
					failures, err = failures+1, worse(err, failed)
					after = max(after, asked(failed))
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	for _, g := range groups {
		rest = append(rest, g...)
	}
	slices.SortFunc(rest, func(a, b item) int { return a.compare(b) })
	return rest, after, err
}

// byMessage groups items, each group in order, those that begin first in front.
func byMessage(items []item) (groups [][]item) {
	at := map[policy.ID]int{}
	for _, it := range items {
		i, ok := at[it.record.Message]
		if !ok {
			i = len(groups)
			at[it.record.Message], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], it)
	}
	return groups
}

func (a item) compare(b item) int {
	if a.record.Batch != b.record.Batch {
		return int(int64(a.record.Batch) - int64(b.record.Batch))
	}
	if a.record.Position != b.record.Position {
		return a.record.Position - b.record.Position
	}
	return a.index - b.index
}

// worse is the failure that decides: a final one before others, else the first.
func worse(a, b error) error {
	var f *failure
	if a == nil || errors.As(b, &f) && f.final {
		return b
	}
	return a
}

// asked is how long the receiver wants us to wait.
func asked(err error) time.Duration {
	var f *failure
	if errors.As(err, &f) {
		return f.after
	}
	return 0
}

// postGroup posts items one after the other until one fails.
func (s *stream) postGroup(ctx context.Context, items []item) (done int, err error) {
	for _, it := range items {
		e, err := newEvent(it.record, it.index, s.facts)
		if err == nil {
			err = s.post(ctx, e)
		}
		if err != nil {
			return done, err
		}
		done++
		s.succeeded()
	}
	return done, nil
}

// post makes one request.
func (s *stream) post(ctx context.Context, e *Event) error {
	r := e.request(s.target, time.Now())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(r.body))
	if err != nil {
		return errors.New("the URL cannot be used") // the error would repeat it
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "sendgate")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxReply) // so that the connection is used again
	return judgeEvent(res, time.Now())
}

// keep writes down the place if it has moved, not more often than once in a while unless it is urgent. When it
// cannot be written, events are posted again after a restart.
func (s *stream) keep(urgent bool) {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	s.mu.Lock()
	p := s.place
	due := p != s.kept && (urgent || time.Since(s.keptAt) >= keepPlace)
	s.mu.Unlock()
	if !due {
		return
	}
	value, err := json.Marshal(p)
	if err == nil {
		err = s.journal.Keep(keptUnder+s.config.Name, value)
	}
	if err != nil {
		s.log.Warn("how far a webhook was told could not be kept", zap.Error(err))
		return
	}
	s.mu.Lock()
	s.kept, s.keptAt = p, time.Now()
	s.mu.Unlock()
}

// restore takes up the place that was kept.
func (s *stream) restore() error {
	value, err := s.journal.Kept(keptUnder + s.config.Name)
	if err != nil {
		return fmt.Errorf("read how far webhook %s was told: %w", s.config.Name, err)
	}
	if value != nil && json.Unmarshal(value, &s.place) != nil {
		s.log.Error("how far a webhook was told cannot be read: it goes on from now")
		s.place = place{}
	}
	s.kept = s.place
	return nil
}
