package content

import (
	"io"
	"time"
)

// Content is what was read of a message.
type Content struct {
	Header Header
	// Text is the visible text in its order, lines ended by LF, text parts joined by a line end.
	Text string
	// Forwarded is the text of messages that are attached as messages.
	Forwarded string
	// HTML says that some of Text was HTML.
	HTML bool
	// Alts are the alternative texts of images, in their order.
	Alts []string
	// Links are the distinct web addresses in the text and behind it, with their scheme, at most 500.
	Links       []string
	Attachments []Attachment
	// Truncated says that a limit left out some of the text, the header or the attachments.
	Truncated bool
	// Problems are the faults of the message and the limits that cut it, each once, for the
	// operator.
	Problems []string
}

// An Attachment is a part that is not text to be read with the message.
type Attachment struct {
	Name   string // as the sender named it; it may contain anything but control characters
	Type   string // media type in lower case, without parameters
	Inline bool   // shown within the text, as logos are
	Size   int64  // octets after decoding
	SHA256 [32]byte
}

// Read reads a whole message. The error is the reader's own; what came before it was read.
func Read(r io.Reader, l Limits, now func() time.Time) (Content, error) {
	e := NewExtractor(l, now)
	_, err := io.Copy(e, r)
	return e.Close(), err
}
