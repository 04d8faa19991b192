package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Links are signed addresses of a page that shows what became of a message or a recall to whoever has the
// link, until it expires. They are not stored; who has the journal can make them.
type Links struct {
	key  []byte
	base func() string
	now  func() time.Time
}

// A Keeper remembers small values. [store.Store] is one.
type Keeper interface {
	Keep(name string, value []byte) error
	Kept(name string) ([]byte, error)
}

const (
	// linkKey is the name under which the key is kept.
	linkKey = "status link key"
	// linkFor is how long a link is good: as long as what was taken out of mailboxes can be put back.
	linkFor = 30 * 24 * time.Hour
	// linkPurpose keeps signatures of other purposes from being links.
	linkPurpose = "sendgate status link 1\x00"
	linkSigned  = 16 + 8 // octets: the id, and the end in seconds since 1970
)

// OpenLinks takes the key that is kept, or makes one. base gives the address under which people reach the
// gateway, such as https://mail.corp.example; empty makes no links.
func OpenLinks(keeper Keeper, base func() string, now func() time.Time) (*Links, error) {
	key, err := keeper.Kept(linkKey)
	if err != nil {
		return nil, fmt.Errorf("read the key of status links: %w", err)
	}
	if len(key) != sha256.Size {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
		if err := keeper.Keep(linkKey, key); err != nil {
			return nil, fmt.Errorf("keep the key of status links: %w", err)
		}
	}
	return &Links{key: key, base: base, now: now}, nil
}

// URL is a link about a message or a recall, empty when there are no links.
func (l *Links) URL(id policy.ID) string {
	base := strings.TrimRight(l.base(), "/")
	if base == "" {
		return ""
	}
	return base + "/s/" + l.Sign(id)
}

// Sign makes the token of a link: base64url of the id, the time it ends, and HMAC-SHA256 over both.
func (l *Links) Sign(id policy.ID) string {
	token := append(make([]byte, 0, linkSigned+sha256.Size), id[:]...)
	token = binary.BigEndian.AppendUint64(token, uint64(l.now().Add(linkFor).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(token, l.sum(token)...))
}

// Verify gives what a token is about and when it ends, which may be past. It is not ok when we did not make
// the token.
func (l *Links) Verify(token string) (id policy.ID, ends time.Time, ok bool) {
	octets, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(octets) != linkSigned+sha256.Size || !hmac.Equal(octets[linkSigned:], l.sum(octets[:linkSigned])) {
		return id, ends, false
	}
	copy(id[:], octets)
	return id, time.Unix(int64(binary.BigEndian.Uint64(octets[16:])), 0).UTC(), true
}

func (l *Links) sum(signed []byte) []byte {
	h := hmac.New(sha256.New, l.key)
	h.Write([]byte(linkPurpose))
	h.Write(signed)
	return h.Sum(nil)
}
