package postfix

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func TestDecodeRequestRefuses(t *testing.T) {
	var many []string
	for i := range MaxMessages + 1 {
		many = append(many, fmt.Sprintf(`{"id":"%06X"}`, i))
	}
	for question, want := range map[string]string{
		``:              "the request cannot be understood: EOF",
		`hello`:         "the request cannot be understood: invalid character",
		`{} {}`:         "the request cannot be understood: something follows it",
		`{"shell":"x"}`: "the request cannot be understood: json: unknown field",
		`{"verb":"flush","messages":[{"id":"ABCDEF"}]}`: `"flush" is not one of list, hold, release, delete, expire, read`,
		`{"verb":"hold"}`: "hold takes 1 to 10000 messages, not 0",
		`{"verb":"read","messages":[{"id":"ABCDEF"},{"id":"ABCDE0"}]}`:                                  "read takes 1 to 1 messages, not 2",
		`{"verb":"hold","messages":[` + strings.Join(many, ",") + `]}`:                                  "hold takes 1 to 10000 messages, not 10001",
		`{"verb":"hold","messages":[{"id":"ALL"}]}`:                                                     `"ALL" is not a queue id`,
		`{"verb":"hold","messages":[{"id":"-"}]}`:                                                       `"-" is not a queue id`,
		`{"verb":"list","messages":[{"id":"ABCDEF\nABCDEF"}]}`:                                          `"ABCDEF\nABCDEF" is not a queue id`,
		`{"verb":"hold","messages":[{"id":"ABCDEF"},{"id":"ABCDEF"}]}`:                                  "queue id ABCDEF is named twice",
		`{"verb":"delete","messages":[{"id":"ABCDEF"}]}`:                                                "delete needs the arrival time of ABCDEF",
		`{"verb":"hold","messages":[{"id":"ABCDEF","sender":"a@x"}]}`:                                   "the identity of ABCDEF has no arrival time",
		`{"verb":"hold","messages":[{"id":"ABCDEF","arrival":"2026-01-02T03:04:05Z","header":"a\nb"}]}`: "the header field of ABCDEF is not one line",
	} {
		if _, err := decodeRequest([]byte(question)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80s: %v, want %s", question, err, want)
		}
	}
}

func TestDecodeRequestTakesWhatWeWrite(t *testing.T) {
	q := request{Verb: verbDelete, Messages: []Identity{{ID: "ABCDEF", Arrival: time.Now(), Sender: "a@x.test", Header: "X: y"}}}
	data, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeRequest(data)
	if err != nil || got.Verb != q.Verb || got.Messages[0].Header != "X: y" || !got.Messages[0].Arrival.Equal(q.Messages[0].Arrival) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestLargestRequestFits: what change sends at most stays below what the helper reads.
func TestLargestRequestFits(t *testing.T) {
	q := request{Verb: verbDelete}
	for range portion {
		q.Messages = append(q.Messages, Identity{
			ID: strings.Repeat("A", maxID), Arrival: time.Now(), Sender: "a@x.test", Header: strings.Repeat("h", maxHeader),
		})
	}
	data, err := json.Marshal(q)
	if err != nil || len(data) > maxRequest {
		t.Errorf("%d octets, at most %d are read (%v)", len(data), maxRequest, err)
	}
}

func TestReadFrameTakesMemoryAsOctetsArrive(t *testing.T) {
	if _, _, err := readFrame(strings.NewReader("q\xff\xff\xff\xff"), maxFrame); !errors.Is(err, errTooLarge) {
		t.Errorf("%v, want errTooLarge", err)
	}
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, _, _ = readFrame(strings.NewReader("q\x01\x00\x00\x00abc"), maxFrame)
		}
	}).AllocedBytesPerOp()
	if allocated > 1<<16 {
		t.Errorf("%d octets for a frame of three", allocated)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"verb":"delete","messages":[{"id":"ABCDEF","arrival":"2026-01-02T03:04:05Z","sender":"a@x"}]}`))
	f.Add([]byte(`{"verb":"list"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := decodeRequest(data)
		if err != nil {
			return
		}
		for _, m := range q.Messages {
			if !ValidID(m.ID) || strings.ContainsAny(m.Header, "\r\n") || q.Verb == verbDelete && m.Arrival.IsZero() {
				t.Errorf("accepted: %+v", m)
			}
		}
	})
}

// FuzzAnswer feeds a helper's answer, of either form, to the gateway's side.
func FuzzAnswer(f *testing.F) {
	var b bytes.Buffer
	for _, r := range []Result{{ID: "ABCDEF", Outcome: Found}, {ID: "ABCDEF", Outcome: Failed, Text: "x"}} {
		b.Reset()
		_ = writeJSON(&b, frameResult, r)
		_ = writeJSON(&b, frameEnvelope, Envelope{ID: "ABCDEF"})
		_ = writeFrame(&b, frameData, []byte("Subject: x\n"))
		_ = writeFrame(&b, frameEnd, nil)
		f.Add(b.Bytes())
	}
	f.Add([]byte("z\x00\x00\x00\x02no"))
	f.Add([]byte("q\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &answer{ctx: t.Context(), conn: deaf{}, buffer: bufio.NewReader(bytes.NewReader(data)), timeout: time.Hour}
		if _, err := a.envelope(); err != nil {
			return
		}
		c := &Content{answer: a}
		total, p := 0, make([]byte, 100)
		for {
			n, err := c.Read(p)
			if total += n; err != nil {
				break
			}
		}
		if total > len(data) {
			t.Errorf("%d octets of content in an answer of %d", total, len(data))
		}
	})
}

// deaf is a connection without deadlines.
type deaf struct{ net.Conn }

func (deaf) SetDeadline(time.Time) error { return nil }
