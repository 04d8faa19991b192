package milter

import (
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
)

// A Hearer learns who writes to whom from outside. It must not block.
type Hearer interface {
	Heard(now time.Time, to, from policy.Address)
}

// maxHeard is how many recipients of an inbound message are told of.
const maxHeard = 100

// heard is what is told of an inbound message once it has come to its end.
type heard struct {
	from policy.Address
	to   []policy.Address
}

// hear begins to listen to an inbound message. Nobody answers the null sender, and what is no address is
// none of our business.
func (s *session) hear(settings *Settings, path, fallback string) *heard {
	if settings.Hearer == nil || path == "" {
		return nil
	}
	from, err := s.address(path, fallback)
	if err != nil {
		return nil
	}
	return &heard{from: from}
}

// overhear takes a recipient of an inbound message.
func (s *session) overhear(t *transaction, to, fallback string) {
	if t == nil || t.heard == nil || len(t.heard.to) == maxHeard {
		return
	}
	if a, err := s.address(to, fallback); err == nil {
		t.heard.to = append(t.heard.to, a)
	}
}

// tell says who was written to.
func (t *transaction) tell(now time.Time) {
	if t.heard == nil {
		return
	}
	for _, to := range t.heard.to {
		t.settings.Hearer.Heard(now, to, t.heard.from)
	}
}

// maxMechanism is how long a name of a mechanism is (RFC 4422 3.1).
const maxMechanism = 20

// signedIn tells of the login of a message, made by {auth_type}.
func (t *transaction) signedIn(mechanism string) {
	if e := &t.envelope; e.Login != "" && t.settings.SignedIn != nil {
		t.settings.SignedIn(policy.SignIn{
			Identity: e.Identity, Client: e.Client, Mechanism: strings.ToUpper(content.Cut(cleanForeign(mechanism), maxMechanism)), Program: e.Helo,
		})
	}
}
