package source

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// A Raw is one log line without its line end. Data is never empty and belongs to the receiver.
//
// Where the transport carries time and host apart from the text, both are set and Data begins with
// the tag ("postfix/smtp[123]: ..."). Elsewhere both are zero and Data is the line as it was written.
type Raw struct {
	Data []byte
	Time time.Time
	Host string
}

// A Gap is a stretch of time of which lines may be missing. From is zero when nobody knows since
// when.
type Gap struct {
	From, To time.Time
	Reason   string
}

// A Batch is what was read at a time: at most [MaxLines] lines of about [MaxOctets] together. It may
// be without lines.
type Batch struct {
	Lines []Raw
	// Cursor is where to go on after this batch. It is opaque, less than 2 KiB of JSON; [ReadFile]
	// leaves it empty.
	Cursor string
	// Gaps lie before the lines.
	Gaps []Gap
	// Behind is how many octets are still unread, -1 when that is unknown.
	Behind int64
	// Caught says that everything that was there at the time At has been read.
	Caught bool
	At     time.Time
}

// The bounds of a batch. The last line may exceed MaxOctets.
const (
	MaxLines  = 2000
	MaxOctets = 1 << 20
)

// Take receives a batch. Its nil says that the batch is durable: the caller may keep the cursor. Its
// error ends Follow with that error.
type Take func(context.Context, Batch) error

// A Source follows log lines.
type Source interface {
	// Name is Config.Name.
	Name() string
	// Follow reads on from a cursor, or from where Config.Start says when it is empty, and calls take
	// for each batch, one at a time. It ends with the context's error or with take's, never by itself.
	Follow(ctx context.Context, cursor string, take Take) error
}

// New makes the source that cfg, which is valid, describes.
func New(cfg Config, now func() time.Time, log *zap.Logger) (Source, error) {
	zone, err := cfg.Location()
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", cfg.Name, err)
	}
	p := part{name: cfg.Name, stamper: stamper{zone: zone, now: now}, idle: idle, log: log.With(zap.String("source", cfg.Name))}
	switch cfg.kind() {
	case kindFile:
		return &file{part: p, path: cfg.File, start: cfg.Start, poll: cfg.Poll}, nil
	case kindJournald:
		return &journald{part: p, program: "journalctl", matches: cfg.Matches, start: cfg.Start, first: firstPause}, nil
	}
	return newListener(p, cfg)
}

// idle is how often a batch without lines says that nothing has come.
const idle = 5 * time.Second

// settled is how long what writes a log may take to get a line to us through the kernel. A stream says
// nothing about its end, so that only what is older counts as read.
const settled = time.Second

// A part is what all sources have.
type part struct {
	name string
	stamper
	idle time.Duration
	log  *zap.Logger
}

// settle is settled, or less where batches are wanted more often.
func (p *part) settle() time.Duration { return min(settled, p.idle) }

// Name is Config.Name.
func (p *part) Name() string { return p.name }
