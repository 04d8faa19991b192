package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	gomilter "github.com/emersion/go-milter"
	"github.com/sendgate/sendgate/gateway/shell"
)

// An offer is the first packet of an MTA: what we may do, and which events it can leave out or need
// no answer to.
type offer struct {
	actions  gomilter.OptAction
	protocol gomilter.OptProtocol
}

const (
	// offerTime is how long the offer may take to come.
	offerTime = 30 * time.Second
	// offerSize is a packet's length, its code, and three words.
	offerSize = 4 + 1 + 3*4
)

var errNoOffer = errors.New("the first packet is no negotiation")

// readOffer looks at the first packet and leaves it to the library, which does not look at it at all
// (quirk test TestQuirkOfferIsIgnored).
func readOffer(c *shell.Conn) (offer, error) {
	if err := c.SetReadDeadline(time.Now().Add(offerTime)); err != nil {
		return offer{}, err
	}
	p, err := c.Buffer().Peek(offerSize)
	if err != nil {
		return offer{}, fmt.Errorf("read the negotiation: %w", err)
	}
	if binary.BigEndian.Uint32(p) < offerSize-4 || p[4] != byte(gomilter.CodeOptNeg) {
		return offer{}, errNoOffer
	}
	if version := binary.BigEndian.Uint32(p[5:]); version < 2 {
		return offer{}, fmt.Errorf("milter protocol version %d is too old", version)
	}
	return offer{
		actions:  gomilter.OptAction(binary.BigEndian.Uint32(p[9:])),
		protocol: gomilter.OptProtocol(binary.BigEndian.Uint32(p[13:])),
	}, c.SetReadDeadline(time.Time{})
}

// terms are what a connection has agreed upon.
type terms struct {
	actions  gomilter.OptAction
	protocol gomilter.OptProtocol
}

// agree asks for what is needed, within what is offered: Postfix takes a wish beyond its offer for a
// failure of the milter, and an MTA that does not know of a missing answer would wait for ever.
func agree(o offer, n Needs, addsFields bool) terms {
	t := terms{
		actions: gomilter.OptQuarantine,
		protocol: gomilter.OptNoUnknown | gomilter.OptNoData | gomilter.OptNoEOH |
			gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoHeaderReply |
			gomilter.OptNoEOHReply | gomilter.OptNoBodyReply,
	}
	if addsFields {
		t.actions |= gomilter.OptAddHeader
	}
	if !n.Envelope {
		t.protocol |= gomilter.OptNoMailReply | gomilter.OptNoRcptReply
	}
	if !n.Body && !n.Content {
		t.protocol |= gomilter.OptNoBody
	}
	t.actions &= o.actions
	t.protocol &= o.protocol
	return t
}

// quarantines and adds say what we may do.
func (t terms) quarantines() bool { return t.actions&gomilter.OptQuarantine != 0 }
func (t terms) adds() bool        { return t.actions&gomilter.OptAddHeader != 0 }

// silent reports whether a kind of event is not answered.
func (t terms) silent(event gomilter.OptProtocol) bool { return t.protocol&event != 0 }

// sizes reports whether the body comes.
func (t terms) sizes() bool { return t.protocol&gomilter.OptNoBody == 0 }
