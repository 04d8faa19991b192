package source

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// A feed is the way from one Follow to its receiver: it closes the gaps and keeps the times of the
// cursor.
type feed struct {
	*part
	take   Take
	cursor cursor
	gaps   []Gap
	sent   time.Time // the last batch; zero while there was none
	caught bool      // what it said
}

func (p *part) feed(take Take, kind string) *feed {
	return &feed{part: p, take: take, cursor: cursor{Version: cursorVersion, Kind: kind}}
}

// resume reads the cursor. What cannot be read is a gap.
func (f *feed) resume(text string) (known bool) {
	if text == "" {
		return false
	}
	c, err := decodeCursor(text, f.cursor.Kind)
	f.cursor.Last, f.cursor.Seen = c.Last, c.Seen
	if err != nil {
		f.lost(f.since(), "the cursor cannot be used: "+err.Error())
		return false
	}
	f.cursor = c
	return true
}

// since is the time up to which everything has been read: that of the last line, or a later one at
// which there was nothing more.
func (f *feed) since() time.Time {
	if f.cursor.Seen.After(f.cursor.Last) {
		return f.cursor.Seen
	}
	return f.cursor.Last
}

// lost opens a gap; the next batch ends it.
func (f *feed) lost(from time.Time, reason string) {
	f.log.Warn("log lines may be missing", zap.Time("since", from), zap.String("reason", reason))
	f.gaps = append(f.gaps, Gap{From: from, Reason: reason})
}

// due says whether a batch is worth sending.
func (f *feed) due(b *Batch) bool {
	switch {
	case len(b.Lines) > 0:
		return true
	case !b.Caught:
		return false
	}
	return f.sent.IsZero() || !f.caught || len(f.gaps) > 0 || b.At.Sub(f.sent) >= f.idle
}

// send hands a batch over.
func (f *feed) send(ctx context.Context, b Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.Gaps = f.close(&b)
	if n := len(b.Lines); n > 0 {
		if t := f.time(b.Lines[n-1]); !t.IsZero() {
			f.cursor.Last = t
		}
	}
	if b.Caught {
		f.cursor.Seen = b.At
	}
	b.Cursor = f.cursor.encode()
	f.sent, f.caught = b.At, b.Caught
	return f.take(ctx, b)
}

// close ends the open gaps.
func (f *feed) close(b *Batch) []Gap {
	gaps := f.gaps
	f.gaps = nil
	for i := range gaps {
		if gaps[i].To.IsZero() {
			gaps[i].To = f.after(gaps[i].From, b)
		}
		if gaps[i].To.Before(gaps[i].From) {
			gaps[i].To = gaps[i].From
		}
	}
	return gaps
}

// after is the time of the first line that is younger than from, or now. Those before it, which may be
// there a second time, say nothing about what is missing.
func (f *feed) after(from time.Time, b *Batch) time.Time {
	for _, l := range b.Lines {
		if t := f.time(l); t.After(from) {
			return t
		}
	}
	return b.At
}

// time is when a line was written, zero when it does not say.
func (f *feed) time(r Raw) time.Time {
	if !r.Time.IsZero() {
		return r.Time
	}
	t, _ := f.cut(r.Data)
	return t
}
