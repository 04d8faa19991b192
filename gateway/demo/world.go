package demo

import (
	"fmt"
	"slices"
	"sync"

	"github.com/sendgate/sendgate/policy"
)

// Domains of the world that do not simply take everything.
const (
	Greylist = "greylist.example" // 451 at the first attempt for each recipient
	Bounce   = "bounce.example"   // 550 always
)

const (
	keepMessages = 16       // of those that left
	keepOctets   = 64 << 10 // of each
	keepGrey     = 10_000   // recipients that greylist.example remembers
)

// A Message left for the rest of the world.
type Message struct {
	Sender     string // empty for the null sender
	Recipients []policy.Address
	Data       []byte // the first 64 KiB
}

// world is everything outside of corp.example.
type world struct {
	mu    sync.Mutex
	taken int // messages, also those for people of the domain alone
	left  int
	last  []Message
	grey  map[string]bool // recipients that were put off once
}

func newWorld() *world { return &world{grey: map[string]bool{}} }

// refuse gives the answer that follows DATA when one of the recipients is not to be reached.
func (w *world) refuse(recipients []policy.Address) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range recipients {
		if a.Domain() == Bounce {
			return reply(550, 5, 7, 1, fmt.Sprintf("<%s>: %s takes no mail, whatever it says", a, Bounce))
		}
	}
	for _, a := range recipients {
		if a.Domain() != Greylist || w.grey[a.Key()] {
			continue
		}
		if len(w.grey) >= keepGrey {
			clear(w.grey)
		}
		w.grey[a.Key()] = true
		return reply(451, 4, 7, 1, fmt.Sprintf("<%s>: %s does not know you yet, try again", a, Greylist))
	}
	return nil
}

// take counts a message, keeps it if it leaves the domain, and gives it a queue id.
func (w *world) take(m Message) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken++
	if len(m.Recipients) > 0 {
		w.left++
		m.Data = slices.Clone(m.Data[:min(len(m.Data), keepOctets)])
		w.last = append(w.last, m)
		if len(w.last) > keepMessages {
			w.last = slices.Delete(w.last, 0, 1)
		}
	}
	return fmt.Sprintf("DEMO%06d", w.taken)
}

func (w *world) sunk() (int, []Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left, slices.Clone(w.last)
}
