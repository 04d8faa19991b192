package postfix

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// rec is a record as it lies in a queue file.
func rec(kind byte, data string) string {
	length := ""
	n := len(data)
	for ; n > 127; n >>= 7 {
		length += string([]byte{byte(n&0x7f) | 0x80})
	}
	return string(kind) + length + string([]byte{byte(n)}) + data
}

// parse reads a whole queue file.
func parse(file string) (Envelope, string, error) {
	q := newQueueFile(strings.NewReader(file), int64(len(file)))
	var b bytes.Buffer
	err := q.head()
	if err == nil {
		err = q.content(&b)
	}
	if err == nil {
		err = q.tail()
	}
	return q.envelope, b.String(), err
}

const (
	headRecords = "T\x0e1795286453 500" + "S\x08a@x.test"
	tailRecords = "X\x00E\x00"
)

func TestQueueFile(t *testing.T) {
	file := headRecords + rec('A', "notify_flags=6") + rec('R', "b@y.test") + rec('w', "padding") + "M\x00" +
		rec('N', "Subject: x") + rec('N', "") + rec('L', "long ") + rec('p', "0") + rec('N', "line") +
		"X\x00" + rec('D', "c@y.test") + rec('O', "gone@y.test") + rec('/', "") + rec('R', "d@y.test") + "E\x00"
	e, content, err := parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if content != "Subject: x\n\nlong line\n" {
		t.Errorf("content: %q", content)
	}
	got := fmt.Sprintf("%d %s", e.Arrival.UnixMicro(), e.Sender)
	for _, r := range e.Recipients {
		got += fmt.Sprintf(" %s %v %v %q", r.Address, r.Notify, r.Gone, string(r.Before))
	}
	if want := `1795286453000500 a@x.test b@y.test [SUCCESS FAILURE] false "" c@y.test [] true "" d@y.test [] false ""`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestQueueFileRefuses(t *testing.T) {
	body := rec('R', "b@y.test") + "M\x00" + rec('N', "x")
	circle := headRecords + "M\x00" + rec('N', "x")
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"nothing":                    {"", errNoEnd},
		"still being written":        {headRecords + body, errNoEnd},
		"no end record":              {headRecords + body + "X\x00", errNoEnd},
		"no content":                 {headRecords + "E\x00", errShort},
		"end within the content":     {headRecords + body + "E\x00", errShort},
		"no time":                    {"S\x08a@x.test" + body + tailRecords, errNoTime},
		"time is no number":          {rec('T', "yesterday") + body + tailRecords, errNoTime},
		"length is cut":              {headRecords + "N\x80", io.ErrUnexpectedEOF},
		"data is cut":                {headRecords + rec('w', strings.Repeat("w", 50))[:20] + "", errLoop},
		"length is impossible":       {headRecords + "N\xff\xff\xff\x7f" + tailRecords, errRecordLength},
		"length does not end":        {headRecords + "N\xff\xff\xff\xff\xff\x00" + tailRecords, errRecordLength},
		"pointer behind the file":    {headRecords + rec('p', "100000") + body + tailRecords, errPointer},
		"pointer is no number":       {headRecords + rec('p', "x") + body + tailRecords, errPointer},
		"pointer is negative":        {headRecords + rec('p', "-1") + body + tailRecords, errPointer},
		"pointers go in a circle":    {circle + rec('p', fmt.Sprint(len(headRecords)+2)) + tailRecords, errLoop},
		"newline in a sender":        {rec('S', "a\nT@x.test") + body + tailRecords, errAddress},
		"control char in recipient":  {headRecords + rec('R', "b\x00@y.test") + body + tailRecords, errAddress},
		"control char in a original": {headRecords + rec('O', "b\x7f@y.test") + body + tailRecords, errAddress},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := parse(c.file); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestQueueFileNeverPassesAnAddressThatEndsAPath(t *testing.T) {
	_, _, err := parse(headRecords + rec('R', "b@y.test> NOTIFY=NEVER") + "M\x00" + tailRecords)
	if err == nil || !strings.Contains(err.Error(), `address "b@y.test> NOTIFY=NEVER" in the queue file`) {
		t.Errorf("%v", err)
	}
}

func TestHeaderIsLookedForInTheHeaderOnly(t *testing.T) {
	content := "M\x00" + rec('L', "X-Id: ") + rec('N', "1") + rec('N', "") + rec('N', "X-Id: 2")
	for header, want := range map[string]bool{"X-Id: 1": true, "X-Id: 2": false, "X-Id": false} {
		for _, file := range []string{
			headRecords + content + tailRecords,
			rec('C', fmt.Sprintf("%d %d 0 0 0 0", len(content)-2, 100)) + "", // completed below
		} {
			if file[0] == 'C' {
				head := len(rec('C', fmt.Sprintf("%15d %15d", 0, 0))) + len(headRecords)
				file = rec('C', fmt.Sprintf("%15d %15d", len(content)-2, head+2)) + headRecords + content + tailRecords
			}
			q := newQueueFile(strings.NewReader(file), int64(len(file)))
			if err := q.head(); err != nil {
				t.Fatal(err)
			}
			found, err := q.has(header)
			if err == nil {
				err = q.tail()
			}
			if err != nil || found != want {
				t.Errorf("%q: %v, %v, want %v", header, found, err, want)
			}
		}
	}
}

func FuzzQueueFile(f *testing.F) {
	f.Add([]byte(headRecords + "R\x08b@y.testM\x00N\x01x" + tailRecords))
	f.Add([]byte(headRecords + "M\x00N\x01xp\x0230" + tailRecords))
	f.Add([]byte("C\x205 10 1 0 5 2                    T\x011M\x00" + tailRecords))
	f.Fuzz(func(t *testing.T, file []byte) {
		e, content, err := parse(string(file))
		if len(content) > 2*len(file) {
			t.Fatalf("%d octets of content from %d", len(content), len(file))
		}
		if err != nil {
			return
		}
		for _, r := range e.Recipients {
			if strings.ContainsAny(string(r.Address), "\r\n\x00") {
				t.Errorf("address %q", r.Address)
			}
		}
		q := newQueueFile(bytes.NewReader(file), int64(len(file)))
		if err := q.head(); err != nil {
			t.Fatal(err)
		}
		_, _ = q.has("X-Id: 1") // ends, whatever it finds
	})
}
