package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A request is what is posted.
type request struct {
	url    string
	header map[string]string
	body   []byte
}

// A layout makes the request for a notice.
type layout func(n Notice, t target, now time.Time) request

// A target is a hook as the layouts see it.
type target struct {
	url      string
	secret   string
	language string
}

// Payload is the body of a json hook.
type Payload struct {
	Kind       string         `json:"kind"`
	Severity   Severity       `json:"severity"`
	Title      policy.Label   `json:"title"`
	Lines      []policy.Label `json:"lines"`
	Facts      []Fact         `json:"facts"`
	Link       string         `json:"link,omitempty"`
	IncidentID string         `json:"incident_id,omitempty"`
	Update     bool           `json:"update"`
	Time       string         `json:"time"` // RFC 3339, UTC
}

func layoutJSON(n Notice, t target, now time.Time) request {
	p := Payload{
		Kind: n.Kind, Severity: n.Severity, Title: n.Title, Link: n.Link,
		IncidentID: n.IncidentID, Update: n.Update, Time: n.Time.UTC().Format(time.RFC3339),
		Lines: append([]policy.Label{}, n.Lines...), Facts: append([]Fact{}, n.Facts...), // [] rather than null
	}
	r := request{url: t.url, header: map[string]string{}, body: encode(p)}
	r.sign(t.secret, now)
	return r
}

// sign adds the fields by which a receiver that shares the secret knows us.
func (r *request) sign(secret string, now time.Time) {
	if secret == "" {
		return
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	r.header["X-Sendgate-Timestamp"] = stamp
	r.header["X-Sendgate-Signature"] = "sha256=" + hex.EncodeToString(sum([]byte(secret), stamp+"."+string(r.body)))
}

// An object is one of JSON.
type object map[string]any

// encode writes JSON. What is encoded here has only types that can be.
func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("webhook: %v", err))
	}
	return body
}

func sum(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
