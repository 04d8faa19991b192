package postfix

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseQueued(t *testing.T) {
	line := `{"queue_name": "deferred", "queue_id": "4jX1HT6PPwz1SGbB", "arrival_time": 1795286453, "message_size": 285,` +
		` "forced_expire": true, "sender": "\"a b\"@x.test", "newer": [1], "recipients": [{"address": "a@y.test", "delay_reason": "later"},` +
		` {"address": "b@y.test", "orig_address": "c@y.test", "bounce_reason": "no"}, {"address": "d@y.test"}]}`
	q, err := ParseQueued([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if q.Queue != "deferred" || q.ID != "4jX1HT6PPwz1SGbB" || !q.Arrival.Equal(time.Unix(1795286453, 0)) || q.Size != 285 ||
		!q.Expired || q.Sender != `"a b"@x.test` {
		t.Errorf("%+v", q)
	}
	if want := []Waiting{{"a@y.test", "later"}, {"b@y.test", "no"}, {"d@y.test", ""}}; !slices.Equal(q.Recipients, want) {
		t.Errorf("recipients: %+v", q.Recipients)
	}
}

func TestParseQueuedNamesTheNullSender(t *testing.T) {
	q, err := ParseQueued([]byte(`{"queue_id": "ABCDEF", "sender": "MAILER-DAEMON"}`))
	if err != nil || q.Sender != "" {
		t.Errorf("%+v, %v", q, err)
	}
}

func TestParseQueuedRefuses(t *testing.T) {
	for line, want := range map[string]string{
		``:                       "line of the queue listing: unexpected end of JSON input",
		`{"queue_id": "../x"}`:   `line of the queue listing: "../x": has no valid queue id`,
		`{"queue_id": "ABCDEF"`:  "line of the queue listing: unexpected end of JSON input",
		`{"message_size": "big"`: "line of the queue listing: ",
	} {
		if _, err := ParseQueued([]byte(line)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

func FuzzParseQueued(f *testing.F) {
	f.Add([]byte(`{"queue_name": "hold", "queue_id": "ABCDEF", "arrival_time": 1, "sender": "", "recipients": [{"address": "a@y.test"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if q, err := ParseQueued(line); err == nil && !ValidID(q.ID) {
			t.Errorf("%q", q.ID)
		}
	})
}
