package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
)

const cursorVersion = 1

// A cursor is what has to be known to go on. Its text is JSON.
type cursor struct {
	Version int    `json:"v"`
	Kind    string `json:"kind"`
	// Last is the time of the last line that had one.
	Last time.Time `json:"last,omitzero"`
	// Seen is when everything there was had been read.
	Seen time.Time `json:"seen,omitzero"`
	// File is set by files, once there was one.
	File *position `json:"file,omitempty"`
	// Journal is journald's own cursor.
	Journal string `json:"journal,omitempty"`
}

// A position is a place in a file that can be found again when the file was renamed, copied or
// compressed.
type position struct {
	ID     fileID      `json:"id"`
	Offset int64       `json:"offset"` // uncompressed
	Head   fingerprint `json:"head"`   // of the first octets
	Tail   fingerprint `json:"tail"`   // of the octets before Offset
}

// A fingerprint is the hash of some octets.
type fingerprint struct {
	Len int64  `json:"len"`
	Sum string `json:"sum"`
}

// sumForm is what sum makes.
var sumForm = regexp.MustCompile(`^[0-9a-f]{16}$`)

func (f fingerprint) valid(length int64) bool { return f.Len == length && sumForm.MatchString(f.Sum) }

func (c *cursor) encode() string {
	text, err := json.Marshal(c)
	if err != nil {
		// Times beyond the year 9999 are refused; without times the place is still right.
		c.Last, c.Seen = time.Time{}, time.Time{}
		text, _ = json.Marshal(c)
	}
	return string(text)
}

// maxCursor bounds what is decoded.
const maxCursor = 4096

// maxJournal bounds journald's own; it has about 120 octets.
const maxJournal = 512

// journalCursor is what sd_journal_get_cursor gives: "s=...;i=...;b=...;m=...;t=...;x=...".
var journalCursor = regexp.MustCompile(`^[a-z]=[0-9a-f]+(;[a-z]=[0-9a-f]+)*$`)

// decodeCursor gives with an error what times could be read.
func decodeCursor(text, kind string) (cursor, error) {
	var c cursor
	if len(text) > maxCursor {
		return cursor{}, fmt.Errorf("it has %d octets", len(text))
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return cursor{}, fmt.Errorf("it is damaged: %w", err)
	}
	times := cursor{Last: c.Last, Seen: c.Seen}
	switch {
	case c.Version != cursorVersion:
		return times, fmt.Errorf("it has version %d, not %d", c.Version, cursorVersion)
	case c.Kind != kind:
		return times, fmt.Errorf("it is of kind %q, not %q", c.Kind, kind)
	case c.Journal != "" && (len(c.Journal) > maxJournal || !journalCursor.MatchString(c.Journal)):
		return times, errors.New("it is damaged: that is no cursor of the journal")
	case kind == kindFile && (c.File == nil || !c.File.valid()):
		return times, errors.New("it is damaged: that is no place in a file")
	}
	return c, nil
}

func (p *position) valid() bool {
	return p.Offset >= 0 && p.Head.valid(min(p.Offset, headLen)) && p.Tail.valid(min(p.Offset, tailLen))
}
