package source

import (
	"encoding/json"
	"testing"
	"time"
)

func FuzzCursor(f *testing.F) {
	c := cursor{Version: cursorVersion, Kind: kindFile, Last: start, Seen: start, File: (&mark{}).position(fileID{1, 2})}
	f.Add(c.encode())
	j := cursor{Version: cursorVersion, Kind: kindJournald, Journal: testCursor}
	f.Add(j.encode())
	f.Add(`{"v":1,"kind":"file","file":{"offset":9223372036854775807}}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []string{kindFile, kindJournald, kindSyslog} {
			c, err := decodeCursor(text, kind)
			if err != nil {
				continue
			}
			if again, err := decodeCursor(c.encode(), kind); err != nil || again.encode() != c.encode() {
				t.Errorf("%s is read as %+v, %v", c.encode(), again, err)
			}
		}
	})
}

func TestCursorWithATimeThatJSONCannotHold(t *testing.T) {
	c := cursor{Version: cursorVersion, Kind: kindSyslog, Last: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := json.Marshal(&c); err == nil {
		t.Fatal("JSON holds it now: simplify encode")
	}
	if got, err := decodeCursor(c.encode(), kindSyslog); err != nil || !got.Last.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMarkKnowsWhatItPassed(t *testing.T) {
	text := []byte(lines(0, 99))
	for _, piece := range []int{1, 7, 255, 256, 257, 1023, 1024, 1025, len(text)} {
		var m mark
		for at := 0; at < len(text); at += piece {
			m.pass(text[at:min(at+piece, len(text))])
		}
		if m.offset != int64(len(text)) || string(m.head) != string(text[:headLen]) || string(m.tail[:m.n]) != string(text[len(text)-tailLen:]) {
			t.Errorf("in pieces of %d: %+v", piece, m)
		}
	}
}
