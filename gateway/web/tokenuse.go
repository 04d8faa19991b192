package web

import (
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	tokenPrefix = "token/" // begins the names under which uses are kept
	// tokenPause is the least time between two writes about one token: after a crash its last use is that much
	// earlier than it was, at most.
	tokenPause = time.Hour
)

// A tokenUse is the last request with a token.
type tokenUse struct {
	At     time.Time `json:"at"`
	Client string    `json:"client"`
	kept   time.Time // when it was written down last
}

// tokenUses remembers when tokens were used: every use in memory, and one an hour in the store.
type tokenUses struct {
	journal Journal
	log     *zap.Logger

	mu   sync.Mutex
	last map[string]tokenUse // by name in the store
}

func newTokenUses(journal Journal, log *zap.Logger) *tokenUses {
	return &tokenUses{journal: journal, log: log, last: map[string]tokenUse{}}
}

// keptAs is the name of the use of a token. A token that is made anew under the same name was never used.
func (t *knownToken) keptAs() string { return tokenPrefix + hex.EncodeToString(t.sum[:16]) }

// note takes up a use.
func (u *tokenUses) note(t *knownToken, now time.Time, client string) {
	name := t.keptAs()
	u.mu.Lock()
	defer u.mu.Unlock()
	use := tokenUse{At: now, Client: client, kept: u.known(name).kept}
	if now.Sub(use.kept) >= tokenPause {
		use.kept = now // also where it cannot be written: that would be tried with every request
		if err := u.keep(name, use); err != nil {
			u.log.Warn("when a token was used is not written down", zap.String("actor", t.actor), zap.Error(err))
		}
	}
	u.last[name] = use
}

// of gives the last use of a token; it is zero when none is known.
func (u *tokenUses) of(t *knownToken) tokenUse {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known(t.keptAs())
}

// known gives what is remembered, and reads it where this process has not yet.
func (u *tokenUses) known(name string) tokenUse {
	use, ok := u.last[name]
	if ok {
		return use
	}
	value, err := u.journal.Kept(name)
	if err != nil {
		u.log.Warn("when a token was used cannot be read", zap.Error(err))
	}
	if json.Unmarshal(value, &use) == nil {
		use.kept = use.At
	}
	u.last[name] = use
	return use
}

func (u *tokenUses) keep(name string, use tokenUse) error {
	value, err := json.Marshal(use)
	if err != nil {
		return err
	}
	return u.journal.Keep(name, value)
}
