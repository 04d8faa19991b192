package milter

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
)

// keyed makes and checks the values of the id header: our id, a dot, and the first half of its
// HMAC-SHA256 in hex.
type keyed struct {
	name string
	key  []byte
}

const (
	minKey = 16
	// maxAge is how long an id is believed: longer than any queue keeps a message
	// (maximal_queue_lifetime, 5 days).
	maxAge = 7 * 24 * time.Hour
)

var errShortKey = errors.New("the key needs at least 16 octets")

// load reads the key; without a file there is no id header.
func (h IDHeader) load() (*keyed, error) {
	if h.KeyFile == "" {
		return nil, nil
	}
	key, err := os.ReadFile(h.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	if key = bytes.TrimSpace(key); len(key) < minKey {
		return nil, errShortKey
	}
	return &keyed{name: h.Name, key: key}, nil
}

// value is what stands in the header of a message.
func (k *keyed) value(id policy.ID) string { return id.String() + "." + k.mac(id) }

func (k *keyed) mac(id policy.ID) string {
	h := hmac.New(sha256.New, k.key)
	h.Write([]byte("sendgate message id\x00"))
	h.Write(id[:])
	return hex.EncodeToString(h.Sum(nil)[:sha256.Size/2])
}

// find gives the id in one of the values that has a right MAC and is not too old.
func (k *keyed) find(values []string, now time.Time) (policy.ID, bool) {
	for _, v := range values {
		name, mac, _ := strings.Cut(strings.TrimSpace(v), ".")
		id, err := policy.ParseID(name)
		if err != nil || !hmac.Equal([]byte(mac), []byte(k.mac(id))) {
			continue
		}
		if now.Sub(ulid.Time(id.Time())) <= maxAge {
			return id, true
		}
	}
	return policy.ID{}, false
}
