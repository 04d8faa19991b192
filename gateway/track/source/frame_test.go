package source

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestFrames(t *testing.T) {
	long := strings.Repeat("x", maxMessage+100)
	for _, tt := range []struct {
		name, stream string
		want         []string
		end          error
	}{
		{"counted", "4 <1>a5 <1>bc", []string{"<1>a", "<1>bc"}, io.EOF},
		{"a counted one holds line ends", "7 <1>a\nb\n", []string{"<1>a\nb"}, io.EOF},
		{"lines", "<1>a\n<2>b\r\n", []string{"<1>a", "<2>b"}, io.EOF},
		{"the last line without end", "<1>a\n<2>b", []string{"<1>a", "<2>b"}, io.EOF},
		{"both in one stream", "<1>a\n4 <2>b<3>c\n", []string{"<1>a", "<2>b", "<3>c"}, io.EOF},
		{"NUL at the end", "<1>a\x00\n", []string{"<1>a"}, io.EOF},
		{"a line that begins with a year", "2026-11-21T10:00:00Z a\n", []string{"2026-11-21T10:00:00Z a"}, io.EOF},
		{"a zero is no count", "0 a\n", []string{"0 a"}, io.EOF},
		{"digits only", "12", []string{"12"}, io.EOF},
		{"a long line is cut", long + "\n<1>a\n", []string{long[:maxMessage], "<1>a"}, io.EOF},
		{"a long counted one is cut", "65636 " + long + "<1>a\n", []string{long[:maxMessage], "<1>a"}, io.EOF},
		{"cut in a counted one", "9 <1>a", nil, io.ErrUnexpectedEOF},
		{"cut in a long counted one", "70000 " + long, nil, io.ErrUnexpectedEOF},
		{"a count that cannot be", "99999999 a", nil, errFrame},
		{"a number without end", "12345678901 a", nil, errFrame},
		{"nothing", "", nil, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := frames(tt.stream)
			if !slices.Equal(got, tt.want) || !errors.Is(err, tt.end) {
				t.Errorf("got %.100q, %v, want %.100q, %v", got, err, tt.want, tt.end)
			}
		})
	}
}

func frames(stream string) (all []string, err error) {
	r := frameReader{bufio.NewReader(strings.NewReader(stream))}
	for {
		m, err := r.next()
		if err != nil {
			return all, err
		}
		all = append(all, string(m))
	}
}

func FuzzFrames(f *testing.F) {
	for _, seed := range []string{"4 <1>a5 <1>bc", "<1>a\n4 <2>b<3>c\n", "12", "1 \n0 x\n", "<22>1 2026-11-21T10:00:00Z h a 1 - [a b=\"c\\]\"] m\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		all, err := frames(stream)
		if err == nil || len(all) > len(stream) {
			t.Errorf("%d messages of %d octets, %v", len(all), len(stream), err)
		}
		in := messageReader{stamper: testStamper(), host: "peer"}
		for _, m := range all {
			raw, ok := in.raw([]byte(m))
			if !ok {
				continue
			}
			if len(raw.Data) == 0 || len(raw.Data) > maxMessage+3 || strings.ContainsAny(string(raw.Data), "\n\r\x00") {
				t.Errorf("line %q", raw.Data)
			}
			if raw.Time.IsZero() != (raw.Host == "") {
				t.Errorf("time %v, but host %q", raw.Time, raw.Host)
			}
		}
	})
}
