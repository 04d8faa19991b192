package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

const testCursor = "s=c912fae80588449bb1041dce5f5f365c;i=1;b=0123456789abcdef0123456789abcdef;m=f4240;t=6441367fd8800;x=84aab0eb6998a59c"

// binaryField is a field in the form for values with line ends.
func binaryField(name, value string) string {
	return name + "\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(value)))) + value + "\n"
}

func exports(text string) *exportReader {
	return &exportReader{bufio.NewReader(strings.NewReader(text))}
}

// TestExportOfTheManual reads the form of the page "Journal Export Formats".
func TestExportOfTheManual(t *testing.T) {
	text := "-- No entries --\n\n__CURSOR=" + testCursor + "\n__REALTIME_TIMESTAMP=1342540861416351\n" +
		"__MONOTONIC_TIMESTAMP=45627\n_BOOT_ID=22ee8\nPRIORITY=6\nSYSLOG_IDENTIFIER=postfix/smtp\n_COMM=smtp\n" +
		"_PID=36\nSYSLOG_PID=37\n_HOSTNAME=mx1\n" +
		binaryField("MESSAGE", "foo\nbar\x00=\r end") + binaryField("COREDUMP", strings.Repeat("\x00\n=", maxLine)) +
		"LONG=" + strings.Repeat("x", maxLine+chunk) + "\n\n" +
		"__CURSOR=" + testCursor + "\n_COMM=cron\nMESSAGE=second\n\n"
	r := exports(text)
	e, err := r.next()
	if err != nil {
		t.Fatal(err)
	}
	raw, ok := e.raw()
	if !ok || string(raw.Data) != "postfix/smtp[37]: foo bar =  end" || raw.Host != "mx1" ||
		!raw.Time.Equal(time.UnixMicro(1342540861416351)) || e.cursor != testCursor {
		t.Errorf("first: %+v %q", e, raw.Data)
	}
	e, err = r.next()
	if err != nil {
		t.Fatal(err)
	}
	if raw, ok := e.raw(); !ok || string(raw.Data) != "cron: second" {
		t.Errorf("second: %q", raw.Data)
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
}

func TestExportWithoutMessageIsNoLine(t *testing.T) {
	e, err := exports("__CURSOR=" + testCursor + "\n\n").next()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := e.raw(); ok {
		t.Error("it is a line")
	}
}

func TestExportThatIsBroken(t *testing.T) {
	huge := string(binary.LittleEndian.AppendUint64(nil, 1<<62))
	for _, tt := range []struct{ name, text, want string }{
		{"cut in a line", "A=1\nB=", "unexpected EOF"},
		{"cut between fields", "A=1\n", "unexpected EOF"},
		{"cut in a length", "A\n\x01\x00", "unexpected EOF"},
		{"cut in a value", "A\n\x05\x00\x00\x00\x00\x00\x00\x00ab", "unexpected EOF"},
		{"cut in a long value", "A\n\x05\x00\x00\x10\x00\x00\x00\x00" + strings.Repeat("x", maxLine+1), "unexpected EOF"},
		{"cut behind a value", "A\n\x01\x00\x00\x00\x00\x00\x00\x00a", "unexpected EOF"},
		{"no line end behind a value", "A\n\x01\x00\x00\x00\x00\x00\x00\x00abc", "no line end after a field"},
		{"a length that cannot be", "A\n" + huge, "a field has 4611686018427387904 octets"},
		{"too many fields", strings.Repeat("A=1\n", maxFields+1), "an entry has more than 1024 fields"},
		{"a time that is none", "__REALTIME_TIMESTAMP=x\n\n", `time "x"`},
		{"a cursor that is none", "__CURSOR=--after\n\n", `cursor "--after"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exports(tt.text).next(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzExport(f *testing.F) {
	f.Add("__CURSOR=" + testCursor + "\n__REALTIME_TIMESTAMP=1\nMESSAGE=a\n\n")
	f.Add(binaryField("MESSAGE", "a\nb") + "\n")
	f.Add("-- No entries --\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := exports(text)
		for range len(text) + 1 {
			e, err := r.next()
			if err != nil {
				return
			}
			raw, ok := e.raw()
			if ok && (len(raw.Data) > 3*maxLine || strings.ContainsAny(string(raw.Data), "\n\r\x00")) {
				t.Errorf("line %q", raw.Data)
			}
			if e.cursor != "" && !journalCursor.MatchString(e.cursor) {
				t.Errorf("cursor %q", e.cursor)
			}
		}
		t.Error("more entries than octets")
	})
}
