package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

func TestWhatIsPosted(t *testing.T) {
	when := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	id := ulid.MustParse("01M70000000000000000000001")
	for _, tt := range []struct {
		outcome string
		facts   someone
		message policy.ID
		event   policy.Event
		want    string
	}{
		{
			"about all recipients", someone{2}, id, policy.Event{Kind: policy.Held, Time: when, Actor: "smtp", Rule: "default", Until: when.Add(time.Minute)},
			`{"id":"4711.2.0","kind":"held","time":"2026-03-01T09:00:00Z","timeline":"01M70000000000000000000001","message":{"id":"01M70000000000000000000001",` +
				`"from":"alice@corp.example","identity":"alice","received":"0001-01-01T00:00:00Z","front":"relay"},"recipients":["u0@x.example","u1@x.example"],` +
				`"actor":"smtp","rule":"default","until":"2026-03-01T09:01:00Z"}`,
		},
		{
			"about one", someone{2}, id, policy.Event{Kind: policy.Bounced, Time: when, Recipients: []int{1}, Reply: "550 \xff \"no\"", QueueID: "4X", Member: "m@x.example"},
			`{"id":"4711.2.0","kind":"bounced","time":"2026-03-01T09:00:00Z","timeline":"01M70000000000000000000001","message":{"id":"01M70000000000000000000001",` +
				`"from":"alice@corp.example","identity":"alice","received":"0001-01-01T00:00:00Z","front":"relay"},"recipients":["u1@x.example"],` +
				`"member":"m@x.example","reply":"550 ? \"no\"","queue_id":"4X"}`,
		},
		{
			"about no message", someone{}, policy.ID{}, policy.Event{Kind: policy.Suspended, Time: when, Subject: "alice", Amount: 2, Reason: "strangers"},
			`{"id":"4711.2.0","kind":"suspended","time":"2026-03-01T09:00:00Z","timeline":"00000000000000000000000000","about":"alice","amount":2,"reason":"strangers"}`,
		},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			r := store.Record{Batch: 4711, Position: 2, Message: tt.message, Events: []policy.Event{tt.event}}
			e, err := newEvent(&r, 0, tt.facts)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(e.request(target{}, when).body); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAnEventIsBounded(t *testing.T) {
	r := store.Record{Message: ulid.ULID{15: 1}, Events: []policy.Event{{Kind: policy.Accepted, Evidence: strings.Repeat("x", 9000)}}}
	e, err := newEvent(&r, 0, someone{500})
	if err != nil || len(e.Recipients) != maxNamed || !e.More || len(e.Evidence) != maxText {
		t.Errorf("%d recipients, more %v, evidence of %d octets: %v", len(e.Recipients), e.More, len(e.Evidence), err)
	}
}

// genuine is what the documentation tells receivers to do.
func genuine(secret string, header http.Header, body []byte, now time.Time) bool {
	stamp := header.Get("X-Sendgate-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(stamp + "." + string(body)))
	want := "sha256=" + hex.EncodeToString(h.Sum(nil))
	return err == nil && now.Sub(time.Unix(seconds, 0)).Abs() < 5*time.Minute && hmac.Equal([]byte(want), []byte(header.Get("X-Sendgate-Signature")))
}

// TestAReceiverKnowsUs posts over a real connection to a receiver that checks everything.
func TestAReceiverKnowsUs(t *testing.T) {
	type seen struct {
		header http.Header
		body   []byte
	}
	posts := make(chan seen, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		posts <- seen{r.Header, body}
	}))
	defer server.Close()
	dir := t.TempDir()
	for name, text := range map[string]string{"secret": "s3cret\n", "url": server.URL + "/hook\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c SubscriberConfig
	c.SetDefaults()
	c.Name, c.URLFile, c.SecretFile, c.Private = "crm", filepath.Join(dir, "url"), filepath.Join(dir, "secret"), true
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := NewSubscribers([]SubscriberConfig{c}, "mx", newLedger(), someone{}, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Test(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	got := <-posts
	now := time.Now()
	if !genuine("s3cret", got.header, got.body, now) {
		t.Errorf("the receiver does not believe %v", got.header)
	}
	if genuine("s3cret", got.header, append(got.body, ' '), now) || genuine("other", got.header, got.body, now) ||
		genuine("s3cret", got.header, got.body, now.Add(6*time.Minute)) {
		t.Error("it believes a body that was changed, another secret, or an old request")
	}
	var e Event
	if err := json.Unmarshal(got.body, &e); err != nil || e.Kind != "test" || e.Node != "mx" ||
		got.header.Get("X-Sendgate-Event") != "test" || got.header.Get("X-Sendgate-Delivery") != e.ID ||
		got.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%v %s: %v", got.header, got.body, err)
	}
	if !s.Statuses()[0].Signed {
		t.Error("it is not said to be signed")
	}
}

func TestASubscriberThatCannotBeTakenUp(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(bad, []byte("http://corp.example/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		outcome string
		config  SubscriberConfig
		want    string
	}{
		{"no file with the URL", SubscriberConfig{Name: "a", URLFile: "/nowhere/url"}, "webhook a: read url_file: open /nowhere/url: no such file or directory"},
		{"no file with the secret", SubscriberConfig{Name: "a", URL: "https://x.example", SecretFile: "/nowhere/s"}, "webhook a: read secret_file: open /nowhere/s: no such file or directory"},
		{"a URL without TLS", SubscriberConfig{Name: "a", URLFile: bad}, "webhook a: url in " + bad + ": use https: without TLS everybody on the way can read the URL and post to it"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			_, err := NewSubscribers([]SubscriberConfig{tt.config}, "mx", newLedger(), someone{}, nil, zap.NewNop())
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestFaultsOfSubscribers(t *testing.T) {
	good := subscriber()
	for _, tt := range []struct {
		outcome string
		change  func(c *SubscriberConfig)
		want    string
	}{
		{"in order", func(*SubscriberConfig) {}, ""},
		{"a name for people", func(c *SubscriberConfig) { c.Name = "My CRM" }, "[0].name: My CRM: write lower-case letters, digits, - and _, at most 63; how far it was told is kept under it"},
		{"nowhere to post", func(c *SubscriberConfig) { c.URL = "" }, "[0].url: say where to post: url, or url_file with a file that holds it"},
		{"two places", func(c *SubscriberConfig) { c.URLFile = "/u" }, "[0].url_file: /u: url and url_file exclude each other"},
		{"this machine", func(c *SubscriberConfig) { c.URL = "http://127.0.0.1/" }, "[0].url: leads to this machine or to a private network: set private: true if it is meant"},
		{"no such event", func(c *SubscriberConfig) { c.Events = []policy.Kind{policy.Held, "helt"} }, "[0].events[1]: helt: is no kind of event: held, released, bounced, relayed_remote, ..."},
		{"too patient", func(c *SubscriberConfig) { c.Timeout = time.Hour }, "[0].timeout: 1h0m0s: must be between 1s and 60s"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			c := good
			tt.change(&c)
			got := ""
			if err := ValidateSubscribers([]SubscriberConfig{c}); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
	if err := ValidateSubscribers([]SubscriberConfig{good, good}); err == nil || err.Error() != "[1].name: crm: there is another webhook of this name" {
		t.Error(err)
	}
}

func TestErrorsOfSubscribersHideTheURL(t *testing.T) {
	s, err := newSubscribers([]SubscriberConfig{subscriber()}, "mx", newLedger(), someone{}, nil, broken{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Test(t.Context(), "crm"); err == nil || err.Error() != "dial tcp: connection refused" || errors.Is(err, ErrNoSubscriber) {
		t.Error(err)
	}
}
