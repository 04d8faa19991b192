package content

import "time"

// Limits bound what a message may cost. Each of them cuts, none of them refuses.
type Limits struct {
	Depth       int           // multiparts and messages within each other; deeper ones are read as text
	Parts       int           // parts that are looked at
	Attachments int           // attachments that are listed
	HeaderBytes int64         // octets of each header that are kept
	TextBytes   int64         // octets of visible text that are kept; the same again of forwarded text
	Bytes       int64         // octets of decoded text parts that are looked at
	Time        time.Duration // for turning text parts into text
}

// DefaultLimits are those of the similarity measurements, with room for a heavy newsletter.
func DefaultLimits() Limits {
	return Limits{
		Depth:       12,
		Parts:       200,
		Attachments: 100,
		HeaderBytes: maxHeader,
		TextBytes:   256 << 10,
		Bytes:       1 << 20,
		Time:        250 * time.Millisecond,
	}
}

// Bounds that need no adjusting.
const (
	maxHeader   = 256 << 10 // octets of a header that are kept if nobody says otherwise
	maxField    = 16 << 10  // octets of a field that are decoded
	maxValue    = 2048      // octets of a decoded field that Get gives
	maxWord     = 4096      // octets of an encoded word
	maxIDs      = 100       // message ids of a field
	maxParams   = 64        // parameters of a field
	maxLine     = 8 << 10   // octets of a line that are held
	maxBoundary = 256       // octets; RFC 2046 5.1.1 allows 70
	maxLinks    = 500
	maxLink     = 2048 // octets
	maxAlts     = 100
	maxAlt      = 256  // octets
	maxProblems = 16   // distinct ones
	maxOpen     = 256  // open HTML elements that are remembered
	maxRules    = 1000 // of style elements
)
